"""What a client of Socket.IO has said in its first request, kept for as long as it stays."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import hdrs

from ..asking import Asking
from ..sessions import TENANT_HEADER

PATHS: Final = ("/socket.io", "/socket.io/matrix")
"""Engine paths; the second as the web app's design notes have it. Also with a slash behind."""

LONGEST: Final = 64
"""Characters of a cursor; what is longer is none."""


class Said(msgspec.Struct, frozen=True, gc=False):
    """What is needed of a first request, however often its client says anew who it is.

    Attributes:
        token: OpenMeet's access token, perhaps after the word ``Bearer``; empty where there is
            none, as the others are.
        tenant: The tenant that it names.
        cursor: Where it wants to go on.
        since: The same under its other name.
        address: By what the client's streams are counted; None where they are not.
        both: Whether it came by the path on which the default namespace is open, too.
    """

    token: str = ""
    tenant: str = ""
    cursor: str = ""
    since: str = ""
    address: str | None = None
    both: bool = False


def said_in(asking: Asking, address: str | None) -> Said:
    """Return what a request says.

    Args:
        asking: The request.
        address: By what the streams of its client are counted.
    """

    def first(name: str, field: str = "") -> str:
        named = ",".join(asking.headers.getall(field, ()))
        given = next(filter(None, asking.query.getall(name, ())), "")
        return named.strip() or given.strip()

    return Said(
        first("token", hdrs.AUTHORIZATION),
        first("tenantId", TENANT_HEADER),
        first("cursor")[:LONGEST],
        first("since")[:LONGEST],
        address,
        asking.path.rstrip("/") == PATHS[1],
    )
