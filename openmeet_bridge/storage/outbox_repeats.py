"""Messages that wait in the outbox, to be known again when they are sent a second time."""

from __future__ import annotations

from ..core.ids import ClientTxnId, RoomId, TenantId, UserSlug
from .database import Connection


async def waiting(
    connection: Connection, tenant: TenantId, user_slug: UserSlug, room_id: RoomId, prefix: str
) -> list[tuple[ClientTxnId, bytes]]:
    """Return somebody's messages to a room that are not sent yet: their ids and contents.

    Only those whose ids begin with ``prefix``, the oldest first.
    """
    rows = await connection.fetch(
        """
        SELECT client_txn_id, content FROM outbox
        WHERE room_id = $3 AND state = 'pending' AND tenant = $1 AND user_slug = $2
              AND action = 'send' AND starts_with(client_txn_id, $4)
        ORDER BY id
        """,
        tenant,
        user_slug,
        room_id,
        prefix,
    )
    return [(row["client_txn_id"], row["content"]) for row in rows]
