"""A public group on a real homeserver, written over the integration API."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from . import world
from .house import House
from .wire import Connection, bearer, request

_SETTLE = 240.0


def settled_group(bridge: House, slug: str, members: Iterable[int]) -> str:
    """Write a group and its members, and wait until they are in its room; return the room.

    Args:
        bridge: A bridge with a homeserver.
        slug: Of the group.
        members: The numbers of users.

    Raises:
        RuntimeError: It takes too long.
    """
    connection = Connection(bridge.public)
    base = f"/api/integration/v1/tenants/{world.TENANT}"
    headers = bearer(world.SERVICE_KEY)

    def put(path: str, body: dict[str, object]) -> None:
        connection.ask(request("PUT", base + path, headers, json.dumps(body).encode()))

    members = list(members)
    for number in members:
        put(f"/users/{world.slug(number)}", {"id": number, "name": f"Reader {number}"})
    put(f"/groups/{slug}", {"name": "Benchmark", "visibility": "public"})
    for number in members:
        put(f"/groups/{slug}/members/{world.slug(number)}", {"role": "member"})
    deadline = time.monotonic() + _SETTLE
    while True:
        asked = request("GET", f"{base}/groups/{slug}/status", headers)
        status = json.loads(connection.ask(asked))
        if status["state"] == "settled":
            connection.close()
            return str(status["room_id"])
        if time.monotonic() > deadline:
            raise RuntimeError(f"the room is not made: {status}")
        time.sleep(0.1)
