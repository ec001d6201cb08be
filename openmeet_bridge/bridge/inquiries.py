"""Inquiries: what the homeserver asks, and how it reaches us."""

from __future__ import annotations

from collections import deque

import msgspec

from ..core.errors import NotFound
from ..core.events import name_problem
from ..core.ids import Mxid
from ..core.naming import Naming
from ..storage import directory, ghosts
from ..storage.database import Database

_REMEMBERED = 64


class _Ping(msgspec.Struct):
    transaction_id: str | None = None


class Inquiries:
    """Answers whether users and rooms exist, and remembers pings.

    Args:
        database: The directory.
        naming: Reads the names.
    """

    def __init__(self, database: Database, naming: Naming) -> None:
        self._database = database
        self._naming = naming
        self._pings: deque[str] = deque(maxlen=_REMEMBERED)

    async def user(self, mxid: str) -> None:
        """Return if a ghost stands for somebody.

        Raises:
            NotFound: It stands for nobody.
        """
        if not name_problem(mxid):
            async with self._database.connection() as connection:
                ghost = await ghosts.of_mxid(connection, Mxid(mxid))
                if ghost is not None and await directory.user(connection, ghost.tenant, ghost.slug):
                    return
        if mxid != self._naming.bot:
            raise NotFound(f"No OpenMeet user is behind {Mxid(mxid)}.")

    async def alias(self, alias: str) -> None:
        """Return if a portal has this alias.

        Raises:
            NotFound: There is none.
        """
        if name_problem(alias):
            raise NotFound("Nothing on OpenMeet is behind this alias.")
        async with self._database.connection() as connection:
            if await directory.portal_by_alias(connection, alias) is None:
                raise NotFound(f"Nothing on OpenMeet is behind {alias}.")

    def pinged(self, body: bytes) -> None:
        """Remember a ping: the proof that the homeserver reaches us."""
        try:
            transaction_id = msgspec.json.decode(body or b"{}", type=_Ping).transaction_id
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if transaction_id is not None:
            self._pings.append(transaction_id)

    def was_pinged(self, transaction_id: str) -> bool:
        """Whether a ping with this id has arrived."""
        return transaction_id in self._pings

    def no_protocol(self, protocol: str) -> NotFound:
        """Return the answer to a question about a third-party protocol."""
        return NotFound(f"This bridge has no third-party protocol {protocol!r}.")
