"""The doorman: whom python-socketio lets in has a number, and that is all that it notes."""

from __future__ import annotations

from typing import Any

import socketio


class Doorman(socketio.AsyncManager):  # type: ignore[misc]  # (it has no types)
    """Stands for python-socketio's list of clients while one of them is let in.

    python-socketio would keep a room for each, to which nothing is ever sent here, and look through
    all rooms when one goes: two thirds of a kibibyte each, and of ten thousand who go at once the
    loop would have a quarter of a minute. Who is here knows `SocketIo`, which asks nobody in who is
    here, or on the way, already.
    """

    async def pre_connect(self, eio_sid: str, namespace: str) -> str:
        """Return the number that a client gets: its own, for the namespace."""
        number: str = self.server.eio.generate_id()
        return number

    async def connect(self, sid: str, namespace: str) -> str:
        """Note that a client is in."""
        return sid

    async def disconnect(self, sid: str, namespace: str, **_: Any) -> None:
        """Note that a client is not let in."""
