"""What the doctor finds in a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec
import pytest

from openmeet_bridge.config import Config, HomeserverSection, RepairSection
from openmeet_bridge.doctor import database
from openmeet_bridge.doctor.finding import Finding, Outcome
from openmeet_bridge.storage import quarantine, repair_mark
from openmeet_bridge.storage.embedded import EmbeddedPostgres, running_dsn

Configure = Callable[[str], Config]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Makes a configuration with a database."""

    def make(dsn: str) -> Config:
        return Config(
            homeserver=HomeserverSection(url="http://127.0.0.1:1", server_name="example.org"),
            registration=tmp_path / "registration.yaml",
            database=dsn,
            data_dir=tmp_path / "data",
            tenants=[],
        )

    return make


async def examined(config: Config, *, serving: bool = True) -> dict[str, Finding]:
    found: list[Finding] = []
    await database.examine(config, found.append, serving=serving)
    assert [finding.check for finding in found] == list(database.CHECKS)
    return {finding.check: finding for finding in found}


def outcomes(findings: dict[str, Finding]) -> dict[str, str]:
    return {name: str(finding.outcome) for name, finding in findings.items()}


async def test_a_healthy_database(database_url: str, configure: Configure) -> None:
    connection = await asyncpg.connect(database_url)
    await repair_mark.put(connection, "s1")
    await connection.close()
    assert set(outcomes(await examined(configure(database_url))).values()) == {"ok"}


async def test_what_has_piled_up(database_url: str, configure: Configure) -> None:
    connection = await asyncpg.connect(database_url)
    await quarantine.put(connection, "7", [(b'{"n": %d}' % n, f"bad {n}") for n in range(8)])
    await repair_mark.put(connection, "s1")
    await connection.execute("UPDATE repair_mark SET at = now() - interval '1 day'")
    await connection.execute(
        "INSERT INTO job (tenant, kind, slug, permanent) VALUES ('t', 'group', 'g', true)"
    )
    await connection.close()

    findings = await examined(configure(database_url))
    assert findings["quarantine"].outcome is Outcome.WARN
    assert findings["quarantine"].text.startswith("8 events")
    assert len(findings["quarantine"].details) == 5
    assert 'transaction 7: bad 7: {"n": 7}' in findings["quarantine"].details[0]
    assert findings["repair"].outcome is Outcome.FAIL
    assert findings["jobs"].outcome is Outcome.WARN
    assert "1 failed for good" in findings["jobs"].text

    patient = msgspec.structs.replace(
        configure(database_url), repair=RepairSection(interval=40_000.0)
    )
    assert (await examined(patient))["repair"].outcome is Outcome.OK


async def test_a_database_without_tables(empty_database_url: str, configure: Configure) -> None:
    findings = await examined(configure(empty_database_url))
    assert findings["migrations"].outcome is Outcome.FAIL
    assert "openmeet-bridge migrate" in findings["migrations"].fix
    assert findings["jobs"].outcome is Outcome.SKIP


async def test_a_database_of_a_newer_program(database_url: str, configure: Configure) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    finding = (await examined(configure(database_url)))["migrations"]
    assert finding.outcome is Outcome.FAIL
    assert "9999" in finding.text


async def test_a_name_that_is_wrong(database_url: str, configure: Configure) -> None:
    nowhere = database_url.replace("/test_", "/nowhere_")
    finding = (await examined(configure(nowhere)))["database"]
    assert finding.outcome is Outcome.FAIL
    assert "correct `database`" in finding.fix


async def test_the_embedded_database(configure: Configure, tmp_path: Path) -> None:
    config = configure("embedded")
    findings = await examined(config, serving=False)
    assert findings["database"].outcome is Outcome.SKIP
    assert not (tmp_path / "data").exists(), "a doctor makes no database"

    server = EmbeddedPostgres(config.data_dir, settings={"fsync": "off"})
    await asyncio.to_thread(server.start)
    try:
        assert running_dsn(config.data_dir) == server.dsn
        findings = await examined(config)
        assert "the running" in findings["database"].text
        assert findings["migrations"].outcome is Outcome.FAIL
    finally:
        await asyncio.to_thread(server.stop)

    assert running_dsn(config.data_dir) is None
    findings = await examined(config, serving=False)
    assert "started for this" in findings["database"].text
    assert running_dsn(config.data_dir) is None, "and it is stopped again"
