"""Ghosts: what has been done for each on the homeserver, so that it is done once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..core.ids import Mxid, TenantId, UserSlug
from .database import Connection, certain


@dataclass(frozen=True, slots=True)
class Ghost:
    """A Matrix user that stands for an OpenMeet user.

    Attributes:
        registered: The homeserver knows the user.
        device: The homeserver knows the ghost's device.
        name: Display name that was set.
        avatar_source: Picture on OpenMeet of which the avatar was made.
        avatar_mxc: Avatar that was set.
        directs: ``m.direct`` as it was set, as canonical JSON.
        ignored: ``m.ignored_user_list`` as it was set, as canonical JSON.
        erased_at: When the person was erased; the ghost can never be used again.
    """

    mxid: Mxid
    tenant: TenantId
    slug: UserSlug
    registered: bool
    device: bool
    name: str | None
    avatar_source: str | None
    avatar_mxc: str | None
    directs: str | None
    ignored: str | None
    erased_at: datetime | None


async def ensure(connection: Connection, mxid: Mxid, tenant: TenantId, slug: UserSlug) -> Ghost:
    """Return a user's ghost, written down now under ``mxid`` if there was none yet."""
    await connection.execute(
        """
        INSERT INTO ghost (mxid, tenant, slug)
        SELECT $1, $2, $3
        WHERE NOT EXISTS (SELECT FROM ghost WHERE tenant = $2 AND slug = $3)
        ON CONFLICT DO NOTHING
        """,
        mxid,
        tenant,
        slug,
    )
    ghost = await of_user(connection, tenant, slug)
    return certain(ghost, f"the Matrix user {mxid} stands for somebody else already")


async def of_user(connection: Connection, tenant: TenantId, slug: UserSlug) -> Ghost | None:
    """Return a user's ghost."""
    row = await connection.fetchrow(
        "SELECT * FROM ghost WHERE tenant = $1 AND slug = $2", tenant, slug
    )
    return Ghost(**dict(row)) if row else None


async def of_mxid(connection: Connection, mxid: Mxid) -> Ghost | None:
    """Return the ghost that has a Matrix id."""
    row = await connection.fetchrow("SELECT * FROM ghost WHERE mxid = $1", mxid)
    return Ghost(**dict(row)) if row else None


async def nameless(connection: Connection, tenant: TenantId) -> list[UserSlug]:
    """Return the users of a tenant for whom no ghost was written down."""
    rows = await connection.fetch(
        """
        SELECT slug FROM directory_user AS u WHERE tenant = $1 AND NOT EXISTS (
            SELECT FROM ghost WHERE ghost.tenant = u.tenant AND ghost.slug = u.slug
        )
        """,
        tenant,
    )
    return [row["slug"] for row in rows]


async def give_up_name(connection: Connection, tenant: TenantId, slug: UserSlug) -> None:
    """Let a ghost whose user is gone have a slug no longer that somebody else takes now."""
    await connection.execute(
        """
        UPDATE ghost SET slug = '=' || mxid
        WHERE tenant = $1 AND slug = $2 AND NOT EXISTS (
            SELECT FROM directory_user AS u WHERE u.tenant = $1 AND u.slug = $2
        )
        """,
        tenant,
        slug,
    )


async def mark_registered(connection: Connection, mxid: Mxid) -> None:
    """Note that the homeserver knows the ghost and its device."""
    await connection.execute(
        "UPDATE ghost SET registered = true, device = true WHERE mxid = $1", mxid
    )


async def mark_name(connection: Connection, mxid: Mxid, name: str) -> None:
    """Note which display name the homeserver has for the ghost."""
    await connection.execute("UPDATE ghost SET name = $2 WHERE mxid = $1", mxid, name)
