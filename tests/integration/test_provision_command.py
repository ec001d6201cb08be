"""``provision`` and ``deprovision`` on a real database, with a stand-in for the running bridge."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import Result

from openmeet_bridge import cli
from openmeet_bridge.bridge import feeding
from openmeet_bridge.core.changes import DeleteUser
from openmeet_bridge.core.ids import UserSlug
from openmeet_bridge.storage import ghosts, jobs
from openmeet_bridge.storage.database import Database
from openmeet_bridge.storage.instance import InstanceLock

from ..support.databases import Databases, in_thread
from ..support.office import LAKE, SEA, Office
from ..support.openmeet_database import OpenMeet

NAMES = [f"user-{number:02}" for number in range(30)]


def lines(names: list[str] = NAMES, groups: int = 3) -> str:
    """So many users, who are all in so many groups."""
    said: list[dict[str, Any]] = [
        {"type": "user", "slug": name, "name": name.title(), "id": number}
        for number, name in enumerate(names, 1)
    ]
    members = [{"user": name} for name in names]
    said += [
        {"type": "group", "slug": f"group-{number}", "name": f"Group {number}", "members": members}
        for number in range(groups)
    ]
    return "".join(json.dumps(line) + "\n" for line in said)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "_POLL", 0.01)


@pytest.fixture
def office(tmp_path: Path, database_url: str) -> Office:
    return Office(tmp_path, database_url)


@contextmanager
def working(office: Office, *, refused: str | None = None) -> Iterator[list[int]]:
    """Ends jobs as a bridge does; yields how many were unsettled at each look.

    Args:
        office: Whose jobs.
        refused: Slug of the group whose job fails for good.
    """
    stop, seen = threading.Event(), []

    async def work() -> None:
        lock, database = InstanceLock(office.database_url), Database(office.database_url)
        await lock.acquire()
        while not stop.is_set():
            async with database.connection() as connection:
                seen.append((await jobs.counts(connection))["pending"])
                for job in await jobs.take(connection, 5, 60):
                    if (job.kind, job.slug) == ("group", refused):
                        await jobs.postpone(connection, job, 0, "M_FORBIDDEN: no", permanent=True)
                        continue
                    ghost = await ghosts.of_user(connection, job.tenant, UserSlug(job.slug))
                    if job.kind == "user" and ghost is not None:
                        await ghosts.mark_registered(connection, ghost.mxid)
                    await jobs.finish(connection, job, 7)
            await asyncio.sleep(0.001)
        await lock.release()
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def provision(office: Office, *options: str, said: str | None = None) -> Result:
    words = ("provision", "--tenant", "lake", "--from", "-", *options)
    return office.run(*words, stdin=lines() if said is None else said)


def report_of(file: Path) -> Any:
    return json.loads(file.read_bytes())


def test_a_dry_run_changes_nothing(office: Office, tmp_path: Path) -> None:
    result = provision(office, "--dry-run", "--report", str(tmp_path / "report.json"))
    assert result.exit_code == 0, result.output
    assert "users\t30\t0\t0\t0" in result.stdout
    assert "memberships\t90\t0\t0\t0" in result.stdout
    assert "On Matrix: 30 users, 3 rooms, 90 joins." in result.stdout
    assert "as benchmarked" in result.stdout
    assert office.json("users", "list", "--tenant", "lake") == []
    report = report_of(tmp_path / "report.json")
    assert report["planned"]["lake"]["matrix"] == {"ghosts": 30, "rooms": 3, "joins": 90}
    assert report["finished"] is False


def test_everything_comes_and_never_more_than_the_window(office: Office, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    with working(office) as seen:
        result = provision(office, "--window", "6", "--report", str(file))
    assert result.exit_code == 0, result.output
    # The spaces that a slice of rooms asks for come on top.
    assert max(seen) <= 6 + 4
    assert len(office.json("users", "list", "--tenant", "lake")) == 30
    report = report_of(file)
    assert (report["finished"], report["problems"], report["failures"]) == (True, [], [])
    assert report["done"]["ghosts"] == 30
    assert report["progress"]["users_done"] == report["progress"]["users"] == 30
    assert report["progress"]["rooms_done"] == report["progress"]["rooms"] == 3
    again = provision(office)
    assert again.exit_code == 0
    assert "users\t0\t0\t0\t30" in again.stdout
    estimate = provision(office, "--dry-run").stdout
    assert "measured here" in estimate


def test_what_fails_is_told_and_tried_again_by_the_next_run(office: Office, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    with working(office, refused="group-1"):
        result = provision(office, "--report", str(file))
    assert result.exit_code == cli.FAILED
    assert "failed: group group-1: M_FORBIDDEN: no" in result.stderr
    (failure,) = report_of(file)["failures"]
    assert (failure["slug"], failure["error"]) == ("group-1", "M_FORBIDDEN: no")
    with working(office):
        assert provision(office).exit_code == 0
    assert office.json("jobs")["jobs"] == []


def test_who_cannot_be_written_is_left_out(office: Office, tmp_path: Path) -> None:
    with working(office):
        assert provision(office).exit_code == 0

        async def erase(desk: Any) -> None:
            await desk.directory.apply(LAKE, [DeleteUser(UserSlug("user-07"))])
            async with desk.database.connection() as connection:
                await connection.execute(
                    "UPDATE ghost SET erased_at = now() WHERE slug = 'user-07'"
                )

        office.at_desk(erase)
        result = provision(office)
    assert result.exit_code == cli.FAILED
    assert "left out: user user-07: The user 'user-07' was erased" in result.stderr
    found = office.json("portals", "list", "--tenant", "lake")
    assert [one["wanted"] for one in found] == [29, 29, 29]


def test_nothing_is_changed_if_any_line_is_bad(office: Office) -> None:
    bad = lines() + '{"type": "user", "slug": "zoe", "name": 7}\n{}\n'
    result = provision(office, said=bad)
    assert result.exit_code == cli.FAILED
    assert "Nothing was changed" in result.stderr
    assert "line 34: name: Expected `str`, got `int`" in result.stderr
    assert "line 35: Object missing required field `type`" in result.stderr
    assert office.json("users", "list", "--tenant", "lake") == []
    many = provision(office, said="x\n" * 30)
    assert "… and 10 more" in many.stderr


def test_where_lines_come_from(office: Office, tmp_path: Path) -> None:
    file = tmp_path / "people.ndjson"
    file.write_text(lines())
    dry = ("provision", "--dry-run", "--from", str(file))
    assert office.run(*dry, "--tenant", "lake").exit_code == 0
    assert "name it (--tenant)" in office.run(*dry).stderr
    missing = office.run(*dry[:-1], "nowhere", "--tenant", "lake")
    assert (missing.exit_code, "nowhere: cannot be read" in missing.stderr) == (2, True)
    unset = office.run("provision", "--dry-run")
    assert (unset.exit_code, "openmeet.database: is not set" in unset.stderr) == (2, True)


def test_the_way_back(office: Office, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    with working(office):
        assert provision(office).exit_code == 0
        dry = office.run("deprovision", "--tenant", "lake", "--dry-run")
        assert "to remove: 30 users, 3 groups, 0 meetups, 0 direct chats" in dry.stdout
        assert not office.json("tenants", "show", "lake")["head"]["suspended"]
        result = office.run("deprovision", "--tenant", "lake", "--report", str(file))
        assert result.exit_code == 0, result.output
        tenant = office.json("tenants", "show", "lake")
        assert tenant["head"]["suspended"]
        assert (tenant["counts"]["users"], tenant["counts"]["groups"]) == (0, 0)
        assert report_of(file)["finished"]
        assert provision(office).exit_code == 0
        assert not office.json("tenants", "show", "lake")["head"]["suspended"]


def test_nobody_works_on_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    began = threading.Event()
    feed = feeding.Feeding.run

    async def run(self: feeding.Feeding, loads: Any) -> Any:
        began.set()
        return await feed(self, loads)

    monkeypatch.setattr(feeding.Feeding, "run", run)

    def start_bridge() -> None:
        began.wait(60)
        with working(office):
            done.wait(60)

    done = threading.Event()
    bridge = threading.Thread(target=start_bridge)
    bridge.start()
    result = provision(office)
    done.set()
    bridge.join()
    assert result.exit_code == 0
    assert "nobody works on these jobs: start `openmeet-bridge serve`" in result.stderr


@pytest.fixture
def openmeet(databases: Databases) -> Iterator[str]:
    """OpenMeet's own database, with life in it; returns its address."""
    theirs = databases.create_empty()

    async def build() -> None:
        meet = await OpenMeet.build(theirs, [LAKE, SEA])
        await meet.close()

    in_thread(build)
    yield theirs
    databases.drop(theirs)


