"""OpenMeet's access tokens: who is calling, until when, and nothing believed before it is checked.

python-jose does the signature and nothing else. The header is fenced before it, because the
library ignores ``crit`` and believes ``alg``; the claims are checked after it, because the library
accepts a missing ``exp`` and reads the real clock.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import aiohttp
import msgspec
from jose import jws
from jose.exceptions import JOSEError
from jose.utils import base64url_decode

from openmeet_bridge.core.errors import MissingToken, UnknownToken
from openmeet_bridge.core.ids import TenantId, UserSlug
from openmeet_bridge.openmeet.jwks import JwksKeys
from openmeet_bridge.openmeet.keys import (
    ALGORITHMS,
    KeyProblem,
    KeySource,
    StaticKey,
    pem_key,
    secret_key,
)
from openmeet_bridge.openmeet.tenants import KeySettings, Tenant, Tenants

MAX_TOKEN_BYTES = 8 * 1024
MAX_KID = 256
_KNOWN_HEADERS = 64
LEEWAY_SECONDS = 30.0
LATEST = 253402300800  # the year 10000; beyond it are mistakes, such as milliseconds

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says.

    Attributes:
        tenant: The tenant whose keys signed it.
        user_id: OpenMeet's number of the user, unique within the tenant.
        slug: The user's slug; tokens of older OpenMeet versions have none.
        subject: ``sub``, where an issuer other than OpenMeet sets it.
        expires_at_ms: ``exp`` in milliseconds since the epoch, without leeway.
        names_tenant: Whether the token itself says of which tenant it is.
        session: OpenMeet's number of the session, unique within the tenant.
        issued_at: ``iat``, in seconds since the epoch.
    """

    tenant: TenantId
    user_id: int
    slug: UserSlug | None
    subject: str | None
    expires_at_ms: int
    names_tenant: bool = True
    session: int | None = None
    issued_at: float | None = None


class NobodysToken(UnknownToken):
    """A token is good, but does not say whose it is."""

    def __init__(self) -> None:
        super().__init__("The token is not valid.")


