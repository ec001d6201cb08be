"""OpenMeet's web app on the bridge: its real axios and socket.io-client, used as the app uses them.

The tabs are a model of the app (``tests/web_app``): what its pages call and in which order, its
reconnecting, and the rules by which it leaves live messages out. They speak through a front door,
as in production, with the bridge and OpenMeet's backend behind it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from openmeet_bridge.core.ids import PortalKind, PortalRef
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import HERE, THERE, BridgeProcess, Settings
from ..support.bridge import Site as Tenant
from ..support.databases import Databases
from ..support.front_door import Account, FrontDoor, front_door
from ..support.matrix_user import MatrixUser, matrix_user
from ..support.openmeet_database import OpenMeet
from ..support.openmeet_site import Site
from ..support.waiting import eventually
from ..support.web_app_tabs import Json, Tab, Tabs, View, web_app
from ..support.world import World, connected

pytestmark = [pytest.mark.synapse, pytest.mark.asyncio(loop_scope="module")]

SECRET = "the secret of OpenMeet, for all of its tenants"
SITES = (HERE, THERE)
NAMING = Naming("localhost")
BROADCAST_ID = re.compile(r"\d{13,}-[0-9a-z]{7}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
QUICK = 0.1
"""The app's waiting between two tries, shortened so much where nothing is restarted."""
SLOW = 0.4
"""The same where a bridge must come up again before the app gives up."""
WEBSOCKET = {"transports": ["websocket"]}
POLLING_FIRST = {"transports": ["polling", "websocket"]}
POLLING = {"transports": ["polling"]}
OWN_COPY = {2, 3}
"""The rules that drop what is shown already: the live copy of what one has sent."""


@dataclass
class Person:
    """Somebody with an account at OpenMeet."""

    account: Account
    name: str
    site: Site

    @property
    def slug(self) -> str:
        """Their slug."""
        return self.account.slug

    @property
    def number(self) -> int:
        """Of their row."""
        return self.account.number

    @property
    def mxid(self) -> str:
        """As what Matrix knows them."""
        return f"@om_{self.account.tenant}_{self.slug}:localhost"


@dataclass
class Stage:
    """Everything that a test of the web app needs."""

    world: World
    openmeet: OpenMeet
    bridge: BridgeProcess
    door: FrontDoor
    tabs: Tabs
    opened: list[Tab] = field(default_factory=list)

    async def person(self, name: str, tenant: Tenant = HERE) -> Person:
        """Register and log in somebody of whom the bridge has not heard."""
        site = self.openmeet.site(tenant.id)
        first, _, last = name.partition(" ")
        slug = f"{first.lower()}-{secrets.token_hex(3)}"
        number = await site.register(slug, first, last)
        session = await site.log_in(number)
        account = Account(tenant.id, number, session, slug)
        self.door.accounts[f"refresh-{slug}"] = account
        return Person(account, name, site)

    async def tab(self, person: Person, **options: Any) -> Tab:
        """Open a tab; what OpenMeet's database says of the user is all it knows."""
        first, _, last = person.name.partition(" ")
        mxid = await person.site.do(
            'SELECT "matrixUserId" FROM "users" WHERE "id" = $1', person.number
        )
        user = {"id": person.number, "slug": person.slug, "firstName": first, "lastName": last}
        login = {
            "url": self.door.url,
            "tenant": person.account.tenant,
            "token": person.account.token(SECRET),
            "refreshToken": f"refresh-{person.slug}",
            "user": {**user, "matrixUserId": mxid},
        }
        tab = await self.tabs.open(login, **{"pace": QUICK, **options})
        self.opened.append(tab)
        return tab

    async def group(self, owner: Person, *members: Person, **more: Any) -> tuple[str, int]:
        """Make a group at OpenMeet; its slug and number."""
        slug = f"group-{secrets.token_hex(3)}"
        number = await owner.site.create_group(slug, slug.title(), owner.number, **more)
        for member in members:
            await owner.site.add_member(number, member.number, "member")
        return slug, number

    async def close_tabs(self) -> None:
        """Close what is open."""
        for tab in self.opened:
            await tab.close()
        self.opened.clear()

    async def restart(self, end: Callable[[], object]) -> None:
        """End the bridge in a way, and start it again."""
        await asyncio.to_thread(end)
        await asyncio.to_thread(self.bridge.start)


