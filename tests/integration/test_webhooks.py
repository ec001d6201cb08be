"""Webhooks to OpenMeet, to endpoints that take them, fail, hang, and are gone."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from openmeet_bridge.bridge.webhook_bodies import WebhookBodies
from openmeet_bridge.bridge.webhooks import Webhooks
from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.core.ids import EventId, Mxid, TenantId
from openmeet_bridge.core.webhooks import MEMBERSHIP_FAILED, MESSAGE_CREATED, PORTAL_READY, Endpoint
from openmeet_bridge.storage import webhooks
from openmeet_bridge.storage.database import Database

from ..support.house import LAKE, SEA
from ..support.waiting import eventually
from ..support.webhook_endpoint import Received, WebhookEndpoint

NOBODY: Callable[[Mxid], bool] = lambda _: False  # noqa: E731
LONG_AGO = timedelta(days=2)


class Post:
    """A bridge's webhooks, and endpoints that are told."""

    def __init__(self, database: Database, stack: AsyncExitStack) -> None:
        self.database = database
        self._stack = stack

    async def endpoint(self) -> WebhookEndpoint:
        return await self._stack.enter_async_context(WebhookEndpoint().running())

    async def put(self, *names: str, tenant: TenantId = LAKE, type: str = PORTAL_READY) -> None:
        async with self.database.transaction() as connection:
            for name in names:
                await webhooks.put(connection, tenant, type, {"name": name})

    async def put_messages(self, *event_ids: str) -> None:
        async with self.database.transaction() as connection:
            await webhooks.put_messages(connection, [(LAKE, EventId(one)) for one in event_ids])

    async def sql(self, statement: str, *arguments: object) -> list[tuple[object, ...]]:
        async with self.database.connection() as connection:
            return [tuple(row) for row in await connection.fetch(statement, *arguments)]

    async def states(self) -> list[tuple[object, ...]]:
        return await self.sql(
            "SELECT state, attempts, error FROM webhook_delivery ORDER BY event_id, endpoint"
        )

    async def settled(self, *states: tuple[str, int, str | None]) -> None:
        async def look() -> bool:
            assert await self.states() == list(states)
            return True

        await eventually(look, "deliveries in these states")

    async def time_passes(self) -> None:
        """Let all that waits for its next attempt be due."""
        await self.sql("UPDATE webhook_delivery SET due_at = now()")

    @asynccontextmanager
    async def telling(
        self,
        *endpoints: Endpoint,
        lease: float = 30.0,
        patience: float = 15.0,
        bodies: WebhookBodies | None = None,
    ) -> AsyncIterator[Webhooks]:
        deliverer = Webhooks(
            self.database,
            bodies or WebhookBodies(self.database, NOBODY),
            endpoints,
            most_waiting=1000,
            lease=lease,
            patience=patience,
        )
        task = asyncio.create_task(deliverer.run())
        try:
            yield deliverer
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.fixture
async def post(database_url: str) -> AsyncIterator[Post]:
    database = Database(database_url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        yield Post(database, stack)


def names(received: list[Received]) -> list[str]:
    return [one.data["name"] for one in received]


async def test_those_who_want_an_event_are_told(post: Post) -> None:
    all_of_lake, failures, sea = [await post.endpoint() for _ in range(3)]
    endpoints = (
        all_of_lake.of(LAKE, PORTAL_READY, MEMBERSHIP_FAILED),
        failures.of(LAKE, MEMBERSHIP_FAILED),
        sea.of(SEA, PORTAL_READY),
    )
    await post.put("hikers")
    await post.put("ann", type=MEMBERSHIP_FAILED)
    await post.put("divers", tenant=SEA)
    async with post.telling(*endpoints):
        await post.settled(*[("done", 1, None)] * 4)
    assert sorted(names(all_of_lake.received)) == ["ann", "hikers"]
    assert (names(failures.received), names(sea.received)) == (["ann"], ["divers"])
    ready = next(one for one in all_of_lake.received if one.type == PORTAL_READY)
    assert ready.id.startswith("msg_")
    age = datetime.now(UTC) - datetime.fromisoformat(ready.timestamp)
    assert timedelta(0) <= age < timedelta(minutes=5)
    assert len({one.id for one in all_of_lake.received + sea.received}) == 3


async def test_what_nobody_wants_is_told_to_nobody(post: Post) -> None:
    endpoint = await post.endpoint()
    await post.put("hikers", type=MEMBERSHIP_FAILED)
    async with post.telling(endpoint.of(LAKE, PORTAL_READY)) as deliverer:
        await post.put("divers")
        deliverer.wake()
        assert names(await endpoint.has(1)) == ["divers"]
    await post.put("climbers")
    async with post.telling():

        async def spread() -> bool:
            return await post.sql("SELECT 1 FROM webhook_event WHERE NOT spread") == []

        await eventually(spread, "an event without endpoints")
    assert len(await post.states()) == 1


async def test_an_event_that_is_undone_was_never_told(post: Post) -> None:
    endpoint = await post.endpoint()

    async def undone() -> None:
        async with post.database.transaction() as connection:
            await webhooks.put(connection, LAKE, PORTAL_READY, {"name": "undone"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await undone()
    await post.put("done")
    async with post.telling(endpoint.of(LAKE, PORTAL_READY)):
        assert names(await endpoint.has(1)) == ["done"]


@pytest.mark.parametrize(
    ("status", "headers", "problem"),
    [
        (500, {}, "HTTP 500"),
        (404, {}, "HTTP 404"),
        (429, {}, "HTTP 429"),
        (503, {"Retry-After": "nonsense"}, "HTTP 503"),
        (302, {"Location": "/elsewhere"}, "HTTP 302: redirects are not followed"),
    ],
)
async def test_what_is_refused_is_told_again(
    post: Post, status: int, headers: dict[str, str], problem: str
) -> None:
    endpoint = await post.endpoint()
    endpoint.refuse(status, **headers)
    await post.put("hikers")
    async with post.telling(endpoint.of(LAKE, PORTAL_READY)) as deliverer:
        await post.settled(("pending", 1, problem))
        ((waits,),) = await post.sql("SELECT due_at > now() FROM webhook_delivery")
        assert waits
        endpoint.refuse(204)
        await post.time_passes()
        deliverer.wake()
        await post.settled(("done", 2, None))
    first, second = endpoint.received
    assert first == second
    assert endpoint.strays == []


async def test_an_endpoint_that_hangs_or_is_not_there(post: Post) -> None:
    endpoint = await post.endpoint()
    endpoint.answer = lambda _: asyncio.Event()
    nowhere = Endpoint(LAKE, "http://127.0.0.1:1/", "a secret", frozenset([PORTAL_READY]))
    await post.put("hikers")
    async with post.telling(endpoint.of(LAKE, PORTAL_READY), nowhere, patience=0.2):

        async def look() -> bool:
            problems = {str(error) for _, _, error in await post.states()}
            return problems == {"ClientConnectorError", "no answer within 0.2 s"}

        await eventually(look, "two failures")


async def test_a_long_answer_is_not_waited_for(post: Post) -> None:
    endpoint = await post.endpoint()
    endpoint.answer = lambda _: web.Response(body=bytes(4 << 20))
    await post.put("hikers", "climbers")
    async with post.telling(endpoint.of(LAKE, PORTAL_READY)):
        await post.settled(*[("done", 1, None)] * 2)


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_honoured(post: Post, form: str) -> None:
    endpoint = await post.endpoint()
    later = datetime.now(UTC) + timedelta(hours=2)
    value = "7200" if form == "seconds" else format_datetime(later, usegmt=True)
    endpoint.refuse(429, **{"Retry-After": value})
    await post.put("hikers")
    async with post.telling(endpoint.of(LAKE, PORTAL_READY)) as deliverer:
        await post.settled(("pending", 1, "HTTP 429"))
        ((due_at,),) = await post.sql("SELECT due_at FROM webhook_delivery")
        assert isinstance(due_at, datetime)
        assert timedelta(minutes=-1) < due_at - later < timedelta(minutes=1)
        # The endpoint is left in peace: nothing else is told meanwhile either.
        await post.put("climbers")
        deliverer.wake()
        await post.settled(("pending", 1, "HTTP 429"), ("pending", 0, None))
    assert len(endpoint.received) == 1


async def test_an_endpoint_that_is_gone(post: Post) -> None:
    gone, other = await post.endpoint(), await post.endpoint()
    gone.refuse(410)
    await post.put("hikers")
    endpoints = gone.of(LAKE, PORTAL_READY), other.of(LAKE, PORTAL_READY)
    async with post.telling(*endpoints) as deliverer:
        await other.has(1)
        await gone.has(1)
        await post.put("climbers")
        deliverer.wake()
        await other.has(2)
        await deliverer.tidy()
        failed = "SELECT error FROM webhook_delivery WHERE state = 'failed' ORDER BY event_id"
        assert await post.sql(failed) == [
            ("HTTP 410: the endpoint is gone",),
            ("the endpoint is gone",),
        ]
    assert len(gone.received) == 1


async def test_after_a_day_it_is_given_up_and_kept_for_a_week(post: Post) -> None:
    endpoint = await post.endpoint()
    endpoint.refuse(500)
    await post.put("hikers")
    await post.sql("UPDATE webhook_event SET created_at = now() - $1::interval", LONG_AGO)
    async with post.telling(endpoint.of(LAKE, PORTAL_READY)) as deliverer:
        await post.settled(("pending", 1, "HTTP 500"))
        await post.sql("UPDATE webhook_delivery SET due_at = now(), attempts = 4")
        deliverer.wake()
        await post.settled(("failed", 5, "HTTP 500"))
        await deliverer.tidy()
        assert len(await post.states()) == 1
        assert REGISTRY.get_sample_value("openmeet_bridge_webhooks_waiting", {"state": "failed"})
        await post.sql("UPDATE webhook_delivery SET settled_at = now() - interval '8 days'")
        await deliverer.tidy()
    assert await post.sql("SELECT * FROM webhook_event") == []


async def test_what_was_told_is_forgotten_after_a_while(post: Post) -> None:
    endpoint = await post.endpoint()
    async with post.telling(endpoint.of(LAKE, PORTAL_READY)) as deliverer:
        await post.put("hikers", "climbers")
        deliverer.wake()
        await post.settled(*[("done", 1, None)] * 2)
        await post.sql(
            "UPDATE webhook_event SET created_at = now() - $1::interval WHERE id = 1", LONG_AGO
        )
        await deliverer.tidy()
    assert await post.sql("SELECT id FROM webhook_event") == [(2,)]


async def test_a_slow_endpoint_holds_up_nobody_else(post: Post) -> None:
    slow, quick = await post.endpoint(), await post.endpoint()
    slow.answer = lambda _: asyncio.Event()
    await post.put(*(f"{n}" for n in range(30)))
    async with post.telling(slow.of(LAKE, PORTAL_READY), quick.of(LAKE, PORTAL_READY)):
        await quick.has(30)
        await slow.has(4)
        # The slow one has as many at once as it may have, and no more.
        assert len(slow.received) == 4
    assert set(names(quick.received)) == {f"{n}" for n in range(30)}


async def test_the_next_life_tells_again_what_was_not_noted(post: Post) -> None:
    endpoint = await post.endpoint()
    endpoint.answer = lambda _: asyncio.Event()
    await post.put("hikers")
    async with post.telling(endpoint.of(LAKE, PORTAL_READY), lease=0.2):
        await endpoint.has(1)
    await post.settled(("pending", 1, None))
    endpoint.refuse(200)
    async with post.telling(endpoint.of(LAKE, PORTAL_READY)):
        await post.settled(("done", 2, None))
    first, second = endpoint.received
    assert first == second


async def test_it_is_told_again_when_that_it_was_told_could_not_be_noted(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, away = webhooks.settle, [True]

    async def unlucky(*arguments: Any) -> None:
        if away:
            raise Unavailable("The database is away.")
        await settle(*arguments)

    monkeypatch.setattr(webhooks, "settle", unlucky)
    endpoint = await post.endpoint()
    await post.put("hikers")
    async with post.telling(endpoint.of(LAKE, PORTAL_READY), lease=0.2):
        first, second = (await endpoint.has(2))[:2]
        assert first == second
        away.clear()

        async def done() -> bool:
            return [state for state, _, _ in await post.states()] == ["done"]

        await eventually(done, "noted")


async def test_the_database_goes_away_and_comes_back(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread, tries = webhooks.spread, itertools.count()

    async def unlucky(*arguments: Any) -> int:
        if next(tries) == 0:
            raise Unavailable("The database is away.")
        return await spread(*arguments)

    monkeypatch.setattr(webhooks, "spread", unlucky)
    endpoint = await post.endpoint()
    await post.put("hikers")
    async with post.telling(endpoint.of(LAKE, PORTAL_READY)):
        await post.settled(("done", 1, None))


async def test_an_endpoint_that_is_away_is_left_in_peace_and_caught_up_with(post: Post) -> None:
    endpoint = await post.endpoint()
    endpoint.refuse(500)
    await post.put(*(f"{n}" for n in range(12)))
    async with post.telling(endpoint.of(LAKE, PORTAL_READY)) as deliverer:
        # Four at once, and then one at a time: so few of the twelve are tried.
        await endpoint.has(4)

        async def noted() -> bool:
            tried = "SELECT count(*) FROM webhook_delivery WHERE error IS NOT NULL"
            return (await post.sql(tried))[0][0] == len(endpoint.received)

        await eventually(noted, "failures noted")
        assert len(endpoint.received) < 8
        await post.sql(
            "UPDATE webhook_delivery SET due_at = now() + interval '1 h' WHERE attempts > 0"
        )
        endpoint.refuse(200)
        deliverer.wake()

        async def all_done() -> bool:
            return {state for state, _, _ in await post.states()} == {"done"}

        await eventually(all_done, "all told without waiting for an hour")


async def test_the_oldest_messages_are_dropped_and_nothing_else(post: Post) -> None:
    first, second = await post.endpoint(), await post.endpoint()
    await post.put("hikers", "climbers")
    await post.put_messages(*(f"$m{n}" for n in range(6)))
    wanted = [one.of(LAKE, PORTAL_READY, MESSAGE_CREATED) for one in (first, second)]
    async with post.database.connection() as connection:
        assert await webhooks.spread(connection, wanted, 100) == 8
    dropped = REGISTRY.get_sample_value("openmeet_bridge_webhooks_dropped_total") or 0
    bodies = WebhookBodies(post.database, NOBODY)
    await Webhooks(post.database, bodies, wanted, most_waiting=2).tidy()
    now = REGISTRY.get_sample_value("openmeet_bridge_webhooks_dropped_total")
    assert now == dropped + 2 * 4
    left = await post.sql(
        """
        SELECT coalesce(message, 'a room') FROM webhook_delivery
        JOIN webhook_event ON id = event_id WHERE endpoint = $1 ORDER BY id
        """,
        first.url,
    )
    assert left == [("a room",), ("a room",), ("$m4",), ("$m5",)]


async def test_endpoints_that_are_not_configured_any_more(post: Post) -> None:
    old, new = await post.endpoint(), await post.endpoint()
    old.refuse(500)
    await post.put("hikers")
    async with post.telling(old.of(LAKE, PORTAL_READY)):
        await post.settled(("pending", 1, "HTTP 500"))
    await post.put("climbers")
    async with post.telling(new.of(LAKE, PORTAL_READY)):
        assert names(await new.has(1)) == ["climbers"]
        ((state, error),) = await post.sql(
            "SELECT state, error FROM webhook_delivery WHERE event_id = 1"
        )
    assert (state, error) == ("failed", "the endpoint is not configured any more")


async def test_an_event_that_cannot_be_told_stops_no_other(post: Post) -> None:
    endpoint = await post.endpoint()
    await post.put("broken", "good")
    await post.sql(
        "UPDATE webhook_event SET payload = $1, type = $2 WHERE id = 1", b"{", PORTAL_READY
    )

    class Bodies(WebhookBodies):
        async def of(self, delivery: webhooks.Delivery) -> bytes | None:
            msgspec.json.decode(delivery.payload or b"")
            return await super().of(delivery)

    bodies = Bodies(post.database, NOBODY)
    async with post.telling(endpoint.of(LAKE, PORTAL_READY), bodies=bodies):
        await post.settled(("pending", 1, "DecodeError"), ("done", 1, None))
