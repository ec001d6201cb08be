"""Carrying out steps: each one or few requests to the homeserver, some side by side."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ..core.events import MEMBER
from ..core.ids import Mxid, PortalRef, RoomId
from ..core.room_plan import NO_MEMBER
from ..core.room_state import CANONICAL_ALIAS
from ..core.room_steps import (
    Ban,
    CreateAlias,
    DeleteAlias,
    Invite,
    Join,
    Kick,
    List,
    MemberStep,
    Notice,
    SetState,
    Step,
    Unban,
    Unlist,
)
from ..matrix.errors import Refused, TokenRefused
from ..matrix.homeserver import Homeserver
from ..storage import directory
from ..storage.database import Database
from .echo import Overtaken
from .pacing import few_at_once

_BAD_ALIAS = "M_BAD_ALIAS"

Prepare = Callable[[Mxid], Awaitable[None]]
"""Makes a ghost exist; raises Overtaken where the directory does not want it in any more."""


@dataclass(slots=True)
class Outcome:
    """What became of steps.

    Attributes:
        refused: People with whom the homeserver did not let us do what was planned, and why.
        overtaken: People who were not brought in, as they are not to be any more.
        listed: Whether the room is listed; None: as before.
        unlisted: Why the homeserver does not list it.
    """

    refused: dict[Mxid, Refused] = field(default_factory=dict)
    overtaken: set[Mxid] = field(default_factory=set)
    listed: bool | None = None
    unlisted: str | None = None


class RoomSteps:
    """Carries out steps in one room.

    Args:
        database: Says who wants an alias.
        homeserver: Where the room is.
        bot: Acts, but for who joins.
        aliases: Held while an alias moves from one room to another.
        ref: The portal.
        room_id: Its room.
        prepare: Makes a ghost exist, with its profile, before it is invited or joins, if it may.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        bot: Mxid,
        aliases: asyncio.Lock,
        ref: PortalRef,
        room_id: RoomId,
        prepare: Prepare,
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._bot = bot
        self._aliases = aliases
        self._ref = ref
        self._room_id = room_id
        self._prepare = prepare

    async def run(self, steps: Sequence[Step], outcome: Outcome) -> None:
        """Carry out steps in their order; neighbours that concern people side by side.

        What the homeserver refuses for one person or for the public directory is noted and stops
        nothing else.

        Raises:
            HomeserverError: Anything else failed; what was done stays.
        """
        people: dict[Mxid, list[MemberStep]] = {}
        for step in steps:
            if isinstance(step, MemberStep):
                people.setdefault(step.mxid, []).append(step)
                continue
            await self._move(people, outcome)
            people = {}
            await self._do(step, outcome)
        await self._move(people, outcome)

    # The room

    async def _do(self, step: Step, outcome: Outcome) -> None:
        match step:
            case SetState():
                await self._set(step)
            case CreateAlias(alias):
                await self.take_alias(alias)
            case DeleteAlias(alias):
                await self._give_back(alias)
            case List() | Unlist():
                await self._list(isinstance(step, List), outcome)
            case Notice(text):
                await self._say(text)

    async def _set(self, step: SetState) -> None:
        try:
            await self._send(step)
        except Refused as error:
            if error.errcode != _BAD_ALIAS or step.type != CANONICAL_ALIAS[0]:
                raise
            # Somebody at the homeserver has taken an alias away that was there.
            for alias in (step.content["alias"], *step.content.get("alt_aliases", ())):
                await self.take_alias(alias)
            await self._send(step)

    async def _send(self, step: SetState) -> None:
        await self._homeserver.send_state(
            self._room_id, step.type, step.key, step.content, self._bot
        )

    async def take_alias(self, alias: str) -> None:
        """Let an alias lead here. Another room of ours that has it has it no longer by right."""
        async with self._aliases:
            try:
                await self._homeserver.create_alias(alias, self._room_id, self._bot)
                return
            except Refused as error:
                if error.status != 409:
                    raise
            holder = await self._homeserver.resolve_alias(alias)
            if holder != self._room_id:
                await self._homeserver.delete_alias(alias, self._bot)
                await self._homeserver.create_alias(alias, self._room_id, self._bot)

    async def _give_back(self, alias: str) -> None:
        async with self._aliases:
            async with self._database.connection() as connection:
                heir = await directory.portal_by_alias(connection, alias)
            # Another portal that wants the name takes it; it may have done so already.
            if heir is None or heir.ref == self._ref:
                await self._homeserver.delete_alias(alias, self._bot)

    async def _list(self, listed: bool, outcome: Outcome) -> None:
        try:
            await self._homeserver.set_listed(self._room_id, listed, self._bot)
        except TokenRefused:
            raise
        except Refused as error:
            outcome.unlisted = str(error)
        else:
            outcome.listed = listed

    async def _say(self, text: str) -> None:
        content = {"msgtype": "m.notice", "body": text}
        # The same words in the same room are one event, however often they are tried.
        digest = hashlib.sha256(f"{self._room_id} {text}".encode()).hexdigest()[:32]
        await self._homeserver.send_event(
            self._room_id, "m.room.message", f"om-notice-{digest}", content, self._bot
        )

    # Its people

    async def _move(self, people: dict[Mxid, list[MemberStep]], outcome: Outcome) -> None:
        """Do each one's steps, a few people at a time."""

        async def move(mxid: Mxid) -> None:
            try:
                await self._move_one(mxid, people[mxid])
            except TokenRefused:
                raise
            except Refused as error:
                outcome.refused[mxid] = error
            except Overtaken:
                outcome.overtaken.add(mxid)

        await few_at_once(people, move)

    async def _move_one(self, mxid: Mxid, steps: Sequence[MemberStep]) -> None:
        server, room_id, bot = self._homeserver, self._room_id, self._bot
        for step in steps:
            match step:
                case Kick(_, reason):
                    await self._kick(mxid, reason)
                case Ban(_, reason):
                    await server.ban(room_id, mxid, reason, bot)
                case Unban():
                    await server.unban(room_id, mxid, bot)
                case Invite():
                    await self._prepare(mxid)
                    await self._invite(mxid)
                case Join():
                    await self._prepare(mxid)
                    await self._join(mxid, invited=any(isinstance(one, Invite) for one in steps))
                    await self._look_back(mxid)

    async def _look_back(self, mxid: Mxid) -> None:
        """Put out at once who was taken out while the homeserver brought them in."""
        try:
            await self._prepare(mxid)
        except Overtaken:
            await self._kick(mxid, NO_MEMBER)
            raise

    async def _kick(self, mxid: Mxid, reason: str) -> None:
        try:
            await self._homeserver.kick(self._room_id, mxid, reason, self._bot)
        except Refused as error:
            # Who went by themselves meanwhile is refused as well. The log will show it.
            if isinstance(error, TokenRefused) or await self._is_inside(mxid):
                raise

    async def _is_inside(self, mxid: Mxid) -> bool:
        member = await self._homeserver.get_state(self._room_id, MEMBER, mxid, self._bot)
        return member is not None and member.get("membership") in ("join", "invite", "knock")

    async def _invite(self, mxid: Mxid) -> None:
        try:
            await self._homeserver.invite(self._room_id, mxid, self._bot)
        except Refused as error:
            # In the room or invited already, and the log does not show it yet: joining tells.
            if isinstance(error, TokenRefused) or error.status != 403:
                raise

    async def _join(self, mxid: Mxid, *, invited: bool) -> None:
        try:
            await self._homeserver.join(self._room_id, mxid)
        except Refused as error:
            if invited or isinstance(error, TokenRefused):
                raise
            # The invitation that the log shows is gone, or the room is not open any more.
            await self._homeserver.invite(self._room_id, mxid, self._bot)
            await self._homeserver.join(self._room_id, mxid)
