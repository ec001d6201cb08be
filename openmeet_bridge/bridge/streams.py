"""Streams: opening one, so that nothing between its cursor and the present is missed or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from ..core.cursor import Cursor
from ..core.errors import Unavailable
from ..core.ids import Mxid, Position, RoomId, TenantId
from ..stream import frames
from ..stream.change import Change
from ..stream.frames import Frame
from ..stream.hub import Hub
from ..stream.subscriber import Phase, Subscriber
from .log_view import Missed, Standing

_LOOKS = 5
_DELIVERY = 3.0


class Log(Protocol):
    """What opening a stream needs of the log."""

    async def standing(self, tenant: TenantId, mxid: Mxid) -> Standing:
        """Return in which rooms somebody is now."""

    async def missed(
        self,
        tenant: TenantId,
        mxid: Mxid,
        after: Position,
        up_to: Position,
        limit: int,
        wanted: Collection[RoomId] | None = None,
    ) -> Sequence[Missed]:
        """Return what somebody missed between two positions, in log order.

        Of rooms that are not wanted, that are their own comings and goings.
        """


class Streams:
    """Opens streams.

    Args:
        log: The log.
        hub: Delivers what happens from now on.
        replay_entries: Most entries that are replayed; who missed more starts anew.
        chunk: Entries that are written at once, before the reader is waited for.
    """

    def __init__(self, log: Log, hub: Hub, *, replay_entries: int = 1000, chunk: int = 200) -> None:
        self._log = log
        self._hub = hub
        self._replay_entries = replay_entries
        self._chunk = chunk

    async def open(self, subscriber: Subscriber, cursor: str | None) -> None:
        """Bring a stream from its cursor to the present, and leave it live.

        The caller has entered the subscriber into the hub before, and takes it out afterwards
        whatever happens. Without a cursor the stream begins now.

        Raises:
            Unavailable: The database is away.
        """
        standing = await self._log.standing(subscriber.tenant, subscriber.mxid)
        if subscriber.phase is Phase.CLOSED:  # meanwhile; it must not be attached any more
            return
        up_to = self._hub.attach(subscriber, standing.rooms, standing.position)
        here = frames.cursor_at(self._hub.epoch, up_to)
        start = self._start(cursor, here)
        if isinstance(start, Frame):
            subscriber.write([self._hello(subscriber, here, begins=False), start])
        else:
            subscriber.write([self._hello(subscriber, start, begins=True)])
            await self._replay(subscriber, start.position, up_to)
        await self._hub.go_live(subscriber)

    async def follow(self, subscriber: Subscriber, rooms: Collection[RoomId]) -> set[RoomId]:
        """Let a live stream follow rooms again that it has given up; return those that it may.

        A stream that is not live yet will follow all of its user's rooms by itself.

        Raises:
            Unavailable: The database is away, or what is in it does not come through.
        """
        for _ in range(_LOOKS):
            moves = subscriber.moves
            standing = await self._log.standing(subscriber.tenant, subscriber.mxid)
            joined = standing.rooms.intersection(rooms)
            await self._delivered(standing.position)
            # Else a coming or going was delivered that may be newer than what was read.
            if self._hub.follow(subscriber, joined, moves):
                return set(joined)
        raise Unavailable("You come and go too fast. Try again.")

    async def change(self, subscriber: Subscriber, change: Change) -> None:
        """Let a live stream bring other rooms or kinds of frames from now on, and say so.

        Raises:
            Unavailable: The database is away, or what is in it does not come through. Nothing
                has changed then.
        """
        before, wanted = subscriber.wanted, change.rooms
        if wanted is not None and (before is None or wanted <= before):
            self._hub.change(subscriber, change, subscriber.rooms & wanted)
            return
        if before == wanted:
            self._hub.change(subscriber, change, subscriber.rooms)
            return
        for _ in range(_LOOKS):
            moves = subscriber.moves
            standing = await self._log.standing(subscriber.tenant, subscriber.mxid)
            await self._delivered(standing.position)
            # Else a coming or going was delivered that may be newer than what was read.
            if subscriber.moves == moves:
                rooms = standing.rooms if wanted is None else standing.rooms & wanted
                self._hub.change(subscriber, change, rooms)
                return
        raise Unavailable("You come and go too fast. Try again.")

    async def _delivered(self, position: Position) -> None:
        try:
            async with asyncio.timeout(_DELIVERY):
                await self._hub.reached(position)
        except TimeoutError:
            raise Unavailable("The rooms are not up to date at the moment. Try again.") from None

    def _hello(self, subscriber: Subscriber, cursor: Cursor, *, begins: bool) -> Frame:
        return frames.hello(subscriber.person, cursor, self._hub.heartbeat, begins=begins)

    def _start(self, text: str | None, here: Cursor) -> Cursor | Frame:
        """Return from where to replay, or the reset that says why that is not possible."""
        if text is None:
            return here
        cursor = Cursor.parse(text)
        if cursor is None:
            return frames.reset("malformed_cursor", here)
        if cursor.epoch != here.epoch or cursor.position > here.position:
            return frames.reset("unknown_cursor", here)
        return cursor

    async def _replay(self, subscriber: Subscriber, after: Position, up_to: Position) -> None:
        if after >= up_to:
            return
        await self._hub.reached(up_to)
        recent = self._hub.recent.missed(subscriber.mxid, subscriber.rooms, after, up_to)
        if recent is None:
            await self._replay_log(subscriber, after, up_to)
        elif len(recent) > self._replay_entries:
            self._reset(subscriber, up_to)
        else:
            epoch = self._hub.epoch
            await self._write(subscriber, [kept.frames(epoch) for kept in recent])

    async def _replay_log(self, subscriber: Subscriber, after: Position, up_to: Position) -> None:
        limit = self._replay_entries + 1
        missed = await self._log.missed(
            subscriber.tenant, subscriber.mxid, after, up_to, limit, subscriber.wanted
        )
        if len(missed) > self._replay_entries:
            self._reset(subscriber, up_to)
            return
        await self._write(subscriber, [list(self._frames(one, subscriber)) for one in missed])

    def _reset(self, subscriber: Subscriber, up_to: Position) -> None:
        here = frames.cursor_at(self._hub.epoch, up_to)
        subscriber.write([frames.reset("too_far_behind", here)])

    async def _write(self, subscriber: Subscriber, entries: Sequence[Sequence[Frame]]) -> None:
        for start in range(0, len(entries), self._chunk):
            if subscriber.phase is Phase.CLOSED:
                return
            some = entries[start : start + self._chunk]
            subscriber.write([frame for entry in some for frame in entry])
            await subscriber.sink.drain()

    def _frames(self, missed: Missed, subscriber: Subscriber) -> Iterator[Frame]:
        logged, readable = missed
        mxid = subscriber.mxid
        cursor = frames.cursor_at(self._hub.epoch, logged.position)
        effect = logged.effect
        own = frames.own_frame(logged, cursor) if effect and effect.user.mxid == mxid else None
        if own is not None:
            yield own
        if readable and (logged.readers is None or mxid in logged.readers):
            yield from frames.room_frames(logged, cursor)
