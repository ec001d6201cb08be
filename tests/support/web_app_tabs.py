"""Tabs of OpenMeet's web app, in Node: its real axios and socket.io-client, steered from here."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from .waiting import eventually

PACKAGES = Path(sys.prefix) / "web"
NODE = Path(sys.prefix) / "bin" / "node"
RUNNER = Path(__file__).parents[1] / "web_app" / "run.mjs"

_LINE_BYTES = 1 << 24
_PATIENCE = 40.0

Json = dict[str, Any]


class Refused(AssertionError):
    """A command failed in the tab.

    Attributes:
        status: Of the HTTP answer that was the reason; None where there was none.
        body: Of that answer.
    """

    def __init__(self, text: str, status: int | None, body: Any) -> None:
        super().__init__(text)
        self.status = status
        self.body = body


class View:
    """What a tab showed and noted at one moment.

    Attributes:
        all: Everything, by the names that ``app.mjs`` gives it in ``look``.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.all = found

    def __getitem__(self, name: str) -> Any:
        return self.all[name]

    @property
    def bodies(self) -> list[str]:
        """The texts that are shown, in their order."""
        return [message["content"]["body"] for message in self.all["shown"]]

    def ids(self, body: str) -> list[str]:
        """The ids under which a text is shown."""
        return [
            message.get("event_id") or message["eventId"]
            for message in self.all["shown"]
            if message["content"]["body"] == body
        ]

    def live(self, body: str | None = None) -> list[Json]:
        """The messages that came as ``matrix-event``, or those with a text."""
        return [
            event
            for event in self.events("m.room.message")
            if body is None or event["content"]["body"] == body
        ]

    def events(self, kind: str) -> list[Json]:
        """What came as ``matrix-event`` with a type."""
        return [event for event in self.all["log"] if "name" not in event and event["type"] == kind]

    def named(self, name: str) -> list[Json]:
        """What came under another name."""
        return [event for event in self.all["log"] if event.get("name") == name]

    @property
    def calls(self) -> list[tuple[str, str, int]]:
        """What it asked over HTTP: method, path and status."""
        return [(one["method"], one["path"], one["status"]) for one in self.all["calls"]]

    @property
    def drops(self) -> set[int]:
        """By which of its rules the app left live messages out."""
        return {one["rule"] for one in self.all["dropped"]}


class Tab:
    """One tab. Make one with :meth:`Tabs.open`."""

    def __init__(self, tabs: Tabs, name: str) -> None:
        self._tabs = tabs
        self._name = name

    async def do(self, what: str, *arguments: Any, patience: float = _PATIENCE) -> Any:
        """Let it do something (a method of ``Tab`` in ``app.mjs``); returns what comes of it.

        Raises:
            Refused: It failed.
        """
        try:
            return await self._tabs.command(self._name, what, arguments, patience)
        except TimeoutError:
            seen = _short(View(await self._tabs.command(self._name, "look", (), _PATIENCE)))
            raise AssertionError(f"{what}: not within {patience:.0f} s; {seen}") from None

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the backend something by axios, with the app's interceptors; status and body."""
        answer = await self.do("call", method, path, body)
        return answer["status"], answer["data"]

    async def ask(self, event: str, payload: Any) -> Any:
        """Emit, and return the ack; None where none came in five seconds."""
        return await self.do("ask", event, payload)

    async def look(self) -> View:
        """What it shows now."""
        return View(await self.do("look"))

    async def until(self, holds: Callable[[View], bool], what: str) -> View:
        """Look until something holds; returns what was seen then."""

        async def seen() -> View:
            view = await self.look()
            assert holds(view), _short(view)
            return view

        return await eventually(seen, what, seconds=_PATIENCE)

    async def shows(self, body: str, count: int = 1) -> View:
        """Wait until a text is shown."""
        return await self.until(lambda view: len(view.ids(body)) == count, f"{body!r} is shown")

    async def close(self) -> None:
        """Close it."""
        await self.do("close")


class Tabs:
    """All tabs. Make them with :func:`web_app`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}

    async def open(self, login: Json, **options: Any) -> Tab:
        """Open one, with nothing on it yet.

        Args:
            login: ``url``, ``tenant``, ``token``, ``refreshToken`` and ``user``.
            options: Of ``Service`` in ``service.mjs``.
        """
        tab = Tab(self, f"tab-{next(self._numbers)}")
        await tab.do("open", {"login": login, "options": options})
        return tab

    async def handshake(self, url: str, options: Json) -> Json:
        """Try to connect a bare socket once; ``{"connected": …}`` or ``{"error": …}``."""
        found: Json = await self.command("", "handshake", (url, options), _PATIENCE)
        return found

    async def command(
        self, tab: str, what: str, arguments: tuple[Any, ...], patience: float
    ) -> Any:
        """Hand over a command and wait for its answer.

        Raises:
            Refused: It failed.
            TimeoutError: There is none in time.
        """
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "tab": tab, "do": what, "with": arguments}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        try:
            async with asyncio.timeout(patience):
                answer = await self._waiting[number]
        finally:
            del self._waiting[number]
        if "error" in answer:
            raise Refused(answer["error"], answer["status"], answer["body"])
        return answer["value"]

    async def listen(self) -> None:
        """Take answers until there are no more."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            waiting = self._waiting.get(answer["id"])
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)
        for waiting in self._open():
            waiting.set_exception(AssertionError("Node has ended; it says why on its stderr"))

    def _open(self) -> Iterator[asyncio.Future[Json]]:
        return (one for one in self._waiting.values() if not one.done())


def _short(view: View) -> str:
    names = ("connected", "errors", "closes", "calls", "dropped", "typing", "acks")
    seen = {name: view[name][-6:] if isinstance(view[name], list) else view[name] for name in names}
    return f"{view.bodies[-12:]} {seen}"


@asynccontextmanager
async def web_app() -> AsyncIterator[Tabs]:
    """Run Node for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(RUNNER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"WEB_PACKAGES": str(PACKAGES)},
        limit=_LINE_BYTES,
    )
    tabs = Tabs(process)
    listening = asyncio.create_task(tabs.listen())
    try:
        yield tabs
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await listening
