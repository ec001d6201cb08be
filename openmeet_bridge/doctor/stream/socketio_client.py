"""Socket.IO as OpenMeet's web app speaks it: Engine.IO 4 below, the namespace ``/matrix`` above."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from .client import Client
from .reading import Reading, reading
from .target import SOCKET_IO
from .trouble import Broken, Refused, Silent
from .ws_client import connected, ending, listen, sent

T = TypeVar("T")

SOCKETIO: Final = "socketio"

_NAMESPACE = "/matrix"
_SEPARATOR = "\x1e"
_POLLS = 10
_COMES = 3
_QUERY = {"EIO": "4"}


class Greeting(msgspec.Struct, rename="camel"):
    """What Engine.IO says first; times in milliseconds."""

    sid: str
    upgrades: list[str]
    ping_interval: int
    ping_timeout: int


@dataclass
class Namespace(Reading):
    """A client of Socket.IO, however it is connected.

    Attributes:
        refusal: Why the namespace did not let it in.
        answers: To its events, by their number.
    """

    refusal: str | None = None
    answers: dict[int, Any] = field(default_factory=dict)

    @property
    def dropped(self) -> bool:
        """Whether it was sent away without a word: where there is no room, it is to come back."""
        return self.ended is not None and self.hello is None and self.refusal is None

    def settled(self) -> bool | None:
        """Return whether it is known what became of it; None while it is not."""
        return self.hello is not None or self.refusal is not None or None

    def take(self, packet: str) -> None:
        """Take a packet of Socket.IO."""
        kind, body = packet[:1], packet[1:].removeprefix(f"{_NAMESPACE},")
        digits = len(body) - len(body.lstrip("0123456789"))
        value = _decoded(body[digits:])
        if kind == "4":
            said = value.get("message") if isinstance(value, dict) else None
            self.refusal = str(said or "without a reason")
            self.touch()
        elif kind == "3" and digits:
            self.answers[int(body[:digits])] = value
            self.touch()
        elif kind == "2" and isinstance(value, list) and value[:1] == ["matrix-event"]:
            event = value[1] if len(value) > 1 and isinstance(value[1], dict) else {}
            self.add(str(event.get("type")), event, event.get("_cursor"))


@dataclass
class Live(Namespace):
    """A client of Socket.IO on WebSocket.

    Attributes:
        connection: Its WebSocket.
    """

    connection: aiohttp.ClientWebSocketResponse = field(kw_only=True)

    async def hear(self, packet: str) -> None:
        """Take a packet of Engine.IO.

        Raises:
            Broken: The connection has ended.
        """
        if packet == "2":
            self.add("ping", {})
            await sent(self.connection.send_str("3"))
        elif packet.startswith("4"):
            self.take(packet[1:])

    async def ask(self, number: int, name: str, payload: Mapping[str, Any], seconds: float) -> Any:
        """Send an event; return the answer to it, None where none came in time."""
        event = msgspec.json.encode([name, payload]).decode()
        await sent(self.connection.send_str(f"42{_NAMESPACE},{number}{event}"))
        answer = await self.until(lambda: self.answers.get(number), seconds)
        return answer[0] if isinstance(answer, list) and answer else None


def join(client: Client) -> str:
    """Return the packet with which a client comes into the namespace."""
    named = {"tenantId": client.caller.tenant} if client.caller.tenant else {}
    own = msgspec.json.encode({"token": client.caller.token, **named}).decode()
    return f"40{_NAMESPACE},{own}"


@asynccontextmanager
async def socketio(client: Client) -> AsyncIterator[Live]:
    """Come in on WebSocket from the first byte on, and read for the length of the block.

    Raises:
        Refused: The upgrade did not come through.
        Trouble: There is no answer, or not the right one.
    """
    for _ in range(_COMES - 1):
        async with _once(client) as live:
            await live.until(live.settled, client.patience.first)
            if not live.dropped:
                yield live
                return
        await asyncio.sleep(client.patience.dropped)
    async with _once(client) as live:
        yield live


@asynccontextmanager
async def _once(client: Client) -> AsyncIterator[Live]:
    params = {**_QUERY, "transport": "websocket"}
    async with connected(client, SOCKET_IO, params=params) as connection:
        live = Live(SOCKETIO, connection=connection)
        greeting = greeted(await _text(client, connection))
        live.promised = greeting.ping_interval / 1000
        await sent(connection.send_str(join(client)))
        async with _listening(live):
            yield live


@asynccontextmanager
async def upgraded(client: Client, polling: Polling) -> AsyncIterator[Live]:
    """Move a client that polls to WebSocket, and read for the length of the block.

    Raises:
        Refused: The upgrade did not come through.
        Trouble: There is no answer, or not the right one.
    """
    params = {**_QUERY, "transport": "websocket", "sid": polling.greeting.sid}
    async with connected(client, SOCKET_IO, params=params) as connection:
        live = Live(SOCKETIO, connection=connection)
        await sent(connection.send_str("2probe"))
        if (said := await _text(client, connection)) != "3probe":
            raise Broken(f"the probe was answered with {said[:40]!r}")
        await sent(connection.send_str("5"))
        async with _listening(live):
            yield live


@asynccontextmanager
async def _listening(live: Live) -> AsyncIterator[None]:
    async def work() -> str:
        return ending(await listen(live.connection, live, live.hear))

    async with reading(live, work):
        yield


async def _text(client: Client, connection: aiohttp.ClientWebSocketResponse) -> str:
    try:
        return await connection.receive_str(timeout=client.patience.first)
    except (TypeError, aiohttp.ClientError) as error:
        raise Broken("the connection ended before a first packet") from error
    except TimeoutError:
        raise Silent("no first packet came in time") from None


def greeted(packet: str) -> Greeting:
    """Return what Engine.IO's first packet says.

    Raises:
        Broken: It is another.
    """
    try:
        if packet.startswith("0"):
            return msgspec.json.decode(packet[1:], type=Greeting)
    except (msgspec.DecodeError, UnicodeEncodeError):
        pass
    raise Broken(f"what answers is not Socket.IO: {packet[:40]!r}")


class Polling:
    """A client of Socket.IO that polls. Each of its requests is a connection of its own.

    Args:
        client: Asks.
        greeting: What the server has said first.
        record: Takes what comes.
    """

    def __init__(self, client: Client, greeting: Greeting, record: Namespace) -> None:
        self.greeting = greeting
        self.record = record
        self._client = client

    async def send(self, packet: str) -> None:
        """Send a packet.

        Raises:
            Refused: The server does not take it.
        """
        answer = await self._client.ask(
            "POST",
            SOCKET_IO,
            params=self._place,
            data=packet.encode(),
            headers={"Content-Type": "text/plain;charset=UTF-8"},
        )
        if answer.status != 200:
            raise Refused(answer.status, answer.headers, answer.body)

    async def until(self, found: Callable[[], T | None]) -> T | None:
        """Poll until something is found in what has come; None where it does not come."""
        for _ in range(_POLLS):
            if (here := found()) is not None:
                return here
            for packet in await poll(self._client, self._place):
                if packet.startswith("4"):
                    self.record.take(packet[1:])
                elif packet == "1":
                    self.record.end("dropped")
                    return found()
        return found()

    @property
    def _place(self) -> dict[str, str]:
        return {**_QUERY, "transport": "polling", "sid": self.greeting.sid}


async def poll(client: Client, params: Mapping[str, str]) -> list[str]:
    """Ask for packets, and return them.

    Raises:
        Refused: The server does not know the client, or does not let it poll.
        Trouble: There is no answer.
    """
    answer = await client.ask("GET", SOCKET_IO, params=dict(params))
    if answer.status != 200:
        raise Refused(answer.status, answer.headers, answer.body)
    return answer.body.decode("utf-8", "replace").split(_SEPARATOR)


FIRST: Final = {**_QUERY, "transport": "polling"}
"""The query of a client that begins to poll."""


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
