"""Load: publishes events and waits until every reader has them, so that nothing piles up."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

from openmeet_bridge.config import Address

from .process import cpu_seconds
from .readers import Readers
from .wire import Answer, connect

_READ = 1 << 16
_STALL = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has cost.

    Attributes:
        events: Events published and delivered to all readers.
        deliveries: Events times readers.
        seconds: How long it took.
        server_cpu: Processor seconds of the server's process.
        client_busy: Share of the time that this process was busy; near 1 it was the limit.
        bytes_each: Bytes on the wire for one delivery.
    """

    events: int
    deliveries: int
    seconds: float
    server_cpu: float
    client_busy: float
    bytes_each: float


class Publisher:
    """One connection on which events are pushed, a transaction at a time.

    Args:
        address: Where to push to.
        readers: Who must get the events.
        transaction: Makes the request that pushes so many events.
    """

    def __init__(
        self, address: Address, readers: Readers, transaction: Callable[[int], bytes]
    ) -> None:
        self._socket = connect(address)
        self._number = self._socket.fileno()
        self._readers = readers
        self._transaction = transaction
        self._answer: Answer | None = None
        self._started = 0.0
        readers.watch(self._socket)

    def run(self, pid: int, *, window: int, seconds: float) -> Outcome:
        """Keep a window of events in flight for a while.

        A new one is published when all readers have an old one; what may be published while a
        transaction is under way goes into the next, as with Synapse.
        """
        readers, already = self._readers, self._readers.deliveries
        before, received = self._costs(pid), readers.received
        sent, count = 0, len(readers)
        began = time.perf_counter()
        while time.perf_counter() - began < seconds or self._answer is not None:
            free = window - (sent - (readers.deliveries - already) // count)
            if self._answer is None and free > 0:
                self._push(free)
                sent += free
            self._step()
        while readers.deliveries - already < sent * count:
            self._step()
        took = time.perf_counter() - began
        after = self._costs(pid)
        deliveries = sent * count
        return Outcome(
            events=sent,
            deliveries=deliveries,
            seconds=took,
            server_cpu=after[0] - before[0],
            client_busy=(after[1] - before[1]) / took,
            bytes_each=(readers.received - received) / deliveries,
        )

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _push(self, count: int) -> None:
        self._answer = Answer()
        self._started = time.monotonic()
        self._readers.published = time.perf_counter()
        self._socket.sendall(self._transaction(count))

    def _step(self) -> None:
        if self._number in self._readers.poll(0.05):
            answer = self._answer
            data = self._socket.recv(_READ)
            if answer is None or not answer.feed(data):
                return
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {answer.body!r}")
            self._answer = None
        if time.monotonic() - self._started > _STALL:
            raise RuntimeError("events do not arrive")

    def _costs(self, pid: int) -> tuple[float, float]:
        own = resource.getrusage(resource.RUSAGE_SELF)
        return cpu_seconds(pid), own.ru_utime + own.ru_stime
