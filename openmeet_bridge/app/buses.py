"""The bus of a process, as the configuration wants it, and the server that it may need."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from ..config import Config
from ..config.model import EMBEDDED, LOCAL
from ..core.errors import ConfigError, Unavailable
from ..stream.bus import Bus, LocalBus
from ..stream.embedded_valkey import EmbeddedValkey, EmbeddedValkeyError, address_of


@dataclass(frozen=True, slots=True)
class BusParts:
    """What works for the bus.

    Attributes:
        bus: The bus.
        loops: What must run while the bridge does, by name.
        close: Says what is still to be said; to be called while the loops still run.
    """

    bus: Bus
    loops: Mapping[str, Callable[[], Awaitable[None]]]
    close: Callable[[], Awaitable[None]]


def bus_parts(config: Config, epoch: str) -> BusParts:
    """Return the bus.

    Args:
        config: The configuration.
        epoch: The epoch of the log: keeps deployments that share a server apart.

    Raises:
        ConfigError: The extra is not installed, or the address cannot be used.
    """
    if config.bus == LOCAL:
        return BusParts(LocalBus(), {}, _nothing)
    if importlib.util.find_spec("redis") is None:
        reason = "needs: pip install 'openmeet-bridge[valkey]', or bus: local"
        raise ConfigError("configuration", None, "bus", reason)
    # Not at the top: without the extra there is nothing to import.
    from ..stream.valkey_bus import ValkeyBus

    address = address_of(config.data_dir) if config.bus == EMBEDDED else config.bus
    try:
        bus = ValkeyBus(address, epoch)
    except ValueError as error:
        raise ConfigError("configuration", None, "bus", str(error)) from None
    return BusParts(bus, {"bus": bus.run}, bus.close)


@contextlib.asynccontextmanager
async def bus_server(config: Config) -> AsyncIterator[None]:
    """Run the embedded Valkey for the length of the block, where the configuration wants one.

    Another process on the same data may run it already: then that one is used.

    Raises:
        Unavailable: The server does not start.
    """
    if config.bus != EMBEDDED:
        yield
        return
    server = EmbeddedValkey(config.data_dir)
    try:
        await asyncio.to_thread(server.start)
    except EmbeddedValkeyError as error:
        raise Unavailable(str(error)) from error
    try:
        yield
    finally:
        await asyncio.to_thread(server.stop)


async def _nothing() -> None:
    """There is nobody to say anything to."""
