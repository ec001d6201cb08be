"""What every request passes: an id, a log line, CORS, security headers, and one error shape."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from openmeet_bridge.api import edge
from openmeet_bridge.api.cors import Cors
from openmeet_bridge.api.errors import error_response, from_http
from openmeet_bridge.core.errors import BridgeError

REQUEST_ID = web.RequestKey("request_id", str)
"""The request's id: the caller's own ``X-Request-Id`` where it is harmless, else a fresh one."""

Renderer = Callable[[web.Request, BridgeError], web.Response]
"""Says an error in the shape that the callers of a path expect."""

_PREPARED = web.RequestKey("prepared", web.StreamResponse)

_log: structlog.stdlib.BoundLogger = structlog.get_logger("openmeet_bridge.api")


def _render(request: web.Request, error: BridgeError) -> web.Response:
    return error_response(error)


def _never(_: web.Request) -> bool:
    return False


def install(
    app: web.Application,
    *,
    cors: Cors | None = None,
    quiet: Callable[[web.Request], bool] = _never,
    render: Renderer = _render,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Puts the edge's middlewares and response headers on an application.

    Headers are added when a response starts, not when its handler returns: a stream's handler
    returns when the stream ends.

    Args:
        app: The application, before it is started.
        cors: Which other origins' pages may call it; None: none.
        quiet: Tells which requests to log at level debug: those that machines make all day.
        render: Makes the response of an error.
        clock: Seconds, monotonic, for the log's durations.
    """
    known = cors or Cors()

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        request[_PREPARED] = response
        edge.add_fields(response.headers, request.get(REQUEST_ID, ""))
        known.add_fields(request, response.headers)

    app.middlewares.extend((_journal(clock, quiet), known.middleware(), _answers(render)))
    app.on_response_prepare.append(on_prepare)


def _answers(render: Renderer) -> Middleware:
    """Return what answers whatever a handler raises.

    An error after the response has begun cannot be answered any more: the connection is closed,
    so that the client sees a cut and not an end. Cancellation passes untouched.
    """

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            if refusal.status < 400:
                raise
            allow = refusal.headers.get(hdrs.ALLOW)
            return _kept(request, from_http(refusal), render, allow)
        except BridgeError as error:
            return _kept(request, error, render)
        except Exception as error:
            return _unexpected(request, error, render)

    return answer_errors


def _kept(
    request: web.Request, error: BridgeError, render: Renderer, allow: str | None = None
) -> web.StreamResponse:
    edge.note_refusal(error)
    if _PREPARED in request:
        return _cut(request)
    response = render(request, error)
    if allow is not None:
        response.headers[hdrs.ALLOW] = allow
    return response


def _unexpected(request: web.Request, error: Exception, render: Renderer) -> web.StreamResponse:
    if _PREPARED in request:
        if isinstance(error, ConnectionError):  # the reader went away; that is how streams end
            _log.debug("request.abandoned")
        else:
            _log.exception("request.failed_midway")
        return _cut(request)
    return render(request, edge.unexpected(request.get(REQUEST_ID, "none")))


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()  # after what is already written, a last frame for instance
    return request[_PREPARED]


def _journal(clock: Callable[[], float], quiet: Callable[[web.Request], bool]) -> Middleware:
    @web.middleware
    async def journal(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = edge.request_id(request)
        # Bound for this request only: a kept-alive connection serves many in one task.
        with structlog.contextvars.bound_contextvars(request_id=request[REQUEST_ID]):
            begin, status = clock(), 499  # what it stays when the client hangs up
            try:
                response = await handler(request)
                status = response.status
                return response
            finally:
                path, seconds = request.rel_url.raw_path, clock() - begin
                edge.note_request(request.method, path, status, seconds, quiet=quiet(request))

    return journal
