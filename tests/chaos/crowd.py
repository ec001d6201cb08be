"""The crowd: who is in which room, who reads, who speaks, and who comes and goes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import aiohttp

from ..support.bridge import HERE, THERE
from ..support.matrix_user import PASSWORD
from ..support.openmeet import Backend, User
from .journal import Journal
from .plan import Plan
from .reader import Reader
from .speakers import AppSpeaker, MatrixSpeaker, Speaker, WebSpeaker
from .stage import HEARTBEAT, Stage
from .wanderer import Wanderer
from .wires import WIRES

SHORT_TOKEN = 25.0
"""Seconds for which the tokens of some readers are good: their streams end by that, too."""


@dataclass(frozen=True)
class Room:
    """A room.

    Attributes:
        history: ``shared``, or ``joined``: newcomers may not read what was before them.
        path: The group in the integration API.
    """

    name: str
    room_id: str
    backend: Backend
    history: str
    path: str


@dataclass
class Crowd:
    """Everybody."""

    rooms: list[Room] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    speakers: list[Speaker] = field(default_factory=list)
    wanderers: list[Wanderer] = field(default_factory=list)


@asynccontextmanager
async def crowd(stage: Stage, plan: Plan, journal: Journal) -> AsyncIterator[Crowd]:
    """Let people come together; they begin when they are told to."""
    # A session of its own for streams: it must not wait for connections of requests.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as streams:
        yield await _Gathering(stage, plan, journal, streams).gathered()


class _Gathering:
    def __init__(
        self, stage: Stage, plan: Plan, journal: Journal, streams: aiohttp.ClientSession
    ) -> None:
        self._stage = stage
        self._plan = plan
        self._journal = journal
        self._streams = streams
        self._here = Backend(stage.session, stage.front, HERE)
        self._there = Backend(stage.session, stage.front, THERE)
        self._made = Crowd()

    async def gathered(self) -> Crowd:
        """Make people and rooms, and wait until all are in."""
        here, there = self._here, self._there
        names = ("ann", "ben", "cleo", "dora")
        ann, ben, cleo, dora = [await here.user(name, slug=name) for name in names]
        eve, zoe = [await there.user(name, slug=name) for name in ("eve", "zoe")]
        steady = [await here.user(f"r{n}", slug=f"r{n}") for n in range(self._plan.readers)]
        restless = [await here.user(f"w{n}", slug=f"w{n}") for n in range(self._plan.wanderers)]
        lake, forest, cave, sea = await asyncio.gather(
            self._room("lake", here, "public", [*steady, ann]),
            self._room("forest", here, "authenticated", [*steady, *restless, ben, cleo]),
            self._room("cave", here, "private", [*steady, *restless, dora, cleo]),
            self._room("sea", there, "authenticated", [eve, zoe]),
        )
        self._made.rooms = [lake, forest, cave, sea]
        for number, user in enumerate([*steady, *restless, zoe]):
            self._reader(user, number)
        for user in restless:
            for room in (forest, cave):
                self._wanderer(user, room)
        self._web(ann, lake)
        self._web(ben, forest)
        self._web(dora, cave)
        self._web(eve, sea)
        self._app(cleo, forest)
        self._app(cleo, cave)
        await self._matrix(lake)
        return self._made

    async def _room(self, name: str, backend: Backend, visibility: str, people: list[User]) -> Room:
        path = f"/groups/{name}"
        await backend.do("PUT", path, {"name": name.title(), "visibility": visibility})
        for person in people:
            await backend.do("PUT", f"{path}/members/{person.slug}", {"role": "member"})
        room_id = str((await backend.settled(path))["room_id"])
        history = "joined" if visibility == "private" else "shared"
        self._journal.note("room", room=room_id, name=name, history=history)
        return Room(name, room_id, backend, history, path)

    def _reader(self, user: User, number: int) -> None:
        wire = WIRES[number % len(WIRES)]
        reader = Reader(
            f"{user.slug}/{wire}",
            user,
            wire,
            self._streams,
            self._stage.front.api_url,
            self._journal,
            self._chance(f"reader {number}"),
            naps=0 if number < len(WIRES) else self._plan.naps,
            # The web app's sockets say nothing of their own for longer than streams do.
            patience=HEARTBEAT * (6 if wire == "socketio" else 3),
            token_seconds=SHORT_TOKEN if number % 4 == 1 else 3600.0,
        )
        self._made.readers.append(reader)
        self._journal.note("reader", who=reader.name, mxid=user.mxid, wire=wire)

    def _wanderer(self, user: User, room: Room) -> None:
        chance = self._chance(f"wanderer {user.slug} {room.name}")
        wanderer = Wanderer(
            user, room.backend, room.path, room.room_id, self._journal, chance, self._plan.stay
        )
        self._made.wanderers.append(wanderer)

    def _web(self, user: User, room: Room) -> None:
        name, chance = self._speaks(user.slug, room)
        self._made.speakers.append(
            WebSpeaker(name, user, room.room_id, self._journal, chance, self._plan.pause)
        )

    def _app(self, user: User, room: Room) -> None:
        name, chance = self._speaks(user.slug, room)
        session, url = self._streams, self._stage.front.api_url
        self._made.speakers.append(
            AppSpeaker(
                name, user, room.room_id, self._journal, chance, self._plan.pause, session, url
            )
        )

    async def _matrix(self, room: Room) -> None:
        synapse = self._stage.synapse
        user_id = await asyncio.to_thread(synapse.register_user, "mat", PASSWORD)
        login = await asyncio.to_thread(synapse.login, "mat", PASSWORD)
        headers = {"Authorization": f"Bearer {login.access_token}"}
        url = f"{synapse.base_url}/_matrix/client/v3/join/{room.room_id}"
        async with self._stage.session.post(url, json={}, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        name, chance = self._speaks("mat", room)
        self._made.speakers.append(
            MatrixSpeaker(
                name,
                user_id,
                room.room_id,
                self._journal,
                chance,
                self._plan.pause,
                self._stage.session,
                synapse.base_url,
                login.access_token,
            )
        )

    def _speaks(self, who: str, room: Room) -> tuple[str, Random]:
        return f"{who}-{room.name}", self._chance(f"speaker {who} {room.name}")

    def _chance(self, what: str) -> Random:
        """Return a chance of its own for each, so that one does not disturb another."""
        return Random(f"{self._plan.seed} {what}")


async def begin(stage: Stage, made: Crowd, journal: Journal) -> None:
    """Say in each room that it begins; from there on everything is compared."""
    for room in made.rooms:
        content = {"msgtype": "m.text", "body": f"{room.name} begins"}
        event_id = await stage.homeserver.send_event(
            room.room_id, "m.room.message", secrets.token_hex(8), content, stage.bot
        )
        journal.note("begins", room=room.room_id, event=event_id)
