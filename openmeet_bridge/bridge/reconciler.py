"""The reconciler: runs the jobs that make Matrix equal to the directory, one per portal at a time.

It runs in one worker only. Another that takes its place takes its jobs too.

Jobs are rows: they survive a crash, and asking for one twice is asking once. A failure is tried
again with growing, jittered pauses; what the homeserver refuses for good stays visible as failed
until OpenMeet changes something.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

import structlog

from ..core.errors import BridgeError, Unavailable
from ..core.ids import TenantId
from ..matrix.errors import HomeserverError, RateLimited, Refused, TokenRefused
from ..storage import jobs
from ..storage.database import Connection, Database
from ..storage.jobs import Job
from ..telemetry import JOBS
from .echo import NotSettled, Overtaken

log = structlog.get_logger(__name__)

Work = Callable[[TenantId, str], Awaitable[None]]

_LEASE = 300.0
_IDLE = 5.0
_MOMENT = 0.1
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 300.0
_TRIES_WHEN_REFUSED = 5


class Reconciler:
    """Runs jobs.

    Args:
        database: Where the jobs are.
        works: By kind of job, what does it: called with the tenant and the job's slug.
        at_once: How many jobs may run at the same time.
        unseen: Called where what was done does not come back: events may have been lost.
    """

    def __init__(
        self,
        database: Database,
        works: Mapping[str, Work],
        at_once: int = 4,
        unseen: Callable[[], None] = lambda: None,
    ) -> None:
        self._unseen = unseen
        self._database = database
        self._works = works
        self._at_once = at_once
        self._wanted = asyncio.Event()
        self._running: dict[asyncio.Task[None], Job] = {}

    def wake(self) -> None:
        """Say that there may be a job."""
        self._wanted.set()

    async def run(self) -> None:
        """Run jobs for ever."""
        async with self._database.connection() as connection:
            await jobs.release_all(connection)
        try:
            while True:
                self._wanted.clear()
                if not await self._start_due():
                    await self._pause()
        finally:
            await self._give_back()

    async def _give_back(self) -> None:
        """End what runs, and leave it to the next one, who need not wait for the leases."""
        given_up = list(self._running.values())
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if given_up:
            await self._note(lambda connection: jobs.release(connection, given_up))

    async def _start_due(self) -> bool:
        free = self._at_once - len(self._running)
        if free <= 0:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return True
        async with self._database.connection() as connection:
            taken = await jobs.take(connection, free, _LEASE)
        for job in taken:
            task = asyncio.create_task(self._do(job), name=f"job {job.kind} {job.slug}")
            self._running[task] = job
            task.add_done_callback(self._done)
        return bool(taken)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._wanted.set()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_IDLE if not self._running else 0.5):
                await self._wanted.wait()
        except TimeoutError:
            return

    async def _do(self, job: Job) -> None:
        began = asyncio.get_running_loop().time()
        work = self._works.get(job.kind)
        if work is None:
            await self._give_up(job, "this version of the bridge knows no such kind of job")
            return
        try:
            async with asyncio.timeout(_LEASE - 10):
                await work(job.tenant, job.slug)
        except Overtaken as reason:
            about = {"tenant": job.tenant, "kind": job.kind, "slug": job.slug}
            log.info("job.overtaken", **about, reason=str(reason))
            JOBS.labels("retried").inc()
            await self._note(lambda connection: jobs.postpone(connection, job, _MOMENT, None))
        except (HomeserverError, NotSettled, BridgeError, TimeoutError) as error:
            await self._failed(job, error)
        except Exception as error:
            # A bug in one job must not stop the others; it is kept with the job for an operator.
            log.exception("job.crashed", tenant=job.tenant, kind=job.kind, slug=job.slug)
            await self._failed(job, error)
        else:
            JOBS.labels("done").inc()
            took_ms = round(1000 * (asyncio.get_running_loop().time() - began))
            await self._note(lambda connection: jobs.finish(connection, job, took_ms))

    async def _give_up(self, job: Job, reason: str) -> None:
        JOBS.labels("failed").inc()
        log.error("job.unknown", tenant=job.tenant, kind=job.kind, slug=job.slug)
        await self._note(
            lambda connection: jobs.postpone(connection, job, 0, reason, permanent=True)
        )

    async def _failed(self, job: Job, error: Exception) -> None:
        refused = isinstance(error, Refused) and not isinstance(error, TokenRefused)
        permanent = refused and job.attempts + 1 >= _TRIES_WHEN_REFUSED
        JOBS.labels("failed" if permanent else "retried").inc()
        text = str(error) or type(error).__name__
        log.warning(
            "job.failed",
            tenant=job.tenant,
            kind=job.kind,
            slug=job.slug,
            error=text,
            attempts=job.attempts + 1,
            permanent=permanent,
        )
        if isinstance(error, NotSettled):
            self._unseen()
        pause = _pause(job.attempts, error)
        await self._note(
            lambda connection: jobs.postpone(connection, job, pause, text, permanent=permanent)
        )

    async def _note(self, statement: Callable[[Connection], Awaitable[None]]) -> None:
        # Away just now: the lease runs out and the job is done again, which is harmless.
        try:
            async with self._database.connection() as connection:
                await statement(connection)
        except Unavailable as error:
            log.warning("job.not_noted", error=str(error))


def _pause(attempts: int, error: Exception) -> float:
    if isinstance(error, RateLimited):
        return error.retry_after_ms / 1000 + random.uniform(0, 1)  # noqa: S311
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempts, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  (jitter, not a secret)
