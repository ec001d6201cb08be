"""Demo login: hands out the demo people's tokens to anybody. Switched on by configuration only."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ..bridge.identity import Identity
from ..core.ids import TenantId, UserSlug
from ..openmeet.signing import sign
from ..openmeet.tenants import Tenants
from .endpoint import Call, Endpoints

ENDPOINTS = Endpoints(tag="Demonstration", auth="none")

_LIFETIME = 8 * 3600.0
_MOST = 100


class DemoUser(msgspec.Struct):
    """Somebody whom a visitor can be."""

    tenant: TenantId
    tenant_name: str
    slug: UserSlug
    name: str
    jwt: str


class DemoUsers(msgspec.Struct):
    """Everybody whom a visitor can be."""

    users: list[DemoUser]


class Demo:
    """The handler of the demo login.

    Args:
        identity: Knows the users.
        tenants: Their secrets.
        now: Seconds since the epoch.
    """

    def __init__(
        self, identity: Identity, tenants: Tenants, *, now: Callable[[], float] = time.time
    ) -> None:
        self._identity = identity
        self._tenants = tenants
        self._now = now

    @ENDPOINTS.get("/api/v1/demo")
    async def demo_users(self, call: Call[None, None, None, None]) -> DemoUsers:
        """Whom can I be? Only where the bridge runs as a demonstration."""
        users = []
        for tenant in self._tenants:
            if tenant.keys.secret is None:
                continue
            secret = tenant.keys.secret.decode()
            for user in await self._identity.users(tenant.id, _MOST):
                if user.openmeet_id is None:
                    continue
                token = sign(secret, tenant.id, user.openmeet_id, user.slug, self._now(), _LIFETIME)
                users.append(DemoUser(tenant.id, tenant.name, user.slug, user.name, token))
        return DemoUsers(users)
