"""Running servers, each with what the load client must know of it."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from openmeet_bridge.config import Address
from openmeet_bridge.demo.synapse import free_port
from openmeet_bridge.matrix.registration import generate

from .. import world
from ..house import LIMITS
from . import programs
from .cores import Cores

HOST = "127.0.0.1"
BEARER = "Authorization: Bearer {token}"
SSE = ("--mode", "sse")
WS = ("--mode", "ws")
_START_SECONDS = 90.0
_STOP_SECONDS = 10.0
_LINE = ("--publish-body", "{room} {message}")


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        name: Which one.
        pids: Its processes: what they use is what it costs.
        read: Arguments of the client for its readers.
        write: Arguments for what is published.
        spin: Whether the client may poll without a pause. It must not where the server needs
            the client's core too.
        public: Where a bridge has its public listener.
        push: Gives a bridge events of a room, by its number.
    """

    name: str
    pids: tuple[int, ...]
    read: tuple[str, ...]
    write: tuple[str, ...]
    spin: bool = True
    public: Address | None = None
    push: Callable[[int, list[bytes]], None] | None = None


Starter = Callable[[Path, Cores], AbstractContextManager[Server]]
"""Runs a server for the length of a block, with its files in a folder that is its own."""


def floor(how: str) -> Starter:
    """Return what runs the bare loop in C: ``each`` or ``batch``."""

    @contextmanager
    def start(folder: Path, cores: Cores) -> Iterator[Server]:
        port = _two_ports()
        command = [str(programs.floor()), str(port), how]
        with process(command, folder, cores, port) as pid:
            yield Server(
                f"floor-{how}",
                (pid,),
                (*SSE, "--url", f"http://{HOST}:{port}/?room={{room}}"),
                ("--publish", f"tcp://{HOST}:{port + 1}", *_LINE),
            )

    return start


