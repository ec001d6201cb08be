"""Workers and their duties: who is there, and who of them does what only one may do.

Each worker has a row, which it renews; whoever sees that another has not renewed its own in time
deletes it, and with the row go the duties of that worker. So a duty is held by whoever has the
row, and nobody can renew what another has taken: the database's row locks decide, and its clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ids import Position
from .database import Connection, certain


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that serves.

    Attributes:
        id: Never used twice.
        host: The machine's name.
        pid: The process there.
    """

    id: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand for a worker.

    Attributes:
        held: The duties that it has.
        workers: The ids of all who are there.
    """

    held: frozenset[str]
    workers: frozenset[str]


async def register(connection: Connection, worker: Worker, lease: float, *, alone: bool) -> None:
    """Enter a worker for ``lease`` seconds.

    Args:
        connection: The database.
        worker: Who.
        lease: Seconds until it must have renewed.
        alone: There can be no other: whoever is still entered is dead.
    """
    async with connection.transaction():
        if alone:
            await connection.execute("DELETE FROM worker")
        await connection.execute(
            """
            INSERT INTO worker (id, host, pid, until)
            VALUES ($1, $2, $3, now() + make_interval(secs => $4))
            """,
            worker.id,
            worker.host,
            worker.pid,
            lease,
        )


async def renew(connection: Connection, worker: str, lease: float, position: Position) -> bool:
    """Renew a worker and all its duties, and delete those who have not renewed in time.

    Args:
        connection: The database.
        worker: Its id.
        lease: Seconds until it must renew again.
        position: Up to where in the log its streams have been given everything.

    Returns:
        Whether it is still entered; if not, it has no duties any more.
    """
    # Two who delete each other must not wait for one another.
    return bool(
        await connection.fetchval(
            """
            WITH renewed AS (
                UPDATE worker SET until = now() + make_interval(secs => $2), position = $3
                WHERE id = $1 RETURNING id
            ), buried AS (
                DELETE FROM worker WHERE id IN (
                    SELECT id FROM worker WHERE until < now() AND id <> $1 FOR UPDATE SKIP LOCKED
                )
            )
            SELECT EXISTS (SELECT FROM renewed)
            """,
            worker,
            lease,
            position,
        )
    )


async def claim(connection: Connection, worker: str, names: Sequence[str]) -> Standing:
    """Take those of these duties that nobody has; return how things stand then."""
    row = await connection.fetchrow(
        """
        WITH won AS (
            INSERT INTO duty (name, worker)
            SELECT wanted.name, worker.id FROM unnest($2::text[]) AS wanted (name)
            JOIN worker ON worker.id = $1
            ON CONFLICT (name) DO NOTHING RETURNING name
        )
        SELECT ARRAY(SELECT name FROM duty WHERE worker = $1 UNION SELECT name FROM won) AS held,
               ARRAY(SELECT id FROM worker) AS workers
        """,
        worker,
        list(names),
    )
    found = certain(row, "a query without a table has a row")
    return Standing(frozenset(found["held"]), frozenset(found["workers"]))


async def release(connection: Connection, worker: str) -> None:
    """Give back all duties of a worker."""
    await connection.execute("DELETE FROM duty WHERE worker = $1", worker)


async def leave(connection: Connection, worker: str) -> None:
    """Take a worker out, with all it has: others may go on at once."""
    await connection.execute("DELETE FROM worker WHERE id = $1", worker)


async def least_position(connection: Connection, but: str) -> Position | None:
    """Return up to where the streams of all other workers have been given everything.

    Args:
        connection: The database.
        but: The worker that asks.

    Returns:
        None where there is no other worker.
    """
    least = await connection.fetchval(
        "SELECT min(position) FROM worker WHERE id <> $1 AND until > now()", but
    )
    return None if least is None else Position(least)
