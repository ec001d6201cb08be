"""Ghosts: what has been done for each on the homeserver, so that it is done once."""

from __future__ import annotations

from collections.abc import Sequence
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
        openmeet_id: OpenMeet's number of the user, where it was ever told.
        claimed_mxid: The Matrix id that OpenMeet holds for the user, where that is another one
            which could not be used.
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
    openmeet_id: int | None
    claimed_mxid: str | None
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


async def existing(
    connection: Connection, tenant: TenantId, numbers: Sequence[int]
) -> dict[tuple[int, UserSlug], Mxid]:
    """Return the Matrix ids of the users with these numbers of OpenMeet's whom Matrix has."""
    rows = await connection.fetch(
        """
        SELECT u.openmeet_id, u.slug, ghost.mxid
        FROM directory_user AS u JOIN ghost USING (tenant, slug)
        WHERE u.tenant = $1 AND u.openmeet_id = ANY($2::bigint[]) AND ghost.registered
              AND ghost.erased_at IS NULL
        """,
        tenant,
        list(numbers),
    )
    return {(row["openmeet_id"], row["slug"]): row["mxid"] for row in rows}


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


async def without_account(connection: Connection, mxids: Sequence[Mxid]) -> list[Mxid]:
    """Return those of these ghosts whose users are gone or deactivated."""
    rows = await connection.fetch(
        """
        SELECT ghost.mxid FROM ghost LEFT JOIN directory_user AS u USING (tenant, slug)
        WHERE ghost.mxid = ANY($1::text[]) AND u.active IS DISTINCT FROM true
        """,
        mxids,
    )
    return [Mxid(row["mxid"]) for row in rows]


async def signed_out(connection: Connection, mxids: Sequence[Mxid], hours: float) -> list[Mxid]:
    """Return those of these ghosts whose users were signed out in the last so many hours."""
    rows = await connection.fetch(
        """
        SELECT ghost.mxid FROM ghost JOIN directory_user AS u USING (tenant, slug)
        WHERE ghost.mxid = ANY($1::text[]) AND u.signed_out_at > now() - make_interval(mins => $2)
        """,
        mxids,
        round(hours * 60),
    )
    return [Mxid(row["mxid"]) for row in rows]


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


async def mark_avatar(
    connection: Connection, mxid: Mxid, source: str | None, mxc: str | None
) -> None:
    """Note which avatar the homeserver has for the ghost, and of what it was made."""
    await connection.execute(
        "UPDATE ghost SET avatar_source = $2, avatar_mxc = $3 WHERE mxid = $1", mxid, source, mxc
    )


async def mark_directs(connection: Connection, mxid: Mxid, directs: str) -> None:
    """Note which ``m.direct`` the homeserver has for the ghost."""
    await connection.execute("UPDATE ghost SET directs = $2 WHERE mxid = $1", mxid, directs)


async def mark_ignored(connection: Connection, mxid: Mxid, ignored: str) -> None:
    """Note which ``m.ignored_user_list`` the homeserver has for the ghost."""
    await connection.execute("UPDATE ghost SET ignored = $2 WHERE mxid = $1", mxid, ignored)


async def mark_person(
    connection: Connection, mxid: Mxid, openmeet_id: int | None, claimed: str | None
) -> None:
    """Note who is behind a ghost.

    Args:
        connection: The database.
        mxid: The ghost.
        openmeet_id: OpenMeet's number of the user; None leaves the one that is known.
        claimed: The Matrix id that OpenMeet holds for the user, where that cannot be the ghost.
    """
    await connection.execute(
        """
        UPDATE ghost SET openmeet_id = coalesce($2, openmeet_id), claimed_mxid = $3
        WHERE mxid = $1 AND (openmeet_id, claimed_mxid)
                            IS DISTINCT FROM (coalesce($2, openmeet_id), $3)
        """,
        mxid,
        openmeet_id,
        claimed,
    )


async def forget_profile(connection: Connection, mxid: Mxid) -> None:
    """Forget what the homeserver has for the ghost: it has lost it."""
    await connection.execute(
        """
        UPDATE ghost SET name = NULL, avatar_source = NULL, avatar_mxc = NULL, directs = NULL,
                         ignored = NULL
        WHERE mxid = $1
        """,
        mxid,
    )


async def mark_erased(connection: Connection, mxid: Mxid) -> None:
    """Note that the person is erased: the ghost, and its slug, can never be used again."""
    await connection.execute(
        """
        UPDATE ghost SET erased_at = coalesce(erased_at, now()), claimed_mxid = NULL
        WHERE mxid = $1
        """,
        mxid,
    )


async def erased(connection: Connection, tenant: TenantId) -> set[UserSlug]:
    """Return the slugs of a tenant's erased people. No feed can bring them back."""
    rows = await connection.fetch(
        "SELECT slug FROM ghost WHERE tenant = $1 AND erased_at IS NOT NULL", tenant
    )
    return {row["slug"] for row in rows}


async def among(connection: Connection, mxids: Sequence[Mxid]) -> set[Mxid]:
    """Return which of these people are ghosts, adopted ones included."""
    rows = await connection.fetch(
        "SELECT mxid FROM ghost WHERE mxid = ANY($1::text[])", list(mxids)
    )
    return {row["mxid"] for row in rows}
