"""What of a room is not for everybody in it: changes of visibility, and memberships."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from ..core import visibility as rules
from ..core.events import CREATE, HISTORY_VISIBILITY, MEMBER_CONTENT, UNREADABLE
from ..core.ids import Mxid, RoomId, TenantId
from ..core.visibility import Change, Readable, Step, Visibility, readable, visibility_of
from .database import Connection


@dataclass(slots=True)
class History:
    """What the log knows of who may read what of a room.

    Attributes:
        first: What held before the first change; None where nobody knows.
        changes: Of the visibility.
        steps: The memberships that were asked for, by person.
    """

    first: Visibility | None = None
    changes: list[Change] = field(default_factory=list)
    steps: defaultdict[Mxid, list[Step]] = field(default_factory=lambda: defaultdict(list))

    @property
    def open(self) -> bool:
        """Whether everybody who is in may read all that the log has."""
        return rules.is_open(self.first) and all(
            rules.is_open(one.visibility) for one in self.changes
        )

    def for_everybody(self) -> Readable:
        """Return what everybody may read who is in the room."""
        return readable(self.changes, (), self.first)

    def for_person(self, mxid: Mxid) -> Readable:
        """Return what one person may read who is in the room."""
        return readable(self.changes, self.steps.get(mxid, ()), self.first)


async def note(connection: Connection, room_ids: Sequence[RoomId]) -> None:
    """Note of portals' rooms whether everybody who is in may read all that the log has of them.

    To be called whenever the log has got the beginning of a room or a change of its visibility,
    and when a room has become a portal's.
    """
    rooms = sorted(set(room_ids))
    found = await _load(connection, rooms, ())
    await connection.execute(
        """
        UPDATE portal SET open = given.open
        FROM unnest($1::text[], $2::bool[]) AS given (room_id, open)
        WHERE portal.room_id = given.room_id AND portal.open <> given.open
        """,
        rooms,
        [found[one].open for one in rooms],
    )


async def is_open(
    connection: Connection, tenant: TenantId, room_id: RoomId, mxid: Mxid
) -> bool | None:
    """Whether somebody in a room may read all that the log has of it; None for who is not in it."""
    found: bool | None = await connection.fetchval(
        """
        SELECT portal.open FROM portal JOIN room_member USING (room_id)
        WHERE tenant = $1 AND room_id = $2 AND mxid = $3 AND membership = 'join' AND NOT barred
        """,
        tenant,
        room_id,
        mxid,
    )
    return found


async def closed(
    connection: Connection, room_ids: Sequence[RoomId], mxids: Sequence[Mxid] = ()
) -> dict[RoomId, History]:
    """Return of these rooms those of which not everybody who is in may read everything.

    Args:
        connection: The database.
        room_ids: The rooms.
        mxids: Whose memberships are wanted.
    """
    rows = await connection.fetch(
        "SELECT room_id FROM portal WHERE room_id = ANY($1::text[]) AND NOT open", room_ids
    )
    return await _load(connection, [row["room_id"] for row in rows], mxids) if rows else {}


async def _load(
    connection: Connection, room_ids: Sequence[RoomId], mxids: Sequence[Mxid]
) -> dict[RoomId, History]:
    found = {room_id: History() for room_id in room_ids}
    rows = await connection.fetch(
        "SELECT room_id, visibility FROM history "
        "WHERE room_id = ANY($1::text[]) AND visibility IS NOT NULL",
        room_ids,
    )
    for row in rows:
        found[row["room_id"]].first = Visibility(row["visibility"])
    rows = await connection.fetch(
        """
        SELECT room_id, type, state_key, sort_key, content, effect FROM log
        WHERE room_id = ANY($1::text[]) AND type = ANY($2::text[]) AND state_key = ''
        UNION ALL
        SELECT room_id, type, state_key, sort_key, content, effect FROM log
        WHERE room_id = ANY($1::text[]) AND type = 'm.room.member' AND state_key = ANY($3::text[])
        """,
        room_ids,
        [CREATE, HISTORY_VISIBILITY],
        mxids,
    )
    for row in rows:
        _add(found[row["room_id"]], row)
    return found


def _add(history: History, row: asyncpg.Record) -> None:
    if row["type"] == CREATE:
        history.first = Visibility.SHARED
    elif row["type"] == HISTORY_VISIBILITY:
        history.changes.append(Change(row["sort_key"], visibility_of(row["content"])))
    elif membership := _membership(row["content"], row["effect"]):
        history.steps[row["state_key"]].append(Step(row["sort_key"], membership))


def _membership(content: bytes, effect: int) -> str | None:
    try:
        return MEMBER_CONTENT.decode(content).membership
    except UNREADABLE:  # redacted since; what it did is known all the same
        return {1: "join", -1: "leave"}.get(effect)