def of_tenants() -> dict[Any, Json]:
    """Both tenants have one secret, and tokens name no tenant, as OpenMeet has it."""
    jwt = {"algorithm": "HS256", "secret": SECRET, "tenant_claim": "session"}
    return {tenant.id: {"jwt": jwt} for tenant in SITES}


@asynccontextmanager
async def openmeet_at_work(databases: Databases) -> AsyncIterator[tuple[OpenMeet, str]]:
    """OpenMeet's database with two empty sites."""
    dsn = databases.create_empty()
    openmeet = await OpenMeet.build(dsn, [tenant.id for tenant in SITES], rows=False)
    # So that a session of the one tenant is none of the other.
    await openmeet.site(THERE.id).do('ALTER SEQUENCE "sessions_id_seq" RESTART WITH 5000')
    yield openmeet, dsn
    await openmeet.close()
    databases.drop(dsn)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    databases: Databases,
    registration_file: Any,
    session_synapse: SynapseProcess,
    bridge_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    """One bridge, one front door and one Node for the whole module."""
    folder = tmp_path_factory.mktemp("bridge")
    database_url = databases.create()
    synapse_url = session_synapse.base_url
    settings = Settings(folder, database_url, registration_file, synapse_url, bridge_port)
    settings.of_tenant = of_tenants()
    async with AsyncExitStack() as stack:
        openmeet, dsn = await stack.enter_async_context(openmeet_at_work(databases))
        door = await stack.enter_async_context(front_door(settings.api_url, SECRET))
        settings.changes = {
            "openmeet": {"database": dsn, "interval": 600, "write_matrix_user_id": True},
            # However slow the machine is that runs the tests.
            "web_app": {"endpoint": door.url, "arrival_wait": 30},
        }
        bridge = BridgeProcess(settings)
        await asyncio.to_thread(bridge.start)
        stack.push_async_callback(asyncio.to_thread, bridge.stop)
        world = await stack.enter_async_context(connected(settings, synapse_url))
        tabs = await stack.enter_async_context(web_app())
        yield Stage(world, openmeet, bridge, door, tabs)
    databases.drop(database_url)


@pytest_asyncio.fixture(loop_scope="module")
async def stage(house: Stage) -> AsyncIterator[Stage]:
    """The house, with no tab open before or after."""
    yield house
    await house.close_tabs()


@asynccontextmanager
async def from_matrix(
    synapse: SynapseProcess, slug: str, tenant: Tenant = HERE
) -> AsyncIterator[MatrixUser]:
    """Somebody with a stock Matrix client, who has joined a public group by its alias."""
    async with matrix_user(synapse, f"human-{secrets.token_hex(3)}") as human:
        await human.join(NAMING.alias(PortalRef(tenant.id, PortalKind.GROUP, slug)))
        yield human


async def open_groups(*pages: tuple[Tab, str]) -> list[str]:
    """Open groups in tabs, all at once; the ids of their rooms."""
    opened = await asyncio.gather(*(tab.do("openGroup", slug) for tab, slug in pages))
    return [one["roomId"] for one in opened]


async def views(tabs: Iterable[Tab]) -> list[View]:
    """What all of them show."""
    return [await tab.look() for tab in tabs]


async def all_show(tabs: Iterable[Tab], body: str) -> list[View]:
    """Wait until each shows a text."""
    return [await tab.shows(body) for tab in tabs]


def check_live(view: View, body: str, sender: Person | MatrixUser, event_id: str) -> None:
    """Check a live message as the app gets it: every field, once, with its twin."""
    found = view.live(body)
    assert len(found) == 1, (body, found)
    event = found[0]
    mxid = sender.mxid if isinstance(sender, Person) else sender.user_id
    assert event["event_id"] == event["eventId"] == event_id
    assert event["room_id"] == event["roomId"] == view["roomId"]
    assert event["sender"] == mxid
    assert event["sender_name"]
    if isinstance(sender, Person):
        assert event["sender_name"] == sender.name
    assert event["content"]["msgtype"] == "m.text"
    assert event["origin_server_ts"] == event["timestamp"] > 1_700_000_000_000
    assert BROADCAST_ID.fullmatch(event["_broadcastId"])
    assert event["_broadcastTime"] > 1_700_000_000_000
    assert "user_slug" not in event
    twins = [one for one in view.named("matrix-message") if one["eventId"] == event_id]
    assert len(twins) == 1
    assert twins[0]["_broadcastId"] == event["_broadcastId"]
    assert (twins[0]["roomId"], twins[0]["sender"]) == (view["roomId"], mxid)
    assert twins[0]["content"]["body"] == body


