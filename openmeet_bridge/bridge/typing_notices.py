"""Typing notices: what the homeserver is told of our people's typing, while it is worth telling."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from ..core.ids import Mxid, RoomId
from ..core.typists import HERE_SECONDS
from ..matrix.errors import HomeserverError
from ..matrix.homeserver import Homeserver
from ..telemetry import EPHEMERAL_DROPPED

log = structlog.get_logger(__name__)

_TIMEOUT_MS = int(HERE_SECONDS * 1000)
_REPEAT = 10.0
_PATIENCE = 5.0
_WAITING = 10_000

Key = tuple[RoomId, Mxid]


class TypingNotices:
    """Tells the homeserver who of our people types.

    The same again within ten seconds is not told. Whatever goes wrong costs only the notice: the
    homeserver forgets by itself who types, also when the bridge is gone.

    Args:
        homeserver: Gets the notices.
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(self, homeserver: Homeserver, clock: Callable[[], float] = time.monotonic) -> None:
        self._homeserver = homeserver
        self._clock = clock
        self._told: dict[Key, float] = {}
        self._untold: dict[Key, tuple[bool, float]] = {}
        self._waiting = asyncio.Event()

    def tell(self, room_id: RoomId, mxid: Mxid, typing: bool, *, unknown: bool = False) -> None:
        """Let the homeserver be told that somebody types, or has stopped.

        Args:
            room_id: Where.
            mxid: Who.
            typing: Whether they type.
            unknown: Tell that they have stopped also where it was not told from here that they
                type: perhaps it was from another process.
        """
        now = self._clock()
        key = (room_id, mxid)
        told = self._told.get(key)
        if told is None and not typing and not unknown:
            return
        if typing and told is not None and now - told < _REPEAT:
            return
        if len(self._told) >= _WAITING and key not in self._told:
            self._told = {one: at for one, at in self._told.items() if now - at < HERE_SECONDS}
        if max(len(self._told), len(self._untold)) >= _WAITING and key not in self._told:
            EPHEMERAL_DROPPED.labels("typing").inc()
            return
        if typing:
            self._told[key] = now
        else:
            self._told.pop(key, None)
        self._untold[key] = (typing, now)
        self._waiting.set()

    def forget(self, room_id: RoomId, mxid: Mxid) -> None:
        """Note that another process tells of somebody now: the next word here is news again."""
        self._told.pop((room_id, mxid), None)

    @property
    def waits(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self._untold)

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self.waits:
                await self.step()

    async def step(self) -> None:
        """Tell the notice that has waited the longest, unless it is too old to be true."""
        key = next(iter(self._untold))
        typing, at = self._untold.pop(key)
        if self._clock() - at > _REPEAT:
            self._failed(key)
            return
        room_id, mxid = key
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._homeserver.typing(room_id, mxid, typing, _TIMEOUT_MS)
        except (HomeserverError, TimeoutError) as error:
            self._failed(key)
            log.debug("typing.not_told", error=str(error))

    def _failed(self, key: Key) -> None:
        if key not in self._untold:
            self._told.pop(key, None)  # so that the next word is told
