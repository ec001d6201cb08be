"""Events in rooms at the homeserver: messages, redactions, state, typing, receipts."""

from __future__ import annotations

from typing import Any

import msgspec
from mautrix.api import Method, Path, PathBuilder
from mautrix.errors import MNotFound
from msgspec import Raw

from ..core.ids import EventId
from .errors import Refused
from .homeserver_base import HomeserverCalls, JsonObject, T, acting, as_json
from .transport import Call


class _Identified(msgspec.Struct):
    event_id: str


class _Chunk(msgspec.Struct):
    chunk: list[Raw]


class EventCalls(HomeserverCalls):
    """The calls that send an event to a room, or read its state."""

    async def send_event(
        self,
        room_id: str,
        type: str,
        txn_id: str,
        content: JsonObject | bytes,
        user_id: str,
        device_id: str | None = None,
    ) -> EventId:
        """Sends a message event ("Sending events to a room").

        With a ``device_id`` the homeserver remembers ``txn_id`` for a day, also over its own
        restart, and answers a repeated call with the same event id. ``txn_id`` must be unique
        over all ghosts: Synapse keeps one namespace for the whole application service.

        Args:
            room_id: Where to.
            type: Event type, for example ``m.room.message``.
            txn_id: Fixed for one logical message.
            content: The content; bytes are sent as they are and must be a JSON object.
            user_id: The sender.
            device_id: An existing device of the sender.

        Returns:
            The event's id.
        """
        path = Path.v3.rooms[room_id].send[type][txn_id]
        query = acting(user_id, device_id)
        return await self._event("send_event", path, query, content)

    async def redact(
        self,
        room_id: str,
        event_id: str,
        txn_id: str,
        user_id: str,
        device_id: str | None = None,
        content: JsonObject | bytes = b"{}",
    ) -> EventId:
        """Takes the content of an event away for good ("Redactions").

        Repeated with the same ``txn_id`` it is one redaction, as with :meth:`send_event`. The
        content may hold a ``reason``; what else it holds comes back with the redaction.
        """
        path = Path.v3.rooms[room_id].redact[event_id][txn_id]
        return await self._event("redact", path, acting(user_id, device_id), content)

    async def send_state(
        self,
        room_id: str,
        type: str,
        state_key: str,
        content: JsonObject | bytes,
        user_id: str,
    ) -> EventId:
        """Sets a state event ("Sending events to a room").

        The same content again changes nothing and gives the id of the event that is there.
        """
        path = Path.v3.rooms[room_id].state[type][state_key]
        return await self._event("send_state", path, acting(user_id), content)

    async def get_state(
        self, room_id: str, type: str, state_key: str, user_id: str
    ) -> dict[str, Any] | None:
        """Content of one state event, None when the room has none ("Getting events").

        Raises:
            Refused: ``M_FORBIDDEN`` when the user was never in the room.
        """
        query = acting(user_id)
        return await self._state(room_id, type, state_key, query, dict[str, Any])

    async def state_event_id(
        self, room_id: str, type: str, state_key: str, user_id: str
    ) -> EventId | None:
        """Returns which event holds for a piece of state, None for none ("Getting events").

        Raises:
            Refused: ``M_FORBIDDEN`` when the user was never in the room.
        """
        query = acting(user_id) | {"format": "event"}
        found = await self._state(room_id, type, state_key, query, _Identified)
        return None if found is None else EventId(found.event_id)

    async def room_state(self, room_id: str, user_id: str) -> list[Raw]:
        """All current state events of a room, each with its ``room_id`` ("Getting events")."""
        path = Path.v3.rooms[room_id].state
        call = Call("room_state", Method.GET, path, acting(user_id))
        return await self._decoded(call, list[Raw])

    async def members(self, room_id: str, user_id: str, membership: str | None = None) -> list[Raw]:
        """Current member events of a room ("Getting events").

        Args:
            room_id: The room.
            user_id: Who asks; must be in the room.
            membership: Only these: ``join``, ``invite``, ``leave``, ``ban``, ``knock``.
        """
        query = acting(user_id)
        if membership is not None:
            query["membership"] = membership
        call = Call("members", Method.GET, Path.v3.rooms[room_id].members, query)
        return (await self._decoded(call, _Chunk)).chunk

    async def typing(
        self, room_id: str, user_id: str, typing: bool, timeout_ms: int = 30_000
    ) -> None:
        """Says that a user types, or no longer does ("Typing notifications").

        Args:
            room_id: The room.
            user_id: Who types.
            typing: Whether.
            timeout_ms: After how long the homeserver forgets it.
        """
        body: dict[str, Any] = {"typing": typing}
        if typing:
            body["timeout"] = timeout_ms
        await self._put("typing", Path.v3.rooms[room_id].typing[user_id], body, user_id)

    async def receipt(
        self, room_id: str, event_id: str, user_id: str, receipt_type: str = "m.read"
    ) -> None:
        """Marks a room as read up to an event ("Receipts")."""
        path = Path.v3.rooms[room_id].receipt[receipt_type][event_id]
        await self._send(Call("receipt", Method.POST, path, acting(user_id), b"{}"))

    async def _state(
        self, room_id: str, kind: str, state_key: str, query: dict[str, str], answer: type[T]
    ) -> T | None:
        path = Path.v3.rooms[room_id].state[kind][state_key]
        try:
            return await self._decoded(Call("get_state", Method.GET, path, query), answer)
        except Refused as error:
            if error.status == 404 and error.errcode == MNotFound.errcode:
                return None
            raise

    async def _event(
        self, verb: str, path: PathBuilder, query: dict[str, str], content: JsonObject | bytes
    ) -> EventId:
        call = Call(verb, Method.PUT, path, query, as_json(content))
        return EventId((await self._decoded(call, _Identified)).event_id)
