"""Messages that wait in the outbox, to be known again when they are sent a second time."""

from __future__ import annotations

from typing import Final

from ..core.ids import ClientTxnId, RoomId, TenantId, UserSlug
from .database import Connection

MOST: Final = 100
"""A text that somebody sends again is among the last that they sent."""


async def waiting(
    connection: Connection, tenant: TenantId, user_slug: UserSlug, room_id: RoomId, prefix: str
) -> list[tuple[ClientTxnId, bytes]]:
    """Return somebody's messages to a room that are not sent yet: their ids and contents.

    Only those whose ids begin with ``prefix``, the newest first, and no more than :data:`MOST`.
    """
    rows = await connection.fetch(
        """
        SELECT client_txn_id, content FROM outbox
        WHERE room_id = $3 AND state = 'pending' AND tenant = $1 AND user_slug = $2
              AND action = 'send' AND starts_with(client_txn_id, $4)
        ORDER BY id DESC LIMIT $5
        """,
        tenant,
        user_slug,
        room_id,
        prefix,
        MOST,
    )
    return [(row["client_txn_id"], row["content"]) for row in rows]
