"""The bodies of webhooks.

What is told of a message is read from the log when it is sent, not when it was said: a message
that was redacted meanwhile is not told at all, and who has left the room is not among those told
of. The bridge keeps no second copy of what people say.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any, Final

import msgspec

from ..core.content import decoded
from ..core.directory import shown_name
from ..core.events import text_or_none
from ..core.ids import EventId, Mxid, TenantId
from ..core.showing import Names, show
from ..storage import relations, told_messages
from ..storage.database import Database
from ..storage.told_messages import Message
from ..storage.webhooks import Delivery

MOST_CHARACTERS: Final = 1000
MOST_RECIPIENTS: Final = 1000


class WebhookBodies:
    """Makes bodies.

    Args:
        database: The log and who is in which room.
        online: Whether somebody has a stream open.
    """

    def __init__(self, database: Database, online: Callable[[Mxid], bool]) -> None:
        self._database = database
        self._online = online

    async def of(self, delivery: Delivery) -> bytes | None:
        """Return the body of a webhook; None where there is nothing to tell any more.

        Raises:
            Unavailable: The database is away.
        """
        data: object
        if delivery.message is None:
            data = msgspec.Raw(delivery.payload or b"{}")
        else:
            data = await self._message(delivery.tenant, delivery.message)
        if data is None:
            return None
        moment = delivery.created_at.astimezone(UTC).isoformat(timespec="milliseconds")
        return msgspec.json.encode(
            {"type": delivery.type, "timestamp": moment.replace("+00:00", "Z"), "data": data}
        )

    async def _message(self, tenant: TenantId, event_id: EventId) -> dict[str, Any] | None:
        async with self._database.connection() as connection:
            said = await told_messages.message(connection, tenant, event_id)
            if said is None:
                return None
            edits = await relations.newest_edits(connection, [(said.room_id, event_id)])
            # One more than is told, to see whether there are more.
            found = await told_messages.listeners(connection, said, MOST_RECIPIENTS + 1)
        recipients = [
            {"slug": one.slug, "online": self._online(one.mxid), "mentioned": one.mentioned}
            for one in found
        ]
        return {
            **_told(said, edits[event_id].content if event_id in edits else None),
            "recipients": recipients[:MOST_RECIPIENTS],
            "recipients_complete": len(recipients) <= MOST_RECIPIENTS,
        }


def _told(said: Message, edit: bytes | None) -> dict[str, Any]:
    name = shown_name(said.sender_name)
    shown = show(said.type, None, said.content, Names(name), edit=edit)
    return {
        "tenant": said.tenant,
        "portal": {
            "kind": said.kind,
            "slug": said.slug,
            "name": said.portal_name,
            "url": said.url,
        },
        "room_id": said.room_id,
        "event_id": said.event_id,
        "sender": {
            "slug": said.sender_slug,
            "name": name,
            "mxid": said.sender,
        },
        "msgtype": text_or_none(decoded(said.content).get("msgtype")),
        "body": shown.open_text[:MOST_CHARACTERS],
        "timestamp": said.timestamp,
    }
