"""The fire: acts are carried out, each at its time, and in the end everything is up again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from .acts import Act
from .journal import Journal
from .servers import Server

_WATCH = 0.5


class Fire:
    """Carries acts out.

    Args:
        servers: Whom acts are about, by name.
        journal: Gets each act.
        say: Is told each act, for people.
    """

    def __init__(
        self, servers: Mapping[str, Server], journal: Journal, say: Callable[[str], None]
    ) -> None:
        self._servers = servers
        self._journal = journal
        self._say = say
        self._turns = {name: asyncio.Lock() for name in servers}

    async def burn(self, acts: Sequence[Act]) -> None:
        """Carry all acts out; return when everything is up again.

        Acts on one server wait for one another; those on several overlap as it happens.
        """
        began = self._journal.now
        async with asyncio.TaskGroup() as group:
            for act in acts:
                await asyncio.sleep(max(0.0, began + act.at - self._journal.now))
                group.create_task(self._carry_out(act))

    async def watch(self) -> None:
        """Start again whatever ends by itself, and note it: nothing should."""
        while True:
            await asyncio.sleep(_WATCH)
            for name, server in self._servers.items():
                async with self._turns[name]:
                    if server.crashed:
                        self._journal.note("crashed", victim=name)
                        self._say(f"{name} has ended by itself")
                        await asyncio.to_thread(server.start)

    async def _carry_out(self, act: Act) -> None:
        server = self._servers[act.victim]
        async with self._turns[act.victim]:
            self._journal.note("act", kind=act.kind, victim=act.victim, seconds=act.seconds)
            self._say(f"{act.kind:8} {act.victim:9} for {act.seconds:.1f} s")
            if act.kind == "freeze":
                await asyncio.to_thread(server.freeze)
                await asyncio.sleep(act.seconds)
                await asyncio.to_thread(server.thaw)
            else:
                end = server.kill if act.kind == "kill" else server.stop
                await asyncio.to_thread(end)
                await asyncio.sleep(act.seconds)
                await asyncio.to_thread(server.start)
            self._journal.note("over", kind=act.kind, victim=act.victim)
            self._journal.flush()
