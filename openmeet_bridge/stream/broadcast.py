"""The broadcast: what is not in the log, to whoever it concerns, whichever process they are on.

What is delivered here is said to the other processes too, and what they say is delivered here and
said no further. In a single process nothing is said, and nothing is encoded for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec
import structlog

from ..core.ids import Mxid, RoomId, TenantId
from ..telemetry import SIGNALS, SIGNALS_IGNORED
from . import signals
from .bus import EVERYBODY, Bus
from .frames import FRAME_TYPES, Frame
from .hub import Hub
from .reasons import CloseReason
from .signals import CloseUser, Expel, Saying, Signal, ToRoom, ToRooms, ToUser, Wake

log = structlog.get_logger(__name__)

S = TypeVar("S", bound=Signal)

_SAID = SIGNALS.labels("said")
_HEARD = SIGNALS.labels("heard")


class Broadcast:
    """Delivers to the streams of all processes, and lets their services hear of each other.

    Args:
        hub: The streams of this process.
        bus: Leads to the others. Its ``heard`` is to be :meth:`heard`.

    Attributes:
        hub: The streams of this process, for what all processes find out by themselves.
        origin: This process, as others know it.
        first_reader: Called with a room that has its first reader here, where there are others.
    """

    first_reader: Callable[[RoomId], None]

    def __init__(self, hub: Hub, bus: Bus) -> None:
        self.hub = hub
        self.origin = secrets.token_hex(8)
        self.first_reader = lambda _: None
        self._bus = bus
        self._wakers: dict[str, Callable[[str], None]] = {}
        self._handlers: dict[type, list[Callable[[Any], None]]] = {}
        self.on(ToRoom, lambda said: hub.to_room(said.room_id, _rebuilt(said.frame)))
        self.on(ToRooms, self._heard_to_rooms)
        self.on(ToUser, lambda said: hub.to_user(said.mxid, _rebuilt(said.frame)))
        self.on(CloseUser, lambda said: hub.close_user(said.mxid, _reason(said.reason)))
        self.on(Expel, lambda said: hub.expel(said.mxid, said.room_id))
        self.on(Wake, self._heard_wake)

    @property
    def alone(self) -> bool:
        """Whether there are no other processes, nor can be."""
        return self._bus.alone

    @property
    def deaf(self) -> bool:
        """Whether nothing is heard of the others at the moment."""
        return self._bus.deaf

    def begun(self, topic: str) -> None:
        """Note that a room has its first reader here, or a user a first stream."""
        self._bus.begin(topic)
        if not self.alone and topic.startswith("!"):
            self.first_reader(RoomId(topic))

    def over(self, topic: str) -> None:
        """Note that a room has no reader here any more, or a user no stream."""
        self._bus.end(topic)

    # To streams

    def to_room(self, room_id: RoomId, frame: Frame) -> None:
        """Deliver a frame that is not in the log to those in a room."""
        self.hub.to_room(room_id, frame)
        if not self.alone:
            self.say(room_id, ToRoom(room_id, _said(frame)))

    def to_rooms(
        self, tenant: TenantId, room_ids: Iterable[RoomId], frame: Frame, but: Iterable[RoomId] = ()
    ) -> int:
        """Deliver a frame that is not in the log once to each stream of several rooms.

        Returns:
            How many streams of this process got it. See :meth:`Hub.to_rooms` for the arguments.
        """
        rooms, without = tuple(room_ids), tuple(but)
        if not self.alone:
            self.say(EVERYBODY, ToRooms(tenant, rooms, without, _said(frame)))
        return self.hub.to_rooms(tenant, rooms, frame, without)

    def to_user(self, mxid: Mxid, frame: Frame) -> None:
        """Deliver a frame that is not in the log to one user's streams."""
        self.hub.to_user(mxid, frame)
        if not self.alone:
            self.say(mxid, ToUser(mxid, _said(frame)))

    def close_user(self, mxid: Mxid, reason: CloseReason) -> None:
        """End all streams of a user."""
        self.hub.close_user(mxid, reason)
        self.say(mxid, CloseUser(mxid, reason.value))

    def expel(self, mxid: Mxid, room_id: RoomId) -> None:
        """Let a user's streams follow a room no longer, before the log shows the user out."""
        self.hub.expel(mxid, room_id)
        self.say(mxid, Expel(mxid, room_id))

    # To services

    def on(self, kind: type[S], handler: Callable[[S], None]) -> None:
        """Let somebody hear what other processes say of one kind. It must not wait."""
        self._handlers.setdefault(kind, []).append(handler)

    def on_wake(self, name: str, handler: Callable[[str], None]) -> None:
        """Let somebody be woken under a name; they are called with where there is work, or ''."""
        self._wakers[name] = handler

    def wake(self, name: str, about: str = "") -> None:
        """Wake who does something, here and in all other processes: one of them does it.

        Args:
            name: As it was given to :meth:`on_wake`; where nobody has it, nothing happens here.
            about: Where there is work: a room, for example.
        """
        handler = self._wakers.get(name)
        if handler is not None:
            handler(about)
        self.say(EVERYBODY, Wake(name, about))

    def say(self, topic: str, signal: Signal, *, fleeting: bool = False) -> None:
        """Say something to the other processes that have begun a topic. It may be lost.

        Args:
            topic: The topic.
            signal: What is said.
            fleeting: Whether it is of no use later: while nothing can be said, it is not kept.
        """
        if self.alone or (fleeting and self.deaf):
            return
        payload = signals.encode(signal)
        if len(payload) > signals.MAX_BYTES:
            SIGNALS_IGNORED.labels("too_large").inc()
            return
        _SAID.inc()
        self._bus.say(topic, payload)

    def heard(self, payload: bytes) -> None:
        """Do what another process has said. Whatever is wrong with it costs only itself."""
        if len(payload) > signals.MAX_BYTES:
            SIGNALS_IGNORED.labels("too_large").inc()
            return
        try:
            signal = signals.decode(payload)
        except msgspec.DecodeError:
            # Of a newer or an older bridge, while all are being replaced.
            SIGNALS_IGNORED.labels("unknown").inc()
            return
        _HEARD.inc()
        for handler in self._handlers.get(type(signal), ()):
            try:
                handler(signal)
            except Exception:
                # A bug here must not make this process deaf.
                SIGNALS_IGNORED.labels("failed").inc()
                log.exception("signal.failed", kind=type(signal).__name__)

    def _heard_to_rooms(self, said: ToRooms) -> None:
        self.hub.to_rooms(said.tenant, said.room_ids, _rebuilt(said.frame), said.but)

    def _heard_wake(self, said: Wake) -> None:
        handler = self._wakers.get(said.name)
        if handler is not None:
            handler(said.about)


def in_parts(items: Sequence[Any], most: int = signals.MOST) -> Iterable[tuple[Any, ...]]:
    """Return items in pieces that fit into one signal each."""
    return (tuple(items[start : start + most]) for start in range(0, len(items), most))


def _said(frame: Frame) -> Saying:
    return Saying(frame.type, frame.data, frame.reader)


def _rebuilt(said: Saying) -> Frame:
    """Return a frame as it was where it was made, so that each wire can say it in its words."""
    decoder = _decoder(said.type)
    source = None
    if decoder is not None:
        try:
            source = decoder.decode(said.data)
        except msgspec.DecodeError:
            # Of another version: the wires that pass the data on as it is can still do that.
            SIGNALS_IGNORED.labels("unknown").inc()
    return Frame(said.type, said.data, None, source, said.reader)


@cache
def _decoder(frame_type: str) -> msgspec.json.Decoder[Any] | None:
    kind = FRAME_TYPES.get(frame_type)
    return None if kind is None else msgspec.json.Decoder(kind)


def _reason(name: str) -> CloseReason:
    try:
        return CloseReason(name)
    except ValueError:
        return CloseReason.REMOVED  # a reason of a newer bridge: the stream ends all the same
