"""What is to be seen of an event."""

from __future__ import annotations

from typing import NamedTuple

from .entry import Media, Place, Poll
from .html import as_text
from .html_text import without_spoilers
from .ids import EventId, Mxid

SPOILER = "data-mx-spoiler"


class Shown(NamedTuple):
    """What is to be seen of an event, before the people and entries it names are looked up.

    Attributes:
        kind: How to show it; see :class:`~openmeet_bridge.core.entry.Entry`.
        text: In words; never empty.
        html: Formatted, sanitised.
        mentioned: Whom it names.
        mentions_room: Whether it names everybody.
        reply_to: The event that it answers.
        thread: The event with which its thread began.
    """

    kind: str
    text: str
    html: str | None = None
    media: Media | None = None
    place: Place | None = None
    poll: Poll | None = None
    mentioned: tuple[Mxid, ...] = ()
    mentions_room: bool = False
    reply_to: EventId | None = None
    thread: EventId | None = None
    membership: str | None = None

    @property
    def open_text(self) -> str:
        """The text as it is read aloud: without marks of its format, what is covered left out.

        For quotes and notifications.
        """
        if self.html is None:
            return self.text
        # Of a file only the caption is formatted; its text names the file as well.
        spoken = as_text(self.html) if self.media is None else None
        return without_spoilers(spoken or self.text)


class Names(NamedTuple):
    """What the people of an event are called.

    Attributes:
        sender: Who sent it.
        subject: Of a member event: whom it is about.
        own: Whether both are the same.
    """

    sender: str
    subject: str | None = None
    own: bool = False
