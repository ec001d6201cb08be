"""Stream tickets: single-use, short-lived stand-ins for a token that EventSource cannot send."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..core.ids import TenantId, UserSlug
from .database import Connection


@dataclass(frozen=True, slots=True)
class Ticket:
    """Whom a ticket lets in, and until when the token behind it is good (ms)."""

    tenant: TenantId
    user_slug: UserSlug
    token_expires_at: int


async def put(connection: Connection, secret: str, ticket: Ticket, lifetime: float) -> None:
    """Write a ticket down (its digest only), and drop what has expired."""
    await connection.execute("DELETE FROM stream_ticket WHERE expires_at < now()")
    await connection.execute(
        """
        INSERT INTO stream_ticket (digest, tenant, user_slug, token_expires_at, expires_at)
        VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
        """,
        _digest(secret),
        ticket.tenant,
        ticket.user_slug,
        ticket.token_expires_at,
        lifetime,
    )


async def spend(connection: Connection, secret: str) -> Ticket | None:
    """Use a ticket up; None where it is unknown, spent or expired."""
    row = await connection.fetchrow(
        """
        DELETE FROM stream_ticket WHERE digest = $1
        RETURNING tenant, user_slug, token_expires_at, expires_at > now() AS valid
        """,
        _digest(secret),
    )
    if row is None or not row["valid"]:
        return None
    return Ticket(row["tenant"], row["user_slug"], row["token_expires_at"])


async def forget(connection: Connection, tenant: TenantId, user_slug: UserSlug) -> None:
    """Let none of a user's tickets let anybody in."""
    await connection.execute(
        "DELETE FROM stream_ticket WHERE tenant = $1 AND user_slug = $2", tenant, user_slug
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
