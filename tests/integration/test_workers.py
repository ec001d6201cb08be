"""Several workers as a real program: they share the work, come back, are replaced, and end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openmeet_bridge.demo.synapse import HOST
from openmeet_bridge.matrix.registration import generate

from ..support.bridge import Settings
from ..support.openmeet import User, message_path
from ..support.ports import free_port, free_ports
from ..support.simulated_homeserver import SimulatedHomeserver
from ..support.waiting import eventually
from ..support.workers import runs
from ..support.world import World, connected


class Program:
    """``openmeet-bridge serve --workers 2``."""

    def __init__(self, process: asyncio.subprocess.Process, world: World) -> None:
        self.process = process
        self.world = world

    async def pids(self) -> set[int]:
        """Of the workers that are there."""
        return {row["pid"] for row in await self.world.sql("SELECT pid FROM worker")}

    async def in_office(self) -> int | None:
        """Who does what only one may do."""
        rows = await self.world.sql("SELECT pid FROM duty JOIN worker ON worker.id = duty.worker")
        return rows[0]["pid"] if rows else None

    async def are_ready(self) -> bool:
        """Whether both say so, each on a port of its own."""
        if self.process.returncode is not None:
            raise RuntimeError("the program has ended")
        port = self.world.settings.operations
        for one in (port, port + 1):
            url = f"http://{HOST}:{one}/health/ready"
            try:
                async with self.world.session.get(url) as answer:
                    if answer.status != 200:
                        return False
            except OSError:
                return False
        return len(await self.pids()) == 2


@asynccontextmanager
async def program(
    folder: Path, database_url: str, homeserver: SimulatedHomeserver, settings: Settings
) -> AsyncIterator[Program]:
    settings.write()
    values = json.loads(settings.file.read_text())
    values |= {"bus": "embedded", "data_dir": str(folder / "data"), "stream": {"drain": 0.2}}
    settings.file.write_text(json.dumps(values))
    # What the first process has compiled, the others need not.
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openmeet_bridge", "serve", "-c", str(settings.file)),
        *("--workers", "2"),
        env=os.environ | kept,
    )
    try:
        async with connected(settings, homeserver.url) as world:
            yield Program(process, world)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _says(user: User, room_id: str, body: str) -> None:
    async def said() -> bool:
        try:
            answer = await user.ask("PUT", message_path(room_id, body), {"body": body})
        except OSError:
            return False
        assert answer.status == 200, answer
        return True

    await eventually(said, f"{body!r} is sent")


@pytest.mark.timeout(300)
async def test_two_workers_from_start_to_end(tmp_path: Path, database_url: str) -> None:
    port = free_port()
    registration = generate("localhost", f"http://{HOST}:{port}")
    file = tmp_path / "registration.yaml"
    file.write_text(registration.dump())
    async with SimulatedHomeserver(registration).running() as homeserver:
        settings = Settings(tmp_path, database_url, file, homeserver.url, port)
        settings.operations = free_ports(2)[0]
        async with program(tmp_path, database_url, homeserver, settings) as bridge:
            await eventually(bridge.are_ready, "both workers are ready", seconds=200, poll=0.2)
            here = bridge.world.here
            ann, ben = [await here.user(name) for name in ("Ann", "Ben")]
            room_id = await here.group("hikers", [ann, ben])
            await _says(ann, room_id, "together")

            # The one that does what only one may do is killed: another one does it, the other or
            # the new one that comes.
            first, killed = await bridge.pids(), await bridge.in_office()
            assert killed in first
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            await _says(ann, room_id, "one-is-dead")

            async def taken_over() -> bool:
                return await bridge.in_office() not in (None, killed)

            await eventually(taken_over, "another one is in office")
            await eventually(bridge.are_ready, "there are two again", poll=0.2)
            second = await bridge.pids()
            assert len(first & second) == 1
            await here.group("climbers", [ann, ben])

            bridge.process.send_signal(signal.SIGHUP)

            async def replaced() -> bool:
                now = await bridge.pids()
                return len(now) == 2 and not now & second

            await eventually(replaced, "both are replaced", poll=0.2)
            await eventually(bridge.are_ready, "the new ones are ready", poll=0.2)
            await _says(ben, room_id, "all-are-new")

            last = await bridge.pids()
            bridge.process.terminate()
            assert await bridge.process.wait() == 0
            assert not await bridge.pids()
            assert not any(map(runs, last))
        room = homeserver.rooms.room(room_id)
        said = [one["content"].get("body") for _, one in room.timeline]
        wanted = ["together", "one-is-dead", "all-are-new"]
        assert [one for one in said if one in wanted] == wanted
