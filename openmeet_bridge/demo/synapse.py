"""A real Synapse as a child process, for the demo and the tests.

It listens on loopback, keeps its data in SQLite, does not federate and calls nobody but the
application services it is given. Not for production: Synapse's own documentation is.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

from .synapse_files import shared_secret, write_files

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
HTTP_SECONDS = 30.0
HOST = "127.0.0.1"


class SynapseError(RuntimeError):
    """Synapse cannot be used; the text says why and what to do."""


class Child(Protocol):
    """A child process, as far as it matters here; :class:`subprocess.Popen` is one."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; returns its exit status."""
        ...

    def send_signal(self, sig: int, /) -> None:
        """Sends it a signal; harmless when it has ended."""
        ...

    def kill(self) -> None:
        """Sends it SIGKILL."""
        ...


class Login(msgspec.Struct, frozen=True):
    """A logged-in device of a person (client-server API, "Login")."""

    user_id: str
    access_token: str
    device_id: str


class SynapseProcess:
    """One Synapse with its files in a directory.

    Args:
        home: Directory of its configuration, database, media and logs. Created when missing.
        port: Loopback port of the client-server API.
        registrations: Registration files of application services; read at start only.
        server_name: Domain of its users; must stay the same for the same ``home``.
        relaxed: Rate limits so high that tests do not meet them, and cheap passwords.
        presence: Whether it keeps and pushes who is there.

    All methods block; call them from a thread in async code. Usable as a context manager.
    """

    def __init__(
        self,
        home: Path,
        *,
        port: int,
        registrations: Sequence[Path] = (),
        server_name: str = "localhost",
        relaxed: bool = False,
        presence: bool = False,
    ) -> None:
        self._home = home.resolve()
        self._port = port
        self._registrations = [path.resolve() for path in registrations]
        self._server_name = server_name
        self._relaxed = relaxed
        self._presence = presence
        self._process: Child | None = None

    @property
    def base_url(self) -> str:
        """Address of the client-server API."""
        return f"http://{HOST}:{self._port}"

    @property
    def server_name(self) -> str:
        """Domain of its users."""
        return self._server_name

    @property
    def pid(self) -> int | None:
        """Its process id, None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def log_file(self) -> Path:
        """Where it writes its log."""
        return self._home / "homeserver.log"

    def start(self) -> None:
        """Writes the configuration, starts Synapse and waits until it answers.

        Raises:
            SynapseError: Not installed, or does not start.
        """
        if importlib.util.find_spec("synapse") is None:
            raise SynapseError(
                "Synapse is not installed: pip install 'openmeet-bridge[demo]' "
                "(or clone the repository and run `make demo`)"
            )
        _end_orphan(self._home)
        _check_free(self._port)
        write_files(
            self._home,
            self._port,
            self._server_name,
            self._registrations,
            relaxed=self._relaxed,
            presence=self._presence,
        )
        self._process = self._spawn(self._home)
        (self._home / "synapse.pid").write_text(f"{self._process.pid}\n")
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Ends it as an operator would (SIGTERM). Harmless when it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._gone()

    def kill(self) -> None:
        """Ends it as the power going away would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._gone()

    def restart(self) -> None:
        """Stops and starts it."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freezes it (SIGSTOP): connections open, nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a frozen one go on."""
        self._running().send_signal(signal.SIGCONT)

    def register_user(self, name: str, password: str, admin: bool = False) -> str:
        """Makes an account (Synapse's shared-secret registration); an existing one is fine.

        Args:
            name: Localpart.
            password: Its password, used only when it is new.
            admin: Whether it is a server administrator.

        Returns:
            The Matrix user id.
        """
        path = "/_synapse/admin/v1/register"
        nonce = self._request("GET", path)["nonce"]
        words = (nonce, name, password, "admin" if admin else "notadmin")
        secret = shared_secret(self._home).encode()
        mac = hmac.new(secret, "\0".join(words).encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}
        try:
            return str(self._request("POST", path, body)["user_id"])
        except _Answer as answer:
            if answer.errcode == "M_USER_IN_USE":
                return f"@{name}:{self._server_name}"
            raise

    def login(self, name: str, password: str) -> Login:
        """Logs an account in on a new device.

        Args:
            name: Localpart.
            password: Its password.
        """
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": name},
            "password": password,
        }
        return msgspec.convert(self._request("POST", "/_matrix/client/v3/login", body), Login)

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

    def _spawn(self, home: Path) -> Child:
        """Starts the process; the tests have a quicker way."""
        command = [sys.executable, "-m", "synapse.app.homeserver", "-c"]
        with (home / "synapse.out").open("wb") as out:
            return subprocess.Popen(
                [*command, str(home / "homeserver.yaml")],
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # A session of its own: Ctrl-C reaches the demo, which stops things in order.
                start_new_session=True,
            )

    def _running(self) -> Child:
        if self._process is None:
            raise SynapseError("Synapse is not running")
        return self._process

    def _gone(self) -> None:
        if self._process is not None:
            self._process.wait()
        self._process = None
        (self._home / "synapse.pid").unlink(missing_ok=True)

    def _wait_until_ready(self, process: Child) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None:
                self._gone()
                raise SynapseError(f"Synapse does not start:\n{_tail(self._home)}")
            if time.monotonic() > deadline:
                self.kill()
                raise SynapseError(f"Synapse is not ready in time; see {self.log_file}")
            time.sleep(POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            return "versions" in self._request("GET", "/_matrix/client/versions")
        except (OSError, http.client.HTTPException, SynapseError):
            return False

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=HTTP_SECONDS)
        try:
            payload = None if body is None else msgspec.json.encode(body)
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = msgspec.json.decode(response.read(), type=dict[str, Any])
        finally:
            connection.close()
        if response.status != 200:
            raise _Answer(response.status, answer)
        return answer


class _Answer(SynapseError):
    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.errcode = body.get("errcode")
        super().__init__(f"Synapse answers {status} {self.errcode}: {body.get('error')}")


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _check_free(port: int) -> None:
    # Whoever else listens there would answer in Synapse's place.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SynapseError(f"port {port} of {HOST} is in use; choose another") from error


def _end_orphan(home: Path) -> None:
    """Ends the Synapse of a demo that was killed: two on one SQLite database break it."""
    try:
        pid = int((home / "synapse.pid").read_text())
    except (FileNotFoundError, ValueError):
        return
    deadline = time.monotonic() + STOP_SECONDS
    while _is_ours(pid, home):
        late = time.monotonic() > deadline
        os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        time.sleep(POLL_SECONDS)


def _is_ours(pid: int, home: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(home / "homeserver.yaml") in words


def _tail(home: Path) -> str:
    said = (home / "synapse.out").read_text(errors="replace").strip()
    return said[-4000:] or f"it said nothing; see {home / 'homeserver.log'}"
