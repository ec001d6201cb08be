"""The doctor on OpenMeet's database: can it be read, is everything there, is it closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openmeet_bridge import config as configuration
from openmeet_bridge.config import Config
from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.doctor import openmeet
from openmeet_bridge.doctor.finding import Finding, Outcome

from ..support.openmeet_database import OpenMeet

LAKE = TenantId("lake")
_CONFIG = """\
homeserver: {{url: "http://127.0.0.1:1", server_name: example.org}}
jwt_default: {{algorithm: HS256, secret: {secret}, tenant_claim: {claim}}}
tenants: [{{id: lake, name: Lake}}]
registration: registration.yaml
database: embedded
openmeet: {{{openmeet}}}
"""


@pytest.fixture
async def meet(empty_database_url: str) -> AsyncIterator[OpenMeet]:
    meet = await OpenMeet.build(empty_database_url, [LAKE])
    yield meet
    await meet.close()


async def examined(folder: Path, section: str, claim: str = "required") -> Finding:
    """What the doctor says with a section ``openmeet`` of the configuration."""
    findings: list[Finding] = []
    await openmeet.examine(config(folder, section, claim), findings.append)
    (finding,) = findings
    return finding


def config(folder: Path, section: str, claim: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(_CONFIG.format(secret="s" * 32, openmeet=section, claim=claim))
    return configuration.load(path)


async def test_nothing_to_examine(tmp_path: Path) -> None:
    assert (await examined(tmp_path, "")).outcome is Outcome.SKIP


async def test_all_is_well_for_a_user_who_only_reads(
    tmp_path: Path, meet: OpenMeet, empty_database_url: str
) -> None:
    found = await examined(tmp_path, f'database: "{empty_database_url}"')
    assert (found.outcome, found.check) == (Outcome.WARN, "openmeet-database")
    assert "may write" in found.text
    site = meet.site(LAKE)
    await site.do("DROP ROLE IF EXISTS doctor_reader")
    await site.do("CREATE ROLE doctor_reader")
    await site.do('GRANT USAGE ON SCHEMA "tenant_lake" TO doctor_reader')
    await site.do('GRANT SELECT ON ALL TABLES IN SCHEMA "tenant_lake" TO doctor_reader')
    found = await examined(tmp_path, f'database: "{empty_database_url}&role=doctor_reader"')
    assert found.outcome is Outcome.OK
    assert found.text.endswith("7 groups and meetups can be read")
    section = f'database: "{empty_database_url}&role=doctor_reader"'
    writing = await examined(tmp_path, f"{section}, write_matrix_user_id: true")
    assert (writing.outcome, "may not update" in writing.text) == (Outcome.FAIL, True)
    await site.do('GRANT UPDATE ("matrixUserId") ON "tenant_lake"."users" TO doctor_reader')
    writing = await examined(tmp_path, f"{section}, write_matrix_user_id: true")
    assert writing.outcome is Outcome.OK
    await site.do('REVOKE ALL ON "tenant_lake"."sessions" FROM doctor_reader')
    assert (await examined(tmp_path, section)).outcome is Outcome.OK
    by_session = await examined(tmp_path, section, "session")
    assert (by_session.outcome, "'sessions'" in by_session.text) == (Outcome.FAIL, True)
    await site.do("DROP OWNED BY doctor_reader")
    await site.do("DROP ROLE doctor_reader")


async def test_what_is_missing_is_said(
    tmp_path: Path, meet: OpenMeet, empty_database_url: str
) -> None:
    await meet.site(LAKE).do('DROP TABLE "groupMembers"')
    found = await examined(tmp_path, f'database: "{empty_database_url}"')
    assert found.outcome is Outcome.FAIL
    assert "'groupMembers'" in found.text
    away = await examined(tmp_path, 'database: "postgresql://nobody@127.0.0.1:1/nothing"')
    assert away.outcome is Outcome.FAIL
