"""What every request passes: an id, a log line, CORS, security headers, and one error shape."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from openmeet_bridge.api.errors import error_response, from_http
from openmeet_bridge.core.errors import BridgeError

REQUEST_ID = web.RequestKey("request_id", str)
"""The request's id: the caller's own ``X-Request-Id`` where it is harmless, else a fresh one."""

ALLOWED_METHODS = "GET, PUT, POST, DELETE"
ALLOWED_HEADERS = "authorization, content-type, last-event-id, x-requested-with, x-tenant-id"
EXPOSED_HEADERS = "Retry-After, X-Request-Id"
PREFLIGHT_SECONDS = 600

_PREPARED = web.RequestKey("prepared", web.StreamResponse)
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PATH_SHOWN = 256
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_log: structlog.stdlib.BoundLogger = structlog.get_logger("openmeet_bridge.api")


def install(
    app: web.Application,
    *,
    allowed_origins: Iterable[str] = (),
    quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Puts the edge's middlewares and response headers on an application.

    Headers are added when a response starts, not when its handler returns: a stream's handler
    returns when the stream ends.

    Args:
        app: The application, before it is started.
        allowed_origins: Origins of pages that may call this API with credentials, exactly as
            browsers send them (``https://app.example``).
        quiet: Log requests at level debug: for callers that are machines, and call all day.
        clock: Seconds, monotonic, for the log's durations.
    """
    origins = frozenset(origin.rstrip("/") for origin in allowed_origins)

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        request[_PREPARED] = response
        _add_headers(request, response, origins)

    app.middlewares.extend((_journal(clock, quiet), _preflight(origins), answer_errors))
    app.on_response_prepare.append(on_prepare)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers what a handler raises, in the documented shape.

    An error after the response has begun cannot be answered any more: the connection is closed,
    so that the client sees a cut and not an end. Cancellation passes untouched.
    """
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        if refusal.status < 400:
            raise
        error = from_http(refusal)
        return _kept(request, error, allow=refusal.headers.get(hdrs.ALLOW))
    except BridgeError as error:
        return _kept(request, error)
    except Exception as error:
        return _unexpected(request, error)


def _kept(request: web.Request, error: BridgeError, allow: str | None = None) -> web.StreamResponse:
    if error.status >= 500:
        _log.warning("request.unavailable", errcode=error.errcode, error=error.message)
    if _PREPARED in request:
        return _cut(request)
    response = error_response(error)
    if allow is not None:
        response.headers[hdrs.ALLOW] = allow
    return response


def _unexpected(request: web.Request, error: Exception) -> web.StreamResponse:
    if _PREPARED in request:
        if isinstance(error, ConnectionError):  # the reader went away; that is how streams end
            _log.debug("request.abandoned")
        else:
            _log.exception("request.failed_midway")
        return _cut(request)
    _log.exception("request.failed")
    reference = request.get(REQUEST_ID, "none")
    return error_response(
        BridgeError(f"Something went wrong inside the bridge. Reference: {reference}.")
    )


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()  # after what is already written, a last frame for instance
    return request[_PREPARED]


def _journal(clock: Callable[[], float], quiet: bool) -> Middleware:
    note = _log.debug if quiet else _log.info

    @web.middleware
    async def journal(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = _request_id(request)
        # Bound for this request only: a kept-alive connection serves many in one task.
        with structlog.contextvars.bound_contextvars(request_id=request[REQUEST_ID]):
            begin, status = clock(), 499  # what it stays when the client hangs up
            try:
                response = await handler(request)
                status = response.status
                return response
            finally:
                note(
                    "request",
                    method=request.method,
                    # Never the query: tickets travel there.
                    path=request.rel_url.raw_path[:_PATH_SHOWN],
                    status=status,
                    ms=round((clock() - begin) * 1000, 1),
                )

    return journal


def _request_id(request: web.Request) -> str:
    given = request.headers.get("X-Request-Id", "")
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


def _preflight(origins: frozenset[str]) -> Middleware:
    @web.middleware
    async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
        asks = hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if request.method != hdrs.METH_OPTIONS or not asks:
            return await handler(request)
        response = web.Response(status=204)
        if request.headers.get(hdrs.ORIGIN) in origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ALLOWED_METHODS
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ALLOWED_HEADERS
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(PREFLIGHT_SECONDS)
        return response

    return preflight


def _add_headers(
    request: web.Request, response: web.StreamResponse, origins: frozenset[str]
) -> None:
    for name, value in _SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-Id"] = request.get(REQUEST_ID, "")
    if not origins:
        return
    # Caches must keep the answers for different origins apart, those without headers too.
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    origin = request.headers.get(hdrs.ORIGIN)
    if origin in origins:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED_HEADERS
