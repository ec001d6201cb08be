"""Signing tokens as OpenMeet does. For the demonstration only: the bridge itself never does."""

from __future__ import annotations

from jose import jwt

from ..core.ids import TenantId, UserSlug


def sign(
    secret: str, tenant: TenantId, user_id: int, slug: UserSlug, now: float, lifetime: float
) -> str:
    """Return an access token with the claims of OpenMeet's own (HS256).

    Args:
        secret: The tenant's secret.
        tenant: The tenant, named in the token.
        user_id: OpenMeet's number of the user.
        slug: The user's slug.
        now: Seconds since the epoch.
        lifetime: Seconds for which the token is good.
    """
    claims = {
        "id": user_id,
        "slug": slug,
        "tenantId": tenant,
        "role": {"id": 2},
        "sessionId": 1,
        "iat": int(now),
        "exp": int(now + lifetime),
    }
    return str(jwt.encode(claims, secret, algorithm="HS256"))
