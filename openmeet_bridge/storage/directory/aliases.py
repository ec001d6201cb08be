"""The aliases of portals: which portal has one, now or formerly."""

from __future__ import annotations

from ...core.directory import Portal
from ...core.ids import PortalKind, PortalRef
from ..database import Connection
from .portals import SELECT_PORTAL, portal, portal_in


async def portal_by_alias(connection: Connection, alias: str) -> Portal | None:
    """Return the portal that should be and has this alias, now or formerly."""
    row = await connection.fetchrow(
        f"""
        {SELECT_PORTAL} WHERE NOT deleted AND (
            alias = $1 OR (tenant, kind, slug) IN (
                SELECT tenant, kind, slug FROM former_alias WHERE former_alias.alias = $1
            )
        ) ORDER BY alias = $1 DESC LIMIT 1
        """,  # noqa: S608
        alias,
    )
    return portal_in(row) if row else None


async def heir(connection: Connection, ref: PortalRef, alias: str) -> PortalRef:
    """Return which portal it is that was ``ref``, with this alias: it may be renamed by now."""
    if await portal(connection, ref) is not None:
        return ref
    renamed = await portal_by_alias(connection, alias)
    return ref if renamed is None or renamed.ref.tenant != ref.tenant else renamed.ref


async def forget_former_aliases(connection: Connection, ref: PortalRef) -> None:
    """Let a portal have no former aliases any more."""
    await connection.execute(
        "DELETE FROM former_alias WHERE tenant = $1 AND kind = $2 AND slug = $3", *ref
    )


async def former_aliases(connection: Connection, ref: PortalRef) -> list[str]:
    """Return the aliases that a portal had before and that still lead to its room."""
    rows = await connection.fetch(
        """
        SELECT alias FROM former_alias WHERE tenant = $1 AND kind = $2 AND slug = $3
        ORDER BY alias
        """,
        *ref,
    )
    return [row["alias"] for row in rows]


async def release_alias(connection: Connection, alias: str) -> PortalRef | None:
    """Let nobody have an alias as a former one; return who had it."""
    row = await connection.fetchrow(
        "DELETE FROM former_alias WHERE alias = $1 RETURNING tenant, kind, slug", alias
    )
    return PortalRef(row["tenant"], PortalKind(row["kind"]), row["slug"]) if row else None
