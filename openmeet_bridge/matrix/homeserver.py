"""The client-server API, spoken as the application service.

Every call names the user it acts as (``?user_id=``, application service API, "Identity
assertion"); without one Synapse acts as the registration's sender, which the bridge never
registers. All identifiers are opaque and percent-encoded. Nothing is repeated here: who calls
knows what may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import aiohttp
import msgspec
from mautrix.api import Method, Path, PathBuilder
from mautrix.errors import MNotFound, MUserInUse
from msgspec import Raw

from ..core.ids import EventId, RoomId
from .answers import (
    MessagesAnswer,
    Profile,
    SyncAnswer,
    Versions,
    Whoami,
)
from .errors import HomeserverUnavailable, Refused
from .transport import Call, Timeouts, Transport

FIRST_SYNC_SECONDS = 180.0

JsonObject = Mapping[str, Any]
T = TypeVar("T")


class _RoomCreated(msgspec.Struct):
    room_id: str


class _EventSent(msgspec.Struct):
    event_id: str


class _Chunk(msgspec.Struct):
    chunk: list[Raw]


class _JoinedRooms(msgspec.Struct):
    joined_rooms: list[str]


class _Uploaded(msgspec.Struct):
    content_uri: str


class _Pong(msgspec.Struct):
    duration_ms: int


class Homeserver:
    """One homeserver, as its application service.

    Args:
        session: HTTP session of the whole program; not closed here.
        base_url: Address of the client-server API, for example ``http://127.0.0.1:8008``.
        as_token: The registration's ``as_token``; sent in the Authorization header only.
        timeouts: Bounds of each call; 5 s to connect and 30 s in all by default.

    Every method raises :class:`~openmeet_bridge.matrix.errors.HomeserverError`: one of
    ``HomeserverUnavailable``, ``RateLimited``, ``Refused``.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        as_token: str,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - immutable
    ) -> None:
        self._transport = Transport(session, base_url, as_token, timeouts)

    # -- who is there -------------------------------------------------------------------------

    async def versions(self) -> Versions:
        """What the homeserver speaks (client-server API, "API versions").

        Asked without the token, so that it answers even where the token is wrong.
        """
        call = Call("versions", Method.GET, Path.versions, authorized=False)
        return await self._decoded(call, Versions)

    async def whoami(self, user_id: str | None = None, device_id: str | None = None) -> Whoami:
        """Whom the homeserver takes us for; proves the token ("Current account information").

        Args:
            user_id: Whom to act as; the registration's sender when None.
            device_id: Device to act as; must exist.
        """
        call = Call("whoami", Method.GET, Path.v3.account.whoami, _acting(user_id, device_id))
        return await self._decoded(call, Whoami)

    async def ping(self, appservice_id: str, transaction_id: str | None = None) -> int:
        """Asks the homeserver to call the bridge ("Application service ping", v1.7).

        Args:
            appservice_id: The registration's ``id``.
            transaction_id: Handed to the bridge's own ping endpoint.

        Returns:
            How long the homeserver's call took, in milliseconds.

        Raises:
            PingFailed: The homeserver answers, but did not reach the bridge.
        """
        body = {} if transaction_id is None else {"transaction_id": transaction_id}
        path = Path.v1.appservice[appservice_id].ping
        pong = await self._decoded(Call("ping", Method.POST, path, body=_json(body)), _Pong)
        return pong.duration_ms

    # -- users --------------------------------------------------------------------------------

    async def register_ghost(self, localpart: str) -> bool:
        """Makes sure that a user of our namespace exists ("Server admin style permissions").

        Always with ``inhibit_login``: a ghost needs neither a token nor a device of its own.

        Args:
            localpart: Without ``@`` and server.

        Returns:
            True when it was created now, False when it was there.
        """
        body = {
            "type": "m.login.application_service",
            "username": localpart,
            "inhibit_login": True,
        }
        try:
            await self._send(Call("register", Method.POST, Path.v3.register, body=_json(body)))
        except Refused as error:
            if error.errcode == MUserInUse.errcode:
                return False
            raise
        return True

    async def create_device(self, user_id: str, device_id: str, display_name: str) -> None:
        """Creates or renames a device ("Device management" of the application service API, v1.17).

        Sends that name a device are deduplicated durably by the homeserver. The device itself
        is not asserted in this call: it may not exist yet.

        Args:
            user_id: The ghost.
            device_id: Opaque id, the caller's choice.
            display_name: Shown to whoever lists the ghost's devices.
        """
        path = Path.v3.devices[device_id]
        await self._put("create_device", path, {"display_name": display_name}, user_id)

    async def get_profile(self, user_id: str, *, acting_as: str | None = None) -> Profile:
        """Global profile of any user ("Profiles").

        A server may hide whether a user exists, so "no profile" and "no user" are both an
        empty profile.

        Args:
            user_id: Whose profile.
            acting_as: Who asks.
        """
        call = Call("get_profile", Method.GET, Path.v3.profile[user_id], _acting(acting_as))
        try:
            return await self._decoded(call, Profile)
        except Refused as error:
            if error.status == 404:
                return Profile()
            raise

    async def set_displayname(self, user_id: str, displayname: str) -> None:
        """Sets the global name; costs one member event in every room of the user ("Profiles").

        Only after :meth:`register_ghost`: Synapse otherwise keeps a profile without a user, and
        the user can never be registered.
        """
        path = Path.v3.profile[user_id].displayname
        await self._put("set_displayname", path, {"displayname": displayname}, user_id)

    async def set_avatar_url(self, user_id: str, avatar_url: str) -> None:
        """Sets the global avatar, an ``mxc://`` address or empty ("Profiles").

        Order and cost as :meth:`set_displayname`.
        """
        path = Path.v3.profile[user_id].avatar_url
        await self._put("set_avatar_url", path, {"avatar_url": avatar_url}, user_id)

    async def joined_rooms(self, user_id: str) -> list[RoomId]:
        """Rooms that a user is joined to ("Room membership")."""
        call = Call("joined_rooms", Method.GET, Path.v3.joined_rooms, _acting(user_id))
        answer = await self._decoded(call, _JoinedRooms)
        return [RoomId(room_id) for room_id in answer.joined_rooms]

    async def get_account_data(self, user_id: str, type: str) -> dict[str, Any] | None:
        """What a user's clients keep at the homeserver under a name ("Client config")."""
        path = Path.v3.user[user_id].account_data[type]
        call = Call("get_account_data", Method.GET, path, _acting(user_id))
        try:
            return await self._decoded(call, dict[str, Any])
        except Refused as error:
            if error.status == 404:
                return None
            raise

    async def set_account_data(self, user_id: str, type: str, content: JsonObject) -> None:
        """Replaces what a user's clients keep under a name ("Client config")."""
        path = Path.v3.user[user_id].account_data[type]
        await self._put("set_account_data", path, content, user_id)

    async def deactivate(self, user_id: str) -> None:
        """Ends an account for good, with ``erase`` ("Account deactivation").

        Synapse asks no password of an application service for its own users. It lets whoever
        was not in the room at the time see the user's events no more; the others still do.
        """
        path = Path.v3.account.deactivate
        body = _json({"erase": True})
        await self._send(Call("deactivate", Method.POST, path, _acting(user_id), body))

    # -- media --------------------------------------------------------------------------------

    async def upload(self, content_type: str, filename: str, data: bytes, user_id: str) -> str:
        """Uploads a file ("Content repository"); returns its ``mxc://`` address.

        Args:
            content_type: What it is, for example ``image/png``.
            filename: As it is offered to who downloads it.
            data: The file.
            user_id: Whose it is.
        """
        path = PathBuilder("_matrix/media/v3/upload")
        query = _acting(user_id) | {"filename": filename}
        call = Call("upload", Method.POST, path, query, data, content_type=content_type)
        return (await self._decoded(call, _Uploaded)).content_uri

    async def delete_media(self, mxc: str, user_id: str) -> None:
        """Deletes a file from the homeserver (Synapse's admin API, "Delete local media").

        Raises:
            Refused: ``M_FORBIDDEN`` when the user is no server admin, ``M_NOT_FOUND`` when there
                is no such file.
        """
        server, _, media_id = mxc.removeprefix("mxc://").partition("/")
        path = PathBuilder("_synapse/admin/v1/media")[server][media_id]
        await self._send(Call("delete_media", Method.DELETE, path, _acting(user_id)))

    # -- rooms --------------------------------------------------------------------------------

    async def create_room(self, user_id: str, body: JsonObject) -> RoomId:
        """Creates a room ("Creation"). Not idempotent.

        Give it a ``room_alias_name``: then the alias is the lock, and a second call is refused
        with ``M_ROOM_IN_USE`` (or 409 while the first is under way).

        Args:
            user_id: The room's creator.
            body: As the specification has it.
        """
        call = Call("create_room", Method.POST, Path.v3.createRoom, _acting(user_id), _json(body))
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
            await self._send(Call("delete_alias", Method.DELETE, path, _acting(user_id)))
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

    # -- events -------------------------------------------------------------------------------

    async def send_event(
        self,
        room_id: str,
        type: str,
        txn_id: str,
        content: JsonObject | bytes,
        user_id: str,
        device_id: str | None = None,
    ) -> EventId:
        """Sends a message event ("Sending events to a room").

        With a ``device_id`` the homeserver remembers ``txn_id`` for a day, also over its own
        restart, and answers a repeated call with the same event id. ``txn_id`` must be unique
        over all ghosts: Synapse keeps one namespace for the whole application service.

        Args:
            room_id: Where to.
            type: Event type, for example ``m.room.message``.
            txn_id: Fixed for one logical message.
            content: The content; bytes are sent as they are and must be a JSON object.
            user_id: The sender.
            device_id: An existing device of the sender.

        Returns:
            The event's id.
        """
        path = Path.v3.rooms[room_id].send[type][txn_id]
        query = _acting(user_id, device_id)
        return await self._event("send_event", path, query, content)

    async def redact(
        self, room_id: str, event_id: str, txn_id: str, user_id: str, device_id: str | None = None
    ) -> EventId:
        """Takes the content of an event away for good ("Redactions").

        Repeated with the same ``txn_id`` it is one redaction, as with :meth:`send_event`.
        """
        path = Path.v3.rooms[room_id].redact[event_id][txn_id]
        return await self._event("redact", path, _acting(user_id, device_id), b"{}")

    async def send_state(
        self,
        room_id: str,
        type: str,
        state_key: str,
        content: JsonObject | bytes,
        user_id: str,
    ) -> EventId:
        """Sets a state event ("Sending events to a room").

        The same content again changes nothing and gives the id of the event that is there.
        """
        path = Path.v3.rooms[room_id].state[type][state_key]
        return await self._event("send_state", path, _acting(user_id), content)

    async def get_state(
        self, room_id: str, type: str, state_key: str, user_id: str
    ) -> dict[str, Any] | None:
        """Content of one state event, None when the room has none ("Getting events").

        Raises:
            Refused: ``M_FORBIDDEN`` when the user was never in the room.
        """
        path = Path.v3.rooms[room_id].state[type][state_key]
        call = Call("get_state", Method.GET, path, _acting(user_id))
        try:
            return await self._decoded(call, dict[str, Any])
        except Refused as error:
            if error.status == 404 and error.errcode == MNotFound.errcode:
                return None
            raise

    async def room_state(self, room_id: str, user_id: str) -> list[Raw]:
        """All current state events of a room, each with its ``room_id`` ("Getting events")."""
        path = Path.v3.rooms[room_id].state
        call = Call("room_state", Method.GET, path, _acting(user_id))
        return await self._decoded(call, list[Raw])

    async def members(self, room_id: str, user_id: str, membership: str | None = None) -> list[Raw]:
        """Current member events of a room ("Getting events").

        Args:
            room_id: The room.
            user_id: Who asks; must be in the room.
            membership: Only these: ``join``, ``invite``, ``leave``, ``ban``, ``knock``.
        """
        query = _acting(user_id)
        if membership is not None:
            query["membership"] = membership
        call = Call("members", Method.GET, Path.v3.rooms[room_id].members, query)
        return (await self._decoded(call, _Chunk)).chunk

    async def typing(
        self, room_id: str, user_id: str, typing: bool, timeout_ms: int = 30_000
    ) -> None:
        """Says that a user types, or no longer does ("Typing notifications").

        Args:
            room_id: The room.
            user_id: Who types.
            typing: Whether.
            timeout_ms: After how long the homeserver forgets it.
        """
        body: dict[str, Any] = {"typing": typing}
        if typing:
            body["timeout"] = timeout_ms
        await self._put("typing", Path.v3.rooms[room_id].typing[user_id], body, user_id)

    async def receipt(
        self, room_id: str, event_id: str, user_id: str, receipt_type: str = "m.read"
    ) -> None:
        """Marks a room as read up to an event ("Receipts")."""
        path = Path.v3.rooms[room_id].receipt[receipt_type][event_id]
        await self._send(Call("receipt", Method.POST, path, _acting(user_id), b"{}"))

    # -- history ------------------------------------------------------------------------------

    async def sync(
        self,
        user_id: str,
        since: str | None = None,
        filter: JsonObject | str | None = None,
        timeout_ms: int = 0,
    ) -> SyncAnswer:
        """What happened since a token, as one user ("Syncing").

        The user never appears online through this. Synapse refuses it for the registration's
        sender; a namespaced user may.

        Args:
            user_id: Whose view.
            since: ``next_batch`` of an earlier answer; None for a first sync.
            filter: A filter, or the id of a stored one.
            timeout_ms: How long the homeserver may wait for something new; added to the
                total time allowed for the call.
        """
        query = _acting(user_id) | {"timeout": str(timeout_ms), "set_presence": "offline"}
        if since is not None:
            query["since"] = since
        if filter is not None:
            query["filter"] = filter if isinstance(filter, str) else _json(filter).decode()
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
        query = _acting(user_id) | {"dir": dir, "limit": str(limit)}
        query |= {key: value for key, value in (("from", from_), ("to", to)) if value is not None}
        call = Call("messages", Method.GET, Path.v3.rooms[room_id].messages, query)
        return await self._decoded(call, MessagesAnswer)

    # -- how ----------------------------------------------------------------------------------

    async def _send(self, call: Call) -> bytes:
        return await self._transport.send(call)

    async def _decoded(self, call: Call, type: type[T]) -> T:
        body = await self._transport.send(call)
        try:
            return msgspec.json.decode(body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # A 200 that is not what the specification has: a proxy's page, a cut answer.
            text = f"{call.verb}: the answer is not the one of the specification"
            raise HomeserverUnavailable(text, status=200) from error

    async def _put(self, verb: str, path: PathBuilder, body: JsonObject, user_id: str) -> None:
        await self._send(Call(verb, Method.PUT, path, _acting(user_id), _json(body)))

    async def _event(
        self, verb: str, path: PathBuilder, query: dict[str, str], content: JsonObject | bytes
    ) -> EventId:
        call = Call(verb, Method.PUT, path, query, _json(content))
        return EventId((await self._decoded(call, _EventSent)).event_id)

    async def _membership(self, verb: str, room_id: str, user_id: str, body: JsonObject) -> None:
        path = PathBuilder(f"{Path.v3.rooms[room_id]}/{verb}")
        await self._send(Call(verb, Method.POST, path, _acting(user_id), _json(body)))


def _acting(user_id: str | None, device_id: str | None = None) -> dict[str, str]:
    query = {"user_id": user_id, "device_id": device_id}
    return {key: value for key, value in query.items() if value is not None}


def _target(user_id: str, reason: str | None) -> dict[str, str]:
    return {"user_id": user_id} | ({"reason": reason} if reason else {})


def _json(content: JsonObject | bytes) -> bytes:
    return content if isinstance(content, bytes) else msgspec.json.encode(content)
