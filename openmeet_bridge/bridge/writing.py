"""Writing: what somebody wants to say, or to say otherwise, becomes the content of an event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ..core.composing import Draft, Format, Kind, compose
from ..core.entry import fallback_name
from ..core.errors import BadRequest, Conflict, Forbidden, InvalidParam
from ..core.events import MESSAGE, UNREADABLE
from ..core.ids import ClientTxnId, EventId, Mxid, UserSlug
from ..storage import addressees, outbox_changes, relations
from ..storage.addressees import Addressee
from ..storage.database import Connection
from ..storage.lines import Line
from .rights import Rights, entry_of, named_entries

MOST_MENTIONS = 50
"""People whom one message may address."""

_SHORT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What somebody wrote.

    Attributes:
        mentions: Whom it addresses, by Matrix id or slug.
    """

    body: str
    format: Format = Format.PLAIN
    mentions: Sequence[str] = ()
    mention_room: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Text):
    """A new message.

    Attributes:
        reply_to: The entry that it answers.
        thread: The entry with which its thread began.
    """

    kind: Kind = Kind.TEXT
    reply_to: EventId | None = None
    thread: EventId | None = None


async def message_content(
    connection: Connection, who: Rights, client_txn_id: ClientTxnId, message: Message
) -> bytes:
    """Return the content of a new message.

    Raises:
        Forbidden: The room does not let them write, or address everybody.
        BadRequest: It refers to an entry or to people that are not there, or has no text.
        TooLarge: It is longer than an event can be.
    """
    who.must_be_able_to_send(MESSAGE)
    named = await named_entries(
        connection, who.actor, {"reply_to": message.reply_to, "thread": message.thread}
    )
    if "thread" in named and _is_in_thread(named["thread"]):
        raise BadRequest(
            "A thread cannot begin within a thread.",
            fields={"body.thread": "name the entry with which the thread began"},
        )
    people = await _addressed(connection, who, message)
    draft = Draft(
        body=message.body,
        client_txn_id=client_txn_id,
        format=message.format,
        kind=message.kind,
        reply_to=message.reply_to,
        thread=message.thread,
        mentioned=_names(people),
        slugs=_slugs(people),
        mention_room=message.mention_room,
    )
    return await _composed(draft)


async def edit_content(
    connection: Connection,
    who: Rights,
    event_id: EventId,
    client_txn_id: ClientTxnId,
    text: Text,
) -> bytes:
    """Return the content of an edit: it stays the kind of message that it is.

    Raises:
        NotFound: There is no such entry.
        Forbidden: It is not their own, or the room does not let them write.
        InvalidParam: It is nothing that was written.
        Conflict: It was deleted.
        BadRequest: It addresses people who are not there, or has no text.
        TooLarge: It is longer than an event can be.
    """
    who.must_be_able_to_send(MESSAGE)
    line = await entry_of(connection, who.actor, event_id)
    kind, told, room_told = await _before(connection, who, line)
    people = await _addressed(connection, who, text)
    draft = Draft(
        body=text.body,
        client_txn_id=client_txn_id,
        format=text.format,
        kind=kind,
        mentioned=_names(people),
        slugs=_slugs(people),
        mention_room=text.mention_room,
        edits=event_id,
        told=told,
        room_told=room_told,
    )
    return await _composed(draft)


async def _composed(draft: Draft) -> bytes:
    # Much Markdown takes a while, if it was written to do so. Streams go on meanwhile.
    long = len(draft.body) > _SHORT
    content = await asyncio.to_thread(compose, draft) if long else compose(draft)
    return msgspec.json.encode(content)


async def _before(
    connection: Connection, who: Rights, line: Line
) -> tuple[Kind, frozenset[Mxid], bool]:
    """Return what a message is, and whom it addresses already, where its author may edit it."""
    if line.sender != who.actor.mxid:
        raise Forbidden("Only its author may edit a message.")
    if line.redacted_by is not None or await outbox_changes.is_being_deleted(
        connection, line.room_id, line.event_id
    ):
        raise Conflict("This message was deleted.")
    content = _decode(line.content)
    kind = str(content.get("msgtype")).removeprefix("m.")
    if line.type != MESSAGE or line.state_key is not None or kind not in list(Kind):
        raise InvalidParam(
            "Only text can be edited.", fields={"path.event_id": "is no message of text"}
        )
    told, room_told = _told(content)
    edits = await relations.newest_edits(connection, [(line.room_id, line.event_id)])
    if line.event_id in edits:
        newest = _decode(edits[line.event_id].content).get("m.new_content")
        more, room_too = _told(newest if isinstance(newest, dict) else {})
        told, room_told = told | more, room_told or room_too
    return Kind(kind), told, room_told


def _told(content: dict[str, Any]) -> tuple[frozenset[Mxid], bool]:
    mentions = content.get("m.mentions")
    if not isinstance(mentions, dict):
        return frozenset(), False
    people = mentions.get("user_ids")
    named = people if isinstance(people, list) else []
    told = frozenset(Mxid(one) for one in named if isinstance(one, str))
    return told, mentions.get("room") is True


async def _addressed(connection: Connection, who: Rights, text: Text) -> list[Addressee]:
    """Return whom a text addresses, each once, in the order of the request."""
    if text.mention_room:
        who.must_be_able_to_address_all()
    if not text.mentions:
        return []
    named = set(text.mentions)
    actor = who.actor
    found = await addressees.in_room(
        connection, actor.tenant, actor.room_id, sorted(named), sorted(named)
    )
    known: dict[str, Addressee] = {one.slug: one for one in found if one.slug in named}
    known |= {one.mxid: one for one in found if one.mxid in named}
    missing = {
        f"body.mentions[{place}]": "is not in this room"
        for place, name in enumerate(text.mentions)
        if name not in known
    }
    if missing:
        raise BadRequest("The message addresses people who are not there.", fields=missing)
    return list({known[name].mxid: known[name] for name in text.mentions}.values())


def _is_in_thread(line: Line) -> bool:
    relation = _decode(line.content).get("m.relates_to")
    return isinstance(relation, dict) and relation.get("rel_type") is not None


def _names(people: Sequence[Addressee]) -> dict[Mxid, str]:
    return {one.mxid: one.name or fallback_name(one.mxid) for one in people}


def _slugs(people: Sequence[Addressee]) -> dict[Mxid, UserSlug]:
    return {one.mxid: one.slug for one in people if one.slug is not None}


def _decode(content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content)
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}
