"""A whole bridge on PostgreSQL, to which events are pushed as a homeserver pushes them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from openmeet_bridge.storage.embedded import EmbeddedPostgres

from .. import house, world
from . import layout
from .cores import Cores
from .layout import Block
from .servers import Server, Starter, bridge_reads

_EVENTS_AT_ONCE = 500
_AT_ONCE = "50"
_SETTINGS = {"presence": {"enabled": False}}
"""Who comes and goes is told to all: that must not come between what is measured."""

Inhabitants = Sequence[tuple[Block, int]]
"""Blocks of readers, and how many of each there are."""


def whole_bridge(wire: str, postgres: EmbeddedPostgres, people: Inhabitants) -> Starter:
    """Return what runs a whole bridge with its database on a PostgreSQL.

    Args:
        wire: ``sse``, ``ws`` or ``socketio``.
        postgres: Its server, which is on the client's core.
        people: Who is there.
    """

    @contextmanager
    def start(folder: Path, cores: Cores) -> Iterator[Server]:
        plan = house.plan(folder / "house")
        with cores.of_server():
            running = house.running(plan, postgres, settings=_SETTINGS)
            bridge = running.__enter__()
        try:
            _furnish(bridge, people)
            yield Server(
                f"whole-{wire}",
                (bridge.pid,),
                bridge_reads(bridge.public)[wire],
                _write(bridge),
                # PostgreSQL works on the client's core, and must get its share of it.
                spin=False,
                public=bridge.public,
                push=lambda _room, events: bridge.push(events),
            )
        finally:
            running.__exit__(None, None, None)

    return start


def _write(bridge: house.House) -> tuple[str, ...]:
    # Transactions have names, and one that came before is not taken again.
    path = f"/_matrix/app/v1/transactions/{secrets.token_hex(4)}{{p}}-{{i}}"
    return (
        *("--publish", f"http://{bridge.homeserver}{path}"),
        *("--publish-method", "PUT"),
        *("--publish-header", f"Authorization: Bearer {bridge.hs_token}"),
        *("--publish-body", '{"events":[{message}]}'),
        *("--batch", _AT_ONCE, "--publishers", "1"),
    )


def _furnish(bridge: house.House, people: Inhabitants) -> None:
    """Write who is there, and let them into their rooms."""
    readers = [block.first_reader + one for block, count in people for one in range(count)]
    asyncio.run(world.write_users(bridge.dsn, map(layout.user, readers)))
    for block, count in people:
        for room in range(block.first_room, block.first_room + block.rooms):
            members = [layout.user(one) for one in block.readers_of(room, count)]
            events = world.encoded(world.room_events(layout.room_id(room), members))
            for start in range(0, len(events), _EVENTS_AT_ONCE):
                bridge.push(events[start : start + _EVENTS_AT_ONCE])
