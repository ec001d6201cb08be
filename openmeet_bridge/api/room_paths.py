"""Paths of the web API below a room."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

ID = Annotated[str, Meta(min_length=1, max_length=255)]

OwnID = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.~:=+-]+$")]


class RoomPath(msgspec.Struct):
    """A room."""

    room_id: ID


class MessagePath(msgspec.Struct):
    """One of the caller's own messages to a room."""

    room_id: ID
    client_txn_id: OwnID


class EntryPath(msgspec.Struct):
    """An entry of a room's timeline."""

    room_id: ID
    event_id: ID


class EditPath(msgspec.Struct):
    """An edit of one of the caller's own messages."""

    room_id: ID
    event_id: ID
    client_txn_id: OwnID


class ReactionPath(msgspec.Struct):
    """The caller's reaction to an entry."""

    room_id: ID
    event_id: ID
    key: ID
