"""OpenMeet's tenants: who they are, which keys sign their users' tokens, which keys they call with.

Plain values: the edge fills them from the configuration.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from openmeet_bridge.core.errors import MissingToken, UnknownToken
from openmeet_bridge.core.ids import TenantId


@dataclass(frozen=True, slots=True)
class KeySettings:
    """How the tokens of a tenant are checked. Exactly one source of keys is set.

    Attributes:
        algorithm: The one JWS algorithm: ``HS256``, ``RS256``, ``PS256`` or ``ES256``.
        secret: Shared secret, for ``HS256`` only; 32 bytes at least.
        public_key: Public key in PEM, for the other algorithms.
        jwks_url: Where the public keys are fetched from, for the other algorithms.
        issuers: Accepted values of ``iss``; empty accepts any, and none.
        audiences: Accepted values of ``aud``; empty accepts any, and none.
        tenant_claim_required: Whether a token without ``tenantId`` is refused.
        by_session: Whether one without is taken where the tenant has its session: who checks
            tokens asks OpenMeet's database.
        max_lifetime: Longest time from issue to expiry, in seconds; None for no limit.
    """

    algorithm: str
    secret: bytes | None = field(default=None, repr=False)
    public_key: str | None = None
    jwks_url: str | None = None
    issuers: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    tenant_claim_required: bool = True
    by_session: bool = False
    max_lifetime: float | None = None

    @property
    def source(self) -> bytes | str | None:
        """The secret, PEM text or URL: equal for two tenants that share their keys."""
        return self.secret or self.public_key or self.jwks_url

    @property
    def binds(self) -> bool:
        """Whether each token is bound to its tenant by something other than the key."""
        return self.tenant_claim_required or self.by_session


@dataclass(frozen=True, slots=True)
class Tenant:
    """One OpenMeet community site.

    Attributes:
        id: As OpenMeet has it; may be empty.
        name: For people.
        keys: How its users' tokens are checked.
        service_key_digests: :func:`service_key_digest` of each key its backend may call with.
        webhook_secret: With what its backend signs domain events; None: it sends none.
    """

    id: TenantId
    name: str
    keys: KeySettings
    service_key_digests: tuple[bytes, ...] = field(default=(), repr=False)
    webhook_secret: str | None = field(default=None, repr=False)


class Tenants:
    """The tenants of this bridge, by id.

    Args:
        tenants: All of them.

    Raises:
        ValueError: Two have the same id, or a token of one would be valid for another.
    """

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        self._by_id: dict[str, Tenant] = {}
        for tenant in tenants:
            if tenant.id in self._by_id:
                raise ValueError(f"the tenant {tenant.id!r} is there twice")
            for other in self._by_id.values():
                _check_apart(tenant, other)
            self._by_id[tenant.id] = tenant

    def __iter__(self) -> Iterator[Tenant]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, tenant_id: str) -> Tenant:
        """Returns a tenant, or raises ``UnknownToken``: no credentials are valid for no tenant."""
        if (tenant := self._by_id.get(tenant_id)) is None:
            raise UnknownToken("The tenant is unknown.")
        return tenant

    def by_service_key(self, tenant_id: str, key: str) -> Tenant:
        """Returns the tenant that a service key belongs to.

        Takes the same time whichever part of the key is wrong, and answers an unknown tenant as it
        answers a wrong key.

        Args:
            tenant_id: The tenant the caller wants to act for.
            key: What the caller sent.

        Raises:
            MissingToken: The key is empty.
            UnknownToken: The key is not one of that tenant.
        """
        if not key:
            raise MissingToken("Send the tenant's service key as a Bearer token.")
        given = service_key_digest(key)
        tenant = self._by_id.get(tenant_id)
        matches = False
        for digest in tenant.service_key_digests if tenant else ():
            matches |= hmac.compare_digest(digest, given)  # no early exit
        if tenant is None or not matches:
            raise UnknownToken("The service key is not valid for this tenant.")
        return tenant


def service_key_digest(key: str) -> bytes:
    """Returns the SHA-256 digest under which a service key is kept."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _check_apart(one: Tenant, other: Tenant) -> None:
    """Refuses shared keys unless something in each token tells the two tenants apart.

    OpenMeet counts its users from 1 in every tenant, so a token without a tenant is some other
    person's in the next one.
    """
    a, b = one.keys, other.keys
    if a.source != b.source or (a.binds and b.binds):
        return
    if _disjoint(a.issuers, b.issuers) or _disjoint(a.audiences, b.audiences):
        return
    raise ValueError(
        f"the tenants {one.id!r} and {other.id!r} have the same JWT key, and one of them accepts "
        "tokens without a tenantId claim: require the claim, or set jwt.tenant_claim to session, "
        "or give each its own key"
    )


def _disjoint(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one) and bool(other) and one.isdisjoint(other)
