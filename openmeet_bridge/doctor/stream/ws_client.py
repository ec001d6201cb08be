"""WebSocket: the bridge's own frames, and the rules of the protocol (RFC 6455)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import WSMsgType, hdrs
from aiohttp.client import ClientWSTimeout

from .client import Client, patiently
from .reading import Reading, reading
from .target import SOCKET
from .trouble import NETWORK, Broken, Refused, from_network, wait_of

WS: Final = "ws"

ABNORMAL: Final = 1006
"""Close code of a connection that ended without a word (RFC 6455, 7.4.1)."""

_LARGEST = 1 << 22


@dataclass
class Socket(Reading):
    """An open WebSocket.

    Attributes:
        connection: The connection.
        pongs: The payloads of the pongs that have come.
        close_code: With which code the other side has closed.
    """

    connection: aiohttp.ClientWebSocketResponse = field(kw_only=True)
    pongs: list[bytes] = field(default_factory=list)
    close_code: int | None = None

    async def ping(self, payload: bytes, seconds: float) -> bool:
        """Send a ping; return whether its pong came in time."""
        await sent(self.connection.ping(payload))
        found = await self.until(lambda: True if payload in self.pongs else None, seconds)
        return bool(found)

    async def say(self, text: str) -> None:
        """Send a text."""
        await sent(self.connection.send_str(text))


@asynccontextmanager
async def websocket(
    client: Client, *, params: Mapping[str, str] = {}, headers: Mapping[str, str] = {}
) -> AsyncIterator[Socket]:
    """Open the bridge's own WebSocket and read it for the length of the block.

    Raises:
        Refused: The upgrade did not come through.
        Trouble: There is no answer.
    """
    async with connected(client, SOCKET, params=params, headers=headers) as connection:
        record = Socket(WS, connection=connection)
        async with reading(record, lambda: _read(record)):
            yield record


@asynccontextmanager
async def connected(
    client: Client, path: str, *, params: Mapping[str, str] = {}, headers: Mapping[str, str] = {}
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Have a WebSocket for the length of the block.

    Raises:
        Refused: The upgrade did not come through.
        Trouble: There is no answer.
    """
    own = {**client.caller.headers, **headers}
    connection = await patiently(lambda: _upgraded(client, path, params, own))
    try:
        yield connection
    finally:
        await connection.close()


async def _upgraded(
    client: Client, path: str, params: Mapping[str, str], headers: Mapping[str, str]
) -> aiohttp.ClientWebSocketResponse:
    address = client.target.url(path).update_query(dict(params))
    # A client that closes waits no longer than that for the answer to it.
    patience = ClientWSTimeout(ws_close=client.patience.quiet)
    try:
        async with asyncio.timeout(client.patience.answer):
            return await client.session.ws_connect(
                address,
                headers=headers,
                autoping=False,
                autoclose=False,
                timeout=patience,
                max_msg_size=_LARGEST,
            )
    except aiohttp.WSServerHandshakeError as error:
        if wait_of(error.status, error.headers or {}) is not None:
            raise Refused(error.status, error.headers or {}, b"") from error
        raise await _why(client, error, path, params, headers) from error
    except NETWORK as error:
        raise from_network(error) from error


async def _why(
    client: Client,
    error: aiohttp.WSServerHandshakeError,
    path: str,
    params: Mapping[str, str],
    headers: Mapping[str, str],
) -> Refused | Broken:
    """Return what stands in the way; the library keeps no body, so it is asked for again."""
    if error.status == 101:
        return Broken(f"HTTP 101, but not as RFC 6455 wants it: {error.message}")
    upgrade: dict[str, str] = {
        hdrs.UPGRADE: "websocket",
        hdrs.CONNECTION: "Upgrade",
        hdrs.SEC_WEBSOCKET_VERSION: "13",
        hdrs.SEC_WEBSOCKET_KEY: "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    own = {**headers, **upgrade}
    async with client.opened("GET", path, headers=own, params=dict(params)) as answer:
        if answer.status != error.status:
            return Refused(error.status, error.headers or {}, b"")
        return Refused(answer.status, answer.headers, await client.body_of(answer))


async def sent(sending: Awaitable[Any]) -> None:
    """Wait until something is sent.

    Raises:
        Broken: The connection has ended.
    """
    try:
        await sending
    except NETWORK as error:
        raise Broken("the connection has ended") from error


async def listen(
    connection: aiohttp.ClientWebSocketResponse,
    record: Reading,
    hear: Callable[[str], Awaitable[None]],
    pongs: list[bytes] | None = None,
) -> int:
    """Read a WebSocket to its end.

    Args:
        connection: The WebSocket.
        record: Takes what comes.
        hear: Called with each text.
        pongs: Takes the payloads of pongs.

    Returns:
        The close code.
    """
    while True:
        message = await connection.receive()
        record.next_piece()
        if message.type is WSMsgType.TEXT:
            await hear(message.data)
        elif message.type is WSMsgType.PING:
            await sent(connection.pong(message.data))
        elif message.type is WSMsgType.PONG:
            if pongs is not None:
                pongs.append(bytes(message.data))
                record.touch()
        elif message.type is WSMsgType.CLOSE:
            return int(message.data or ABNORMAL)
        elif message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
            return ABNORMAL
        else:
            record.flaws.append("a message that is no text")


def ending(code: int) -> str:
    """Return how a WebSocket ended, in words."""
    return "the connection broke" if code == ABNORMAL else f"closed with code {code}"


async def _read(record: Socket) -> str:
    async def hear(text: str) -> None:
        try:
            frame = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeEncodeError):
            record.flaws.append("a message that is no JSON object")
            return
        record.add(str(frame.get("type")), frame.get("data"), frame.get("cursor"))

    record.close_code = await listen(record.connection, record, hear, record.pongs)
    return ending(record.close_code)
