"""Which part of the bridge is at an address: all of it, or what OpenMeet's web app calls."""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple, Protocol
from urllib.parse import quote

import msgspec

from ...api.client import Me
from ...api.messages import SendStatus
from .client import Client
from .sse_client import SSE, WEB_APP
from .target import STREAM, WEB_APP_EVENTS
from .trouble import Broken

_HOMEWARD = "the homeserver has not taken a message in time: run `openmeet-bridge doctor`"


class Who(NamedTuple):
    """Who a caller is to the bridge; the token's end in milliseconds, where it is told."""

    mxid: str
    tenant: str | None
    expires_at: int | None


class Surface(Protocol):
    """A part of the bridge.

    Attributes:
        wire: Of its server-sent events.
        stream: Their path.
        whole: Whether it is the bridge's own API, which has all the others beside it.
    """

    wire: ClassVar[str]
    stream: ClassVar[str]
    whole: ClassVar[bool]

    async def who(self, client: Client) -> Who:
        """Return who a client is.

        Raises:
            Trouble: Nobody, or it is not told.
        """
        ...

    async def is_in(self, client: Client, room: str) -> bool:
        """Whether a client may read a room."""
        ...

    async def send(self, client: Client, room: str, name: str, text: str) -> str:
        """Send a message; return its event id.

        Raises:
            Trouble: It is not taken, or not sent in time.
        """
        ...


class OwnApi:
    """The bridge's own API."""

    wire: ClassVar[str] = SSE
    stream: ClassVar[str] = STREAM
    whole: ClassVar[bool] = True

    async def who(self, client: Client) -> Who:
        """Return who a client is."""
        me = (await client.ask("GET", "/api/v1/me")).decoded(Me)
        return Who(me.user.mxid, me.tenant.id, me.expires_at)

    async def is_in(self, client: Client, room: str) -> bool:
        """Whether a client may read a room."""
        return (await client.ask("GET", f"/api/v1/rooms/{quote(room, safe='')}")).status == 200

    async def send(self, client: Client, room: str, name: str, text: str) -> str:
        """Send a notice; return its event id."""
        path = f"/api/v1/rooms/{quote(room, safe='')}/messages/{name}"
        answer = await client.ask("PUT", path, json={"body": text, "kind": "notice"})
        event_id = answer.decoded(SendStatus).event_id
        if not event_id:
            raise Broken(_HOMEWARD)
        return event_id


class _SocketInfo(msgspec.Struct):
    matrixUserId: str


class _Said(msgspec.Struct):
    id: str


class WebAppApi:
    """What OpenMeet's web app calls."""

    wire: ClassVar[str] = WEB_APP
    stream: ClassVar[str] = WEB_APP_EVENTS
    whole: ClassVar[bool] = False

    async def who(self, client: Client) -> Who:
        """Return who a client is."""
        answer = await client.ask("POST", "/api/matrix/websocket-info")
        return Who(answer.decoded(_SocketInfo).matrixUserId, client.caller.tenant, None)

    async def is_in(self, client: Client, room: str) -> bool:
        """Whether a client may read a room."""
        path = f"/api/matrix/messages/{quote(room, safe='')}"
        return (await client.ask("GET", path, params={"limit": "1"})).status == 200

    async def send(self, client: Client, room: str, name: str, text: str) -> str:
        """Send a message; return its event id."""
        path = f"/api/matrix/messages/{quote(room, safe='')}"
        return (await client.ask("POST", path, json={"message": text})).decoded(_Said).id


OWN_API: Final = OwnApi()
WEB_APP_API: Final = WebAppApi()
