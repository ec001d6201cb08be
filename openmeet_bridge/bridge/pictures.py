"""Pictures: what people and groups look like on OpenMeet, copied to the homeserver once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from ..core.ids import Mxid
from ..matrix.errors import Refused
from ..matrix.homeserver import Homeserver
from ..openmeet.picture_copies import PictureCopy, copy
from ..openmeet.pictures import PictureProblem, PictureStore
from ..storage import pictures
from ..storage.database import Database
from ..storage.pictures import Source
from ..telemetry import PICTURES
from .turns import Turns

log = structlog.get_logger(__name__)

_DAY = 86_400.0
_SOON = 600.0


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be shown for an address.

    Attributes:
        mxc: The copy at the homeserver; None: no picture.
        passing: There may be another one soon: leave what is shown as it is.
    """

    mxc: str | None
    passing: bool = False


class Pictures:
    """Copies pictures.

    Args:
        database: Remembers what was copied.
        homeserver: Where to.
        store: Where from.
        bot: Who uploads.
        max_pixels: Largest picture that is decoded.
        side: Longest side of a copy, in pixels.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        store: PictureStore,
        bot: Mxid,
        *,
        max_pixels: int,
        side: int,
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._store = store
        self._bot = bot
        self._max_pixels = max_pixels
        self._side = side
        # A decoded picture is large: one at a time bounds the memory.
        self._decoding = asyncio.Semaphore(1)
        self._turns = Turns()

    async def mxc(self, url: str | None) -> str | None:
        """Return the ``mxc://`` address of the copy of a picture, made now if need be.

        A known picture costs one look into the database. One that cannot be had is None, and is
        tried again after a day (ten minutes where only the way to it failed), when asked for.

        Raises:
            HomeserverError: The homeserver did not take the copy, and may later.
            Unavailable: The database is away.
        """
        return (await self.look(url)).mxc

    async def look(self, url: str | None) -> Picture:
        """Return what is to be shown for an address; see :meth:`mxc`."""
        if not url:
            return Picture(None)
        known = await self._known(url)
        if known is None or known.due:
            async with self._turns.of(url):
                known = await self._known(url)
                if known is None or known.due:
                    await self._fetch(url, known)
                    known = await self._known(url)
        if known is None:
            return Picture(None)
        return Picture(known.mxc, passing=known.passing and known.mxc is None)

    async def _known(self, url: str) -> Source | None:
        async with self._database.connection() as connection:
            return await pictures.source(connection, url)

    async def _fetch(self, url: str, known: Source | None) -> None:
        etag = known.etag if known and known.mxc else None
        try:
            fetched = await self._store.fetch(url, etag)
            if fetched.data is None:
                async with self._database.connection() as connection:
                    await pictures.unchanged(connection, url, _DAY)
                PICTURES.labels("unchanged").inc()
                return
            async with self._decoding:
                made = await asyncio.to_thread(
                    copy, fetched.data, max_pixels=self._max_pixels, side=self._side
                )
            await self._upload(made)
        except PictureProblem as problem:
            await self._failed(url, problem)
            return
        async with self._database.connection() as connection:
            await pictures.found(connection, url, made.digest, fetched.etag, _DAY)
        PICTURES.labels("copied").inc()

    async def _upload(self, made: PictureCopy) -> None:
        async with self._turns.of(made.digest):
            async with self._database.connection() as connection:
                if await pictures.copied(connection, made.digest) is not None:
                    return
            try:
                mxc = await self._homeserver.upload(
                    made.content_type, made.filename, made.data, self._bot
                )
            except Refused as error:
                if error.status not in (400, 413):
                    raise  # says something about us, not about the picture
                raise PictureProblem(f"the homeserver refuses the copy: {error}") from error
            async with self._database.connection() as connection:
                await pictures.put(connection, made.digest, mxc, len(made.data))

    async def _failed(self, url: str, problem: PictureProblem) -> None:
        PICTURES.labels("problem").inc()
        log.warning("picture.problem", url=url, reason=problem.reason, passing=problem.passing)
        again = _SOON if problem.passing else _DAY
        async with self._database.connection() as connection:
            await pictures.failed(connection, url, problem.reason, again, keep=problem.passing)
