"""A tenant's rules: who is in a room, with what power, and how open the room is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from .directory import BANNED, CONFIRMED, Member, Override, Portal, Visibility
from .ids import PortalKind

CANCELLED = "cancelled"


class Place(StrEnum):
    """Where somebody should be with regard to a room."""

    IN = "in"
    OUT = "out"
    BANNED = "banned"


class Standing(NamedTuple):
    """Where somebody should be, and with which power level."""

    place: Place
    level: int = 0


class Aspect(StrEnum):
    """What somebody can change in a room from a Matrix client."""

    NAME = "name"
    TOPIC = "topic"
    AVATAR = "avatar"
    POWER_LEVELS = "power_levels"
    MEMBERSHIP = "membership"


class Exposure(NamedTuple):
    """How open a room is.

    Attributes:
        join: The join rule (``m.room.join_rules``).
        listed: Whether it is in the homeserver's public room directory.
        history: What newcomers may read (``m.room.history_visibility``).
    """

    join: str = "invite"
    listed: bool = False
    history: str = "shared"


GROUP_ROLES: Mapping[str, int] = {"owner": 90, "admin": 75, "moderator": 50, "member": 0}
MEETUP_ROLES: Mapping[str, int] = {
    "owner": 90,
    "host": 90,
    "admin": 75,
    "moderator": 50,
    "speaker": 25,
    "participant": 0,
    "guest": 0,
    "member": 0,
}
EXPOSURE: Mapping[Visibility, Exposure] = {
    Visibility.PUBLIC: Exposure(join="public", listed=True),
    Visibility.AUTHENTICATED: Exposure(),
    Visibility.PRIVATE: Exposure(),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How a tenant's directory becomes rooms.

    Attributes:
        group_roles: Power of each role that is in a group's room; who has another is not in it.
        meetup_roles: The same for meetups.
        meetup_statuses: Attendees with these statuses are in.
        exposure: How open the room of a group or meetup is.
        accepted: What people may change from a Matrix client, by kind; all else is put back.
        archive_after: How long after its end a meetup's room becomes read-only; None: never.
        archive_cancelled_after: The same for a cancelled one, counted from its start.
        spaces: Whether the tenant and each group have a space.
        space_members: Whether ghosts are members of the spaces.
    """

    group_roles: Mapping[str, int] = field(default_factory=lambda: GROUP_ROLES)
    meetup_roles: Mapping[str, int] = field(default_factory=lambda: MEETUP_ROLES)
    meetup_statuses: frozenset[str] = frozenset({CONFIRMED, "attended"})
    exposure: Mapping[Visibility, Exposure] = field(default_factory=lambda: EXPOSURE)
    accepted: Mapping[PortalKind, frozenset[Aspect]] = field(default_factory=dict)
    archive_after: timedelta | None = timedelta(days=30)
    archive_cancelled_after: timedelta | None = timedelta(days=7)
    spaces: bool = True
    space_members: bool = False

    def standing(
        self, kind: PortalKind, member: Member | None, override: Override | None = None
    ) -> Standing:
        """Return where somebody should be. An operator's word goes before OpenMeet's."""
        by_openmeet = self._by_openmeet(kind, member)
        if override is None:
            return by_openmeet
        if not override.inside:
            return Standing(Place.OUT)
        return Standing(Place.IN, by_openmeet.level)

    def _by_openmeet(self, kind: PortalKind, member: Member | None) -> Standing:
        if member is None:
            return Standing(Place.OUT)
        if member.status == BANNED:
            return Standing(Place.BANNED)
        if kind is PortalKind.DIRECT:
            return Standing(Place.IN)
        roles = self.group_roles if kind is PortalKind.GROUP else self.meetup_roles
        level = roles.get(member.role)
        if level is None or (kind is PortalKind.MEETUP and not self._attends(member)):
            return Standing(Place.OUT)
        return Standing(Place.IN, level)

    def _attends(self, member: Member) -> bool:
        return member.status in self.meetup_statuses

    def exposed(self, portal: Portal) -> Exposure:
        """Return how open a portal's room should be; a direct chat never is."""
        if portal.ref.kind is PortalKind.DIRECT:
            return Exposure()
        return self.exposure.get(portal.visibility, Exposure())

    def accepts(self, kind: PortalKind, aspect: Aspect) -> bool:
        """Whether a change made from a Matrix client stays until OpenMeet says something new."""
        return aspect in self.accepted.get(kind, frozenset())

    def archived_at(self, portal: Portal) -> datetime | None:
        """Return from when on a portal's room is read-only; None: never."""
        if portal.ref.kind is not PortalKind.MEETUP:
            return None
        end = portal.ends_at or portal.starts_at
        if portal.status == CANCELLED:
            start = portal.starts_at or portal.ends_at
            return _later(start, self.archive_cancelled_after)
        return _later(end, self.archive_after)


def _later(moment: datetime | None, by: timedelta | None) -> datetime | None:
    return None if moment is None or by is None else moment + by