def check_error(answer: tuple[int, Any], status: int, message: str, path: str) -> Any:
    """Check a refusal in the shape of OpenMeet's backend; returns its body."""
    found, body = answer
    assert (found, body["statusCode"], body["message"]) == (status, status, message)
    assert body["path"] == path
    assert MOMENT.fullmatch(body["timestamp"])
    assert set(body) - {"errors"} == {"statusCode", "message", "path", "timestamp"}
    return body


def check_acks(view: View) -> None:
    """Check that every ack came, with one argument, before the app would have given up."""
    assert view["acks"]
    assert [ack for ack in view["acks"] if ack["count"] != 1] == []


async def test_somebody_comes_for_the_first_time(stage: Stage) -> None:
    ann, bob = await stage.person("Ann Lee"), await stage.person("Bob Day")
    slug, group = await stage.group(ann)
    event = f"picnic-{secrets.token_hex(3)}"
    number = await ann.site.create_event(event, "Picnic", ann.number)

    # Ann's first page: neither she nor her group are known to the bridge.
    first = await stage.tab(ann)
    opened = await first.do("openGroup", slug)
    room_id = opened["roomId"]
    assert room_id.startswith("!")
    assert opened["joined"]["success"] is True
    assert opened["joined"]["roomId"] == room_id
    view = await first.look()
    assert view.calls[:4] == [
        ("POST", f"/api/chat/group/{slug}/join", 201),
        ("POST", "/api/matrix/provision-user", 200),
        ("POST", "/api/matrix/websocket-info", 200),
        ("GET", f"/api/chat/group/{slug}/messages", 200),
    ]
    assert {one["cors"] for one in view["calls"]} == {"*"}
    assert view["matrixUserId"] == ann.mxid
    assert (view["connected"], view["live"], view["joinedRoom"]) == (True, True, True)
    assert view["errors"] == view["closes"] == view["notices"] == []
    # It asked for the room by the group's slug: the page knows no other name for it yet.
    assert [one["roomId"] for one in view["joinings"]] == [slug]
    assert view["rooms"]["success"] is True
    assert view["rooms"]["roomCount"] == len(view["rooms"]["rooms"])
    assert {"id": room_id, "name": slug.title()} in view["rooms"]["rooms"]
    [confirmed] = view.events("connection_confirmed")
    assert confirmed["hasMatrixCredentials"] is True
    assert confirmed["matrixUserId"] == ann.mxid

    async def written() -> bool:
        query = 'SELECT "matrixUserId" FROM "users" WHERE "id" = $1'
        return bool(await ann.site.do(query, ann.number) == ann.mxid)

    await eventually(written, "OpenMeet knows her Matrix id")

    # Her second tab knows who she is; Bob joins a moment before his page comes up.
    second = await stage.tab(ann, **POLLING_FIRST)
    await ann.site.join_group(group, bob.number)
    bobs = await stage.tab(bob, **WEBSOCKET)
    assert await open_groups((second, slug), (bobs, slug)) == [room_id] * 2
    assert "/api/matrix/provision-user" not in [path for _, path, _ in (await second.look()).calls]

    tabs = (first, second, bobs)
    sent = await first.do("send", "hello **all**")
    assert sent.startswith("$")
    for view in await all_show(tabs, "hello **all**"):
        assert view.ids("hello **all**") == [sent]
    for tab in tabs:
        await tab.until(lambda view: bool(view.named("matrix-message")), "the twin has come")
    for view in await views(tabs):
        check_live(view, "hello **all**", ann, sent)
        check_acks(view)
        assert view.drops <= OWN_COPY
    answer = await bobs.do("send", "hello Ann")
    for view in await all_show(tabs, "hello Ann"):
        assert view.ids("hello Ann") == [answer]
        assert view["shown"][-1]["sender_name"] == "Bob Day"

    # The meetup: its page adds the user before it shows the chat.
    await ann.site.attend(number, bob.number, "confirmed")
    meeting = [await stage.tab(one) for one in (ann, bob)]
    places = await asyncio.gather(*(tab.do("openEvent", event) for tab in meeting))
    assert places[0]["roomId"] == places[1]["roomId"] not in (room_id, None)
    for place in places:
        assert place["joined"] == {**place["joined"], "success": True, "roomId": place["roomId"]}
    sent = await meeting[1].do("send", "I bring cake")
    for view in await all_show(meeting, "I bring cake"):
        assert view.ids("I bring cake") == [sent]
        assert view["shown"][-1]["sender_name"] == "Bob Day"
    # A tab hears of all rooms of its user, and shows only its own.
    view = await bobs.until(lambda view: bool(view.live("I bring cake")), "it hears of the meetup")
    assert "I bring cake" not in view.bodies


