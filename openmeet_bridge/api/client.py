"""Web API v1: who the caller is, and what stands in for their token."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ..bridge.identity import Identity
from ..core.entry import Person
from ..core.errors import UnknownToken
from ..core.ids import TenantId
from .endpoint import Call, Endpoints, Reply
from .sessions import COOKIE, Session, Sessions

ENDPOINTS = Endpoints(tag="Session")


class TenantInfo(msgspec.Struct):
    """A community site."""

    id: TenantId
    name: str


class Me(msgspec.Struct):
    """Who the caller is."""

    tenant: TenantInfo
    user: Person
    expires_at: int


class StreamTicket(msgspec.Struct):
    """A single-use ticket for a stream."""

    ticket: str
    expires_in_ms: int


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """OpenMeet's access token."""

    token: str


class Client:
    """The handlers of sessions.

    Args:
        identity: Issues tickets.
        sessions: Checks the token of a sign-in.
        secure_cookie: Whether browsers may send the cookie over https only.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        identity: Identity,
        sessions: Sessions,
        *,
        secure_cookie: bool,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._sessions = sessions
        self._secure_cookie = secure_cookie
        self._now = now

    @ENDPOINTS.get("/api/v1/me")
    async def me(self, call: Call[Session, None, None, None]) -> Me:
        """Who am I?"""
        caller = call.caller
        tenant = TenantInfo(caller.tenant.id, caller.tenant.name)
        return Me(tenant, caller.person, caller.expires_at_ms)

    @ENDPOINTS.post("/api/v1/session", auth="none", errors=(UnknownToken,))
    async def sign_in(self, call: Call[None, None, None, SignIn]) -> Reply[Me]:
        """Keep my token in a cookie.

        For pages that must survive a reload without keeping a token where scripts can read it:
        the cookie is HttpOnly. Requests that change something must then carry the header
        `X-Requested-With: openmeet`.
        """
        request = call.request
        named = request.headers.get("X-Tenant-Id", request.query.get("tenantId"))
        session = await self._sessions.by_token(call.body.token, named)
        seconds = max(0, session.expires_at_ms // 1000 - int(self._now()))
        tenant = TenantInfo(session.tenant.id, session.tenant.name)
        body = Me(tenant, session.person, session.expires_at_ms)
        return Reply(200, body, (self._cookie(call.body.token, seconds),))

    @ENDPOINTS.delete("/api/v1/session", auth="none")
    async def sign_out(self, call: Call[None, None, None, None]) -> Reply[None]:
        """Forget the cookie."""
        return Reply(200, None, (self._cookie("", 0),))

    @ENDPOINTS.post("/api/v1/stream/tickets")
    async def ticket(self, call: Call[Session, None, None, None]) -> StreamTicket:
        """Get a ticket for a stream.

        For `EventSource` and `WebSocket`, which cannot send a header. It is good once, for some
        seconds, in place of a token that must not stand in an address.
        """
        caller = call.caller
        ticket = await self._identity.issue_ticket(caller.user, caller.expires_at_ms)
        return StreamTicket(ticket, int(self._identity.ticket_lifetime * 1000))

    def _cookie(self, token: str, seconds: int) -> tuple[str, str]:
        secure = "; Secure" if self._secure_cookie else ""
        return (
            "Set-Cookie",
            f"{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
        )
