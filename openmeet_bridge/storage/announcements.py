"""Announcements: what one process tells all others that work on the database (NOTIFY).

They come with the commit of the transaction that makes them, or not at all, and are not kept: who
was not listening must look at the tables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import structlog

from .database import AWAY, Connection

log = structlog.get_logger(__name__)

_CHANNEL = "openmeet_bridge"
_CHECK = 5.0
_PAUSE = 1.0


async def announce(connection: Connection, payloads: Sequence[str]) -> None:
    """Tell all who listen, once the transaction is committed. At most 7,999 bytes each."""
    if payloads:
        await connection.execute(
            "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS given (payload)",
            _CHANNEL,
            payloads,
        )


class Announcements:
    """Listens, on a connection of its own.

    Args:
        dsn: The database.
        heard: Called with each payload.
        deaf: Awaited whenever listening begins: what was said before was not heard.
    """

    def __init__(
        self, dsn: str, heard: Callable[[str], None], deaf: Callable[[], Awaitable[None]]
    ) -> None:
        self._dsn = dsn
        self._heard = heard
        self._deaf = deaf

    async def run(self) -> None:
        """Listen for ever; a connection that is lost is made again."""
        while True:
            try:
                await self._listen()
            except AWAY as error:
                log.warning("announcements.lost", error=str(error) or type(error).__name__)
            await asyncio.sleep(_PAUSE)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=10, command_timeout=10)
        try:
            await connection.add_listener(_CHANNEL, self._on_notice)
            await self._deaf()
            while True:
                # Nothing is said for hours: only asking tells a silent line from a dead one.
                await asyncio.sleep(_CHECK)
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    def _on_notice(self, _connection: Any, _process: int, _channel: str, payload: Any) -> None:
        self._heard(str(payload))
