"""Closing the room of a portal that is no more."""

from __future__ import annotations

import msgspec
import structlog

from ..core.ids import Mxid, PortalRef
from ..core.room_plan import Present, closing
from ..core.room_steps import Notice, Step
from ..storage import directory, rooms
from ..storage.portals import Room
from .echo import NotSettled, echoed
from .room_means import Means, record
from .room_steps import Outcome
from .room_views import Entry, decoded

log = structlog.get_logger(__name__)


class RoomClosing:
    """Closes rooms.

    Args:
        means: What changes them.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    def plan(self, ref: PortalRef, entry: Entry, present: Present) -> list[Step]:
        """Return what closes a room."""
        aliases = {self._means.naming.alias(ref), *entry.former_aliases}
        renewed = entry.portal is not None and not entry.portal.deleted
        return closing(ref, self._means.naming.bot, present, aliases, renewed=renewed)

    async def run(self, ref: PortalRef, entry: Entry) -> None:
        """Say that a room is closed, let nobody stay, and part it from its portal.

        Raises:
            HomeserverError: A step failed; the rest can be tried again.
            NotSettled: The log does not show the room empty yet.
        """
        if entry.room is not None:
            await self._empty(ref, entry, entry.room)
        async with self._means.database.transaction() as connection:
            if entry.room is not None:
                await rooms.unbind(connection, entry.room.room_id, "closed")
                await directory.forget_former_aliases(connection, ref)
            await directory.buried(connection, ref)
        room_id = entry.room.room_id if entry.room else None
        log.info("portal.closed", tenant=ref.tenant, slug=ref.slug, room=room_id)

    async def _empty(self, ref: PortalRef, entry: Entry, room: Room) -> None:
        steps = self.plan(ref, entry, await self._means.views.present(room))
        said = next((n for n, step in enumerate(steps, 1) if isinstance(step, Notice)), 0)
        work = self._means.steps(ref, room.room_id, _nobody_comes)
        outcome = Outcome()
        if said:
            await work.run(steps[:said], outcome)
            applied = msgspec.structs.replace(decoded(room.applied), closing=True)
            async with self._means.database.connection() as connection:
                room = await record(connection, room, applied, outcome, room.problem)
        await work.run(steps[said:], outcome)
        for error in outcome.refused.values():
            raise error

        async def empty() -> bool:
            inside = (await self._means.views.present(room)).inside()
            return set(inside) <= {self._means.naming.bot}

        try:
            await echoed(empty)
        except NotSettled:
            left = self.plan(ref, entry, await self._means.views.present(room))
            await self._means.restating.restate((room.room_id, step) for step in left)
            raise


async def _nobody_comes(_: Mxid) -> None:
    raise AssertionError("nobody is brought into a room that is closed")
