"""Several workers on one machine: started, watched, replaced one by one, and ended.

The first process serves nobody. It runs the embedded servers and the migrations, and starts the
workers as fresh programs. All listen on the same addresses (SO_REUSEPORT): the kernel spreads new
connections over them. A worker that dies is started again. SIGHUP replaces each of them by a new
one, which reads the configuration anew: the old one ends when the new one is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import structlog

from ..config import Address, Config
from ..config.model import LOCAL
from ..core.errors import ConfigError, Unavailable
from ..matrix import registration as registrations
from .serving import foundations
from .worker import READY, Orders

log = structlog.get_logger(__name__)

_PATIENCE = 60.0
"""Seconds in which a new worker must be ready, and in which one that ends may drain its streams."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_LASTING = 60.0
"""A worker that lived so long was not started in vain."""
_SHARED = ("homeserver", "public")


@contextlib.asynccontextmanager
async def several(config: Config, file: str, count: int) -> AsyncIterator[Workers]:
    """Run several workers, with the servers of their own that they need, for the block.

    Raises:
        ConfigError: The bus does not reach them all, or an address or the registration cannot be
            used.
        Unavailable: The database does not answer, or lacks migrations, or a worker does not start.
    """
    check_several(config, count)
    registrations.load(config.registration, config.homeserver.server_name)
    async with AsyncExitStack() as stack:
        listen = _reserve(config, stack)
        await stack.enter_async_context(foundations(config))
        workers = Workers(file, listen, count)
        stack.push_async_callback(workers.stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, workers.replace_all)
        await workers.start()
        log.info("bridge.ready", public=listen["public"], workers=count)
        yield workers


def check_several(config: Config, count: int) -> None:
    """Check that a configuration fits several workers.

    Raises:
        ConfigError: It does not.
    """
    if config.bus == LOCAL:
        reason = f"{count} workers need a bus that reaches them all: a valkey:// address"
        raise _wrong("bus", f"{reason}, or for development `bus: embedded`")
    operations = config.listen.operations
    for name in _SHARED:
        port = getattr(config.listen, name).port
        if port and operations.port < port < operations.port + count:
            reason = f"{operations} and the {count - 1} ports after it are the workers' own"
            raise _wrong(f"listen.{name}", reason)


class Child:
    """A worker's process.

    Args:
        process: It.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.began = asyncio.get_running_loop().time()

    @classmethod
    async def start(cls, program: Sequence[str], orders: Orders) -> Child:
        """Start one, and tell it which it is."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe)
        if process.stdin is not None:
            process.stdin.write(msgspec.json.encode(orders) + b"\n")
        return cls(process)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    async def is_ready(self) -> bool:
        """Wait until it serves; False where it ended, or took too long."""
        if self._process.stdout is None:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                return await self._process.stdout.readline() == READY
        return False

    async def wait(self) -> int:
        """Wait until it has ended; return its exit status, negative for a signal."""
        return await self._process.wait()

    async def end(self) -> None:
        """Let it end in order; kill it where it does not."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._process.wait()
        except TimeoutError:
            log.error("worker.killed", pid=self.pid, reason="it did not end in time")
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


class Workers:
    """All workers of this machine.

    Args:
        file: The configuration file.
        listen: The addresses that they share, by listener.
        count: How many.
        program: What is started; it does as :mod:`.worker` does.
    """

    def __init__(
        self,
        file: str,
        listen: dict[str, str],
        count: int,
        program: Sequence[str] = (sys.executable, "-m", "openmeet_bridge.app.worker"),
    ) -> None:
        self._program = program
        self._orders = [Orders(file, number, listen) for number in range(count)]
        self._children: list[Child] = []
        self._changing = [asyncio.Lock() for _ in range(count)]
        self._tasks: set[asyncio.Task[None]] = set()
        self._replacing = asyncio.Lock()

    @property
    def pids(self) -> list[int]:
        """The processes of the workers."""
        return [one.pid for one in self._children]

    @property
    def busy(self) -> bool:
        """Whether they are being replaced."""
        return self._replacing.locked()

    async def start(self) -> None:
        """Start all; when this returns, all serve.

        Raises:
            Unavailable: One of them does not.
        """
        self._children = []
        for orders in self._orders:
            self._children.append(await Child.start(self._program, orders))
        if not all(await asyncio.gather(*(one.is_ready() for one in self._children))):
            raise Unavailable("A worker does not start; what it has written says why.")
        for number in range(len(self._children)):
            self._do(self._keep(number))

    async def stop(self) -> None:
        """End all in order."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(one.end() for one in self._children))

    def replace_all(self) -> None:
        """Replace each worker by a new one, one after the other."""
        self._do(self._replace_all())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, number: int) -> None:
        """Start a worker again whenever it has died."""
        pause = _FIRST_PAUSE
        while True:
            child = self._children[number]
            status = await child.wait()
            async with self._changing[number]:
                if self._children[number] is not child:
                    continue  # It was replaced.
                lived = asyncio.get_running_loop().time() - child.began
                pause = _FIRST_PAUSE if lived > _LASTING else pause
                log.error("worker.died", worker=number, pid=child.pid, status=status, again=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                await self._renew(number)

    async def _replace_all(self) -> None:
        async with self._replacing:
            log.info("workers.replacing", workers=len(self._children))
            for number in range(len(self._children)):
                if not await self._replace(number):
                    log.error("workers.not_replaced", worker=number)
                    return
            log.info("workers.replaced", pids=self.pids)

    async def _replace(self, number: int) -> bool:
        async with self._changing[number]:
            old = self._children[number]
            if not await self._renew(number):
                return False
            await old.end()
            return True

    async def _renew(self, number: int) -> bool:
        """Put a new worker in a place; leave there who is there if it does not get ready."""
        child = await Child.start(self._program, self._orders[number])
        ready = False
        try:
            ready = await child.is_ready()
        finally:
            if ready:
                self._children[number] = child
            else:
                await child.end()
        return ready


def _reserve(config: Config, stack: AsyncExitStack) -> dict[str, str]:
    """Hold the addresses that all share, also while a worker is replaced; choose free ports."""
    found = {}
    for name in _SHARED:
        address: Address = getattr(config.listen, name)
        try:
            holder = stack.enter_context(_bound(address))
        except OSError as error:
            reason = f"cannot listen on {address}: {error.strerror or error}"
            raise _wrong(f"listen.{name}", reason) from error
        found[name] = str(Address(address.host, holder.getsockname()[1]))
    return found


def _bound(address: Address) -> socket.socket:
    """Return a socket that has an address and does not listen: no connection comes to it."""
    kind = socket.SOCK_STREAM
    family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=kind)[0]
    holder = socket.socket(family, kind)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(place)
    except BaseException:
        holder.close()
        raise
    return holder


def _wrong(key: str, reason: str) -> ConfigError:
    return ConfigError("configuration", None, key, reason)
