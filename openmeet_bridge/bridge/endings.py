"""Endings: what must end at once when the directory was changed, in every process.

The process that makes a change ends its own streams when the change is committed, and tells the
others in the same transaction: an operator's command holds no stream, but the bridge does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec
import structlog

from ..core.errors import Unavailable
from ..core.ids import Mxid, RoomId
from ..storage import announcements, ghosts, rooms
from ..storage.database import Connection, Database

log = structlog.get_logger(__name__)

T = TypeVar("T")

_SIGNED_OUT_HOURS = 1.0
"""Who was signed out so long ago is looked for where an announcement may have been missed."""

_AT_ONCE = 20
"""So many names fit into one announcement, however long they are."""


class Ending(msgspec.Struct, omit_defaults=True):
    """What ends.

    Attributes:
        users: Ghosts whose streams all end.
        memberships: Ghosts with a room that their streams leave.
        messages: Accepted messages that are given up.
        origin: Which process says so.
        signed_out: Ghosts whose streams all end, to come back with another token.
    """

    users: list[Mxid] = []
    memberships: list[tuple[Mxid, RoomId]] = []
    messages: list[int] = []
    origin: str = ""
    signed_out: list[Mxid] = []


class Endings:
    """Ends what must end.

    Args:
        database: Where others are told.
        user_gone: Called with a ghost: its streams end.
        member_gone: Called with a ghost and a room: its streams leave the room.
        message_gone: Called with the id of a message that was given up.
        wake: Called when somebody else has changed the directory: there are jobs.
        streaming: Tells whose streams are open in this process.
        signed_out: Called with a ghost: its streams end, and may come back with another token.
    """

    def __init__(
        self,
        database: Database,
        user_gone: Callable[[Mxid], None],
        member_gone: Callable[[Mxid, RoomId], None],
        message_gone: Callable[[int], None] = lambda _: None,
        wake: Callable[[], None] = lambda: None,
        streaming: Callable[[], Iterable[Mxid]] = lambda: (),
        signed_out: Callable[[Mxid], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._user_gone = user_gone
        self._member_gone = member_gone
        self._message_gone = message_gone
        self._wake = wake
        self._streaming = streaming
        self._signed_out = signed_out
        self._origin = secrets.token_hex(8)

    async def announce(self, connection: Connection, ending: Ending) -> None:
        """Tell the other processes, once the transaction is committed."""
        parts = [msgspec.structs.replace(one, origin=self._origin) for one in _parts(ending)]
        payloads = [msgspec.json.encode(part).decode() for part in parts]
        await announcements.announce(connection, payloads)

    def carry_out(self, ending: Ending) -> None:
        """End it here."""
        for mxid in ending.users:
            self._user_gone(mxid)
        for mxid in ending.signed_out:
            self._signed_out(mxid)
        for message_id in ending.messages:
            self._message_gone(message_id)
        for mxid, room_id in ending.memberships:
            self._member_gone(mxid, room_id)

    def heard(self, payload: str) -> None:
        """End here what another process has announced."""
        try:
            ending = msgspec.json.decode(payload, type=Ending)
        except msgspec.DecodeError as error:
            log.warning("ending.unreadable", error=str(error))
            return
        if ending.origin != self._origin:
            self.carry_out(ending)
            self._wake()

    async def look(self) -> None:
        """End here what was announced while nobody listened: the tables still show it."""
        streaming = list(self._streaming())
        try:
            async with self._database.connection() as connection:
                users = await ghosts.without_account(connection, streaming)
                memberships = await rooms.barred(connection, streaming)
                signed_out = await ghosts.signed_out(connection, streaming, _SIGNED_OUT_HOURS)
        except Unavailable as error:
            log.warning("endings.not_looked_at", error=str(error))
            return
        self.carry_out(Ending(users=users, memberships=memberships, signed_out=signed_out))
        self._wake()


def _parts(ending: Ending) -> Iterator[Ending]:
    yield Ending()  # Also where nothing ends, there are jobs.
    for users in _slices(ending.users):
        yield Ending(users=users)
    for memberships in _slices(ending.memberships):
        yield Ending(memberships=memberships)
    for signed_out in _slices(ending.signed_out):
        yield Ending(signed_out=signed_out)
    for messages in _slices(ending.messages):
        yield Ending(messages=messages)


def _slices(items: Sequence[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), _AT_ONCE):
        yield list(items[start : start + _AT_ONCE])
