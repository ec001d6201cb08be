"""Writing Matrix ids: OpenMeet's web app reads in OpenMeet's database who it is on Matrix.

It takes messages of its own for somebody else's without that. Only empty columns are written, and
only for users whom the homeserver has.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog

from ..core.errors import BridgeError
from ..core.ids import Mxid, TenantId, UserSlug
from ..openmeet.accounts import MatrixIds, Named, Nameless
from ..storage import ghosts
from ..storage.database import Database

log = structlog.get_logger(__name__)

_INTERVAL = 60.0
_BATCH = 500


class IdWriting:
    """Writes Matrix ids into OpenMeet's database.

    Args:
        database: Knows who exists on Matrix.
        ids: OpenMeet's column.
        tenants: Whose.
    """

    def __init__(self, database: Database, ids: MatrixIds, tenants: Sequence[TenantId]) -> None:
        self._database = database
        self._ids = ids
        self._tenants = tenants

    async def run(self) -> None:
        """Write for ever what is missing, one tenant after the other."""
        while True:
            for tenant in self._tenants:
                try:
                    written = await self.fill(tenant)
                except BridgeError as error:
                    log.warning("matrix_ids.not_written", tenant=tenant, error=error.message)
                    continue
                if written:
                    log.info("matrix_ids.written", tenant=tenant, users=written)
            await asyncio.sleep(_INTERVAL * random.uniform(0.9, 1.1))  # noqa: S311  (jitter)

    async def fill(self, tenant: TenantId) -> int:
        """Write all of a tenant that are missing; return how many were.

        Raises:
            Unavailable: A database is away, or the column may not be written.
        """
        written = after = 0
        while True:
            missing = await self._ids.missing(tenant, after, _BATCH)
            named = await self._named(tenant, missing)
            if named:
                written += await self._ids.write(tenant, named)
            if len(missing) < _BATCH:
                return written
            after = missing[-1].number

    async def _named(self, tenant: TenantId, missing: Sequence[Nameless]) -> list[Named]:
        async with self._database.connection() as connection:
            known = await ghosts.existing(connection, tenant, [one.number for one in missing])
        return [
            Named(one.number, one.slug, known[one.number, one.slug])
            for one in missing
            if (one.number, one.slug) in known
        ]

    async def one(self, tenant: TenantId, number: int | None, slug: UserSlug, mxid: Mxid) -> None:
        """Write one user's at once; what cannot be written now is written later."""
        if number is None:
            return
        try:
            await self._ids.write(tenant, [Named(number, slug, mxid)])
        except BridgeError as error:
            log.warning("matrix_ids.not_written", tenant=tenant, error=error.message)
