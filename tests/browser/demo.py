"""The demonstration as a program beside the tests: Synapse, PostgreSQL, bridge and two tenants."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

_START_WITHIN = 200.0
_STOP_WITHIN = 30.0
_SETTLE_WITHIN = 30.0
_ROOT = Path(__file__).parents[2]
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Somebody:
    """A user of the demonstration."""

    tenant: str
    slug: str
    name: str
    jwt: str


@dataclass(frozen=True)
class Place:
    """A group or meetup, and its room."""

    tenant: str
    path: str
    name: str
    room_id: str
    alias: str


class Demo:
    """A running demonstration. Make one with :func:`running_demo`.

    Attributes:
        base: Address of the page and of the API.
        homeserver: Address of Synapse.
        people: Its users, by first name in lower case.
        matrix_user: Name and password of somebody who is not on OpenMeet.
    """

    def __init__(self, ready: dict[str, Any], process: int) -> None:
        self.base: str = ready["api_url"]
        self.homeserver: str = ready["homeserver_url"]
        self.matrix_user: tuple[str, str] = (
            ready["matrix_user"]["username"],
            ready["matrix_user"]["password"],
        )
        self._keys: dict[str, str] = ready["service_keys"]
        self._process = process
        users = self._call("GET", "/api/v1/demo")["users"]
        self.people = {
            user["name"].split()[0].lower(): Somebody(
                user["tenant"], user["slug"], user["name"], user["jwt"]
            )
            for user in users
        }

    def api(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """One call of the web API as somebody."""
        person = self.people[who]
        return self._call(method, f"/api/v1/{path}", person.jwt, body, person.tenant)

    def say(self, who: str, place: Place, text: str) -> str:
        """Somebody writes; returns the event's id."""
        path = f"rooms/{quote(place.room_id)}/messages/{secrets.token_hex(8)}"
        return str(self.api(who, "PUT", path, {"body": text})["event_id"])

    def integrate(self, tenant: str, method: str, path: str, body: Any = None) -> Any:
        """One call of the integration API."""
        path = f"/api/integration/v1/tenants/{tenant}/{path}"
        return self._call(method, path, self._keys[tenant], body)

    def place(
        self, *members: str, name: str = "", kind: str = "groups", public: bool = False
    ) -> Place:
        """A new group or meetup, with a room that all of its members are in."""
        number = next(_numbers)
        slug, name = f"place-{number}", name or f"Place {number}"
        tenant = self.people[members[0]].tenant
        path = f"{kind}/{slug}"
        visibility = "public" if public else "private"
        self.integrate(tenant, "PUT", path, {"name": name, "visibility": visibility})
        room_id = str(self._settled(tenant, path)["room_id"])
        alias = f"#om_{tenant}_{kind.removesuffix('s')}_{slug}:localhost"
        place = Place(tenant, path, name, room_id, alias)
        for who in members:
            self.add(place, who)
        return place

    def add(self, place: Place, who: str) -> None:
        """Somebody becomes a member, and is in the room on return."""
        path = f"{place.path}/members/{self.people[who].slug}"
        self.integrate(place.tenant, "PUT", path, {"role": "member"})
        eventually(lambda: self._is_in(place, who))

    def remove(self, place: Place, who: str) -> None:
        """Somebody is no member any more."""
        path = f"{place.path}/members/{self.people[who].slug}"
        self.integrate(place.tenant, "DELETE", path)

    @contextmanager
    def paused_homeserver(self) -> Iterator[None]:
        """Synapse stands still for the length of the block."""
        process = _child(self._process, "synapse.app.homeserver")
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    def _is_in(self, place: Place, who: str) -> bool:
        try:
            return bool(self.api(who, "GET", f"rooms/{quote(place.room_id)}"))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return False

    def _settled(self, tenant: str, path: str) -> Any:
        def status() -> Any:
            found = self.integrate(tenant, "GET", f"{path}/status")
            assert found["state"] != "failed", found
            return found if found["state"] == "settled" else None

        return eventually(status)

    def _call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Any = None,
        tenant: str | None = None,
    ) -> Any:
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if tenant is not None:
            headers["X-Tenant-Id"] = tenant
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.base + path, data=data, headers=headers, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)


def eventually(look: Callable[[], Any], seconds: float = _SETTLE_WITHIN) -> Any:
    """Looks until there is something true to see; returns it."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.05)
    return found


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """Starts the program, and stops it as Ctrl-C would; it must end well.

    Args:
        folder: Where what it says is kept.
    """
    ready, said = folder / "ready.json", folder / "demo.log"
    command = [sys.executable, "-m", "openmeet_bridge", "demo", "--ready-file", str(ready)]
    with said.open("w") as output:
        program = subprocess.Popen(command, cwd=_ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: ready.exists() or program.poll() is not None, _START_WITHIN)
        assert program.poll() is None, said.read_text()
        yield Demo(json.loads(ready.read_text()), program.pid)
    finally:
        status = _stop(program)
    assert status == 0, said.read_text()
    assert "Traceback" not in said.read_text(), said.read_text()


def _stop(program: subprocess.Popen[bytes]) -> int:
    program.send_signal(signal.SIGINT)
    try:
        return program.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        program.kill()
        return program.wait(_STOP_WITHIN)


def _child(process: int, words: str) -> int:
    """Finds a program that a program has started, by words of its command line."""
    for threads in Path(f"/proc/{process}/task").glob("*/children"):
        for child in threads.read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            if words in command:
                return int(child)
    raise AssertionError(f"no {words} runs")
