"""Webhooks as an operator sees them: what waits, what was given up, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core.ids import EventId, TenantId
from .database import Connection


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A delivery to one endpoint.

    Attributes:
        endpoint: The address without its query, which may hold a token.
        message: The entry of the log that is told, for a message.
        due_at: When the next attempt is made, while it is pending.
    """

    event_id: int
    tenant: TenantId
    type: str
    message: EventId | None
    endpoint: str
    state: str
    attempts: int
    error: str | None
    created_at: datetime
    due_at: datetime | None


async def listed(
    connection: Connection, tenant: TenantId | None, states: Sequence[str], limit: int
) -> list[WebhookRow]:
    """Return deliveries, oldest event first; None: of all tenants."""
    rows = await connection.fetch(
        """
        SELECT event_id, event.tenant, event.type, event.message,
               split_part(endpoint, '?', 1) AS endpoint, state, attempts, error, event.created_at,
               CASE state WHEN 'pending' THEN due_at END AS due_at
        FROM webhook_delivery JOIN webhook_event AS event ON event.id = event_id
        WHERE state = ANY($2::text[]) AND ($1::text IS NULL OR event.tenant = $1)
        ORDER BY event_id, endpoint LIMIT $3
        """,
        tenant,
        states,
        limit,
    )
    return [WebhookRow(**dict(row)) for row in rows]


async def retry(connection: Connection, tenant: TenantId | None) -> int:
    """Let what was given up, and what waits for its next attempt, be tried at once."""
    done = await connection.execute(
        """
        UPDATE webhook_delivery SET state = 'pending', due_at = now(), attempts = 0,
                                    settled_at = NULL
        WHERE (state = 'failed' OR (state = 'pending' AND error IS NOT NULL))
              AND ($1::text IS NULL OR tenant = $1)
        """,
        tenant,
    )
    return int(done.rpartition(" ")[2])
