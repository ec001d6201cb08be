"""Which messages OpenMeet is told of, and what it is told."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from openmeet_bridge.bridge.ingest import Ingest
from openmeet_bridge.bridge.webhook_bodies import WebhookBodies
from openmeet_bridge.bridge.webhook_collector import WebhookCollector
from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.core.events import Event
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId
from openmeet_bridge.core.webhooks import MESSAGE_CREATED, Endpoint
from openmeet_bridge.storage import told_messages, webhooks
from openmeet_bridge.storage.webhooks import Delivery
from openmeet_bridge.stream.bus import LocalBus

from ..support.house import LAKE, NAMING, ROOM, SEA, House, house_at

ZOE = Mxid("@zoe:elsewhere.org")
ENDPOINT = Endpoint(LAKE, "https://meet.example.org/hook", "a secret", frozenset([MESSAGE_CREATED]))


class Told:
    """A house, and what OpenMeet is told of the talk in it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.online: set[Mxid] = set()
        self.woken = 0

    async def collector(
        self, *tenants: TenantId, batch: int = 500, began: bool = True
    ) -> WebhookCollector:
        collector = WebhookCollector(
            self.house.database, LocalBus(), NAMING.bot, tenants, self._wake, batch=batch
        )
        if began:
            await collector.begin()
        return collector

    def _wake(self) -> None:
        self.woken += 1

    async def noted(self) -> list[EventId]:
        async with self.house.database.connection() as connection:
            rows = await connection.fetch("SELECT message FROM webhook_event ORDER BY id")
        return [row["message"] for row in rows]

    async def bodies(self) -> list[dict[str, Any] | None]:
        """Return the data of all that is told now, once."""
        makes = WebhookBodies(self.house.database, self.online.__contains__)
        async with self.house.database.connection() as connection:
            await webhooks.spread(connection, [ENDPOINT], 100)
            taken = await webhooks.take(connection, {(LAKE, ENDPOINT.url): 100}, 60)
        return [await self._data(makes, delivery) for delivery in taken]

    async def _data(self, makes: WebhookBodies, delivery: Delivery) -> dict[str, Any] | None:
        body = await makes.of(delivery)
        if body is None:
            return None
        decoded = msgspec.json.decode(body)
        assert decoded["type"] == MESSAGE_CREATED
        data: dict[str, Any] = decoded["data"]
        return data


@pytest.fixture
async def told(database_url: str) -> AsyncIterator[Told]:
    async with house_at(database_url) as house:
        house.began = int(time.time() * 1000)
        yield Told(house)


def text(body: str, **more: object) -> dict[str, object]:
    return {"msgtype": "m.text", "body": body, **more}


async def test_what_is_told_of_a_message(told: Told) -> None:
    house = told.house
    people = [await house.user(name) for name in ("ann", "ben", "cem", "dot")]
    ann, ben, _, dot = people
    await house.room(*people, ZOE)
    await house.member(dot, "leave")
    collector = await told.collector(LAKE)
    event_id = await house.sends(ann, text("x" * 1001, **{"m.mentions": {"user_ids": [ben]}}))
    assert await collector.step() is False
    assert (await told.noted(), told.woken) == ([event_id], 1)
    told.online = {ben}
    (data,) = await told.bodies()
    assert data is not None
    assert abs(data.pop("timestamp") - house.began) < 1000
    assert data == {
        "tenant": LAKE,
        "portal": {"kind": "group", "slug": "hikers", "name": "Hikers", "url": None},
        "room_id": ROOM,
        "event_id": event_id,
        "sender": {"slug": "ann", "name": "Ann", "mxid": ann},
        "msgtype": "m.text",
        "body": "x" * 1000,
        "recipients": [
            {"slug": "ben", "online": True, "mentioned": True},
            {"slug": "cem", "online": False, "mentioned": False},
        ],
        "recipients_complete": True,
    }


async def test_somebody_of_matrix_who_is_called_by_an_address(told: Told) -> None:
    house = told.house
    await house.room(await house.user("ann"))
    await house.state(
        ZOE, "m.room.member", ZOE, {"membership": "join", "displayname": "zoe@elsewhere.org"}
    )
    collector = await told.collector(LAKE)
    await house.sends(ZOE, {"msgtype": 7, "body": ["no text"]})
    await collector.step()
    (data,) = await told.bodies()
    assert data is not None
    assert data["sender"] == {"slug": None, "name": "OpenMeet user", "mxid": ZOE}
    assert (data["msgtype"], data["body"]) == (None, "This message has no text.")
    assert data["recipients"] == [{"slug": "ann", "online": False, "mentioned": False}]


