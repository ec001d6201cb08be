"""Web API v1: the caller's rooms and who is in them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..bridge.room_lists import ListedWithLast, RoomLists
from ..bridge.unread import Totals, total
from ..core.cursor import Cursor, order_text
from ..core.entry import Entry, Person
from ..core.errors import NotFound
from ..core.ids import Mxid, PortalKind, RoomId, UserSlug
from .endpoint import Call, Endpoints
from .room_paths import RoomPath
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")


class RoomPermissions(msgspec.Struct):
    """What the caller may do in a room.

    `send`: write messages. `react`: react to messages. `delete_others`: delete what others have
    said. `mention_room`: mention everybody at once.
    """

    send: bool
    react: bool
    delete_others: bool
    mention_room: bool


class Room(msgspec.Struct):
    """A room of the caller's, as the list shows it.

    `unread_count` and `mention_count` stop at 100, which means 100 or more. `read_order` is the
    order of the last entry that the caller has read, or of the one by which they came in.
    `marked_unread`: the caller has marked the room by hand. `direct_with`: the other one of a
    direct chat.
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
    mention_count: int
    marked_unread: bool
    read_order: str
    permissions: RoomPermissions
    direct_with: Person | None


class UnreadTotals(msgspec.Struct):
    """What the caller has not read in all rooms.

    `messages` and `mentions` are the sums of the rooms' counts. `rooms` are those of which anything
    is unread, or which are marked as unread.
    """

    messages: int
    mentions: int
    rooms: int


class RoomList(msgspec.Struct):
    """The caller's rooms, most recently active first.

    Open the stream with `cursor`, and nothing that happened since is missed.
    """

    rooms: list[Room]
    cursor: str
    unread: UnreadTotals


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
        room_lists: Reads rooms.
    """

    def __init__(self, room_lists: RoomLists) -> None:
        self._rooms = room_lists

    @ENDPOINTS.get("/api/v1/rooms")
    async def rooms(self, call: Call[Session, None, None, None]) -> RoomList:
        """My rooms."""
        listed, cursor = await self._rooms.rooms(call.caller.tenant_id, call.caller.mxid)
        return listing(listed, cursor)

    @ENDPOINTS.get("/api/v1/rooms/{room_id}", errors=(NotFound,))
    async def room(self, call: Call[Session, RoomPath, None, None]) -> Room:
        """One of my rooms."""
        caller, room_id = call.caller, RoomId(call.path.room_id)
        return _room(await self._rooms.room(caller.tenant_id, caller.mxid, room_id))

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/members", errors=(NotFound,))
    async def members(self, call: Call[Session, RoomPath, None, None]) -> MemberList:
        """Who is in a room."""
        caller, room_id = call.caller, RoomId(call.path.room_id)
        people, levels = await self._rooms.members(caller.tenant_id, caller.mxid, room_id)
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


def listing(listed: Sequence[ListedWithLast], cursor: Cursor) -> RoomList:
    """Return a list of rooms as it is answered."""
    totals = unread_totals(total([one.unread for one in listed]))
    return RoomList([_room(one) for one in listed], str(cursor), totals)


def unread_totals(found: Totals) -> UnreadTotals:
    """Return what is unread in all rooms as it is answered."""
    return UnreadTotals(found.messages, found.mentions, found.rooms)


def _room(listed: ListedWithLast) -> Room:
    room, unread, may = listed.room, listed.unread, listed.permissions
    return Room(
        room_id=room.room_id,
        kind=room.kind,
        slug=room.slug,
        name=room.name,
        topic=room.topic,
        avatar_url=room.avatar_url,
        url=room.url,
        member_count=unread.member_count,
        last_message=listed.last,
        unread_count=unread.unread_count,
        mention_count=unread.mention_count,
        marked_unread=unread.marked_unread,
        read_order=order_text(unread.read_key),
        permissions=RoomPermissions(may.send, may.react, may.delete_others, may.mention_room),
        direct_with=room.direct_with,
    )
