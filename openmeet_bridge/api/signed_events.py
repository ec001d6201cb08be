"""Who may send domain events: whoever has signed them with the tenant's webhook secret."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiohttp import web

from ..core.errors import Forbidden, MissingToken, UnknownToken
from ..openmeet.tenants import Tenant, Tenants
from ..openmeet.webhook_signature import ID, SIGNATURE, TIMESTAMP, BadSignature, verify
from .decoding import RAW_BODY, read_body

HEADERS = {
    ID: "The event's own id; the same when it is sent again.",
    TIMESTAMP: "When it was sent, in seconds since the epoch.",
    SIGNATURE: "`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.",
}


class SignedEvents:
    """Checks the signatures of domain events (Standard Webhooks).

    Args:
        tenants: All tenants.
        body_limit: The longest body, in bytes.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, tenants: Tenants, body_limit: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._tenants = tenants
        self._body_limit = body_limit
        self._clock = clock

    async def authenticate(self, request: web.Request) -> Tenant:
        """Return the tenant that has signed a request, for the tenant in its path.

        Raises:
            MissingToken: There is no signature.
            UnknownToken: It is wrong, or too old, or there is no such tenant.
            Forbidden: The tenant has no webhook secret.
            TooLarge: The body is too long to be checked.
        """
        if not request.headers.get(SIGNATURE):
            raise MissingToken(f"Sign the event: headers {ID}, {TIMESTAMP} and {SIGNATURE}.")
        tenant = self._tenants.get(request.match_info["tenant"])
        if tenant.webhook_secret is None:
            raise Forbidden(
                "This tenant takes no domain events: its `webhook_secret` is not configured."
            )
        raw = await read_body(request, self._body_limit)
        try:
            verify(tenant.webhook_secret, request.headers, raw, self._clock())
        except BadSignature as error:
            raise UnknownToken(f"The signature is not good: {error}.") from None
        request[RAW_BODY] = raw
        return tenant
