"""Webhooks: tells OpenMeet's endpoints what has happened, at least once.

Each endpoint has a line of its own, so that a slow one holds up nobody else. Within a line events
go out in their order, several at a time: one that must be repeated is overtaken by later ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import structlog

from ..core.errors import Unavailable
from ..core.webhooks import Endpoint
from ..openmeet import webhook_client
from ..openmeet.webhook_client import Answer
from ..storage import webhooks
from ..storage.database import Connection, Database
from ..storage.webhooks import Delivery
from ..telemetry import WEBHOOKS, WEBHOOKS_DROPPED, WEBHOOKS_OLDEST, WEBHOOKS_WAITING
from .webhook_bodies import WebhookBodies
from .webhook_lines import Line, growing

log = structlog.get_logger(__name__)

PATIENCE: Final = 86_400.0
"""Seconds for which an event is tried."""
KEPT_WHEN_TOLD: Final = 26 * 3600.0
"""Longer than a message counts as new, so that none is found, and told, a second time."""
KEPT_WHEN_FAILED: Final = 7 * 86_400.0

_LEASE = 2 * webhook_client.SECONDS
_LEAST_TRIES = 5
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 3600.0
_LOOK = 1.0
_RETRY = 1.0
_BATCH = 1000
_HOUSEKEEPING = 10.0


class Webhooks:
    """Delivers events to endpoints.

    Args:
        database: Where the events are.
        bodies: Says what is told.
        endpoints: Who is told.
        most_waiting: How many messages may wait for one endpoint; the oldest beyond that are
            dropped. Other events never are.
        lease: Seconds after which an attempt of which nothing was heard is made again.
        patience: How long one attempt may take, in seconds.
    """

    def __init__(
        self,
        database: Database,
        bodies: WebhookBodies,
        endpoints: Sequence[Endpoint],
        *,
        most_waiting: int,
        lease: float = _LEASE,
        patience: float = webhook_client.SECONDS,
    ) -> None:
        self._database = database
        self._bodies = bodies
        self._endpoints = list(endpoints)
        self._lines = {(one.tenant, one.url): Line(one) for one in endpoints}
        self._most_waiting = most_waiting
        self._lease = lease
        self._patience = patience
        self._more = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._tidied_at = float("-inf")

    def wake(self) -> None:
        """Say that there may be something to tell."""
        self._more.set()

    async def run(self) -> None:
        """Deliver for ever."""
        async with webhook_client.session() as client:
            try:
                while True:
                    await self._round(client)
            finally:
                for task in self._running:
                    task.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)

    async def _round(self, client: aiohttp.ClientSession) -> None:
        self._more.clear()
        try:
            if _now() >= self._tidied_at + _HOUSEKEEPING:
                await self.tidy()
                self._tidied_at = _now()
            if await self._start_due(client):
                return
        except Unavailable as error:
            log.info("webhooks.database_away", error=str(error))
            await asyncio.sleep(_RETRY)
        try:
            async with asyncio.timeout(_LOOK if self._endpoints else _HOUSEKEEPING):
                await self._more.wait()
        except TimeoutError:
            return

    async def _start_due(self, client: aiohttp.ClientSession) -> bool:
        async with self._database.connection() as connection:
            while await webhooks.spread(connection, self._endpoints, _BATCH) == _BATCH:
                pass
            free = {key: line.free(_now()) for key, line in self._lines.items()}
            free = {key: count for key, count in free.items() if count > 0}
            taken = await webhooks.take(connection, free, self._lease) if free else []
        for delivery in taken:
            line = self._lines[delivery.tenant, delivery.endpoint]
            line.running += 1
            task = asyncio.create_task(self._do(client, line, delivery), name="webhook")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return bool(taken)

    async def _do(self, client: aiohttp.ClientSession, line: Line, delivery: Delivery) -> None:
        try:
            await self._deliver(client, line, delivery)
        except Unavailable as error:
            # What is not noted is told again when the lease has run out: the id is the same.
            log.warning("webhook.not_noted", error=str(error))
        finally:
            line.running -= 1
            self.wake()

    async def _deliver(self, client: aiohttp.ClientSession, line: Line, delivery: Delivery) -> None:
        try:
            answer = await self._attempt(client, line.endpoint, delivery)
        except Unavailable:
            raise
        except Exception as error:
            # A bug with one event must not stop the others, nor be repeated without a pause.
            log.exception("webhook.crashed", type=delivery.type)
            await self._failed(delivery, Answer(type(error).__name__))
            return
        if answer is None:
            await self._settled(delivery, "moot")
            return
        back = line.note(answer, _now())
        if answer.problem is None:
            await self._settled(delivery, "told")
        else:
            await self._failed(delivery, answer)
        if back:
            await self._note(lambda connection: webhooks.hurry(connection, line.endpoint))

    async def _attempt(
        self, client: aiohttp.ClientSession, endpoint: Endpoint, delivery: Delivery
    ) -> Answer | None:
        body = await self._bodies.of(delivery)
        if body is None:
            return None
        message_id = f"msg_{delivery.uid.hex}"
        return await webhook_client.post(client, endpoint, message_id, body, self._patience)

    async def _settled(self, delivery: Delivery, outcome: str) -> None:
        WEBHOOKS.labels(delivery.type, outcome).inc()
        await self._note(lambda connection: webhooks.settle(connection, delivery))

    async def _failed(self, delivery: Delivery, answer: Answer) -> None:
        problem = answer.problem or ""
        over = answer.gone or (delivery.age > PATIENCE and delivery.attempts >= _LEAST_TRIES)
        WEBHOOKS.labels(delivery.type, "failed" if over else "retried").inc()
        log.warning(
            "webhook.failed",
            tenant=delivery.tenant,
            host=urlsplit(delivery.endpoint).hostname,
            type=delivery.type,
            problem=problem,
            attempts=delivery.attempts,
            permanent=over,
        )
        if over:
            await self._note(lambda connection: webhooks.settle(connection, delivery, problem))
            return
        pause = growing(delivery.attempts - 1, _FIRST_PAUSE, _LONGEST_PAUSE)
        pause = max(pause, answer.retry_after or 0.0)
        await self._note(lambda connection: webhooks.postpone(connection, delivery, pause, problem))

    async def _note(self, statement: Callable[[Connection], Awaitable[None]]) -> None:
        async with self._database.connection() as connection:
            await statement(connection)

    async def tidy(self) -> None:
        """Keep the backlog within its bounds, forget what is done with, and set the gauges.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            await webhooks.give_up_strangers(
                connection, self._endpoints, "the endpoint is not configured any more"
            )
            for line in self._lines.values():
                if line.gone:
                    await webhooks.give_up(connection, line.endpoint, "the endpoint is gone")
            dropped = await webhooks.drop_messages(connection, self._most_waiting)
            await webhooks.forget(connection, KEPT_WHEN_TOLD, KEPT_WHEN_FAILED)
            backlog = await webhooks.backlog(connection)
        if dropped:
            WEBHOOKS_DROPPED.inc(dropped)
            log.warning("webhooks.dropped", messages=dropped)
        WEBHOOKS_WAITING.labels("pending").set(backlog.pending)
        WEBHOOKS_WAITING.labels("failed").set(backlog.failed)
        WEBHOOKS_OLDEST.set(backlog.oldest)


def _now() -> float:
    return asyncio.get_running_loop().time()
