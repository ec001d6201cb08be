"""What is to be known of a request for a stream, whoever has read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from multidict import MultiMapping

from ..stream.sockets import Socket


class Asking(Protocol):
    """A request, as far as streams are concerned; every request of aiohttp's is one."""

    @property
    def method(self) -> str:
        """Return its method."""

    @property
    def path(self) -> str:
        """Return its path, decoded and without the query."""

    @property
    def host(self) -> str:
        """Return the host that it names."""

    @property
    def remote(self) -> str | None:
        """Return the address from which it comes: often a proxy's."""

    @property
    def headers(self) -> MultiMapping[str]:
        """Return its fields; their names are in any case."""

    @property
    def query(self) -> MultiMapping[str]:
        """Return the parameters of its address."""

    @property
    def cookies(self) -> Mapping[str, str]:
        """Return its cookies."""


class Opener(Protocol):
    """Opens what begins as a request for a stream, and has a handshake of its own."""

    def lets_in(self, asking: Asking) -> bool:
        """Whether a request asks for it in the usual way; else the HTTP server answers."""

    async def open(self, visit: Visit) -> None:
        """Open it.

        Raises:
            ConnectionError: The client has gone.
        """


class Visit(Protocol):
    """A request for a stream, with the connection on which it has come."""

    @property
    def asking(self) -> Asking:
        """Return the request."""

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> Socket:
        """Answer with the head of a response, and take the connection for what follows.

        The body has no length: it ends with the connection (RFC 9112, section 6.3), so that the
        same bytes serve every version of HTTP.

        Args:
            status: Of the response.
            headers: Its fields; those that every response has are added.
            body: The beginning of its body.

        Raises:
            ConnectionResetError: The client has gone, or does not read.
        """
        ...
