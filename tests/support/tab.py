"""A tab of OpenMeet's web app, as far as Socket.IO goes: what it asks for, and all that it gets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import socketio

SPACE = "/matrix"
SECONDS = 60.0
Json = dict[str, Any]


class Tab:
    """A client of python-socketio.

    Args:
        auth: What it says at the beginning.

    Attributes:
        got: All events, by name.
        refusal: With what it was refused.
        ended: Whether it was, and the server has ended it.
    """

    def __init__(self, auth: Mapping[str, str] | None) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.got: list[tuple[str, Json]] = []
        self.refusal: str | None = None
        self.ended = asyncio.Event()
        self._auth = auth
        self._news = asyncio.Event()
        self.client.on("*", self._heard, namespace=SPACE)
        self.client.on("disconnect", self._ended, namespace=SPACE)
        self.client.on("connect_error", self._refused, namespace=SPACE)

    async def _heard(self, name: str, data: Json) -> None:
        self.got.append((name, data))
        self._news.set()

    async def _ended(self, reason: str) -> None:
        self.ended.set()

    async def _refused(self, data: Json) -> None:
        assert set(data) == {"message"}
        self.refusal = data["message"]

    async def open(self, url: str, transports: Sequence[str], headers: Mapping[str, str]) -> None:
        """Connects, and waits until it is confirmed or refused."""
        with contextlib.suppress(socketio.exceptions.ConnectionError):
            await self.client.connect(
                url,
                headers=dict(headers),
                namespaces=[SPACE],
                transports=list(transports),
                auth=self._auth,
                wait_timeout=SECONDS,
            )
            await self.until(lambda: bool(self.got))

    async def call(self, name: str, payload: object = None) -> Json:
        """Sends an event; returns the one object with which it is answered."""
        answer: Json = await self.client.call(name, payload, namespace=SPACE, timeout=SECONDS)
        return answer

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds of what it got."""
        async with asyncio.timeout(SECONDS):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def message(self, event_id: str) -> Json:
        """Waits for both forms of a message; returns the first."""
        await self.until(lambda: event_id in self.ids("matrix-message"))
        return next(data for _, data in self.got if data.get("event_id") == event_id)

    def of(self, kind: str) -> list[Json]:
        """What came by ``matrix-event`` of a type."""
        return [data for name, data in self.got if name == "matrix-event" and data["type"] == kind]

    def types(self) -> list[str]:
        """The types of what came by ``matrix-event``."""
        return [data["type"] for name, data in self.got if name == "matrix-event"]

    def ids(self, name: str = "matrix-event") -> list[str]:
        """The ids of the events that came by the one name or the other."""
        found = [
            data.get("event_id") or data.get("eventId") for one, data in self.got if one == name
        ]
        return [one for one in found if one]


@contextlib.asynccontextmanager
async def tab_at(
    url: str,
    auth: Mapping[str, str] | None,
    transports: Sequence[str] = ("websocket",),
    headers: Mapping[str, str] = {},
) -> AsyncIterator[Tab]:
    """Opens a tab for the length of the block."""
    tab = Tab(auth)
    await tab.open(url, transports, headers)
    try:
        yield tab
    finally:
        await tab.client.disconnect()
