"""Reacting: somebody's reaction to an entry is there or is not, however often that is asked for.

What is there already, in the log or on its way, is counted; so quick changes of mind end in the
last one.
"""

from __future__ import annotations

import unicodedata

import msgspec

from ..core.actions import Action
from ..core.errors import Conflict, InvalidParam
from ..core.events import CLIENT_TXN_KEY, REDACTION
from ..core.ids import EventId
from ..core.relations import REACTION
from ..storage import outbox, outbox_changes
from ..storage.outbox import Message
from .posting import NOTHING_TO_DO, Outcome, Post, Posted, fresh_id
from .rights import entry_of, rights_of

MOST_KEYS = 50
"""Different reactions that one entry may have, before a new one is refused."""

_MOST_COUNTED = 1000

KEY_BYTES = 100
"""Longest reaction, in bytes of UTF-8: the longest emoji has 35."""


async def react(post: Post, event_id: EventId, key: str) -> Posted:
    """See to it that somebody has reacted to an entry with a key.

    Raises:
        NotFound: There is no such room or entry for them.
        Forbidden: The room does not let them react.
        InvalidParam: The key is none, or the entry has too many different ones.
        Conflict: The entry was deleted.
        LimitExceeded: Too much waits already.
    """
    _check_key(key)
    (await rights_of(post.connection, post.actor)).must_be_able_to_send(REACTION)
    line = await entry_of(post.connection, post.actor, event_id)
    await outbox_changes.lock(post.connection, post.actor.mxid, event_id)
    logged, coming = await _mine(post, event_id, key)
    if coming:
        return Posted(coming[-1])
    if logged:
        return Posted(Outcome("sent", logged[0]))
    if line.redacted_by is not None:
        raise Conflict("This message was deleted.")
    await _check_room_for_key(post, event_id, key)
    own_id = fresh_id()
    content = {
        "m.relates_to": {"rel_type": "m.annotation", "event_id": event_id, "key": key},
        CLIENT_TXN_KEY: own_id,
    }
    return Posted(
        await post.put(Action.REACT, msgspec.json.encode(content), own_id, about=event_id, key=key)
    )


async def unreact(post: Post, event_id: EventId, key: str) -> Posted:
    """See to it that somebody has not reacted to an entry with a key.

    Raises:
        NotFound: There is no such room or entry for them.
        Forbidden: The room does not let them take anything away.
        LimitExceeded: Too much waits already.
    """
    who = await rights_of(post.connection, post.actor)
    await entry_of(post.connection, post.actor, event_id)
    await outbox_changes.lock(post.connection, post.actor.mxid, event_id)
    logged, coming = await _mine(post, event_id, key)
    withdrawn = await outbox.withdraw(post.connection, [one.id for one in coming])
    sent = [one for one in coming if one.id not in withdrawn]
    result = None
    if logged or sent:
        who.must_be_able_to_send(REDACTION)
    elif not withdrawn:
        result = await outbox_changes.last(
            post.connection, post.actor.mxid, event_id, Action.UNREACT, key
        )
    for target in logged:
        result = await post.put(Action.UNREACT, about=event_id, key=key, target=target)
    for one in sent:
        result = await post.put(
            Action.UNREACT, about=event_id, key=key, target=one.event_id, target_row=one.id
        )
    return Posted(result or NOTHING_TO_DO, tuple(withdrawn))


async def _mine(post: Post, event_id: EventId, key: str) -> tuple[list[EventId], list[Message]]:
    place = post.actor.room_id, post.actor.mxid, event_id, key
    coming = await outbox_changes.coming_reactions(post.connection, *place)
    logged = await outbox_changes.logged_reactions(post.connection, *place)
    return logged, coming


def _check_key(key: str) -> None:
    problem = None
    if len(key.encode()) > KEY_BYTES:
        problem = f"has more than {KEY_BYTES} bytes of UTF-8"
    elif not key.strip():
        problem = "is empty"
    elif any(unicodedata.category(char) == "Cc" for char in key):
        problem = "holds control characters"
    if problem:
        raise InvalidParam("This cannot be a reaction.", fields={"path.key": problem})


async def _check_room_for_key(post: Post, event_id: EventId, key: str) -> None:
    place = post.actor.room_id, event_id
    keys = await outbox_changes.keys(post.connection, *place, _MOST_COUNTED)
    if key not in keys and len(keys) >= MOST_KEYS:
        raise InvalidParam(
            f"This entry has {len(keys)} different reactions already; join one of them.",
            fields={"path.key": f"would be one of more than {MOST_KEYS} different reactions"},
        )
