"""Subscriptions over real sockets: chosen rooms and frames, at the beginning and while it lasts."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from openmeet_bridge.core.entry import Receipt
from openmeet_bridge.core.ids import EventId, RoomId
from openmeet_bridge.stream import frames

from ..stream.parsers import EventParser
from ..support import streams
from ..support.log_entries import person
from .test_streams_api import LAKE, OTHERS_ROOM, ROOM, House, Opener, at, both, ids, mxid
from .test_streams_api import house as plain_house  # noqa: F401  (what it is made of)

ANN = {"X-User": "ann"}
UNKNOWN = RoomId("!unknown")
TYPES = "timeline,typing"


@pytest.fixture
async def house(plain_house: House) -> House:  # noqa: F811
    """Ann is in both rooms of her tenant."""
    plain_house.log.append(OTHERS_ROOM, mxid("ann"), joined=True)
    await plain_house.says(0)
    return plain_house


class Talk:
    """A WebSocket, and what is said on it."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def next(self) -> dict[str, Any]:
        got: dict[str, Any] = await self.ws.receive_json()
        return got

    async def ask(self, **message: Any) -> dict[str, Any]:
        await self.ws.send_json(message)
        return await self.next()


@contextlib.asynccontextmanager
async def talk(house: House, compress: int = 0, **params: str) -> AsyncIterator[Talk]:
    async with house.http.ws_connect(
        f"{house.url}/api/v1/ws", headers=ANN, params=params, compress=compress
    ) as ws:
        talk = Talk(ws)
        assert (await talk.next())["type"] == "hello"
        yield talk


def tell_of_everything(house: House) -> None:
    """Let be said in both rooms what is not in the log."""
    for room in (ROOM, OTHERS_ROOM):
        house.hub.to_room(room, frames.typing(room, []))
        house.hub.to_room(
            room, frames.receipt(Receipt(room, person("ben"), EventId("$9"), "00", 5))
        )
    house.hub.to_rooms(LAKE, [ROOM, OTHERS_ROOM], frames.presence(person("ben"), "idle", None))


@both
async def test_only_chosen_rooms_and_what_is_ones_own(house: House, opened: Opener) -> None:
    await house.says(2)
    await house.says(2, OTHERS_ROOM)
    await house.says()
    params = {"rooms": f"{OTHERS_ROOM},{UNKNOWN}", "cursor": at(9)}
    async with opened(house.http, house.url, headers=ANN, params=params) as stream:
        await stream.wait("timeline", event_id="$13")  # from memory
        await house.says()
        tell_of_everything(house)
        house.hub.to_user(mxid("ann"), frames.unread(ROOM, "00", 1, 0, marked=False))
        await stream.wait("unread")
        house.log.append(ROOM, mxid("ann"), joined=False)
        await house.says(0)
        await stream.wait("room.removed", room_id=ROOM)
        house.log.append(ROOM, mxid("ann"), joined=True)
        await house.says()
        await house.says(room=OTHERS_ROOM)
        await stream.wait("timeline", event_id="$19")
    assert ids(stream) == ["$12", "$13", "$19"]
    assert [frame.type for frame in stream.frames] == [
        *["hello", "timeline", "timeline", "typing", "receipt", "presence", "unread"],
        *["room.removed", "room.added", "timeline"],
    ]
    params["cursor"] = at(11)  # her coming is part of it, so it is read from the log
    async with opened(house.http, house.url, headers=ANN, params=params) as again:
        await again.wait("timeline", event_id="$19")
    assert ids(again) == ["$12", "$13", "$19"]
    assert [one.data["room_id"] for one in again.of("room.added")] == [ROOM]


@both
async def test_a_room_that_is_wanted_follows_when_one_comes_into_it(
    house: House, opened: Opener
) -> None:
    house.log.append(OTHERS_ROOM, mxid("ann"), joined=False)
    await house.says(0)
    params = {"rooms": OTHERS_ROOM}
    async with opened(house.http, house.url, headers=ANN, params=params) as stream:
        await stream.wait("hello")
        await house.says(room=OTHERS_ROOM)
        house.log.append(OTHERS_ROOM, mxid("ann"), joined=True)
        await house.says(room=OTHERS_ROOM)
        await stream.wait("timeline", event_id="$13")
    types = [frame.type for frame in stream.frames]
    assert types == ["hello", "room.added", "membership", "timeline", "timeline"]


