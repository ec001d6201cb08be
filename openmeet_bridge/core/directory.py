"""What OpenMeet says there should be, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .ids import Mxid, PortalKind, PortalRef, TenantId, UserSlug

NAMELESS = "OpenMeet user"
"""How somebody is shown whose profile has no name."""

CONFIRMED = "confirmed"
BANNED = "banned"
"""A member's status in any portal: out, and kept out by a ban of the room."""

_LONGEST_NAME = 255
"""Homeservers refuse longer display names; OpenMeet's, of two names, can be twice as long."""

_EMAIL = re.compile(r"\S+@\S+\.\S+")


class Visibility(StrEnum):
    """Who may see a group or a meetup on OpenMeet."""

    PUBLIC = "public"
    AUTHENTICATED = "authenticated"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class User:
    """A person of OpenMeet.

    Attributes:
        openmeet_id: OpenMeet's number, unique within the tenant.
        active: Whether the person may use OpenMeet at present.
        mxid: The Matrix id of the ghost. In what is written: the one that OpenMeet holds for the
            person already, None where there is none. In what is read: the one that is used.
    """

    tenant: TenantId
    slug: UserSlug
    openmeet_id: int | None
    name: str
    avatar_url: str | None
    active: bool = True
    mxid: Mxid | None = None


@dataclass(frozen=True, slots=True)
class Portal:
    """A group, meetup or direct chat that should have a room.

    Attributes:
        openmeet_id: OpenMeet's number, unique among the tenant's portals of the kind.
        url: The page on OpenMeet.
        status: OpenMeet's own word: ``draft``, ``pending``, ``published``, ``cancelled``.
        starts_at: When a meetup begins.
        ends_at: When it ends, where that is known.
        group: Slug of the group to which a meetup belongs.
        reborn: Deleted and made again while the room of its former life was still open: that one
            must be closed first, so that nobody comes into the old history.
    """

    ref: PortalRef
    alias: str
    name: str
    topic: str = ""
    avatar_url: str | None = None
    url: str | None = None
    visibility: Visibility = Visibility.PRIVATE
    openmeet_id: int | None = None
    status: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    group: str | None = None
    deleted: bool = False
    reborn: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """What somebody is in a portal, in OpenMeet's own words.

    Attributes:
        role: ``owner``, ``admin``, ``moderator``, ``member``, ``guest``, ``host`` …
        status: Of an attendee: ``confirmed``, ``cancelled``, ``pending`` …; ``banned`` anywhere.
    """

    user: UserSlug
    role: str = "member"
    status: str = CONFIRMED


@dataclass(frozen=True, slots=True)
class Override:
    """An operator's word that goes before OpenMeet's: somebody is in a portal, or is not."""

    user: UserSlug
    inside: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tenant's whole directory at one moment. Deleted portals are not part of it."""

    users: Mapping[UserSlug, User] = field(default_factory=dict)
    portals: Mapping[PortalRef, Portal] = field(default_factory=dict)
    members: Mapping[PortalRef, Mapping[UserSlug, Member]] = field(default_factory=dict)
    blocks: frozenset[tuple[UserSlug, UserSlug]] = frozenset()
    """Pairs: who blocks, who is blocked."""

    def of_kind(self, kind: PortalKind) -> list[Portal]:
        """Return the portals of a kind."""
        return [portal for ref, portal in self.portals.items() if ref.kind is kind]


def shown_name(name: str) -> str:
    """Return the name under which somebody may be shown: no e-mail address, and not too long."""
    name = " ".join(name.split())
    if not name or _EMAIL.search(name):
        return NAMELESS
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1].rstrip()}…"