def test_from_openmeets_database(openmeet: str, database_url: str, tmp_path: Path) -> None:
    office = Office(tmp_path, database_url, openmeet={"database": openmeet})
    assert office.run("sync", "--dry-run").exit_code == 0
    assert office.json("tenants", "list")[0]["counts"]["users"] == 0
    office.said("deprovision", "--tenant", "lake")
    assert office.run("sync", "--tenant", "lake").exit_code == cli.FAILED  # suspended
    others = office.run("sync", "--dry-run")
    assert (others.exit_code, "lake is suspended" in others.stderr) == (0, True)
    with working(office):
        result = office.run("provision", "--report", str(tmp_path / "report.json"))
    report = report_of(tmp_path / "report.json")
    assert result.exit_code == (cli.FAILED if report["problems"] else 0), result.output
    assert (report["tenants"], report["failures"]) == (["lake", "sea"], [])
    tenants = {one["id"]: one for one in office.json("tenants", "list")}
    for tenant in ("lake", "sea"):
        assert (
            tenants[tenant]["counts"]["users"] == report["planned"][tenant]["write"]["user"]["make"]
        )
        assert tenants[tenant]["counts"]["users"] > 0
        assert not tenants[tenant]["head"]["suspended"]
    compared = office.json("sync", "--dry-run")
    assert [one["differences"] for one in compared.values()] == [[], []]


def test_sync_asks_before_it_removes_much(openmeet: str, database_url: str, tmp_path: Path) -> None:
    office = Office(tmp_path, database_url, openmeet={"database": openmeet})
    first = office.run("sync", "--tenant", "lake")
    assert first.exit_code == 0
    assert "nobody works on these jobs" in first.stderr
    users = office.json("tenants", "show", "lake")["counts"]["users"]

    async def forget() -> None:
        meet = await OpenMeet.build(openmeet, [LAKE], rows=False)
        await meet.close()

    async def empty() -> None:
        connection = await asyncpg.connect(openmeet)
        await connection.execute('DROP SCHEMA "tenant_lake" CASCADE')
        await connection.close()

    in_thread(empty)
    in_thread(forget)
    refused = office.run("sync", "--tenant", "lake")
    assert refused.exit_code == cli.FAILED
    assert f"of {users} users" in refused.stderr
    assert "--allow-removals" in refused.stderr
    assert office.run("sync", "--tenant", "lake", "--allow-removals").exit_code == 0
    assert office.json("tenants", "show", "lake")["counts"]["users"] == 0
