"""The doctor of streams, piece by piece: what it reads, what it makes of it, what it never says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result
from yarl import URL

from openmeet_bridge import cli
from openmeet_bridge.doctor import stream as suite
from openmeet_bridge.doctor.finding import Finding, Outcome, Report, ok
from openmeet_bridge.doctor.stream import (
    Caller,
    Order,
    Patience,
    Target,
    advice,
    demo_people,
    examination,
    judging,
)
from openmeet_bridge.doctor.stream.client import Client
from openmeet_bridge.doctor.stream.event_stream import COMMENT, Event, EventStream
from openmeet_bridge.doctor.stream.reading import Frame, Reading
from openmeet_bridge.doctor.stream.resuming import repeated
from openmeet_bridge.doctor.stream.socketio_client import Namespace
from openmeet_bridge.doctor.stream.target import NOBODY
from openmeet_bridge.doctor.stream.trouble import Broken, from_network

TOKEN = "a-token-that-nobody-may-see"
HURRY = Patience(
    answer=0.3, first=0.3, at_once=0.2, quiet=0.05, pause=0.01, dropped=0.01, watch=0.1
)


# Event streams


def events(*pieces: bytes) -> list[Event]:
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)]


STREAM = (
    b"\xef\xbb\xbfretry: 2000\n\n: still here\nid: 1-a-1\n\n"
    b"event: hello\rid: 1-a-2\rdata: {}\r\rdata:a\r\ndata: b\r\n\r\n"
    b"event: x\ndata: \xc3\xa9\nunknown: 1\nid: with\0null\n\nevent: lost\ndata: not ended\n"
)
READ = [
    Event(COMMENT, " still here", None),
    Event("hello", "{}", "1-a-2"),
    Event("message", "a\nb", None),
    Event("x", "é", None),
]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 1000])
def test_a_stream_is_read_wherever_it_is_cut(length: int) -> None:
    pieces = [STREAM[start : start + length] for start in range(0, len(STREAM), length)]
    assert events(*pieces) == READ


def test_an_id_without_data_moves_the_cursor() -> None:
    stream = EventStream()
    assert list(stream.feed(b"retry: 5\nid: 7\n\ndata: x\n\n")) == [Event("message", "x", None)]
    assert (stream.last_id, stream.retry_ms) == ("7", 5)


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    stream = EventStream()
    for _ in range(4):
        assert not list(stream.feed(b"x" * (1 << 20)))
    with pytest.raises(Broken):
        list(stream.feed(b"x"))


# Judging


def watched(*beats: float | tuple[float, int], ended: float | None = None) -> Reading:
    """A stream with a heartbeat at each moment, in a piece of its own or in a given one."""
    reading = Reading("sse", began=0.0)
    reading.frames.append(Frame("hello", {"heartbeat_ms": 10_000}, "1-a-1", 0.1, 0))
    for number, beat in enumerate(beats, 1):
        at, piece = beat if isinstance(beat, tuple) else (beat, number)
        reading.frames.append(Frame("heartbeat", {}, None, at, piece))
    if ended is not None:
        reading.ended, reading.ended_at = "the connection was cut", ended
    return reading


@pytest.mark.parametrize(
    ("reading", "outcome", "said"),
    [
        (watched(10, 20), "ok", "2 in 27 s, one every 10 s"),
        (watched(), "fail", "nothing came for 27 s"),
        (watched(10, 17.5), "ok", "2 in 27 s"),
        (watched(4, 24), "warn", "nothing came for 20 s"),
        (watched((20, 1), (20, 1)), "fail", "in bunches"),
        (watched(10, 20, 20.1), "ok", "3 in 27 s"),
        (watched(ended=5.0), "skip", "none came in 4.9 s"),
        (Reading("sse", began=0.0), "skip", "needs a first frame"),
    ],
)
def test_heartbeats(reading: Reading, outcome: str, said: str) -> None:
    finding = judging.heartbeats(reading, 10.0, 27.0)
    assert (finding.outcome, finding.check) == (outcome, "sse_heartbeats")
    assert said in finding.text


def test_where_no_heartbeat_is_promised_none_comes_too_early() -> None:
    assert judging.heartbeats(watched(1, 2, 3), None, 4.0).outcome is Outcome.OK
    assert judging.heartbeats(watched((1, 1), (1, 1)), None, 4.0).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("shutdown", "warn"), ("too_many_streams", "warn"), ("token_expired", "fail"), (None, "fail")],
)
def test_an_end_is_judged_by_what_the_bridge_says_of_it(reason: str | None, outcome: str) -> None:
    reading = watched(10, ended=12.0)
    if reason is not None:
        reading.frames.append(Frame("bye", {"reason": reason}, None, 12.0, 9))
    finding = judging.stays_open(reading, 27.0)
    assert finding.outcome == outcome
    assert (reason or "2.0 s after the last byte") in finding.text
    assert judging.stays_open(watched(), 27.0).outcome is Outcome.OK


def test_what_comes_twice_or_too_early_is_seen() -> None:
    reading = Reading("sse")
    for place in ("1-0badcafe-2", "1-0badcafe-1", "1-0badcafe-1"):
        reading.frames.append(Frame("timeline", {"event_id": "$e"}, place, 0.0, 0))
    assert repeated(reading) == [
        "timeline at 1-0badcafe-1 came twice",
        "frames came in another order than that of their cursors",
    ]


def test_packets_of_socket_io() -> None:
    live = Namespace("socketio")
    live.take('2/matrix,["matrix-event",{"type":"m.typing","_cursor":"c"}]')
    live.take('2/matrix,["matrix-message",{"type":"never"}]')
    live.take('3/matrix,7[{"success":true}]')
    live.take('4/matrix,{"message":"User not found"}')
    for nonsense in ("", "2", "2[", "3/matrix,", "9", '2["matrix-event"]'):
        live.take(nonsense)
    assert [(one.type, one.cursor) for one in live.frames] == [("m.typing", "c"), ("None", None)]
    assert live.answers == {7: [{"success": True}]}


ADVICE = {name: one for name, one in vars(advice).items() if isinstance(one, advice.Advice)}


@pytest.mark.parametrize("name", sorted(ADVICE))
def test_advice_names_every_proxy(name: str) -> None:
    assert ADVICE[name].fix
    proxies = [line.partition(":")[0] for line in ADVICE[name].settings]
    assert proxies in ([], ["nginx", "Caddy", "HAProxy", "Cloudflare"])


# Strangers at the address


@asynccontextmanager
async def stranger(answer: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    """Somebody who answers a request by its head, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


