"""Answers of the homeserver that the bridge keeps as they came.

Events stay :class:`msgspec.Raw`: views on the answer's own bytes. A view keeps the whole answer
alive, so copy (``bytes(raw)`` or ``raw.copy()``) what is kept for long.
"""

from __future__ import annotations

from msgspec import Raw, Struct, field


class Profile(Struct, frozen=True):
    """A person's global profile (client-server API, "Profiles"). None means: not set."""

    displayname: str | None = None
    avatar_url: str | None = None


class PresenceStatus(Struct, frozen=True):
    """How somebody is there (client-server API, "Presence").

    ``last_active_ago`` is in milliseconds.
    """

    presence: str
    last_active_ago: float | None = None


class EventList(Struct, frozen=True):
    """The ``{"events": [...]}`` wrapper of ``/sync``."""

    events: list[Raw] = field(default_factory=list)


class Timeline(Struct, frozen=True):
    """The newest events of a room, oldest first; without ``room_id`` in each of them.

    ``limited`` with ``prev_batch`` says that events before these are left out.
    """

    events: list[Raw] = field(default_factory=list)
    limited: bool = False
    prev_batch: str | None = None


class SyncedRoom(Struct, frozen=True):
    """What ``/sync`` says about a room that the user is in, or has left."""

    timeline: Timeline = field(default_factory=Timeline)
    state: EventList = field(default_factory=EventList)
    ephemeral: EventList = field(default_factory=EventList)


class InvitedRoom(Struct, frozen=True):
    """What ``/sync`` says about a room that the user is invited to: stripped state."""

    invite_state: EventList = field(default_factory=EventList)


class SyncedRooms(Struct, frozen=True):
    """Rooms by their id."""

    join: dict[str, SyncedRoom] = field(default_factory=dict)
    leave: dict[str, SyncedRoom] = field(default_factory=dict)
    invite: dict[str, InvitedRoom] = field(default_factory=dict)


class SyncAnswer(Struct, frozen=True):
    """Answer of ``GET /sync`` (client-server API, "Syncing")."""

    next_batch: str
    rooms: SyncedRooms = field(default_factory=SyncedRooms)


class MessagesAnswer(Struct, frozen=True):
    """One page of ``GET /rooms/{roomId}/messages``; events carry their ``room_id``.

    ``end`` is None when there is nothing further in that direction.
    """

    start: str
    end: str | None = None
    chunk: list[Raw] = field(default_factory=list)
    state: list[Raw] = field(default_factory=list)


class ContextAnswer(Struct, frozen=True):
    """Answer of ``GET /rooms/{roomId}/context/{eventId}``.

    ``start`` leads on from the event backwards, for ``/messages``. ``state`` is that of the room
    at the event.
    """

    start: str
    state: list[Raw] = field(default_factory=list)


class Whoami(Struct, frozen=True):
    """Answer of ``GET /account/whoami``."""

    user_id: str
    device_id: str | None = None


class Versions(Struct, frozen=True):
    """Answer of ``GET /versions``: what the homeserver speaks."""

    versions: list[str]
    unstable_features: dict[str, bool] = field(default_factory=dict)
