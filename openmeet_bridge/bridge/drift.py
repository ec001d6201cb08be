"""Drift: what somebody changed in a room leads to the same job as a change on OpenMeet.

While a batch goes into the log, state that the bot did not send itself is noted; the jobs of the
portals and spaces concerned are wanted in the same SQL transaction. A job compares the whole room
with the directory, so it does not matter what it was: to note too much costs one look at the
database. Messages are no state, and cost nothing here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ..core.events import KEPT_STATE, MEMBER, TOMBSTONE
from ..core.ids import Mxid, RoomId
from ..storage import drift, jobs
from ..storage.database import Connection
from ..storage.drift import Subject

DELAY = 0.3
"""Seconds from a change to the job: a burst of changes is one look."""

_MARGIN = 0.05


class _TombstoneContent(msgspec.Struct, frozen=True):
    replacement_room: str = ""


_tombstone = msgspec.json.Decoder(_TombstoneContent)


class Drift:
    """What of one batch may have moved rooms away from the directory.

    Args:
        bot: Whose changes are ours.
    """

    def __init__(self, bot: Mxid) -> None:
        self._bot = bot
        self._rooms: set[RoomId] = set()
        self._moved: set[tuple[RoomId, Mxid]] = set()
        self._came: set[tuple[RoomId, Mxid]] = set()
        self._invited_to: set[RoomId] = set()

    def see(
        self, room_id: RoomId, event_type: str, state_key: str, sender: Mxid, effect: int
    ) -> None:
        """Note a state event.

        Args:
            room_id: Where.
            event_type: What.
            state_key: Of what.
            sender: By whom.
            effect: What the log has noted with it: 1 somebody came in, -1 went out.
        """
        if event_type == MEMBER:
            self._see_member(room_id, Mxid(state_key), sender, effect)
        # A tombstone leads elsewhere, whoever set it.
        elif event_type in KEPT_STATE and (sender != self._bot or event_type == TOMBSTONE):
            self._rooms.add(room_id)

    def _see_member(self, room_id: RoomId, mxid: Mxid, sender: Mxid, effect: int) -> None:
        if sender == self._bot:
            return
        if mxid == self._bot:
            self._rooms.add(room_id)
            self._invited_to.add(room_id)
        elif mxid != sender or effect < 0:
            self._moved.add((room_id, mxid))
        elif effect > 0:
            self._came.add((room_id, mxid))

    async def want_jobs(self, connection: Connection) -> bool:
        """Want the jobs that follow from what was noted; return whether there are any."""
        if not (self._rooms or self._moved or self._came):
            return False
        subjects = set(await drift.concerned(connection, self._rooms, self._moved, self._came))
        if self._invited_to:
            subjects |= await self._replaced(connection)
        # In one order, so that two who want the same rows never wait for each other.
        for tenant, kind, slug in sorted(subjects):
            await jobs.want(connection, tenant, kind, slug, delay=DELAY)
        return bool(subjects)

    async def _replaced(self, connection: Connection) -> set[Subject]:
        """Return the portals to whose replacement rooms the bot has been let in now."""
        return {
            Subject(ref.tenant, ref.kind.value, ref.slug)
            for ref, content in await drift.tombstones(connection)
            if replacement(content) in self._invited_to
        }


def replacement(tombstone: bytes) -> RoomId | None:
    """Return the room to which a tombstone leads."""
    try:
        return RoomId(_tombstone.decode(tombstone).replacement_room) or None
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def soon(wake: Callable[[], None]) -> Callable[[], None]:
    """Return what wakes those who do jobs when the jobs of a batch are due."""

    def later() -> None:
        asyncio.get_running_loop().call_later(DELAY + _MARGIN, wake)

    return later