async def findings(url: str, callers: Sequence[Caller] = (Caller(TOKEN),)) -> dict[str, Finding]:
    found: list[Finding] = []
    await suite.examine(Order(Target(URL(url), HURRY), callers, "!room", True), found.append)
    return {finding.check: finding for finding in found}


def http(status: str, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}", *headers, "", body]
    return "\r\n".join(lines).encode()


JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("answer", "check", "said"),
    [
        (b"", "address", "the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "address", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", "address", "cut"),
        (http("200 OK", "<h1>Welcome</h1>"), "address", "somebody else"),
        (http("308 Moved", "", "Location: https://x.example/"), "address", "x.example"),
        (http("503 Unavailable", "", "Server: nginx"), "address", "nginx answers, and does not"),
        (http("401 No", "", "Server: cloudflare"), "token", "HTTP 401"),
        (http("401 No", f'{{"errcode":"M","error":"{TOKEN}."}}', JSON), "token", "(M): …"),
        (http("401 No", '{"errcode":1,"error":[]}', JSON), "token", "HTTP 401"),
    ],
)
async def test_who_is_no_bridge_is_told_apart(answer: bytes, check: str, said: str) -> None:
    async with stranger(lambda _: answer) as url:
        found = await findings(url)
    assert "examination" not in found
    assert found[check].outcome is Outcome.FAIL
    assert said in found[check].text
    assert found[check].fix
    assert TOKEN not in repr(found)
    assert len(found) > 30, "every check is reported"


ME = {
    "tenant": {"id": "lake", "name": "Lake"},
    "user": {"mxid": "@a:b", "name": "Ann", "avatar_url": None, "slug": "ann"},
    "expires_at": 1 << 52,
}
UPGRADED = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
NOT_OURS = b"Sec-WebSocket-Accept: c29tZWJvZHkgZWxzZSdzIGtleQ==\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def nonsense(request: bytes, variant: int) -> bytes:
    """Return what somebody says who is nearly a bridge."""
    path = request.split(b" ")[1].decode()
    if b"Bearer a-token" not in request:
        return http("401 No", '{"errcode":"M_MISSING_TOKEN","error":"Who?"}', JSON)
    if path == "/api/v1/me":
        return http("200 OK", json.dumps(ME), JSON)
    if path.startswith(("/api/v1/stream", "/api/matrix/events")):
        bodies = (
            b"5\r\nx\r\n",
            b"zz\r\n\r\n",
            b"1a\r\nevent: hello\ndata: [\xff]\n\n\r\n0\r\n\r\n",
        )
        return CHUNKS + bodies[variant]
    if "websocket" in path or path.startswith("/api/v1/ws"):
        return (UPGRADED + NOT_OURS, b"", http("426 No", "\0\xff"))[variant]
    return http("200 OK", ("0{", '0{"sid":1}', "\x1e\x1e4")[variant])


@pytest.mark.parametrize("variant", range(3))
async def test_who_is_nearly_a_bridge_is_no_reason_to_fall_over(variant: int) -> None:
    async with stranger(lambda request: nonsense(request, variant)) as url:
        found = await findings(url)
    assert "examination" not in found
    assert found["token"].outcome is Outcome.OK
    wrong = {name for name, one in found.items() if one.outcome is Outcome.FAIL}
    assert wrong >= {"sse_first_frame", "ws_first_frame", "socketio_first_frame"}
    assert wrong >= {"web_app_events_first_frame", "socketio_polling", "many_streams"}


