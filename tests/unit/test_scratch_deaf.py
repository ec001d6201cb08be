from __future__ import annotations
import asyncio, contextlib, time
import pytest
from openmeet_bridge.api import streams as streams_api
from openmeet_bridge.core.entry import Person
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.reasons import CloseReason
from .test_streams_api import House, house, deaf, mxid, ROOM

@pytest.mark.parametrize("path", ["stream", "ws"])
async def test_deaf(house: House, monkeypatch, path) -> None:
    monkeypatch.setattr(streams_api, "_LINGER", 0.3)
    house.hub._buffer_bytes = 1 << 20
    reader, writer = await deaf(house, path)
    async def live(): return house.hub.has_readers(ROOM)
    loud = frames.typing(ROOM, [Person(mxid("ben"), "B" * 32_768, None, None)])
    for _ in range(20):
        house.hub.to_room(ROOM, loud); await asyncio.sleep(0.01)
    assert house.hub.count == 1
    tasks0 = len(asyncio.all_tasks())
    house.hub.close_user(mxid("ann"), CloseReason.REMOVED)
    t = time.time()
    for _ in range(40):
        await asyncio.sleep(0.05)
        names = [str(x.get_coro()) for x in asyncio.all_tasks()]
        n = sum("RequestHandler" in x for x in names)
        if not n: break
    print(path, "handlers left", n, "after", time.time()-t)
    writer.close()
