"""Deleting: what was said is taken away, with all that it came to say by edits.

A message that still waits is taken back; one that is on its way is deleted once it is there.
"""

from __future__ import annotations

import msgspec

from ..core.actions import Action
from ..core.errors import InvalidParam, NotFound
from ..core.events import CLIENT_TXN_KEY, REDACTION
from ..core.ids import ClientTxnId, EventId, Mxid, RoomId
from ..storage import outbox, outbox_changes
from ..storage.outbox import Message
from ..storage.outbox_changes import Logged
from .posting import NOTHING_TO_DO, Outcome, Post, Posted, fresh_id
from .rights import entry_of, rights_of

MOST_EDITS = 500
"""Edits of one message that are taken away with it, the newest first."""


async def delete(post: Post, event_id: EventId, reason: str | None) -> Posted:
    """See to it that an entry is deleted.

    Raises:
        NotFound: There is no such room or entry for them.
        Forbidden: It is another's, and they may not delete those; or they may do nothing here.
        InvalidParam: It is none that can be deleted.
        LimitExceeded: Too much waits already.
    """
    who = await rights_of(post.connection, post.actor)
    line = await entry_of(post.connection, post.actor, event_id)
    if line.state_key is not None:
        raise InvalidParam(
            "Only what somebody has said can be deleted.",
            fields={"path.event_id": "is a change of the room or of who is in it"},
        )
    if line.redacted_by is not None:
        return Posted(Outcome("sent", line.redacted_by))
    if line.sender != post.actor.mxid:
        who.must_be_able_to_delete_others()
    who.must_be_able_to_send(REDACTION)
    return await _delete(post, event_id, line.sender, reason)


async def take_back(post: Post, client_txn_id: ClientTxnId) -> Posted:
    """See to it that a message of one's own is not there, sent already or not.

    Raises:
        NotFound: They are in no such room, or have sent no such message to it.
        Forbidden: It was sent, and the room does not let them delete.
        LimitExceeded: Too much waits already.
    """
    actor = post.actor
    who = await rights_of(post.connection, actor)
    row = await outbox.get(post.connection, actor.tenant, actor.user_slug, client_txn_id)
    logged = await outbox_changes.logged(post.connection, actor.mxid, client_txn_id)
    if actor.room_id not in _rooms_of(row, logged):
        raise NotFound("You have sent no message with this id to this room.")
    if row is not None and await outbox.withdraw(post.connection, [row.id]):
        return Posted(NOTHING_TO_DO, (row.id,))
    event_id = logged.event_id if logged else row.event_id if row else None
    if event_id is None and row is not None and row.state == "pending":
        who.must_be_able_to_send(REDACTION)
        return await _delete_once_sent(post, row)
    if event_id is None:
        return Posted(NOTHING_TO_DO)
    blanked = await outbox_changes.redacted_by(post.connection, actor.room_id, event_id)
    if blanked is not None:
        return Posted(Outcome("sent", blanked))
    who.must_be_able_to_send(REDACTION)
    return await _delete(post, event_id, actor.mxid, None)


def _rooms_of(row: Message | None, logged: Logged | None) -> set[RoomId]:
    """Return the room to which a message went, and none for what is no message but a change."""
    if row is not None:
        return {row.room_id} if row.action is Action.SEND else set()
    return {logged.room_id} if logged is not None and logged.about is None else set()


async def _delete(post: Post, event_id: EventId, author: Mxid, reason: str | None) -> Posted:
    await outbox_changes.lock(post.connection, post.actor.mxid, event_id)
    asked = await outbox_changes.last(post.connection, post.actor.mxid, event_id, Action.DELETE)
    if asked is not None:
        return Posted(asked)
    own_id = fresh_id()
    content = {CLIENT_TXN_KEY: own_id} | ({"reason": reason} if reason else {})
    result = await post.put(
        Action.DELETE, msgspec.json.encode(content), own_id, about=event_id, target=event_id
    )
    return Posted(result, await _delete_edits(post, event_id, author))


async def _delete_edits(post: Post, event_id: EventId, author: Mxid) -> tuple[int, ...]:
    """Take away what holds the text of a message besides itself; return what was withdrawn."""
    place = post.actor.room_id, event_id, author
    coming = await outbox_changes.coming_edits(post.connection, *place)
    withdrawn = await outbox.withdraw(post.connection, [one.id for one in coming])
    for one in coming:
        if one.id not in withdrawn:
            await post.put(Action.DELETE, target=one.event_id, target_row=one.id)
    edits = await outbox_changes.logged_edits(post.connection, *place, MOST_EDITS)
    await post.redact_too(edits)
    return tuple(withdrawn)


async def _delete_once_sent(post: Post, row: Message) -> Posted:
    await outbox_changes.lock(post.connection, post.actor.mxid, EventId(str(row.id)))
    asked = await outbox_changes.redaction_of(post.connection, row.id)
    return Posted(asked or await post.put(Action.DELETE, target_row=row.id))
