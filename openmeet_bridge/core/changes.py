"""Changes of the directory: the one language in which every feed says what is new on OpenMeet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .directory import Member, Override, Portal, User
from .ids import PortalRef, UserSlug


@dataclass(frozen=True, slots=True)
class PutUser:
    """A user is so."""

    user: User


@dataclass(frozen=True, slots=True)
class DeleteUser:
    """There is no such user any more."""

    slug: UserSlug


@dataclass(frozen=True, slots=True)
class RenameUser:
    """A user has another slug; the ghost, its rooms and its messages stay."""

    slug: UserSlug
    to: UserSlug


@dataclass(frozen=True, slots=True)
class PutPortal:
    """A group or a meetup is so."""

    portal: Portal


@dataclass(frozen=True, slots=True)
class DeletePortal:
    """There is no such portal any more."""

    ref: PortalRef


@dataclass(frozen=True, slots=True)
class RenamePortal:
    """A group or a meetup has another slug; its room and its former alias stay."""

    ref: PortalRef
    to: str


@dataclass(frozen=True, slots=True)
class RenewPortal:
    """A group or a meetup gets a new room; the one that it has is closed for good."""

    ref: PortalRef


@dataclass(frozen=True, slots=True)
class PutMember:
    """A user is this in a portal."""

    ref: PortalRef
    member: Member


@dataclass(frozen=True, slots=True)
class DeleteMember:
    """A user is nothing in a portal any more."""

    ref: PortalRef
    user: UserSlug


@dataclass(frozen=True, slots=True)
class ReplaceMembers:
    """These are all who are anything in a portal."""

    ref: PortalRef
    members: Sequence[Member]


@dataclass(frozen=True, slots=True)
class PutDirect:
    """Two users have a direct chat."""

    first: UserSlug
    second: UserSlug


@dataclass(frozen=True, slots=True)
class PutBlock:
    """A user blocks another: no direct chat between them takes messages."""

    blocker: UserSlug
    blocked: UserSlug


@dataclass(frozen=True, slots=True)
class DeleteBlock:
    """A user no longer blocks another."""

    blocker: UserSlug
    blocked: UserSlug


@dataclass(frozen=True, slots=True)
class PutOverride:
    """An operator says where somebody is, whatever OpenMeet says."""

    ref: PortalRef
    override: Override


@dataclass(frozen=True, slots=True)
class DeleteOverride:
    """An operator takes that back."""

    ref: PortalRef
    user: UserSlug


Change = (
    PutUser
    | DeleteUser
    | RenameUser
    | PutPortal
    | DeletePortal
    | RenamePortal
    | RenewPortal
    | PutMember
    | DeleteMember
    | ReplaceMembers
    | PutDirect
    | PutBlock
    | DeleteBlock
    | PutOverride
    | DeleteOverride
)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change really changed.

    Attributes:
        kind: ``user``, ``group``, ``meetup`` or ``direct``.
        slug: Of the user or the portal.
        what: ``added``, ``changed``, ``removed``, ``renamed``.
        member: The member of the portal that is concerned; None: the thing itself.
        fields: What of it is different.
    """

    kind: str
    slug: str
    what: str
    member: UserSlug | None = None
    fields: tuple[str, ...] = ()
