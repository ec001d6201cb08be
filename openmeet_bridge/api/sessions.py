"""Who is calling: from a token, a cookie, a ticket or a service key to a known caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from ..bridge.identity import Identity
from ..bridge.rights import Actor
from ..core.directory import User
from ..core.entry import Person
from ..core.errors import Forbidden, MissingToken, UnknownToken
from ..core.ids import Mxid, RoomId, TenantId
from ..core.naming import Naming
from ..openmeet.tenants import Tenant, Tenants
from ..openmeet.tokens import Claims, TokenVerifier, unverified_tenant
from .asking import Asking

COOKIE = "openmeet_token"
TENANT_HEADER = "X-Tenant-Id"
TENANT_QUERY = "tenantId"
GUARD_HEADER = "X-Requested-With"
GUARD_VALUE = "openmeet"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Session:
    """An OpenMeet user who calls.

    Attributes:
        tenant: The user's tenant.
        user: The user, as the directory has them at this moment.
        mxid: The user's ghost.
        expires_at_ms: When the token behind the call ends.
    """

    tenant: Tenant
    user: User
    mxid: Mxid
    expires_at_ms: int

    @property
    def tenant_id(self) -> TenantId:
        """The tenant's id."""
        return self.tenant.id

    @property
    def person(self) -> Person:
        """The user as others see them."""
        return Person(self.mxid, self.user.name, self.user.avatar_url, self.user.slug)

    def actor(self, room_id: str) -> Actor:
        """The user as somebody who does something in a room; whether they may is asked there."""
        return Actor(self.tenant_id, self.user.slug, self.mxid, RoomId(room_id))


class UnknownUser(UnknownToken):
    """A token is good, but its user is not known."""

    def __init__(self) -> None:
        super().__init__("The token is good, but its user is not known to the bridge.")


class UnnamedTenant(UnknownToken):
    """Neither a request nor its token says of which tenant it is."""

    def __init__(self) -> None:
        super().__init__(f"Name the tenant: header {TENANT_HEADER} or query {TENANT_QUERY}.")


class Newcomers(Protocol):
    """Knows users of whom the bridge has not heard."""

    async def user(self, tenant: TenantId, openmeet_id: int) -> User | None:
        """Return an active user, whom the directory has from now on.

        Raises:
            Unavailable: It cannot be told.
        """
        ...


class Sessions:
    """Tells who is calling.

    Args:
        identity: Finds the user behind a token or a ticket.
        tenants: All tenants.
        verifier: Checks tokens.
        naming: Names the ghosts.
        newcomers: Asked for users whom the directory does not have.
        origins: Other origins whose pages may open streams with a cookie.
    """

    def __init__(
        self,
        identity: Identity,
        tenants: Tenants,
        verifier: TokenVerifier,
        naming: Naming,
        newcomers: Newcomers,
        origins: frozenset[str] = frozenset(),
    ) -> None:
        self._identity = identity
        self._tenants = tenants
        self._verifier = verifier
        self._naming = naming
        self._newcomers = newcomers
        self._origins = origins

    async def user(self, request: Asking) -> Session:
        """Return the user of a request, by header or cookie.

        Raises:
            MissingToken: There is neither.
            UnknownToken: The token is not valid or was revoked, or its user is not known.
            Unavailable: What the token or its user is checked with is away.
            Forbidden: A cookie on a request that another site's page may have made.
        """
        token = _bearer(request)
        if token is None:
            token = self._cookie(request)
        return await self.by_token(token, _named_tenant(request))

    async def by_header(self, request: Asking, named: str | None) -> Session:
        """Return the user of a request's ``Authorization`` header; raises as :meth:`user` does."""
        return await self.by_token(_bearer(request) or "", named)

    async def by_cookie(self, request: Asking, named: str | None) -> Session:
        """Return the user of a request's cookie; raises as :meth:`user` does."""
        return await self.by_token(self._cookie(request), named)

    async def stream(self, request: Asking) -> Session:
        """Return the user of a stream: as :meth:`user`, or by a single-use ticket."""
        secret = request.query.get("ticket")
        return await (self.user(request) if secret is None else self._by_ticket(secret))

    async def service(self, request: web.Request) -> Tenant:
        """Return the tenant whose service key a request carries, for the tenant in its path."""
        return self._tenants.by_service_key(request.match_info["tenant"], _bearer(request) or "")

    async def by_token(self, token: str, named: str | None) -> Session:
        """Return the user of a token.

        Args:
            token: OpenMeet's access token.
            named: The tenant that the request names; without one the token must.
        """
        tenant_id = named if named is not None else unverified_tenant(token)
        if tenant_id is None:
            raise UnnamedTenant
        tenant = self._tenants.get(tenant_id)
        claims = await self._verifier.verify(token, tenant)
        user = await self._user(claims)
        return self._session(tenant, user, claims.expires_at_ms)

    async def _user(self, claims: Claims) -> User:
        named = claims.tenant, claims.user_id, claims.slug, claims.issued_at
        user = await self._identity.user(*named)
        if user is None and await self._newcomers.user(claims.tenant, claims.user_id):
            user = await self._identity.user(*named)
        if user is None:
            raise UnknownUser
        return user

    async def _by_ticket(self, secret: str) -> Session:
        spent = await self._identity.spend_ticket(secret)
        if spent is None:
            raise UnknownToken("The ticket is unknown, spent or expired: get a new one.")
        user, expires_at_ms = spent
        return self._session(self._tenants.get(user.tenant), user, expires_at_ms)

    def _session(self, tenant: Tenant, user: User, expires_at_ms: int) -> Session:
        mxid = user.mxid or self._naming.ghost(tenant.id, user.slug)
        return Session(tenant, user, mxid, expires_at_ms)

    def _cookie(self, request: Asking) -> str:
        token = request.cookies.get(COOKIE)
        if not token:
            raise MissingToken("Send OpenMeet's access token as a Bearer token.")
        guarded = request.headers.get(GUARD_HEADER) == GUARD_VALUE
        if request.method not in _SAFE_METHODS and not guarded:
            raise Forbidden(f"With a cookie, send the header {GUARD_HEADER}: {GUARD_VALUE}.")
        # A WebSocket is a GET that other sites' pages may open, with our cookie.
        if request.headers.get("Upgrade") and not self._is_own_page(request):
            raise Forbidden("Pages of this origin may not open streams with a cookie.")
        return token

    def _is_own_page(self, request: Asking) -> bool:
        origin = request.headers.get("Origin")
        # The scheme is not compared: behind a proxy we do not know our own.
        own = origin is None or origin.partition("//")[2] == request.host
        return own or origin in self._origins


def _bearer(request: Asking) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _named_tenant(request: Asking) -> str | None:
    named = request.headers.get(TENANT_HEADER)
    return named if named is not None else request.query.get(TENANT_QUERY)


def named_tenant(request: Asking) -> str | None:
    """Return the tenant that a request of OpenMeet's web app names; an empty one is none."""
    return (_named_tenant(request) or "").strip() or None
