"""The doctor: what it makes of a homeserver, a database and a bridge that are wrong somewhere."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from openmeet_bridge import config as configuration
from openmeet_bridge.config import Address, Config
from openmeet_bridge.core.ids import RoomId
from openmeet_bridge.doctor import database, examination, way_back
from openmeet_bridge.doctor.examination import examine, run
from openmeet_bridge.doctor.finding import Finding, Outcome, fail, ok
from openmeet_bridge.doctor.own_listener import OwnListener
from openmeet_bridge.doctor.running_bridge import RunningBridge, WitnessError
from openmeet_bridge.matrix.registration import Registration, generate
from openmeet_bridge.storage.embedded import EmbeddedPostgresError, running_dsn

from ..support.fake_homeserver import ROOM, FakeHomeserver
from ..support.ports import free_port

CONFIG = """\
homeserver: {{url: "{url}", server_name: example.org}}
registration: registration.yaml
data_dir: {data_dir}
jwt_default: {{algorithm: HS256, secret: a secret that is long enough for HS256}}
tenants: [{{id: one, name: One}}]
listen: {{homeserver: "127.0.0.1:{homeserver}", operations: "127.0.0.1:{operations}"}}
"""
TOKEN = "t" * 40


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for what never comes."""
    monkeypatch.setattr(way_back, "_PING_SECONDS", 0.1)
    monkeypatch.setattr(way_back, "_TYPING_SECONDS", 0.1)
    monkeypatch.setattr(way_back, "_POLL_SECONDS", 0.02)


@pytest.fixture
def ours() -> Registration:
    return generate("example.org", f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def theirs(ours: Registration) -> FakeHomeserver:
    """A homeserver that holds the bridge's registration."""
    return FakeHomeserver(ours)


class Patient:
    """A bridge's installation to examine."""

    def __init__(self, home: Path, registration: Registration, homeserver: FakeHomeserver) -> None:
        self.home = home
        self.registration = registration
        self.homeserver = homeserver
        self.operations = free_port()
        self.data_dir = home / "data"

    def config(self, url: str) -> Config:
        (self.home / "registration.yaml").write_text(self.registration.dump())
        text = CONFIG.format(
            url=url,
            data_dir=self.data_dir,
            homeserver=self.registration.url.rpartition(":")[2],
            operations=self.operations,
        )
        (self.home / "config.yaml").write_text(text)
        return configuration.load(self.home / "config.yaml", {})

    async def findings(self) -> dict[str, Finding]:
        found: list[Finding] = []
        async with self.homeserver.running() as url:
            await examine(self.config(url), found.append)
        return {finding.check: finding for finding in found}


@pytest.fixture
def patient(tmp_path: Path, ours: Registration, theirs: FakeHomeserver) -> Patient:
    return Patient(tmp_path, ours, theirs)


def changed(registration: Registration, **values: str) -> Registration:
    return msgspec.structs.replace(registration, **values)


def failed(findings: dict[str, Finding]) -> set[str]:
    return {name for name, finding in findings.items() if finding.outcome is Outcome.FAIL}


# What it finds


async def test_all_is_well(patient: Patient) -> None:
    findings = await patient.findings()
    assert failed(findings) == set(), findings
    for check in (*examination._BEYOND_REGISTRATION, "configuration", "registration"):
        assert findings[check].outcome is Outcome.OK, findings[check]
    for check in ("bridge", *database.CHECKS):
        assert findings[check].outcome is Outcome.SKIP, findings[check]


async def test_every_failure_names_a_fix(patient: Patient, ours: Registration) -> None:
    patient.homeserver.registration = changed(ours, sender_localpart="x", hs_token="h" * 40)
    patient.homeserver.exclusive = False
    patient.homeserver.users_regex = "@om_.*"
    findings = await patient.findings()
    assert failed(findings) == {"sender", "namespace", "exclusive", "ping"}
    assert all(finding.fix for finding in findings.values() if finding.outcome is Outcome.FAIL)


async def test_a_registration_file_that_is_broken(patient: Patient) -> None:
    async with patient.homeserver.running() as url:
        config = patient.config(url)
        config.registration.write_text("id: [")
        found: list[Finding] = []
        await examine(config, found.append)
    findings = {finding.check: finding for finding in found}
    assert failed(findings) == {"registration"}
    assert "registration.yaml:" in findings["registration"].text
    assert findings["typing"].outcome is Outcome.SKIP


@pytest.mark.parametrize(("skew", "outcome"), [(0, "ok"), (3, "ok"), (9, "warn"), (-60, "warn")])
async def test_clocks(patient: Patient, skew: float, outcome: str) -> None:
    patient.homeserver.skew = skew
    clock = (await patient.findings())["clock"]
    assert clock.outcome == outcome
    assert outcome == "ok" or ("ahead" if skew > 0 else "behind") in clock.text


async def test_a_wrong_as_token(patient: Patient, ours: Registration) -> None:
    patient.homeserver.registration = changed(ours, as_token="a" * 40)
    findings = await patient.findings()
    assert failed(findings) == {"as_token"}
    assert findings["ping"].outcome is Outcome.SKIP


async def test_another_namespace(patient: Patient) -> None:
    patient.homeserver.users_regex = "@other_.*:example.org$"
    findings = await patient.findings()
    assert failed(findings) == {"bot", "namespace"}


async def test_another_alias_namespace(patient: Patient) -> None:
    patient.homeserver.aliases_regex = "#other_.*:example.org$"
    findings = await patient.findings()
    assert failed(findings) == {"alias"}
    assert findings["typing"].outcome is Outcome.SKIP


async def test_a_homeserver_with_words_of_its_own(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmeet_bridge.doctor.homeserver._OUTSIDE", "never said")
    findings = await patient.findings()
    assert findings["namespace"].outcome is Outcome.SKIP
    assert failed(findings) == set()


async def test_closed_registration_is_exclusive_enough(patient: Patient) -> None:
    patient.homeserver.registration_open = False
    assert (await patient.findings())["exclusive"].outcome is Outcome.OK


async def test_a_ping_that_came_through_counts_whatever_is_said_of_it(patient: Patient) -> None:
    patient.homeserver.ping_retrying = True
    assert (await patient.findings())["ping"].outcome is Outcome.OK


async def test_no_ephemeral_events(patient: Patient) -> None:
    patient.homeserver.ephemeral = False
    findings = await patient.findings()
    assert failed(findings) == {"typing"}
    assert patient.homeserver.pushed, "it tried to wake the homeserver first"


async def test_a_taken_address(patient: Patient, ours: Registration) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(ours.url.rpartition(":")[2])))
        taken.listen()
        findings = await patient.findings()
    assert failed(findings) == {"ping"}
    assert "cannot listen" in findings["ping"].text


