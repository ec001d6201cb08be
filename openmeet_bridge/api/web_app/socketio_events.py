"""What clients of Socket.IO ask for, and the one object with which each is answered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
import structlog
from msgspec import Meta

from ...bridge.presence import Presence
from ...bridge.room_lists import RoomLists
from ...bridge.room_names import RoomNames
from ...bridge.streams import Streams
from ...bridge.typing import Typing
from ...bridge.web_sending import WebSending
from ...core.errors import BridgeError, Forbidden, NotFound, Unavailable
from ...core.ids import RoomId
from ...stream.hub import Hub
from .socketio_client import Client

log = structlog.get_logger(__name__)

Answer = dict[str, Any]
_Room = Annotated[str, Meta(min_length=1, max_length=255)]

_BUSY: Final = "Too many requests, try again later"
_BROKEN: Final = "Something went wrong"


class OwnRoomsWish(msgspec.Struct):
    """All of the caller's rooms."""

    userId: str | None = None


class RoomWish(msgspec.Struct):
    """A room: its id, or the slug of its group or meetup."""

    roomId: _Room


class TypingWish(msgspec.Struct):
    """Whether the caller types."""

    roomId: _Room
    isTyping: bool


class MessageWish(msgspec.Struct):
    """A message. With an id of the client's own it may be repeated."""

    roomId: _Room
    message: str
    client_id: str | None = msgspec.field(name="_clientMsgId", default=None)
    txn_id: str | None = msgspec.field(name="txnId", default=None)


