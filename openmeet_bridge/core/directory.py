"""What OpenMeet says there should be, as values."""

from __future__ import annotations

from dataclasses import dataclass

from .ids import PortalRef, TenantId, UserSlug


@dataclass(frozen=True, slots=True)
class User:
    """A person of OpenMeet. ``openmeet_id`` is OpenMeet's number, unique within the tenant."""

    tenant: TenantId
    slug: UserSlug
    openmeet_id: int | None
    name: str
    avatar_url: str | None


@dataclass(frozen=True, slots=True)
class Portal:
    """A group, meetup or direct chat that should have a room.

    Attributes:
        reborn: Deleted and made again while the room of its former life was still open: that one
            must be closed first, so that nobody comes into the old history.
    """

    ref: PortalRef
    alias: str
    name: str
    topic: str
    avatar_url: str | None
    url: str | None
    public: bool
    deleted: bool
    reborn: bool = False

    @property
    def join_rule(self) -> str:
        """How people of Matrix come in: by themselves, or by invitation only."""
        return "public" if self.public else "invite"
