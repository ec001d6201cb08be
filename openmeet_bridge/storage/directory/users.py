"""The users of a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ...core.directory import User
from ...core.ids import TenantId, UserSlug
from ..database import Connection

SELECT_USER = """
    SELECT u.tenant, u.slug, u.openmeet_id, u.name, u.avatar_url, u.active, ghost.mxid
    FROM directory_user AS u LEFT JOIN ghost USING (tenant, slug)
"""


@dataclass(frozen=True, slots=True)
class Named:
    """Whom a token names.

    Attributes:
        openmeet_id: OpenMeet's number of the user.
        slug: The user's slug, where the token has it.
        issued_at: When the token was issued (seconds since the epoch); None where it is not known,
            and then it is taken for a new one.
    """

    tenant: TenantId
    openmeet_id: int
    slug: str | None
    issued_at: float | None


@dataclass(frozen=True, slots=True)
class Caller:
    """A user who calls with a token.

    Attributes:
        signed_out: Whether they were signed out since the token was issued.
    """

    user: User
    signed_out: bool


async def put_user(connection: Connection, user: User) -> None:
    """Write a user. An OpenMeet id that another user of the tenant held moves to this one."""
    await connection.execute(
        """
        UPDATE directory_user SET openmeet_id = NULL
        WHERE tenant = $1 AND openmeet_id = $2 AND slug <> $3
        """,
        user.tenant,
        user.openmeet_id,
        user.slug,
    )
    await connection.execute(
        """
        INSERT INTO directory_user (tenant, slug, openmeet_id, name, avatar_url, active)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant, slug) DO UPDATE SET
            openmeet_id = excluded.openmeet_id, name = excluded.name,
            avatar_url = excluded.avatar_url, active = excluded.active, updated_at = now()
        """,
        user.tenant,
        user.slug,
        user.openmeet_id,
        user.name,
        user.avatar_url,
        user.active,
    )


async def delete_user(connection: Connection, tenant: TenantId, slug: UserSlug) -> bool:
    """Remove a user and all memberships; False where there was none."""
    for statement in (
        "DELETE FROM directory_member WHERE tenant = $1 AND user_slug = $2",
        "DELETE FROM directory_override WHERE tenant = $1 AND user_slug = $2",
        "DELETE FROM directory_block WHERE tenant = $1 AND $2 IN (blocker, blocked)",
        "DELETE FROM preference WHERE tenant = $1 AND user_slug = $2",
        "DELETE FROM presence USING ghost WHERE ghost.mxid = presence.mxid "
        "AND ghost.tenant = $1 AND ghost.slug = $2",
    ):
        await connection.execute(statement, tenant, slug)
    done = await connection.execute(
        "DELETE FROM directory_user WHERE tenant = $1 AND slug = $2", tenant, slug
    )
    return bool(done == "DELETE 1")


async def rename_user(
    connection: Connection, tenant: TenantId, slug: UserSlug, to: UserSlug
) -> None:
    """Give a user another slug, in every table that has it. The ghost's Matrix id stays."""
    for statement in (
        "UPDATE directory_user SET slug = $3, updated_at = now() WHERE tenant = $1 AND slug = $2",
        "UPDATE directory_member SET user_slug = $3 WHERE tenant = $1 AND user_slug = $2",
        "UPDATE directory_override SET user_slug = $3 WHERE tenant = $1 AND user_slug = $2",
        "UPDATE directory_block SET blocker = $3 WHERE tenant = $1 AND blocker = $2",
        "UPDATE directory_block SET blocked = $3 WHERE tenant = $1 AND blocked = $2",
        "UPDATE ghost SET slug = $3 WHERE tenant = $1 AND slug = $2",
        "UPDATE preference SET user_slug = $3 WHERE tenant = $1 AND user_slug = $2",
        # Of somebody who is gone and had the slug.
        "DELETE FROM job WHERE tenant = $1 AND kind = 'user' AND slug = $3 AND $2::text <> $3",
        "UPDATE outbox SET user_slug = $3 WHERE tenant = $1 AND user_slug = $2",
        "UPDATE stream_ticket SET user_slug = $3 WHERE tenant = $1 AND user_slug = $2",
        # Who does the job at this moment does it under the old name, and cannot give it back.
        "UPDATE job SET leased_until = least(leased_until, now() + interval '10 s') "
        "WHERE tenant = $1 AND kind = 'user' AND slug = $2 AND $3::text IS NOT NULL "
        "AND leased_until IS NOT NULL",
        "UPDATE job SET slug = $3 WHERE tenant = $1 AND kind = 'user' AND slug = $2",
    ):
        await connection.execute(statement, tenant, slug, to)


