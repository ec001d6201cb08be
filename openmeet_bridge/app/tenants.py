"""From the configuration's tenants to those that the edge checks tokens and keys with."""

from __future__ import annotations

from ..config import Config, JwtSection
from ..core.errors import ConfigError
from ..openmeet.tenants import KeySettings, Tenant, Tenants, service_key_digest


def tenants_of(config: Config) -> Tenants:
    """Return the configured tenants.

    Raises:
        ConfigError: Two of them cannot be told apart.
    """
    try:
        return Tenants(
            Tenant(
                one.id,
                one.name,
                _keys(one.jwt),
                tuple(service_key_digest(key) for key in one.service_keys),
            )
            for one in config.tenants
        )
    except ValueError as error:
        raise ConfigError("configuration", None, "tenants", str(error)) from error


def _keys(jwt: JwtSection) -> KeySettings:
    return KeySettings(
        algorithm=jwt.algorithm,
        secret=None if jwt.secret is None else jwt.secret.encode(),
        public_key=jwt.public_key,
        jwks_url=jwt.jwks_url,
        issuers=frozenset([jwt.issuer] if jwt.issuer else []),
        audiences=frozenset(jwt.audience),
        tenant_claim_required=jwt.tenant_claim == "required",
        max_lifetime=jwt.max_lifetime,
    )