async def test_people_talk(stage: Stage, session_synapse: SynapseProcess) -> None:
    ann, bob = await stage.person("Ann Lee"), await stage.person("Bob Day")
    slug, _ = await stage.group(ann, bob)
    path = f"/api/chat/group/{slug}/messages"
    ways: list[Json] = [WEBSOCKET, POLLING_FIRST, POLLING, {"march": True}]
    tabs = [
        await stage.tab(person, pace=1, **way)
        for person, way in zip((ann, ann, bob, bob), ways, strict=True)
    ]
    room_id, *others = await open_groups(*((tab, slug) for tab in tabs))
    assert others == [room_id] * 3
    march = tabs.pop()
    polling = tabs.pop()
    for tab in (*tabs, march):
        await tab.until(lambda view: view["transport"] == "websocket", "upgraded")
    assert (await polling.look())["transport"] == "polling"
    tabs += [polling, march]

    async with from_matrix(session_synapse, slug) as human:
        # Typing, both ways, as the app reads it; it ends by itself.
        keys = asyncio.create_task(press_keys(tabs[0]))
        await human.wait_until(lambda user: user.typing.get(room_id) == [ann.mxid])
        keys.cancel()
        for tab in tabs[1:]:
            await tab.until(lambda view: ann.mxid in said_to_type(view), "Ann types")
            await tab.until(lambda view: view["typing"] == [], "Ann types no longer")
        await human.type(room_id)
        for tab in tabs:
            await tab.until(lambda view: view["typing"] == [human.user_id], "somebody types")
        await human.type(room_id, typing=False)
        await march.do("typing", True)
        await tabs[0].until(lambda view: bob.mxid in said_to_type(view), "Bob types, by socket")

        # All at once: nothing is lost, and nothing comes twice.
        await asyncio.gather(
            *(
                tab.do("send", f"{number} of tab {i}")
                for number in range(6)
                for i, tab in enumerate(tabs)
            ),
            *(human.send(room_id, f"{number} of Matrix") for number in range(30)),
        )
        wanted = {f"{number} of tab {i}" for number in range(6) for i in range(4)}
        wanted |= {f"{number} of Matrix" for number in range(30)}
        for tab in tabs:
            await tab.until(lambda view: len(view.live()) == len(wanted), "all has come")
        for view in await views(tabs):
            assert sorted(view.bodies) == sorted(wanted)
            assert sorted(one["content"]["body"] for one in view.live()) == sorted(wanted)
            assert view.drops <= OWN_COPY
            ids = [one["_broadcastId"] for one in view.live()]
            assert len(set(ids)) == len(ids)
            assert view["errors"] == view["closes"] == []
            check_acks(view)
        check_live(
            await tabs[0].look(), "3 of Matrix", human, (await tabs[0].look()).ids("3 of Matrix")[0]
        )
        assert len((await march.look()).named("message-sent")) == 6

        # Who reloads at once finds what they have just said; the app takes no live copy of it then.
        for number in range(4):
            sent = await tabs[0].do("send", f"just said {number}")
            await tabs[0].do("load")
            assert (await tabs[0].look()).ids(f"just said {number}") == [sent]

        # What the app itself leaves out, by its rules 7 and 8, is there after a reload.
        await human.send(room_id, "ok")
        await tabs[0].shows("ok")
        oks = [await tabs[0].do("send", "ok"), await human.send(room_id, "ok")]
        await tabs[2].until(lambda view: len(view.live("ok")) == 3, "three say ok")
        assert (await tabs[2].look()).drops - OWN_COPY == {7, 8}
        assert len((await tabs[2].look()).ids("ok")) == 1
        await tabs[2].do("load")
        assert set(oks) < set((await tabs[2].look()).ids("ok"))
        await check_pages(tabs[2], path, len(wanted) + 4 + 3)


