"""The load client, and what it says."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from .. import world
from . import layout, programs
from .cores import Cores
from .layout import Block
from .servers import Server

_STOP_SECONDS = 10.0
_QUIET = 50
"""Bytes a second and stream: heartbeats may come."""


class Connected(msgspec.Struct):
    """How the opening of the streams went."""

    streams: int
    dead: int
    seconds: float
    streams_s: float
    server_cpu: float
    messages: int = 0
    gaps: int = 0
    doubles: int = 0


class Phase(msgspec.Struct):
    """What a phase has found. Shares are of one core; delays count from when a message was due.

    Attributes:
        server_share: The server's processor time.
        client_share: How long the client was reading; near 1 it was the limit of the rate.
        cpu_us_each: The server's processor time for one delivery.
        dead: Streams that have ended so far.
    """

    seconds: float = 0.0
    streams: int = 0
    published: int = 0
    deliveries: int = 0
    deliveries_s: float = 0.0
    bytes: int = 0
    bytes_each: float = 0.0
    server_cpu: float = 0.0
    server_share: float = 0.0
    cpu_us_each: float = 0.0
    core_share: float = 0.0
    client_share: float = 0.0
    p50_us: float = 0.0
    p90_us: float = 0.0
    p99_us: float = 0.0
    p999_us: float = 0.0
    max_us: float = 0.0
    gaps: int = 0
    doubles: int = 0
    reordered: int = 0
    malformed: int = 0
    publish_errors: int = 0
    undelivered: int = 0
    dead: int = 0

    @property
    def of_a_core(self) -> float:
        """Deliveries in a second of processor time."""
        return 1e6 / self.cpu_us_each if self.cpu_us_each else 0.0

    @property
    def faults(self) -> int:
        """How much went wrong."""
        wrong = (self.gaps, self.doubles, self.malformed, self.publish_errors, self.undelivered)
        return sum(wrong)


class Client:
    """Readers of one server, and who publishes to them.

    Args:
        server: The server.
        cores: The client gets the one that is not the server's.
        tokens: File with a token for each reader.
        block: Who reads, and where.
        readers: How many of them; by default all.
        spin: Whether to poll without a pause, where the server lets it.
        more: Further arguments.
    """

    def __init__(
        self,
        server: Server,
        cores: Cores,
        tokens: Path,
        block: Block,
        *,
        readers: int | None = None,
        spin: bool = True,
        more: Sequence[str] = (),
    ) -> None:
        self._spins = server.spin and spin
        count = readers or block.readers
        command = [
            str(programs.client()), *server.read, *server.write,
            *("--streams", str(count), "--rooms", str(min(block.rooms, count))),
            *("--first-room", str(block.first_room), "--first-reader", str(block.first_reader)),
            *("--tokens", str(tokens), "--pid", ",".join(map(str, server.pids))),
            *("--core", str(cores.server), "--sender", world.mxid(layout.user(block.first_reader))),
            "--no-spin", *more,
        ]  # fmt: skip
        self._errors = tokens.with_name(f"client-{id(self)}.log").open("w+b")
        with cores.of_client():
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
        self._connected: Connected | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connected(self) -> Connected:
        """How the opening went; waits for its end."""
        if self._connected is None:
            self._connected = msgspec.json.decode(self._line(), type=Connected)
            if self._spins:
                self.do("spin on=1")
        return self._connected

    def do(self, command: str) -> Phase:
        """Have a command done, and return what it found.

        Raises:
            RuntimeError: The client has ended.
        """
        self.begin(command)
        return self.end()

    def begin(self, command: str) -> None:
        """Have a command begun; :meth:`end` must follow."""
        _ = self.connected
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> Phase:
        """Return what the command found that was begun."""
        return msgspec.json.decode(self._line(), type=Phase)

    def stop(self) -> Phase:
        """End before its time what was begun, and return what it found."""
        self._process.send_signal(signal.SIGUSR1)
        return self.end()

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until hardly anything comes any more: a bridge tells readers who else is there."""
        deadline = time.monotonic() + seconds
        while self.do("idle secs=1").bytes > _QUIET * self.connected.streams:
            if time.monotonic() > deadline:
                return

    def close(self) -> None:
        """Hang up everywhere."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read()[-600:].decode(errors="replace")
            raise RuntimeError(f"the load client has ended: {said}")
        return line


def write_tokens(file: Path, readers: Iterable[int] = range(layout.READERS)) -> Path:
    """Write a token for each reader, one a line."""
    file.write_text("".join(f"{world.token(layout.user(one))}\n" for one in readers))
    return file
