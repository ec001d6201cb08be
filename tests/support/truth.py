"""What really is in a room, as Synapse has it, and how the bridge's log and streams compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from openmeet_bridge.core.relations import HIDDEN

from .streams import Stream
from .world import World


async def true_order(world: World, room_id: str) -> list[str]:
    """Ids of all events that a room's timeline shows, in the order that the homeserver gives."""
    found: list[str] = []
    place: str | None = None
    while True:
        page = await world.homeserver.messages(room_id, world.bot, "b", place, limit=500)
        events = [msgspec.json.decode(raw) for raw in page.chunk]
        found += [event["event_id"] for event in events if event["type"] not in HIDDEN]
        if page.end is None or not page.chunk:
            return found[::-1]
        place = page.end


async def sources(world: World, event_ids: Iterable[str]) -> dict[str, int]:
    """How many of these events came into the log by push, and how many by repair."""
    rows = await world.sql(
        "SELECT source, count(*) FROM log WHERE event_id = ANY($1::text[]) GROUP BY source",
        list(event_ids),
    )
    return {row["source"]: row["count"] for row in rows}


def assembled(frames: Iterable[Mapping[str, Any]]) -> list[str]:
    """The timeline that a client has made of a stream's entries, as event ids.

    It does what the reference says: keep each event once, as it came last, sorted by ``order``.
    An entry may come again only where its place has changed.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for entry in frames:
        before = newest.get(entry["event_id"])
        assert before is None or before["order"] != entry["order"], f"came twice: {entry}"
        newest[entry["event_id"]] = entry
    orders = [entry["order"] for entry in newest.values()]
    assert len(set(orders)) == len(orders), "two entries have one place"
    return sorted(newest, key=lambda event_id: str(newest[event_id]["order"]))


def repeated(stream: Stream, room_id: str) -> set[str]:
    """The events that came over a stream more than once: they were moved."""
    seen: set[str] = set()
    again: set[str] = set()
    for entry in stream.entries(room_id):
        (again if entry["event_id"] in seen else seen).add(entry["event_id"])
    return again
