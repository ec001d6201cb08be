"""Comparing a tenant's directory with what OpenMeet says: which changes make the one the other.

Things are recognised by OpenMeet's number first and by their slug second. So a slug that changed
is a rename, which keeps the room and the ghost; and a slug behind which now stands another number
is another thing, which gets nothing of what the former one had.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from .changes import (
    Change,
    DeleteMember,
    DeletePortal,
    DeleteUser,
    PutDirect,
    PutMember,
    PutPortal,
    PutUser,
    ReplaceMembers,
)
from .directory import Member, Portal, Snapshot, User, shown_name
from .ids import PortalKind, PortalRef, UserSlug
from .naming import direct_pair
from .renaming import renames_of_portals, renames_of_users, with_changes

FEW = 5
"""So many removals are ordinary life, however small the tenant."""

_SINGLE_MEMBERS = 3
_OURS = frozenset({"alias", "mxid", "reborn", "deleted"})
_KINDS = (PortalKind.GROUP, PortalKind.MEETUP)


@dataclass(frozen=True, slots=True)
class Problem:
    """A row of OpenMeet's that cannot be used, or a change that was refused.

    Attributes:
        table: OpenMeet's name of the table, or the kind of thing.
        id: OpenMeet's number of the row, or the slug.
        reason: What is wrong with it.
    """

    table: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Removals:
    """How much a comparison would take away, and of how much.

    Attributes:
        users: Users who would be removed or deactivated.
        portals: Groups and meetups that would be removed.
        members: Memberships that would end, in portals and of users that stay.
    """

    users: int
    portals: int
    of_users: int
    of_portals: int
    members: int = 0
    of_members: int = 0

    def exceeds(self, part: float) -> bool:
        """Whether more than this part of anything would go; a few may always."""
        return any(
            _too_many(gone, of, part)
            for gone, of in (
                (self.users, self.of_users),
                (self.portals, self.of_portals),
                (self.members, self.of_members),
            )
        )


def _too_many(gone: int, of: int, part: float) -> bool:
    return gone > part * of and (gone > FEW or gone >= of > 1)


def changes(
    present: Snapshot, wanted: Snapshot, *, kept: Collection[str] = frozenset()
) -> list[Change]:
    """Return what makes the directory ``present`` equal to ``wanted``, in a workable order.

    Renames come first, with what stands in their way removed before; then users, groups, meetups,
    members and direct chats are put; then portals and users are removed. Direct chats are never
    removed and blocks never touched: OpenMeet's database does not know them all.

    Args:
        present: The directory.
        wanted: What it should be. Members who are not among its users are left out.
        kept: Names of fields of users and portals that ``wanted`` says nothing about.
    """
    first: list[Change] = [*renames_of_users(present, wanted), *renames_of_portals(present, wanted)]
    base = with_changes(present, first)
    return [
        *first,
        *_users(base, wanted, kept),
        *_portals(base, wanted, kept),
        *_members(base, wanted),
        *_directs(base, wanted),
        *_deleted_portals(base, wanted),
        *(DeleteUser(slug) for slug in sorted(base.users.keys() - wanted.users.keys())),
    ]


def removals(present: Snapshot, wanted: Snapshot) -> Removals:
    """Count what would go. A rename takes nothing away."""
    planned = changes(present, wanted)
    renamed = [*renames_of_users(present, wanted), *renames_of_portals(present, wanted)]
    base = with_changes(present, renamed)
    resting = sum(
        1
        for slug, user in wanted.users.items()
        if not user.active and slug in base.users and base.users[slug].active
    )
    left = [
        slug
        for ref in _entities(wanted)
        for slug in base.members.get(ref, {}).keys() - _known_members(wanted, ref).keys()
        if slug in wanted.users
    ]
    return Removals(
        users=resting + sum(isinstance(change, DeleteUser) for change in planned),
        portals=sum(isinstance(change, DeletePortal) for change in planned),
        of_users=len(present.users),
        of_portals=len(_entities(present)),
        members=len(left),
        of_members=sum(len(present.members.get(ref, {})) for ref in _entities(present)),
    )


def unlike(one: User | Portal, other: User | Portal) -> tuple[str, ...]:
    """Return in which fields two values differ, apart from those that the bridge itself makes."""
    names = (item.name for item in fields(one) if item.name not in _OURS)
    return tuple(name for name in names if getattr(one, name) != getattr(other, name))


def without(
    change: Change, users: Collection[UserSlug], portals: Collection[PortalRef]
) -> Change | None:
    """Return what is left of a change when some users and portals could not be put."""
    match change:
        case PutUser(user):
            return None if user.slug in users else change
        case PutPortal(portal):
            return None if portal.ref in portals else change
        case ReplaceMembers(ref, members):
            left = [member for member in members if member.user not in users]
            return None if ref in portals else ReplaceMembers(ref, left)
        case PutMember(ref, member):
            return None if ref in portals or member.user in users else change
        case DeleteMember(ref, _):
            return None if ref in portals else change
        case PutDirect(first, second):
            return None if first in users or second in users else change
    return change


def _users(base: Snapshot, wanted: Snapshot, kept: Collection[str]) -> Iterator[Change]:
    for slug, user in wanted.users.items():
        there = base.users.get(slug)
        should = replace(user, name=shown_name(user.name))
        if there is not None:
            should = replace(should, **{name: getattr(there, name) for name in _of(there, kept)})
        if there is None or unlike(there, should):
            yield PutUser(should)


def _portals(base: Snapshot, wanted: Snapshot, kept: Collection[str]) -> Iterator[Change]:
    for kind in _KINDS:
        for should in wanted.of_kind(kind):
            there = base.portals.get(should.ref)
            if there is not None:
                same = {name: getattr(there, name) for name in _of(there, kept)}
                should = replace(should, **same)
            if there is None or unlike(there, should):
                yield PutPortal(should)


def _of(there: User | Portal, kept: Collection[str]) -> list[str]:
    return [item.name for item in fields(there) if item.name in kept]


def _members(base: Snapshot, wanted: Snapshot) -> Iterator[Change]:
    for ref in _entities(wanted):
        there = base.members.get(ref, {})
        should = _known_members(wanted, ref)
        put = [member for slug, member in should.items() if there.get(slug) != member]
        gone = sorted(there.keys() - should.keys())
        if len(put) + len(gone) > _SINGLE_MEMBERS:
            yield ReplaceMembers(ref, list(should.values()))
            continue
        yield from (PutMember(ref, member) for member in put)
        yield from (DeleteMember(ref, slug) for slug in gone)


def _known_members(wanted: Snapshot, ref: PortalRef) -> Mapping[UserSlug, Member]:
    members = wanted.members.get(ref, {})
    return {slug: member for slug, member in members.items() if slug in wanted.users}


def _directs(base: Snapshot, wanted: Snapshot) -> Iterator[Change]:
    for portal in wanted.of_kind(PortalKind.DIRECT):
        first, second = direct_pair(portal.ref.slug)
        known = first in wanted.users and second in wanted.users and first != second
        blocked = {(first, second), (second, first)} & base.blocks
        if known and not blocked and portal.ref not in base.portals:
            yield PutDirect(first, second)


def _deleted_portals(base: Snapshot, wanted: Snapshot) -> Iterator[Change]:
    entities = _entities(base)
    yield from (DeletePortal(ref) for ref in sorted(entities) if ref not in wanted.portals)


def _entities(snapshot: Snapshot) -> Sequence[PortalRef]:
    return [ref for ref in snapshot.portals if ref.kind is not PortalKind.DIRECT]
