"""Quarantine: events that could not be read, kept as they came until somebody looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from .database import Connection


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One event that could not be read."""

    txn_id: str
    reason: str
    raw: bytes
    received_at: datetime


async def put(connection: Connection, txn_id: str, bad: Sequence[tuple[bytes, str]]) -> None:
    """Set events aside: ``(raw, reason)``. The same event of the same transaction only once."""
    await connection.execute(
        """
        INSERT INTO quarantine (txn_id, reason, raw)
        SELECT $1, reason, raw FROM unnest($2::bytea[], $3::text[]) AS given (raw, reason)
        ON CONFLICT DO NOTHING
        """,
        txn_id,
        [raw for raw, _ in bad],
        [reason for _, reason in bad],
    )


async def newest(connection: Connection, limit: int) -> list[Quarantined]:
    """Return the events set aside last, newest first."""
    rows = await connection.fetch(
        "SELECT txn_id, reason, raw, received_at FROM quarantine ORDER BY id DESC LIMIT $1", limit
    )
    return [Quarantined(**dict(row)) for row in rows]


async def count(connection: Connection) -> int:
    """Return how many events were set aside."""
    return int(await connection.fetchval("SELECT count(*) FROM quarantine"))
