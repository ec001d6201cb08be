"""One of several workers: a process of its own, which the first process has started.

It is told on its standard input which one it is, says on its standard output when it is ready, and
ends in order when it is told to, or when the process that started it is no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec
import structlog

from .. import config as configuration
from ..config import Address, Config
from ..core.errors import BridgeError, ConfigError, Unavailable
from ..matrix import registration as registrations
from ..storage.embedded import EmbeddedPostgresError, running_dsn
from ..telemetry import setup_logging
from .bridge import Bridge
from .serving import allow_many_files, run_loop, until_stopped

READY = b"ready\n"

log = structlog.get_logger(__name__)


class Orders(msgspec.Struct):
    """What a worker is told.

    Attributes:
        file: The configuration file.
        worker: Which one it is, counted from 0.
        listen: The addresses that all share, by listener: without ports that are yet to be chosen.
    """

    file: str
    worker: int
    listen: dict[str, str]


def main() -> int:
    """Serve as one of several; return the exit status."""
    for number in (signal.SIGINT, signal.SIGHUP):
        # These come to the whole group of processes; the first one says what follows from them.
        signal.signal(number, signal.SIG_IGN)
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    structlog.contextvars.bind_contextvars(worker=orders.worker)
    try:
        config = _config(orders)
        setup_logging(config.logging.level, as_json=config.logging.format == "json")
        allow_many_files()
        return run_loop(until_stopped(_serving(config, orders)))
    except (BridgeError, ConfigError) as error:
        sys.stderr.write(f"worker {orders.worker}: {error}\n")
        return 1


@contextlib.asynccontextmanager
async def _serving(config: Config, orders: Orders) -> AsyncIterator[Bridge]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    registration = registrations.load(config.registration, config.homeserver.server_name)
    async with AsyncExitStack() as stack:
        _end_with_parent()
        bridge = Bridge(config, registration, await _dsn(config), orders.worker)
        stack.push_async_callback(bridge.stop)
        await bridge.start()
        log.info("worker.ready", pid=os.getpid(), public=str(bridge.addresses["public"]))
        os.write(1, READY)
        yield bridge


def _config(orders: Orders) -> Config:
    config = configuration.load(orders.file)
    addresses = {name: Address.parse(text) for name, text in orders.listen.items()}
    listen = msgspec.structs.replace(config.listen, **addresses)
    return msgspec.structs.replace(config, listen=listen)


def _end_with_parent() -> None:
    """End in order when nobody is at the other end of the standard input any more."""

    def read() -> None:
        if not os.read(0, 4096):
            asyncio.get_running_loop().remove_reader(0)
            log.warning("worker.orphaned")
            os.kill(os.getpid(), signal.SIGTERM)

    asyncio.get_running_loop().add_reader(0, read)


async def _dsn(config: Config) -> str:
    if not config.embedded:
        return config.database
    try:
        dsn = await asyncio.to_thread(running_dsn, config.data_dir)
    except EmbeddedPostgresError as error:
        raise Unavailable(str(error)) from error
    if dsn is None:
        raise Unavailable("The embedded database does not run.")
    return dsn


if __name__ == "__main__":
    raise SystemExit(main())
