"""What the web app sends and gets of any conversation: messages, pages of them, ways in and out."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from ...bridge.web_sending import FIELD
from ...bridge.web_timeline import MOST_MESSAGES, WebPage
from ...core.errors import (
    BridgeError,
    Conflict,
    Forbidden,
    InvalidParam,
    LimitExceeded,
    NotFound,
    Unavailable,
)
from ...core.ids import EventId, RoomId, UserSlug
from ...core.web_message import WebMessage
from ..room_paths import ID

CREATED: Final = {201: "Sent."}
SEND_ERRORS: Final[tuple[type[BridgeError], ...]] = (
    InvalidParam,
    Forbidden,
    NotFound,
    Conflict,
    LimitExceeded,
    Unavailable,
)
READ_ERRORS: Final[tuple[type[BridgeError], ...]] = (
    InvalidParam,
    Forbidden,
    NotFound,
    Unavailable,
)

_USUAL = 50
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,9})(?:\.[0-9]*)?\s*")


class SlugPath(msgspec.Struct):
    """A group or an event."""

    slug: ID


class MemberPath(msgspec.Struct):
    """Somebody in a group or an event."""

    slug: ID
    userSlug: Annotated[UserSlug, Meta(min_length=1, max_length=255)]


class NewWebMessage(msgspec.Struct):
    """A message: what it says, in `message` or, as an older app had it, in `content`."""

    message: str | None = None
    content: str | None = None

    @property
    def text(self) -> str:
        """What it says.

        Raises:
            InvalidParam: Nothing.
        """
        text = self.content if self.message is None else self.message
        if text is None or not text.strip():
            raise InvalidParam("The message is empty.", fields={FIELD: "should not be empty"})
        return text


class SentMessage(msgspec.Struct):
    """The event that a message has become; the live copy has the same id."""

    id: EventId


class PageQuery(msgspec.Struct):
    """Which messages: `limit`, 1 to 200, of those before `from`, the `end` of another page."""

    limit: str | None = None
    from_: str | None = msgspec.field(default=None, name="from")

    @property
    def size(self) -> int:
        """How many; 50 where nothing that is a number says otherwise."""
        number = _NUMBER.fullmatch(self.limit or "")
        return max(1, min(int(number[1]), MOST_MESSAGES)) if number else _USUAL

    @property
    def before(self) -> str | None:
        """The end of the newer page; None where the newest is wanted."""
        return self.from_ or None


class DiscussionMessages(msgspec.Struct, omit_defaults=True):
    """Messages, newest first. `end` leads to older ones, and is empty where there are none."""

    messages: list[WebMessage]
    end: str
    roomId: RoomId | None = None

    @classmethod
    def of(cls, page: WebPage) -> DiscussionMessages:
        """Return a page as the web app gets it."""
        return cls(page.messages, page.end, page.room_id)


class Joined(msgspec.Struct, omit_defaults=True):
    """Whether somebody is in a room now; `message` says why not."""

    success: bool
    roomId: RoomId | None = None
    message: str | None = None


def not_joined(error: BridgeError) -> Joined:
    """Return the answer to somebody who does not come in: 201, with the reason in the body."""
    if isinstance(error, NotFound):
        return Joined(success=False, message=error.message)
    return Joined(success=False, message=f"Could not join chat room: {error.message}")


def nothing(status: int) -> web.Response:
    """Return an answer with no body, as OpenMeet's backend has it for what has no result."""
    return web.Response(status=status, headers={"Cache-Control": "no-store"})
