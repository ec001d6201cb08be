"""The last messages of many rooms at once, for a list of rooms."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg

from ..core.ids import Mxid, Position, RoomId, TenantId
from .database import Connection
from .lines import Line
from .texts import UNPACKED, packed

_Sender = tuple[str | None, str | None, str | None]
"""Name, picture and slug."""


async def at(
    connection: Connection, tenant: TenantId, positions: Collection[Position]
) -> dict[RoomId, Line]:
    """Return messages by their places in the log, one of each room."""
    # Many at once, from all over the log: to read their senders for themselves, each once, takes
    # less than to join them to every message.
    rows = await connection.fetch(
        """
        SELECT position, room_id, event_id, sort_key, greatest(revision, position), type,
               sender, timestamp, content, client_txn_id, related
        FROM log
        WHERE position = ANY($2::bigint[]) AND tenant = $1 AND counted AND state_key IS NULL
              AND redacted_by IS NULL
        """,
        tenant,
        sorted(positions),
    )
    senders = await _senders(connection, {(row[1], row[6]) for row in rows}) if rows else {}
    return {row[1]: _message(tenant, row, senders[row[1], row[6]]) for row in rows}


def _message(tenant: TenantId, row: asyncpg.Record, sender: _Sender) -> Line:
    place, room_id, event_id, sort_key, revision, kind, mxid, said_at, content, txn, related = row
    return Line(
        place=place,
        changed=False,
        tenant=tenant,
        room_id=room_id,
        event_id=event_id,
        sort_key=sort_key,
        revision=revision,
        type=kind,
        state_key=None,
        sender=mxid,
        timestamp=said_at,
        content=content,
        client_txn_id=txn,
        effect=0,
        redacted_by=None,
        related=related,
        sender_name=sender[0],
        sender_avatar=sender[1],
        sender_slug=sender[2],
        subject_name=None,
        subject_avatar=None,
        subject_slug=None,
        room_kind=None,
        room_name=None,
        room_open=False,
    )


async def _senders(
    connection: Connection, wanted: Collection[tuple[RoomId, Mxid]]
) -> dict[tuple[RoomId, Mxid], _Sender]:
    """Return who people of rooms are: as OpenMeet has them, else as the room calls them."""
    rows = await connection.fetch(
        f"""
        SELECT ghost.mxid, profile.name, profile.avatar_url, ghost.slug
        FROM ghost
        LEFT JOIN directory_user AS profile
               ON profile.tenant = ghost.tenant AND profile.slug = ghost.slug
        WHERE ghost.mxid = ANY({UNPACKED.format(1)})
        """,  # noqa: S608  (constants only)
        packed(sorted({mxid for _, mxid in wanted})),
    )
    ours: dict[Mxid, _Sender] = {row[0]: (row[1], row[2], row[3]) for row in rows}
    nobody: _Sender = (None, None, None)
    found = {place: ours.get(place[1], nobody) for place in wanted}
    unnamed = [place for place, sender in found.items() if sender[0] is None]
    if unnamed:
        rows = await connection.fetch(
            """
            SELECT room_id, mxid, name FROM room_member
            JOIN unnest($1::text[], $2::text[]) AS given (room_id, mxid) USING (room_id, mxid)
            """,
            [room_id for room_id, _ in unnamed],
            [mxid for _, mxid in unnamed],
        )
        for room_id, mxid, name in rows:
            found[room_id, mxid] = (name, *found[room_id, mxid][1:])
    return found
