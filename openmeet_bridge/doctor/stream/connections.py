"""Connections as they are found out there: used before, of an old kind, slow at the beginning."""

from __future__ import annotations

from functools import partial
from typing import Final

from ..finding import Finding, Report, ok
from .advice import BUFFERING, KEEP_ALIVE, OLD_HTTP, SLOW_START, warned
from .client import patiently
from .raw_client import HTTP_1_0, HTTP_1_1, connection, halves, request
from .scene import Scene, made
from .target import NOBODY
from .trouble import Broken, Refused, Trouble

CHECKS: Final = ("keep_alive", "http_1_0", "slow_start")

_UNWANTED = frozenset({400, 403, 426, 505})


async def examine(scene: Scene, report: Report) -> None:
    """Check connections that a library would not make."""
    for check, work, advice in (
        ("keep_alive", _keep_alive, KEEP_ALIVE),
        ("http_1_0", _old, BUFFERING),
        ("slow_start", _slow, SLOW_START),
    ):
        report(await made(check, patiently(partial(work, scene)), advice))


async def _keep_alive(scene: Scene) -> Finding:
    """A browser opens its stream on a connection over which it has asked for something before."""
    async with connection(scene.target) as opened:
        # Without a token: an answer with an end, on whatever part of the bridge.
        await opened.send(request(scene.target, NOBODY, scene.surface.stream))
        head = await opened.head()
        await opened.body(head)
        if head.closes:
            text = "the connection is closed after each answer: it works, and takes longer"
            return warned("keep_alive", text, KEEP_ALIVE)
        await opened.send(_stream(scene))
        try:
            await opened.hello(await opened.head())
        except Trouble as error:
            if isinstance(error, Refused) and error.wait is not None:
                raise
            raise Broken(f"a stream on a connection that was used before: {error}") from None
    return ok("keep_alive", "a stream opens on a connection that was used before")


def _stream(scene: Scene, version: str = HTTP_1_1) -> bytes:
    return request(scene.target, scene.client.caller, scene.surface.stream, version)


async def _old(scene: Scene) -> Finding:
    """nginx speaks HTTP/1.0 to what is behind it, unless it is told otherwise."""
    async with connection(scene.target) as opened:
        await opened.send(_stream(scene, HTTP_1_0))
        head = await opened.head()
        if head.status in _UNWANTED:
            return warned("http_1_0", f"not taken (HTTP {head.status})", OLD_HTTP)
        if head.chunked:
            text = "answered in chunks, which HTTP/1.0 does not know (RFC 9112, 6.1)"
            return warned("http_1_0", text, OLD_HTTP)
        await opened.hello(head)
    return ok("http_1_0", "a stream opens, and ends with the connection")


async def _slow(scene: Scene) -> Finding:
    """A request comes in as many pieces as the network likes."""
    async with connection(scene.target) as opened:
        await opened.send(*halves(_stream(scene)))
        await opened.hello(await opened.head())
    return ok("slow_start", "a request that comes in two pieces is served")