class TokenVerifier(Protocol):
    """Checks tokens. One contract, so that the library behind it can be exchanged."""

    async def verify(self, token: str, tenant: Tenant) -> Claims:
        """Returns what a token says, if it is valid for the tenant now.

        Raises:
            MissingToken: The token is empty.
            UnknownToken: The token is expired, or not valid for whatever reason.
            Unavailable: The tenant's keys cannot be fetched.
        """
        ...


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a header may hold: ``crit``, ``jku``, ``jwk`` and their like are refused."""

    alg: str
    typ: str | None = None
    kid: str | None = None
    cty: str | None = None


class _Payload(msgspec.Struct):
    exp: int | float
    id: Any = None
    iat: int | float | None = None
    nbf: int | float | None = None
    iss: str | None = None
    aud: str | list[str] | None = None
    sub: str | None = None
    slug: str | None = None
    tenant: str | None = msgspec.field(name="tenantId", default=None)
    # Later versions of OpenMeet have text here: no reason to refuse a token.
    session: Any = msgspec.field(name="sessionId", default=None)


class _TenantOnly(msgspec.Struct):
    tenant: str | None = msgspec.field(name="tenantId", default=None)


class JoseVerifier:
    """Checks tokens with python-jose, behind fences.

    Args:
        tenants: All tenants; their keys are built here, once.
        session: For tenants with a JWKS URL; its owner closes it.
        now: Seconds since the epoch. It alone decides what is expired.
        clock: Seconds, monotonic, for the age of fetched keys.

    Raises:
        KeyProblem: A tenant's keys must not be used; the message names the tenant.
    """

    def __init__(
        self,
        tenants: Tenants,
        session: aiohttp.ClientSession | None = None,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._keys = {tenant.id: _source(tenant, session, clock) for tenant in tenants}

    async def verify(self, token: str, tenant: Tenant) -> Claims:
        """See :meth:`TokenVerifier.verify`."""
        settings = tenant.keys
        header = _header(token)
        if header.alg != settings.algorithm:
            raise _invalid()
        key = await self._keys[tenant.id].key(header.kid)
        if key is None:
            raise _invalid()
        try:
            raw = jws.verify(token, key, algorithms=[settings.algorithm])
        except (JOSEError, ValueError, TypeError) as error:
            raise _invalid() from error
        return _checked(_payload(raw), tenant, self._now())


def unverified_tenant(token: str) -> TenantId | None:
    """Returns the tenant that a token names, to choose the keys it is then checked with.

    Nothing else may be made of the answer: anybody can write such a token.

    Raises:
        UnknownToken: The token is not even shaped like one.
    """
    _header(token)
    try:
        payload = base64url_decode(token.split(".")[1].encode())
        claim = msgspec.json.decode(payload, type=_TenantOnly).tenant
    except (ValueError, RecursionError) as error:  # msgspec's and base64's errors are ValueErrors
        raise _invalid() from error
    return None if claim is None else TenantId(claim)


def check_keys(settings: KeySettings) -> None:
    """Raises ``KeyProblem`` unless the settings give one usable key for their algorithm.

    A JWKS URL is only looked at, not fetched.
    """
    sources = (settings.secret, settings.public_key, settings.jwks_url)
    if sum(source is not None for source in sources) != 1:
        raise KeyProblem("give exactly one of a secret, a public key and a JWKS URL")
    if settings.algorithm not in ALGORITHMS:
        raise KeyProblem(f"the algorithm must be one of {', '.join(sorted(ALGORITHMS))}")
    if settings.secret is not None:
        secret_key(settings.secret, settings.algorithm)
    if settings.public_key is not None:
        pem_key(settings.public_key, settings.algorithm)


def _source(
    tenant: Tenant, session: aiohttp.ClientSession | None, clock: Callable[[], float]
) -> KeySource:
    try:
        return _built(tenant.keys, session, clock)
    except KeyProblem as problem:
        raise KeyProblem(f"tenant {tenant.id!r}: {problem}") from problem


def _built(
    settings: KeySettings, session: aiohttp.ClientSession | None, clock: Callable[[], float]
) -> KeySource:
    check_keys(settings)
    if settings.secret is not None:
        return StaticKey(secret_key(settings.secret, settings.algorithm))
    if settings.public_key is not None:
        return StaticKey(pem_key(settings.public_key, settings.algorithm))
    if settings.jwks_url is None or session is None:
        raise KeyProblem("a JWKS URL needs a client session")
    return JwksKeys(settings.jwks_url, settings.algorithm, session, clock)


def _header(token: str) -> _Header:
    if not token:
        raise MissingToken("Send OpenMeet's access token as a Bearer token.")
    # The length first, so that nothing below ever sees a large token.
    if len(token) > MAX_TOKEN_BYTES or not _COMPACT.fullmatch(token):
        raise _invalid()
    try:
        header = _read_header(token.partition(".")[0])
    except (ValueError, RecursionError) as error:
        raise _invalid() from error
    if len(header.kid or "") > MAX_KID:
        raise _invalid()
    return header


@lru_cache(_KNOWN_HEADERS)
def _read_header(text: str) -> _Header:
    """Return the first part of a token: all that one issuer makes have the same one."""
    return msgspec.json.decode(base64url_decode(text.encode()), type=_Header)


def _payload(raw: bytes) -> _Payload:
    try:
        return msgspec.json.decode(raw, type=_Payload)
    except (ValueError, RecursionError) as error:
        raise _invalid() from error


def _checked(payload: _Payload, tenant: Tenant, now: float) -> Claims:
    _check_times(payload, now, tenant.keys.max_lifetime)
    _check_parties(payload, tenant)
    if not _is_number(payload.id):
        raise NobodysToken
    return Claims(
        tenant=tenant.id,
        user_id=payload.id,
        slug=UserSlug(payload.slug) if payload.slug else None,
        subject=payload.sub,
        expires_at_ms=int(payload.exp * 1000),
        names_tenant=payload.tenant is not None,
        session=payload.session if _is_number(payload.session) else None,
        issued_at=payload.iat,
    )


def _is_number(value: object) -> bool:
    """Whether something can be a row's number; ``true`` cannot."""
    return type(value) is int and 0 < value < 2**63


def _check_times(payload: _Payload, now: float, max_lifetime: float | None) -> None:
    if not 0 < payload.exp < LATEST:
        raise _invalid()
    if now >= payload.exp + LEEWAY_SECONDS:
        raise UnknownToken("The token has expired.")
    for begin in (payload.iat, payload.nbf):
        if begin is not None and not 0 <= begin <= now + LEEWAY_SECONDS:
            raise _invalid()
    if max_lifetime is not None:
        # Without iat, a token is taken as if it had been issued just now.
        begin = now if payload.iat is None else payload.iat
        if payload.exp - begin > max_lifetime + LEEWAY_SECONDS:
            raise _invalid()


def _check_parties(payload: _Payload, tenant: Tenant) -> None:
    settings = tenant.keys
    if payload.tenant is None and settings.tenant_claim_required:
        raise _invalid()
    if payload.tenant is not None and payload.tenant != tenant.id:
        raise _invalid()
    if settings.issuers and payload.iss not in settings.issuers:
        raise _invalid()
    named = [payload.aud] if isinstance(payload.aud, str) else payload.aud or []
    if settings.audiences and settings.audiences.isdisjoint(named):
        raise _invalid()


def _invalid() -> UnknownToken:
    # One sentence for every cause: which check failed is nobody's business but the log's.
    return UnknownToken("The token is not valid.")
