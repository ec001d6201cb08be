"""A room in which people say and change things, on a bridge with a simulated homeserver."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from openmeet_bridge.bridge.housekeeping import Housekeeping
from openmeet_bridge.storage.database import Database

from .fault_proxy import Exchange, Rule
from .openmeet import User, message_path
from .simulated_rooms import Room
from .simulated_world import SimulatedWorld, simulated_world
from .waiting import eventually
from .world import World, connected


@dataclass
class Chat:
    """A room of a bridge on a simulated homeserver, with people in it.

    Attributes:
        ann: A member.
        ben: Another.
        mia: Who may delete what others say.
        eve: Nobody of the room.
        room: As the homeserver has it.
    """

    simulated: SimulatedWorld
    world: World
    ann: User
    ben: User
    mia: User
    eve: User
    room: Room

    def path(self, *parts: str) -> str:
        """A path below the room."""
        return "/".join(["/rooms", *(quote(one, safe="") for one in (self.room.room_id, *parts))])

    async def says(self, user: User, body: str = "Hello", **more: Any) -> str:
        """Sends a message and waits until the log has it; returns its event id."""
        path = message_path(self.room.room_id)
        done = await self.sure(user, "PUT", path, {"body": body, **more})
        return await self.logged(str(done["event_id"]))

    async def sure(
        self, user: User, method: str, path: str, body: Any = None, **params: str
    ) -> dict[str, Any]:
        """Asks for something, again and again, until it is so; returns how it stands."""

        async def settled() -> dict[str, Any] | None:
            answer = await user.ask(method, path, body, params)
            assert answer.status == 200, (method, path, answer)
            return dict(answer.body)

        return await eventually(settled, f"{method} {path}") or {}

    async def logged(self, event_id: str) -> str:
        """Waits until the log has an event; returns its id."""

        async def found() -> bool:
            return bool(await self.world.sql("SELECT FROM log WHERE event_id = $1", event_id))

        await eventually(found, f"{event_id} is in the log")
        return event_id

    async def quiet(self) -> None:
        """Waits until all that was accepted is settled, and all of that is in the log."""

        async def settled() -> bool:
            return not await self.world.sql(
                "SELECT FROM outbox WHERE state = 'pending' OR (state = 'sent' AND event_id IS NOT "
                "NULL AND NOT EXISTS (SELECT FROM log WHERE log.event_id = outbox.event_id))"
            )

        await eventually(settled, "all is settled")

    def events(self, kind: str, sender: User | None = None) -> list[dict[str, Any]]:
        """The room's events of a type, at the homeserver."""
        return [
            event
            for _, event in self.room.timeline
            if event["type"] == kind and (sender is None or event["sender"] == sender.mxid)
        ]

    def about(self, event_id: str) -> list[dict[str, Any]]:
        """What is at the homeserver about an event: edits, reactions and redactions, in order."""
        return [
            event
            for _, event in self.room.timeline
            if event_id
            in (
                event["content"].get("redacts"),
                event["content"].get("m.relates_to", {}).get("event_id"),
            )
        ]

    def about_all(self, event_id: str) -> list[dict[str, Any]]:
        """The same, with what is about those again."""
        found = self.about(event_id)
        return [*found, *(more for one in found for more in self.about(one["event_id"]))]

    async def entry(self, event_id: str) -> dict[str, Any]:
        """An entry as Ann sees it."""
        entries = await self.ann.timeline(self.room.room_id)
        return next(one for one in entries if one["event_id"] == event_id)

    async def waits(self, condition: str, *arguments: object) -> bool:
        """Whether something is in the outbox that nobody has tried to send."""
        rows = await self.world.sql(
            f"SELECT FROM outbox WHERE state = 'pending' AND attempts = 0 AND {condition}",
            *arguments,
        )
        return bool(rows)

    async def forget(self) -> None:
        """Lets a month go by: nothing that was settled is in the outbox any more."""
        await self.world.sql("UPDATE outbox SET sent_at = now() - interval '31 days'")
        await self.world.sql("UPDATE outbox SET failed_at = now() - interval '31 days'")
        database = Database(self.world.settings.database_url)
        await Housekeeping(database, self.world.bot).tidy()
        await database.close()
        assert not await self.world.sql("SELECT FROM outbox")


def held_until(free: asyncio.Event) -> Rule:
    """A homeserver that takes its time."""

    async def hold(exchange: Exchange) -> web.StreamResponse:
        await free.wait()
        return await exchange.forward()

    return hold


def is_sent(exchange: Exchange) -> bool:
    """Whether something is sent to a room."""
    return "/send/" in exchange.path or "/redact/" in exchange.path


@asynccontextmanager
async def chat_at(
    folder: Path,
    database_url: str,
    *,
    send_wait: float = 0.2,
    blocks: Mapping[str, Mapping[str, Any]] = {},
) -> AsyncIterator[Chat]:
    """Runs a bridge with a room and its people for the length of the block.

    Args:
        folder: For its files.
        database_url: A migrated database.
        send_wait: Seconds for which who sends waits for the homeserver.
        blocks: Further blocks of the bridge's configuration.
    """
    limits = {"send_wait": send_wait, **blocks.get("limits", {})}
    others = {name: block for name, block in blocks.items() if name != "limits"}
    async with (
        simulated_world(folder, database_url, limits=limits, blocks=others) as simulated,
        connected(simulated.settings, simulated.homeserver.url) as world,
    ):
        ann, ben, mia, eve = [await world.here.user(name) for name in ("Ann", "Ben", "Mia", "Eve")]
        slug = f"talk-{secrets.token_hex(4)}"
        room_id = await world.here.group(slug, [ann, ben])
        await world.here.do("PUT", f"/groups/{slug}/members/{mia.slug}", {"role": "owner"})
        await world.here.settled(f"/groups/{slug}")
        room = simulated.homeserver.rooms.room(room_id)
        yield Chat(simulated, world, ann, ben, mia, eve, room)
