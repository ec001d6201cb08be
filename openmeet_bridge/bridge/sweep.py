"""The sweep: looks at everything again and again, whether or not anything seems to have happened.

What calls and events have told is done at once. The sweep finds what nobody told: a call or an
event that was lost, a meetup whose room is due to be archived, what was changed in the database by
hand. It plans from the database alone and wants a job only where the plan is not empty, so where
all is well it costs the homeserver nothing. It is spread over its time, one look after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from ..core.errors import BridgeError
from ..core.ids import TenantId
from ..matrix.errors import HomeserverError
from ..storage import jobs, sweep
from ..storage.database import Database
from ..storage.drift import Subject
from ..telemetry import DRIFT_FOUND, SWEEPS

log = structlog.get_logger(__name__)

Look = Callable[[TenantId, str], Awaitable[bool]]
"""Whether something is to be done for a tenant's slug."""

_PAGE = 200
_SHORTEST = 1.0


class Sweep:
    """Looks at all portals, users and spaces.

    Args:
        database: Names them, and takes the jobs.
        looks: By kind of job, how to see whether it would do anything.
        tenants: Whose.
        interval: Seconds in which everything is looked at once.
        wake: Called when a job was wanted.
    """

    def __init__(
        self,
        database: Database,
        looks: Mapping[str, Look],
        tenants: Sequence[TenantId],
        interval: float,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._looks = looks
        self._tenants = list(tenants)
        self._interval = max(interval, _SHORTEST)
        self._wake = wake

    async def run(self) -> None:
        """Sweep for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            async with self._database.connection() as connection:
                expected = await sweep.count(connection, self._tenants)
            # Half a pause first: what has only just started has enough to do.
            pause = self._interval / (expected + 1)
            await asyncio.sleep(pause / 2)
            await self.once(pause)
            SWEEPS.inc()
            await asyncio.sleep(max(_SHORTEST, began + self._interval - clock()))

    async def once(self, pause: float = 0) -> int:
        """Look at everything once; return for how much a job was wanted.

        Args:
            pause: Seconds from one look to the next. However short, the event loop and the
                database are free for others at least as long as the look has taken.
        """
        clock = asyncio.get_running_loop().time
        found, last = 0, sweep.FIRST
        while True:
            async with self._database.connection() as connection:
                page = await sweep.page(connection, self._tenants, last, _PAGE)
            for subject in page:
                began = clock()
                found += await self._look(subject)
                took = clock() - began
                await asyncio.sleep(max(took, pause - took) if pause else 0)
            if len(page) < _PAGE:
                return found
            last = page[-1]

    async def _look(self, subject: Subject) -> bool:
        look = self._looks.get(subject.kind)
        if look is None:
            return False
        tenant, kind, slug = subject
        try:
            if not await look(tenant, slug):
                return False
        except (BridgeError, HomeserverError) as error:
            # The job says what is wrong, and is tried again; a sweep goes on.
            log.warning("sweep.look_failed", tenant=tenant, kind=kind, slug=slug, error=str(error))
            return False
        async with self._database.connection() as connection:
            await jobs.want(connection, tenant, kind, slug, bulk=True)
        DRIFT_FOUND.labels(kind).inc()
        log.info("sweep.found", tenant=tenant, kind=kind, slug=slug)
        self._wake()
        return True
