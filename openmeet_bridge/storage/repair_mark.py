"""How far the bot's ``/sync`` has got."""

from __future__ import annotations

from .database import Connection


async def get(connection: Connection) -> str | None:
    """Return the ``next_batch`` up to which the log is known to be whole."""
    since: str | None = await connection.fetchval("SELECT since FROM repair_mark")
    return since


async def put(connection: Connection, since: str) -> None:
    """Write down up to where the log is whole."""
    await connection.execute(
        """
        INSERT INTO repair_mark (since) VALUES ($1)
        ON CONFLICT (singleton) DO UPDATE SET since = excluded.since, at = now()
        """,
        since,
    )


async def age(connection: Connection) -> float | None:
    """Return how many seconds ago the log was last compared with the homeserver."""
    seconds = await connection.fetchval("SELECT extract(epoch FROM now() - at) FROM repair_mark")
    return None if seconds is None else float(seconds)
