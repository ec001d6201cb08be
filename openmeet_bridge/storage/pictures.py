"""Pictures: which were copied to the homeserver, and of which addresses they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .database import Connection


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of a picture's address.

    Attributes:
        mxc: The copy at the homeserver; None where there is none.
        etag: What the server of the address called the version that was fetched.
        problem: Why the last look brought no picture. A copy of before stays in use.
        passing: The problem may be gone soon: nothing was said about the picture itself.
        due: Whether it may be looked at again.
    """

    mxc: str | None
    etag: str | None
    problem: str | None
    passing: bool
    due: bool


async def source(connection: Connection, url: str) -> Source | None:
    """Return what is known of an address."""
    row = await connection.fetchrow(
        """
        SELECT mxc, etag, problem, look_again_at <= now() AS due,
               problem IS NOT NULL AND look_again_at < looked_at + interval '1 hour' AS passing
        FROM picture_source LEFT JOIN picture USING (digest) WHERE url = $1
        """,
        url,
    )
    return Source(**dict(row)) if row else None


async def copied(connection: Connection, digest: str) -> str | None:
    """Return the ``mxc://`` address under which a picture of this content is there already."""
    mxc: str | None = await connection.fetchval("SELECT mxc FROM picture WHERE digest = $1", digest)
    return mxc


async def put(connection: Connection, digest: str, mxc: str, size: int) -> None:
    """Note that a picture was uploaded."""
    await connection.execute(
        "INSERT INTO picture (digest, mxc, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        digest,
        mxc,
        size,
    )


async def found(
    connection: Connection, url: str, digest: str, etag: str | None, again_in: float
) -> None:
    """Note what picture is at an address, and when to look again (seconds)."""
    await connection.execute(
        """
        INSERT INTO picture_source (url, digest, etag, look_again_at)
        VALUES ($1, $2, $3, now() + make_interval(secs => $4))
        ON CONFLICT (url) DO UPDATE SET
            digest = excluded.digest, etag = excluded.etag, problem = NULL, looked_at = now(),
            look_again_at = excluded.look_again_at
        """,
        url,
        digest,
        etag,
        again_in,
    )


async def unchanged(connection: Connection, url: str, again_in: float) -> None:
    """Note that an address still has the picture that is known."""
    await connection.execute(
        """
        UPDATE picture_source SET problem = NULL, looked_at = now(),
                                  look_again_at = now() + make_interval(secs => $2)
        WHERE url = $1
        """,
        url,
        again_in,
    )


async def failed(
    connection: Connection, url: str, problem: str, again_in: float, *, keep: bool
) -> None:
    """Note that an address brought no picture.

    Args:
        connection: The database.
        url: The address.
        problem: Why.
        again_in: When to look again, in seconds.
        keep: Go on using the picture that was there before.
    """
    await connection.execute(
        """
        INSERT INTO picture_source (url, problem, look_again_at)
        VALUES ($1, $2, now() + make_interval(secs => $3))
        ON CONFLICT (url) DO UPDATE SET
            digest = CASE WHEN $4 THEN picture_source.digest END,
            etag = CASE WHEN $4 THEN picture_source.etag END,
            problem = excluded.problem, looked_at = now(), look_again_at = excluded.look_again_at
        """,
        url,
        problem,
        again_in,
        keep,
    )


async def forget_unused(connection: Connection, urls: Sequence[str]) -> list[str]:
    """Forget those of these addresses that nobody has any more, and copies only they had.

    Returns:
        The ``mxc://`` addresses of the copies that nothing needs now.
    """
    rows = await connection.fetch(
        """
        DELETE FROM picture_source AS s WHERE s.url = ANY($1::text[])
              AND NOT EXISTS (SELECT FROM directory_user AS u WHERE u.avatar_url = s.url)
              AND NOT EXISTS (SELECT FROM directory_portal AS p
                              WHERE p.avatar_url = s.url AND NOT p.deleted)
              AND NOT EXISTS (SELECT FROM ghost AS g WHERE g.avatar_source = s.url)
        RETURNING digest
        """,
        urls,
    )
    gone = await connection.fetch(
        """
        DELETE FROM picture AS p WHERE p.digest = ANY($1::text[])
              AND NOT EXISTS (SELECT FROM picture_source AS s WHERE s.digest = p.digest)
        RETURNING mxc
        """,
        [row["digest"] for row in rows if row["digest"]],
    )
    return [row["mxc"] for row in gone]
