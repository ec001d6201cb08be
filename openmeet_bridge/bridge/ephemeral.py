"""Ephemeral events: what a transaction brings beside events. They may be lost, never block.

A transaction comes to any process. What becomes of typing, receipts and presence in the others is
for those who handle them; that a notice of the bot's own typing came is known to all, because an
operator asks any of them whether it did.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
import structlog

from ..core.errors import Unavailable
from ..core.events import UNREADABLE, Ephemeral, name_problem
from ..core.ids import EventId, Mxid, RoomId
from ..storage.read_marks import ReadMark
from ..stream.broadcast import Broadcast
from ..stream.bus import EVERYBODY
from ..stream.signals import TypingCame
from .matrix_presence import MatrixPresence
from .receipts import Receipts
from .typing import Typing

log = structlog.get_logger(__name__)

T = TypeVar("T")

_REMEMBERED = 64


class _TypingContent(msgspec.Struct):
    user_ids: list[Mxid]


class _PresenceContent(msgspec.Struct):
    presence: str
    last_active_ago: float | None = None


class _Stamp(msgspec.Struct):
    ts: int = 0


class _ReceiptContent(msgspec.Struct, rename={"read": "m.read"}):
    read: dict[Mxid, _Stamp] = {}


_presence = msgspec.json.Decoder(_PresenceContent)
_typing = msgspec.json.Decoder(_TypingContent)
_receipts = msgspec.json.Decoder(dict[EventId, _ReceiptContent])


class EphemeralEvents:
    """Gives typing notices, receipts and presence to those who handle them.

    Args:
        typing: Gets typing notices.
        receipts: Gets receipts.
        presence: Gets presence; None where nobody is to be shown it.
        broadcast: Leads to the other processes.
        bot: Types only when an operator looks whether that arrives.
    """

    def __init__(
        self,
        typing: Typing,
        receipts: Receipts,
        presence: MatrixPresence | None,
        broadcast: Broadcast,
        bot: Mxid,
    ) -> None:
        self._typing = typing
        self._receipts = receipts
        self._presence = presence
        self._broadcast = broadcast
        self._bot = bot
        self._typed: OrderedDict[RoomId, int] = OrderedDict()
        self._tried: OrderedDict[RoomId, None] = OrderedDict()
        broadcast.on(TypingCame, self._typing_came_elsewhere)

    def last_typing(self, room_id: RoomId) -> int | None:
        """Return when a typing notice of a room came last (ms); only the newest are remembered."""
        return self._typed.get(room_id)

    async def heard(self, events: Sequence[Ephemeral]) -> None:
        """Handle ephemeral events. Whatever goes wrong costs only them."""
        marks: list[ReadMark] = []
        typing: dict[RoomId, list[Mxid]] = {}
        for event in events:
            place = event.room_id or event.sender
            if place is None or not _are_names(place):
                continue
            try:
                if event.type == "m.presence":
                    self._note_presence(event)
                elif event.room_id is None:
                    continue
                elif event.type == "m.typing":
                    mxids = _typing.decode(event.content).user_ids
                    self._note_typing(event.room_id, mxids)
                    typing[event.room_id] = list(filter(_are_names, mxids))
                elif event.type == "m.receipt":
                    marks.extend(_marks(event.room_id, event.content))
            except UNREADABLE as error:
                log.warning("ephemeral.unreadable", type=event.type, error=str(error))
        if self._presence is not None:
            self._presence.say()
        try:
            if marks:
                await self._receipts.heard(marks)
            for room_id, mxids in typing.items():
                await self._typing.heard(room_id, mxids)
        except Unavailable as error:
            log.warning("ephemeral.dropped", error=str(error))

    def _note_presence(self, event: Ephemeral) -> None:
        if event.sender is not None and self._presence is not None:
            content = _presence.decode(event.content)
            self._presence.heard(event.sender, content.presence, content.last_active_ago)

    def _note_typing(self, room_id: RoomId, mxids: Sequence[Mxid]) -> None:
        now = int(time.time() * 1000)
        _remember(self._typed, room_id, now)
        if self._bot in mxids or room_id in self._tried:
            _remember(self._tried, room_id, None)  # its end is looked for, too
            self._broadcast.say(EVERYBODY, TypingCame(room_id, now), fleeting=True)

    def _typing_came_elsewhere(self, said: TypingCame) -> None:
        _remember(self._typed, said.room_id, said.at_ms)
        _remember(self._tried, said.room_id, None)


def _remember(known: OrderedDict[RoomId, T], room_id: RoomId, what: T) -> None:
    known[room_id] = what
    known.move_to_end(room_id)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)


def _marks(room_id: RoomId, content: bytes | msgspec.Raw) -> Iterator[ReadMark]:
    # m.read.private is left out: it comes for our own ghosts only, and those never send it.
    for event_id, kinds in _receipts.decode(content).items():
        for mxid, stamp in kinds.read.items():
            if _are_names(mxid, event_id) and 0 <= stamp.ts < 1 << 63:
                yield ReadMark(room_id, mxid, event_id, stamp.ts)


def _are_names(*texts: str) -> bool:
    """Whether these can be in the database: anybody may type and read under any name."""
    return not any(map(name_problem, texts))
