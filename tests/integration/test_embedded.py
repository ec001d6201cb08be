"""The embedded PostgreSQL: starts, stops, survives its owner's violent end."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from openmeet_bridge.storage.embedded import EmbeddedPostgres, EmbeddedPostgresError

OWNER = """
import sys, time
from pathlib import Path
from openmeet_bridge.storage.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


async def _value(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def _killed_owner(home: Path) -> int:
    """Starts a server in another process, kills that process; returns the server's pid."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(home)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    return pid


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_data_outlives_the_server(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        await _value(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        pid = server.pid
    assert pid is not None
    assert not _runs(pid)
    with EmbeddedPostgres(tmp_path) as server:
        assert await _value(server.dsn, "SELECT answer FROM kept") == 42


async def test_is_unicode_durable_and_only_on_a_socket(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        for setting, expected in (
            ("server_encoding", "UTF8"),
            ("fsync", "on"),
            ("synchronous_commit", "on"),
            ("listen_addresses", ""),
        ):
            assert await _value(server.dsn, f"SHOW {setting}") == expected
        assert await _value(server.dsn, "SELECT current_database() || current_user") == (
            "openmeetopenmeet"
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try to be somebody else")
def test_lets_nobody_else_in(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        owner = (tmp_path / "postgres").stat()
        # Even the account that the server runs as, and even where it can reach the socket.
        disguise = [f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
        reach = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        code = f"import asyncio, asyncpg; asyncio.run(asyncpg.connect({server.dsn!r}))"
        stranger = subprocess.run(
            ["setpriv", *disguise, *reach, sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
        )
    assert "Peer authentication failed" in stranger.stderr


async def test_takes_over_from_a_killed_owner(tmp_path: Path) -> None:
    orphan = _killed_owner(tmp_path)
    assert _runs(orphan)
    with EmbeddedPostgres(tmp_path) as server:
        assert not _runs(orphan)
        assert await _value(server.dsn, "SELECT 1") == 1


async def test_recovers_when_the_server_was_killed_too(tmp_path: Path) -> None:
    orphan = _killed_owner(tmp_path)
    os.kill(orphan, signal.SIGKILL)
    with EmbeddedPostgres(tmp_path) as server:
        assert await _value(server.dsn, "SELECT 1") == 1


async def test_ignores_a_stale_pid_of_somebody_else(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path):
        lines = (tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (tmp_path / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with EmbeddedPostgres(tmp_path) as server:
        assert await _value(server.dsn, "SELECT 1") == 1


def test_an_interrupted_creation_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path) as server:
        assert server.pid is not None


def test_two_owners_are_one_too_many(tmp_path: Path) -> None:
    with (
        EmbeddedPostgres(tmp_path) as server,
        pytest.raises(EmbeddedPostgresError, match=f"in use by another bridge.*{os.getpid()}"),
    ):
        EmbeddedPostgres(tmp_path).start()
    assert server.pid is None


async def test_a_long_path_and_odd_characters_are_fine(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 90) / "my, data: é%"
    with EmbeddedPostgres(home) as server:
        assert await _value(server.dsn, "SELECT 1") == 1


def test_another_major_version_is_named(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path):
        pass
    (tmp_path / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedPostgresError, match="written by PostgreSQL 12"):
        EmbeddedPostgres(tmp_path).start()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, settings={"shared_buffers": "nonsense"})
    with pytest.raises(EmbeddedPostgresError, match="shared_buffers"):
        server.start()
    with EmbeddedPostgres(tmp_path) as again:
        assert again.pid is not None


def test_says_which_extra_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresError, match=r"openmeet-bridge\[embedded\]"):
        EmbeddedPostgres(tmp_path).start()


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    server.stop()
    server.start()
    server.stop()
    server.stop()
    with pytest.raises(EmbeddedPostgresError, match="not started"):
        _ = server.dsn