# A running bridge as witness


@asynccontextmanager
async def bridge(port: int, **answers: Any) -> AsyncIterator[None]:
    """An operations listener that says the same to each kind of question."""

    async def answer(request: web.Request) -> web.Response:
        kind = request.path.split("/")[2]
        return web.json_response(answers[kind], status=200)

    app = web.Application()
    app.add_routes([web.get("/{kind:health|internal}/{rest:.*}", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


READY = {"status": "ready", "checks": {"database": "ok"}}
LATER = 1 << 50


async def test_the_running_bridge_is_asked(patient: Patient) -> None:
    seen = {"pings": {"seen": True}, "typing": {"last_seen_ms": LATER}}
    async with bridge(patient.operations, ready=READY, **seen):
        findings = await patient.findings()
    assert failed(findings) == set()
    assert findings["bridge"].outcome is Outcome.OK
    assert findings["ping"].outcome is findings["typing"].outcome is Outcome.OK


@pytest.mark.parametrize("last", [None, 5])
async def test_a_bridge_that_saw_nothing(patient: Patient, last: int | None) -> None:
    unseen = {"pings": {"seen": True}, "typing": {"last_seen_ms": last}}
    async with bridge(patient.operations, ready=READY, **unseen):
        findings = await patient.findings()
    assert failed(findings) == {"typing"}


async def test_the_homeserver_reaches_somebody_else(patient: Patient, ours: Registration) -> None:
    async with (
        bridge(patient.operations, ready=READY, pings={"seen": False}),
        OwnListener(
            Address("127.0.0.1", int(ours.url.rpartition(":")[2])), ours.hs_token, body_limit=1000
        ),
    ):
        findings = await patient.findings()
    assert failed(findings) == {"ping"}
    assert "but not this bridge" in findings["ping"].text


async def test_the_running_bridge_refuses_the_token(patient: Patient, ours: Registration) -> None:
    async with (
        bridge(patient.operations, ready=READY, pings={"seen": False}),
        OwnListener(Address("127.0.0.1", int(ours.url.rpartition(":")[2])), TOKEN, body_limit=1000),
    ):
        findings = await patient.findings()
    assert "another hs_token" in findings["ping"].text


async def test_a_bridge_that_is_not_ready(patient: Patient) -> None:
    degraded = {"status": "degraded", "checks": {"database": "away", "homeserver": "ok"}}
    seen = {"pings": {"seen": True}, "typing": {"last_seen_ms": LATER}}
    async with bridge(patient.operations, ready=degraded, **seen):
        findings = await patient.findings()
    assert failed(findings) == {"bridge"}
    assert findings["bridge"].details == ["database: away"]


async def test_something_else_on_the_operations_port(patient: Patient) -> None:
    async with bridge(patient.operations, ready=["no", "bridge"]):
        assert (await patient.findings())["bridge"].outcome is Outcome.SKIP


async def test_a_bridge_of_another_version(patient: Patient) -> None:
    async with bridge(patient.operations, ready=READY, pings={"errcode": "M_UNRECOGNIZED"}):
        findings = await patient.findings()
    assert failed(findings) == {"witness"}


async def test_a_witness_is_asked_where_it_listens() -> None:
    port = free_port()
    async with (
        aiohttp.ClientSession() as session,
        bridge(port, ready=READY, typing={"last_seen_ms": 7}),
    ):
        witness = RunningBridge(session, Address("0.0.0.0", port))
        assert await witness.health() is not None
        assert await witness.saw_typing(RoomId("!a/b:c"), 7)
        assert not await witness.saw_typing(RoomId("!a/b:c"), 8)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(WitnessError):
            await RunningBridge(session, Address("127.0.0.1", port)).saw_ping("x")


# Its own listener


def event(room_id: str, **others: Any) -> dict[str, Any]:
    return {
        "event_id": "$e",
        "room_id": room_id,
        "type": "m.room.message",
        "sender": "@a:b",
        "origin_server_ts": 1,
        "content": {},
        **others,
    }


TYPING = {"type": "m.typing", "room_id": ROOM, "content": {"user_ids": []}}


@pytest.mark.parametrize(
    ("transaction", "status", "held"),
    [
        ({"events": []}, 200, 0),
        ({"events": [], "ephemeral": [TYPING]}, 200, 0),
        ({"events": [event(ROOM)]}, 200, 0),
        ({"events": [event("!other")], "ephemeral": [TYPING]}, 503, 1),
        ({"events": [event(ROOM), event("!other")]}, 503, 1),
        ({"events": [event(ROOM, sender=7)]}, 503, 1),
        ({"no": "events"}, 503, 1),
    ],
)
async def test_only_what_nobody_needs_is_acknowledged(
    theirs: FakeHomeserver, transaction: dict[str, Any], status: int, held: int
) -> None:
    registration = theirs.registration
    address = Address("127.0.0.1", int(registration.url.rpartition(":")[2]))
    async with OwnListener(address, registration.hs_token, body_limit=10_000) as listener:
        listener.check_room_is(RoomId(ROOM))
        assert await theirs.push(transaction) == status
        assert listener.held_back == held
        assert await listener.saw_typing(RoomId(ROOM), 1) is ("ephemeral" in transaction)


async def test_without_a_check_room_every_event_is_kept_back(
    theirs: FakeHomeserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmeet_bridge.doctor.own_listener._ROOM_PATIENCE", 0.05)
    address = Address("127.0.0.1", int(theirs.registration.url.rpartition(":")[2]))
    async with OwnListener(address, theirs.registration.hs_token, body_limit=10_000):
        assert await theirs.push({"events": [event(ROOM)]}) == 503


async def test_strangers_are_turned_away(theirs: FakeHomeserver) -> None:
    address = Address("127.0.0.1", int(theirs.registration.url.rpartition(":")[2]))
    async with OwnListener(address, TOKEN, body_limit=10_000) as listener:
        assert await theirs.push({"events": []}) == 403
        assert await theirs._call("POST", "ping", {"transaction_id": "x"}) == 403
        assert await theirs._call("GET", "users/@om_a_b:example.org", {}) == 403
        assert not await listener.saw_ping("x")
        assert listener.strangers == 3


async def test_whether_somebody_exists_is_not_the_doctors_to_say(theirs: FakeHomeserver) -> None:
    address = Address("127.0.0.1", int(theirs.registration.url.rpartition(":")[2]))
    async with OwnListener(address, theirs.registration.hs_token, body_limit=10_000):
        assert await theirs._call("GET", "users/@om_a_b:example.org", {}) == 503
        assert await theirs._call("GET", "rooms/%23om_a:example.org", {}) == 503
        assert await theirs._call("POST", "ping", {}) == 200


# The database


async def contents(dsn: str, tmp_path: Path, ours: Registration) -> dict[str, Finding]:
    patient = Patient(tmp_path, ours, FakeHomeserver(ours))
    config = msgspec.structs.replace(patient.config("http://127.0.0.1:1"), database=dsn)
    found: list[Finding] = []
    await database.examine(config, found.append, serving=True)
    assert {finding.check for finding in found} == set(database.CHECKS)
    return {finding.check: finding for finding in found}


async def test_a_database_that_is_not_there(tmp_path: Path, ours: Registration) -> None:
    findings = await contents(f"postgresql://u:pw-9@127.0.0.1:{free_port()}/x", tmp_path, ours)
    assert failed(findings) == {"database"}
    assert "pw-9" not in findings["database"].line()


async def test_an_address_that_is_none(tmp_path: Path, ours: Registration) -> None:
    assert failed(await contents("postgresql://[", tmp_path, ours)) == {"database"}


def test_repair_age() -> None:
    assert database._repair(None, 240, True).outcome is Outcome.SKIP
    assert database._repair(30, 240, True).outcome is Outcome.OK
    assert database._repair(9000, 240, False).outcome is Outcome.SKIP
    late = database._repair(9000, 240, True)
    assert late.outcome is Outcome.FAIL
    assert "2 h ago" in late.text


def test_jobs() -> None:
    assert database._jobs({"pending": 3, "failed": 0}).outcome is Outcome.OK
    assert database._jobs({"pending": 0, "failed": 1}).outcome is Outcome.WARN


def test_no_embedded_server_runs(tmp_path: Path) -> None:
    assert running_dsn(tmp_path) is None
    cluster = tmp_path / "postgres"
    cluster.mkdir()
    lines = ["999999999", str(cluster), "1", "5432", "/run/x", "", "1", "ready   "]
    (cluster / "postmaster.pid").write_text("\n".join(lines))
    assert running_dsn(tmp_path) is None


def test_an_embedded_server_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> list[str]:
        raise PermissionError

    monkeypatch.setattr("openmeet_bridge.storage.embedded._postmaster", closed)
    with pytest.raises(EmbeddedPostgresError, match="belongs to another user"):
        running_dsn(tmp_path)


# What it prints


def test_a_line_is_one_line_and_has_no_escapes() -> None:
    finding = fail("ping", "said\n\x1b[31mred", "do this", ["a\nb"])
    assert finding.line() == "FAIL  ping: said  [31mred. Fix: do this\n      - a b"
    assert ok("clock", "same").line() == "OK    clock: same"


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_printed(
    patient: Patient, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    config = patient.config(f"http://127.0.0.1:{free_port()}")
    assert run(config, as_json) == 1
    printed = capsys.readouterr().out
    if as_json:
        document = msgspec.json.decode(printed)
        assert document["ok"] is False
        wrong = [check for check in document["checks"] if check["outcome"] == "fail"]
        assert [check["check"] for check in wrong] == ["homeserver"]
        assert wrong[0]["fix"]
    else:
        assert "FAIL  homeserver: " in printed
        assert printed.splitlines()[-1].endswith("1 fail, 16 skip")
