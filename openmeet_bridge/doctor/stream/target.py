"""What is examined: an address, and how one comes there."""

from __future__ import annotations

import functools
import socket
import ssl
from dataclasses import dataclass, field

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from .patience import Patience

STREAM = "/api/v1/stream"
SOCKET = "/api/v1/ws"
WEB_APP_EVENTS = "/api/matrix/events"
SOCKET_IO = "/socket.io/"


@dataclass(frozen=True)
class Target:
    """A deployment.

    Attributes:
        base: Its public address; a path in it goes before every path of the bridge.
        patience: How long is waited for it.
        trust: Whom to believe that they are they; None: as usual.
        connect_to: Host and port to go to in place of those of the address.
    """

    base: URL
    patience: Patience = field(default_factory=Patience)
    trust: ssl.SSLContext | None = None
    connect_to: tuple[str, int] | None = None

    def url(self, path: str) -> URL:
        """Return the address of a path of the bridge."""
        return URL(str(self.base).rstrip("/") + path, encoded=True)

    @property
    def door(self) -> tuple[str, int]:
        """Host and port to which one connects."""
        return self.connect_to or (self.base.host or "", self.base.port or 80)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """How TLS is spoken; None for plain HTTP."""
        if self.base.scheme != "https":
            return None
        return self.trust or _as_usual()

    def connector(self) -> aiohttp.TCPConnector:
        """Return what makes connections: a new one for each request, as many as are wanted."""
        return aiohttp.TCPConnector(
            resolver=_Elsewhere(*self.connect_to) if self.connect_to else None,
            ssl=self.tls or True,
            force_close=True,
            limit=0,
        )


@functools.cache
def _as_usual() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Elsewhere(AbstractResolver):
    """Every name is at one place."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await self._inner.resolve(self._host, self._port, family)

    async def close(self) -> None:
        await self._inner.close()


@dataclass(frozen=True)
class Caller:
    """As whom one asks.

    Attributes:
        token: OpenMeet's access token; empty: as nobody.
        tenant: The tenant to name, where the token names none.
    """

    token: str = field(default="", repr=False)
    tenant: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        named = {"X-Tenant-Id": self.tenant} if self.tenant else {}
        return {**named, **({"Authorization": f"Bearer {self.token}"} if self.token else {})}


NOBODY = Caller()
