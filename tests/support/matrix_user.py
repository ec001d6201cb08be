"""A person with a stock Matrix client (matrix-nio), who knows nothing of the bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import nio  # type: ignore[import-untyped]

from openmeet_bridge.demo.synapse import SynapseProcess

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Seen:
    """A timeline event as the client shows it."""

    event_id: str
    sender: str
    type: str
    content: dict[str, Any]
    room_id: str

    @property
    def body(self) -> str:
        """Text of a message, empty for anything else."""
        return str(self.content.get("body", ""))


class MatrixUser:
    """One logged-in client. Make one with :func:`matrix_user`."""

    def __init__(self, client: nio.AsyncClient, access_token: str) -> None:
        self._client = client
        self.user_id: str = client.user_id
        self.access_token = access_token
        self.timeline: list[Seen] = []
        self.typing: dict[str, list[str]] = {}
        self.presence: dict[str, str] = {}
        self.invites: set[str] = set()

    async def create_room(self, **options: Any) -> str:
        """Creates a room with nio's ``room_create`` options; returns its id."""
        return str(_ok(await self._client.room_create(**options)).room_id)

    async def invite(self, room_id: str, user_id: str) -> None:
        """Invites somebody."""
        _ok(await self._client.room_invite(room_id, user_id))

    async def join(self, room_id_or_alias: str) -> str:
        """Joins; returns the room's id."""
        return str(_ok(await self._client.join(room_id_or_alias)).room_id)

    async def leave(self, room_id: str) -> None:
        """Leaves."""
        _ok(await self._client.room_leave(room_id))

    async def send(self, room_id: str, body: str) -> str:
        """Sends a text message; returns the event's id."""
        return await self.send_event(room_id, "m.room.message", {"msgtype": "m.text", "body": body})

    async def send_event(self, room_id: str, type: str, content: dict[str, Any]) -> str:
        """Sends any message event; returns the event's id."""
        return str(_ok(await self._client.room_send(room_id, type, content)).event_id)

    async def redact(self, room_id: str, event_id: str, reason: str | None = None) -> str:
        """Redacts an event; returns the redaction's id."""
        return str(_ok(await self._client.room_redact(room_id, event_id, reason)).event_id)

    async def read(self, room_id: str, event_id: str) -> None:
        """Marks the room as read up to an event."""
        _ok(await self._client.update_receipt_marker(room_id, event_id))

    async def type(self, room_id: str, typing: bool = True) -> None:
        """Says that this user types, or no longer does."""
        _ok(await self._client.room_typing(room_id, typing, 20_000))

    async def members(self, room_id: str) -> set[str]:
        """Who is joined."""
        answer = _ok(await self._client.joined_members(room_id))
        return {member.user_id for member in answer.members}

    async def messages(self, room_id: str, limit: int = 1000) -> list[Seen]:
        """The room's newest messages, oldest first, read from the server's history."""
        found: list[Seen] = []
        start: str | None = None
        while len(found) < limit:
            page = _ok(await self._client.room_messages(room_id, start, limit=100))
            events = (_seen(event, room_id) for event in page.chunk)
            found.extend(event for event in events if event.type == "m.room.message")
            start = page.end
            if not start:
                break
        return found[:limit][::-1]

    async def sync(self, timeout_ms: int = 0) -> None:
        """Fetches what is new into ``timeline``, ``typing``, ``presence`` and ``invites``."""
        answer = _ok(await self._client.sync(timeout_ms, {"room": {"timeline": {"limit": 200}}}))
        self.invites |= set(answer.rooms.invite)
        self.presence |= {one.user_id: one.presence for one in answer.presence_events}
        for room_id, room in answer.rooms.join.items():
            self.invites.discard(room_id)
            self.timeline.extend(_seen(event, room_id) for event in room.timeline.events)
            for event in room.ephemeral:
                if isinstance(event, nio.TypingNoticeEvent):
                    self.typing[room_id] = list(event.users)

    async def wait_until(
        self, holds: Callable[[MatrixUser], bool], *, seconds: float = 20.0
    ) -> None:
        """Syncs until something holds of this user's view.

        Raises:
            TimeoutError: It did not in time.
        """
        async with asyncio.timeout(seconds):
            while not holds(self):
                await self.sync(1_000)

    async def wait_for(self, room_id: str, body: str, *, seconds: float = 20.0) -> Seen:
        """Syncs until a message with this text is in the room; returns it."""

        def found() -> list[Seen]:
            return [seen for seen in self.timeline if (seen.room_id, seen.body) == (room_id, body)]

        await self.wait_until(lambda _: bool(found()), seconds=seconds)
        return found()[0]


@asynccontextmanager
async def matrix_user(synapse: SynapseProcess, name: str) -> AsyncIterator[MatrixUser]:
    """A person with an account of their own, logged in; logged out of memory at the end.

    Args:
        synapse: Where.
        name: Localpart; the account is made when it does not exist.
    """
    user_id = await asyncio.to_thread(synapse.register_user, name, PASSWORD)
    client = nio.AsyncClient(synapse.base_url, user_id)
    try:
        login = _ok(await client.login(PASSWORD))
        yield MatrixUser(client, login.access_token)
    finally:
        await client.close()


def _seen(event: Any, room_id: str) -> Seen:
    source = event.source
    return Seen(
        source.get("event_id", ""), event.sender, source["type"], source["content"], room_id
    )


def _ok(answer: Any) -> Any:
    if isinstance(answer, nio.ErrorResponse):
        raise AssertionError(f"{type(answer).__name__}: {answer}")
    return answer
