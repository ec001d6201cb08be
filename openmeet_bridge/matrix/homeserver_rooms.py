"""Rooms at the homeserver: their creation, aliases, members, and listing."""

from __future__ import annotations

import msgspec
from mautrix.api import Method, Path, PathBuilder
from mautrix.errors import MNotFound

from ..core.ids import RoomId
from .errors import Refused
from .homeserver_base import HomeserverCalls, JsonObject, acting, as_json
from .transport import Call


class _RoomCreated(msgspec.Struct):
    room_id: str


class RoomCalls(HomeserverCalls):
    """The calls that concern a room as a whole, and who is in it."""

    async def create_room(self, user_id: str, body: JsonObject) -> RoomId:
        """Creates a room ("Creation"). Not idempotent.

        Give it a ``room_alias_name``: then the alias is the lock, and a second call is refused
        with ``M_ROOM_IN_USE`` (or 409 while the first is under way).

        Args:
            user_id: The room's creator.
            body: As the specification has it.
        """
        call = Call("create_room", Method.POST, Path.v3.createRoom, acting(user_id), as_json(body))
        answer = await self._decoded(call, _RoomCreated)
        return RoomId(answer.room_id)

    async def resolve_alias(self, alias: str) -> RoomId | None:
        """The room that an alias stands for, None when it stands for none ("Room aliases")."""
        path = Path.v3.directory.room[alias]
        try:
            answer = await self._decoded(Call("resolve_alias", Method.GET, path), _RoomCreated)
        except Refused as error:
            if error.status == 404 and error.errcode == MNotFound.errcode:
                return None
            raise
        return RoomId(answer.room_id)

    async def create_alias(self, alias: str, room_id: str, user_id: str) -> None:
        """Points a new alias at a room ("Room aliases"). Refused with 409 when it is taken."""
        path = Path.v3.directory.room[alias]
        await self._put("create_alias", path, {"room_id": room_id}, user_id)

    async def delete_alias(self, alias: str, user_id: str) -> None:
        """Removes an alias; one that is gone already is fine ("Room aliases")."""
        path = Path.v3.directory.room[alias]
        try:
            await self._send(Call("delete_alias", Method.DELETE, path, acting(user_id)))
        except Refused as error:
            if error.status != 404:
                raise

    async def invite(self, room_id: str, target: str, user_id: str) -> None:
        """Invites ("Room membership"). Refused with ``M_FORBIDDEN`` for who is in the room."""
        await self._membership("invite", room_id, user_id, {"user_id": target})

    async def join(self, room_id: str, user_id: str) -> None:
        """Joins; a second time is fine ("Room membership").

        Synapse refuses who is not invited with ``M_FORBIDDEN``, who is banned with
        ``M_BAD_STATE``.
        """
        await self._membership("join", room_id, user_id, {})

    async def leave(self, room_id: str, user_id: str) -> None:
        """Leaves, or declines an invitation ("Room membership")."""
        await self._membership("leave", room_id, user_id, {})

    async def kick(self, room_id: str, target: str, reason: str | None, user_id: str) -> None:
        """Removes somebody, who may come back if invited ("Room membership")."""
        await self._membership("kick", room_id, user_id, _target(target, reason))

    async def ban(self, room_id: str, target: str, reason: str | None, user_id: str) -> None:
        """Removes somebody for good ("Room membership")."""
        await self._membership("ban", room_id, user_id, _target(target, reason))

    async def unban(self, room_id: str, target: str, user_id: str) -> None:
        """Lets somebody be invited again who was banned ("Room membership")."""
        await self._membership("unban", room_id, user_id, {"user_id": target})

    async def set_listed(self, room_id: str, listed: bool, user_id: str) -> None:
        """Shows a room in the homeserver's public directory, or not ("Listing rooms").

        Raises:
            Refused: Synapse lists only what its ``room_list_publication_rules`` allow; since 1.126
                that is nothing by default.
        """
        path = Path.v3.directory.list.room[room_id]
        body = {"visibility": "public" if listed else "private"}
        await self._put("set_listed", path, body, user_id)

    async def _membership(self, verb: str, room_id: str, user_id: str, body: JsonObject) -> None:
        path = PathBuilder(f"{Path.v3.rooms[room_id]}/{verb}")
        await self._send(Call(verb, Method.POST, path, acting(user_id), as_json(body)))


def _target(user_id: str, reason: str | None) -> dict[str, str]:
    return {"user_id": user_id} | ({"reason": reason} if reason else {})
