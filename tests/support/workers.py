"""Workers for tests: entered by hand, without a process behind them; and processes that run."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

from openmeet_bridge.core.ids import Position
from openmeet_bridge.demo.synapse import HOST
from openmeet_bridge.storage import duties
from openmeet_bridge.storage.database import Connection
from openmeet_bridge.storage.duties import Worker


def ports_in_a_row(count: int) -> int:
    """The first of some free ports, below those that the system gives to anybody."""
    while True:
        first = random.randrange(20_000, 30_000)
        with ExitStack() as stack:
            try:
                for number in range(count):
                    one = stack.enter_context(socket.socket())
                    one.bind((HOST, first + number))
            except OSError:
                continue
            return first


def runs(pid: int) -> bool:
    """Whether there is a process."""
    return Path(f"/proc/{pid}").exists()


async def enter(connection: Connection, worker: str, lease: float = 600.0) -> None:
    """Enters a worker, for so many seconds."""
    await duties.register(connection, Worker(worker, "here", 1), lease, alone=False)


async def bury(connection: Connection, worker: str) -> None:
    """Lets a worker's time be over, and another see it."""
    await connection.execute("UPDATE worker SET until = '-infinity' WHERE id = $1", worker)
    await duties.renew(connection, "nobody", 1, Position(0))
