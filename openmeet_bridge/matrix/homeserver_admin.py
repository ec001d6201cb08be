"""Synapse's admin API, spoken as an administrator: what no application service may do.

The bridge works without it; with a token, people may set passwords, and rooms can be removed.
"""

from __future__ import annotations

from mautrix.api import Method, SynapseAdminPath

from .homeserver_base import HomeserverCalls, as_json
from .transport import Call


class HomeserverAdmin(HomeserverCalls):
    """One Synapse, as its administrator.

    ``as_token`` is the access token of an administrator here. Every method raises
    :class:`~openmeet_bridge.matrix.errors.HomeserverError`.
    """

    async def set_password(self, user_id: str, password: str) -> None:
        """Gives a user a password ("Reset password"). Their devices stay: one of them is ours."""
        body = as_json({"new_password": password, "logout_devices": False})
        path = SynapseAdminPath.v1.reset_password[user_id]
        await self._send(Call("admin_set_password", Method.POST, path, body=body))

    async def remove_room(self, room_id: str) -> None:
        """Begins to remove a room with all that was said in it ("Delete Room API", version 2).

        Its id is not blocked. The homeserver goes on after its answer.
        """
        body = as_json({"block": False, "purge": True})
        path = SynapseAdminPath.v2.rooms[room_id]
        await self._send(Call("admin_remove_room", Method.DELETE, path, body=body))
