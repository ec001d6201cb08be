"""A direct chat in the shape that OpenMeet's web app knows (its ``ChatEntity``)."""

from __future__ import annotations

import msgspec

from ...bridge.direct_lists import DirectChat
from ...core.directory import NAMELESS, User
from ...core.ids import RoomId
from ...core.web_chat import chat_number, chat_ulid
from ...core.web_message import WebMessage
from ...core.words import MOST_CALLED, line


class Photo(msgspec.Struct):
    """Somebody's picture."""

    path: str


class ChatUser(msgspec.Struct):
    """Somebody of a direct chat. There never is an e-mail address.

    `id` is 0, and `slug` empty, where somebody is gone; `ulid` is always empty.
    """

    id: int
    ulid: str
    slug: str
    email: None
    name: str
    firstName: str
    lastName: str
    photo: Photo | None


class Chat(msgspec.Struct):
    """A direct chat: `user` is the caller, `participant` the other one. Oldest message first.

    `id` and `ulid` are always the same for the same two people. `unreadCount` stops at 100, which
    means 100 or more.
    """

    id: int
    ulid: str
    roomId: RoomId
    participants: list[ChatUser]
    participant: ChatUser
    user: ChatUser
    messages: list[WebMessage]
    unreadCount: int


def chat(me: User, found: DirectChat) -> Chat:
    """Return a direct chat as the web app gets it."""
    user = _user(me)
    other = _user(found.other) if found.other is not None else _GONE
    return Chat(
        id=chat_number(found.ref),
        ulid=chat_ulid(found.ref),
        roomId=found.room_id,
        participants=[user, other],
        participant=other,
        user=user,
        messages=found.messages,
        unreadCount=found.unread_count,
    )


def _user(user: User) -> ChatUser:
    name = line(user.name, MOST_CALLED) or NAMELESS
    first, _, last = name.partition(" ")
    return ChatUser(
        id=user.openmeet_id or 0,
        ulid="",
        slug=user.slug,
        email=None,
        name=name,
        firstName=first,
        lastName=last,
        photo=Photo(user.avatar_url) if user.avatar_url else None,
    )


_GONE = ChatUser(0, "", "", None, NAMELESS, NAMELESS, "", None)
