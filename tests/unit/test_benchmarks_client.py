"""The load client, against the bare loop: what it counts is what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fanout import programs, servers
from benchmarks.fanout.client import Client, write_tokens
from benchmarks.fanout.cores import Cores
from benchmarks.fanout.layout import SMALL_ROOMS, Block

READERS = 6


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    try:
        programs.client()
    except programs.Missing as missing:
        pytest.skip(str(missing))
    cores = Cores()
    tokens = write_tokens(tmp_path / "tokens", range(READERS))
    block = Block(0, READERS, SMALL_ROOMS.first_room, 2)
    with (
        servers.floor("batch")(tmp_path, cores) as server,
        Client(server, cores, tokens, block, spin=False) as made,
    ):
        yield made


def test_every_delivery_is_counted_and_no_other(client: Client) -> None:
    assert (client.connected.streams, client.connected.dead) == (READERS, 0)
    phase = client.do("open rate=100 secs=0.2 warm=0")
    assert phase.published > 0
    assert phase.faults == 0
    client.do("stall first=0 n=2")  # one in each room
    phase = client.do("closed window=2 secs=0.1 warm=0.05")
    assert phase.deliveries > 0
    assert phase.faults == 0
    client.do("heal first=0 n=2")
    client.do("vanish first=4 n=2")
    assert client.do("closed window=2 secs=0.1 warm=0.05").faults == 0
    client.begin("open rate=50 secs=60 warm=0")
    assert client.stop().seconds < 30
