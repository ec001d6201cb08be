"""The chat routes of OpenMeet's web app: exact bodies and codes, and nobody where they may not."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from openmeet_bridge.bridge import direct_chats

from ..support.chat import held_until
from ..support.databases import Databases
from ..support.fault_proxy import pass_on
from ..support.openmeet import Answer, User, call
from ..support.simulated_rooms import Room
from ..support.simulated_world import SimulatedWorld, simulated_world
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

Json = dict[str, Any]


LOOKS = ("ping", "sync")
"""What the bridge asks now and then, whatever happens."""


@dataclass
class Site:
    """A bridge with OpenMeet on it, as its web app sees it.

    Attributes:
        ann: A member of the group, who attends the event.
        ben: Another.
        mia: Who owns both.
        eve: Nobody of either.
        zoe: Somebody of the other tenant, who owns a group of the same slug.
        group: Slug of the private group.
        event: Slug of the event.
    """

    simulated: SimulatedWorld
    world: World
    ann: User
    ben: User
    mia: User
    eve: User
    zoe: User
    group: str
    event: str
    group_room: str
    event_room: str
    other_room: str

    async def ask(
        self,
        user: User | None,
        method: str,
        path: str,
        /,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **params: Any,
    ) -> Answer:
        """Calls a route as the web app does; for nobody, with the tenant only."""
        if headers is None:
            headers = user.headers() if user else {"X-Tenant-ID": self.ann.tenant.id}
        url = f"{self.world.settings.api_url}/api{path}"
        return await call(
            self.world.session, method, url, headers=headers, body=body, params=params
        )

    async def says(self, user: User, path: str, text: str) -> str:
        """Says something, and waits until it can be read; returns its event."""
        answer = await self.ask(user, "POST", path, {"message": text})
        assert (answer.status, list(answer.body)) == (201, ["id"]), answer
        return await self.logged(answer.body["id"])

    async def logged(self, event_id: str) -> str:
        """Waits until the log has an event; returns its id."""
        assert event_id.startswith("$")

        async def found() -> bool:
            return bool(await self.world.sql("SELECT FROM log WHERE event_id = $1", event_id))

        await eventually(found, f"{event_id} is in the log")
        return event_id

    def room(self, room_id: str) -> Room:
        """A room as the homeserver has it."""
        return self.simulated.homeserver.rooms.room(room_id)

    def said(self, room_id: str, text: str) -> list[Json]:
        """The events of a room with this text, at the homeserver."""
        found = [event for _, event in self.room(room_id).timeline]
        return [one for one in found if one["content"].get("body") == text]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("web-app")
    async with (
        simulated_world(folder, databases.create(), limits={"send_wait": 1.5}) as simulated,
        connected(simulated.settings, simulated.homeserver.url) as world,
    ):
        here, there = world.here, world.there
        ann = await here.user("Ann Lee", slug=f"ann-lee-{secrets.token_hex(3)}")
        ben, mia, eve = [await here.user(name) for name in ("Ben", "Mia", "Eve")]
        zoe = await there.user("Zoe")
        group, event = (f"{name}-{secrets.token_hex(3)}" for name in ("hikers", "summit"))
        rooms = [
            await here.group(group, [ann, ben]),
            await here.group(event, [ann, ben], kind="meetups"),
            await there.group(group, [zoe]),
        ]
        for path in (f"/groups/{group}", f"/meetups/{event}"):
            await here.do("PUT", f"{path}/members/{mia.slug}", {"role": "owner"})
            await here.settled(path)
        yield Site(simulated, world, ann, ben, mia, eve, zoe, group, event, *rooms)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def healthy(site: Site) -> None:
    """Every test begins on a good day."""
    site.simulated.proxy.rule = pass_on


def refused(answer: Answer, status: int, message: str, path: str) -> None:
    """Checks a refusal, field by field."""
    assert answer.status == status, answer
    body = dict(answer.body)
    assert body.pop("timestamp").endswith("Z")
    assert body == {"statusCode": status, "message": message, "path": f"/api{path}"}


def invalid(answer: Answer, field: str, text: str) -> None:
    """Checks that a field is refused."""
    assert answer.status == 422, answer
    assert answer.body["message"] == "Unprocessable Entity Exception"
    assert answer.body["errors"] == {field: text}


async def test_every_refusal_has_the_body_that_the_app_knows(site: Site) -> None:
    ask, ann, eve = site.ask, site.ann, site.eve
    path = f"/chat/event/{site.event}/messages"
    refused(await ask(None, "GET", path, headers={}), 401, "Tenant ID is required", path)
    refused(await ask(None, "GET", path, limit="5"), 401, "Authentication required", path)
    bad = {"Authorization": "Bearer no.no.no", "X-Tenant-ID": ann.tenant.id}
    refused(await ask(None, "GET", path, headers=bad), 401, "Invalid token", path)
    old = ann.headers(lifetime=-600)
    refused(await ask(None, "GET", path, headers=old), 401, "Invalid token", path)
    # By the query, too, and never another tenant's.
    token = {"Authorization": ann.headers()["Authorization"]}
    named = await ask(None, "GET", path, headers=token, tenantId=ann.tenant.id)
    assert named.status == 200
    other = await ask(None, "GET", path, headers=token, tenantId=site.zoe.tenant.id)
    refused(other, 401, "Invalid token", path)
    refused(
        await ask(ann, "GET", "/chat/nothing"), 404, "Cannot GET /api/chat/nothing", "/chat/nothing"
    )
    for kind, word in (("event", "Event"), ("group", "Group")):
        for method, end in (("POST", "message"), ("GET", "messages")):
            path = f"/chat/{kind}/nowhere/{end}"
            answer = await ask(ann, method, path, {"message": "Hi"})
            refused(answer, 404, f"{word} with slug nowhere not found", path)
    stranger = {
        "event": "You do not attend this event.",
        "group": "You are not a member of this group.",
    }
    for kind, slug in (("event", site.event), ("group", site.group)):
        for method, end in (("POST", "message"), ("GET", "messages")):
            path = f"/chat/{kind}/{slug}/{end}"
            refused(await ask(eve, method, path, {"message": "Hi"}), 403, stranger[kind], path)
        # What is there in one tenant is not there in the other.
        path = f"/chat/{kind}/{slug}/messages"
        answer = await ask(site.zoe, "GET", path)
        assert answer.status == (404 if kind == "event" else 200), answer
        assert kind == "event" or answer.body["roomId"] == site.other_room
    for method in ("GET", "POST"):
        for room in (site.event_room, site.other_room, "!nowhere:localhost"):
            path = f"/matrix/messages/{room}"
            answer = await ask(eve, method, path, {"message": "Hi"})
            refused(answer, 403, "You are not in this room.", path)


async def test_what_cannot_be_said_is_refused_field_by_field(site: Site) -> None:
    path = f"/chat/event/{site.event}/message"
    for body in ({}, {"message": ""}, {"message": " \n"}, {"message": None}, {"text": "Hi"}):
        answer = await site.ask(site.ann, "POST", path, body)
        invalid(answer, "message", "should not be empty")
    answer = await site.ask(site.ann, "POST", path, {"message": "x" * 40_000})
    invalid(answer, "message", "at most 32768 bytes of UTF-8")
    answer = await site.ask(site.ann, "POST", path, {"message": 5})
    invalid(answer, "message", "Expected `str | null`, got `int`")
    elsewhere: Json = {"from": "s123_4"}
    answer = await site.ask(site.ann, "GET", f"{path}s", **elsewhere)
    invalid(answer, "from", "is the end of no page")
    answer = await site.ask(site.ann, "POST", "/chat/messages/read", {})
    invalid(answer, "messages", "is required")
    assert (await site.ask(site.ann, "GET", "/chat/direct/none/messages")).status == 422


async def test_a_discussion_is_read_as_the_app_reads_it(site: Site) -> None:
    path = f"/chat/event/{site.event}/message"
    ids = [await site.says(site.ann, path, f"Message {n}") for n in range(4)]
    hot = await site.says(site.ben, path, "**Hot** <b> & ~5°")
    room = f"/rooms/{site.event_room}/entries"
    await site.ben.do("PUT", f"{room}/{ids[3]}/reactions/👍")
    await site.ann.do("DELETE", f"{room}/{ids[2]}")

    async def settled() -> Json:
        answer = await site.ask(site.ben, "GET", f"{path}s", limit="50")
        body: Json = answer.body
        assert answer.status == 200
        assert len(body["messages"]) == 4
        assert "reactions" in body["messages"][1]["content"]
        return body

    page = await eventually(settled, "the reaction and the deletion are there")
    assert {key: page[key] for key in page if key != "messages"} == {
        "end": "",
        "roomId": site.event_room,
    }
    assert [one["eventId"] for one in page["messages"]] == [hot, ids[3], ids[1], ids[0]]
    one = page["messages"][1]
    when = one.pop("timestamp")
    assert one == {
        "type": "m.room.message",
        "event_id": ids[3],
        "eventId": ids[3],
        "room_id": site.event_room,
        "roomId": site.event_room,
        "sender": site.ann.mxid,
        "sender_name": "Ann Lee",
        "content": {
            "msgtype": "m.text",
            "body": "Message 3",
            "reactions": {"👍": [site.ben.mxid]},
        },
        "origin_server_ts": when,
    }
    assert page["messages"][0]["content"]["body"] == "**Hot** &lt;b> & ~5°"
    (sent,) = site.said(site.event_room, "**Hot** <b> & ~5°")
    assert sent["content"]["formatted_body"] == "<strong>Hot</strong> &lt;b&gt; &amp; ~5°"
    assert "format" not in site.said(site.event_room, "Message 0")[0]["content"]

    # Page by page, to the beginning and no further; by the room's id it is the same.
    for way in (f"{path}s", f"/matrix/messages/{site.event_room}"):
        first = (await site.ask(site.ann, "GET", way, limit="2")).body
        last = (await site.ask(site.ann, "GET", way, limit="2", **{"from": first["end"]})).body
        assert [one["eventId"] for one in first["messages"]] == [hot, ids[3]]
        assert [one["eventId"] for one in last["messages"]] == [ids[1], ids[0]]
        assert first["end"]
        assert last["end"] == ""
        assert last["roomId"] == site.event_room
        for limit in ("NaN", "", "undefined", "9999", "1.5e9", "100000000000"):
            assert len((await site.ask(site.ann, "GET", way, limit=limit)).body["messages"]) == 4
        for limit in ("0", "-3", "1", "1.9"):
            assert len((await site.ask(site.ann, "GET", way, limit=limit)).body["messages"]) == 1


async def test_a_group_shows_guests_nothing_that_was_said(site: Site) -> None:
    said = await site.says(site.ann, f"/chat/group/{site.group}/message", "Among us")
    path = f"/chat/group/{site.group}/messages"
    page = (await site.ask(site.ben, "GET", path)).body
    assert page["messages"][0]["event_id"] == said
    assert page["roomId"] == site.group_room
    private = "Authentication required to access private group discussions"
    refused(await site.ask(None, "GET", path), 403, private, path)
    bad = {"Authorization": "Bearer no", "X-Tenant-ID": site.ann.tenant.id}
    refused(await site.ask(None, "GET", path, headers=bad), 401, "Invalid token", path)
    refused(await site.ask(None, "GET", path, headers={}), 401, "Tenant ID is required", path)
    nowhere = {"X-Tenant-ID": "nowhere"}
    refused(await site.ask(None, "GET", path, headers=nowhere), 401, "Invalid token", path)
    none = "/chat/group/nothing/messages"
    refused(await site.ask(None, "GET", none), 404, "Group with slug nothing not found", none)
    public = f"open-{secrets.token_hex(3)}"
    room = await site.world.here.group(public, [site.ann], public=True)
    await site.says(site.ann, f"/chat/group/{public}/message", "To members")
    answer = await site.ask(None, "GET", f"/chat/group/{public}/messages", limit="50")
    assert answer == Answer(200, {"messages": [], "end": "", "roomId": room})
    assert (await site.ask(site.eve, "GET", f"/chat/group/{public}/messages")).status == 403


async def test_while_the_homeserver_is_away_a_text_is_one_message(site: Site) -> None:
    path = f"/chat/event/{site.event}/message"
    free = asyncio.Event()
    site.simulated.proxy.rule = held_until(free)
    text = f"Once {secrets.token_hex(4)}"
    answers = await asyncio.gather(
        *(site.ask(site.ann, "POST", path, {"message": text}) for _ in range(3))
    )
    for answer in answers:
        refused(answer, 503, answers[0].body["message"], path)
        assert "will be sent" in answer.body["message"]
    site.simulated.proxy.rule = pass_on
    free.set()
    sent = await site.says(site.ann, path, text)
    assert [one["event_id"] for one in site.said(site.event_room, text)] == [sent]
    # That answered, the same text is another message.
    again = await site.says(site.ann, path, text)
    assert [one["event_id"] for one in site.said(site.event_room, text)] == [sent, again]
    assert await site.says(site.ben, path, text) not in (sent, again)


async def test_a_message_is_one_request_and_in_a_room_that_is_not_encrypted(site: Site) -> None:
    homeserver = site.simulated.homeserver
    before = homeserver.counts.copy()
    for slug in (f"event/{site.event}", f"group/{site.group}"):
        for number in range(3):
            await site.says(
                site.ann, f"/chat/{slug}/message", f"{number} of {secrets.token_hex(4)}"
            )
    asked = homeserver.counts - before
    # No log-in, no token that is tried, no members and powers that are looked at again.
    assert {verb: count for verb, count in asked.items() if verb not in LOOKS} == {"send_event": 6}
    for room_id in (site.event_room, site.group_room):
        assert ("m.room.encryption", "") not in homeserver.rooms.rooms[room_id].state


async def test_people_come_in_and_go_out_by_openmeets_word_only(site: Site) -> None:
    ask, ann, eve, mia = site.ask, site.ann, site.eve, site.mia
    event, group = f"/chat/event/{site.event}", f"/chat/group/{site.group}"
    joined = {"success": True, "message": "Successfully joined event chat room"}
    for path in (
        f"{event}/join",
        f"{event}/members/{ann.slug}",
        f"{event}/members/{site.ben.slug}",
    ):
        answer = await ask(ann, "POST", path, {})
        assert answer == Answer(201, joined | {"roomId": site.event_room})
    answer = await ask(ann, "POST", f"{group}/join")
    text = "Successfully joined group chat room"
    assert answer == Answer(201, {"success": True, "roomId": site.group_room, "message": text})
    assert await ask(ann, "POST", f"{group}/members/{ann.slug}") == Answer(201, "")

    # Nobody comes in whom OpenMeet does not let in, whoever asks.
    no = {"success": False}
    strange = "Could not join chat room: You do not attend this event."
    for path in (f"{event}/join", f"{event}/members/{eve.slug}", f"{event}/members/{ann.slug}"):
        assert await ask(eve, "POST", path, {}) == Answer(201, no | {"message": strange})
    answer = await ask(ann, "POST", f"{event}/members/{eve.slug}", {})
    text = "Could not join chat room: Eve is not a member, by what OpenMeet says."
    assert answer == Answer(201, no | {"message": text})
    answer = await ask(ann, "POST", f"{event}/members/nobody", {})
    assert answer == Answer(201, no | {"message": "User with slug nobody not found"})
    strange = "You are not a member of this group."
    answer = await ask(eve, "POST", f"{group}/join")
    assert answer == Answer(201, no | {"message": f"Could not join chat room: {strange}"})
    for path in (f"{group}/members/{eve.slug}", f"{group}/members/{ann.slug}"):
        refused(await ask(eve, "POST", path), 403, strange, path)
    for kind, word in (("event", "Event"), ("group", "Group")):
        answer = await ask(ann, "POST", f"/chat/{kind}/nowhere/join")
        assert answer == Answer(201, no | {"message": f"{word} with slug nowhere not found"})
    path = f"{group}/members/nobody"
    refused(await ask(ann, "POST", path), 404, "User with slug nobody not found", path)
    assert site.room(site.group_room).membership(eve.mxid) == "leave"

    # Who is a member stays in; who is none is out, and the homeserver follows.
    path = f"{event}/members/{site.ben.slug}"
    only = "Only who moderates this room may remove others from it."
    for user in (ann, eve):
        refused(await ask(user, "DELETE", path), 403, only, path)
    text = "By what OpenMeet says, Ben is a member. End that on OpenMeet; the room follows."
    refused(await ask(mia, "DELETE", path), 409, text, path)
    refused(await ask(site.ben, "DELETE", path), 409, text, path)
    path = f"{group}/members/nobody"
    refused(await ask(mia, "DELETE", path), 404, "User with slug nobody not found", path)
    path = f"/chat/event/nowhere/members/{ann.slug}"
    refused(await ask(ann, "DELETE", path), 404, "Event with slug nowhere not found", path)
    guest = await site.world.here.user("Gus")
    members = f"/groups/{site.group}/members/{guest.slug}"
    await site.world.here.do("PUT", members, {"role": "member"})
    # The room may not have let them in yet: this waits for it.
    assert (await ask(guest, "POST", f"{group}/join")).body["roomId"] == site.group_room
    await site.world.here.do("DELETE", members)
    assert await ask(mia, "DELETE", f"{group}/members/{guest.slug}") == Answer(200, "")
    assert await ask(guest, "DELETE", f"{group}/members/{guest.slug}") == Answer(200, "")
    assert (await ask(guest, "GET", f"{group}/messages")).status == 403
    await site.world.here.settled(f"/groups/{site.group}")
    path = f"/matrix/messages/{site.group_room}"
    refused(await ask(guest, "GET", path), 403, "You are not in this room.", path)


def person(user: User, first: str, last: str = "") -> Json:
    """Somebody as a chat shows them."""
    return {
        "id": user.number,
        "ulid": "",
        "slug": user.slug,
        "email": None,
        "name": user.name,
        "firstName": first,
        "lastName": last,
        "photo": None,
    }


async def test_direct_chats_are_found_or_begun(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, ann, ben, eve = site.ask, site.ann, site.ben, site.eve
    none = await ask(ann, "GET", f"/chat/direct/{ben.number}/messages")
    assert none == Answer(200, {"messages": [], "end": ""})
    assert await ask(ann, "GET", "/chat") == Answer(200, {"chats": [], "chat": None})
    begun = (await ask(ann, "GET", "/chat", user=ben.slug)).body
    chat = begun["chat"]
    assert begun["chats"] == [chat]
    number, ulid, room = chat["id"], chat["ulid"], chat["roomId"]
    assert 0 < number < 1 << 53
    assert ulid.isalnum()
    assert room in (await ann.rooms())
    people = person(ann, "Ann", "Lee"), person(ben, "Ben")
    assert chat == {
        "id": number,
        "ulid": ulid,
        "roomId": room,
        "participants": list(people),
        "participant": people[1],
        "user": people[0],
        "messages": [],
        "unreadCount": 0,
    }
    wrong: list[Json] = [{"user": one} for one in (ann.slug, "nobody", site.zoe.slug)]
    for query in [*wrong, {"chat": "x"}, {"user": "", "chat": ""}]:
        assert (await ask(ann, "GET", "/chat", **query)).body["chat"] is None
    # Whoever is not one of the two has no such chat.
    assert (await ask(eve, "GET", "/chat", chat=ulid)).body == {"chats": [], "chat": None}
    path = f"/chat/{ulid}/message"
    refused(
        await ask(eve, "POST", path, {"message": "Hi"}),
        404,
        f"Chat with ulid {ulid} not found",
        path,
    )
    path = f"/chat/direct/{site.zoe.number}/message"
    text = f"User with id {site.zoe.number} not found"
    refused(await ask(ann, "POST", path, {"message": "Hi"}), 404, text, path)
    answer = await ask(ann, "POST", f"/chat/direct/{ann.number}/message", {"message": "Hi"})
    invalid(answer, "recipientId", "is yourself")

    first = await site.says(ann, f"/chat/direct/{ben.number}/message", "One")
    second = await site.says(ann, f"/chat/{ulid}/message", "Two")
    answer = await ask(ann, "POST", f"/chat/{ulid}/message", {"content": "Three"})
    third = await site.logged(answer.body["id"])
    page = (await ask(ben, "GET", f"/chat/direct/{ann.number}/messages", limit="2")).body
    assert [one["event_id"] for one in page["messages"]] == [third, second]
    assert page["end"]

    async def unread() -> Json:
        (found,) = (await ask(ben, "GET", "/chat")).body["chats"]
        return dict(found)

    found = await unread()
    assert [one["event_id"] for one in found["messages"]] == [first, second, third]
    assert (found["id"], found["ulid"], found["unreadCount"]) == (number, ulid, 3)
    assert (found["participant"], found["user"]) == people
    # What is read: up to the newest of what is named, of rooms that one is in.
    ids = [second, first, 17, "$nothing", 1.5]
    read = await ask(ben, "POST", "/chat/messages/read", {"messages": ids})
    assert read == Answer(201, {"messages": [second, first]})
    found = await unread()
    assert [one["event_id"] for one in found["messages"]] == [third]
    for who in (eve, site.zoe):
        read = await ask(who, "POST", "/chat/messages/read", {"messages": [third]})
        assert read == Answer(201, {"messages": []})
    read = await ask(ben, "POST", "/chat/messages/read", {"messages": []})
    assert read == Answer(201, {"messages": []})
    opened = (await ask(ben, "GET", "/chat", chat=ulid)).body["chat"]
    assert [one["event_id"] for one in opened["messages"]] == [first, second, third]
    assert (await ask(ann, "GET", "/chat", user=ben.slug)).body["chat"]["id"] == number

    # Nobody begins a chat with whom they block, or who blocks them; nor too many.
    await site.world.here.do("PUT", f"/users/{eve.slug}/blocks/{ann.slug}")
    for one, other in ((ann, eve), (eve, ann)):
        assert (await ask(one, "GET", "/chat", user=other.slug)).body["chat"] is None
        path = f"/chat/direct/{other.number}/message"
        refused(
            await ask(one, "POST", path, {"message": "Hi"}),
            403,
            "You cannot write to each other.",
            path,
        )
    # One that is there can be read, and takes no more.
    await site.world.here.do("PUT", f"/users/{ben.slug}/blocks/{ann.slug}")
    await site.world.here.settled(f"/direct-chats/{ann.slug}/{ben.slug}")
    assert (await ask(ann, "GET", "/chat", user=ben.slug)).body["chat"]["ulid"] == ulid
    path = f"/chat/{ulid}/message"
    text = "You may read this room, but not write in it."
    refused(await ask(ann, "POST", path, {"message": "Hi"}), 403, text, path)
    monkeypatch.setattr(direct_chats, "MOST_AN_HOUR", 1)
    answer = await ask(ann, "GET", "/chat", user=site.mia.slug)
    assert answer.status == 429
    assert answer.body["statusCode"] == 429
