"""From the configuration's tenants to those that the edge checks tokens and keys with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from ..config import Config, JwtSection
from ..config.rules import ExposureSection, RulesSection
from ..core.directory import Visibility
from ..core.errors import ConfigError
from ..core.ids import PortalKind, TenantId
from ..core.rules import Aspect, Exposure, Rules
from ..core.webhooks import Endpoint
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
                one.webhook_secret,
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
        by_session=jwt.tenant_claim == "session",
        max_lifetime=jwt.max_lifetime,
    )


def endpoints_of(config: Config) -> list[Endpoint]:
    """Return all addresses of OpenMeet that are told what has happened."""
    return [
        Endpoint(tenant.id, one.url, one.secret, frozenset(one.events))
        for tenant in config.tenants
        for one in tenant.webhooks
    ]


def rules_of(config: Config) -> Mapping[TenantId, Rules]:
    """Return each tenant's rules."""
    return {one.id: _rules(one.rules or config.rules) for one in config.tenants}


def _rules(section: RulesSection) -> Rules:
    accept = section.accept
    return Rules(
        group_roles=section.group_roles,
        meetup_roles=section.meetup_roles,
        meetup_statuses=frozenset(section.meetup_statuses),
        exposure={
            Visibility.PUBLIC: _exposure(section.public),
            Visibility.AUTHENTICATED: _exposure(section.authenticated),
            Visibility.PRIVATE: _exposure(section.private),
        },
        accepted={
            PortalKind.GROUP: frozenset(map(Aspect, accept.group)),
            PortalKind.MEETUP: frozenset(map(Aspect, accept.meetup)),
            PortalKind.DIRECT: frozenset(map(Aspect, accept.direct)),
        },
        archive_after=_duration(section.archive_after),
        archive_cancelled_after=_duration(section.archive_cancelled_after),
        spaces=section.spaces,
        space_members=section.space_members,
    )


def _exposure(section: ExposureSection) -> Exposure:
    return Exposure(section.join, section.listed, section.history)


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
