"""Settling: one portal's room is made what it should be, once its directory is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from ..core.ids import Mxid
from ..core.room_plan import Applied, Plan, Present, plan
from ..core.room_state import Wanted
from ..core.room_steps import Kick, MemberStep, Step
from ..matrix.errors import HomeserverUnavailable, Refused, TokenRefused
from ..storage import directory, portals, webhooks
from ..storage.database import Connection
from ..storage.portals import Room
from .echo import NotSettled, Overtaken, echoed
from .pacing import few_at_once
from .room_creation import RoomCreation
from .room_means import Means, record
from .room_steps import Outcome, RoomSteps
from .room_views import Entry, decoded

PORTAL_READY = "portal.ready"
MEMBERSHIP_FAILED = "membership.failed"

_NAMED = 3
"""How many people a problem names one by one."""


class Settling:
    """One settling of one portal.

    Args:
        means: What changes rooms.
        creation: Makes the room where there is none.
        entry: What the directory says.
        wanted: What the room should be.
    """

    def __init__(self, means: Means, creation: RoomCreation, entry: Entry, wanted: Wanted) -> None:
        self._means = means
        self._creation = creation
        self._entry = entry
        self._wanted = wanted
        self._ref = wanted.portal.ref
        self._slugs = {mxid: slug for slug, mxid in entry.people.ghosts.items()}
        self._prepare = means.preparing(self._ref, self._slugs)
        self._outcome = Outcome()
        self._coming = Outcome()
        self._kicked: frozenset[Mxid] = frozenset()
        self._left: Sequence[Step] = ()

    async def run(self) -> None:
        """Plan, carry out, and wait until the log shows it.

        Raises:
            HomeserverError: A step failed, or somebody could not be brought in or put out.
            NotSettled: The log does not show it all yet.
            Overtaken: Somebody is not to be in any more; the rest is done.
        """
        room, present = await self._room()
        planned = plan(self._wanted, present, self._means.now())
        work = self._means.steps(self._ref, room.room_id, self._prepare)
        room = await self._carry_out(work, room, planned)
        self._look_back()
        try:
            await echoed(lambda: self._holds(room))
        except NotSettled:
            await self._means.restating.restate((room.room_id, step) for step in self._left)
            raise
        self._look_back()
        await self._finish(room)
        for error in self._refused().values():
            raise error

    async def _room(self) -> tuple[Room, Present]:
        views, room = self._means.views, self._entry.room
        if room is not None:
            return room, await views.present(room, self._wanted.people)
        invited = await self._prepared(self._creation.invited(self._wanted))
        room_id, present = await self._creation.make(self._wanted, invited)
        async with self._means.database.connection() as connection:
            found = await portals.room_with(connection, room_id)
            if found is None:  # closed again already
                raise HomeserverUnavailable("the room is gone that was made just now")
            if present is not None:
                found = await record(connection, found, present.applied, self._outcome, None)
        return found, present or await views.present(found, self._wanted.people)

    async def _prepared(self, mxids: Sequence[Mxid]) -> list[Mxid]:
        """Make ghosts exist; return those that do. Of the others the joining will tell."""
        ready: set[Mxid] = set()

        async def prepare(mxid: Mxid) -> None:
            try:
                await self._prepare(mxid)
                ready.add(mxid)
            except TokenRefused:
                raise
            except (Refused, Overtaken):
                return

        await few_at_once(mxids, prepare)
        return [mxid for mxid in mxids if mxid in ready]

    async def _carry_out(self, work: RoomSteps, room: Room, planned: Plan) -> Room:
        await self._unsettle(planned.first)
        await work.run(planned.first, self._outcome)
        before = decoded(room.applied).failed
        applied = msgspec.structs.replace(planned.applied, failed=before)
        if applied != decoded(room.applied):
            # Should the rest fail: what of OpenMeet's word the room was given is known.
            async with self._means.database.connection() as connection:
                room = await record(connection, room, applied, self._outcome, room.problem)
        try:
            await work.run(planned.then, self._coming)
        except BaseException:
            await self._note(room, applied, before | self._failed())
            raise
        return await self._note(room, applied, self._failed())

    def _look_back(self) -> None:
        """End here if the directory has changed meanwhile: the log will never show what it said."""
        overtaken = self._outcome.overtaken | self._coming.overtaken
        if overtaken:
            raise Overtaken(f"not to be in any more: {', '.join(sorted(overtaken))}")

    async def _unsettle(self, steps: Sequence[Step]) -> None:
        """Whom the bridge puts out, it brings in again: nobody else's word keeps them out."""
        self._kicked = kicked = frozenset(step.mxid for step in steps if isinstance(step, Kick))
        if not kicked:
            return
        self._wanted = replace(self._wanted, firm=self._wanted.firm | kicked)
        async with self._means.database.connection() as connection:
            ghosts = await portals.ghosts_among(connection, kicked)
            slugs = [slug for tenant, slug in ghosts.values() if tenant == self._ref.tenant]
            await portals.unsettle(connection, self._ref, slugs)

    # What is noted

    def _refused(self) -> dict[Mxid, Refused]:
        return self._outcome.refused | self._coming.refused

    def _failed(self) -> dict[str, str]:
        return {mxid: str(error) for mxid, error in self._coming.refused.items()}

    async def _note(self, room: Room, applied: Applied, failed: dict[str, str]) -> Room:
        """Note what was done and what not; tell OpenMeet of who cannot be brought in, once."""
        new = {mxid: text for mxid, text in failed.items() if mxid not in applied.failed}
        applied = msgspec.structs.replace(applied, failed=failed, **self._listing(applied))
        problem = self._problem(applied)
        known = (decoded(room.applied), room.problem)
        if (applied, problem) == known and self._coming.listed is None:
            return room
        async with self._means.database.transaction() as connection:
            for mxid, text in new.items():
                told = {"user": self._slugs.get(Mxid(mxid)), "mxid": mxid, "error": text}
                await self._tell(connection, MEMBERSHIP_FAILED, room, told)
            return await record(connection, room, applied, self._coming, problem)

    def _listing(self, applied: Applied) -> dict[str, Any]:
        if self._coming.unlisted is not None:
            return {"unlisted": self._coming.unlisted, "unlisted_at": self._means.now()}
        if self._coming.listed is not None or not self._wanted.exposure.listed:
            return {"unlisted": None, "unlisted_at": None}
        return {"unlisted": applied.unlisted, "unlisted_at": applied.unlisted_at}

    def _problem(self, applied: Applied) -> str | None:
        problems = [f"{mxid} cannot be brought in: {why}" for mxid, why in applied.failed.items()]
        problems += [
            f"{mxid} cannot be put out: {why}" for mxid, why in self._outcome.refused.items()
        ]
        more = len(problems) - _NAMED
        problems = problems[:_NAMED] + ([f"{more} more"] if more > 0 else [])
        if applied.unlisted:
            problems.append(f"the homeserver does not list the room: {applied.unlisted}")
        return "; ".join(problems) or None

    async def _tell(
        self, connection: Connection, event: str, room: Room, more: dict[str, Any]
    ) -> None:
        tenant, kind, slug = self._ref
        payload = {"tenant": tenant, "kind": kind.value, "slug": slug, "room_id": room.room_id}
        await webhooks.put(connection, tenant, event, payload | more)

    # The end

    async def _holds(self, room: Room) -> bool:
        present = await self._means.views.logged(room, self._wanted.people)
        if present is None:
            return False
        barred = {mxid for mxid in self._wanted.inside if present.is_barred(mxid)} - self._kicked
        if barred:
            self._coming.overtaken |= barred
            return True
        refused = self._refused()
        self._left = [
            step
            for step in plan(self._wanted, present, self._means.now()).steps
            if not (isinstance(step, MemberStep) and step.mxid in refused)
        ]
        return not self._left

    async def _finish(self, room: Room) -> None:
        people, refused = self._entry.people, self._refused()
        followed = [
            member
            for slug, member in people.members.items()
            if people.ghosts.get(slug) not in refused
        ]
        async with self._means.database.transaction() as connection:
            await directory.mark_settled(connection, self._ref, followed)
            if not room.announced and await portals.announce(connection, room.room_id):
                alias = {"alias": self._wanted.portal.alias}
                await self._tell(connection, PORTAL_READY, room, alias)
