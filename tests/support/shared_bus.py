"""Buses of several processes in one: what each says reaches the others, or is lost if wanted.

Nothing is handed over before :meth:`Exchange.pass_on`, or before the loop's next turn where the
exchange is running by itself: as over a real wire, nobody hears inside the call in which another
speaks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection

from openmeet_bridge.core.ids import Position
from openmeet_bridge.stream.bus import EVERYBODY, LocalBus


class SharedBus(LocalBus):
    """The bus of one process among several. Make one with :meth:`Exchange.bus`.

    Attributes:
        cut: Whether nothing of others reaches it, nor what it says them.
    """

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self.cut = False
        self.topics: set[str] = {EVERYBODY}
        self._exchange = exchange

    @property
    def alone(self) -> bool:
        """There are others."""
        return False

    @property
    def deaf(self) -> bool:
        """Whether it is cut off, and knows."""
        return self.cut

    def grown(self, position: Position, topics: Collection[str] = ()) -> None:
        """Wake whoever waits here, and whom it concerns elsewhere."""
        super().grown(position, topics)
        concerned = set(topics)
        self._exchange.post(
            self,
            lambda other: not concerned or bool(other.topics & concerned),
            lambda other: LocalBus.grown(other, position),
        )

    def say(self, topic: str, payload: bytes) -> None:
        """Tell those who have begun a topic."""
        self._exchange.said.append((topic, payload))
        self._exchange.post(
            self, lambda other: topic in other.topics, lambda other: other.heard(payload)
        )

    def begin(self, topic: str) -> None:
        """Hear of a topic."""
        self.topics.add(topic)

    def end(self, topic: str) -> None:
        """Hear no more of it."""
        self.topics.discard(topic)


Picked = Callable[[SharedBus], bool]
Act = Callable[[SharedBus], None]


class Exchange:
    """What lies between the buses.

    Args:
        by_itself: Whether what is said is passed on by the loop's next turn.

    Attributes:
        said: All that was said, ``(topic, payload)``.
        loses: Says of each message whether it is lost on its way to a bus.
    """

    def __init__(self, *, by_itself: bool = False) -> None:
        self.said: list[tuple[str, bytes]] = []
        self.loses: Picked = lambda _: False
        self._by_itself = by_itself
        self._buses: list[SharedBus] = []
        self._under_way: deque[tuple[SharedBus, Act]] = deque()

    def bus(self) -> SharedBus:
        """Return the bus of one more process."""
        made = SharedBus(self)
        self._buses.append(made)
        return made

    def remove(self, bus: SharedBus) -> None:
        """Let a process be no more."""
        self._buses.remove(bus)

    def post(self, sender: SharedBus, picked: Picked, act: Act) -> None:
        """Send something on its way to others."""
        if sender.cut:
            return
        for other in self._buses:
            if other is not sender and not other.cut and picked(other) and not self.loses(other):
                self._under_way.append((other, act))
        if self._by_itself:
            asyncio.get_running_loop().call_soon(self.pass_on)

    def pass_on(self) -> None:
        """Hand over what is under way, and what is said because of it."""
        while self._under_way:
            other, act = self._under_way.popleft()
            if other in self._buses and not other.cut:
                act(other)