async def test_a_handshake_with_another_key_is_none() -> None:
    async with stranger(lambda request: nonsense(request, 0)) as url:
        found = await findings(url)
    assert "HTTP 101, but not as RFC 6455" in found["ws_first_frame"].text


async def test_the_people_of_a_demonstration() -> None:
    """Two of one tenant, who are in the room."""
    people = [{"tenant": tenant, "jwt": f"{tenant}{n}"} for tenant in ("a", "b") for n in (1, 2, 3)]

    def answer(request: bytes) -> bytes:
        if b"/api/v1/demo" in request:
            return http("200 OK", json.dumps({"users": people}), JSON)
        is_in = b"Bearer b1" in request or b"Bearer b3" in request
        return http("200 OK" if is_in else "404 Not Found", "{}", JSON)

    async with stranger(answer) as url, Client(Target(URL(url), HURRY), NOBODY) as client:
        assert await demo_people.callers(client, None) == [Caller("a1", "a"), Caller("a2", "a")]
        assert await demo_people.callers(client, "!r") == [Caller("b1", "b"), Caller("b3", "b")]
        people.clear()
        assert await demo_people.callers(client, None) == []


async def test_nobody_at_all() -> None:
    found = await findings("http://127.0.0.1:1", ())
    assert "nobody answers" in found["address"].text
    assert {one.outcome for name, one in found.items() if name != "address"} == {Outcome.SKIP}


def test_no_error_of_a_connection_shows_what_was_sent() -> None:
    shown = [aiohttp.ClientError(TOKEN), TimeoutError(TOKEN), ConnectionResetError(TOKEN)]
    assert all(TOKEN not in str(from_network(error)) for error in shown)
    assert TOKEN not in repr(Order(Target(URL("http://x")), [Caller(TOKEN)])) + repr(Caller(TOKEN))


# The command


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """What the command asks for."""
    made: list[Order] = []

    def run(order: Order, as_json: bool) -> int:
        made.append(order)
        return int(as_json)

    monkeypatch.setattr(suite, "run", run)
    monkeypatch.delenv("OPENMEET_TOKEN", raising=False)
    return made


def command(*arguments: str, **more: Any) -> Result:
    return CliRunner().invoke(cli.main, ["doctor", "stream", *arguments], **more)


def test_what_is_asked_for(orders: list[Order], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\ntwo\n")
    given = ["--token-file", str(tmp_path / "token"), "--tenant", "lake", "--room", "!r", "--long"]
    place = ["--connect-to", "[::1]:8480", "--patience", "5", "--many-streams"]
    assert command("https://chat.example/bridge/", *given, *place, "--json").exit_code == 1
    assert command("http://127.0.0.1:8480", env={"OPENMEET_TOKEN": "three"}).exit_code == 0
    assert command("http://127.0.0.1:8480", "--token-file", "-", input=" four ").exit_code == 0
    first, *others = orders
    assert list(first.callers) == [Caller("one", "lake"), Caller("two", "lake")]
    assert (first.room, first.crowd, first.least_watch) == ("!r", True, 90.0)
    assert str(first.target.url("/x?y=1")) == "https://chat.example/bridge/x?y=1"
    assert (first.target.door, first.target.patience.watch) == (("::1", 8480), 5.0)
    assert [one.callers for one in others] == [[Caller("three")], [Caller("four")]]
    assert others[0].target.door == ("127.0.0.1", 8480)


@pytest.mark.parametrize(
    "arguments",
    [
        ["chat.example"],
        ["ftp://chat.example"],
        ["https://me:secret@chat.example"],
        ["https://chat.example/?q=1"],
        ["http://x:99999"],
        ["http://x", "--connect-to", "nowhere"],
        ["http://x", "--ca-file", "/nowhere"],
        ["http://x", "--token-file", "/nowhere"],
        ["http://x", "--token", TOKEN, "--token", TOKEN, "--token", TOKEN],
        ["http://x", "--token", f"{TOKEN}\n\x1b[0m\u00e9"],
    ],
)
def test_what_cannot_be_asked_for(orders: list[Order], arguments: list[str]) -> None:
    result = command(*arguments)
    assert result.exit_code == cli.MISCONFIGURED
    assert "Error: " in result.stderr
    assert TOKEN not in result.output
    assert not orders


def test_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    order = Order(Target(URL("http://127.0.0.1:1"), HURRY), [Caller(TOKEN)])
    assert suite.run(order, as_json=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["checks"][0]["check"] == "address"


def test_it_can_be_stopped_at_any_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(order: Order, report: Report, say: object) -> None:
        report(ok("address", "the bridge answers"))
        raise KeyboardInterrupt

    monkeypatch.setattr(examination, "examine", interrupted)
    assert suite.run(Order(Target(URL("http://127.0.0.1:1"))), as_json=False) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[1:] == ["1 ok, 0 warn, 0 fail, 0 skip"]
    assert said.err == "stopped\n"
