"""CORS: pages of which other origins may call what (WHATWG Fetch, "CORS protocol")."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from multidict import MutableMultiMapping

from .asking import Asking

ALLOWED_METHODS = "GET, PUT, POST, DELETE"
ALLOWED_HEADERS = (
    "authorization, content-type, last-event-id, x-event-slug, x-group-slug, x-requested-with, "
    "x-tenant-id"
)
EXPOSED_HEADERS = "Retry-After, X-Request-Id"
PREFLIGHT_SECONDS = 600

Open = Callable[[Asking], bool]


def _nothing(_: Asking) -> bool:
    return False


class Cors:
    """Says which origins' pages may read an answer.

    Args:
        origins: Origins whose pages may call with credentials, exactly as browsers send them
            (``https://app.example``).
        is_open: Tells for which requests pages of any origin may read the answer. They can send
            no cookie along, only what they hold themselves.
    """

    def __init__(self, origins: Iterable[str] = (), is_open: Open = _nothing) -> None:
        self._origins = frozenset(origin.rstrip("/") for origin in origins)
        self._is_open = is_open

    def middleware(self) -> Middleware:
        """Return what answers preflights."""

        @web.middleware
        async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
            asks = hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            if request.method != hdrs.METH_OPTIONS or not asks:
                return await handler(request)
            response = web.Response(status=204)
            if self._may(request):
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ALLOWED_METHODS
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ALLOWED_HEADERS
                response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(PREFLIGHT_SECONDS)
            return response

        return preflight

    def add_fields(self, request: Asking, fields: MutableMultiMapping[str]) -> None:
        """Add to an answer who may read it."""
        if not self._origins and not self._is_open(request):
            return
        # Caches must keep the answers for different origins apart, those without headers too.
        fields.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or not self._may(request):
            return
        known = origin in self._origins
        fields[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin if known else "*"
        if known:
            fields[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
        fields[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED_HEADERS

    def _may(self, request: Asking) -> bool:
        return request.headers.get(hdrs.ORIGIN) in self._origins or self._is_open(request)
