"""The homeserver's side: transactions, queries and pings (application service API).

Answers come fast and only after the database has committed: Synapse keeps what is not pushed yet
in memory, where it is lost with a restart.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from ..bridge.ephemeral import EphemeralEvents
from ..bridge.ingest import Ingest
from ..bridge.inquiries import Inquiries
from ..core.errors import BridgeError, Forbidden, MissingToken, TooLarge, Unavailable
from ..matrix.transactions import decode
from ..telemetry import LAST_TRANSACTION, TRANSACTION_SECONDS, TRANSACTIONS
from .errors import error_response

log = structlog.get_logger(__name__)

_EMPTY = b"{}"

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Transactions:
    """The routes that the homeserver calls.

    Args:
        hs_token: What the homeserver must show.
        ingest: Keeps events.
        ephemeral: Handles typing and receipts.
        inquiries: Knows which users and rooms exist.
        body_limit: Largest body, in bytes.
        refused: Called when a transaction could not be kept, so that it is asked for again.
    """

    def __init__(
        self,
        hs_token: str,
        ingest: Ingest,
        ephemeral: EphemeralEvents,
        inquiries: Inquiries,
        *,
        body_limit: int,
        refused: Callable[[], None],
    ) -> None:
        self._token_digest = _digest(hs_token)
        self._ingest = ingest
        self._ephemeral = ephemeral
        self._inquiries = inquiries
        self._body_limit = body_limit
        self._refused = refused

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        base = "/_matrix/app/v1"
        return [
            web.put(base + "/transactions/{txn_id}", self._guarded(self._transaction)),
            web.get(base + "/users/{user_id}", self._guarded(self._user)),
            web.get(base + "/rooms/{alias}", self._guarded(self._alias)),
            web.post(base + "/ping", self._guarded(self._ping)),
            web.get(base + "/thirdparty/{kind:protocol}/{protocol}", self._guarded(self._none)),
            web.get(base + "/thirdparty/{kind:user|location}", self._guarded(self._nobody)),
            web.get(
                base + "/thirdparty/{kind:user|location}/{protocol}", self._guarded(self._nobody)
            ),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.Response:
            try:
                self._check(request)
                return await handler(request)
            except BridgeError as error:
                return error_response(error)

        return guarded

    def _check(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise MissingToken("Send hs_token as a Bearer token.")
        # Digests of equal length: the comparison tells nothing, not even the token's length.
        if not hmac.compare_digest(_digest(token), self._token_digest):
            raise Forbidden("This is not the hs_token of this bridge's registration.")

    async def _transaction(self, request: web.Request) -> web.Response:
        with TRANSACTION_SECONDS.time():
            try:
                response = await self._keep(request)
            except Unavailable:
                TRANSACTIONS.labels("refused").inc()
                self._refused()
                raise
            except BridgeError as error:
                TRANSACTIONS.labels("bad").inc()
                log.error("transaction.bad", error=error.message)
                raise
        TRANSACTIONS.labels("kept").inc()
        LAST_TRANSACTION.set_to_current_time()
        return response

    async def _keep(self, request: web.Request) -> web.Response:
        if (request.content_length or 0) > self._body_limit:
            raise TooLarge(f"The body is larger than {self._body_limit} bytes.")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise TooLarge(f"The body is larger than {self._body_limit} bytes.") from error
        transaction = decode(request.match_info["txn_id"], body)
        if transaction.events or transaction.bad:
            await self._ingest.push(transaction.txn_id, transaction.events, transaction.bad)
        if transaction.ephemeral:
            await self._ephemeral.heard(transaction.ephemeral)
        return _ok()

    async def _user(self, request: web.Request) -> web.Response:
        await self._inquiries.user(request.match_info["user_id"])
        return _ok()

    async def _alias(self, request: web.Request) -> web.Response:
        await self._inquiries.alias(request.match_info["alias"])
        return _ok()

    async def _ping(self, request: web.Request) -> web.Response:
        self._inquiries.pinged(await request.read())
        return _ok()

    async def _none(self, request: web.Request) -> web.Response:
        raise self._inquiries.no_protocol(request.match_info["protocol"])

    async def _nobody(self, request: web.Request) -> web.Response:
        return web.Response(body=b"[]", content_type="application/json")


def _ok() -> web.Response:
    # An empty body, even with 200, counts as a failure for Synapse.
    return web.Response(body=_EMPTY, content_type="application/json")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
