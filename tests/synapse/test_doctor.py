"""The doctor against a real Synapse, where no bridge runs: it listens in its place."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from openmeet_bridge import config as configuration
from openmeet_bridge import doctor
from openmeet_bridge.config import Config
from openmeet_bridge.core.ids import RoomId
from openmeet_bridge.demo.synapse import HOST, SynapseProcess
from openmeet_bridge.doctor import way_back
from openmeet_bridge.doctor.examination import examine
from openmeet_bridge.doctor.finding import Finding, Outcome
from openmeet_bridge.doctor.own_listener import OwnListener
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.matrix.registration import Registration, generate

from ..support.ports import free_port
from ..support.quick_synapse import Nursery, QuickSynapse

pytestmark = pytest.mark.synapse

SERVER_NAME = "localhost"
CONFIG = """\
homeserver: {{url: "{url}", server_name: {server_name}}}
registration: registration.yaml
database: "{database}"
jwt_default: {{algorithm: HS256, secret: a secret that is long enough for HS256}}
tenants: [{{id: one, name: One}}]
listen: {{homeserver: "{listen}", operations: "127.0.0.1:{operations}"}}
"""

MESSAGE = {"msgtype": "m.text", "body": "kept"}

Configure = Callable[..., Config]


@pytest.fixture
def configure(tmp_path: Path, database_url: str) -> Configure:
    """Makes a configuration of a bridge that does not run."""

    def make(url: str, registration: Registration, server_name: str = SERVER_NAME) -> Config:
        (tmp_path / "registration.yaml").write_text(registration.dump())
        listen = registration.url.removeprefix("http://")
        text = CONFIG.format(
            url=url,
            database=database_url,
            listen=listen,
            operations=free_port(),
            server_name=server_name,
        )
        (tmp_path / "config.yaml").write_text(text)
        return configuration.load(tmp_path / "config.yaml", {})

    return make


@pytest.fixture(scope="module")
def own_registration() -> Registration:
    return generate(SERVER_NAME, f"http://{HOST}:{free_port()}")


@pytest.fixture(scope="module")
def own_synapse(
    nursery: Nursery,
    own_registration: Registration,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SynapseProcess]:
    """A Synapse that no other test has left events in."""
    home = tmp_path_factory.mktemp("doctor")
    with _synapse(nursery, home, own_registration.dump()) as synapse:
        yield synapse


def _synapse(nursery: Nursery, home: Path, registration: str) -> SynapseProcess:
    file = home / "registration.yaml"
    file.write_text(registration)
    return QuickSynapse(
        nursery, home, port=free_port(), registrations=[file], server_name=SERVER_NAME, relaxed=True
    )


async def examined(config: Config) -> dict[str, Finding]:
    findings: list[Finding] = []
    await examine(config, findings.append)
    named = {finding.check: finding for finding in findings}
    assert len(named) == len(findings), "each check is told once"
    return named


def outcomes(findings: dict[str, Finding], outcome: Outcome) -> set[str]:
    return {name for name, finding in findings.items() if finding.outcome is outcome}


async def test_a_healthy_way(
    own_synapse: SynapseProcess, own_registration: Registration, configure: Configure
) -> None:
    config = configure(own_synapse.base_url, own_registration)
    for _ in range(2):  # the first time it makes the bot and the room
        findings = await examined(config)
        assert outcomes(findings, Outcome.FAIL) == set(), findings
        assert outcomes(findings, Outcome.SKIP) == {"bridge", "repair", "openmeet-database"}, (
            findings
        )
        assert "hs_token" in findings["ping"].text


def test_the_command_ends_well(
    own_synapse: SynapseProcess, own_registration: Registration, configure: Configure
) -> None:
    assert doctor.run(configure(own_synapse.base_url, own_registration), False) == 0


async def test_a_synapse_that_was_restarted(
    own_synapse: SynapseProcess, own_registration: Registration, configure: Configure
) -> None:
    await asyncio.to_thread(own_synapse.restart)
    findings = await examined(configure(own_synapse.base_url, own_registration))
    assert findings["typing"].outcome is Outcome.OK, findings["typing"]


async def test_what_the_bridge_has_to_see_stays_with_the_homeserver(
    own_synapse: SynapseProcess,
    own_registration: Registration,
    configure: Configure,
    http_session: aiohttp.ClientSession,
) -> None:
    config = configure(own_synapse.base_url, own_registration)
    api = Homeserver(http_session, own_synapse.base_url, own_registration.as_token)
    bot = own_registration.bot
    room_id = await api.create_room(bot, {"preset": "private_chat"})
    await api.send_event(room_id, "m.room.message", secrets.token_hex(8), MESSAGE, bot)

    findings = await examined(config)
    assert findings["ping"].outcome is Outcome.OK
    assert findings["typing"].outcome is Outcome.SKIP
    assert "serve" in findings["typing"].fix

    # Whoever listens next is asked to take them.
    listener = OwnListener(config.listen.homeserver, own_registration.hs_token, body_limit=1 << 26)
    async with listener:
        listener.check_room_is(room_id)
        await api.ping(own_registration.id)
        async with asyncio.timeout(20):
            while not await typing_comes(api, bot, room_id, listener):
                continue
        assert listener.held_back == 0


async def typing_comes(api: Homeserver, bot: str, room_id: RoomId, listener: OwnListener) -> bool:
    """Whether typing arrives, which it does only once everything that waited was taken."""
    await api.typing(room_id, bot, False)
    await api.typing(room_id, bot, True, 5_000)
    await asyncio.sleep(0.5)
    return await listener.saw_typing(room_id, 0)


async def test_a_wrong_as_token(
    synapse: SynapseProcess, registration: Registration, configure: Configure
) -> None:
    stranger = generate(SERVER_NAME, registration.url)
    findings = await examined(configure(synapse.base_url, stranger))
    assert outcomes(findings, Outcome.FAIL) == {"as_token"}
    assert "M_UNKNOWN_TOKEN" in findings["as_token"].text
    assert "app_service_config_files" in findings["as_token"].fix
    assert {"bot", "ping", "typing"} <= outcomes(findings, Outcome.SKIP)


def _changed(registration: Registration, **values: str) -> Registration:
    return msgspec.structs.replace(registration, adopted=(), **values)


async def test_a_wrong_hs_token(
    synapse: SynapseProcess, registration: Registration, configure: Configure
) -> None:
    changed = _changed(registration, hs_token=secrets.token_urlsafe(48))
    findings = await examined(configure(synapse.base_url, changed))
    assert outcomes(findings, Outcome.FAIL) == {"ping"}
    assert "another hs_token" in findings["ping"].text


async def test_another_id(
    synapse: SynapseProcess, registration: Registration, configure: Configure
) -> None:
    findings = await examined(configure(synapse.base_url, _changed(registration, id="other")))
    assert outcomes(findings, Outcome.FAIL) == {"ping"}
    assert "`id`" in findings["ping"].fix


async def test_another_address(
    synapse: SynapseProcess, registration: Registration, configure: Configure
) -> None:
    elsewhere = _changed(registration, url=f"http://{HOST}:{free_port()}")
    findings = await examined(configure(synapse.base_url, elsewhere))
    assert outcomes(findings, Outcome.FAIL) == {"ping"}
    assert "listen.homeserver" in findings["ping"].fix


async def test_another_server_name(
    synapse: SynapseProcess, registration: Registration, configure: Configure
) -> None:
    moved = _changed(registration, server_name="example.org")
    findings = await examined(configure(synapse.base_url, moved, "example.org"))
    assert {"sender", "bot"} <= outcomes(findings, Outcome.FAIL)
    assert findings["sender"].fix == "set homeserver.server_name to localhost"


async def test_synapse_is_down(registration: Registration, configure: Configure) -> None:
    url = f"http://{HOST}:{free_port()}"
    findings = await examined(configure(url, registration))
    assert outcomes(findings, Outcome.FAIL) == {"homeserver"}
    assert findings["homeserver"].fix == "start the homeserver, or correct homeserver.url"
    assert outcomes(findings, Outcome.OK) >= {"database", "migrations", "quarantine", "jobs"}


async def test_a_registration_that_synapse_has_in_another_form(
    nursery: Nursery,
    tmp_path_factory: pytest.TempPathFactory,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(way_back, "_TYPING_SECONDS", 0.5)  # it never comes
    ours = generate(SERVER_NAME, f"http://{HOST}:{free_port()}")
    theirs = (
        ours.dump()
        .replace(ours.users_regex, "@om_.*")
        .replace("receive_ephemeral: true", "receive_ephemeral: false")
        .replace("push_ephemeral: true", "push_ephemeral: false")
        .replace(ours.sender_localpart, "somebody")
    )
    with _synapse(nursery, tmp_path_factory.mktemp("loose"), theirs) as synapse:
        findings = await examined(configure(synapse.base_url, ours))
    assert outcomes(findings, Outcome.FAIL) == {"sender", "namespace", "typing"}
    assert len(findings["namespace"].details) == 2
    assert "receive_ephemeral" in findings["typing"].fix
