"""A homeserver without a network, which notes what is asked of it and tells the log at once."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from openmeet_bridge.bridge.ingest import Ingest
from openmeet_bridge.core.events import Event
from openmeet_bridge.matrix.errors import HomeserverError, Refused
from openmeet_bridge.matrix.homeserver import Homeserver

from .simulated_rooms import Json, No, Room, Rooms

Mood = Callable[[str, str], HomeserverError | None]
"""From a call and whom or what it concerns to how it fails, if it does."""

Meanwhile = Callable[[str, str], Awaitable[None]]


class NotingHomeserver:
    """Rooms, as far as portals use them.

    Args:
        server_name: Of the homeserver.
        ingest: The log.

    Attributes:
        calls: What was asked: the call and whom or what it concerns.
        mood: How calls fail.
        meanwhile: What happens while a call that has succeeded is answered.
        silent: Nothing is told to the log; :meth:`tell` makes up for it.
    """

    def __init__(self, server_name: str, ingest: Ingest) -> None:
        self.rooms = Rooms(server_name)
        self.calls: list[tuple[str, str]] = []
        self.mood: Mood = lambda *_: None
        self.meanwhile: Meanwhile | None = None
        self.silent = False
        self._ingest = ingest
        self._told = 0
        self._numbers = itertools.count(1)

    @property
    def as_homeserver(self) -> Homeserver:
        """This, where a homeserver is wanted."""
        return cast(Homeserver, self)

    def asked(self, verb: str) -> list[str]:
        """Whom or what calls of one kind concerned."""
        return [about for name, about in self.calls if name == verb]

    async def tell(self) -> None:
        """Tell the log what it has not been told."""
        new, self._told = self.rooms.stream[self._told :], len(self.rooms.stream)
        events = [msgspec.json.decode(msgspec.json.encode(event), type=Event) for event in new]
        await self._ingest.push(f"noting-{next(self._numbers)}", events, [])

    async def _do(self, verb: str, about: str, work: Callable[[], Any]) -> Any:
        self.calls.append((verb, about))
        failure = self.mood(verb, about)
        if failure is not None:
            raise failure
        try:
            done = work()
        except No as no:
            raise Refused(no.status, no.body["errcode"], str(no)) from no
        if self.meanwhile is not None:
            await self.meanwhile(verb, about)
        if not self.silent:
            await self.tell()
        return done

    def _room(self, room_id: str) -> Room:
        return self.rooms.room(room_id)

    def _seen(self, room_id: str, user_id: str) -> Room:
        """A room of which somebody may know what is in it."""
        room = self._room(room_id)
        if ("m.room.member", user_id) not in room.state:
            raise No(403, "M_FORBIDDEN", f"User {user_id} not in room {room_id}")
        return room

    # What portals ask

    async def create_room(self, user_id: str, body: Json) -> str:
        alias = body.get("room_alias_name", "")
        room = await self._do("create", alias, lambda: self.rooms.create(user_id, body))
        return str(room.room_id)

    async def resolve_alias(self, alias: str) -> str | None:
        found = await self._do("resolve", alias, lambda: self.rooms.aliases.get(alias))
        return None if found is None else str(found)

    async def create_alias(self, alias: str, room_id: str, user_id: str) -> None:
        def create() -> None:
            if alias in self.rooms.aliases:
                raise No(409, "M_UNKNOWN", "Room alias already exists.")
            self.rooms.aliases[alias] = room_id

        await self._do("create_alias", alias, create)

    async def delete_alias(self, alias: str, user_id: str) -> None:
        await self._do("delete_alias", alias, lambda: self.rooms.aliases.pop(alias, None))

    async def set_listed(self, room_id: str, listed: bool, user_id: str) -> None:
        change = self.rooms.listed.add if listed else self.rooms.listed.discard
        await self._do("list" if listed else "unlist", room_id, lambda: change(room_id))

    async def send_state(
        self, room_id: str, type: str, state_key: str, content: Json, user_id: str
    ) -> str:
        def put() -> str:
            named = {content.get("alias"), *content.get("alt_aliases", ())}
            if type == "m.room.canonical_alias" and not named <= self.rooms.aliases.keys():
                raise No(400, "M_BAD_ALIAS", "Room alias does not point to the room.")
            return self.rooms.set_state(
                self._room(room_id), user_id, type, dict(content), state_key
            )

        return str(await self._do("state", type, put))

    async def get_state(self, room_id: str, type: str, state_key: str, user_id: str) -> Json | None:
        def look() -> Json | None:
            return self._seen(room_id, user_id).content(type, state_key) or None

        return cast(Json | None, await self._do("get_state", type, look))

    async def room_state(self, room_id: str, user_id: str) -> list[bytes]:
        events = await self._do(
            "room_state", room_id, lambda: list(self._seen(room_id, user_id).state.values())
        )
        return [msgspec.json.encode(event) for event in events]

    async def send_event(
        self, room_id: str, type: str, txn_id: str, content: Json, user_id: str
    ) -> str:
        return str(
            await self._do(
                "say",
                content["body"],
                lambda: self.rooms.send(self._room(room_id), user_id, type, content),
            )
        )

    async def invite(self, room_id: str, target: str, user_id: str) -> None:
        await self._do(
            "invite", target, lambda: self.rooms.invite(self._room(room_id), user_id, target)
        )

    async def join(self, room_id: str, user_id: str) -> None:
        await self._do("join", user_id, lambda: self.rooms.join(self._room(room_id), user_id))

    async def kick(self, room_id: str, target: str, reason: str | None, user_id: str) -> None:
        await self._do(
            "kick", target, lambda: self.rooms.kick(self._room(room_id), user_id, target, reason)
        )

    async def ban(self, room_id: str, target: str, reason: str | None, user_id: str) -> None:
        await self._do(
            "ban", target, lambda: self.rooms.ban(self._room(room_id), user_id, target, reason)
        )

    async def unban(self, room_id: str, target: str, user_id: str) -> None:
        await self._do(
            "unban", target, lambda: self.rooms.unban(self._room(room_id), user_id, target)
        )
