"""Transactions: from the bytes that Synapse pushes to events, one bad event never spoiling others.

Application service API, "Pushing events".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from ..core.errors import BadRequest, NotJson
from ..core.events import MAX_NAME_BYTES, Ephemeral, Event, name_problem
from ..core.ids import RoomId
from .salvage import elements, mended

_UNSTABLE_EPHEMERAL = "de.sorunome.msc2409.ephemeral"
_REASON_CHARACTERS = 500


@dataclass(slots=True)
class Transaction:
    """One transaction.

    Attributes:
        txn_id: The homeserver's id of it; a hint only, it may start anew from 1.
        events: What could be read, in the order in which it came.
        bad: What could not be read, ``(raw, reason)``.
        ephemeral: Typing, receipts, presence.
    """

    txn_id: str
    events: list[Event] = field(default_factory=list)
    bad: list[tuple[bytes, str]] = field(default_factory=list)
    ephemeral: list[Ephemeral] = field(default_factory=list)


class _Body(msgspec.Struct, rename={"unstable": _UNSTABLE_EPHEMERAL}):
    events: list[Event]
    ephemeral: list[Ephemeral] | None = None
    unstable: list[Ephemeral] | None = None


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_body = msgspec.json.Decoder(_Body)
_event = msgspec.json.Decoder(Event)
_ephemeral = msgspec.json.Decoder(Ephemeral)


def decode(txn_id: str, body: bytes) -> Transaction:
    """Read a transaction's body.

    Synapse may send ephemeral events under the stable and the unstable name at once: the stable
    one is read, else the other, never both.

    Raises:
        NotJson: The body is not JSON.
        BadRequest: The body as a whole is not a transaction.
    """
    try:
        # msgspec does not look into what it leaves raw: bytes that are no text would pass.
        if not body.isascii():
            body.decode("utf-8")
        whole = _body.decode(body)
    except _UNREADABLE:
        return _decode_one_by_one(txn_id, body)
    ephemeral = whole.ephemeral if whole.ephemeral is not None else whole.unstable
    transaction = Transaction(txn_id, ephemeral=ephemeral or [])
    for event in whole.events:
        _sort(transaction, event, None)
    return transaction


def decode_events(raws: Iterable[msgspec.Raw], room_id: RoomId | None = None) -> Transaction:
    """Read single events, of ``/sync`` or ``/messages``.

    Args:
        raws: The events.
        room_id: The room that the answer names around them.
    """
    transaction = Transaction("")
    for raw in raws:
        _decode_event(transaction, bytes(raw), room_id)
    return transaction


def _decode_one_by_one(txn_id: str, body: bytes) -> Transaction:
    arrays = elements(body)
    if "events" not in arrays:
        if body.lstrip()[:1] in (b"{", b"["):
            raise BadRequest("The body is not a transaction: `events` must be an array.")
        raise NotJson("The body is not JSON.")
    transaction = Transaction(txn_id)
    for raw in arrays["events"]:
        _decode_event(transaction, raw, None)
    for raw in arrays.get("ephemeral", arrays.get(_UNSTABLE_EPHEMERAL, [])):
        try:
            transaction.ephemeral.append(_ephemeral.decode(raw))
        except _UNREADABLE:
            continue  # nothing that lasts is lost with it
    return transaction


def _decode_event(transaction: Transaction, raw: bytes, room_id: RoomId | None) -> None:
    reason = ""
    for version in mended(raw):
        try:
            version.decode("utf-8")
            event = _event.decode(version)
        except _UNREADABLE as error:
            reason = reason or str(error)[:_REASON_CHARACTERS]
            continue
        if room_id is not None:
            event = msgspec.structs.replace(event, room_id=room_id)
        _sort(transaction, event, raw)
        return
    transaction.bad.append((raw, reason))


def _sort(transaction: Transaction, event: Event, raw: bytes | None) -> None:
    reason = _unusable(event)
    if reason is None:
        transaction.events.append(event)
    else:
        transaction.bad.append((raw or msgspec.json.encode(event), reason))


def _unusable(event: Event) -> str | None:
    """Return why the database could not keep an event that is JSON of the right shape."""
    if not _is_plain(event):
        problem = _name_problem(event)
        if problem:
            return problem
    if not (-(1 << 63) <= event.origin_server_ts < 1 << 63):
        return "origin_server_ts is out of range"
    if not bytes(event.content).lstrip().startswith(b"{"):
        return "content is not an object"
    return None


def _is_plain(event: Event) -> bool:
    """Whether all names are there, short and ASCII, as nearly always: one look instead of five."""
    names = (event.event_id, event.room_id, event.type, event.sender)
    text = "".join((*names, event.state_key or ""))
    return all(names) and len(text) <= MAX_NAME_BYTES and text.isascii() and "\x00" not in text


def _name_problem(event: Event) -> str | None:
    names = {
        "event_id": event.event_id,
        "room_id": event.room_id,
        "type": event.type,
        "sender": event.sender,
    }
    for key, name in names.items():
        problem = "is empty" if not name else name_problem(name)
        if problem:
            return f"{key} {problem}"
    if event.state_key and (problem := name_problem(event.state_key)):
        return f"state_key {problem}"
    return None
