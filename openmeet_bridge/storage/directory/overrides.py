"""The overrides of a portal: an operator's word on who is in it."""

from __future__ import annotations

from ...core.directory import Member, Override
from ...core.ids import Mxid, PortalRef, UserSlug
from ..database import Connection


async def put_override(connection: Connection, ref: PortalRef, override: Override) -> None:
    """Write an operator's word."""
    await connection.execute(
        """
        INSERT INTO directory_override (tenant, kind, slug, user_slug, inside, reason)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant, kind, slug, user_slug) DO UPDATE SET
            inside = excluded.inside, reason = excluded.reason, at = now()
        """,
        *ref,
        override.user,
        override.inside,
        override.reason,
    )


async def delete_override(connection: Connection, ref: PortalRef, user_slug: UserSlug) -> bool:
    """Take an operator's word back; False where there was none."""
    done = await connection.execute(
        """
        DELETE FROM directory_override
        WHERE tenant = $1 AND kind = $2 AND slug = $3 AND user_slug = $4
        """,
        *ref,
        user_slug,
    )
    return bool(done == "DELETE 1")


async def overrides(connection: Connection, ref: PortalRef) -> dict[UserSlug, Override]:
    """Return what operators have said of a portal. Only users that exist and are active count."""
    rows = await connection.fetch(
        """
        SELECT o.user_slug AS user, o.inside, o.reason FROM directory_override o
        JOIN directory_user u ON u.tenant = o.tenant AND u.slug = o.user_slug
        WHERE o.tenant = $1 AND o.kind = $2 AND o.slug = $3 AND u.active
        """,
        *ref,
    )
    return {row["user"]: Override(**dict(row)) for row in rows}


async def word_on(
    connection: Connection, ref: PortalRef, mxid: Mxid
) -> tuple[Member | None, Override | None]:
    """Return what OpenMeet and an operator say of one ghost in a portal.

    Of a user who does not exist, or is not active, nobody says anything.
    """
    row = await connection.fetchrow(
        """
        SELECT u.slug, m.role, m.status, o.inside, o.reason
        FROM ghost JOIN directory_user u USING (tenant, slug)
        LEFT JOIN directory_member m
               ON (m.tenant, m.kind, m.slug, m.user_slug) = ($1, $2, $3, u.slug)
        LEFT JOIN directory_override o
               ON (o.tenant, o.kind, o.slug, o.user_slug) = ($1, $2, $3, u.slug)
        WHERE ghost.mxid = $4 AND ghost.tenant = $1 AND u.active
        """,
        *ref,
        mxid,
    )
    if row is None:
        return None, None
    user = UserSlug(row["slug"])
    member = None if row["role"] is None else Member(user, row["role"], row["status"])
    override = None if row["inside"] is None else Override(user, row["inside"], row["reason"])
    return member, override
