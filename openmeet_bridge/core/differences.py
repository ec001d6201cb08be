"""What planned changes of a directory would change, told without making them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from .changes import (
    Change,
    DeleteMember,
    DeletePortal,
    DeleteUser,
    Difference,
    PutDirect,
    PutMember,
    PutPortal,
    PutUser,
    RenamePortal,
    RenameUser,
    ReplaceMembers,
)
from .comparison import unlike
from .directory import Member, Portal, Snapshot, User
from .ids import PortalRef
from .naming import direct_slug
from .renaming import with_changes

_USER = "user"
_MOVES = (RenameUser, RenamePortal, DeleteUser, DeletePortal)


def differences(present: Snapshot, planned: Sequence[Change]) -> list[Difference]:
    """Return what changes that :func:`~.comparison.changes` planned for ``present`` would change.

    Each is told against the directory as it is after the renames and removals.
    """
    base = with_changes(present, [change for change in planned if isinstance(change, _MOVES)])
    return [difference for change in planned for difference in _of(base, change)]


def _of(base: Snapshot, change: Change) -> Iterator[Difference]:
    match change:
        case PutUser(person):
            yield _put(_USER, person.slug, base.users.get(person.slug), person)
        case PutPortal(portal):
            ref = portal.ref
            yield _put(ref.kind.value, ref.slug, base.portals.get(ref), portal)
        case RenameUser(_, to):
            yield Difference(_USER, to, "renamed", fields=("slug",))
        case RenamePortal(ref, to):
            yield Difference(ref.kind.value, to, "renamed", fields=("slug",))
        case DeleteUser(slug):
            yield Difference(_USER, slug, "removed")
        case DeletePortal(ref):
            yield Difference(ref.kind.value, ref.slug, "removed")
        case PutDirect(first, second):
            pair = direct_slug(first, second)
            yield Difference("direct", pair, "added")
            yield Difference("direct", pair, "added", first)
            yield Difference("direct", pair, "added", second)
        case PutMember(ref, member):
            yield from _member(base, ref, member)
        case DeleteMember(ref, user):
            yield Difference(ref.kind.value, ref.slug, "removed", user)
        case ReplaceMembers(ref, members):
            for user in sorted(base.members.get(ref, {}).keys() - {one.user for one in members}):
                yield Difference(ref.kind.value, ref.slug, "removed", user)
            for member in members:
                yield from _member(base, ref, member)


def _put(kind: str, slug: str, there: User | Portal | None, should: User | Portal) -> Difference:
    if there is None:
        return Difference(kind, slug, "added")
    return Difference(kind, slug, "changed", fields=unlike(there, should))


def _member(base: Snapshot, ref: PortalRef, member: Member) -> Iterator[Difference]:
    there = base.members.get(ref, {}).get(member.user)
    if there is None:
        yield Difference(ref.kind.value, ref.slug, "added", member.user)
    elif there != member:
        names = (item.name for item in fields(member))
        different = tuple(name for name in names if getattr(there, name) != getattr(member, name))
        yield Difference(ref.kind.value, ref.slug, "changed", member.user, different)
