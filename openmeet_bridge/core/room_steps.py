"""Steps: the single things that are done to make a portal's room what it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .ids import Mxid, PortalRef


@dataclass(frozen=True, slots=True)
class CreateRoom:
    """Make a room with this alias, and invite or let in these people."""

    alias: str
    members: tuple[Mxid, ...]


@dataclass(frozen=True, slots=True)
class SetState:
    """Set a state event."""

    type: str
    key: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CreateAlias:
    """Let an alias lead to the room, whatever room of ours it leads to now."""

    alias: str


@dataclass(frozen=True, slots=True)
class DeleteAlias:
    """Let an alias no longer lead to the room."""

    alias: str


@dataclass(frozen=True, slots=True)
class List:
    """Show the room in the homeserver's public directory."""


@dataclass(frozen=True, slots=True)
class Unlist:
    """Show the room there no longer."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Let the bot say something in the room."""

    text: str


@dataclass(frozen=True, slots=True)
class Invite:
    """Invite a ghost."""

    mxid: Mxid


@dataclass(frozen=True, slots=True)
class Join:
    """Let a ghost come in."""

    mxid: Mxid


@dataclass(frozen=True, slots=True)
class Kick:
    """Put somebody out."""

    mxid: Mxid
    reason: str


@dataclass(frozen=True, slots=True)
class Ban:
    """Put somebody out, or keep them out, for as long as OpenMeet bans them."""

    mxid: Mxid
    reason: str


@dataclass(frozen=True, slots=True)
class Unban:
    """Let somebody be invited again."""

    mxid: Mxid


@dataclass(frozen=True, slots=True)
class Look:
    """Find out what only the homeserver or OpenMeet can tell.

    Attributes:
        what: For people.
    """

    what: str


@dataclass(frozen=True, slots=True)
class Close:
    """Part the room, which is empty now, from its portal for good."""

    ref: PortalRef


MemberStep = Invite | Join | Kick | Ban | Unban
Step = (
    CreateRoom
    | SetState
    | CreateAlias
    | DeleteAlias
    | List
    | Unlist
    | Notice
    | Invite
    | Join
    | Kick
    | Ban
    | Unban
    | Look
    | Close
)
