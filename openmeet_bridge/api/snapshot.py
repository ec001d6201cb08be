"""A tenant's whole directory as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from ..core.directory import Member, Portal, Snapshot
from ..core.errors import BadRequest, InvalidParam
from ..core.ids import PortalKind, PortalRef, TenantId, UserSlug
from ..core.naming import Naming, direct_slug
from .descriptions import (
    Description,
    GroupDetails,
    MeetupDetails,
    MemberLine,
    Members,
    Slug,
    UserDetails,
    check_unique,
)

_MOST_COMPLAINTS = 20

Complaint = tuple[str, str]


class UserEntry(UserDetails, kw_only=True):
    """A user with the slug."""

    slug: Slug


class GroupEntry(GroupDetails, kw_only=True):
    """A group with its slug and its members."""

    slug: Slug
    members: Members

    def __post_init__(self) -> None:
        check_unique(self.members)


class MeetupEntry(MeetupDetails, kw_only=True):
    """A meetup with its slug and its members."""

    slug: Slug
    members: Members

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unique(self.members)


class DirectEntry(Description, kw_only=True):
    """Two users who have a direct chat, in any order."""

    first: Slug
    second: Slug


class WholeDirectory(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All that there is in a tenant."""

    users: list[UserEntry]
    groups: list[GroupEntry]
    meetups: list[MeetupEntry]
    directs: list[DirectEntry] = []

    def check(self, tenant: TenantId, naming: Naming) -> None:
        """Check that it can be a directory.

        Raises:
            BadRequest: It cannot; every place is named, up to a sensible number.
        """
        if found := dict(islice(self._complaints(tenant, naming), _MOST_COMPLAINTS)):
            raise BadRequest("This cannot be a whole directory.", fields=found)

    def to_snapshot(self, tenant: TenantId) -> Snapshot:
        """Return it as the comparison takes it."""
        portals, members = {}, {}
        for kind, entries in self._entities():
            for entry in entries:
                ref = PortalRef(tenant, kind, entry.slug)
                portals[ref] = entry.to_portal(ref)
                members[ref] = _by_user(entry.members)
        for pair in self.directs:
            ref = _pair(tenant, pair)
            portals[ref] = Portal(ref, alias="", name="")
            members[ref] = {slug: Member(slug) for slug in map(UserSlug, (pair.first, pair.second))}
        users = {UserSlug(one.slug): one.to_user(tenant, one.slug) for one in self.users}
        return Snapshot(users, portals, members)

    def _entities(self) -> Iterator[tuple[PortalKind, Sequence[GroupEntry | MeetupEntry]]]:
        yield PortalKind.GROUP, self.groups
        yield PortalKind.MEETUP, self.meetups

    def _complaints(self, tenant: TenantId, naming: Naming) -> Iterator[Complaint]:
        known = {one.slug for one in self.users}
        yield from _doubles("body.users", self.users)
        for number, user in enumerate(self.users):
            try:
                naming.ghost(tenant, UserSlug(user.slug))
            except InvalidParam as error:
                yield f"body.users[{number}].slug", error.message
        for kind, entries in self._entities():
            yield from _doubles(f"body.{kind.value}s", entries)
            for number, entry in enumerate(entries):
                place = f"body.{kind.value}s[{number}].members"
                yield from _strangers(place, [one.user for one in entry.members], known)
        for number, pair in enumerate(self.directs):
            place = f"body.directs[{number}]"
            if pair.first == pair.second:
                yield f"{place}.second", "is the first user"
            for name in ("first", "second"):
                if getattr(pair, name) not in known:
                    yield f"{place}.{name}", "is not among the users"


def _by_user(members: Iterable[MemberLine]) -> dict[UserSlug, Member]:
    return {UserSlug(one.user): one.to_member() for one in members}


def _pair(tenant: TenantId, pair: DirectEntry) -> PortalRef:
    slug = direct_slug(UserSlug(pair.first), UserSlug(pair.second))
    return PortalRef(tenant, PortalKind.DIRECT, slug)


def _strangers(place: str, users: Sequence[str], known: set[str]) -> Iterator[Complaint]:
    for number, user in enumerate(users):
        if user not in known:
            yield f"{place}[{number}].user", "is not among the users"


def _doubles(
    place: str, entries: Sequence[UserEntry] | Sequence[GroupEntry | MeetupEntry]
) -> Iterator[Complaint]:
    slugs: set[str] = set()
    ids: set[int] = set()
    for number, one in enumerate(entries):
        if one.slug in slugs:
            yield f"{place}[{number}].slug", "is there twice"
        if one.id is not None and one.id in ids:
            yield f"{place}[{number}].id", "is there twice"
        slugs.add(one.slug)
        ids |= set() if one.id is None else {one.id}
