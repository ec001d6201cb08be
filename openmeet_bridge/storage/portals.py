"""What has been done for a portal's room, and what the log shows of it: both sides of a plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId, UserSlug
from .database import Connection
from .rooms import State


@dataclass(frozen=True, slots=True)
class Room:
    """The room of a portal, with what was done.

    Attributes:
        applied: What of the directory it was last given, as JSON.
        listed: It is in the homeserver's public directory.
        problem: What could not be done and does not stop the rest.
        announced: OpenMeet was told that it is ready.
    """

    room_id: RoomId
    applied: str
    listed: bool
    problem: str | None
    announced: bool


_ROOM = "SELECT room_id, applied, listed, problem, announced FROM portal"


async def room(connection: Connection, ref: PortalRef) -> Room | None:
    """Return the room of a portal."""
    row = await connection.fetchrow(f"{_ROOM} WHERE tenant = $1 AND kind = $2 AND slug = $3", *ref)
    return Room(**dict(row)) if row else None


async def room_with(connection: Connection, room_id: RoomId) -> Room | None:
    """Return a room that is a portal's."""
    row = await connection.fetchrow(f"{_ROOM} WHERE room_id = $1", room_id)
    return Room(**dict(row)) if row else None


async def record(
    connection: Connection, room_id: RoomId, applied: str, listed: bool, problem: str | None
) -> None:
    """Note what a room has been given."""
    await connection.execute(
        """
        UPDATE portal SET applied = $2::jsonb, listed = $3, problem = $4
        WHERE room_id = $1 AND (applied, listed, problem) IS DISTINCT FROM ($2::jsonb, $3, $4)
        """,
        room_id,
        applied,
        listed,
        problem,
    )


async def note_problem(connection: Connection, room_id: RoomId, problem: str) -> None:
    """Note what could not be done and does not stop the rest."""
    await connection.execute("UPDATE portal SET problem = $2 WHERE room_id = $1", room_id, problem)


async def announce(connection: Connection, room_id: RoomId) -> bool:
    """Note that OpenMeet is told of a room; False where that was so already."""
    done = await connection.execute(
        "UPDATE portal SET announced = true WHERE room_id = $1 AND NOT announced", room_id
    )
    return bool(done == "UPDATE 1")


async def states(connection: Connection, room_id: RoomId) -> list[State]:
    """Return a room's present state, as far as it is kept."""
    rows = await connection.fetch("SELECT * FROM room_state WHERE room_id = $1", room_id)
    return [State(**dict(row)) for row in rows]


async def ghosts_among(
    connection: Connection, mxids: Iterable[Mxid]
) -> dict[Mxid, tuple[TenantId, UserSlug]]:
    """Return which of these are ghosts, and of whom."""
    rows = await connection.fetch(
        "SELECT mxid, tenant, slug FROM ghost WHERE mxid = ANY($1::text[])", list(mxids)
    )
    return {row["mxid"]: (row["tenant"], row["slug"]) for row in rows}


async def ghosts_of(
    connection: Connection, tenant: TenantId, slugs: Iterable[UserSlug]
) -> dict[UserSlug, Mxid]:
    """Return the ghosts of these users, of those that have one."""
    rows = await connection.fetch(
        "SELECT slug, mxid FROM ghost WHERE tenant = $1 AND slug = ANY($2::text[])",
        tenant,
        list(slugs),
    )
    return {row["slug"]: row["mxid"] for row in rows}


async def unsettle(connection: Connection, ref: PortalRef, slugs: Iterable[UserSlug]) -> None:
    """Note that the room must follow these members' rows anew: the bridge takes them out."""
    await connection.execute(
        """
        UPDATE directory_member SET settled = false
        WHERE tenant = $1 AND kind = $2 AND slug = $3 AND user_slug = ANY($4::text[]) AND settled
        """,
        *ref,
        list(slugs),
    )


async def bound_to(connection: Connection, room_id: RoomId) -> PortalRef | None:
    """Return which portal's room this is, whatever the tenant."""
    row = await connection.fetchrow(
        "SELECT tenant, kind, slug FROM portal WHERE room_id = $1", room_id
    )
    return PortalRef(row["tenant"], PortalKind(row["kind"]), row["slug"]) if row else None


async def is_former(connection: Connection, room_id: RoomId) -> bool:
    """Whether a portal's room this was once and never will be again."""
    return bool(
        await connection.fetchval("SELECT true FROM former_room WHERE room_id = $1", room_id)
    )
