"""How people, groups, meetups and direct chats are written as JSON.

The details alone, for routes that name the thing in their path; and whole lines, with the slug and
a ``type``, for batches, snapshots and files with one JSON object a line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..core.changes import Change, PutDirect, PutPortal, PutUser, ReplaceMembers
from ..core.directory import CONFIRMED, Member, Portal, User, Visibility
from ..core.ids import Mxid, PortalKind, PortalRef, TenantId, UserSlug

_INT8 = 2**63 - 1
_YEARS = range(1900, 9000)

Slug = Annotated[str, Meta(min_length=1, max_length=255, description="OpenMeet's slug.")]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
_Name = Annotated[str, Meta(min_length=1, max_length=255, description="As people see it.")]
_PersonName = Annotated[
    str,
    Meta(
        max_length=512,
        description="As others see it. An empty one, or an e-mail address, is never shown.",
    ),
]
_Id = Annotated[int, Meta(ge=1, le=_INT8, description="OpenMeet's number.")]
_Url = Annotated[str, Meta(max_length=2000, pattern=r"^https?://")]
_Moment = Annotated[
    datetime, Meta(tz=True, description="RFC 3339 with an offset: `2026-05-01T18:30:00+02:00`.")
]
_Status = Annotated[
    Literal["draft", "pending", "published", "cancelled"], Meta(description="OpenMeet's own word.")
]
_Visibility = Annotated[
    Literal["public", "authenticated", "private"],
    Meta(description="Who may see it on OpenMeet; the tenant's rules say how open the room is."),
]
_MatrixId = Annotated[
    str,
    Meta(
        max_length=255,
        pattern=r"^@[^:]+:.+$",
        description="The Matrix id that OpenMeet holds for the user already. It is used where the "
        "bridge may act as it, and only when the user is written for the first time.",
    ),
]


class Description(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that OpenMeet says there is. A field that is left out has its default."""


class UserDetails(Description, kw_only=True):
    """A user. `id` is the number by which tokens name the user.

    With `active` false the user is out of every room until it is true again.
    """

    name: _PersonName
    id: _Id | None = None
    avatar_url: _Url | None = None
    active: bool = True
    matrix_user_id: _MatrixId | None = None

    def to_user(self, tenant: TenantId, slug: str) -> User:
        """Return the user as the directory has it."""
        mxid = None if self.matrix_user_id is None else Mxid(self.matrix_user_id)
        return User(tenant, UserSlug(slug), self.id, self.name, self.avatar_url, self.active, mxid)


class GroupDetails(Description, kw_only=True):
    """A group. `url` is its page on OpenMeet; the room links to it."""

    name: _Name
    id: _Id | None = None
    topic: Annotated[str, Meta(max_length=2000)] = ""
    avatar_url: _Url | None = None
    url: _Url | None = None
    visibility: _Visibility = "private"
    status: _Status | None = None

    def to_portal(self, ref: PortalRef) -> Portal:
        """Return the portal as the directory has it; the directory gives it the alias."""
        return Portal(
            ref,
            alias="",
            name=self.name,
            topic=self.topic,
            avatar_url=self.avatar_url,
            url=self.url,
            visibility=Visibility(self.visibility),
            openmeet_id=self.id,
            status=self.status,
        )


class MeetupDetails(GroupDetails, kw_only=True):
    """A meetup (OpenMeet's event). `group` is the slug of the group to which it belongs."""

    starts_at: _Moment | None = None
    ends_at: _Moment | None = None
    group: Slug | None = None

    def __post_init__(self) -> None:
        for moment in (self.starts_at, self.ends_at):
            if moment is not None and moment.year not in _YEARS:
                raise ValueError(f"The year {moment.year} cannot be that of a meetup")

    def to_portal(self, ref: PortalRef) -> Portal:
        """Return the portal as the directory has it; the directory gives it the alias."""
        return replace(
            super().to_portal(ref),
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            group=self.group,
        )


class MemberDetails(Description, kw_only=True):
    """What a user is in a group or a meetup, in OpenMeet's own words.

    The tenant's rules (`rules` of the configuration) say which roles and, in a meetup, which
    statuses are in the room. The status `banned` bans the user from it.
    """

    role: Annotated[
        Word, Meta(description="`owner`, `admin`, `moderator`, `member`, `guest`, `host` …")
    ] = "member"
    status: Annotated[
        Word, Meta(description="`confirmed`, `attended`, `pending`, `cancelled`, `banned` …")
    ] = CONFIRMED

    def as_member(self, user: str) -> Member:
        """Return the member as the directory has it."""
        return Member(UserSlug(user), self.role, self.status)


class MemberLine(MemberDetails, kw_only=True):
    """A user and what the user is in a group or a meetup."""

    user: Slug

    def to_member(self) -> Member:
        """Return the member as the directory has it."""
        return self.as_member(self.user)


Members = Annotated[list[MemberLine], Meta(description="All who are anything in it.")]


def check_unique(members: Sequence[MemberLine]) -> None:
    """Check that nobody is in a list of members twice.

    Raises:
        ValueError: Somebody is.
    """
    counted = Counter(one.user for one in members)
    if doubles := [user for user, count in counted.items() if count > 1]:
        raise ValueError(f"`members` has {doubles[0]!r} twice")


class UserLine(UserDetails, kw_only=True, tag_field="type", tag="user"):
    """A user with the slug."""

    slug: Slug

    def to_changes(self, tenant: TenantId) -> list[Change]:
        """Return what makes the directory so."""
        return [PutUser(self.to_user(tenant, self.slug))]


class GroupLine(GroupDetails, kw_only=True, tag_field="type", tag="group"):
    """A group with its slug, and its members; without `members` whoever is in it stays."""

    slug: Slug
    members: Members | None = None

    def __post_init__(self) -> None:
        check_unique(self.members or [])

    def to_changes(self, tenant: TenantId) -> list[Change]:
        """Return what makes the directory so."""
        return _with_members(self, PortalRef(tenant, PortalKind.GROUP, self.slug))


class MeetupLine(MeetupDetails, kw_only=True, tag_field="type", tag="meetup"):
    """A meetup with its slug, and its members; without `members` whoever is in it stays."""

    slug: Slug
    members: Members | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unique(self.members or [])

    def to_changes(self, tenant: TenantId) -> list[Change]:
        """Return what makes the directory so."""
        return _with_members(self, PortalRef(tenant, PortalKind.MEETUP, self.slug))


class DirectLine(Description, kw_only=True, tag_field="type", tag="direct"):
    """Two users who have a direct chat, in any order."""

    first: Slug
    second: Slug

    def to_changes(self, tenant: TenantId) -> list[Change]:
        """Return what makes the directory so."""
        return [PutDirect(UserSlug(self.first), UserSlug(self.second))]


Line = UserLine | GroupLine | MeetupLine | DirectLine
"""One line of a file with one JSON object a line: ``msgspec.json.decode(line, type=Line)``."""


def _with_members(line: GroupLine | MeetupLine, ref: PortalRef) -> list[Change]:
    changes: list[Change] = [PutPortal(line.to_portal(ref))]
    if line.members is not None:
        changes.append(ReplaceMembers(ref, [member.to_member() for member in line.members]))
    return changes
