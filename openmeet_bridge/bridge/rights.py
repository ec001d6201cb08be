"""Rights: who acts in which room, what they may do there, and which entries they may name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadRequest, Forbidden, NotFound, Unavailable
from ..core.events import MESSAGE, REDACTION
from ..core.ids import EventId, Mxid, RoomId, TenantId, UserSlug
from ..core.permissions import PowerLevels
from ..core.relations import REACTION
from ..storage import lines, outbox_changes, rooms
from ..storage.database import Connection
from ..storage.lines import Line
from .powers import levels_in
from .reading import readable

_VERBS = {MESSAGE: "write", REACTION: "react", REDACTION: "delete anything"}


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who does something in a room."""

    tenant: TenantId
    user_slug: UserSlug
    mxid: Mxid
    room_id: RoomId


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may do who is in a room."""

    actor: Actor
    levels: PowerLevels

    def must_be_able_to_send(self, event_type: str) -> None:
        """Raise ``Forbidden`` for who may not send events of a type."""
        if not self.levels.may_send(self.actor.mxid, event_type):
            raise Forbidden(f"You may read this room, but not {_VERBS[event_type]} in it.")

    def must_be_able_to_delete_others(self) -> None:
        """Raise ``Forbidden`` for who may not delete what others have said."""
        if not self.levels.may_redact_others(self.actor.mxid):
            raise Forbidden("In this room you may delete what you have said, and nothing else.")

    def must_be_able_to_address_all(self) -> None:
        """Raise ``Forbidden`` for who may not address everybody at once."""
        if not self.levels.may_mention_room(self.actor.mxid):
            raise Forbidden(
                "You may not address everybody in this room at once.",
                fields={"body.mention_room": "needs more power than you have in this room"},
            )


class NotYet(Unavailable):
    """An event is named that was sent, but has not come back from the homeserver.

    Args:
        event_ids: The events.
    """

    def __init__(self, event_ids: Sequence[EventId]) -> None:
        super().__init__(
            "The message was sent, but has not come back from the homeserver yet.",
            retry_after_ms=5000,
        )
        self.event_ids = event_ids


async def rights_of(connection: Connection, actor: Actor) -> Rights:
    """Return what somebody may do in a room at this moment.

    Raises:
        NotFound: They are in no such room.
    """
    if not await rooms.is_joined(connection, actor.tenant, actor.room_id, actor.mxid):
        raise NotFound("You are in no such room.")
    return Rights(actor, await levels_in(connection, actor.room_id))


async def entry_of(connection: Connection, actor: Actor, event_id: EventId) -> Line:
    """Return an entry of a room's timeline that somebody who is in the room may read.

    Raises:
        NotFound: There is no such entry, or not for them.
    """
    found = await _readable(connection, actor, [event_id])
    if event_id not in found:
        raise NotFound("The room has no such entry.", fields={"path.event_id": "unknown entry"})
    return found[event_id]


async def named_entries(
    connection: Connection, actor: Actor, wanted: Mapping[str, EventId | None]
) -> dict[str, Line]:
    """Return the entries that the fields of a request name, by field.

    Raises:
        BadRequest: A field names no entry of the room that they may read.
    """
    named = {field: event_id for field, event_id in wanted.items() if event_id is not None}
    found = await _readable(connection, actor, list(named.values())) if named else {}
    missing = {
        f"body.{field}": "is no entry of this room that you may read"
        for field, event_id in named.items()
        if event_id not in found
    }
    if missing:
        raise BadRequest("The message refers to an entry that is not there.", fields=missing)
    return {field: found[event_id] for field, event_id in named.items()}


async def _readable(
    connection: Connection, actor: Actor, event_ids: list[EventId]
) -> dict[EventId, Line]:
    wanted = [(actor.room_id, event_id) for event_id in event_ids]
    found = await lines.by_id(connection, wanted)
    if len(found) < len(set(wanted)):
        on_the_way = await outbox_changes.coming(connection, actor.room_id, event_ids)
        if on_the_way:
            raise NotYet(on_the_way)
        # What came between the two looks is there now.
        found = await lines.by_id(connection, wanted)
    part = await readable(connection, actor.room_id, actor.mxid)
    return {
        line.event_id: line
        for line in found.values()
        if line.tenant == actor.tenant and line.sort_key in part
    }