@both
async def test_only_chosen_frames(house: House, opened: Opener) -> None:
    await house.says()
    params = {"types": TYPES, "cursor": at(8)}
    async with opened(house.http, house.url, headers=ANN, params=params) as stream:
        await stream.wait("timeline", event_id="$10")
        tell_of_everything(house)
        house.log.append(ROOM, mxid("ben"), joined=False)
        await house.says()
        await stream.wait("timeline", event_id="$12")
    types = [frame.type for frame in stream.frames]
    assert types == ["hello", *["timeline"] * 2, *["typing"] * 2, *["timeline"] * 2]
    params = {"rooms": "", "types": "", "cursor": at(8)}  # a stream that is there, and no more
    async with opened(house.http, house.url, headers=ANN, params=params) as nothing:
        await nothing.wait("hello")
        await house.says()
        house.hub.to_user(mxid("ann"), frames.heartbeat(frames.cursor_at("0badcafe", 13)))
        await nothing.wait("heartbeat")
    assert [frame.type for frame in nothing.frames] == ["hello", "heartbeat"]
    assert nothing.cursor == at(13)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rooms", "room"),
        ("rooms", "!"),
        ("rooms", "!a b"),
        ("rooms", "!" + "a" * 255),
        ("rooms", ",".join(f"!{n}" for n in range(101))),
        ("types", "timeline,nonsense"),
        ("data", "little"),
        ("people", "none"),
    ],
)
async def test_what_cannot_be_asked_for(house: House, field: str, value: str) -> None:
    for path in ("stream", "ws"):
        url = f"{house.url}/api/v1/{path}"
        async with house.http.get(url, headers=ANN, params={field: value}) as answer:
            body = await answer.json()
        assert (answer.status, body["errcode"]) == (400, "M_INVALID_PARAM")
        assert list(body["fields"]) == [f"query.{field}"]
    assert house.hub.count == 0


async def test_rooms_may_be_named_one_by_one(house: House) -> None:
    params = [("rooms", ROOM), ("rooms", UNKNOWN), ("rooms", OTHERS_ROOM)]
    async with house.http.get(f"{house.url}/api/v1/stream", headers=ANN, params=params) as answer:
        await answer.content.readuntil(b"hello")
        (stream,) = house.hub._users[mxid("ann")]
        assert stream.wanted == frozenset({ROOM, UNKNOWN, OTHERS_ROOM})


# While it lasts


async def test_what_is_wanted_may_change_without_gap_or_double(house: House) -> None:
    async with talk(house, rooms=ROOM) as one:
        await house.says()
        await house.says(room=OTHERS_ROOM)
        assert (await one.next())["data"]["event_id"] == "$10"
        answer = await one.ask(type="subscribe", id="a", rooms=[OTHERS_ROOM, UNKNOWN])
        followed = {"id": "a", "rooms": [OTHERS_ROOM], "types": None}
        assert answer == {"type": "subscribed", "cursor": at(11), "data": followed}
        await house.says()
        await house.says(room=OTHERS_ROOM)
        assert (await one.next())["data"]["event_id"] == "$13"
        answer = await one.ask(type="subscribe", types=["typing"])
        assert answer["data"] == {"id": None, "rooms": [OTHERS_ROOM], "types": ["typing"]}
        await house.says(room=OTHERS_ROOM)
        tell_of_everything(house)
        assert (await one.next())["data"]["room_id"] == OTHERS_ROOM
        answer = await one.ask(type="subscribe", id=3, rooms=None, types=None)
        assert answer["data"] == {"id": 3, "rooms": None, "types": None}
        await house.says()
        await house.says(room=OTHERS_ROOM)
        got = [(await one.next())["data"]["event_id"] for _ in range(2)]
        assert got == ["$15", "$16"]
        answer = await one.ask(type="subscribe", rooms=[])
        assert answer["data"]["rooms"] == []
        await house.says()
        assert (await one.ask(type="ping", id="p")) == {"type": "pong", "data": {"id": "p"}}
    await house.empty()


async def test_a_wish_that_comes_first_is_answered_after_hello(house: House) -> None:
    await house.says(2)
    async with house.http.ws_connect(
        f"{house.url}/api/v1/ws", headers=ANN, params={"cursor": at(9)}
    ) as ws:
        await ws.send_json({"type": "subscribe", "rooms": [OTHERS_ROOM]})
        got = [(await ws.receive_json())["type"] for _ in range(4)]
    assert got == ["hello", "timeline", "timeline", "subscribed"]


@pytest.mark.parametrize(
    ("text", "errcode", "named", "field"),
    [
        ("{", "M_NOT_JSON", None, None),
        ('{"type":"sing","id":"x"}', "M_BAD_JSON", "x", "message.type"),
        ('{"id":7}', "M_BAD_JSON", 7, "message.type"),
        ("[1]", "M_BAD_JSON", None, "message"),
        ('{"type":"ping","more":1}', "M_BAD_JSON", None, "message.more"),
        ('{"type":"subscribe","rooms":"!a"}', "M_BAD_JSON", None, "message.rooms"),
        ('{"type":"subscribe","id":"x","rooms":["a"]}', "M_INVALID_PARAM", "x", "message.rooms"),
        ('{"type":"subscribe","types":["a"]}', "M_INVALID_PARAM", None, "message.types"),
        ('{"type":"subscribe","people":"none"}', "M_BAD_JSON", None, "message.people"),
    ],
)
async def test_what_is_not_understood_is_answered(
    house: House, text: str, errcode: str, named: Any, field: str | None
) -> None:
    async with talk(house) as one:
        await one.ws.send_str(text)
        answer = await one.next()
        assert answer["type"] == "error"
        assert (answer["data"]["errcode"], answer["data"].get("id")) == (errcode, named)
        assert list(answer["data"].get("fields", ())) == ([field] if field else [])
        assert (await one.ask(type="ping"))["type"] == "pong"