async def user(connection: Connection, tenant: TenantId, slug: UserSlug) -> User | None:
    """Return a user by slug."""
    row = await connection.fetchrow(
        f"{SELECT_USER} WHERE u.tenant = $1 AND u.slug = $2", tenant, slug
    )
    return User(**dict(row)) if row else None


async def known_users(
    connection: Connection, tenant: TenantId, slugs: Sequence[UserSlug]
) -> set[UserSlug]:
    """Return which of these slugs are users'."""
    rows = await connection.fetch(
        "SELECT slug FROM directory_user WHERE tenant = $1 AND slug = ANY ($2::text[])",
        tenant,
        list(slugs),
    )
    return {row["slug"] for row in rows}


async def user_by_openmeet_id(
    connection: Connection, tenant: TenantId, openmeet_id: int
) -> User | None:
    """Return a user by OpenMeet's numeric id, which is unique within its tenant only."""
    row = await connection.fetchrow(
        f"{SELECT_USER} WHERE u.tenant = $1 AND u.openmeet_id = $2", tenant, openmeet_id
    )
    return User(**dict(row)) if row else None


async def callers(connection: Connection, named: Sequence[Named]) -> list[Caller | None]:
    """Return the users whom tokens name, each in its place; None for one whom nobody is.

    OpenMeet's number identifies. The slug does so only for a user whose number OpenMeet has not
    told us.
    """
    rows = await connection.fetch(
        """
        SELECT given.place, u.tenant, u.slug, u.openmeet_id, u.name, u.avatar_url, u.active,
               ghost.mxid, coalesce(u.signed_out_at >= to_timestamp(given.issued_at), false) AS out
        FROM unnest($1::text[], $2::bigint[], $3::text[], $4::float8[])
                 WITH ORDINALITY AS given (tenant, openmeet_id, slug, issued_at, place)
        CROSS JOIN LATERAL (
            SELECT * FROM directory_user AS one
            WHERE one.tenant = given.tenant AND one.openmeet_id = given.openmeet_id
            UNION ALL
            SELECT * FROM directory_user AS one
            WHERE one.tenant = given.tenant AND one.slug = given.slug AND one.openmeet_id IS NULL
                  AND NOT EXISTS (
                      SELECT FROM directory_user AS other
                      WHERE other.tenant = given.tenant AND other.openmeet_id = given.openmeet_id
                  )
        ) AS u
        LEFT JOIN ghost ON ghost.tenant = u.tenant AND ghost.slug = u.slug
        """,
        [one.tenant for one in named],
        [one.openmeet_id for one in named],
        [one.slug for one in named],
        [one.issued_at for one in named],
    )
    found: list[Caller | None] = [None] * len(named)
    for row in rows:
        user = dict(row)
        place, out = user.pop("place"), user.pop("out")
        found[place - 1] = Caller(User(**user), out)
    return found


async def sign_out(connection: Connection, tenant: TenantId, slug: UserSlug) -> datetime | None:
    """Note that a user's tokens that were issued until now are of no use; return when that was.

    None where there is no such user.
    """
    moment: datetime | None = await connection.fetchval(
        """
        UPDATE directory_user SET signed_out_at = clock_timestamp()
        WHERE tenant = $1 AND slug = $2 RETURNING signed_out_at
        """,
        tenant,
        slug,
    )
    return moment


async def users(connection: Connection, tenant: TenantId, limit: int) -> list[User]:
    """Return the active users of a tenant by name."""
    rows = await connection.fetch(
        f"{SELECT_USER} WHERE u.tenant = $1 AND u.active ORDER BY u.name, u.slug LIMIT $2",
        tenant,
        limit,
    )
    return [User(**dict(row)) for row in rows]
