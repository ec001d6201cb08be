"""Where a listener listens."""

from __future__ import annotations

import re
from typing import Final

_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:]+)):(?P<port>\d+)")
_LAST_PORT: Final = 65535


class Address:
    """A host and a port, written ``host:port`` or ``[::1]:port``.

    Attributes:
        host: Name or address, without brackets.
        port: 0 to 65535; 0 lets the system choose a free one.
    """

    __slots__ = ("host", "port")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads ``host:port``.

        Raises:
            ValueError: When the text has another shape.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match["port"]) > _LAST_PORT:
            raise ValueError(f"expected host:port, for example 127.0.0.1:8480, not {text!r}")
        return cls(match["six"] or match["host"], int(match["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Address({self.host!r}, {self.port})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and (self.host, self.port) == (other.host, other.port)

    def __hash__(self) -> int:
        return hash((self.host, self.port))
