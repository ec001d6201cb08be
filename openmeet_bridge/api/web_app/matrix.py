"""OpenMeet's web app: somebody's Matrix user, where Socket.IO is, typing, a password."""

from __future__ import annotations

import secrets
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from msgspec import Meta

from ...bridge.matrix_accounts import MatrixAccounts
from ...bridge.presence import Presence
from ...bridge.room_names import RoomNames
from ...bridge.typing import Typing
from ...core.errors import Forbidden, NotFound, Unavailable
from ..endpoint import Call, Endpoints
from ..room_paths import ID
from ..sessions import Session
from . import TAG

ENDPOINTS = Endpoints(tag=TAG, auth="web_app", lenient=True)

TOKEN_LIFETIME_MS: Final = 3_600_000
_SCHEMES: Final = ("http", "https")
_NOW_SET: Final = (
    "Matrix password set successfully. You can now use this password with any Matrix client."
)


class Provisioned(msgspec.Struct):
    """The caller's Matrix user."""

    matrixUserId: str
    provisioned: Annotated[
        bool, Meta(description="Whether it was made just now; false where it was there.")
    ]
    success: bool = True


class SocketInfo(msgspec.Struct):
    """Where Socket.IO is."""

    endpoint: Annotated[
        str, Meta(description="An origin, without a path; the namespace is `/matrix`.")
    ]
    matrixUserId: str
    authenticated: bool = True


class NamedRoom(msgspec.Struct):
    """A room, by its id or by the slug of its group or meetup."""

    room: ID


class TypingNotice(msgspec.Struct):
    """Whether the caller types."""

    isTyping: bool


class Success(msgspec.Struct):
    """It was done."""

    success: bool = True


class NewPassword(msgspec.Struct):
    """A password for Matrix clients."""

    password: Annotated[str, Meta(min_length=8, max_length=512)]


class PasswordSet(msgspec.Struct):
    """It was set."""

    message: str
    success: bool = True


class PlaceholderToken(msgspec.Struct):
    """Something to hold; nothing can be done with it."""

    accessToken: str
    expiresIn: Annotated[int, Meta(description="Milliseconds.")]


class MatrixApi:
    """The handlers below ``/api/matrix``, but for messages.

    Args:
        accounts: Makes and opens accounts.
        typing: Passes typing notices on.
        presence: Knows who is there.
        names: Knows rooms by their slugs.
        endpoint: Origin of Socket.IO; None: that at which a request comes in.
    """

    def __init__(
        self,
        accounts: MatrixAccounts,
        typing: Typing,
        presence: Presence,
        names: RoomNames,
        endpoint: str | None,
    ) -> None:
        self._accounts = accounts
        self._typing = typing
        self._presence = presence
        self._names = names
        self._endpoint = endpoint

    @ENDPOINTS.post("/api/matrix/provision-user", errors=(Unavailable,))
    async def provision_web_app_user(self, call: Call[Session, None, None, None]) -> Provisioned:
        """Let the caller's Matrix user exist. As often as one likes."""
        caller = call.caller
        mxid, new = await self._accounts.provision(caller.user, caller.mxid)
        return Provisioned(mxid, new)

    @ENDPOINTS.post("/api/matrix/websocket-info")
    async def web_app_socket(self, call: Call[Session, None, None, None]) -> SocketInfo:
        """Where Socket.IO is, and who the caller is there."""
        return SocketInfo(self._endpoint or requested_origin(call.request), call.caller.mxid)

    @ENDPOINTS.post("/api/matrix/{room}/typing", errors=(Forbidden,))
    async def web_app_typing(self, call: Call[Session, NamedRoom, None, TypingNotice]) -> Success:
        """Say that the caller types, or has stopped. Without a repetition it ends after 30 s."""
        caller = call.caller
        try:
            room_id = await self._names.find(caller.tenant_id, caller.mxid, call.path.room)
            await self._typing.say(caller.tenant_id, room_id, caller.mxid, call.body.isTyping)
        except NotFound:
            raise Forbidden("You are not in this chat room.") from None
        if call.body.isTyping:
            self._presence.say(caller.mxid, active=True)
        return Success()

    @ENDPOINTS.post("/api/matrix/set-password", errors=(Forbidden, Unavailable))
    async def set_matrix_password(
        self, call: Call[Session, None, None, NewPassword]
    ) -> PasswordSet:
        """Set the password with which the caller logs in to Matrix with another client.

        Refused (403) where the bridge has no `homeserver.admin_token`.
        """
        await self._accounts.set_password(call.caller.user, call.body.password)
        return PasswordSet(_NOW_SET)

    @ENDPOINTS.post("/api/matrix/test-broadcast", errors=(Forbidden,))
    async def broadcast_test(self, call: Call[Session, None, None, None]) -> None:
        """Always refused: what nobody has said is shown to nobody."""
        raise Forbidden("Test broadcasts are not available: send a message instead.")

    @ENDPOINTS.post("/api/matrix/token")
    async def web_app_token(self, call: Call[Session, None, None, None]) -> PlaceholderToken:
        """A placeholder, which the app wants to have before it reads messages by their room.

        It is no token of Matrix' and good for nothing: the caller's own token is what counts.
        """
        return PlaceholderToken(f"placeholder-{secrets.token_urlsafe(16)}", TOKEN_LIFETIME_MS)


def origin_of(url: str) -> str:
    """Return an address' origin: what the app puts a namespace behind."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def requested_origin(request: web.Request) -> str:
    """Return the origin at which a request came in."""
    # As the proxy before us was reached. Whoever writes this header themselves misleads themselves.
    said = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return f"{said if said in _SCHEMES else request.scheme}://{request.host}"
