"""A room as the homeserver has it, and the ways in which the bridge may hear of it."""

from __future__ import annotations

from typing import Any

import msgspec

from openmeet_bridge.core.events import PORTAL_KEY, Event
from openmeet_bridge.core.ids import EventId, Mxid, PortalKind, RoomId, TenantId

BOT = Mxid("@om_bot:test")


class TrueRoom:
    """A room.

    Attributes:
        events: Everything that has happened, in true order.
        joined: Who is in.
        held: What is pushed later, overtaken by what came after it.

    Args:
        room_id: Its id.
        tenant: Whose it is; None for a room that is no portal.
    """

    def __init__(self, room_id: RoomId, tenant: TenantId | None) -> None:
        self.room_id = room_id
        self.events: list[Event] = []
        self.joined: set[Mxid] = set()
        self.held: list[Event] = []
        mark = {"tenant": tenant, "kind": PortalKind.GROUP, "slug": room_id}
        self._happen("m.room.create", {} if tenant is None else {PORTAL_KEY: mark}, BOT, "")

    def message(self) -> Event:
        """Somebody says something."""
        return self._happen("m.room.message", {"body": "Hi"}, BOT, None)

    def come_or_go(self, mxid: Mxid, how: int) -> Event:
        """Somebody comes, or leaves, or is kicked or banned."""
        if mxid not in self.joined:
            self.joined.add(mxid)
            return self._member(mxid, "join", mxid)
        self.joined.remove(mxid)
        membership, sender = (("leave", mxid), ("leave", BOT), ("ban", BOT))[how % 3]
        return self._member(mxid, membership, sender)

    def rename(self, mxid: Mxid) -> Event:
        """Somebody changes their name, or is invited where they are not in."""
        if mxid in self.joined:
            return self._member(mxid, "join", mxid, displayname="New")
        return self._member(mxid, "invite", BOT)

    def _member(self, mxid: Mxid, membership: str, sender: Mxid, **more: str) -> Event:
        return self._happen("m.room.member", {"membership": membership, **more}, sender, mxid)

    def _happen(
        self, event_type: str, content: dict[str, Any], sender: Mxid, state_key: str | None
    ) -> Event:
        event = Event(
            event_id=EventId(f"${self.room_id}-{len(self.events)}"),
            room_id=self.room_id,
            type=event_type,
            sender=sender,
            origin_server_ts=len(self.events),
            content=msgspec.Raw(msgspec.json.encode(content)),
            state_key=state_key,
        )
        self.events.append(event)
        return event