class Events:
    """Answers events. No answer takes longer than a message needs to be sent.

    Args:
        rooms: Knows where people are.
        names: Finds rooms by whatever the web app calls them.
        streams: Lets streams follow rooms.
        hub: Has the streams.
        typing: Passes on who types.
        presence: Is told who is active.
        sending: Sends messages.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        rooms: RoomLists,
        names: RoomNames,
        streams: Streams,
        hub: Hub,
        typing: Typing,
        presence: Presence,
        sending: WebSending,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._rooms = rooms
        self._names = names
        self._streams = streams
        self._hub = hub
        self._typing = typing
        self._presence = presence
        self._sending = sending
        self._now = now

    async def answer(self, client: Client, name: object, payload: object) -> Answer:
        """Return the answer to an event, whatever it is. Never raises."""
        event = EVENTS.get(name) if isinstance(name, str) else None
        if event is None:
            return {"success": False, "error": "Unknown event"}
        if not client.doings.begins():
            return self._failed(event, _BUSY)
        try:
            wish = msgspec.convert(payload, event.wish)
            return {"success": True, **await event.handler(self, client, wish)}
        except (msgspec.ValidationError, UnicodeError) as error:
            return self._failed(event, f"Invalid payload: {error}")
        except BridgeError as error:
            return self._failed(event, error.message)
        except Exception:
            log.exception("socketio.event_failed", event_name=name)
            return self._failed(event, _BROKEN)
        finally:
            client.doings.ends()

    def _failed(self, event: Event, why: str) -> Answer:
        more = {"timestamp": self._ms()} if event.dated else {}
        return {"success": False, "error": f"{event.trouble}: {why}", **event.besides, **more}

    # Rooms

    async def join_user_rooms(self, client: Client, wish: OwnRoomsWish) -> Answer:
        """All rooms of the caller, which the client follows from now on."""
        if wish.userId not in (None, client.mxid, client.slug, str(client.openmeet_id)):
            raise Forbidden("Can only join your own rooms")
        rooms = await self._rooms.by_name(client.tenant_id, client.mxid)
        await self._follow(client, [one.room_id for one in rooms])
        listed = [{"id": one.room_id, "name": one.name} for one in rooms]
        return {"roomCount": len(listed), "rooms": listed}

    async def join_room(self, client: Client, wish: RoomWish) -> Answer:
        """A room of the caller's, which the client follows from now on."""
        await self._join(client, wish.roomId)
        return {}

    async def leave_room(self, client: Client, wish: RoomWish) -> Answer:
        """A room that the client follows no longer. Its user stays in it."""
        subscriber = await client.live()
        if subscriber is None:
            raise Unavailable("What you have missed is still on its way. Try again.")
        room_id = wish.roomId
        if room_id not in subscriber.rooms:
            room_id = await self._find(client, room_id)
        self._hub.unfollow(subscriber, RoomId(room_id))
        return {}

    async def subscribe(self, client: Client, wish: RoomWish) -> Answer:
        """As ``join-room``, confirmed by an event besides."""
        await self._join(client, wish.roomId)
        done = {"roomId": wish.roomId, "success": True, "timestamp": self._ms()}
        client.emit("subscription_confirmed", done)
        return {"roomId": wish.roomId, "subscribed": True, "timestamp": done["timestamp"]}

    async def subscribe_room(self, client: Client, wish: RoomWish) -> Answer:
        """As ``subscribe``, confirmed by an event of another name."""
        await self._join(client, wish.roomId)
        now = self._ms()
        client.tell(
            {"type": "room_subscribed", "roomId": wish.roomId, "success": True, "timestamp": now}
        )
        return {"roomId": wish.roomId, "subscribed": True, "timestamp": now}

    async def _join(self, client: Client, text: str) -> None:
        room_id = await self._find(client, text)
        if not await self._follow(client, [room_id]):
            raise NotFound("You are in no such room.")

    async def _follow(self, client: Client, rooms: list[RoomId]) -> set[RoomId]:
        """Let a client follow rooms; return those in which its user is."""
        subscriber = client.subscriber
        missing = [one for one in rooms if one not in subscriber.rooms]
        if missing:
            followed = await self._streams.follow(subscriber, missing)
            return followed.union(rooms).difference(set(missing) - followed)
        return set(rooms)

    async def _find(self, client: Client, text: str) -> RoomId:
        return await self._names.find(client.tenant_id, client.mxid, text)

    # Saying something

    async def type_in(self, client: Client, wish: TypingWish) -> Answer:
        """Tell the others that the caller types, or has stopped."""
        if client.doings.has_said(wish.roomId, wish.isTyping):
            return {"cached": True}
        try:
            room_id = await self._find(client, wish.roomId)
            await self._typing.say(client.tenant_id, room_id, client.mxid, wish.isTyping)
        except Unavailable:
            return {"warning": "Typing notification failed but continuing"}
        client.doings.says(wish.roomId, wish.isTyping)
        if wish.isTyping:
            self._presence.say(client.mxid, active=True)
        return {}

    async def message(self, client: Client, wish: MessageWish) -> Answer:
        """Send a message; its event's id comes as ``id``."""
        sent = await self._send(client, wish)
        return {"id": sent["messageId"]}

    async def send_message(self, client: Client, wish: MessageWish) -> Answer:
        """Send a message; its event's id comes as ``messageId``."""
        sent = await self._send(client, wish)
        return {"messageId": sent["messageId"], "timestamp": sent["timestamp"]}

    async def _send(self, client: Client, wish: MessageWish) -> Answer:
        room_id = await self._find(client, wish.roomId)
        own_id = wish.client_id or wish.txn_id
        event_id = await self._sending.send(client.actor(room_id), wish.message, own_id)
        client.doings.has_sent(wish.roomId)
        sent = {
            "success": True,
            "messageId": event_id,
            "roomId": room_id,
            "timestamp": self._ms(),
        }
        client.emit("message-sent", sent)
        client.tell({"type": "message-sent", **sent})
        return sent

    def _ms(self) -> int:
        return round(self._now() * 1000)


@dataclass(frozen=True, slots=True)
class Event:
    """An event that clients send.

    Attributes:
        wish: What it carries.
        handler: What answers it, with what the answer holds besides ``success``.
        trouble: With what the text of a failure begins.
        besides: What else a failure holds.
        dated: Whether a failure says when it was.
    """

    wish: type[msgspec.Struct]
    handler: Callable[[Events, Client, Any], Awaitable[Answer]]
    trouble: str
    besides: Answer
    dated: bool = False


_SENDING = "Error sending message"
_SUBSCRIBING = "Error subscribing to room"

EVENTS: Final = {
    "join-user-rooms": Event(
        OwnRoomsWish, Events.join_user_rooms, "Error joining rooms", {"roomCount": 0, "rooms": []}
    ),
    "join-room": Event(RoomWish, Events.join_room, "Error in join-room handler", {}),
    "leave-room": Event(RoomWish, Events.leave_room, "Error leaving room", {}),
    "typing": Event(TypingWish, Events.type_in, "Error processing typing event", {}),
    "message": Event(MessageWish, Events.message, _SENDING, {}),
    "send-message": Event(MessageWish, Events.send_message, _SENDING, {}, dated=True),
    "subscribe": Event(RoomWish, Events.subscribe, _SUBSCRIBING, {}, dated=True),
    "subscribe-room": Event(RoomWish, Events.subscribe_room, _SUBSCRIBING, {}, dated=True),
}
"""Every event that clients send, by its name."""
