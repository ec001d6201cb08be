"""The people of a demonstration, whom everybody may be (``web.demo_login``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from .client import Client
from .target import Caller

_ADDRESS: Final = "/api/v1/demo"
_TRIED = 20


class _Person(msgspec.Struct):
    tenant: str
    jwt: str


class _People(msgspec.Struct):
    users: list[_Person]


async def callers(stranger: Client, room: str | None) -> Sequence[Caller]:
    """Return two people of one tenant; none where this is no demonstration.

    Args:
        stranger: Asks for them.
        room: A room in which they should be.

    Raises:
        Trouble: No answer, or another's.
    """
    answer = await stranger.ask("GET", _ADDRESS)
    if answer.status != 200:
        return ()
    people = answer.decoded(_People).users
    if room is not None:
        people = [one for one in people[:_TRIED] if await _is_in(stranger, one, room)]
    first = people[:1]
    others = [one for one in people[1:] if one.tenant == first[0].tenant]
    return [Caller(one.jwt, one.tenant) for one in (*first, *others[:1])]


async def _is_in(stranger: Client, person: _Person, room: str) -> bool:
    headers = Caller(person.jwt, person.tenant).headers
    path = f"/api/v1/rooms/{quote(room, safe='')}"
    return (await stranger.ask("GET", path, headers=headers)).status == 200
