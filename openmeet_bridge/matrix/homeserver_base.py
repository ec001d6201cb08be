"""What all calls to the homeserver share: who acts, how a body is written and an answer read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec
from mautrix.api import Method, PathBuilder

from .errors import HomeserverUnavailable
from .transport import Call, Timeouts, Transport

JsonObject = Mapping[str, Any]
T = TypeVar("T")


class HomeserverCalls:
    """The way to one homeserver, as its application service."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        as_token: str,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - immutable
    ) -> None:
        self._transport = Transport(session, base_url, as_token, timeouts)

    async def _send(self, call: Call) -> bytes:
        return await self._transport.send(call)

    async def _decoded(self, call: Call, type: type[T]) -> T:
        body = await self._transport.send(call)
        try:
            return msgspec.json.decode(body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # A 200 that is not what the specification has: a proxy's page, a cut answer.
            text = f"{call.verb}: the answer is not the one of the specification"
            raise HomeserverUnavailable(text, status=200) from error

    async def _put(self, verb: str, path: PathBuilder, body: JsonObject, user_id: str) -> None:
        await self._send(Call(verb, Method.PUT, path, acting(user_id), as_json(body)))


def acting(user_id: str | None, device_id: str | None = None) -> dict[str, str]:
    """Return the query that names who acts ("Identity assertion"); empty for the sender."""
    query = {"user_id": user_id, "device_id": device_id}
    return {key: value for key, value in query.items() if value is not None}


def as_json(content: JsonObject | bytes) -> bytes:
    """Return a body as JSON; bytes are taken as they are."""
    return content if isinstance(content, bytes) else msgspec.json.encode(content)
