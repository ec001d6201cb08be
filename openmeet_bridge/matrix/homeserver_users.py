"""Users at the homeserver: accounts, devices, profiles, account data."""

from __future__ import annotations

from typing import Any

import msgspec
from mautrix.api import Method, Path
from mautrix.errors import MUserInUse

from ..core.ids import RoomId
from .answers import PresenceStatus, Profile
from .errors import Refused
from .homeserver_base import HomeserverCalls, JsonObject, acting, as_json
from .transport import Call


class _JoinedRooms(msgspec.Struct):
    joined_rooms: list[str]


class UserCalls(HomeserverCalls):
    """The calls that concern a user."""

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
            await self._send(Call("register", Method.POST, Path.v3.register, body=as_json(body)))
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
        call = Call("get_profile", Method.GET, Path.v3.profile[user_id], acting(acting_as))
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
        call = Call("joined_rooms", Method.GET, Path.v3.joined_rooms, acting(user_id))
        answer = await self._decoded(call, _JoinedRooms)
        return [RoomId(room_id) for room_id in answer.joined_rooms]

    async def get_account_data(self, user_id: str, type: str) -> dict[str, Any] | None:
        """What a user's clients keep at the homeserver under a name ("Client config")."""
        path = Path.v3.user[user_id].account_data[type]
        call = Call("get_account_data", Method.GET, path, acting(user_id))
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

    async def get_presence(self, user_id: str, acting_as: str) -> PresenceStatus:
        """How somebody is there, as far as ``acting_as`` may know ("Presence")."""
        path = Path.v3.presence[user_id].status
        call = Call("get_presence", Method.GET, path, acting(acting_as))
        return await self._decoded(call, PresenceStatus)

    async def set_presence(self, user_id: str, presence: str) -> None:
        """Says how a user is there: ``online``, ``unavailable`` or ``offline`` ("Presence").

        Synapse takes who does not sync for gone after half a minute, and accepts and ignores it
        where presence is switched off.
        """
        path = Path.v3.presence[user_id].status
        await self._put("set_presence", path, {"presence": presence}, user_id)

    async def deactivate(self, user_id: str) -> None:
        """Ends an account for good, with ``erase`` ("Account deactivation").

        Synapse asks no password of an application service for its own users. It lets whoever
        was not in the room at the time see the user's events no more; the others still do.
        """
        path = Path.v3.account.deactivate
        body = as_json({"erase": True})
        await self._send(Call("deactivate", Method.POST, path, acting(user_id), body))
