"""Ghosts: the Matrix users that stand for OpenMeet users, made once and remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import structlog

from ..core.ids import Mxid, RoomId, TenantId, UserSlug
from ..core.naming import Naming
from ..matrix.errors import Refused
from ..matrix.homeserver import Homeserver
from ..storage import appearances, ghosts, jobs
from ..storage.appearances import Appearance
from ..storage.database import Database
from .ledger import USER
from .pictures import Pictures
from .turns import Turns

log = structlog.get_logger(__name__)

DEVICE = "OPENMEET"
"""Every ghost's only device. Sends that name it are deduplicated by the homeserver for a day."""

BOT_NAME = "OpenMeet"
"""As whom rooms show the bot, which makes and closes them and brings people in."""

_DEVICE_NAME = "OpenMeet"
_REMEMBERED = 10_000
_PAGE = 500
_DIRECT = "m.direct"
_IGNORED = "m.ignored_user_list"


class Ghosts:
    """Makes ghosts exist and keeps their profiles.

    Args:
        database: Remembers what was done, so that a restart does not do it again.
        homeserver: Where the ghosts live.
        naming: Their names.
        pictures: Copies their pictures; None: leave avatars alone.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        naming: Naming,
        pictures: Pictures | None = None,
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._naming = naming
        self._pictures = pictures
        self._ready: OrderedDict[Mxid, None] = OrderedDict()
        self._turns = Turns()  # several jobs may want the same of a ghost at once

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
        async with self._turns.of(mxid):
            async with self._database.connection() as connection:
                ghost = await ghosts.ensure(connection, mxid, tenant, slug)
            if not (ghost.registered and ghost.device):
                await self._create(mxid)
                # Before the first room: afterwards it would cost an event in each, and until then
                # the homeserver shows the localpart.
                appearance = await self._appearance(tenant, slug)
                if appearance is not None:
                    await self._settle_name(appearance)
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
        async with self._database.transaction() as connection:
            await ghosts.forget_profile(connection, mxid)
            ghost = await ghosts.of_mxid(connection, mxid)
            if ghost is not None:
                await jobs.want(connection, ghost.tenant, USER, ghost.slug)

    async def refresh(self, tenant: TenantId, slug: UserSlug) -> None:
        """Make a ghost look as the directory says. Only a difference costs a call.

        Raises:
            HomeserverError: A step failed; what was done stays, and the rest can be tried again.
            Unavailable: The database is away.
        """
        appearance = await self._appearance(tenant, slug)
        if appearance is None or self._is_settled(appearance):
            return
        mxid = await self.ensure(tenant, slug)
        async with self._turns.of(mxid):
            appearance = await self._appearance(tenant, slug)
            if appearance is None:
                return
            try:
                await self._settle(appearance)
            except Refused as error:
                if "has not registered" in error.message:
                    # Restored from a backup, perhaps. The job comes back and sets all anew.
                    await self.renew(mxid)
                raise

    async def is_settled(self, tenant: TenantId, slug: UserSlug) -> bool:
        """Whether a user's ghost is as the directory says, as far as the database knows."""
        appearance = await self._appearance(tenant, slug)
        return appearance is None or self._is_settled(appearance)

    async def unsettled(self, tenant: TenantId) -> AsyncIterator[UserSlug]:
        """Go through all users of a tenant whose ghosts are not as the directory says."""
        last = UserSlug("")
        while True:
            async with self._database.connection() as connection:
                page = await appearances.after(connection, tenant, last, _PAGE)
            for appearance in page:
                if not self._is_settled(appearance):
                    yield appearance.slug
            if len(page) < _PAGE:
                return
            last = page[-1].slug

    def _is_settled(self, appearance: Appearance) -> bool:
        return appearance.is_settled(with_avatar=self._pictures is not None)

    async def _appearance(self, tenant: TenantId, slug: UserSlug) -> Appearance | None:
        async with self._database.connection() as connection:
            return await appearances.of_user(connection, tenant, slug)

    # One step for each thing that can differ

    async def _settle(self, wanted: Appearance) -> None:
        if wanted.name == wanted.set_name:  # else the homeserver tells all rooms just now
            await self._settle_rooms(wanted)
        await self._settle_name(wanted)
        if self._pictures is not None and not wanted.avatar_is_settled:
            await self._settle_avatar(self._pictures, wanted)
        if wanted.directs != wanted.set_directs:
            await self._settle_directs(wanted)
        if wanted.ignored != wanted.set_ignored:
            await self._settle_ignored(wanted)

    async def _settle_name(self, wanted: Appearance) -> None:
        if wanted.name == wanted.set_name:
            return
        await self._homeserver.set_displayname(wanted.mxid, wanted.name)
        async with self._database.connection() as connection:
            await ghosts.mark_name(connection, wanted.mxid, wanted.name)

    async def _settle_rooms(self, wanted: Appearance) -> None:
        """Tell rooms who somebody is, where they did not learn it from the profile."""
        outdated = msgspec.json.decode(wanted.outdated, type=list[tuple[RoomId, str | None]])
        for room_id, shown in outdated:
            content = {"membership": "join", "displayname": wanted.set_name}
            avatar = wanted.set_avatar or shown
            if avatar is not None:
                content["avatar_url"] = avatar
            try:
                await self._homeserver.send_state(
                    room_id, "m.room.member", wanted.mxid, content, wanted.mxid
                )
            except Refused as error:
                if error.errcode != "M_FORBIDDEN" or "has not registered" in error.message:
                    raise
                # Out since, and the log does not show it yet.
                log.info("ghost.not_in_room", room=room_id, mxid=wanted.mxid)

    async def _settle_avatar(self, pictures: Pictures, wanted: Appearance) -> None:
        picture = await pictures.look(wanted.avatar_url)
        if picture.passing:
            return
        if picture.mxc != wanted.set_avatar:
            await self._homeserver.set_avatar_url(wanted.mxid, picture.mxc or "")
        async with self._database.connection() as connection:
            await ghosts.mark_avatar(connection, wanted.mxid, wanted.avatar_url, picture.mxc)

    async def _settle_directs(self, wanted: Appearance) -> None:
        directs = _decoded(wanted.directs)
        if self._is_adopted(wanted.mxid):
            # The person may have direct chats of their own, which are not ours to forget.
            present = await self._homeserver.get_account_data(wanted.mxid, _DIRECT) or {}
            directs = _without_rooms(present, _decoded(wanted.set_directs), directs)
        await self._homeserver.set_account_data(wanted.mxid, _DIRECT, directs)
        async with self._database.connection() as connection:
            await ghosts.mark_directs(connection, wanted.mxid, wanted.directs)

    async def _settle_ignored(self, wanted: Appearance) -> None:
        ignored = _decoded(wanted.ignored)
        if self._is_adopted(wanted.mxid):
            present = await self._homeserver.get_account_data(wanted.mxid, _IGNORED) or {}
            others = present.get("ignored_users")
            before = _decoded(wanted.set_ignored)
            kept = others.items() if isinstance(others, dict) else ()
            ignored = {mxid: value for mxid, value in kept if mxid not in before} | ignored
        await self._homeserver.set_account_data(wanted.mxid, _IGNORED, {"ignored_users": ignored})
        async with self._database.connection() as connection:
            await ghosts.mark_ignored(connection, wanted.mxid, wanted.ignored)

    def _is_adopted(self, mxid: Mxid) -> bool:
        return self._naming.parse_ghost(mxid) is None

    async def _create(self, mxid: Mxid) -> None:
        # Registration first: a profile or device call for an unknown user leaves a row at the
        # homeserver that makes registering it impossible.
        await self._homeserver.register_ghost(_localpart(mxid))
        await self._homeserver.create_device(mxid, DEVICE, _DEVICE_NAME)
        async with self._database.connection() as connection:
            await ghosts.mark_registered(connection, mxid)


def _localpart(mxid: Mxid) -> str:
    return mxid[1:].partition(":")[0]


def _decoded(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any])


def _without_rooms(
    present: Mapping[str, Any], before: Mapping[str, Any], wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an ``m.direct`` in which our rooms of before make way for those that are wanted."""
    ours = {room for rooms in (*before.values(), *wanted.values()) for room in rooms}
    merged: dict[str, Any] = {}
    for mxid, rooms in present.items():
        kept = [room for room in rooms if room not in ours] if isinstance(rooms, list) else []
        if kept:
            merged[mxid] = kept
    for mxid, rooms in wanted.items():
        merged[mxid] = [*merged.get(mxid, []), *rooms]
    return merged
