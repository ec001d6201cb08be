"""Web API v1: the caller's rooms and who is in them."""

from __future__ import annotations

import msgspec

from ..bridge.timeline import ListedWithLast, Timeline
from ..core.cursor import order_text
from ..core.entry import Entry
from ..core.errors import NotFound
from ..core.ids import Mxid, PortalKind, RoomId, UserSlug
from .endpoint import Call, Endpoints
from .room_paths import RoomPath
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")


class Room(msgspec.Struct):
    """A room of the caller's, as the list shows it.

    `unread_count` stops at 100, which means 100 or more. `read_order` is the order of the last
    entry that the caller has read.
    """

    room_id: RoomId
    kind: PortalKind
    slug: str
    name: str
    topic: str
    avatar_url: str | None
    url: str | None
    member_count: int
    last_message: Entry | None
    unread_count: int
    read_order: str | None
    can_send: bool


class RoomList(msgspec.Struct):
    """The caller's rooms, most recently active first.

    Open the stream with `cursor`, and nothing that happened since is missed.
    """

    rooms: list[Room]
    cursor: str


class Member(msgspec.Struct):
    """Somebody who is in a room or invited to it.

    `role` is OpenMeet's; null for people who come from Matrix.
    """

    mxid: Mxid
    name: str
    avatar_url: str | None
    slug: UserSlug | None
    membership: str
    power_level: int
    role: str | None


class MemberList(msgspec.Struct):
    """Everybody in a room."""

    members: list[Member]


class Rooms:
    """The handlers of rooms.

    Args:
        timeline: Reads rooms.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    @ENDPOINTS.get("/api/v1/rooms")
    async def rooms(self, call: Call[Session, None, None, None]) -> RoomList:
        """My rooms."""
        listed, cursor = await self._timeline.rooms(call.caller.tenant_id, call.caller.mxid)
        return RoomList([_room(one) for one in listed], str(cursor))

    @ENDPOINTS.get("/api/v1/rooms/{room_id}", errors=(NotFound,))
    async def room(self, call: Call[Session, RoomPath, None, None]) -> Room:
        """One of my rooms."""
        caller, room_id = call.caller, RoomId(call.path.room_id)
        return _room(await self._timeline.room(caller.tenant_id, caller.mxid, room_id))

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/members", errors=(NotFound,))
    async def members(self, call: Call[Session, RoomPath, None, None]) -> MemberList:
        """Who is in a room."""
        caller, room_id = call.caller, RoomId(call.path.room_id)
        people, levels = await self._timeline.members(caller.tenant_id, caller.mxid, room_id)
        return MemberList(
            [
                Member(
                    mxid=one.person.mxid,
                    name=one.person.name,
                    avatar_url=one.person.avatar_url,
                    slug=one.person.slug,
                    membership=one.membership,
                    power_level=levels.level(one.person.mxid),
                    role=one.role,
                )
                for one in people
            ]
        )


def _room(listed: ListedWithLast) -> Room:
    room = listed.room
    return Room(
        room_id=room.room_id,
        kind=room.kind,
        slug=room.slug,
        name=room.name,
        topic=room.topic,
        avatar_url=room.avatar_url,
        url=room.url,
        member_count=room.member_count,
        last_message=listed.last,
        unread_count=room.unread_count,
        read_order=None if room.read_key is None else order_text(room.read_key),
        can_send=listed.can_send,
    )
