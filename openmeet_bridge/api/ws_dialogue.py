"""What clients say on a stream's WebSocket: what they want to hear from now on, and that they live.

What comes is answered in its order, one at a time: an answer says what the stream brings from there
on, and another one must not overtake it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import Final, Literal

import msgspec
import structlog

from ..core.errors import BadRequest, BridgeError, NotJson
from ..core.rates import Rate
from ..stream import frames
from ..stream.frames import Frame
from ..stream.reasons import CloseReason
from ..stream.subscriber import Phase, Subscriber
from .decoding import explain
from .open_streams import OpenStreams
from .subscriptions import Subscription, chosen_rooms, chosen_types

log = structlog.get_logger(__name__)

MOST_WAITING: Final = 20
_RATE: Final = Rate(10, MOST_WAITING)

RequestId = str | int | None


class Ping(msgspec.Struct, tag="ping", forbid_unknown_fields=True):
    """Is anybody there?"""

    id: RequestId = None


class Subscribe(msgspec.Struct, tag="subscribe", forbid_unknown_fields=True):
    """What is wanted from now on: null is all, and what is left out stays as it is."""

    id: RequestId = None
    rooms: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    types: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    people: Literal["full", "ref"] | msgspec.UnsetType | None = msgspec.UNSET


class _Named(msgspec.Struct):
    id: RequestId = None


_message: Final[msgspec.json.Decoder[Ping | Subscribe]] = msgspec.json.Decoder(Ping | Subscribe)
_named: Final = msgspec.json.Decoder(_Named)


class Dialogue:
    """Answers one client.

    Args:
        streams: Has its stream opened.
        subscriber: The stream.
        subscription: What it brings.
    """

    __slots__ = ("_restored", "_streams", "_subscriber", "_subscription", "_task", "_waiting")

    def __init__(
        self, streams: OpenStreams, subscriber: Subscriber, subscription: Subscription
    ) -> None:
        self._streams = streams
        self._subscriber = subscriber
        self._subscription = subscription
        self._restored = 0.0
        self._waiting: deque[str] = deque()
        self._task: asyncio.Task[None] | None = None

    def told(self, text: str) -> None:
        """Take a message; who sends too many is sent away."""
        if self._subscriber.phase is Phase.CLOSED:
            return
        now = asyncio.get_running_loop().time()
        if len(self._waiting) >= MOST_WAITING or _RATE.wait(self._restored, now):
            self._streams.hub.close(self._subscriber, CloseReason.TOO_MANY_MESSAGES)
            return
        self._restored = _RATE.took(self._restored, now)
        self._waiting.append(text)
        if self._task is None:
            self._task = asyncio.create_task(self._answer_all())

    def end(self) -> None:
        """Answer nothing more."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def _answer_all(self) -> None:
        await self._streams.opened(self._subscriber)
        while self._waiting:
            answer = await self._answer(self._waiting.popleft())
            if answer is not None:
                self._streams.hub.tell(self._subscriber, answer)
        self._task = None

    async def _answer(self, text: str) -> Frame | None:
        """Do what a message says; return the answer, unless it has been given."""
        try:
            message = _read(text)
            if isinstance(message, Ping):
                return frames.pong(message.id)
            await self._subscribe(message)
        except BridgeError as error:
            return frames.complaint(_id_of(text), error.errcode, error.message, error.fields)
        except Exception:
            log.exception("stream.message_failed")
            kind = BridgeError.default_errcode
            return frames.complaint(_id_of(text), kind, "Something is broken here.")
        return None

    async def _subscribe(self, message: Subscribe) -> None:
        wish = self._subscription
        if message.rooms is not msgspec.UNSET:
            rooms = chosen_rooms("message.rooms", message.rooms)
            wish = replace(wish, rooms=rooms)
        if message.types is not msgspec.UNSET:
            types = chosen_types("message.types", message.types)
            wish = replace(wish, types=types)
        if message.people is not msgspec.UNSET:
            wish = replace(wish, by_reference=message.people == "ref")
        await self._streams.change(self._subscriber, wish.change(message.id))
        self._subscription = wish


def _read(text: str) -> Ping | Subscribe:
    """Return what a message says.

    Raises:
        NotJson: It is no JSON.
        BadRequest: It is none of those that are known.
    """
    try:
        return _message.decode(text)
    except msgspec.ValidationError as error:
        fields = explain("message", str(error))
        raise BadRequest("The message does not have a documented shape.", fields=fields) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotJson("The message is not JSON.") from error


def _id_of(text: str) -> RequestId:
    try:
        return _named.decode(text).id
    except (msgspec.DecodeError, RecursionError):
        return None
