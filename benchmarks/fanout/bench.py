"""What every measurement works with: the cores, the tokens, the servers that there are."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from openmeet_bridge.storage.embedded import EmbeddedPostgres

from . import programs, servers
from .client import Client
from .cores import Cores
from .layout import Block
from .servers import Server, Starter
from .whole import Inhabitants, whole_bridge

FLOOR, BATCHED, NCHAN, NODE = "floor-each", "floor-batch", "nchan-sse", "node-socketio"
BRIDGE, WHOLE = "bridge", "whole"

_PEERS: Mapping[str, tuple[Starter, Callable[[], object]]] = {
    FLOOR: (servers.floor("each"), programs.floor),
    BATCHED: (servers.floor("batch"), programs.floor),
    NCHAN: (servers.nchan("sse"), programs.nchan),
    "nchan-ws": (servers.nchan("ws"), programs.nchan),
    "aiohttp-sse": (servers.plain, lambda: None),
    NODE: (servers.socketio, programs.node),
}


@dataclass
class Bench:
    """What there is to measure with.

    Attributes:
        home: For files.
        cores: Whose core is whose.
        tokens: File with a token for each reader.
        postgres: For whole bridges; None leaves them out.
        quick: Whether to be short.
        most_files: So many files may one program have open.
        gentle: Whether to leave the processor to others between two messages.
        peers: The other servers that there are.
        left_out: Those that there are not, and why.
    """

    home: Path
    cores: Cores
    tokens: Path
    postgres: EmbeddedPostgres | None
    quick: bool
    most_files: int
    gentle: bool = False
    chance: random.Random = field(default_factory=random.Random)
    peers: dict[str, Starter] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def find_peers(self) -> None:
        """Find out which other servers there are."""
        for name, (starter, found) in _PEERS.items():
            try:
                found()
            except programs.Missing as missing:
                self.left_out[name] = str(missing)
            else:
                self.peers[name] = starter

    def bridges(self, *wires: str) -> dict[str, Starter]:
        """Return bridges with their log in memory, by name; in a short run only the first."""
        return {f"bridge-{one}": self.bridge(one) for one in (wires[:1] if self.quick else wires)}

    def others(self, *names: str) -> dict[str, Starter]:
        """Return those of the other servers that there are; in a short run only the first."""
        found = {name: self.peers[name] for name in names if name in self.peers}
        return dict(list(found.items())[:1]) if self.quick else found

    def bridge(self, wire: str, *, unpaced: bool = False, **settings: object) -> Starter:
        """Return what runs the bridge with its log in memory."""
        return servers.memory_bridge(wire, unpaced=unpaced, **settings)

    def whole(self, wire: str, people: Inhabitants) -> Starter | None:
        """Return what runs a whole bridge; None where there is no PostgreSQL."""
        return None if self.postgres is None else whole_bridge(wire, self.postgres, people)

    @contextmanager
    def running(self, starter: Starter) -> Iterator[Server]:
        """Run a server for the length of the block."""
        folder = self.home / f"server-{next(self._numbers)}"
        folder.mkdir()
        with starter(folder, self.cores) as server:
            yield server

    def client(
        self,
        server: Server,
        block: Block,
        readers: int | None = None,
        *,
        spin: bool = True,
        more: Sequence[str] = (),
    ) -> Client:
        """Return readers of a server, who are being let in."""
        return Client(
            server,
            self.cores,
            self.tokens,
            block,
            readers=readers,
            spin=spin and not self.gentle,
            more=more,
        )

    def most_readers(self, wanted: int) -> int:
        """Return how many readers there may be: each is a file of the server's and the client's."""
        return min(wanted, self.most_files - 512)

    def say(self, text: str) -> None:
        """Tell who waits what is done."""
        click.echo(text, err=True)

    @contextmanager
    def all_running(
        self, starters: Mapping[str, Starter], block: Block, readers: int
    ) -> Iterator[dict[str, Client]]:
        """Run servers at the same time for the length of the block, each with its readers."""
        with ExitStack() as stack:
            clients = {}
            for name, starter in starters.items():
                server = stack.enter_context(self.running(starter))
                client = stack.enter_context(self.client(server, block, readers))
                if client.connected.streams < readers:
                    raise RuntimeError(f"{name} let {client.connected.streams} of {readers} in")
                clients[name] = client
            for name, client in clients.items():
                if name.startswith((BRIDGE, WHOLE)):
                    client.settle()
            yield clients
