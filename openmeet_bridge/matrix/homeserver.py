"""The client-server API, spoken as the application service.

Every call names the user it acts as (``?user_id=``, application service API, "Identity
assertion"); without one Synapse acts as the registration's sender, which the bridge never
registers. All identifiers are opaque and percent-encoded. Nothing is repeated here: who calls
knows what may be repeated.
"""

from __future__ import annotations

import msgspec
from mautrix.api import Method, Path

from .answers import Versions, Whoami
from .homeserver_base import acting, as_json
from .homeserver_events import EventCalls
from .homeserver_history import HistoryCalls
from .homeserver_media import MediaCalls
from .homeserver_rooms import RoomCalls
from .homeserver_users import UserCalls
from .transport import Call


class _Pong(msgspec.Struct):
    duration_ms: int


class Homeserver(UserCalls, MediaCalls, RoomCalls, EventCalls, HistoryCalls):
    """One homeserver, as its application service.

    Args:
        session: HTTP session of the whole program; not closed here.
        base_url: Address of the client-server API, for example ``http://127.0.0.1:8008``.
        as_token: The registration's ``as_token``; sent in the Authorization header only.
        timeouts: Bounds of each call; 5 s to connect and 30 s in all by default.

    Every method raises :class:`~openmeet_bridge.matrix.errors.HomeserverError`: one of
    ``HomeserverUnavailable``, ``RateLimited``, ``Refused``.
    """

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
        call = Call("whoami", Method.GET, Path.v3.account.whoami, acting(user_id, device_id))
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
        pong = await self._decoded(Call("ping", Method.POST, path, body=as_json(body)), _Pong)
        return pong.duration_ms
