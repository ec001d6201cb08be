"""Plain HTTP/1.1 over a socket: the client must cost next to nothing beside what it measures."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from openmeet_bridge.config import Address

_READ = 1 << 16


def connect(address: Address) -> socket.socket:
    """Return a connected socket that sends at once what it is given."""
    opened = socket.create_connection((address.host, address.port), timeout=30)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def request(method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
    """Return a request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bridge"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


class Answer:
    """An answer that arrives in pieces, with a Content-Length or in chunks (RFC 9112, 6)."""

    def __init__(self) -> None:
        self._got = b""

    def feed(self, data: bytes) -> bool:
        """Take a piece; return whether the answer is whole.

        Raises:
            ConnectionError: The server hung up before the end.
        """
        if not data:
            raise ConnectionError(f"the server hung up after {self._got[:200]!r}")
        self._got += data
        head, blank, body = self._got.partition(b"\r\n\r\n")
        if not blank:
            return False
        _, named, rest = head.lower().partition(b"content-length:")
        if named:
            return len(body) >= int(rest.partition(b"\r\n")[0])
        return body.endswith(b"0\r\n\r\n")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self._got[9:12])

    @property
    def body(self) -> bytes:
        """The body as it came, chunks and all."""
        return self._got.partition(b"\r\n\r\n")[2]


class Connection:
    """One connection that is kept open, with one request at a time, as Synapse pushes.

    Args:
        address: Where to connect to.
    """

    def __init__(self, address: Address) -> None:
        self._socket = connect(address)

    def ask(self, sent: bytes) -> bytes:
        """Send a request and return the body of its answer.

        Raises:
            RuntimeError: The answer is not a success.
        """
        self._socket.sendall(sent)
        answer = Answer()
        while not answer.feed(self._socket.recv(_READ)):
            pass
        if answer.status >= 300:
            raise RuntimeError(f"{sent[:80]!r}: {answer.status} {answer.body!r}")
        return answer.body

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
