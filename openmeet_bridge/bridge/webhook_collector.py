"""The collector: follows the log, and notes of which messages OpenMeet is to be told.

The log is the truth, and ingest pays nothing for this. Where the collector stands is kept for each
tenant; what it reads twice after a crash it notes once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from ..core.content import decoded
from ..core.errors import Unavailable
from ..core.ids import Mxid, Position, TenantId
from ..storage import told_messages, webhooks
from ..storage.database import Database
from ..storage.told_messages import Said
from ..stream.bus import WHOLE_LOG, Bus

log = structlog.get_logger(__name__)

PUSHED_AGE: Final = 86_400.0
"""Seconds after which a message is no news any more."""
REPAIRED_AGE: Final = 3600.0
"""The same for a message that the homeserver did not push and that was found missing later."""

_POLL = 5.0
_GATHER = 0.2
"""Pause between two looks: what is said meanwhile is read at once."""
_RETRY = 1.0
_STRIDE = 5000
"""How far the kept position may be behind while there is nothing to note."""


class WebhookCollector:
    """Makes ``message.created`` events.

    Args:
        database: The log, and where the events are kept.
        bus: Says that the log grew.
        bot: Whose words are no news.
        tenants: Those who have an endpoint that wants messages.
        found: Called when there are new events.
        batch: Most entries that are read at once.
    """

    def __init__(
        self,
        database: Database,
        bus: Bus,
        bot: Mxid,
        tenants: Sequence[TenantId],
        found: Callable[[], None],
        *,
        batch: int = 1000,
    ) -> None:
        self._database = database
        self._bus = bus
        self._bot = bot
        self._tenants = list(tenants)
        self._found = found
        self._batch = batch
        self._marks: dict[TenantId, Position] = {}
        self._position = Position(0)
        self._kept = Position(0)

    async def run(self) -> None:
        """Follow the log for ever."""
        await self.begin()
        if not self._tenants:
            await asyncio.Event().wait()
        self._bus.begin(WHOLE_LOG)
        try:
            while True:
                await self._go_on()
        finally:
            self._bus.end(WHOLE_LOG)

    async def _go_on(self) -> None:
        try:
            while await self.step():
                pass
        except Unavailable as error:
            log.info("webhooks.log_away", error=str(error))
            await asyncio.sleep(_RETRY)
        await self._bus.wait(self._position, _POLL)
        await asyncio.sleep(_GATHER)

    async def begin(self) -> None:
        """Find out where to go on. A tenant that is new begins at the end of the log.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.transaction() as connection:
            self._marks = await told_messages.marks(connection, self._tenants)
        self._position = self._kept = min(self._marks.values(), default=Position(0))

    async def step(self) -> bool:
        """Read a piece of the log; return whether there may be more at once.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.transaction() as connection:
            said, position, more = await told_messages.said_after(
                connection,
                self._position,
                self._tenants,
                self._batch,
                bot=self._bot,
                pushed_age=PUSHED_AGE,
                repaired_age=REPAIRED_AGE,
            )
            news = [(one.tenant, one.event_id) for one in said if self._is_news(one)]
            if news:
                await webhooks.put_messages(connection, news)
            keep = bool(news) or position >= self._kept + _STRIDE
            if keep:
                await told_messages.advance(connection, self._tenants, position)
        self._position = position
        if keep:
            self._kept = position
        if news:
            self._found()
        return more

    def _is_news(self, said: Said) -> bool:
        if said.position <= self._marks[said.tenant]:
            return False
        # Machines speak in notices, and nobody is to be woken by them.
        return bool(decoded(said.content).get("msgtype") != "m.notice")
