"""The process that keeps workers: they are started, come back, are replaced, and end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openmeet_bridge.app import workers
from openmeet_bridge.app.draining import drain
from openmeet_bridge.app.workers import Workers, check_several
from openmeet_bridge.config import Address
from openmeet_bridge.core.errors import ConfigError, Unavailable
from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.stream.reasons import CloseReason

from ..support.waiting import eventually
from ..support.workers import runs

WORKER = """
import json, os, signal, sys
orders = json.loads(sys.stdin.readline())
place = orders["file"]
def note(word):
    with open(place, "a") as file:
        file.write(f"{word} {orders['worker']} {os.getpid()}\\n")
def end(*_):
    note("end")
    os._exit(0)
if os.path.exists(place + ".broken"):
    sys.exit(1)
signal.signal(signal.SIGTERM, signal.SIG_IGN if os.path.exists(place + ".stubborn") else end)
note("start")
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""


class Yard:
    """Workers that do nothing, and what they have noted."""

    def __init__(self, folder: Path) -> None:
        self.book = folder / "book"
        program = (sys.executable, "-ISE", "-c", WORKER)
        self.workers = Workers(str(self.book), {"public": "127.0.0.1:1"}, 2, program)

    def mark(self, name: str) -> Path:
        mark = self.book.with_name(f"book.{name}")
        mark.touch()
        return mark

    def noted(self) -> list[list[str]]:
        return [line.split() for line in self.book.read_text().splitlines()]

    async def until(self, look: Callable[[], object], what: str) -> None:
        async def so() -> bool:
            return bool(look())

        await eventually(so, what, poll=0.01)


@pytest.fixture
async def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    monkeypatch.setattr(workers, "_FIRST_PAUSE", 0.01)
    yard = Yard(tmp_path)
    yield yard
    await yard.workers.stop()


async def test_one_that_dies_comes_back(yard: Yard) -> None:
    await yard.workers.start()
    first, second = yard.workers.pids
    assert sorted(yard.noted()) == [["start", "0", str(first)], ["start", "1", str(second)]]
    os.kill(first, signal.SIGKILL)
    await yard.until(lambda: len(yard.noted()) == 3, "a new one is there")
    # Where it cannot be started, it is tried again.
    broken = yard.mark("broken")
    await yard.until(lambda: yard.workers.pids[0] != first, "it has the place")
    os.kill(second, signal.SIGKILL)
    await asyncio.sleep(0.1)
    assert yard.workers.pids[1] == second
    broken.unlink()
    await yard.until(lambda: yard.workers.pids[1] != second, "it is there at last")
    await yard.workers.stop()
    assert [word for word, *_ in yard.noted()].count("end") == 2


async def test_each_is_replaced_after_the_other(yard: Yard) -> None:
    await yard.workers.start()
    before = yard.workers.pids
    yard.workers.replace_all()
    await yard.until(lambda: len(yard.noted()) == 6, "both are replaced")
    now = yard.workers.pids
    assert not set(before) & set(now)
    assert yard.noted()[2:] == [
        [word, str(number), str(pids[number])]
        for number in range(2)
        for word, pids in (("start", now), ("end", before))
    ]
    # A new one that does not start takes nobody's place.
    yard.mark("broken")
    yard.workers.replace_all()
    await yard.until(lambda: not yard.workers.busy, "it is given up")
    assert yard.workers.pids == now


async def test_none_serves_where_one_does_not_start(yard: Yard) -> None:
    yard.mark("broken")
    with pytest.raises(Unavailable):
        await yard.workers.start()


async def test_who_does_not_end_is_killed(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    await yard.workers.start()
    first, _ = yard.workers.pids
    await yard.workers.stop()
    yard.mark("stubborn")
    await yard.workers.start()
    monkeypatch.setattr(workers, "_PATIENCE", 0.05)
    await yard.workers.stop()
    assert not any(map(runs, [first, *yard.workers.pids]))


def test_several_need_a_bus_and_ports_of_their_own() -> None:
    def config(bus: str, public: int) -> Any:
        ports = {"homeserver": 1, "public": public, "operations": 100}
        listen = {name: Address("127.0.0.1", port) for name, port in ports.items()}
        return SimpleNamespace(bus=bus, listen=SimpleNamespace(**listen))

    check_several(config("valkey://here", 103), 3)
    check_several(config("valkey://here", 0), 3)
    with pytest.raises(ConfigError, match="bus: embedded"):
        check_several(config("local", 200), 2)
    with pytest.raises(ConfigError, match="the 3 ports after it"):
        check_several(config("valkey://here", 103), 4)


async def test_streams_are_sent_elsewhere_a_few_at_a_time() -> None:
    class Streams:
        closing = False
        count = 40

        def __init__(self) -> None:
            self.open = [Mxid(f"@{number}") for number in range(40)]
            self.order: list[Mxid] = []
            self.left: list[int] = []

        def users(self) -> list[Mxid]:
            return list(self.open)

        def close_user(self, mxid: Mxid, reason: CloseReason) -> None:
            assert reason.reconnect
            assert self.closing
            self.open.remove(mxid)
            self.order.append(mxid)

        def close_all(self, reason: CloseReason) -> None:
            self.left.append(len(self.open))

    hub: Any = Streams()
    draining = asyncio.create_task(drain(hub, 10_000))
    await asyncio.sleep(0)
    assert len(hub.open) == 39  # not all at once
    draining.cancel()
    await drain(hub, 0.01)
    assert hub.left == [0]
    assert hub.order != sorted(hub.order, key=lambda one: int(one[1:]))
