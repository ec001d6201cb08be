"""Ghosts: the Matrix users that stand for OpenMeet users, made once and remembered."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from weakref import WeakValueDictionary

import structlog

from ..core.ids import Mxid, TenantId, UserSlug
from ..core.naming import Naming
from ..matrix.homeserver import Homeserver
from ..storage import directory, ghosts
from ..storage.database import Database

log = structlog.get_logger(__name__)

DEVICE = "OPENMEET"
"""Every ghost's only device. Sends that name it are deduplicated by the homeserver for a day."""

BOT_NAME = "OpenMeet"
"""As whom rooms show the bot, which makes and closes them and brings people in."""

_DEVICE_NAME = "OpenMeet"
_REMEMBERED = 10_000


class Ghosts:
    """Makes ghosts exist and keeps their profiles.

    Args:
        database: Remembers what was done, so that a restart does not do it again.
        homeserver: Where the ghosts live.
        naming: Their names.
    """

    def __init__(self, database: Database, homeserver: Homeserver, naming: Naming) -> None:
        self._database = database
        self._homeserver = homeserver
        self._naming = naming
        self._ready: OrderedDict[Mxid, None] = OrderedDict()
        self._turns: WeakValueDictionary[Mxid, asyncio.Lock] = WeakValueDictionary()

    async def ensure(self, tenant: TenantId, slug: UserSlug) -> Mxid:
        """Return a user's ghost, which can act from now on.

        Raises:
            HomeserverError: It could not be made.
            Unavailable: The database is away.
        """
        mxid = await self.mxid(tenant, slug)
        if mxid in self._ready:
            self._ready.move_to_end(mxid)
            return mxid
        async with self._turn(mxid):
            async with self._database.connection() as connection:
                ghost = await ghosts.ensure(connection, mxid, tenant, slug)
            if not (ghost.registered and ghost.device):
                await self._create(mxid)
        self._ready[mxid] = None
        if len(self._ready) > _REMEMBERED:
            self._ready.popitem(last=False)
        return mxid

    async def mxid(self, tenant: TenantId, slug: UserSlug) -> Mxid:
        """Return the Matrix id of a user's ghost, which may not exist yet."""
        async with self._database.connection() as connection:
            ghost = await ghosts.of_user(connection, tenant, slug)
        return self._naming.ghost(tenant, slug) if ghost is None else ghost.mxid

    async def ensure_bot(self) -> Mxid:
        """Return the bot, which can act from now on."""
        bot = self._naming.bot
        await self._homeserver.register_ghost(_localpart(bot))
        profile = await self._homeserver.get_profile(bot, acting_as=bot)
        if profile.displayname != BOT_NAME:
            await self._homeserver.set_displayname(bot, BOT_NAME)
        return bot

    async def renew(self, mxid: Mxid) -> None:
        """Make a ghost and its device again, after the homeserver said that it knows neither."""
        self._ready.pop(mxid, None)
        await self._create(mxid)

    async def refresh(self, tenant: TenantId, slug: UserSlug) -> None:
        """Make a ghost's profile say what the directory says. Only a difference costs a call."""
        async with self._database.connection() as connection:
            user = await directory.user(connection, tenant, slug)
        if user is None or not user.active:
            return
        mxid = await self.ensure(tenant, slug)
        async with self._turn(mxid):
            await self._settle_name(mxid, tenant, slug)

    async def _settle_name(self, mxid: Mxid, tenant: TenantId, slug: UserSlug) -> None:
        async with self._database.connection() as connection:
            user = await directory.user(connection, tenant, slug)
            ghost = await ghosts.ensure(connection, mxid, tenant, slug)
        if user is None or ghost.name == user.name:
            return
        await self._homeserver.set_displayname(mxid, user.name)
        async with self._database.connection() as connection:
            await ghosts.mark_name(connection, mxid, user.name)

    def _turn(self, mxid: Mxid) -> asyncio.Lock:
        """Return the lock of a ghost: several jobs may want the same of it at once."""
        lock = self._turns.get(mxid)
        if lock is None:
            lock = self._turns[mxid] = asyncio.Lock()
        return lock

    async def _create(self, mxid: Mxid) -> None:
        # Registration first: a profile or device call for an unknown user leaves a row at the
        # homeserver that makes registering it impossible.
        await self._homeserver.register_ghost(_localpart(mxid))
        await self._homeserver.create_device(mxid, DEVICE, _DEVICE_NAME)
        async with self._database.connection() as connection:
            await ghosts.mark_registered(connection, mxid)


def _localpart(mxid: Mxid) -> str:
    return mxid[1:].partition(":")[0]