async def test_who_is_barred_or_blocks_the_sender_is_not_told(told: Told) -> None:
    house = told.house
    people = [await house.user(name) for name in ("ann", "ben", "cem", "dot")]
    await house.room(*people)
    collector = await told.collector(LAKE)
    await house.sends(people[0], text("hello"))
    await collector.step()
    async with house.database.connection() as connection:
        await connection.execute(
            "INSERT INTO directory_block (tenant, blocker, blocked) VALUES ($1, 'ben', 'ann')", LAKE
        )
        await connection.execute("UPDATE room_member SET barred = true WHERE mxid = $1", people[2])
    (data,) = await told.bodies()
    assert data is not None
    assert [one["slug"] for one in data["recipients"]] == ["dot"]


async def test_what_is_no_news(told: Told) -> None:
    house = told.house
    ann = await house.user("ann")
    await house.room(ann)
    other = await house.room(ann, room_id=RoomId("!sea"), tenant=SEA, slug="divers")
    before = await house.sends(ann, text("before OpenMeet wanted to know"))
    collector = await told.collector(LAKE)
    first = await house.sends(ann, text("first"))
    edit = {"rel_type": "m.replace", "event_id": first}
    await house.sends(ann, text("* edited", **{"m.relates_to": edit, "m.new_content": text("e")}))
    await house.sends(ann, {"m.relates_to": {"rel_type": "m.annotation"}}, kind="m.reaction")
    await house.sends(ann, {"msgtype": "m.notice", "body": "a machine speaks"})
    await house.sends(NAMING.bot, text("the bot speaks"))
    await house.sends(ann, text("of another tenant"), other)
    gone = await house.sends(ann, text("a mistake"))
    await house.sends(ann, {"redacts": gone}, kind="m.room.redaction")
    last = await house.sends(ann, text("last"))
    await collector.step()
    assert await told.noted() == [first, last]
    assert before not in await told.noted()


async def test_a_message_that_is_redacted_before_it_is_told(told: Told) -> None:
    house = told.house
    ann = await house.user("ann")
    await house.room(ann)
    collector = await told.collector(LAKE)
    event_id = await house.sends(ann, text("a mistake"))
    await collector.step()
    await house.sends(ann, {"redacts": event_id}, kind="m.room.redaction")
    assert await told.bodies() == [None]


async def test_the_body_is_what_is_shown(told: Told) -> None:
    house = told.house
    ann = await house.user("ann")
    await house.room(ann)
    collector = await told.collector(LAKE)
    answer = {"m.in_reply_to": {"event_id": "$other"}}
    copied = "> <@zoe:elsewhere.org> when?\n\nat nine"
    await house.sends(ann, text(copied, **{"m.relates_to": answer}))
    spoiler = "<span data-mx-spoiler>the butler</span>"
    rich = {"format": "org.matrix.custom.html", "formatted_body": f"it was {spoiler}"}
    await house.sends(ann, text("it was the butler", **rich))
    edited = await house.sends(ann, text("at nien"))
    relation = {"rel_type": "m.replace", "event_id": edited}
    new = {"m.new_content": text("at nine, sorry"), "m.relates_to": relation}
    await house.sends(ann, text("* at nine, sorry", **new))
    await house.sends(ann, {}, kind="m.room.encrypted")
    await collector.step()
    assert [data["body"] for data in await told.bodies() if data] == [
        "at nine",
        "it was ▒▒▒▒",
        "at nine, sorry",
        "This message is encrypted and cannot be shown here.",
    ]


async def test_a_portal_that_is_gone(told: Told) -> None:
    house = told.house
    ann = await house.user("ann")
    await house.room(ann)
    collector = await told.collector(LAKE)
    await house.sends(ann, text("hello"))
    await collector.step()
    async with house.database.connection() as connection:
        await connection.execute("DELETE FROM portal")
    assert await told.bodies() == [None]


