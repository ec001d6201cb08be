"""Streams as plain clients read them, made equal: what came, where it stands, what it says.

Written against the reference of streams and of the web app, and sharing no code with the bridge.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal, NamedTuple

import aiohttp

from ..stream.parsers import EventParser

WireName = Literal["sse", "ws", "socketio"]
WIRES: tuple[WireName, ...] = ("sse", "ws", "socketio")
SPACE = "/matrix,"
_FOREVER = aiohttp.ClientTimeout(total=None)


class Heard(NamedTuple):
    """A frame, whatever wire it came over.

    Attributes:
        type: As the reference of streams calls it; ``alive`` for what only says that.
        data: What it says.
        cursor: Its place in the log, where it has one.
    """

    type: str
    data: dict[str, Any]
    cursor: str | None


class StreamRefused(Exception):
    """The stream was not opened."""


async def sse(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], cursor: str | None
) -> AsyncIterator[Heard]:
    """Read server-sent events, as a browser's ``EventSource`` does."""
    more = {} if cursor is None else {"Last-Event-ID": cursor}
    async with session.get(
        f"{url}/api/v1/stream", headers={**headers, **more}, timeout=_FOREVER
    ) as answer:
        if answer.status != 200:
            raise StreamRefused(f"{answer.status} {await answer.text()}")
        parser = EventParser()
        async for piece in answer.content.iter_any():
            for event in parser.feed(piece):
                yield Heard(event.type, event.data, event.cursor)
            yield Heard("alive", {}, None)


async def websocket(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], cursor: str | None
) -> AsyncIterator[Heard]:
    """Read ``/api/v1/ws``."""
    params = {} if cursor is None else {"cursor": cursor}
    async with session.ws_connect(f"{url}/api/v1/ws", headers=headers, params=params) as socket:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise StreamRefused(f"not a text: {message.type}")
            frame = json.loads(message.data)
            yield Heard(frame["type"], frame["data"], frame.get("cursor"))


class SocketIo:
    """One connection to Socket.IO, over WebSocket, in the namespace of the web app.

    Engine.IO 4 and Socket.IO 5, as far as it is needed. Use it as an async context manager.

    Args:
        session: HTTP session.
        url: Where.
        auth: What is said at the beginning.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, auth: Mapping[str, str | None]
    ) -> None:
        self._session = session
        self._url = url
        self._auth = {key: value for key, value in auth.items() if value is not None}
        self._stack = AsyncExitStack()
        self._socket: aiohttp.ClientWebSocketResponse
        self._asked = 0

    async def __aenter__(self) -> SocketIo:
        where = f"{self._url}/socket.io/?EIO=4&transport=websocket"
        self._socket = await self._stack.enter_async_context(self._session.ws_connect(where))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def ask(self, name: str, payload: Mapping[str, Any]) -> int:
        """Send an event; return the number of its answer."""
        self._asked += 1
        event = json.dumps([name, payload])
        await self._socket.send_str(f"42{SPACE}{self._asked}{event}")
        return self._asked

    async def packets(self) -> AsyncIterator[tuple[str, Any]]:
        """Return what comes: ``("event", [name, data])``, ``("answer", [number, data])``, …"""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise StreamRefused(f"not a text: {message.type}")
            text: str = message.data
            if text.startswith("0"):
                await self._socket.send_str(f"40{SPACE}{json.dumps(self._auth)}")
            elif text == "2":
                await self._socket.send_str("3")
                yield "alive", None
            elif text.startswith(f"40{SPACE}"):
                yield "open", None
            elif text.startswith(f"42{SPACE}"):
                yield "event", json.loads(text.removeprefix(f"42{SPACE}"))
            elif text.startswith(f"43{SPACE}"):
                number, bracket, rest = text.removeprefix(f"43{SPACE}").partition("[")
                yield "answer", [int(number), json.loads(bracket + rest)[0]]
            else:
                raise StreamRefused(text)


async def socketio(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], cursor: str | None
) -> AsyncIterator[Heard]:
    """Read what the web app reads, said in the words of the other wires."""
    token = headers["Authorization"].removeprefix("Bearer ")
    auth = {"token": token, "tenantId": headers["X-Tenant-Id"], "cursor": cursor}
    async with SocketIo(session, url, auth) as socket:
        async for kind, value in socket.packets():
            if kind != "event":
                yield Heard("alive", {}, None)
            elif value[0] == "matrix-event":
                yield _translated(value[1])


def _translated(event: dict[str, Any]) -> Heard:
    cursor = event.get("_cursor")
    match event["type"]:
        case "connection_confirmed":
            return Heard("hello", event, cursor)
        case "m.room.message":
            return Heard("timeline", _message(event), cursor)
        case "m.room.message.changed":
            return Heard("timeline.changed", _message(event), cursor)
        case "m.room.redaction":
            data = {"room_id": event["room_id"], "event_id": event["redacts"], "deletion": {}}
            return Heard("timeline.changed", {**data, "text": ""}, cursor)
        case "m.room.member" if "event_id" in event:
            return Heard("timeline", {**event, "kind": "member"}, cursor)
        case "m.room.member":
            return Heard("room.removed", event, cursor)
        case other:
            return Heard(str(other).removeprefix("m."), event, cursor)


def _message(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "room_id": event["room_id"],
        "event_id": event["event_id"],
        "kind": "text",
        "text": event["content"]["body"],
    }


OPEN = {"sse": sse, "ws": websocket, "socketio": socketio}