async def press_keys(tab: Tab) -> None:
    """Type for as long as it takes somebody to see it."""
    while True:
        await tab.do("typing", True)
        await asyncio.sleep(0.1)


def said_to_type(view: View) -> list[str]:
    """Who has been said to type, at any time, in the shape that the app reads."""
    found: list[str] = []
    for event in view.events("m.typing"):
        assert event["typing"] == event["user_ids"] == event["content"]["user_ids"]
        assert event["room_id"] == view["roomId"]
        assert "event_id" not in event
        found += event["typing"]
    return found


async def check_pages(tab: Tab, path: str, count: int) -> None:
    """Go back to the beginning, as the app does and in small steps: all is there once."""
    end = (await tab.do("load")) and await tab.do("loadEarlier")
    view = await tab.look()
    assert end == ""
    ids = [message["event_id"] for message in view["shown"]]
    assert len(ids) == len(set(ids)) == count
    steps = await whole(tab, path, 7)
    assert [one["eventId"] for one in steps] == [
        one["eventId"] for one in await whole(tab, path, 50)
    ]
    assert {one["eventId"] for one in steps} == set(ids)
    assert len(steps) == count
    assert all(one["sender_name"] and one["timestamp"] for one in steps)


async def whole(tab: Tab, path: str, limit: int) -> list[Json]:
    """A room's messages from its end to its beginning, in pages of a size."""
    found: list[Json] = []
    end = None
    while end != "":
        start = f"&from={quote(end)}" if end else ""
        status, page = await tab.call("GET", f"{path}?limit={limit}{start}")
        assert status == 200
        assert page["roomId"] == (await tab.look())["roomId"]
        found += page["messages"]
        end = page["end"]
    return found


async def test_a_connection_comes_back(stage: Stage) -> None:
    ann, bob = await stage.person("Ann Lee"), await stage.person("Bob Day")
    slug, _ = await stage.group(ann, bob)
    ways: list[Json] = [WEBSOCKET, {}, POLLING]
    tabs = [
        await stage.tab(person, pace=SLOW, **way)
        for person, way in zip((ann, bob, bob), ways, strict=True)
    ]
    room_id, *_ = await open_groups(*((tab, slug) for tab in tabs))
    joinings = [len(view["joinings"]) for view in await views(tabs)]
    said: list[str] = []

    async def all_again(name: str) -> None:
        """After something broke: all are back, and each message comes to each once."""
        for tab in tabs:
            await tab.until(lambda view: view["connected"] and room_id in view["joined"], name)
        for number, tab in enumerate(tabs):
            body = f"{name} {number}"
            said.append(body)
            sent = await tab.do("send", body)
            for view in await all_show(tabs, body):
                assert view.ids(body) == [sent]
        for tab in tabs:
            await tab.until(lambda view: {*said} <= {*bodies_of(view.live())}, "live too")
        for view in await views(tabs):
            assert sorted(bodies_of(view.live())) == sorted(said)
            assert view.drops <= OWN_COPY
            assert "io server disconnect" not in view["closes"]
        # Nobody had to ask for the room again.
        assert [len(view["joinings"]) for view in await views(tabs)] == joinings

    await all_again("before")
    # A proxy cuts all sockets. Ann's token is no longer good: the app gets a new one for her, and
    # a new socket with it.
    old = ann.account.token(SECRET, lifetime=-60)
    await tabs[0].do("expire", old)
    stage.door.drop()
    for tab in tabs:
        await tab.until(was_cut(0), "the proxy")
    await all_again("after the proxy")
    view = await tabs[0].look()
    assert set(view["errors"]) <= {"Invalid authentication token", *TRANSPORT_ERRORS}
    assert (view["refreshes"], view["loggedOut"], view["tenant"]) == (1, False, HERE.id)
    assert stage.door.refreshed.count(f"refresh-{ann.slug}") == 1
    for end, name in ((stage.bridge.stop, "a restart"), (stage.bridge.kill, "a crash")):
        cuts = [len(view["closes"]) for view in await views(tabs)]
        await stage.restart(end)
        for tab, before in zip(tabs, cuts, strict=True):
            await tab.until(was_cut(before), name)
        await all_again(f"after {name}")
    assert {one["tenant"] for one in await views(tabs)} == {HERE.id}

    # Many requests with an old token at once all get their answer.
    await tabs[0].do("expire", old)
    path = f"/api/chat/group/{slug}/messages?limit=1"
    answers = await asyncio.gather(*(tabs[0].call("GET", path) for _ in range(5)))
    assert [status for status, _ in answers] == [200] * 5


