"""A running bridge as witness: it tells on its operations listener what has reached it."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from ..config import Address
from ..core.ids import RoomId

T = TypeVar("T")

_PATIENCE = aiohttp.ClientTimeout(total=8.0, sock_connect=2.0)
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask, not to listen


class WitnessError(Exception):
    """The witness cannot tell; the text says why."""


class Health(msgspec.Struct, frozen=True):
    """What the bridge says of itself, by check; ``ok`` where all is well."""

    status: str
    checks: dict[str, str] = {}


class _PingSeen(msgspec.Struct):
    seen: bool


class _TypingSeen(msgspec.Struct):
    last_seen_ms: int | None


class RunningBridge:
    """The bridge that runs with the same configuration.

    Args:
        session: HTTP session; not closed here.
        address: Its operations listener.
    """

    held_back = 0
    strangers = 0

    def __init__(self, session: aiohttp.ClientSession, address: Address) -> None:
        self._session = session
        host = _EVERYWHERE.get(address.host, address.host)
        self._base = URL.build(scheme="http", host=host, port=address.port)

    async def health(self) -> Health | None:
        """Return how the bridge is; None when none runs, or something else answers there."""
        try:
            return await self._get("health/ready", Health)
        except WitnessError:
            return None

    async def saw_ping(self, transaction_id: str) -> bool:
        """Whether the homeserver's ping with this id has reached it.

        Raises:
            WitnessError: It gives no answer.
        """
        return (await self._get(f"internal/pings/{transaction_id}", _PingSeen)).seen

    async def saw_typing(self, room_id: RoomId, since_ms: int) -> bool:
        """Whether a typing notice of a room has reached it since a moment.

        Args:
            room_id: The room.
            since_ms: The moment, in milliseconds since the epoch.

        Raises:
            WitnessError: It gives no answer.
        """
        seen = await self._get(f"internal/typing/{quote(room_id, safe='')}", _TypingSeen)
        return seen.last_seen_ms is not None and seen.last_seen_ms >= since_ms

    def check_room_is(self, room_id: RoomId) -> None:
        """Not needed here: a running bridge keeps the events of every room."""

    async def _get(self, path: str, type: type[T]) -> T:
        url = self._base.join(URL(path, encoded=True))
        try:
            async with self._session.get(url, timeout=_PATIENCE, allow_redirects=False) as answer:
                return msgspec.json.decode(await answer.read(), type=type)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise WitnessError(f"the bridge does not answer at {self._base}: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"what answers at {self._base} is not this version of the bridge"
            raise WitnessError(text) from error
