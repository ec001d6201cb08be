"""The sockets of streams: all bytes in order, whatever the reader does, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from openmeet_bridge.stream.sockets import Socket, Sockets


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.gone = 0

    def heard(self, data: bytes) -> None:
        self.data += data

    def hung_up(self) -> None:
        self.gone += 1


class House:
    """One connection: the socket of a stream, and its client."""

    def __init__(self) -> None:
        self.sockets = Sockets()
        self.owner = Owner()
        self.client = socket.socket()

    async def connect(self) -> Socket:
        taken: asyncio.Future[asyncio.BaseTransport] = asyncio.get_running_loop().create_future()

        class Accepted(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                taken.set_result(transport)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(Accepted, "127.0.0.1", 0)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.client.setblocking(False)
        await loop.sock_connect(self.client, server.sockets[0].getsockname())
        one = self.sockets.take(await taken, self.owner)
        server.close()
        await server.wait_closed()
        return one

    async def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            some = await asyncio.get_running_loop().sock_recv(self.client, size - len(data))
            if not some:
                break
            data += some
        return data

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110  (a socket tells nobody but its owner)
                await asyncio.sleep(0.002)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    one = House()
    yield one
    one.sockets.close()
    one.client.close()


async def test_what_does_not_fit_waits_and_comes_in_order(house: House) -> None:
    one = await house.connect()
    dice = random.Random(5)
    pieces = [bytes([n % 256]) * dice.randrange(1, 60_000) for n in range(200)]
    for piece in pieces:
        one.write(piece)
    assert one.buffered() > 0
    assert (one.fd, one.behind_since > 0, house.sockets.behind) == (-1, True, {one})
    draining = asyncio.create_task(one.drain())
    expected = b"".join(pieces)
    assert await house.read(len(expected)) == expected
    await draining
    await house.until(lambda: one.fd >= 0)
    assert (one.buffered(), one.behind_since, house.sockets.behind) == (0, 0.0, set())
    one.write(b"more")
    assert await house.read(4) == b"more"


async def test_the_end_comes_after_all_that_waits(house: House) -> None:
    one = await house.connect()
    one.write(b"x" * 3_000_000)
    one.end(60)
    one.write(b"too late")
    one.end(60)
    assert len(await house.read(3_000_001)) == 3_000_000
    house.client.close()
    await house.until(lambda: one.closed)
    assert (house.owner.gone, len(house.sockets)) == (0, 0)


async def test_what_a_client_says_before_the_end_does_not_take_the_end_from_it(
    house: House,
) -> None:
    one = await house.connect()
    await asyncio.get_running_loop().sock_sendall(house.client, b"nobody reads this")
    one.write(b"bye")
    one.end(60)
    await asyncio.sleep(0.01)
    assert await house.read(4) == b"bye"


async def test_who_does_not_read_is_let_go_after_a_while(house: House) -> None:
    one = await house.connect()
    one.write(b"x" * 10_000_000)
    draining = asyncio.create_task(one.drain())
    await asyncio.sleep(0)
    one.end(0.01)
    await house.until(lambda: one.closed)
    with pytest.raises(ConnectionResetError):
        await draining
    assert (one.buffered(), house.sockets.behind, len(house.sockets)) == (0, set(), 0)


@pytest.mark.parametrize("hard", [False, True], ids=["closed", "reset"])
async def test_the_owner_is_told_once_of_a_client_that_goes(house: House, hard: bool) -> None:
    one = await house.connect()
    if hard:
        house.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    house.client.close()
    await house.until(lambda: house.owner.gone > 0)
    one.write(b"nothing")
    one.fail()
    one.abort()
    assert (house.owner.gone, one.closed, one.fd) == (1, True, -1)


async def test_a_client_is_heard_unless_it_is_hushed(house: House) -> None:
    one = await house.connect()
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(house.client, b"one")
    await house.until(lambda: house.owner.data == b"one")
    one.hush(True)
    await loop.sock_sendall(house.client, b"two")
    await asyncio.sleep(0.02)
    assert house.owner.data == b"one"
    one.hush(False)
    await house.until(lambda: house.owner.data == b"onetwo")


async def test_nothing_is_left_when_all_is_over(house: House) -> None:
    one = await house.connect()
    fds = len(os.listdir("/proc/self/fd"))
    settling = asyncio.create_task(house.sockets.settle(60))
    await asyncio.sleep(0)
    one.end(60)
    house.client.close()
    await settling
    assert one.closed
    assert len(os.listdir("/proc/self/fd")) < fds
    with contextlib.suppress(ValueError):
        house.sockets = Sockets()


async def test_a_client_that_has_gone_before_cannot_be_taken(house: House) -> None:
    class Gone(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> None:
            return None

    with pytest.raises(ConnectionResetError):
        house.sockets.take(Gone())
