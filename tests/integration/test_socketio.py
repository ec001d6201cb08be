"""Socket.IO of a running bridge, as OpenMeet's web app uses it: who, where, and which answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from openmeet_bridge.openmeet.signing import sign

from ..support.bridge import HERE, THERE
from ..support.databases import Databases
from ..support.openmeet import User
from ..support.simulated_world import simulated_world
from ..support.tab import Tab, tab_at
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAYS = [["websocket"], ["polling"], ["polling", "websocket"]]
DONE = {"success": True}
HIKERS, WALK = "hikers", "walk"


@dataclass
class Town:
    """A bridge with a group and a meetup of Ann and Ben, and a group of another tenant's Cleo.

    Attributes:
        eve: Ann's and Ben's neighbour, who is nowhere.
    """

    world: World
    ann: User
    ben: User
    eve: User
    cleo: User
    group: str
    meetup: str
    abroad: str

    def tab(
        self, user: User, ways: Sequence[str] = ("websocket",), **more: str
    ) -> AbstractAsyncContextManager[Tab]:
        """A tab of somebody."""
        token = user.headers()["Authorization"]
        return self.at({"token": token, "tenantId": user.tenant.id, **more}, ways)

    def at(
        self,
        auth: Mapping[str, str] | None,
        ways: Sequence[str] = ("websocket",),
        headers: Mapping[str, str] = {},
        query: str = "",
    ) -> AbstractAsyncContextManager[Tab]:
        """A tab of whoever it says."""
        return tab_at(self.world.settings.api_url + query, auth, ways, headers)

    async def members(self, change: str, user: User) -> None:
        """Lets somebody come into the group, or go."""
        path = f"/groups/{HIKERS}"
        body = {"role": "member"} if change == "PUT" else None
        await self.world.here.do(change, f"{path}/members/{user.slug}", body)
        await self.world.here.settled(path)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    folder, limits = tmp_path_factory.mktemp("town"), {"send_wait": 5}
    async with AsyncExitStack() as after:
        async with (
            simulated_world(folder, databases.create(), limits=limits) as simulated,
            connected(simulated.settings, simulated.homeserver.url) as world,
        ):
            town = await founded(world)
            yield town
            tabs = [await after.enter_async_context(town.tab(town.ann, way)) for way in WAYS]
        # The bridge has ended: whoever was there is told by the transport, and will come back.
        async with asyncio.timeout(60):
            await asyncio.gather(*(tab.ended.wait() for tab in tabs))


async def founded(world: World) -> Town:
    ann, ben, eve = [await world.here.user(name) for name in ("Ann", "Ben", "Eve")]
    await world.there.do("PUT", f"/users/{ann.slug}", {"id": ann.number, "name": "Cleo"})
    cleo = User(world.session, world.settings, THERE, ann.number, ann.slug, "Cleo")
    rooms = [
        await world.here.group(HIKERS, [ann, ben]),
        await world.here.group(WALK, [], kind="meetups"),
        await world.there.group(HIKERS, [cleo]),
    ]
    attends = {"role": "participant", "status": "confirmed"}
    for one in (ann, ben):
        await world.here.do("PUT", f"/meetups/{WALK}/members/{one.slug}", attends)
    await world.here.settled(f"/meetups/{WALK}")
    return Town(world, ann, ben, eve, cleo, *rooms)


def signed(secret: str, tenant: str, number: int, slug: str, lifetime: float = 60.0) -> str:
    now = time.time() - 3600 if lifetime < 0 else time.time()
    return "Bearer " + sign(secret, tenant, number, slug, now, abs(lifetime))  # type: ignore[arg-type]


async def test_who_is_refused_is_told_why_in_the_words_that_the_app_knows(town: Town) -> None:
    ann, tenant = town.ann, {"tenantId": HERE.id}
    good = ann.headers()["Authorization"]
    said: list[tuple[dict[str, str] | None, str]] = [
        (None, "Authentication error - no token provided"),
        (tenant | {"token": ""}, "Authentication error - no token provided"),
        (tenant | {"token": "Bearer "}, "Authentication error - no token provided"),
        (tenant | {"token": "nonsense"}, "Invalid authentication token"),
        (tenant | {"token": good[:-3] + "AAA"}, "Invalid authentication token"),
        (
            tenant | {"token": signed(HERE.secret, HERE.id, ann.number, ann.slug, -60)},
            "Invalid authentication token",
        ),
        ({"token": good, "tenantId": THERE.id}, "Invalid authentication token"),
        ({"token": good, "tenantId": "default"}, "Invalid authentication token"),
        (tenant | {"token": signed(HERE.secret, HERE.id, 987_654, "nobody")}, "User not found"),
    ]
    for auth, why in said:
        async with town.at(auth) as tab:
            assert tab.refusal == why, auth
            assert not {"tenant", "authorization"} & set(why.lower().split())
            assert tab.got == []


async def test_who_somebody_is_may_be_said_in_three_places(town: Town) -> None:
    headers = town.ann.headers()
    token = headers["Authorization"].removeprefix("Bearer ")
    query = f"/?token={token}&tenantId={HERE.id}"
    for tab in (
        town.at({"token": token, "tenantId": HERE.id}, ["polling"]),
        town.at(None, ["polling"], headers),
        town.at(None, ["websocket"], query=query),
        town.at({"token": token}, headers={"X-Tenant-Id": HERE.id}),
    ):
        async with tab as one:
            assert one.refusal is None
            (confirmed,) = one.of("connection_confirmed")
            assert confirmed["matrixUserId"] == town.ann.mxid
            assert confirmed["hasMatrixCredentials"] is True


@pytest.mark.parametrize("way", WAYS, ids=["websocket", "polling", "upgrade"])
async def test_a_message_comes_once_to_each_tab_in_both_forms(town: Town, way: list[str]) -> None:
    own_id = f"{way}/1"
    async with (
        town.tab(town.ann, way) as ann,
        town.tab(town.ann) as other,
        town.tab(town.ben, way) as ben,
    ):
        sent = await ann.call("message", {"roomId": town.group, "message": "Hi <b>"})
        assert sent == DONE | {"id": sent["id"]}
        for tab in (ann, other, ben):
            message = await tab.message(sent["id"])
            twin = next(data for name, data in tab.got if name == "matrix-message")
            assert twin == {
                "roomId": town.group,
                "sender": town.ann.mxid,
                "content": {"msgtype": "m.text", "body": "Hi &lt;b>"},
                "eventId": sent["id"],
                "timestamp": message["timestamp"],
                "_broadcastId": message["_broadcastId"],
            }
            assert twin.items() <= message.items()
            assert message["sender_name"] == "Ann"
        own = await ann.call("send-message", {"roomId": HIKERS, "message": "2", "txnId": own_id})
        again = await other.call(
            "send-message", {"roomId": town.group, "message": "2", "_clientMsgId": own_id}
        )
        assert own["messageId"] == again["messageId"]
        assert set(own) == {"success", "messageId", "timestamp"}
        for tab in (ann, other, ben):
            await tab.message(own["messageId"])
            assert tab.ids() == tab.ids("matrix-message") == [sent["id"], own["messageId"]]
        confirmations = [data for name, data in ann.got if name == "message-sent"]
        assert [one["messageId"] for one in confirmations] == [sent["id"], own["messageId"]]
        assert [one["roomId"] for one in ann.of("message-sent")] == [town.group] * 2
        assert not ben.of("message-sent")


async def test_rooms_are_joined_left_and_named_in_all_the_ways_of_the_app(town: Town) -> None:
    rooms = [{"id": town.group, "name": "Hikers"}, {"id": town.meetup, "name": "Walk"}]
    async with town.tab(town.ann) as ann, town.tab(town.ben) as ben:
        for own in (town.ann.mxid, town.ann.slug):
            answer = await ann.call("join-user-rooms", {"userId": own, "tenantId": HERE.id})
            assert answer == DONE | {"roomCount": 2, "rooms": rooms}
        refused = await ann.call("join-user-rooms", {"userId": town.ben.mxid})
        why = "Error joining rooms: Can only join your own rooms"
        assert refused == {"success": False, "error": why, "roomCount": 0, "rooms": []}
        assert await ann.call("leave-room", {"roomId": town.group}) == DONE
        for name in (town.group, HIKERS, WALK, f"!event_{WALK}:localhost", town.meetup):
            assert await ann.call("typing", {"roomId": name, "isTyping": False}) == DONE
        sent = [
            (await ben.call("message", {"roomId": room, "message": f"to {room}"}))["id"]
            for room in (town.group, town.meetup)
        ]
        await ann.message(sent[1])
        assert ann.ids() == sent[1:]
        for event, name in (("join-room", HIKERS), ("leave-room", HIKERS)):
            assert await ann.call(event, {"roomId": name}) == DONE
        answer = await ann.call("subscribe", {"roomId": town.group})
        assert answer | {"timestamp": 0} == DONE | {
            "roomId": town.group,
            "subscribed": True,
            "timestamp": 0,
        }
        answer = await ann.call("subscribe-room", {"roomId": WALK})
        assert (answer["subscribed"], answer["roomId"]) == (True, WALK)
        confirmed = [data for name, data in ann.got if name == "subscription_confirmed"]
        assert [one["roomId"] for one in (*confirmed, *ann.of("room_subscribed"))] == [
            town.group,
            WALK,
        ]
        after = (await ben.call("message", {"roomId": town.group, "message": "again"}))["id"]
        await ann.message(after)
        assert ann.ids() == [sent[1], after]
        # After it has come again, a client is in all rooms without asking for any.
        assert await ann.call("leave-room", {"roomId": town.group}) == DONE
    async with town.tab(town.ann) as ann, town.tab(town.ben) as ben:
        last = (await ben.call("message", {"roomId": town.group, "message": "last"}))["id"]
        await ann.message(last)
        cursor = ann.got[0][1]["_cursor"]
    async with town.tab(town.ann, cursor=cursor) as ann:
        assert (await ann.message(last))["content"]["body"] == "last"


async def test_who_types_is_shown_once(town: Town) -> None:
    async with town.tab(town.ann, ["polling"]) as ann, town.tab(town.ben) as ben:
        for answer in ({}, {"cached": True}):
            said = await ann.call("typing", {"roomId": HIKERS, "isTyping": True})
            assert said == DONE | answer
        await ben.until(lambda: bool(ben.of("m.typing")))
        assert await ann.call("typing", {"roomId": HIKERS, "isTyping": False}) == DONE
        await ben.until(lambda: len(ben.of("m.typing")) == 2)
        began, ended = ben.of("m.typing")
        assert began["typing"] == began["user_ids"] == began["content"]["user_ids"]
        assert (began["typing"], began["room_id"]) == ([town.ann.mxid], town.group)
        assert (ended["typing"], ended["user_ids"]) == ([], [])


async def test_nobody_gets_into_a_room_that_is_not_theirs(town: Town) -> None:
    foreign = {"roomId": town.abroad}
    async with town.tab(town.cleo) as cleo, town.tab(town.ann) as ann, town.tab(town.eve) as eve:
        for tab, wish in ((ann, foreign), (eve, {"roomId": town.group}), (eve, {"roomId": HIKERS})):
            for event, more in (
                ("join-room", {}),
                ("subscribe", {}),
                ("subscribe-room", {}),
                ("leave-room", {}),
                ("typing", {"isTyping": True}),
                ("message", {"message": "let me in"}),
                ("send-message", {"message": "let me in"}),
            ):
                if (tab, event) == (ann, "leave-room"):
                    continue
                answer = await tab.call(event, wish | more)
                assert answer["success"] is False
                assert answer["error"].endswith(": You are in no such room."), answer
        assert (await eve.call("join-user-rooms", {}))["rooms"] == []
        sent = await cleo.call("message", {"roomId": HIKERS, "message": "abroad"})
        assert (await cleo.message(sent["id"]))["room_id"] == town.abroad
        at_home = await ann.call("message", {"roomId": HIKERS, "message": "at home"})
        await ann.message(at_home["id"])
        assert ann.ids() == [at_home["id"]]
        assert cleo.ids() == [sent["id"]]
        assert eve.types() == ["connection_confirmed"]


async def test_who_comes_gets_everything_and_who_is_sent_away_nothing(town: Town) -> None:
    async with town.tab(town.eve) as eve, town.tab(town.ann) as ann:
        await town.members("PUT", town.eve)
        await eve.until(lambda: bool(eve.of("m.room.member")))
        joined = eve.of("m.room.member")[-1]
        assert (joined["sender"], joined["room_id"]) == (town.eve.mxid, town.group)
        assert joined["content"]["membership"] == "join"
        first = (await ann.call("message", {"roomId": HIKERS, "message": "welcome"}))["id"]
        await eve.message(first)
        assert (await eve.call("join-room", {"roomId": HIKERS})) == DONE
        await town.members("DELETE", town.eve)
        await eve.until(lambda: eve.of("m.room.member")[-1]["content"]["membership"] == "leave")
        second = (await ann.call("message", {"roomId": HIKERS, "message": "and gone"}))["id"]
        await ann.message(second)
        assert (await eve.call("join-room", {"roomId": town.group}))["success"] is False
        third = (await ann.call("message", {"roomId": HIKERS, "message": "still gone"}))["id"]
        await ann.message(third)
        assert eve.ids("matrix-message") == [first]


async def test_whatever_is_sent_is_answered_and_nothing_breaks(town: Town) -> None:
    wrong: list[tuple[str, Any]] = [
        ("join-room", None),
        ("join-room", "!room"),
        ("join-room", {"roomId": 1}),
        ("join-room", {"roomId": ""}),
        ("join-room", {"roomId": "x" * 300}),
        ("join-room", {"roomId": "\0"}),
        ("join-room", {"roomId": "\ud800"}),
        ("leave-room", {"roomId": "\0"}),
        ("typing", {"roomId": HIKERS}),
        ("typing", {"roomId": HIKERS, "isTyping": "yes"}),
        ("message", {"roomId": HIKERS}),
        ("message", {"roomId": HIKERS, "message": " "}),
        ("message", {"roomId": HIKERS, "message": "x" * 40_000}),
        ("message", {"roomId": HIKERS, "message": "x", "txnId": {}}),
        ("join-user-rooms", []),
        ("test-broadcast", {"roomId": HIKERS}),
        ("connect", {}),
        ("disconnect", {}),
    ]
    async with town.tab(town.ann) as ann:
        for event, payload in wrong:
            answer = await ann.call(event, payload)
            assert answer["success"] is False, (event, payload, answer)
            assert isinstance(answer["error"], str)
        assert ann.ids() == []
        many = [ann.call("typing", {"roomId": WALK, "isTyping": n % 2 == 0}) for n in range(100)]
        answers = await asyncio.gather(*many)
        refused = [one for one in answers if not one["success"]]
        assert {one["error"] for one in refused} == {
            "Error processing typing event: Too many requests, try again later"
        }
        assert 0 < len(refused) < 100

        async def calm() -> bool:
            return (await ann.call("join-room", {"roomId": WALK})) == DONE

        await eventually(calm, "there is time again")
