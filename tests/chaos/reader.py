"""A client with a stream: comes back with its cursor whatever happens, and notes all it gets."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random
from typing import Any

import aiohttp

from ..support.openmeet import User
from .asking import AWAY, persist
from .journal import Journal
from .pages import entry_of, whole_timeline
from .wires import OPEN, Heard, StreamRefused, WireName


class Nap(Exception):
    """The client hangs up, as a laptop does that is closed."""


class Reader:
    """One client of one user, as an app is written after the reference of streams.

    It fetches rooms and timelines, opens a stream from there, keeps the last cursor, comes back
    with it, obeys ``reset``, and fetches a room that it has come into.

    Args:
        name: What it is called in the journal.
        user: Whose it is.
        wire: Over what it reads.
        session: Its HTTP session.
        url: Where it connects.
        journal: Gets all that comes.
        chance: When it hangs up, and how long it waits.
        naps: Seconds between two naps on average; 0 for one who takes none.
        patience: Seconds of silence after which a connection is dead.
        token_seconds: How long its tokens are good.
    """

    def __init__(
        self,
        name: str,
        user: User,
        wire: WireName,
        session: aiohttp.ClientSession,
        url: str,
        journal: Journal,
        chance: Random,
        *,
        naps: float,
        patience: float,
        token_seconds: float = 3600.0,
    ) -> None:
        self.name = name
        self.user = user
        self.wire: WireName = wire
        self.position = -1
        self.live = False
        self.silence = 0.0
        self._session = session
        self._url = url
        self._journal = journal
        self._chance = chance
        self._naps = naps
        self._patience = patience
        self._token_seconds = token_seconds
        self._cursor: str | None = None
        self._heard_at = 0.0
        self._awake = asyncio.Event()
        self._awake.set()

    async def run(self) -> None:
        """Read for ever."""
        self._heard_at = self._journal.now
        while True:
            try:
                if self._cursor is None:
                    self._cursor = await self._load()
                await self._listen()
                self._lost("it ended")
            except Nap:
                self._lost("nap")
                await asyncio.sleep(self._chance.uniform(0.2, 2) * self._naps / 4)
                self._heard_at = self._journal.now
            except (*AWAY, StreamRefused) as error:
                self._lost(f"{type(error).__name__}: {error}"[:200])
            await asyncio.sleep(self._chance.uniform(0.05, 0.6))

    def stay_awake(self) -> None:
        """Take no more naps: the run comes to its end."""
        self._naps = 0

    def hushed(self) -> None:
        """Note the longest time without a sign from any stream."""
        self._journal.note("silence", who=self.name, seconds=round(self.silence, 2))

    async def _listen(self) -> None:
        headers = self.user.headers(lifetime=self._token_seconds)
        nap_at = self._chance.expovariate(1 / self._naps) if self._naps else None
        end = None if nap_at is None else self._journal.now + nap_at
        stream = OPEN[self.wire](self._session, self._url, headers, self._cursor)
        async with contextlib.aclosing(stream):  # type: ignore[type-var]
            while True:
                async with asyncio.timeout(self._patience):
                    heard = await anext(stream, None)
                if heard is None:
                    return
                await self._take(heard)
                if end is not None and self._journal.now > end and self._naps:
                    raise Nap

    def _lost(self, why: str) -> None:
        self.live = False
        self._journal.note("lost", who=self.name, why=why, cursor=self._cursor)

    async def _take(self, heard: Heard) -> None:
        now = self._journal.now
        self.silence = max(self.silence, now - self._heard_at)
        self._heard_at = now
        room = heard.data.get("room_id")
        match heard.type:
            case "hello":
                self.live = True
                self._journal.note("opened", who=self.name, cursor=self._cursor)
            case "timeline" | "timeline.changed":
                self._journal.note("frame", who=self.name, **_shown(heard))
            case "reset":
                self._cursor = heard.data["cursor"]
                self._journal.note(
                    "reset", who=self.name, why=heard.data["reason"], cursor=self._cursor
                )
                await self._load()
            case "room.added" | "room.removed" | "typing" | "receipt" | "membership":
                self._journal.note(heard.type, who=self.name, room=room, cursor=heard.cursor)
            case "bye" | "send.failed":
                self._journal.note(heard.type, who=self.name, data=heard.data)
        if heard.cursor is not None:
            self._cursor = heard.cursor
            self.position = int(heard.cursor.rpartition("-")[2], 16)
        if heard.type == "room.added" or self._comes(heard):
            assert isinstance(room, str)
            await self._fetch(room)

    def _comes(self, heard: Heard) -> bool:
        """Whether this is how the web app hears that its user is in a room."""
        data = heard.data
        mine = data.get("state_key") == self.user.mxid and heard.type == "timeline"
        joins = mine and data.get("content", {}).get("membership") == "join"
        return bool(self.wire == "socketio" and joins)

    # Fetching

    async def _load(self) -> str:
        """Fetch rooms and timelines; return from where to go on."""
        answer = await persist(lambda: self.user.ask("GET", "/rooms"), "rooms", self._chance)
        assert answer.status == 200, answer
        rooms = answer.body
        ids = [room["room_id"] for room in rooms["rooms"]]
        self._journal.note("loaded", who=self.name, rooms=ids, cursor=rooms["cursor"])
        for room_id in ids:
            await self._fetch(room_id)
        return str(rooms["cursor"])

    async def _fetch(self, room_id: str) -> None:
        entries = await whole_timeline(self.user, room_id, self._chance)
        if entries is None:
            self._journal.note("gone", who=self.name, room=room_id)
        else:
            self._journal.note("fetched", who=self.name, room=room_id, entries=entries)


def _shown(heard: Heard) -> dict[str, Any]:
    return {
        "type": heard.type,
        "cursor": heard.cursor,
        "room": heard.data["room_id"],
        **entry_of(heard.data),
    }
