"""Running a bridge as a program: logging, database, bus, signals, exit status."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import structlog

from ..config import Config
from ..core.errors import Unavailable
from ..matrix import registration as registrations
from ..storage.embedded import EmbeddedPostgres, EmbeddedPostgresError
from ..telemetry import setup_logging
from .bridge import Bridge
from .buses import bus_server

log = structlog.get_logger(__name__)

_COLLECT = (10_000, 20, 50)
"""When garbage is collected: everything but seldom, as all readers wait meanwhile."""

_TURN = 0.0001
"""Seconds after which a thread lets another one run."""


def serve(config: Config, file: Path, workers: int | None = None) -> int:
    """Run the bridge until SIGTERM or SIGINT; return the exit status.

    Args:
        config: The configuration.
        file: Where it was read from: several workers read it again, each for itself.
        workers: How many processes; as it is configured when None.

    Raises:
        ConfigError: The registration, an address or a tenant's keys cannot be used, or the bus
            does not reach several workers.
        Unavailable: The database does not answer, or lacks migrations, or a worker does not start.
    """
    setup_logging(config.logging.level, as_json=config.logging.format == "json")
    allow_many_files()
    count = workers or config.workers
    if count == 1:
        return run_loop(until_stopped(running(config)))
    from .workers import several

    return run_loop(until_stopped(several(config, str(file.absolute()), count)))


def run_loop(work: Coroutine[Any, Any, int]) -> int:
    """Run on uvloop where it is installed (extra ``speed``), else on asyncio's own loop."""
    # Should a thread compute one day: the loop gets its turn soon (see stream/writing).
    sys.setswitchinterval(_TURN)
    gc.set_threshold(*_COLLECT)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set from now on."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def allow_many_files() -> None:
    """Let this process have as many sockets open as the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def spare_what_stays() -> None:
    """Let the garbage collector pass over what is there now: to look takes a tenth of a second."""
    gc.collect()
    gc.freeze()


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[Bridge]:
    """Run a bridge, with the servers of its own that it needs, for the length of the block.

    Raises:
        ConfigError: The registration, an address or a tenant's keys cannot be used.
        Unavailable: The database does not answer, or lacks migrations.
    """
    registration = registrations.load(config.registration, config.homeserver.server_name)
    async with contextlib.AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(foundations(config))
        bridge = Bridge(config, registration, dsn)
        # Before the start, so that whatever it has begun is ended even when it fails.
        stack.push_async_callback(bridge.stop)
        await bridge.start()
        log.info("bridge.ready", public=str(bridge.addresses["public"]))
        yield bridge


@contextlib.asynccontextmanager
async def foundations(config: Config) -> AsyncIterator[str]:
    """Run the embedded database and the embedded bus, where they are wanted, and migrate.

    Returns:
        The database's address.

    Raises:
        Unavailable: The database does not answer, or lacks migrations.
    """
    # Not at the top: alembic is half of what there is to load, and most commands need none of it.
    from ..storage import migrations

    async with contextlib.AsyncExitStack() as stack:
        dsn = await _embedded(config.data_dir, stack) if config.embedded else config.database
        await stack.enter_async_context(bus_server(config))
        if config.migrate_on_start:
            await migrations.upgrade_async(dsn)
        elif await migrations.current(dsn) != migrations.newest():
            raise Unavailable("The database lacks migrations. Run: openmeet-bridge migrate")
        yield dsn


async def until_stopped(block: AbstractAsyncContextManager[object]) -> int:
    """Run until SIGTERM or SIGINT, and end in order; return the exit status."""
    started, stop = asyncio.Event(), stop_signal()
    work = asyncio.create_task(_work(block, started, stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not started.is_set():
        # It waits: for the database, or for another bridge to end. Nothing to end in order yet.
        work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    return 0


async def _work(
    block: AbstractAsyncContextManager[object], started: asyncio.Event, stop: asyncio.Event
) -> None:
    async with block:
        spare_what_stays()
        started.set()
        await stop.wait()
        log.info("bridge.stopping")


async def _embedded(data_dir: Path, stack: contextlib.AsyncExitStack) -> str:
    server = EmbeddedPostgres(data_dir)
    try:
        await asyncio.to_thread(server.start)
    except EmbeddedPostgresError as error:
        raise Unavailable(str(error)) from error
    stack.push_async_callback(asyncio.to_thread, server.stop)
    return server.dsn