def nchan(wire: str) -> Starter:
    """Return what runs nginx with nchan, read over ``sse`` or ``ws``."""

    @contextmanager
    def start(folder: Path, cores: Cores) -> Iterator[Server]:
        found, port = programs.nchan(), free_port()
        text = (programs.HERE / "peers" / "nchan.conf").read_text()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        values = {"MODULE": found.module, "FOLDER": folder, "PORT": port, "FILES": files}
        for name, value in values.items():
            text = text.replace(name, str(value))
        (folder / "nginx.conf").write_text(text)
        command = [str(found.nginx), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        with process([*command, "-e", str(folder / "error.log")], folder, cores, port) as pid:
            base = f"http://{HOST}:{port}"
            yield Server(
                f"nchan-{wire}",
                _children(pid),
                ("--mode", wire, "--url", f"{base}/sub?room={{room}}"),
                ("--publish", f"{base}/pub?room={{room}}"),
            )

    return start


@contextmanager
def plain(folder: Path, cores: Cores) -> Iterator[Server]:
    """Run server-sent events as aiohttp's examples have them."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.fanout.peers.plain", str(port)]
    with process(command, folder, cores, port) as pid:
        base = f"http://{HOST}:{port}"
        yield Server(
            "aiohttp-sse",
            (pid,),
            (*SSE, "--url", f"{base}/sub?room={{room}}"),
            ("--publish", f"{base}/pub?room={{room}}"),
        )


@contextmanager
def socketio(folder: Path, cores: Cores) -> Iterator[Server]:
    """Run Socket.IO in Node, which checks tokens as the bridge does."""
    port = free_port()
    script = programs.HERE / "peers" / "socketio.js"
    command = [str(programs.node()), str(script), str(port), world.JWT_SECRET]
    modules = {"NODE_PATH": str(programs.BUILD / "node_modules")}
    with process(command, folder, cores, port, modules) as pid:
        base = f"http://{HOST}:{port}"
        steps = ("expect:0{", "send:40", "expect:40{", 'send:420["join","{room}"]', "expect:430[")
        yield Server(
            "node-socketio",
            (pid,),
            (
                *WS,
                *("--url", f"{base}/socket.io/?EIO=4&transport=websocket"),
                *("--header", BEARER, "--reply", "2=3"),
                *(word for step in steps for word in ("--step", step)),
            ),
            ("--publish", f"{base}/pub?room={{room}}"),
        )


def bridge_reads(public: Address) -> dict[str, tuple[str, ...]]:
    """Return the client's arguments for the kinds of stream of a bridge.

    A reader is ready when it was greeted, which is when the bridge knows its rooms.
    """
    base = f"http://{public}"
    steps = ("expect:0{", "send:40/matrix,", "expect:connection_confirmed")
    greeted = ("--header", BEARER, "--step", "expect:hello")
    return {
        "sse": (*SSE, "--url", f"{base}/api/v1/stream", *greeted),
        "ws": (*WS, "--url", f"{base}/api/v1/ws", *greeted),
        # Each message comes twice, under both names that the web app knows it by.
        "socketio": (
            *WS,
            *("--url", f"{base}/socket.io/?EIO=4&transport=websocket"),
            *("--header", BEARER, "--reply", "2=3", "--twin"),
            *(word for step in steps for word in ("--step", step)),
        ),
    }


def memory_bridge(wire: str, *, unpaced: bool = False, **settings: object) -> Starter:
    """Return what runs the bridge with its log in memory.

    Args:
        wire: ``sse``, ``ws`` or ``socketio``.
        unpaced: Whether it never waits to gather events, not even under load.
        settings: Blocks of its configuration.
    """

    @contextmanager
    def start(folder: Path, cores: Cores) -> Iterator[Server]:
        public, lines = Address(HOST, free_port()), Address(HOST, free_port())
        config = memory_config(folder, public, settings)
        command = [sys.executable, "-m", "benchmarks.fanout.hub", str(config), str(lines.port)]
        command += ["unpaced"] if unpaced else []
        with process(command, folder, cores, public.port) as pid:
            yield Server(
                f"bridge-{wire}",
                (pid,),
                bridge_reads(public)[wire],
                ("--publish", f"tcp://{lines}", *_LINE),
                public=public,
                push=lambda room, events: _push(lines, room, events),
            )

    return start


def _push(lines: Address, room: int, events: list[bytes]) -> None:
    with socket.create_connection((lines.host, lines.port)) as connection:
        connection.sendall(b"".join(b"%06d %b\n" % (room, event) for event in events))


def memory_config(folder: Path, public: Address, settings: Mapping[str, object]) -> Path:
    """Write the configuration of a bridge with its log in memory; return the file."""
    listen = Address(HOST, 9)
    (folder / "registration.yaml").write_text(
        generate(world.SERVER_NAME, f"http://{listen}").dump()
    )
    jwt = {"algorithm": "HS256", "secret": world.JWT_SECRET}
    values = {
        "homeserver": {"url": f"http://{listen}", "server_name": world.SERVER_NAME},
        "registration": "registration.yaml",
        "database": f"postgresql://{listen}/nothing",
        "listen": {"public": str(public)},
        "tenants": [{"id": world.TENANT, "name": "Benchmark", "jwt": jwt}],
        "limits": LIMITS,
        "logging": {"level": "error"},
        **settings,
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps(values))
    return file


@contextmanager
def process(
    command: list[str],
    folder: Path,
    cores: Cores,
    port: int,
    environment: Mapping[str, str] = {},
) -> Iterator[int]:
    """Run a program on the server's core for the length of the block, and wait until it listens.

    Raises:
        RuntimeError: It does not come up.
    """
    log = folder / "output.log"
    with log.open("wb") as output, cores.of_server():
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )
    try:
        _wait_for(started, port, log)
        yield started.pid
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _wait_for(started: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if started.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"a server does not start:\n{log.read_text()[-2000:]}")
        try:
            socket.create_connection((HOST, port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            time.sleep(0.2)
            return


def _two_ports() -> int:
    """Return a free port whose neighbour is free too."""
    while True:
        port = free_port()
        try:
            with socket.socket() as one:
                one.bind((HOST, port + 1))
        except OSError:
            continue
        return port


def _children(pid: int) -> tuple[int, ...]:
    return tuple(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def allow_files() -> int:
    """Open as many files as the system lets us, here and in what is started; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def signal_all(server: Server, number: int) -> None:
    """Send a signal to a server."""
    for pid in server.pids:
        os.kill(pid, number)
