"""Data export: everything that the bridge keeps of one person, for the person to have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from ..core.cursor import BEFORE_ALL
from ..core.errors import NotFound
from ..core.ids import Mxid, Position, RoomId, TenantId, UserSlug
from ..storage import data_export, directory, ghosts
from ..storage.data_export import Record
from ..storage.database import Database

_PAGE = 500


class DataExport:
    """Collects what is kept of people.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def records(self, tenant: TenantId, slug: UserSlug) -> AsyncIterator[Record]:
        """Go through everything that is kept of a person, a page at a time.

        Each record is a JSON object whose ``record`` says what it is: ``profile``,
        ``matrix_user``, ``membership_on_openmeet``, ``operators_word``, ``preferences``,
        ``blocks``, ``room``, ``presence``, ``read_up_to``, ``event``, ``sent_message``,
        ``stream_ticket``, ``job``, ``erasure``.
        Secrets are in none of them, and what others have said is not either.

        Raises:
            NotFound: There never was such a user.
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            user = await directory.user(connection, tenant, slug)
            ghost = await ghosts.of_user(connection, tenant, slug)
            if user is None and ghost is None:
                raise NotFound(f"No user {slug!r} is known in this tenant.")
            found = await data_export.of_slug(connection, tenant, slug)
        for what, row in found:
            yield _record(what, row)
        if ghost is not None:
            async for record in self._of_ghost(ghost.mxid):
                yield record
        async for record in self._outbox(tenant, slug):
            yield record

    async def _of_ghost(self, mxid: Mxid) -> AsyncIterator[Record]:
        async with self._database.connection() as connection:
            found = await data_export.of_ghost(connection, mxid)
            rooms = await data_export.rooms_of(connection, mxid)
        for what, row in found:
            yield _record(what, row)
        for room_id in rooms:
            async for record in self._events(room_id, mxid):
                yield record

    async def _events(self, room_id: RoomId, mxid: Mxid) -> AsyncIterator[Record]:
        last = BEFORE_ALL
        while True:
            async with self._database.connection() as connection:
                page = await data_export.events(connection, room_id, mxid, last, _PAGE)
            for row in page:
                last = Position(row.pop("position"))
                yield _record("event", row)
            if len(page) < _PAGE:
                return

    async def _outbox(self, tenant: TenantId, slug: UserSlug) -> AsyncIterator[Record]:
        last = 0
        while True:
            async with self._database.connection() as connection:
                page = await data_export.outbox(connection, tenant, slug, last, _PAGE)
            for row in page:
                last = row.pop("id")
                yield _record("sent_message", row)
            if len(page) < _PAGE:
                return


def _record(what: str, row: Record) -> Record:
    return {"record": what} | {key: _json(value) for key, value in row.items()}


def _json(value: Any) -> Any:
    """Return a value of a column as something that JSON has: contents are JSON already."""
    if not isinstance(value, bytes):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return value.decode("utf-8", "replace")
