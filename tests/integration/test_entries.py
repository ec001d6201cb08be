"""Single entries, what they said before, and who reacted: only for those who may read them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from openmeet_bridge.bridge import entries as entries_module
from openmeet_bridge.bridge.entries import Entries
from openmeet_bridge.bridge.timeline import Timeline
from openmeet_bridge.core.errors import NotFound
from openmeet_bridge.core.ids import EventId, Mxid, RoomId, TenantId

from ..support.history import Untouched
from ..support.house import LAKE, ROOM, SEA, House, ghost, house_at

ANN, BEN, CLEO = ghost("ann"), ghost("ben"), ghost("cleo")
OTHER = RoomId("!other")


class World:
    """Ann and Ben in a room."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.entries = Entries(house.database, Timeline(house.database, Untouched(house.database)))

    async def edit(self, sender: Mxid, target: EventId, text: str) -> EventId:
        new = {"msgtype": "m.text", "body": text}
        about = {"rel_type": "m.replace", "event_id": target}
        return await self.house.sends(
            sender, {"msgtype": "m.text", "body": f"* {text}", "m.new_content": new, **_to(about)}
        )

    async def react(self, sender: Mxid, target: EventId, key: str) -> EventId:
        about = {"rel_type": "m.annotation", "event_id": target, "key": key}
        return await self.house.sends(sender, _to(about), kind="m.reaction")

    async def delete(self, sender: Mxid, target: EventId, reason: str) -> EventId:
        content = {"redacts": target, "reason": reason}
        return await self.house.sends(sender, content, kind="m.room.redaction")

    async def versions(self, event_id: EventId) -> list[tuple[str, str]]:
        found = await self.entries.versions(LAKE, BEN, ROOM, event_id)
        return [(one.event_id, one.text) for one in found]

    async def reactions(self, event_id: EventId) -> list[tuple[str, int, list[str]]]:
        found = await self.entries.reactions(LAKE, BEN, ROOM, event_id)
        return [(one.key, one.count, [who.name for who in one.people]) for one in found]


def _to(about: dict[str, Any]) -> dict[str, Any]:
    return {"m.relates_to": about}


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with house_at(database_url) as house:
        for slug in ("ann", "ben"):
            await house.user(slug)
        await house.room(ANN, BEN)
        yield World(house)


async def test_an_entry_what_it_said_and_who_reacted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (said, other) = await world.house.says(ANN, 2)
    first = await world.edit(ANN, said, "one")
    await world.edit(BEN, said, "not his")
    second = await world.edit(ANN, said, "two")
    third = await world.edit(ANN, said, "three")
    for who, key in ((BEN, "+"), (ANN, "-"), (ANN, "+"), (BEN, "+")):
        await world.react(who, said, key)
    assert await world.versions(said) == [
        (said, "0"), (first, "one"), (second, "two"), (third, "three")
    ]  # fmt: skip
    assert await world.reactions(said) == [("+", 2, ["Ben", "Ann"]), ("-", 1, ["Ann"])]
    entry = await world.entries.entry(LAKE, BEN, ROOM, said)
    assert (entry.text, entry.edited and entry.edited.count) == ("three", 3)
    await world.delete(ANN, second, "a slip")
    monkeypatch.setattr(entries_module, "MOST_VERSIONS", 2)
    assert await world.versions(said) == [(said, "0"), (third, "three")]
    assert await world.versions(other) == [(other, "1")]
    assert await world.reactions(other) == []
    await world.delete(BEN, said, "rude")
    assert (await world.versions(said), await world.reactions(said)) == ([], [])
    entry = await world.entries.entry(LAKE, BEN, ROOM, said)
    assert (entry.kind, entry.edited, entry.reactions) == ("deleted", None, [])
    assert entry.deletion is not None
    assert entry.deletion.by is not None
    assert (entry.deletion.by.name, entry.deletion.reason) == ("Ben", "rude")


async def test_only_who_may_read_an_entry_gets_it(world: World) -> None:
    await world.house.user("cleo")
    await world.house.room(CLEO, room_id=OTHER, slug="sailors")
    (elsewhere,) = await world.house.says(CLEO, room_id=OTHER)
    hidden = {"history_visibility": "joined"}
    await world.house.state(ANN, "m.room.history_visibility", "", hidden)
    (before,) = await world.house.says(ANN)
    liked = await world.react(ANN, before, "+")
    await world.house.member(CLEO, "join")
    (after,) = await world.house.says(ANN)

    async def refused(tenant: TenantId, mxid: Mxid, room_id: RoomId, event_id: str) -> bool:
        place = tenant, mxid, room_id, EventId(event_id)
        for ask in (world.entries.entry, world.entries.versions, world.entries.reactions):
            with pytest.raises(NotFound):
                await ask(*place)
        return True

    assert (await world.entries.entry(LAKE, CLEO, ROOM, after)).event_id == after
    assert (await world.entries.entry(LAKE, BEN, ROOM, before)).event_id == before
    assert await refused(LAKE, CLEO, ROOM, before)
    assert await refused(LAKE, BEN, OTHER, elsewhere)
    assert await refused(LAKE, BEN, ROOM, elsewhere)
    assert await refused(LAKE, BEN, ROOM, liked)
    assert await refused(LAKE, BEN, ROOM, "$unknown")
    assert await refused(SEA, BEN, ROOM, before)
    await world.house.member(CLEO, "leave")
    assert await refused(LAKE, CLEO, ROOM, after)
