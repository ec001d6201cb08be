"""Erasure: a person is taken out of OpenMeet's chat for good, here and at the homeserver.

A durable job in steps. Each can be repeated, and what is done is written down as it goes: it
survives a crash of anything, and says in the end what it did and what it could not do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from ..core.changes import DeleteUser
from ..core.cursor import BEFORE_ALL
from ..core.erasure import DONE, RUNNING, ErasureReport
from ..core.errors import NotFound
from ..core.ids import Mxid, TenantId, UserSlug
from ..core.naming import Naming
from ..matrix.errors import Refused, TokenRefused
from ..matrix.homeserver import Homeserver
from ..storage import directory, erasure, event_log, ghosts, jobs, pictures
from ..storage.database import Database
from ..storage.erasure import Erasure
from ..telemetry import ERASED
from . import counting
from .directory import Directory
from .endings import Ending
from .erasure_report import left_of
from .ghosts import DEVICE
from .redacting import MoreLater, Redacting

log = structlog.get_logger(__name__)

ERASURE = "erasure"
"""Kind of the job."""

_ECHO_PATIENCE = 5.0
_ECHO_POLL = 0.1


class Erasures:
    """Erases people.

    Args:
        database: Where everything of ours is.
        homeserver: Where everything else is.
        naming: Knows the bot, which redacts.
        directory: From which the person goes first.
        wake: Called when there is a job.
        user_gone: Called with the ghost by the job, which may run in another process than where
            it was asked for: its streams end.
        erased: Called when nothing is left of a person in the database: what was read before
            must be forgotten in memory, too.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        naming: Naming,
        directory: Directory,
        wake: Callable[[], None],
        user_gone: Callable[[Mxid], None],
        erased: Callable[[], None],
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._bot = naming.bot
        self._directory = directory
        self._wake = wake
        self._user_gone = user_gone
        self._erased = erased
        self._redacting = Redacting(database, homeserver, self._bot)
        self._steps: Sequence[tuple[str, Callable[[Erasure], Awaitable[None]]]] = (
            ("note", self._note),
            ("redact", self._redacting.redact),
            ("leave", self._leave),
            ("profile", self._clear_profile),
            ("account", self._end_account),
            # What came in meanwhile: a message that was on its way.
            ("begin again", self._begin_again),
            ("redact again", self._redacting.redact),
            ("media", self._delete_media),
            ("forget", self._forget),
        )

    async def request(self, tenant: TenantId, slug: UserSlug) -> ErasureReport:
        """Erase a person: out of the directory and all streams now, the rest as a job.

        Asking again is harmless. Nobody can have the slug again.

        Raises:
            NotFound: There never was such a user.
            Unavailable: The database is away.
        """
        async with self._database.transaction() as connection:
            ghost = await ghosts.of_user(connection, tenant, slug)
            if ghost is None:
                raise NotFound(f"No user {slug!r} is known in this tenant.")
            await erasure.begin(connection, tenant, slug, ghost.mxid)
            begun = await erasure.get(connection, tenant, slug)
            if begun is not None and begun.finished_at is None:
                await ghosts.mark_erased(connection, ghost.mxid)
                await jobs.want(connection, tenant, ERASURE, slug)
                begun.progress.pictures = begun.progress.pictures or await erasure.picture_urls(
                    connection, tenant, slug
                )
                await erasure.save(connection, begun)
                await self._directory.endings.announce(connection, Ending())
        await self._directory.apply(tenant, [DeleteUser(slug)])
        self._wake()
        return await self.report(tenant, slug)

    async def report(self, tenant: TenantId, slug: UserSlug) -> ErasureReport:
        """Return what was erased of a person so far, and what could not be.

        Raises:
            NotFound: That was never asked for.
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            found = await erasure.get(connection, tenant, slug)
            job = await jobs.status(connection, tenant, ERASURE, slug)
        if found is None:
            raise NotFound(f"Nobody has asked to erase a user {slug!r} of this tenant.")
        finished = found.finished_at is not None
        return ErasureReport(
            tenant=tenant,
            slug=slug,
            mxid=found.mxid,
            state=DONE if finished else RUNNING,
            requested_at=found.requested_at,
            finished_at=found.finished_at,
            erased=found.progress.erased,
            left=left_of(found.progress, found.mxid) if finished else [],
            error=job.error if job is not None and not finished else None,
        )

    async def work(self, tenant: TenantId, slug: str) -> None:
        """Go on with a person's erasure. The job's work.

        Raises:
            HomeserverError: The homeserver is away or wants us to wait; what is done is kept.
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            found = await erasure.get(connection, tenant, UserSlug(slug))
            user = await directory.user(connection, tenant, UserSlug(slug))
        if found is None or found.finished_at is not None:
            return
        self._user_gone(found.mxid)
        if user is not None and user.mxid == found.mxid:
            await self._directory.apply(tenant, [DeleteUser(user.slug)])
        try:
            await self._go_on(found)
        except MoreLater:
            async with self._database.connection() as connection:
                await jobs.want(connection, tenant, ERASURE, slug)

    async def _go_on(self, found: Erasure) -> None:
        for name, step in self._steps:
            if name in found.progress.steps:
                continue
            await step(found)
            found.progress.steps.append(name)
            await self._save(found)
        async with self._database.connection() as connection:
            await erasure.save(connection, found, finished=True)
        self._erased()
        ERASED.inc()
        log.info("erasure.done", tenant=found.tenant, mxid=found.mxid)

    async def _save(self, found: Erasure) -> None:
        async with self._database.connection() as connection:
            await erasure.save(connection, found)

    # The steps

    async def _note(self, found: Erasure) -> None:
        """Note what can no longer be seen once all is redacted."""
        states: dict[str, int] = {}
        async with self._database.connection() as connection:
            for room_id in await erasure.rooms_of(connection, found.mxid, ""):
                for kind, count in (
                    await erasure.states_set(connection, room_id, found.mxid)
                ).items():
                    states[kind] = states.get(kind, 0) + count
        found.progress.states = states
        # Repeatable: the bot's device makes a repeated redaction the same one.
        await self._homeserver.create_device(self._bot, DEVICE, "OpenMeet")

    async def _leave(self, found: Erasure) -> None:
        async with self._database.connection() as connection:
            rooms = set(await erasure.present_rooms(connection, found.mxid))
        try:
            rooms |= set(await self._homeserver.joined_rooms(found.mxid))
        except TokenRefused:
            raise
        except Refused:
            return  # the homeserver does not know the person
        for room_id in sorted(rooms):
            try:
                await self._homeserver.leave(room_id, found.mxid)
            except TokenRefused:
                raise
            except Refused as refusal:
                log.info("erasure.not_left", room=room_id, error=str(refusal))
                continue  # most often: taken out already, as the directory says
            found.progress.count("rooms left")

    async def _clear_profile(self, found: Erasure) -> None:
        mxid = found.mxid
        calls: Sequence[Callable[[], Awaitable[None]]] = (
            lambda: self._homeserver.set_displayname(mxid, ""),
            lambda: self._homeserver.set_avatar_url(mxid, ""),
            lambda: self._homeserver.set_account_data(mxid, "m.direct", {}),
            lambda: self._homeserver.set_account_data(
                mxid, "m.ignored_user_list", {"ignored_users": {}}
            ),
        )
        for call in calls:
            try:
                await call()
            except TokenRefused:
                raise
            except Refused as refusal:
                log.info("erasure.profile_refused", mxid=mxid, error=str(refusal))
                return
        found.progress.count("profile")

    async def _delete_media(self, found: Erasure) -> None:
        """Delete the person's files, if the bot may. Pictures that others have too stay."""
        progress = found.progress
        async with self._database.transaction() as connection:
            await ghosts.forget_profile(connection, found.mxid)
            unused = await pictures.forget_unused(connection, progress.pictures)
            progress.media = sorted({*progress.media, *unused})
            progress.pictures = []
            await erasure.save(connection, found)
        for mxc in list(progress.media):
            try:
                await self._homeserver.delete_media(mxc, self._bot)
            except TokenRefused:
                raise
            except Refused as refusal:
                if refusal.status != 404 or refusal.errcode != "M_NOT_FOUND":
                    progress.media_error = str(refusal)
                    return
            progress.media.remove(mxc)
            progress.count("files")

    async def _end_account(self, found: Erasure) -> None:
        try:
            await self._homeserver.deactivate(found.mxid)
            found.progress.account = "ended"
            found.progress.count("account")
        except TokenRefused:
            raise
        except Refused as refusal:
            never = "has not registered" in refusal.message
            found.progress.account = "never made" if never else str(refusal)

    async def _begin_again(self, found: Erasure) -> None:
        """Wait until the log shows the person out, but not for ever; then look at all once more."""
        deadline = asyncio.get_running_loop().time() + _ECHO_PATIENCE
        while asyncio.get_running_loop().time() < deadline:
            async with self._database.connection() as connection:
                if not await erasure.present_rooms(connection, found.mxid):
                    break
            await asyncio.sleep(_ECHO_POLL)
        found.progress.room, found.progress.position = "", BEFORE_ALL
        found.progress.refused = {}

    async def _forget(self, found: Erasure) -> None:
        async with self._database.transaction() as connection:
            await event_log.lock(connection)  # counts change, and only who appends may change them
            blanked, rooms = 0, await erasure.rooms_of(connection, found.mxid, "")
            for room_id in rooms:
                blanked += await erasure.blank_entries(connection, room_id, found.mxid)
            await counting.recount(connection, rooms)
            counts = await erasure.forget(connection, found)
        found.progress.count("entries of our log alone", blanked)
        for what, number in counts.items():
            found.progress.count(what, number)
