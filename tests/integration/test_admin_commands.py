"""Commands for operators on a real database, beside a bridge or without one."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest
from click.testing import Result

from openmeet_bridge import cli
from openmeet_bridge.bridge import overview
from openmeet_bridge.core.changes import PutMember, PutPortal, PutUser
from openmeet_bridge.core.directory import Member, Portal, User
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.storage.instance import InstanceLock

from ..support.office import LAKE, Office

HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers")


def user(slug: str, tenant: TenantId = LAKE) -> PutUser:
    return PutUser(User(tenant, UserSlug(slug), None, slug.title(), None))


def group(ref: PortalRef = HIKERS) -> PutPortal:
    return PutPortal(Portal(ref, "", ref.slug.title()))


@pytest.fixture
def office(tmp_path: Path, database_url: str) -> Office:
    """A desk with Ann and Bob, who are hikers by the lake."""
    office = Office(tmp_path, database_url)
    office.write(user("ann"), user("bob"), group())
    office.write(PutMember(HIKERS, Member(UserSlug("ann"), "owner")))
    office.write(PutMember(HIKERS, Member(UserSlug("bob"), "guest")))
    return office


def lines(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_tenants(office: Office) -> None:
    titles, lake, sea = lines(office.said("tenants", "list"))
    assert titles[:3] == ["tenant", "name", "users"]
    assert (lake[0], lake[1], lake[2], lake[3]) == ("lake", "By the lake", "2", "1")
    assert sea == ["sea", "By the sea", *"0000000"]
    shown = office.json("tenants", "show", "lake")
    assert (shown["head"]["revision"], shown["counts"]["members"]) == (3, 2)
    assert "suspended" in office.said("tenants", "show", "lake")
    assert office.run("tenants", "show", "moon").exit_code == cli.MISCONFIGURED


def test_which_tenant_is_asked(office: Office) -> None:
    result = office.run("portals", "list")
    assert result.exit_code == cli.MISCONFIGURED
    assert "'lake', 'sea'" in result.stderr


def test_portals(office: Office) -> None:
    _, row = lines(office.said("portals", "list", "--tenant", "lake"))
    assert row[:5] == ["group", "hikers", "pending", "0", "1"]
    assert office.said("portals", "list", "--tenant", "lake", "--kind", "meetup") == ""
    assert office.said("portals", "list", "--tenant", "lake", "--search", "HIK")
    assert office.said("portals", "list", "--tenant", "lake", "--search", "%") == ""
    assert office.said("portals", "list", "--tenant", "lake", "--problem") == ""
    office.end_jobs("M_FORBIDDEN: no")
    (view,) = office.json("portals", "list", "--tenant", "lake", "--problem")
    assert (view["row"]["state"], view["row"]["error"]) == ("failed", "M_FORBIDDEN: no")
    found = office.json("portals", "show", "group", "hikers", "--tenant", "lake")
    assert [(one["user"], one["place"], one["level"]) for one in found["members"]] == [
        ("ann", "in", 90),
        ("bob", "out", 0),
    ]
    assert "M_FORBIDDEN" in office.said("portals", "show", "group", "hikers", "--tenant", "lake")
    assert office.run("portals", "show", "group", "x", "--tenant", "lake").exit_code == cli.FAILED


def test_a_list_has_as_many_pages_as_it_needs(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "PAGE", 2)
    office.write(*(user(f"user-{number}") for number in range(5)))
    office.write(*(group(HIKERS._replace(slug=f"group-{number}")) for number in range(5)))
    users = office.json("users", "list", "--tenant", "lake")
    assert [one["slug"] for one in users] == ["ann", "bob", *(f"user-{n}" for n in range(5))]
    assert len(office.json("portals", "list", "--tenant", "lake")) == 6
    assert len(office.json("portals", "list", "--tenant", "lake", "--limit", "3")) == 3
    assert len(office.json("users", "list", "--tenant", "lake", "--limit", "4")) == 4


def test_users(office: Office) -> None:
    _, ann, bob = lines(office.said("users", "list", "--tenant", "lake"))
    assert (ann[0], ann[4], bob[6]) == ("ann", "@om_lake_ann:test", "1")
    shown = office.json("users", "show", "@om_lake_ann:test", "--tenant", "lake")
    assert shown["user"]["slug"] == "ann"
    assert shown["portals"][0]["member"]["role"] == "owner"
    assert "hikers" in office.said("users", "show", "ann", "--tenant", "lake")
    for stranger in ("zoe", "@zoe:elsewhere", "@om_lake_ann:test"):
        tenant = "sea" if stranger.startswith("@om") else "lake"
        assert office.run("users", "show", stranger, "--tenant", tenant).exit_code == cli.FAILED


def test_names_cannot_steer_the_terminal(office: Office) -> None:
    office.write(PutUser(User(LAKE, UserSlug("eve"), None, "Eve\x1b[2Jil", None)))
    said = office.said("users", "list", "--tenant", "lake")
    assert "\x1b" not in said
    assert "Eve\ufffd[2Jil" in said


def test_an_operators_word_is_kept_and_taken_back(office: Office) -> None:
    place = ("group", "hikers")
    where = ("--tenant", "lake")
    said = office.run("portals", "join", *place, "bob", "--reason", "ticket 7", *where)
    assert said.exit_code == 0
    assert "start `openmeet-bridge serve`" in said.stderr
    (view,) = office.json("portals", "list", *where)
    assert view["wanted"] == 2
    office.said("portals", "kick", *place, "@om_lake_ann:test", "--reason", "ticket 8", *where)
    found = office.json("portals", "show", *place, *where)
    assert [(one["place"], one["override"]) for one in found["members"]] == [
        ("out", "out: ticket 8"),
        ("in", "in: ticket 7"),
    ]
    assert office.run("portals", "release", *place, "ann", *where).exit_code == 0
    assert "That is so already." in office.said("portals", "release", *place, "ann", *where)
    nobody = office.run("portals", "join", *place, "zoe", "--reason", "x", *where)
    assert (nobody.exit_code, "No user 'zoe'" in nobody.stderr) == (cli.FAILED, True)
    assert office.run("portals", "join", *place, "bob", *where).exit_code == cli.MISCONFIGURED


def test_jobs(office: Office) -> None:
    result = office.run("jobs")
    assert [row[1:4] for row in lines(result.stdout)[1:]] == [
        ["group", "hikers", "pending"],
        ["space", "-", "pending"],
        ["space", "hikers", "pending"],
        ["user", "ann", "pending"],
        ["user", "bob", "pending"],
    ]
    assert "0 done, 5 pending, 0 failed" in result.stderr
    assert cli_says_nobody(result)
    office.end_jobs("M_FORBIDDEN: no")
    watched = office.run("jobs", "--watch")
    assert (watched.exit_code, watched.stdout) == (cli.FAILED, "0 done, 0 pending, 5 failed\n")
    assert len(office.json("jobs", "--state", "failed")["jobs"]) == 5
    assert "5 jobs will be tried again" in office.said("jobs", "retry", "--failed")
    office.end_jobs()
    assert office.run("jobs", "--watch").exit_code == 0
    assert "nothing to show" in office.run("jobs").stderr
    assert "0 jobs" in office.said("jobs", "retry", "--tenant", "sea")


def test_resync_asks_again(office: Office) -> None:
    office.end_jobs()
    office.said("portals", "resync", "group", "hikers", "--tenant", "lake")
    office.said("users", "resync", "ann", "--tenant", "lake")
    pending = office.json("jobs")["jobs"]
    assert [(one["kind"], one["slug"]) for one in pending] == [("group", "hikers"), ("user", "ann")]
    signed_out = office.said("users", "sign-out", "ann", "--tenant", "lake")
    assert signed_out == "ann: signed out\n"
    unknown = office.run("portals", "resync", "group", "chess", "--tenant", "lake")
    assert unknown.exit_code == cli.FAILED


async def test_a_bridge_that_runs_is_seen(office: Office) -> None:
    async def asked() -> Result:
        return await asyncio.to_thread(office.run, "jobs")

    assert cli_says_nobody(await asked())
    lock = InstanceLock(office.database_url)
    await lock.acquire()
    assert not cli_says_nobody(await asked())
    await lock.release()
    assert cli_says_nobody(await asked())


def cli_says_nobody(result: Result) -> bool:
    assert result.exit_code == 0, result.output
    return "nobody works on these jobs" in result.stderr


def test_a_database_without_tables(tmp_path: Path, empty_database_url: str) -> None:
    result = Office(tmp_path, empty_database_url).run("tenants", "list")
    assert result.exit_code == cli.NO_DATABASE
    assert "openmeet-bridge migrate" in result.stderr


def test_a_database_that_is_away(tmp_path: Path) -> None:
    result = Office(tmp_path, "postgresql://nobody@127.0.0.1:1/none").run("jobs")
    assert result.exit_code == cli.NO_DATABASE
    assert "not available" in result.stderr


def test_what_would_be_done_for_a_room(office: Office) -> None:
    where = ("group", "hikers", "--tenant", "lake")
    (step,) = office.json("portals", "plan", *where)
    assert (step["step"], step["alias"]) == ("CreateRoom", "#om_lake_group_hikers:test")
    assert "CreateRoom\talias #om_lake" in office.said("portals", "plan", *where)


def test_nothing_can_be_merged_into_no_room(office: Office) -> None:
    result = office.run("portals", "merge", "group", "hikers", "!x", "--tenant", "lake")
    assert (result.exit_code, "has no room yet" in result.stderr) == (cli.FAILED, True)


def test_a_person_gets_all_that_is_known(office: Office, tmp_path: Path) -> None:
    file = tmp_path / "ann.ndjson"
    said = office.said("users", "export", "@om_lake_ann:test", "--tenant", "lake")
    records = [json.loads(line) for line in said.splitlines()]
    assert records[0]["record"] == "profile"
    assert "records" in office.said(
        "users", "export", "ann", "--tenant", "lake", "--output", str(file)
    )
    assert [json.loads(line) for line in file.read_text().splitlines()] == records
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = sorted(tmp_path.iterdir())
    nobody = office.run("users", "export", "zoe", "--tenant", "lake", "-o", str(tmp_path / "zoe"))
    assert (nobody.exit_code, sorted(tmp_path.iterdir())) == (cli.FAILED, before)


def test_a_person_is_erased_when_that_is_said_twice(office: Office) -> None:
    erase = ("users", "erase", "ann", "--tenant", "lake")
    assert office.run(*erase, stdin="n\n").exit_code == cli.FAILED
    assert office.json("users", "show", "ann", "--tenant", "lake")["ghost"]["erased_at"] is None
    report = office.json(*erase, "--yes")
    assert (report["state"], report["mxid"]) == ("running", "@om_lake_ann:test")
    assert "running" in office.said(*erase, "--yes")
    shown = office.json("users", "show", "ann", "--tenant", "lake")
    assert (shown["user"], bool(shown["ghost"]["erased_at"])) == (None, True)
    assert [one["kind"] for one in office.json("jobs")["jobs"]].count("erasure") == 1


def test_comparing_needs_a_database_of_openmeets(office: Office) -> None:
    result = office.run("sync")
    assert (result.exit_code, "openmeet.database" in result.stderr) == (cli.MISCONFIGURED, True)
