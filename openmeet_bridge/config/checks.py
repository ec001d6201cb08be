"""Rules that a type cannot say: addresses that make sense, one family of keys for each tenant."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ..core.errors import ConfigError
from ..core.webhooks import signing_key
from .model import EMBEDDED, LOCAL, Config, JwtSection, TenantSection
from .openmeet import OpenMeetSection, WebhookSection
from .rules_checks import check_rules
from .values import Source

LEAST_SECRET_BYTES: Final = 32
LEAST_RSA_BITS: Final = 2048
LEAST_SERVICE_KEY: Final = 16
LEAST_WEBHOOK_SECRET: Final = 24
LEAST_HEARTBEAT: Final = 1
MOST_HEARTBEAT: Final = 55
MOST_SOCKET_PATH: Final = 90
"""Linux takes 107; a number may follow, and while it is made another one."""
_POSTGRES: Final = ("postgresql://", "postgres://")
_BUSES: Final = ("valkey", "valkeys", "redis", "rediss")
_SERVER_NAME: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


def check(source: Source, config: Config) -> None:
    """Checks a configuration that has the right types.

    Raises:
        ConfigError: For the first rule that is broken.
    """
    _check_url(source, "homeserver.url", config.homeserver.url)
    if not _SERVER_NAME.fullmatch(config.homeserver.server_name):
        reason = "expected what follows the colon in a Matrix id, for example example.org"
        raise source.error("homeserver.server_name", reason)
    if config.public_url is not None:
        _check_url(source, "public_url", config.public_url)
    if not config.embedded and not config.database.startswith(_POSTGRES):
        raise source.error("database", "expected embedded or a postgresql:// address")
    if config.bus not in (LOCAL, EMBEDDED):
        _check_bus(source, config.bus)
    if config.workers > 1 and config.bus == LOCAL:
        reason = "several workers need a valkey:// address, or `embedded` for development"
        raise source.error("bus", reason)
    _check_listeners(source, config)
    if config.listen.public_socket is not None:
        _check_socket(source, config.listen.public_socket)
    _check_proxies(source, config.listen.trusted_proxies)
    _check_heartbeat(source, config.stream.heartbeat)
    _check_origins(source, config.web.allowed_origins)
    if config.jwt_default is not None:
        _check_jwt(source, "jwt_default", config.jwt_default)
    _check_openmeet(source, config.openmeet)
    if config.web_app.endpoint is not None:
        _check_origin(source, "web_app.endpoint", config.web_app.endpoint)
    if config.presence.offline_after >= config.presence.idle_after:
        raise source.error("presence.offline_after", "expected less than presence.idle_after")
    check_rules(source, "rules", config.rules)
    for index, tenant in enumerate(config.tenants):
        _check_tenant(source, f"tenants[{index}]", tenant)
        if tenant.jwt.tenant_claim == "session" and config.openmeet.database is None:
            path = f"tenants[{index}].jwt.tenant_claim"
            raise source.error(
                path, "session needs openmeet.database, where sessions are looked up"
            )
    _check_service_keys(source, config.tenants)


def _check_bus(source: Source, address: str) -> None:
    # The address may have a password in it, so no complaint repeats it.
    expected = "expected local, embedded, or an address such as valkey://host:6379"
    try:
        parts = urlsplit(address)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise source.error("bus", expected) from None
    if parts.scheme == "unix" and parts.path.startswith("/"):
        return
    if parts.scheme not in _BUSES or not parts.hostname or not port_is_number:
        raise source.error("bus", expected)
    if parts.path.strip("/") and not parts.path.strip("/").isdigit():
        raise source.error("bus", "expected the number of a database after the host, or nothing")


def _check_socket(source: Source, path: str) -> None:
    field = "listen.public_socket"
    if not path.startswith("/"):
        raise source.error(field, "expected a path from the root, such as /run/bridge/public.sock")
    if len(path.encode()) > MOST_SOCKET_PATH:
        raise source.error(field, f"expected at most {MOST_SOCKET_PATH} bytes")


def _check_openmeet(source: Source, openmeet: OpenMeetSection) -> None:
    if openmeet.database is not None and not openmeet.database.startswith(_POSTGRES):
        raise source.error("openmeet.database", "expected a postgresql:// address")
    if openmeet.files_url is not None:
        _check_url(source, "openmeet.files_url", openmeet.files_url)
    if openmeet.write_matrix_user_id and openmeet.database is None:
        raise source.error("openmeet.write_matrix_user_id", "needs openmeet.database")


def _check_tenant(source: Source, path: str, tenant: TenantSection) -> None:
    _check_jwt(source, f"{path}.jwt", tenant.jwt)
    if tenant.site_url is not None:
        _check_url(source, f"{path}.site_url", tenant.site_url)
    if tenant.webhook_secret is not None:
        _check_webhook_secret(source, f"{path}.webhook_secret", tenant.webhook_secret)
    if tenant.rules is not None:
        check_rules(source, f"{path}.rules", tenant.rules)
    seen: set[str] = set()
    for index, endpoint in enumerate(tenant.webhooks):
        _check_webhook(source, f"{path}.webhooks[{index}]", endpoint, seen)


def _check_webhook(source: Source, path: str, endpoint: WebhookSection, seen: set[str]) -> None:
    _check_url(source, f"{path}.url", endpoint.url)
    if endpoint.url in seen:
        raise source.error(f"{path}.url", "listed twice; name all its events in one place")
    seen.add(endpoint.url)
    _check_webhook_secret(source, f"{path}.secret", endpoint.secret)
    if not endpoint.events:
        raise source.error(f"{path}.events", "name at least one event")


def _check_webhook_secret(source: Source, path: str, secret: str) -> None:
    try:
        length = len(signing_key(secret))
    except ValueError as error:
        raise source.error(path, str(error)) from None
    if length < LEAST_WEBHOOK_SECRET:
        reason = f"shorter than {LEAST_WEBHOOK_SECRET} bytes; make one with: "
        raise source.error(path, f'{reason}echo "whsec_$(openssl rand -base64 32)"')


def _check_listeners(source: Source, config: Config) -> None:
    seen: dict[str, str] = {}
    for name in ("homeserver", "public", "operations"):
        address = getattr(config.listen, name)
        if address.port and str(address) in seen:
            raise source.error(f"listen.{name}", f"the same address as {seen[str(address)]}")
        seen[str(address)] = f"listen.{name}"


def _check_proxies(source: Source, proxies: list[str]) -> None:
    for index, text in enumerate(proxies):
        try:
            ip_network(text, strict=False)
        except ValueError:
            reason = "expected an address or a network, for example 10.0.0.5 or 10.0.0.0/8"
            raise source.error(f"listen.trusted_proxies[{index}]", reason) from None


def _check_heartbeat(source: Source, seconds: float) -> None:
    if not LEAST_HEARTBEAT <= seconds <= MOST_HEARTBEAT:
        reason = (
            f"expected {LEAST_HEARTBEAT} s to {MOST_HEARTBEAT} s: many proxies cut a connection "
            "after 60 s of silence"
        )
        raise source.error("stream.heartbeat", reason)


def _check_origins(source: Source, origins: list[str]) -> None:
    for index, origin in enumerate(origins):
        _check_origin(source, f"web.allowed_origins[{index}]", origin)


def _check_origin(source: Source, path: str, origin: str) -> None:
    parts = _check_url(source, path, origin)
    if origin != f"{parts.scheme}://{parts.netloc}":
        raise source.error(path, "expected scheme and host only, for example https://example.org")


def _check_service_keys(source: Source, tenants: list[TenantSection]) -> None:
    owner: dict[str, int] = {}
    for number, tenant in enumerate(tenants):
        for index, key in enumerate(tenant.service_keys):
            path = f"tenants[{number}].service_keys[{index}]"
            if len(key) < LEAST_SERVICE_KEY or not key.isascii():
                reason = f"expected at least {LEAST_SERVICE_KEY} ASCII characters"
                raise source.error(path, f"{reason}; make one with: openssl rand -hex 32")
            if owner.setdefault(key, number) != number:
                raise source.error(path, "another tenant has the same key; each needs its own")


def _check_jwt(source: Source, path: str, jwt: JwtSection) -> None:
    given = [name for name in ("secret", "public_key", "jwks_url") if getattr(jwt, name)]
    wanted = ("secret",) if jwt.algorithm == "HS256" else ("public_key", "jwks_url")
    if len(given) > 1:
        raise source.error(f"{path}.{given[1]}", f"give only one of {' and '.join(given)}")
    if not given:
        raise source.error(path, f"{jwt.algorithm} needs {' or '.join(wanted)}")
    if given[0] not in wanted:
        reason = f"{jwt.algorithm} goes with {' or '.join(wanted)}, not with {given[0]}"
        raise source.error(f"{path}.{given[0]}", reason)
    if jwt.secret and len(jwt.secret.encode()) < LEAST_SECRET_BYTES:
        reason = f"shorter than {LEAST_SECRET_BYTES} bytes; make one with: openssl rand -hex 32"
        raise source.error(f"{path}.secret", reason)
    if jwt.public_key:
        _check_public_key(source, f"{path}.public_key", jwt.algorithm, jwt.public_key)
    if jwt.jwks_url:
        _check_jwks(source, f"{path}.jwks_url", jwt.jwks_url)


def _check_public_key(source: Source, path: str, algorithm: str, pem: str) -> None:
    if not pem.lstrip().startswith("-----BEGIN PUBLIC KEY-----"):
        reason = "expected a PEM public key (-----BEGIN PUBLIC KEY-----), not a private key,"
        raise source.error(path, f"{reason} a certificate or DER")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise source.error(path, "not a readable PEM public key") from None
    if algorithm == "ES256":
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise source.error(path, "ES256 needs a key on the curve P-256")
    elif not isinstance(key, RSAPublicKey) or key.key_size < LEAST_RSA_BITS:
        raise source.error(path, f"{algorithm} needs an RSA key of at least {LEAST_RSA_BITS} bits")


def _check_jwks(source: Source, path: str, url: str) -> None:
    parts = _check_url(source, path, url)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise source.error(path, "must be https: whoever changes these keys can sign in as anybody")


def _check_url(source: Source, path: str, url: str) -> SplitResult:
    problem: ConfigError = source.error(path, "expected an http:// or https:// address")
    try:
        parts = urlsplit(url)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise problem from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_number:
        raise problem
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