async def test_more_people_than_are_named(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openmeet_bridge.bridge.webhook_bodies.MOST_RECIPIENTS", 2)
    house = told.house
    people = [await house.user(name) for name in ("ann", "ben", "cem", "dot")]
    await house.room(*people)
    collector = await told.collector(LAKE)
    await house.sends(people[0], text("hello"))
    await collector.step()
    (data,) = await told.bodies()
    assert data is not None
    assert [one["slug"] for one in data["recipients"]] == ["ben", "cem"]
    assert data["recipients_complete"] is False


async def test_it_goes_on_where_it_was_and_notes_nothing_twice(told: Told) -> None:
    house = told.house
    ann = await house.user("ann")
    await house.room(ann)
    await told.collector(LAKE)  # its life ends before it has read anything
    said = await house.says(ann, 5)
    collector = await told.collector(LAKE, batch=2)
    assert await collector.step() is True
    assert await told.noted() == said[:2]
    collector = await told.collector(LAKE, batch=2)
    while await collector.step():
        pass
    assert await told.noted() == said
    async with house.database.connection() as connection:
        await connection.execute("UPDATE webhook_mark SET position = 0")
    collector = await told.collector(LAKE)
    await collector.step()
    assert await told.noted() == said


async def test_who_stops_wanting_messages_begins_anew_at_the_end(told: Told) -> None:
    house = told.house
    ann = await house.user("ann")
    await house.room(ann)
    await told.collector(LAKE)
    await house.says(ann, 1)
    await told.collector()
    collector = await told.collector(LAKE, SEA)
    (event_id,) = await house.says(ann, 1)
    await collector.step()
    assert await told.noted() == [event_id]


async def test_a_tenant_that_comes_later_is_not_told_what_was_before(told: Told) -> None:
    house = told.house
    ann = await house.user("ann")
    await house.room(ann)
    diver = await house.user("dia", tenant=SEA)
    sea = await house.room(diver, room_id=RoomId("!sea"), tenant=SEA, slug="divers")
    await told.collector(LAKE)
    of_lake = await house.says(ann, 1)
    await house.says(diver, 1, sea)
    collector = await told.collector(LAKE, SEA)
    after = await house.says(diver, 1, sea)
    await collector.step()
    assert await told.noted() == of_lake + after


async def test_old_messages_are_no_news(told: Told) -> None:
    house = told.house
    ann = await house.user("ann")
    await house.room(ann)
    collector = await told.collector(LAKE)
    now, hour = house.began, 3_600_000
    house.began = now - 25 * hour
    await house.says(ann, 1)
    house.began = now - 2 * hour
    (late,) = await house.says(ann, 1)
    ingest = Ingest(house.database, NAMING, lambda *_: None, lambda _: None)
    span = [
        Event(
            event_id=EventId(f"$found{age}"),
            room_id=ROOM,
            type="m.room.message",
            sender=ann,
            origin_server_ts=now - age * hour,
            content=msgspec.Raw(msgspec.json.encode(text("found"))),
        )
        for age in (2, 0)
    ]
    await ingest.repair(ROOM, span, Position(10**6))
    await collector.step()
    assert await told.noted() == [late, "$found0"]


async def test_it_follows_the_log_also_when_the_database_goes_away(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, bus = told.house, LocalBus()
    ann = await house.user("ann")
    await house.room(ann)
    found = asyncio.Event()
    collector = WebhookCollector(house.database, bus, NAMING.bot, [LAKE], found.set)
    began, read, tries = asyncio.Event(), told_messages.said_after, itertools.count()

    async def unlucky(*arguments: Any, **more: Any) -> Any:
        began.set()
        if next(tries) == 1:
            raise Unavailable("The database is away.")
        return await read(*arguments, **more)

    monkeypatch.setattr(told_messages, "said_after", unlucky)
    follows = asyncio.create_task(collector.run())
    await began.wait()
    said = await house.says(ann, 3)
    bus.grown(house.grown[-1])
    async with asyncio.timeout(30):
        await found.wait()
    assert await told.noted() == said
    follows.cancel()
    await asyncio.wait([follows])


async def test_the_kept_position_follows_when_there_is_nothing_to_note(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmeet_bridge.bridge.webhook_collector._STRIDE", 3)
    house = told.house
    ann = await house.user("ann")
    await house.room(ann)
    collector = await told.collector(LAKE)

    async def mark() -> int:
        async with house.database.connection() as connection:
            position: int = await connection.fetchval("SELECT position FROM webhook_mark")
        return position

    began = await mark()
    for _ in range(2):
        await house.sends(ann, {}, kind="m.reaction")
        await collector.step()
    assert await mark() == began
    await house.sends(ann, {}, kind="m.reaction")
    await collector.step()
    assert await mark() == began + 3
    assert told.woken == 0
