"""Reading: which lines of a room are for whom among those who are in it.

Most rooms are open from end to end; asking that is all that they cost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ..core.cursor import SORT_KEY_STEP
from ..core.ids import Mxid, RoomId, TenantId
from ..core.visibility import EVERYTHING, Readable
from ..storage import rooms, visibility
from ..storage.database import Connection
from ..storage.lines import Line


async def admitted(
    connection: Connection, tenant: TenantId, room_id: RoomId, mxid: Mxid
) -> Readable | None:
    """Return which part of a room somebody may read; None for who is not in it."""
    is_open = await visibility.is_open(connection, tenant, room_id, mxid)
    if is_open is None:
        return None
    return EVERYTHING if is_open else await readable(connection, room_id, mxid)


async def readable(connection: Connection, room_id: RoomId, mxid: Mxid) -> Readable:
    """Return which part of a room somebody may read who is in it."""
    found = await visibility.closed(connection, [room_id], [mxid])
    return found[room_id].for_person(mxid) if found else EVERYTHING


async def readable_of(
    connection: Connection, room_ids: Collection[RoomId], mxid: Mxid
) -> dict[RoomId, Readable]:
    """Return which part somebody may read of those of these rooms that are not open to everybody.

    A room that is left out may be read from end to end.
    """
    found = await visibility.closed(connection, list(room_ids), [mxid])
    return {room_id: history.for_person(mxid) for room_id, history in found.items()}


async def for_everybody(connection: Connection, found: Iterable[Line]) -> list[bool]:
    """Return of lines whether everybody may read them who is, or will be, in their room."""
    found = list(found)
    restricted = sorted({line.room_id for line in found if not line.room_open})
    closed = await visibility.closed(connection, restricted) if restricted else {}
    parts = {room_id: history.for_everybody() for room_id, history in closed.items()}
    return [line.sort_key in parts.get(line.room_id, EVERYTHING) for line in found]


async def readers(connection: Connection, found: Sequence[Line]) -> list[frozenset[Mxid] | None]:
    """Return of lines, as streams show them, who of our users may read them; None for everybody.

    Where a line stands at its own place, everybody may read it whom a stream shows it: they are
    in the room at that moment. Elsewhere it comes up again, before people who were not.
    """
    again = [line for line in found if line.sort_key != line.place * SORT_KEY_STEP]
    shared = await for_everybody(connection, again) if again else []
    kept = [line for line, everybody in zip(again, shared, strict=True) if not everybody]
    if not kept:
        return [None] * len(found)
    parts = await _parts(connection, sorted({line.room_id for line in kept}))
    only = {
        (line.place, line.event_id): frozenset(
            mxid for mxid, part in parts[line.room_id].items() if line.sort_key in part
        )
        for line in kept
    }
    return [only.get((line.place, line.event_id)) for line in found]


async def _parts(
    connection: Connection, room_ids: Sequence[RoomId]
) -> dict[RoomId, dict[Mxid, Readable]]:
    """Return what each of our users who is in these rooms may read of them."""
    inside = await rooms.our_people(connection, room_ids)
    mxids = sorted({mxid for people in inside.values() for mxid in people})
    closed = await visibility.closed(connection, room_ids, mxids)
    return {
        room_id: {
            mxid: closed[room_id].for_person(mxid) if room_id in closed else EVERYTHING
            for mxid in inside.get(room_id, ())
        }
        for room_id in room_ids
    }
