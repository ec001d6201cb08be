"""History at the homeserver: what happened since a token, and before one."""

from __future__ import annotations

import uuid
from typing import Literal

from mautrix.api import Method, Path

from .answers import ContextAnswer, MessagesAnswer, SyncAnswer
from .homeserver_base import HomeserverCalls, JsonObject, acting, as_json
from .transport import Call

FIRST_SYNC_SECONDS = 180.0


class HistoryCalls(HomeserverCalls):
    """The calls that look back."""

    async def sync(
        self,
        user_id: str,
        since: str | None = None,
        filter: JsonObject | None = None,
        timeout_ms: int = 0,
    ) -> SyncAnswer:
        """What happened since a token, as one user ("Syncing").

        The user never appears online through this. Synapse refuses it for the registration's
        sender; a namespaced user may.

        Args:
            user_id: Whose view.
            since: ``next_batch`` of an earlier answer; None for a first sync.
            filter: A filter.
            timeout_ms: How long the homeserver may wait for something new; added to the
                total time allowed for the call.
        """
        query = acting(user_id) | {"timeout": str(timeout_ms), "set_presence": "offline"}
        if since is not None:
            query["since"] = since
        # Synapse keeps an answer for two minutes, and gives it to whoever asks the same again: who
        # broke off and begins anew would take what is old for all there is.
        wanted = {**(filter or {}), "org.openmeet.asked": uuid.uuid4().hex}
        query["filter"] = as_json(wanted).decode()
        # A first sync names every room: a homeserver may need minutes for it.
        patience = timeout_ms / 1000 + (0 if since is not None else FIRST_SYNC_SECONDS)
        call = Call("sync", Method.GET, Path.v3.sync, query, extra_seconds=patience)
        return await self._decoded(call, SyncAnswer)

    async def messages(
        self,
        room_id: str,
        user_id: str,
        dir: Literal["b", "f"],
        from_: str | None = None,
        to: str | None = None,
        limit: int = 100,
    ) -> MessagesAnswer:
        """One page of a room's history ("Getting events").

        Args:
            room_id: The room.
            user_id: Whose view.
            dir: ``b`` backwards (newest first), ``f`` forwards.
            from_: Token to start from; None for the end that ``dir`` comes from.
            to: Token to stop at.
            limit: Events a page; the homeserver may give fewer.
        """
        query = acting(user_id) | {"dir": dir, "limit": str(limit)}
        query |= {key: value for key, value in (("from", from_), ("to", to)) if value is not None}
        call = Call("messages", Method.GET, Path.v3.rooms[room_id].messages, query)
        return await self._decoded(call, MessagesAnswer)

    async def context(self, room_id: str, event_id: str, user_id: str) -> ContextAnswer:
        """Where an event stands in its room, and the state there ("Event context").

        Members are left out of the state, but for the event's own sender.

        Args:
            room_id: The room.
            event_id: The event.
            user_id: Whose view.
        """
        lazy = as_json({"lazy_load_members": True}).decode()
        query = acting(user_id) | {"limit": "0", "filter": lazy}
        path = Path.v3.rooms[room_id].context[event_id]
        return await self._decoded(Call("context", Method.GET, path, query), ContextAnswer)
