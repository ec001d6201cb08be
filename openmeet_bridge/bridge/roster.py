"""Who is anything in a portal, what Matrix shows of it, and why somebody is not in the room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..core.directory import Member, Override
from ..core.errors import NotFound
from ..core.ids import Mxid, PortalRef, TenantId, UserSlug
from ..core.rules import Place, Rules
from ..storage import directory, following, rooms
from ..storage.database import Connection, Database


@dataclass(frozen=True, slots=True)
class Seat:
    """Somebody's place in a portal.

    Attributes:
        user: The slug.
        mxid: The ghost.
        member: What OpenMeet says; None where only an operator has said something.
        override: What an operator has said.
        place: Where somebody should be.
        in_room: Whether somebody is in the room.
        why: Why somebody is not in the room: ``role``, ``status``, ``banned``, ``inactive``,
            ``override``; or, who should be in it, ``pending`` or ``failed``.
    """

    user: UserSlug
    mxid: Mxid
    member: Member | None
    override: Override | None
    place: Place
    in_room: bool
    why: str | None


class Roster:
    """Tells who is anything where.

    Args:
        database: Holds the directory and what the log says of rooms.
        rules: Of each tenant.
    """

    def __init__(self, database: Database, rules: Callable[[TenantId], Rules]) -> None:
        self._database = database
        self._rules = rules

    async def seats(self, ref: PortalRef) -> list[Seat]:
        """Return everybody who is anything in a portal, by slug.

        Raises:
            NotFound: There is no such portal.
        """
        async with self._database.snapshot() as connection:
            portal = await directory.portal(connection, ref)
            if portal is None or portal.deleted:
                raise NotFound(f"No {ref.kind} {ref.slug!r} is known in this tenant.")
            job = await following.of(connection, *ref)
            joined = await _joined(connection, ref)
            people = await directory.people(connection, ref)
            members = await directory.all_members(connection, ref)
            overrides = await directory.overrides(connection, ref)
        waiting = "failed" if job is not None and job.state == "failed" else "pending"
        rules = self._rules(ref.tenant)
        return [
            _seat(ref, rules, one, members, overrides, joined, waiting)
            for one in sorted(people, key=lambda one: one.slug)
        ]

    async def seat(self, ref: PortalRef, user: UserSlug) -> Seat:
        """Return somebody's place in a portal, also of somebody who is nothing in it.

        Raises:
            NotFound: There is no such portal, or no such user.
        """
        async with self._database.snapshot() as connection:
            portal = await directory.portal(connection, ref)
            one = await directory.user(connection, ref.tenant, user)
            if portal is None or portal.deleted or one is None or one.mxid is None:
                raise NotFound(f"No {ref.kind} {ref.slug!r} is known in this tenant.")
            member = await directory.member(connection, ref, user)
            override = (await directory.overrides(connection, ref)).get(user)
            room_id = await rooms.room_of(connection, ref)
            in_room = room_id and await rooms.is_joined(connection, ref.tenant, room_id, one.mxid)
        person = directory.Person(user, one.mxid, one.active)
        joined = {one.mxid} if in_room else set()
        members = {} if member is None else {user: member}
        overrides = {} if override is None else {user: override}
        return _seat(ref, self._rules(ref.tenant), person, members, overrides, joined, "pending")

    async def blocked_by(self, tenant: TenantId, user: UserSlug) -> list[UserSlug]:
        """Return whom a user blocks.

        Raises:
            NotFound: There is no such user.
        """
        async with self._database.snapshot() as connection:
            if await directory.user(connection, tenant, user) is None:
                raise NotFound(f"No user {user!r} is known in this tenant.")
            return await directory.blocked_by(connection, tenant, user)


async def _joined(connection: Connection, ref: PortalRef) -> set[Mxid]:
    room_id = await rooms.room_of(connection, ref)
    if room_id is None:
        return set()
    members = await rooms.room_members(connection, room_id)
    return {one.mxid for one in members if one.membership == "join" and not one.barred}


def _seat(
    ref: PortalRef,
    rules: Rules,
    user: directory.Person,
    members: Mapping[UserSlug, Member],
    overrides: Mapping[UserSlug, Override],
    joined: set[Mxid],
    waiting: str,
) -> Seat:
    member, override = members.get(user.slug), overrides.get(user.slug)
    counts = member if user.active else None
    place = rules.standing(ref.kind, counts, override).place
    in_room = user.mxid in joined
    why = None
    if not in_room:
        why = waiting if place is Place.IN else _why_out(ref, rules, user.active, member, override)
    return Seat(user.slug, user.mxid, member, override, place, in_room, why)


def _why_out(
    ref: PortalRef,
    rules: Rules,
    active: bool,
    member: Member | None,
    override: Override | None,
) -> str:
    """Return which word keeps somebody out who is not wanted in."""
    if not active:
        return "inactive"
    if member is None or (override is not None and not override.inside):
        return "override"
    place = rules.standing(ref.kind, member).place
    if place is Place.BANNED:
        return "banned"
    # With a status that is always good, only the role can be wrong.
    attends = replace(member, status=next(iter(sorted(rules.meetup_statuses)), member.status))
    return "role" if rules.standing(ref.kind, attends).place is not Place.IN else "status"
