"""What OpenMeet is told: events written with their cause, and their delivery to each endpoint.

An event is a row, whether anybody wants it or not: who writes it need not know the endpoints.
Later it is spread: each endpoint that wants it gets a delivery. A delivery that is taken becomes
due again by itself after a while, so that one whose taker dies is made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..core.ids import EventId, TenantId
from ..core.webhooks import MESSAGE_CREATED, Endpoint
from .database import Connection, certain


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one endpoint.

    Attributes:
        uid: The event's own id, the same in every attempt and for every endpoint.
        payload: The event's data as JSON; None where ``message`` says what is told.
        message: The entry of the log that is told.
        attempts: How many were begun, this one included.
        age: Seconds since the event.
    """

    event_id: int
    uid: UUID
    tenant: TenantId
    endpoint: str
    type: str
    payload: bytes | None
    message: EventId | None
    created_at: datetime
    attempts: int
    age: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits or was given up, over all endpoints."""

    pending: int
    failed: int
    oldest: float
    """Age of the oldest event that waits, in seconds."""


async def put(
    connection: Connection, tenant: TenantId, type: str, payload: Mapping[str, Any]
) -> None:
    """Write an event, to be told to those endpoints of the tenant that want its type.

    Part of the caller's transaction: what is undone with it was never told.

    Args:
        connection: Best inside the transaction that makes it true.
        tenant: Whose endpoints are told.
        type: ``portal.ready`` or ``membership.failed``.
        payload: The event's ``data``: JSON.
    """
    await connection.execute(
        "INSERT INTO webhook_event (tenant, type, payload) VALUES ($1, $2, $3)",
        tenant,
        type,
        msgspec.json.encode(payload),
    )


async def put_messages(
    connection: Connection, messages: Sequence[tuple[TenantId, EventId]]
) -> None:
    """Write that messages were said; one that was written before stays as it is."""
    await connection.execute(
        """
        INSERT INTO webhook_event (tenant, type, message)
        SELECT tenant, $3, message FROM unnest($1::text[], $2::text[]) AS given (tenant, message)
        ON CONFLICT (message) DO NOTHING
        """,
        [tenant for tenant, _ in messages],
        [message for _, message in messages],
        MESSAGE_CREATED,
    )


async def spread(connection: Connection, endpoints: Sequence[Endpoint], limit: int) -> int:
    """Write the deliveries of new events; return how many events there were, at most ``limit``."""
    wishes = [(one.tenant, one.url, kind) for one in endpoints for kind in one.events]
    count: int = await connection.fetchval(
        """
        WITH fresh AS (
            SELECT id, tenant, type FROM webhook_event WHERE NOT spread
            ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED
        ), marked AS (
            UPDATE webhook_event SET spread = true FROM fresh WHERE webhook_event.id = fresh.id
        ), written AS (
            INSERT INTO webhook_delivery (event_id, tenant, endpoint)
            SELECT fresh.id, fresh.tenant, wish.url FROM fresh
            JOIN unnest($1::text[], $2::text[], $3::text[]) AS wish (tenant, url, type)
                 USING (tenant, type)
        )
        SELECT count(*) FROM fresh
        """,
        [tenant for tenant, _, _ in wishes],
        [url for _, url, _ in wishes],
        [kind for _, _, kind in wishes],
        limit,
    )
    return count


async def take(
    connection: Connection, free: Mapping[tuple[TenantId, str], int], lease: float
) -> list[Delivery]:
    """Take deliveries that are due, those of older events first.

    Args:
        connection: The database.
        free: How many, for each endpoint: tenant and address.
        lease: Seconds after which a delivery that was not settled is due again.
    """
    rows = await connection.fetch(
        """
        UPDATE webhook_delivery AS delivery
        SET due_at = now() + make_interval(secs => $4), attempts = delivery.attempts + 1
        FROM (
            SELECT due.* FROM unnest($1::text[], $2::text[], $3::int[])
                              AS free (tenant, endpoint, count)
            CROSS JOIN LATERAL (
                SELECT event_id, endpoint FROM webhook_delivery AS one
                WHERE one.tenant = free.tenant AND one.endpoint = free.endpoint
                      AND one.state = 'pending' AND one.due_at <= now()
                ORDER BY one.due_at, one.event_id LIMIT free.count FOR UPDATE SKIP LOCKED
            ) AS due
        ) AS taken
        JOIN webhook_event AS event ON event.id = taken.event_id
        WHERE delivery.event_id = taken.event_id AND delivery.endpoint = taken.endpoint
        RETURNING delivery.event_id, event.uid, event.tenant, delivery.endpoint, event.type,
                  event.payload, event.message, event.created_at, delivery.attempts,
                  extract(epoch FROM now() - event.created_at)::float AS age
        """,
        [tenant for tenant, _ in free],
        [url for _, url in free],
        list(free.values()),
        lease,
    )
    return sorted((Delivery(**dict(row)) for row in rows), key=lambda one: one.event_id)


async def settle(connection: Connection, delivery: Delivery, error: str | None = None) -> None:
    """Note that a delivery needs no further attempt: it was made, or with an error given up."""
    await connection.execute(
        """
        UPDATE webhook_delivery
        SET state = CASE WHEN $3::text IS NULL THEN 'done' ELSE 'failed' END,
            error = $3, settled_at = now()
        WHERE event_id = $1 AND endpoint = $2 AND state = 'pending'
        """,
        delivery.event_id,
        delivery.endpoint,
        error,
    )


async def postpone(connection: Connection, delivery: Delivery, delay: float, error: str) -> None:
    """Note that an attempt failed, and make the next one after ``delay`` seconds."""
    await connection.execute(
        """
        UPDATE webhook_delivery SET due_at = now() + make_interval(secs => $3), error = $4
        WHERE event_id = $1 AND endpoint = $2 AND state = 'pending'
        """,
        delivery.event_id,
        delivery.endpoint,
        delay,
        error,
    )


async def hurry(connection: Connection, endpoint: Endpoint) -> None:
    """Make what waits for its next attempt due: the endpoint answers again."""
    await connection.execute(
        """
        UPDATE webhook_delivery SET due_at = now()
        WHERE tenant = $1 AND endpoint = $2 AND state = 'pending' AND due_at > now()
              AND error IS NOT NULL
        """,
        endpoint.tenant,
        endpoint.url,
    )


async def give_up(connection: Connection, endpoint: Endpoint, error: str) -> int:
    """Give up all that waits for one endpoint; return how many deliveries that were."""
    done = await connection.execute(
        """
        UPDATE webhook_delivery SET state = 'failed', error = $3, settled_at = now()
        WHERE tenant = $1 AND endpoint = $2 AND state = 'pending'
        """,
        endpoint.tenant,
        endpoint.url,
        error,
    )
    return int(done.rpartition(" ")[2])


async def give_up_strangers(
    connection: Connection, endpoints: Sequence[Endpoint], error: str
) -> None:
    """Give up all that waits for endpoints other than these."""
    await connection.execute(
        """
        UPDATE webhook_delivery SET state = 'failed', error = $3, settled_at = now()
        WHERE state = 'pending' AND NOT EXISTS (
            SELECT FROM unnest($1::text[], $2::text[]) AS known (tenant, url)
            WHERE known.tenant = webhook_delivery.tenant AND known.url = webhook_delivery.endpoint
        )
        """,
        [one.tenant for one in endpoints],
        [one.url for one in endpoints],
        error,
    )


async def drop_messages(connection: Connection, most: int) -> int:
    """Drop the oldest messages for each endpoint for which more than ``most`` wait.

    Nothing but messages is ever dropped.

    Returns:
        How many deliveries that were.
    """
    done = await connection.execute(
        """
        DELETE FROM webhook_delivery USING (
            SELECT event_id, endpoint, row_number() OVER (
                PARTITION BY delivery.tenant, endpoint ORDER BY event_id DESC
            ) AS place
            FROM webhook_delivery AS delivery JOIN webhook_event AS event ON event.id = event_id
            WHERE state = 'pending' AND event.type = $2
        ) AS waiting
        WHERE waiting.place > $1 AND webhook_delivery.event_id = waiting.event_id
              AND webhook_delivery.endpoint = waiting.endpoint
        """,
        most,
        MESSAGE_CREATED,
    )
    return int(done.rpartition(" ")[2])


async def forget(connection: Connection, told: float, failed: float) -> None:
    """Remove events that were told to everybody, and those that were given up.

    Args:
        connection: The database.
        told: Age in seconds from which on an event is removed. A message must not be found in
            the log as a new one any more by then.
        failed: Seconds for which what was given up is kept.
    """
    await connection.execute(
        """
        DELETE FROM webhook_delivery
        WHERE state = 'failed' AND settled_at < now() - make_interval(secs => $1)
        """,
        failed,
    )
    await connection.execute(
        """
        DELETE FROM webhook_event
        WHERE created_at < now() - make_interval(secs => $1) AND spread AND NOT EXISTS (
            SELECT FROM webhook_delivery
            WHERE event_id = webhook_event.id AND state <> 'done'
        )
        """,
        told,
    )


async def backlog(connection: Connection) -> Backlog:
    """Return how much waits or was given up."""
    row = await connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
               count(*) FILTER (WHERE state = 'failed') AS failed,
               coalesce(extract(epoch FROM now() - min(created_at)
                                           FILTER (WHERE state = 'pending')), 0)::float AS oldest
        FROM (
            SELECT state, event_id FROM webhook_delivery WHERE state = 'pending'
            UNION ALL
            SELECT state, event_id FROM webhook_delivery WHERE state = 'failed'
        ) AS delivery JOIN webhook_event ON webhook_event.id = event_id
        """
    )
    return Backlog(**dict(certain(row, "a count has a row")))
