"""Workers for tests: entered by hand, without a process behind them; and processes that run."""

from __future__ import annotations

from pathlib import Path

from openmeet_bridge.core.ids import Position
from openmeet_bridge.storage import duties
from openmeet_bridge.storage.database import Connection
from openmeet_bridge.storage.duties import Worker


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
