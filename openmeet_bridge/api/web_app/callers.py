"""Who of OpenMeet's web app is calling: by header alone, in a tenant that must be named."""

from __future__ import annotations

from typing import Protocol

from aiohttp import hdrs

from ...core.errors import Forbidden, MissingToken, Unavailable
from ...core.ids import TenantId
from ..asking import Asking
from ..sessions import COOKIE, Session, Sessions, UnnamedTenant, named_tenant
from .errors import TenantRequired

_ADMIN = "admin"


class Roles(Protocol):
    """Knows the roles of OpenMeet's users."""

    async def role(self, tenant: TenantId, user: int) -> str | None:
        """Return the name of a user's role at this moment.

        Raises:
            Unavailable: It cannot be told.
        """
        ...


class Callers:
    """Tells who of the web app is calling.

    Args:
        sessions: Knows users by their tokens.
        roles: Tells who is an administrator; None: nobody is.
    """

    def __init__(self, sessions: Sessions, roles: Roles | None) -> None:
        self._sessions = sessions
        self._roles = roles

    async def user(self, request: Asking) -> Session:
        """Return the user of a request.

        Raises:
            MissingToken: There is no token.
            UnknownToken: The token is not valid, or its user not known; ``TenantRequired`` where
                neither the request nor the token says of which tenant.
        """
        tenant = named_tenant(request)
        if hdrs.AUTHORIZATION not in request.headers:
            raise TenantRequired if tenant is None else MissingToken("Authentication required")
        try:
            return await self._sessions.by_header(request, tenant)
        except UnnamedTenant:
            raise TenantRequired from None

    async def guest(self, request: Asking) -> Session | None:
        """Return the user of a request, or None for somebody who has not logged in.

        A token that is not valid is refused all the same, so that the app gets a new one instead
        of showing an empty room. Raises as :meth:`user` does.
        """
        if hdrs.AUTHORIZATION in request.headers:
            return await self.user(request)
        if named_tenant(request) is None:
            raise TenantRequired
        return None

    async def stream(self, request: Asking) -> Session:
        """Return the user of a stream: as :meth:`user`, or by cookie, or by a single-use ticket.

        A browser opens streams without headers of the page's own. Raises as :meth:`user` does.
        """
        if "ticket" in request.query:
            return await self._sessions.stream(request)
        tenant = named_tenant(request)
        if hdrs.AUTHORIZATION in request.headers or not request.cookies.get(COOKIE):
            return await self.user(request)
        return await self._sessions.by_cookie(request, tenant)

    async def admin(self, request: Asking) -> Session:
        """Return the user of a request, who is an administrator of OpenMeet's at this moment.

        By OpenMeet's database, never by the token: the claim may be old, and after the token was
        renewed it no longer names the role.

        Raises:
            Forbidden: The user is none, or nobody knows.
            Unavailable: OpenMeet's database is away.

        Raises as :meth:`user` does, besides.
        """
        session = await self.user(request)
        if self._roles is None:
            raise Forbidden("Administrators are known from OpenMeet's database, which is not read.")
        number = session.user.openmeet_id
        try:
            role = None if number is None else await self._roles.role(session.tenant_id, number)
        except Unavailable as error:
            # Not the error itself, which may name hosts and tables.
            text = "Who is an administrator cannot be looked up at present: try again soon."
            raise Unavailable(text, retry_after_ms=5000) from error
        if role != _ADMIN:
            raise Forbidden("Only administrators may do this.")
        return session
