"""Ghosts: what has been done for each on the homeserver, so that it is done once."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.ids import Mxid, TenantId, UserSlug
from .database import Connection, certain


@dataclass(frozen=True, slots=True)
class Ghost:
    """A Matrix user that stands for an OpenMeet user."""

    mxid: Mxid
    tenant: TenantId
    slug: UserSlug
    registered: bool
    device: bool
    name: str | None


async def ensure(connection: Connection, mxid: Mxid, tenant: TenantId, slug: UserSlug) -> Ghost:
    """Return a ghost, written down now if it was not yet."""
    await connection.execute(
        "INSERT INTO ghost (mxid, tenant, slug) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        mxid,
        tenant,
        slug,
    )
    found = await connection.fetchrow(
        "SELECT * FROM ghost WHERE tenant = $1 AND slug = $2", tenant, slug
    )
    return Ghost(**dict(certain(found, "the ghost was just written")))


async def mark_registered(connection: Connection, mxid: Mxid) -> None:
    """Note that the homeserver knows the ghost and its device."""
    await connection.execute(
        "UPDATE ghost SET registered = true, device = true WHERE mxid = $1", mxid
    )


async def mark_name(connection: Connection, mxid: Mxid, name: str) -> None:
    """Note which display name the homeserver has for the ghost."""
    await connection.execute("UPDATE ghost SET name = $2 WHERE mxid = $1", mxid, name)
