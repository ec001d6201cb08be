"""The doctor of streams: before a bridge that is well, behind real proxies, behind broken ones.

All deployments are examined at the same time, once: most of an examination is waiting.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec import structs
from yarl import URL

from openmeet_bridge.demo.synapse import HOST
from openmeet_bridge.doctor.finding import Finding, Outcome
from openmeet_bridge.doctor.stream import Caller, Order, Patience, Target, examine

from ..support.bridge import HERE
from ..support.chat import Chat, chat_at
from ..support.databases import Databases
from ..support.openmeet import User
from ..support.proxies import API, BACKEND, BRIDGE, CHAT, caddy, nginx, self_signed
from ..support.stream_fault_proxy import Fault, stream_fault_proxy

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

HEARTBEAT = 2.0
CALM = Patience(answer=60, first=60, at_once=60, quiet=1.0, pause=0.05)
"""For deployments that are well: no slow machine makes them ill."""

LONG_ENOUGH = replace(CALM, watch=2.6 * HEARTBEAT)
"""For what the web app calls, where nobody says how often heartbeats come."""

SHORT = Patience(answer=20, first=4.0, at_once=2.5, quiet=0.3, pause=0.05)

FAULTS = {
    "holds": Fault(holds=True),
    "collects": Fault(collects=3.0),
    "cuts": Fault(idle=0.4),
    "no upgrade": Fault(upgrades=False),
    "no heartbeats": Fault(beats=False),
    "no last-event-id": Fault(without=frozenset({"last-event-id"})),
    "no query": Fault(query=False),
    "compresses": Fault(compresses=True),
    "pages": Fault(pages=True),
    "hangs up": Fault(texts=False),
    "away": Fault(away=True),
}

Findings = dict[str, Finding]


async def examined(order: Order) -> Findings:
    """What the doctor finds, by check; each once."""
    found: list[Finding] = []
    await examine(order, found.append)
    by_check = {finding.check: finding for finding in found}
    assert len(by_check) == len(found)
    return by_check


def caller(user: User) -> Caller:
    return Caller(HERE.token(user.number, user.slug), HERE.id)


@asynccontextmanager
async def well(chat: Chat, folder: Path) -> AsyncIterator[dict[str, Order]]:
    """The bridge itself, and behind the proxies of the examples."""
    callers = [caller(chat.ann), caller(chat.ben)]
    certificate = self_signed(folder / "both.pem")
    upstreams = {BACKEND: f"{HOST}:1", BRIDGE: f"{HOST}:{chat.world.settings.public}"}
    bridge = URL(chat.world.settings.api_url)
    others = [await chat.world.here.user(name) for name in ("Nia", "Cai")]
    with nginx(folder, upstreams, certificate) as first, caddy(folder, upstreams) as second:
        trust = ssl.create_default_context(cafile=str(certificate))
        places = [(HOST, proxy.port) for proxy in (first, second)]
        urls = [URL(proxy.url(CHAT)) for proxy in (first, second)]
        yield {
            "bridge": Order(Target(bridge, CALM), callers, chat.room.room_id, crowd=True),
            "nginx": Order(Target(urls[0], CALM, trust, places[0]), [caller(others[0])]),
            "caddy": Order(Target(urls[1], CALM, None, places[1]), [caller(others[1])]),
            "web app": Order(
                Target(URL(first.url(API)), LONG_ENOUGH, trust, places[0]),
                [caller(chat.mia)],
                chat.room.room_id,
            ),
        }


@asynccontextmanager
async def standstills() -> AsyncIterator[list[float]]:
    """Measures for how many seconds this process got no turn, again and again."""
    lengths = [0.0]
    loop = asyncio.get_running_loop()

    async def measure() -> None:
        while True:
            before = loop.time()
            await asyncio.sleep(0.05)
            lengths.append(loop.time() - before - 0.05)

    task = asyncio.create_task(measure())
    yield lengths
    task.cancel()


def without_late_heartbeats(findings: Findings) -> Findings:
    """The findings as they would be had no heartbeat been late."""
    return {
        check: structs.replace(one, outcome=Outcome.OK)
        if one.outcome is Outcome.WARN and "nothing came for" in one.text
        else one
        for check, one in findings.items()
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def found(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Findings]]:
    """What is found of each deployment."""
    folder = tmp_path_factory.mktemp("streams")
    blocks: dict[str, dict[str, Any]] = {
        "stream": {"heartbeat": HEARTBEAT},
        "limits": {"streams_per_user": 30},
    }
    async with (
        chat_at(folder, databases.create(), send_wait=30, blocks=blocks) as chat,
        well(chat, folder) as orders,
        AsyncExitStack() as stack,
    ):
        bridge = chat.world.settings.api_url
        for name, fault in FAULTS.items():
            url = await stack.enter_async_context(stream_fault_proxy(bridge, fault))
            user = await chat.world.here.user("Una")
            orders[name] = Order(Target(URL(url), SHORT), [caller(user)])
        async with standstills() as lengths:
            results = await asyncio.gather(*map(examined, orders.values()))
        if max(lengths) > HEARTBEAT / 2:
            # A machine that stands still makes heartbeats late, and says nothing of the bridge.
            results = [without_late_heartbeats(findings) for findings in results]
        yield dict(zip(orders, results, strict=True))


def of(findings: Findings, outcome: Outcome) -> set[str]:
    return {check for check, finding in findings.items() if finding.outcome is outcome}


def text(finding: Finding) -> str:
    return finding.line()


MESSAGES = {"second_token", "room", "delivery", "latency", "resume_messages", "many_streams"}
OWN_API = {
    "refusal",
    "second_token",
    "sse_first_frame",
    "ws_first_frame",
    *("ws_ping", "ws_text", "ws_close"),
    *(f"{wire}_{what}" for wire in ("sse", "ws") for what in ("heartbeats", "stays_open")),
    "many_streams",
}


@pytest.mark.parametrize(
    ("name", "skipped"),
    [("bridge", set()), ("nginx", MESSAGES), ("caddy", MESSAGES), ("web app", OWN_API)],
)
async def test_nothing_is_wrong(found: dict[str, Findings], name: str, skipped: set[str]) -> None:
    findings = found[name]
    assert not [text(one) for one in findings.values() if one.outcome in ("fail", "warn")]
    # Socket.IO asks for a sign of life every 25 seconds: nobody waits for that here.
    assert of(findings, Outcome.SKIP) - {"socketio_heartbeats"} == skipped


async def test_it_says_which_proxy_answers(found: dict[str, Findings]) -> None:
    for name in ("nginx", "caddy"):
        assert name in found[name]["address"].text


async def test_messages_come_on_every_wire_and_their_time_is_told(
    found: dict[str, Findings],
) -> None:
    wires = [line.partition(":")[0] for line in found["bridge"]["latency"].details]
    assert sorted(wires) == ["second user", "socketio", "sse", "web_app_events", "ws"]


SSES = ("sse", "web_app_events")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("holds", {f"{wire}_first_frame" for wire in SSES}),
        ("collects", {f"{wire}_first_frame" for wire in SSES}),
        ("cuts", {f"{wire}_stays_open" for wire in ("sse", "ws", "socketio", "web_app_events")}),
        ("no upgrade", {"ws_first_frame", "socketio_first_frame", "socketio_upgrade"}),
        ("no heartbeats", {f"{wire}_heartbeats" for wire in (*SSES, "ws")}),
        ("no last-event-id", {"reset", "resume"}),
        ("no query", {"reset", "resume", "ticket", "socketio_first_frame", "socketio_polling"}),
        ("hangs up", {"ws_text"}),
        ("pages", {"refusal"}),
        ("away", {"address"}),
    ],
)
async def test_what_a_proxy_does_wrong_is_found(
    found: dict[str, Findings], name: str, wrong: set[str]
) -> None:
    findings = found[name]
    assert wrong <= of(findings, Outcome.FAIL), "\n".join(map(text, findings.values()))
    for check in wrong:
        assert findings[check].fix
        said = "\n".join(findings[check].details)
        assert all(f"{proxy}: " in said for proxy in ("nginx", "Caddy", "HAProxy", "Cloudflare"))


async def test_what_is_well_all_the_same_is_not_blamed(found: dict[str, Findings]) -> None:
    well = {"address", "token", "refusal"}
    assert {*well, "ws_first_frame", "ws_ping"} <= of(found["holds"], Outcome.OK)
    assert {*well, "sse_first_frame", "socketio_polling"} <= of(found["no upgrade"], Outcome.OK)
    assert {*well, "sse_first_frame", "keep_alive"} <= of(found["no heartbeats"], Outcome.OK)
    assert {*well, "ticket", "ws_first_frame"} <= of(found["no last-event-id"], Outcome.OK)


async def test_which_way_a_cursor_gets_lost_on(found: dict[str, Findings]) -> None:
    (lost,) = (one for one in found["no last-event-id"]["resume"].details if "begins" in one)
    assert lost.startswith("the header Last-Event-ID")
    lost_ones = [one for one in found["no query"]["resume"].details if "begins" in one]
    assert [one.partition(":")[0] for one in lost_ones] == [
        "the query of a stream",
        "the query of a WebSocket",
    ]


async def test_compression_is_a_warning(found: dict[str, Findings]) -> None:
    assert of(found["compresses"], Outcome.WARN) == {"sse_compression"}
    assert of(found["compresses"], Outcome.OK) >= {"sse_first_frame", "sse_headers"}


async def test_every_check_is_reported_whatever_happens(found: dict[str, Findings]) -> None:
    checks = set(found["bridge"])
    for name, findings in found.items():
        assert set(findings) == checks, name
