"""Who of OpenMeet's web app is calling: by header alone, in a tenant that must be named."""

from __future__ import annotations

from aiohttp import hdrs, web

from ...core.errors import MissingToken
from ..sessions import Session, Sessions, named_tenant
from .errors import TenantRequired


class Callers:
    """Tells who of the web app is calling.

    Args:
        sessions: Knows users by their tokens.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def user(self, request: web.Request) -> Session:
        """Return the user of a request.

        Raises:
            MissingToken: There is no token.
            UnknownToken: The token is not valid, or its user not known; ``TenantRequired`` where
                neither the request nor the token says of which tenant.
        """
        tenant = named_tenant(request)
        if hdrs.AUTHORIZATION not in request.headers:
            raise TenantRequired if tenant is None else MissingToken("Authentication required")
        return await self._sessions.by_header(request, tenant)

    async def guest(self, request: web.Request) -> Session | None:
        """Return the user of a request, or None for somebody who has not logged in.

        A token that is not valid is refused all the same, so that the app gets a new one instead
        of showing an empty room. Raises as :meth:`user` does.
        """
        if hdrs.AUTHORIZATION in request.headers:
            return await self.user(request)
        if named_tenant(request) is None:
            raise TenantRequired
        return None
