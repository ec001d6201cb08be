"""The doctor's own listener: witness in place of a bridge that does not run.

It must not swallow anything: events of rooms are answered with 503, so that the homeserver keeps
them for the bridge. Only the bot's own check room, which the doctor itself makes noise in, and
ephemeral events are acknowledged.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from ..config import Address
from ..core.errors import BridgeError
from ..core.ids import RoomId
from ..matrix.transactions import Transaction, decode

_ROOM_PATIENCE = 10.0
_STOP_PATIENCE = 1.0
_BASE = "/_matrix/app/v1"


class CannotListen(Exception):
    """The address is taken, or not of this machine."""


class _Ping(msgspec.Struct):
    transaction_id: str | None = None


class OwnListener:
    """Listens for the homeserver as the bridge would. An asynchronous context manager.

    Args:
        address: Where; the configuration's ``listen.homeserver``.
        hs_token: What the homeserver must show.
        body_limit: Largest transaction, in bytes.

    Attributes:
        held_back: Events that were left with the homeserver.
        strangers: Requests that showed another token.
    """

    def __init__(self, address: Address, hs_token: str, *, body_limit: int) -> None:
        self._address = address
        self._token = hs_token.encode()
        self._body_limit = body_limit
        self._pings: set[str] = set()
        self._typing: dict[RoomId, int] = {}
        self._check_room: RoomId | None = None
        self._check_room_known = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.held_back = 0
        self.strangers = 0

    async def saw_ping(self, transaction_id: str) -> bool:
        """Whether the homeserver's ping with this id has arrived."""
        return transaction_id in self._pings

    async def saw_typing(self, room_id: RoomId, since_ms: int) -> bool:
        """Whether a typing notice of a room has arrived since a moment (ms since the epoch)."""
        return self._typing.get(room_id, -1) >= since_ms

    def check_room_is(self, room_id: RoomId) -> None:
        """Name the room whose events may be acknowledged."""
        self._check_room = room_id
        self._check_room_known.set()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=self._body_limit)
        app.add_routes(
            [
                web.put(f"{_BASE}/transactions/{{txn_id}}", self._transaction),
                web.post(f"{_BASE}/ping", self._ping),
                # Whether a user or room exists is for the bridge to say: ask again later.
                web.get(f"{_BASE}/{{question:users|rooms|thirdparty}}/{{rest:.*}}", self._later),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_PATIENCE)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._address.host, self._address.port).start()
        except OSError as error:
            await self._runner.cleanup()
            text = f"cannot listen on {self._address} ({error.strerror or error})"
            raise CannotListen(text) from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._check_room_known.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _ping(self, request: web.Request) -> web.Response:
        if not self._is_homeserver(request):
            return _refusal(403, "M_FORBIDDEN")
        try:
            transaction_id = msgspec.json.decode(await request.read(), type=_Ping).transaction_id
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _refusal(400, "M_BAD_JSON")
        if transaction_id is not None:
            self._pings.add(transaction_id)
        return _json(200, b"{}")

    async def _transaction(self, request: web.Request) -> web.Response:
        if not self._is_homeserver(request):
            return _refusal(403, "M_FORBIDDEN")
        try:
            transaction = decode(request.match_info["txn_id"], await request.read())
        except BridgeError:
            self.held_back += 1
            return _refusal(503, "ORG_OPENMEET_UNAVAILABLE")
        self._note_typing(transaction)
        kept_for_bridge = await self._for_bridge(transaction)
        self.held_back += kept_for_bridge
        if kept_for_bridge:
            return _refusal(503, "ORG_OPENMEET_UNAVAILABLE")
        return _json(200, b"{}")

    def _note_typing(self, transaction: Transaction) -> None:
        now = time.time_ns() // 1_000_000
        for event in transaction.ephemeral:
            if event.type == "m.typing" and event.room_id is not None:
                self._typing[event.room_id] = now

    async def _for_bridge(self, transaction: Transaction) -> int:
        """Return how many events the bridge must see, and nobody may acknowledge before it."""
        if transaction.events and not self._check_room_known.is_set():
            # The first events of a room come while its creation is still being answered.
            try:
                async with asyncio.timeout(_ROOM_PATIENCE):
                    await self._check_room_known.wait()
            except TimeoutError:
                pass
        events = [event for event in transaction.events if event.room_id != self._check_room]
        return len(events) + len(transaction.bad)

    async def _later(self, request: web.Request) -> web.Response:
        known = self._is_homeserver(request)
        return _refusal(503, "ORG_OPENMEET_UNAVAILABLE") if known else _refusal(403, "M_FORBIDDEN")

    def _is_homeserver(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        shown = token.encode("utf-8", "surrogatepass")
        if scheme.lower() == "bearer" and hmac.compare_digest(shown, self._token):
            return True
        self.strangers += 1
        return False


def _refusal(status: int, errcode: str) -> web.Response:
    body = {"errcode": errcode, "error": "The doctor listens in place of the bridge."}
    return _json(status, msgspec.json.encode(body))


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")
