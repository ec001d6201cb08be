"""A session with Valkey: from connecting until something breaks, and never longer.

All connections of a session live and die together, so that there is one question only: is
everything heard, or must everything be looked for? A process says something to itself again and
again over each server; a connection that looks alive and leads nowhere is found by that.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from ..telemetry import BUS_LANES, BUS_ROUND_TRIP
from .backlog import Backlog, Saying
from .bus_messages import Beat, decode, encode
from .lanes import Topics
from .valkey_layout import Layout, survey
from .valkey_link import CONNECT_SECONDS, Command, Endpoint, Link, Server

MISSED_BEATS: Final = 3
"""So many beats that were not heard mean that nothing is."""

_MOVED: Final = "the channels have moved to another server"
_SAID: Final = (b"smessage", b"message")
_LEFT: Final = (b"sunsubscribe", b"unsubscribe")
_AT_ONCE: Final = 256
_PATIENT: Final = 100


class Lost(Exception):
    """The session is of no use any more; the text says why."""


class Names:
    """The names of the channels of one deployment.

    Args:
        prefix: What they all begin with.
        me: This process.
    """

    def __init__(self, prefix: str, me: bytes) -> None:
        self._prefix = prefix
        self._me = me.hex()
        self._lanes: dict[int, str] = {}

    def of_lane(self, lane: int) -> str:
        """Return the channel of a lane."""
        found = self._lanes.get(lane)
        if found is None:
            found = self._lanes[lane] = f"{self._prefix}:{lane}"
        return found

    def lane_of(self, channel: bytes) -> int:
        """Return the lane of a channel."""
        return int(channel[len(self._prefix) + 1 :])

    def heart(self, number: int) -> str:
        """Return one of any number of channels on which a process speaks to itself."""
        return f"{self._prefix}:heart:{self._me}:{number}"


class _Node:
    """One server: a connection that listens, one that speaks, and what is known of them."""

    def __init__(self, listener: Link, speaker: Link, heart: str) -> None:
        self.listener = listener
        self.speaker = speaker
        self.heart = heart
        self.hears = False
        self.missed = 0


class Session:
    """One attempt to listen and to speak.

    Args:
        server: How to reach the servers.
        names: The channels.
        me: This process.
        topics: What is to be heard; their lanes change while the session lives.
        backlog: What is to be said.
        heard: Called with what comes over a lane.
        level: Called when everything that was to be heard at the beginning is heard from now on,
            and again for each lane that is heard later.
        beat: Seconds between two beats.
    """

    def __init__(
        self,
        server: Server,
        names: Names,
        me: bytes,
        topics: Topics,
        backlog: Backlog,
        *,
        heard: Callable[[bytes], None],
        level: Callable[[], None],
        beat: float,
    ) -> None:
        self._server = server
        self._names = names
        self._me = me
        self._topics = topics
        self._backlog = backlog
        self._heard = heard
        self._level = level
        self._beat_seconds = beat
        self._links: list[Link] = []
        self._nodes: list[_Node] = []
        self._layout = Layout(sharded=False)
        self._dirty: set[int] = set()
        self._asked: set[int] = set()
        self._leaving: Counter[int] = Counter()
        self._confirmed: set[int] = set()
        self._changed = asyncio.Event()

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The servers of the cluster, where it is one."""
        return [one for one in self._layout.endpoints if one is not None]

    def changed(self, lane: int) -> None:
        """Note that a lane is to be heard that was not, or the other way round."""
        self._dirty.add(lane)
        self._changed.set()

    def hears(self, lane: int) -> bool:
        """Whether a lane is heard already."""
        return lane in self._confirmed and lane not in self._dirty

    @property
    def whole(self) -> bool:
        """Whether every lane is heard that is to be."""
        return not self._dirty and len(self._confirmed) == len(self._asked)

    async def run(self, first: Endpoint | None) -> None:
        """Listen and speak until something breaks; never returns.

        Args:
            first: The server to begin with; None for the configured one.

        Raises:
            Lost: Nothing was heard of oneself, or the servers have changed places.
            RedisError: A server is away, or refuses.
            ValueError: The cluster cannot be used.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._open(first)
            async with asyncio.TaskGroup() as group:
                for node in self._nodes:
                    group.create_task(self._listen(node))
                for work in (self._tune, self._speak, self._beat):
                    group.create_task(work())
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from None
        finally:
            self._backlog.calm()
            BUS_LANES.set(0)
            for link in self._links:
                await link.close()

    async def _open(self, first: Endpoint | None) -> None:
        asked = await self._link(first)
        self._layout = await survey(asked, self._server)
        endpoints = self._layout.endpoints
        hearts = self._hearts(len(endpoints))
        for number, endpoint in enumerate(endpoints):
            # A server that stands alone is asked over the line that speaks to it later.
            alone = endpoint is None
            listener = await self._link(first if alone else endpoint)
            speaker = asked if alone else await self._link(endpoint)
            self._nodes.append(_Node(listener, speaker, hearts[number]))

    async def _link(self, endpoint: Endpoint | None) -> Link:
        link = self._server.link(endpoint)
        self._links.append(link)
        await link.open()
        return link

    def _hearts(self, nodes: int) -> list[str]:
        """Return a channel for each server that belongs to it."""
        found: dict[int, str] = {}
        number = 0
        while len(found) < nodes:
            channel = self._names.heart(number)
            found.setdefault(self._layout.owner(channel), channel)
            number += 1
        return [found[node] for node in range(nodes)]

    # Listening

    async def _tune(self) -> None:
        """Keep what is listened to what is to be heard."""
        commands: list[list[Command]] = [[] for _ in self._nodes]
        self._dirty.update(self._topics.lanes)
        self._retune(commands)
        for number, node in enumerate(self._nodes):
            # The last one of the first ones: when it is confirmed, all others are.
            commands[number].append((self._layout.subscribe, node.heart))
        while True:
            for node, some in zip(self._nodes, commands, strict=True):
                if some:
                    await node.listener.send(some)
                    some.clear()
            await self._changed.wait()
            self._retune(commands)

    def _retune(self, commands: Sequence[list[Command]]) -> None:
        self._changed.clear()
        again = False
        for lane in self._dirty:
            channel = self._names.of_lane(lane)
            some = commands[self._layout.owner(channel)]
            if lane in self._topics.lanes:
                if lane not in self._asked:
                    self._asked.add(lane)
                    some.append((self._layout.subscribe, channel))
                else:
                    # Left and wanted again before it was given up: heard, but for another topic.
                    again = again or lane in self._confirmed
            elif lane in self._asked:
                self._asked.discard(lane)
                self._confirmed.discard(lane)
                self._leaving[lane] += 1
                some.append((self._layout.unsubscribe, channel))
        self._dirty.clear()
        if again:
            self._say_level()

    async def _listen(self, node: _Node) -> None:
        heart = node.heart.encode()
        while True:
            for _ in range(_PATIENT):
                kind, channel, data = await node.listener.receive()
                if kind in _SAID:
                    if channel == heart:
                        self._heard_beat(node, data)
                    else:
                        self._heard(data)
                elif channel == heart:
                    self._confirm_heart(node, kind)
                else:
                    self._confirm(self._names.lane_of(channel), kind)
            # What has been received already is given out without a pause; others want their turn.
            await asyncio.sleep(0)

    def _confirm_heart(self, node: _Node, kind: bytes) -> None:
        if kind in _LEFT:
            raise Lost(_MOVED)
        node.hears = True
        self._say_level()

    def _confirm(self, lane: int, kind: bytes) -> None:
        if kind in _LEFT:
            if not self._leaving[lane]:
                # A cluster says so when a slot moves to another server.
                raise Lost(_MOVED)
            self._leaving[lane] -= 1
        elif lane in self._asked:
            self._confirmed.add(lane)
            self._say_level()
        BUS_LANES.set(len(self._confirmed))

    def _say_level(self) -> None:
        if all(node.hears for node in self._nodes):
            self._level()

    # Speaking

    async def _speak(self) -> None:
        while True:
            sayings = await self._backlog.take(_AT_ONCE)
            if len(self._nodes) == 1:
                await self._publish(self._nodes[0], sayings)
            else:
                for number, node in enumerate(self._nodes):
                    mine = [one for one in sayings if self._layout.owner(one[0]) == number]
                    await self._publish(node, mine)
            self._backlog.gone()

    async def _publish(self, node: _Node, sayings: Sequence[Saying]) -> None:
        if not sayings:
            return
        verb = self._layout.publish
        await node.speaker.send([(verb, channel, data) for channel, data in sayings])
        for _ in sayings:
            await node.speaker.receive()

    # The heartbeat

    async def _beat(self) -> None:
        """Say something to oneself, and give up when it is not heard.

        Beats are counted, not seconds: a process that was stopped itself has missed none.
        """
        while True:
            for node in self._nodes:
                if node.missed >= MISSED_BEATS:
                    raise Lost("nothing is heard any more")
                node.missed += 1
                self._backlog.urge(node.heart, encode(self._me, Beat(time.monotonic())))
            await asyncio.sleep(self._beat_seconds)

    def _heard_beat(self, node: _Node, data: bytes) -> None:
        beat = decode(data)
        if isinstance(beat, Beat):
            node.missed = 0
            BUS_ROUND_TRIP.set(time.monotonic() - beat.said_at)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what broke first; the rest is what follows from it."""
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