def was_cut(before: int) -> Callable[[View], bool]:
    """Whether a tab has lost its connection once more."""
    return lambda view: len(view["closes"]) > before


TRANSPORT_ERRORS = ("websocket error", "xhr poll error", "timeout")


def bodies_of(events: list[Json]) -> list[str]:
    """The texts of live messages."""
    return [event["content"]["body"] for event in events]


async def test_who_may_and_who_may_not(stage: Stage) -> None:
    ann, bob, carol = [await stage.person(name) for name in ("Ann Lee", "Bob Day", "Carol Fox")]
    private, group = await stage.group(ann, bob, visibility="private")
    other, later = await stage.group(carol, bob)
    anns, bobs, carols = [await stage.tab(one) for one in (ann, bob, carol)]
    room_id, bobs_room, carols_room = await open_groups(
        (anns, private), (bobs, private), (carols, other)
    )
    assert room_id == bobs_room
    messages = f"/api/chat/group/{private}/messages"

    # Somebody who is not in it. All at once, as each asks OpenMeet's database first.
    wishes = (
        ("POST", f"/api/chat/group/{private}/join", None),
        ("GET", messages, None),
        ("POST", f"/api/chat/group/{private}/message", {"message": "let me in"}),
    )
    (status, body), *answers = await asyncio.gather(*(carols.call(*wish) for wish in wishes))
    assert (status, body["success"]) == (201, False)
    assert body["message"]
    for (status, body), (_, path, _) in zip(answers, wishes[1:], strict=True):
        check_error((status, body), 403, body["message"], path)
    for event, payload in (
        ("join-room", {"roomId": room_id}),
        ("message", {"roomId": room_id, "message": "let me in"}),
    ):
        answer = await carols.ask(event, payload)
        assert answer["success"] is False
        assert answer["error"]
    answer = await carols.ask("join-user-rooms", {"userId": ann.mxid})
    assert answer["success"] is False
    assert answer["error"] == "Error joining rooms: Can only join your own rooms"
    status, body = await carols.call("POST", f"/api/matrix/{room_id}/typing", {"isTyping": True})
    assert status in (403, 404)

    # A room that one comes into later delivers at once, with nothing asked of the socket.
    before = len((await anns.look())["joinings"])
    await carol.site.join_group(later, ann.number)
    status, body = await anns.call("POST", f"/api/chat/group/{other}/join")
    assert (status, body["success"], body["roomId"]) == (201, True, carols_room)
    await carols.do("send", "welcome Ann")
    view = await anns.until(lambda view: bool(view.live("welcome Ann")), "the new room delivers")
    assert len(view["joinings"]) == before
    assert carols_room in view["joined"]

    # Somebody who is no longer in it.
    await ann.site.leave_group(group, bob.number)
    await stage.world.here.do("DELETE", f"/groups/{private}/members/{bob.slug}")
    await anns.do("send", "behind his back")
    await carols.do("send", "to Bob too")
    view = await bobs.until(lambda view: bool(view.live("to Bob too")), "his other room delivers")
    assert "behind his back" not in str(view["log"])
    answers = await asyncio.gather(*(bobs.call(*wish) for wish in wishes))
    assert [status for status, _ in answers] == [201, 403, 403]
    assert answers[0][1]["success"] is False
    assert (await bobs.ask("join-room", {"roomId": room_id}))["success"] is False
    assert (await bobs.ask("message", {"roomId": room_id, "message": "x"}))["success"] is False

    await check_refusals(stage, ann, anns, private)


