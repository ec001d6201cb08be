"""People who send on and on whatever breaks, and the question whether all of it arrived."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from .openmeet import User, message_path
from .waiting import eventually
from .world import World


class Speaker:
    """Somebody who sends one message after another, and repeats what was not answered.

    Args:
        user: Who.
        room_id: Where.
        name: How the messages are told apart from those of others.
    """

    def __init__(self, user: User, room_id: str, name: str) -> None:
        self._user = user
        self._room_id = room_id
        self._name = name
        self._stop = asyncio.Event()
        self.accepted: list[str] = []

    async def speak(self) -> None:
        """Sends until :meth:`hush`; every message that was begun is seen through."""
        while not self._stop.is_set():
            body = f"{self._name} {len(self.accepted)}"
            path = message_path(self._room_id, f"{self._name}-{len(self.accepted)}")
            await eventually(lambda: self._accepted(path, body), f"{body} is accepted")  # noqa: B023
            self.accepted.append(body)
            await asyncio.sleep(0.02)

    def hush(self) -> None:
        """Says that the next message is the last."""
        self._stop.set()

    async def _accepted(self, path: str, body: str) -> bool:
        try:
            async with asyncio.timeout(5):
                answer = await self._user.ask("PUT", path, {"body": body})
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        assert answer.status in (200, 202, 503), answer
        return answer.status != 503


async def bodies(world: World, room_id: str) -> list[str]:
    """The texts of a room's messages as Synapse has them."""
    page = await world.homeserver.messages(room_id, world.bot, "b", limit=1000)
    events = [msgspec.json.decode(raw) for raw in reversed(page.chunk)]
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


async def check(world: World, room_id: str, speakers: Sequence[Speaker], reader: User) -> None:
    """Each accepted message is in the room once, in its speaker's order, and so it is read."""
    wanted = sorted(body for speaker in speakers for body in speaker.accepted)

    async def all_there() -> bool:
        there = Counter(await bodies(world, room_id))
        different = Counter(wanted) - there, there - Counter(wanted)
        assert not any(different), f"missing, too many: {different}"
        return True

    await eventually(all_there, "each message once")
    said = await bodies(world, room_id)
    for speaker in speakers:
        assert [body for body in said if body in speaker.accepted] == speaker.accepted

    async def read() -> bool:
        assert await reader.bodies(room_id) == said
        return True

    await eventually(read, "the timeline is the room")
    pending = await world.sql("SELECT FROM outbox WHERE state <> 'sent'")
    assert pending == []


@asynccontextmanager
async def speaking(*speakers: Speaker) -> AsyncIterator[None]:
    """Lets people speak for the length of the block, and end what they have begun."""
    tasks = [asyncio.create_task(speaker.speak()) for speaker in speakers]
    try:
        yield
    finally:
        for speaker in speakers:
            speaker.hush()
        await asyncio.gather(*tasks)


async def three_people(world: World) -> tuple[str, list[Speaker], User]:
    """A room with two who speak and one who reads."""
    alice, bob, carol = [await world.here.user(name) for name in ("Alice", "Bob", "Carol")]
    room_id = await world.here.group(f"faults-{secrets.token_hex(4)}", [alice, bob, carol])
    return room_id, [Speaker(alice, room_id, "alice"), Speaker(bob, room_id, "bob")], carol
