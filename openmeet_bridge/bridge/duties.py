"""Duties: what exactly one worker does at a time, and who that is.

A worker says every second that it is there. Who has not said so for four seconds is taken for dead,
and another takes its duties over; who ends in order gives them back, so that the next one has them
within a second. The database decides by its own clock. A worker knows by a clock of its own,
counted from before it asked, when it has certainly been given up; from then on it holds nothing,
whatever it last heard. A process that was stopped for a while notices so when it goes on.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import structlog

from ..core.ids import Position
from ..storage import duties
from ..storage.database import AWAY, Connection
from ..storage.duties import Worker
from ..storage.instance import InstanceLock
from ..telemetry import DUTIES, WORKERS

log = structlog.get_logger(__name__)

LEASE = 4.0
"""Seconds for which a worker is not missed."""

_RENEWED = 1.0
_MARGIN = 0.5
"""So much earlier than the database a worker takes itself for lost: clocks do not run alike."""
_PATIENCE_ALONE = 30.0
_FOREVER = float("inf")


def awake() -> float:
    """Return seconds of a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if _BOOTTIME else time.monotonic()


_BOOTTIME = hasattr(time, "CLOCK_BOOTTIME")


class Duties:
    """This worker's place among all, and the duties it has.

    Args:
        lock: Taken by :meth:`begin`. Where it is not shared, nobody else can be there.
        names: The duties that it wants to have.
        lease: Seconds for which it is not missed.
        renewed: Seconds after which it says again that it is there.
        clock: Seconds, of a clock that never goes back.

    Attributes:
        gone: Called when another worker is there no more, and what it was about is free; and when
            this one was not certain of itself for a while, and is again.
        position: Says up to where in the log this worker's streams have been given everything.
    """

    gone: Callable[[], None]
    position: Callable[[], Position]

    def __init__(
        self,
        lock: InstanceLock,
        names: Sequence[str],
        *,
        lease: float = LEASE,
        renewed: float = _RENEWED,
        clock: Callable[[], float] = awake,
    ) -> None:
        self._lock = lock
        self._names = list(names)
        self._lease = lease
        self._renewed = renewed
        self._clock = clock
        self._worker = _anybody()
        self._sure_until = 0.0
        self._turn = asyncio.Lock()  # the connection can do one thing at a time
        self._tenures: dict[str, asyncio.Event] = {}
        self._changed = asyncio.Event()
        self._workers: frozenset[str] = frozenset()
        self._expiring: asyncio.TimerHandle | None = None
        self.gone = lambda: None
        self.position = lambda: Position(0)

    @property
    def worker(self) -> str:
        """The id under which this process is entered; another one after it was given up."""
        return self._worker.id

    @property
    def others(self) -> int:
        """How many workers there are besides this one."""
        return len(self._workers - {self.worker})

    def certain(self) -> bool:
        """Whether nobody can have given this worker up yet."""
        return self._clock() < self._sure_until

    def holds(self, name: str) -> bool:
        """Whether a duty is this worker's at this moment."""
        return name in self._tenures and self.certain()

    async def won(self, name: str) -> asyncio.Event:
        """Wait until a duty is this worker's; return what is set when it is that no more."""
        while name not in self._tenures:
            self._changed.clear()
            await self._changed.wait()
        return self._tenures[name]

    async def begin(self) -> None:
        """Come in; waits while a bridge that must be alone is there.

        Raises:
            OSError: One of ``AWAY``: the database cannot be reached.
        """
        await self._lock.acquire()
        connection = await self._lock.connection()
        if connection is not None:
            await self._enter(connection)
            await self._look(connection)

    async def run(self) -> None:
        """Stay in for ever."""
        while True:
            await asyncio.sleep(self._renewed)
            async with self._turn:
                await self._try_to_renew()

    async def _try_to_renew(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self.renew()
        except (*AWAY, asyncpg.ForeignKeyViolationError) as error:
            log.warning("worker.not_renewed", error=str(error) or type(error).__name__)
            await self._lock.release()

    async def renew(self) -> None:
        """Say that this worker is there, and take what is free.

        Raises:
            OSError: One of ``AWAY``: the database cannot be reached.
        """
        before = self.certain()
        if not before:
            self._lose()
        asked = self._clock()
        connection = await self._lock.connection()
        if connection is None:
            self._lose()
            log.warning("worker.shut_out", reason="a bridge that must be alone has come")
            return
        if await duties.renew(connection, self.worker, self._lease, self.position()):
            self._be_certain(asked)
        else:
            self._lose()
            log.warning("worker.given_up", worker=self.worker)
            before = False
            await self._enter(connection)
        await self._look(connection)
        if not before:
            self.gone()

    async def release(self) -> None:
        """Give back all duties and want none any more, but stay in."""
        self._names = []
        self._drop_all()
        await self._say(duties.release)

    async def end(self) -> None:
        """Go out: whatever this worker still has is free."""
        self._lose()
        await self._say(duties.leave)
        await self._lock.release()

    async def _enter(self, connection: Connection) -> None:
        self._worker = _anybody()
        asked = self._clock()
        await duties.register(connection, self._worker, self._lease, alone=not self._lock.shared)
        self._be_certain(asked)

    async def _look(self, connection: Connection) -> None:
        standing = await duties.claim(connection, self.worker, self._names)
        for name in self._tenures.keys() - standing.held:
            self._drop(name)
        for name in standing.held - self._tenures.keys():
            self._tenures[name] = asyncio.Event()
            self._changed.set()
            DUTIES.labels(name).set(1)
            log.info("duty.won", duty=name, worker=self.worker)
        missing, self._workers = self._workers - standing.workers, standing.workers
        WORKERS.set(len(self._workers))
        if missing:
            self.gone()

    async def _say(self, statement: Callable[[Connection, str], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(self._lease), self._turn:
                connection = await self._lock.connection()
                if connection is not None:
                    await statement(connection, self.worker)
        except AWAY as error:
            # Then others wait until the lease is over.
            log.info("worker.not_told", error=str(error) or type(error).__name__)

    @property
    def _patience(self) -> float:
        """How long a renewal may take: not longer than it is worth anything."""
        return self._lease / 2 if self._lock.shared else _PATIENCE_ALONE

    def _be_certain(self, asked: float) -> None:
        if not self._lock.shared:
            self._sure_until = _FOREVER
            return
        self._sure_until = asked + self._lease - _MARGIN
        if self._expiring is not None:
            self._expiring.cancel()
        left = self._sure_until - self._clock()
        self._expiring = asyncio.get_running_loop().call_later(max(0.0, left), self._expire)

    def _expire(self) -> None:
        if not self.certain():
            self._lose()

    def _lose(self) -> None:
        self._sure_until = 0.0
        self._drop_all()

    def _drop_all(self) -> None:
        for name in list(self._tenures):
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._tenures.pop(name).set()
        DUTIES.labels(name).set(0)
        log.info("duty.over", duty=name, worker=self.worker)


def _anybody() -> Worker:
    host, pid = socket.gethostname(), os.getpid()
    return Worker(f"{host}-{pid}-{secrets.token_hex(4)}", host, pid)