async def test_what_cannot_be_found_out_changes_nothing(house: House) -> None:
    async with talk(house, rooms=OTHERS_ROOM) as one:
        house.away = True
        answer = await one.ask(type="subscribe", id="x", rooms=None)
        assert (answer["type"], answer["data"]["id"]) == ("error", "x")
        answer = await one.ask(type="subscribe", types=None)
        assert answer["data"]["rooms"] == [OTHERS_ROOM]  # for that nothing has to be found out


async def test_who_says_too_much_is_sent_away(house: House) -> None:
    async with talk(house) as one:
        for _ in range(50):
            await one.ws.send_json({"type": "ping"})
        got = [await one.ws.receive() for _ in range(50)]
        texts = [one.json()["type"] for one in got if one.type is WSMsgType.TEXT]
        assert texts[-1] == "bye"
        (end,) = [one for one in got if one.type is WSMsgType.CLOSE]
        assert end.data == 4011
    await house.empty()


# People


@both
async def test_people_by_reference(house: House, opened: Opener) -> None:
    params = {"people": "ref", "types": "timeline", "cursor": at(9)}
    await house.says()
    async with opened(house.http, house.url, headers=ANN, params=params) as stream:
        await stream.wait("timeline", event_id="$10")  # from memory
        tell_of_everything(house)
        await house.says(2)
        await stream.wait("timeline", event_id="$12")
    some = ["people", "timeline"]
    assert [frame.type for frame in stream.frames] == ["hello", *some, *some, "timeline"]
    (someone,) = stream.of("people")[0].data["people"]
    assert someone == stream.of("people")[1].data["people"][0]
    assert someone["name"] == "Someone"
    assert all(one["sender"] == {"mxid": someone["mxid"]} for one in stream.entries())
    assert stream.of("hello")[0].data["user"]["name"] == "Ann"


async def test_people_otherwise_from_now_on(house: House) -> None:
    async with talk(house, compress=15, data="low") as one:
        answer = await one.ask(type="subscribe", people="ref")
        assert answer["data"]["people"] == "ref"
        for expected in (["people", "timeline"], ["timeline"]):
            await house.says()
            got = [await one.next() for _ in expected]
            assert [frame["type"] for frame in got] == expected
            assert got[-1]["data"]["sender"] == {"mxid": "@someone:test"}
        assert (await one.ask(type="subscribe", rooms=None))["data"]["people"] == "ref"
        assert "people" not in (await one.ask(type="subscribe", people=None))["data"]
        await house.says()
        assert (await one.next())["data"]["sender"]["name"] == "Someone"


# Low data


@both
async def test_low_data_leaves_out_what_passes(house: House, opened: Opener) -> None:
    async with opened(house.http, house.url, headers=ANN, params={"data": "low"}) as stream:
        await stream.wait("hello")
        tell_of_everything(house)
        await house.says()
        await stream.wait("timeline", event_id="$10")
    assert [frame.type for frame in stream.frames] == ["hello", "timeline"]
    params = {"data": "low", "types": "typing"}
    async with opened(house.http, house.url, headers=ANN, params=params) as asked:
        await asked.wait("hello")
        tell_of_everything(house)
        await asked.wait("typing", room_id=ROOM)


async def test_low_data_is_compressed_for_who_understands(house: House) -> None:
    url = f"{house.url}/api/v1/stream"
    async with aiohttp.ClientSession(auto_decompress=False) as plain:
        for asked, answered in [("gzip;q=0", None), ("br", None), ("br, gzip;q=0.5", "gzip")]:
            headers = {**ANN, "Accept-Encoding": asked}
            async with plain.get(url, headers=headers, params={"data": "low"}) as answer:
                assert answer.headers.get("Content-Encoding") == answered
        async with plain.get(
            url, headers={**ANN, "Accept-Encoding": "gzip"}, params={"data": "low"}
        ) as answer:
            reader, parser, got = zlib.decompressobj(31), EventParser(), []
            await house.says()
            while "timeline" not in got:
                text = reader.decompress(await answer.content.readany())
                got += [frame.type for frame in parser.feed(text)]
            assert (got, parser.retry) == (["hello", "timeline"], 2000)


async def test_low_data_on_a_socket_is_compressed_both_ways(house: House) -> None:
    async with talk(house, compress=15, data="low") as one:
        assert one.ws.compress
        answer = await one.ask(type="subscribe", rooms=[ROOM])
        types = ["membership", "room.added", "room.removed", "send.failed", "timeline"]
        types += ["timeline.changed", "unread"]
        assert answer["data"] == {"id": None, "rooms": [ROOM], "types": types}
        await house.says()
        assert (await one.next())["data"]["event_id"] == "$10"


async def test_full_data_is_not_compressed(house: House) -> None:
    async with streams.sse(house.http, house.url, headers=ANN) as stream:
        await stream.wait("hello")  # the session offers gzip
    async with talk(house, compress=15) as one:
        assert not one.ws.compress  # it would be done for every reader