async def check_refusals(stage: Stage, ann: Person, tab: Tab, private: str) -> None:
    """What the app is told when something is wrong, over HTTP and in the handshake."""
    path = "/api/chat/event/no-such/messages"
    check_error(
        await tab.call("GET", f"{path}?limit=5"), 404, "Event with slug no-such not found", path
    )
    path = "/api/chat/group/no-such/messages"
    check_error(await tab.call("GET", path), 404, "Group with slug no-such not found", path)
    path = f"/api/chat/group/{private}/message"
    found = check_error(
        await tab.call("POST", path, {}), 422, "Unprocessable Entity Exception", path
    )
    assert list(found["errors"]) == ["message"]
    assert (await tab.look())["notices"] == [found["errors"]["message"]]
    path = "/api/matrix/set-password"
    found = check_error(
        await tab.call("POST", path, {"password": "short"}),
        422,
        "Unprocessable Entity Exception",
        path,
    )
    assert list(found["errors"]) == ["password"]
    path = "/api/chat/no/such/route"
    check_error(await tab.call("GET", path), 404, f"Cannot GET {path}", path)
    path = f"/api/chat/group/{private}/messages"
    await tab.do("login", {"token": None, "refreshToken": "none"})
    message = "Authentication required to access private group discussions"
    check_error(await tab.call("GET", path), 403, message, path)

    token = ann.account.token(SECRET)
    for auth, text in (
        ({"tenantId": HERE.id}, "Authentication error - no token provided"),
        ({"token": "Bearer nonsense", "tenantId": HERE.id}, "Invalid authentication token"),
        (
            {"token": ann.account.token(SECRET, lifetime=-60), "tenantId": HERE.id},
            "Invalid authentication token",
        ),
        (
            {"token": ann.account.token(SECRET, id=None), "tenantId": HERE.id},
            "Invalid token - missing user ID",
        ),
        ({"token": ann.account.token(SECRET, id=999_999), "tenantId": HERE.id}, None),
        ({"token": token, "tenantId": THERE.id}, None),
        ({"token": token, "tenantId": "no-such"}, None),
        ({"token": token}, "Error authenticating user"),
    ):
        found = await stage.tabs.handshake(f"{stage.door.url}/matrix", {"auth": auth})
        assert found["error"] == text or (text is None and found["error"] in HANDSHAKE_TEXTS), auth
    for options in (
        {"extraHeaders": {"authorization": f"Bearer {token}", "x-tenant-id": HERE.id}},
        {"query": {"token": token, "tenantId": HERE.id}},
        {"auth": {"token": token, "tenantId": HERE.id}, "path": "/socket.io/matrix"},
    ):
        found = await stage.tabs.handshake(f"{stage.door.url}/matrix", options)
        assert found == {"connected": True}, options


HANDSHAKE_TEXTS = (
    "Invalid authentication token",
    "User not found",
    "Error authenticating user",
    "Authentication error - invalid token",
    "Authentication error",
)


async def test_two_tenants_stay_apart(stage: Stage) -> None:
    here, there = await stage.person("Ann Here"), await stage.person("Ann There", THERE)
    # The same number and the same slug of a group: nothing but the tenant tells them apart.
    twin = await stage.openmeet.site(THERE.id).rows('SELECT 1 FROM "users" WHERE "id" = 1')
    assert twin
    while there.number < here.number:
        there = await stage.person("Ann There", THERE)
    assert here.number == there.number
    slug, _ = await stage.group(here)
    await there.site.create_group(slug, "There", there.number)
    tabs = [await stage.tab(one) for one in (here, there)]
    rooms = await open_groups(*((tab, slug) for tab in tabs))
    assert rooms[0] != rooms[1]
    await asyncio.gather(tabs[0].do("send", "said here"), tabs[1].do("send", "said there"))
    await tabs[0].until(lambda view: bool(view.live("said here")), "said here")
    await tabs[1].until(lambda view: bool(view.live("said there")), "said there")
    for view, strange in zip(await views(tabs), ("said there", "said here"), strict=True):
        assert strange not in str(view["log"])
    # A token of the one with the name of the other is nobody's, also where anybody may ask.
    path = f"/api/chat/group/{slug}/messages"
    info = "/api/matrix/websocket-info"
    token = here.account.token(SECRET)
    for method, where, tenant, message in (
        ("POST", info, THERE.id, "Invalid token"),
        ("GET", path, THERE.id, "Invalid token"),
        ("GET", path, " ", "Tenant ID is required"),
    ):
        await tabs[0].do("login", {"tenant": tenant, "token": token, "refreshToken": "none"})
        check_error(await tabs[0].call(method, where), 401, message, where)
