"""Draining: the streams of a worker that ends go to the others, a few at a time.

All of them at once would come to the other workers at once. In random order and spread over some
seconds, it is a trickle.
"""

from __future__ import annotations

import asyncio
import random

import structlog

from ..stream.hub import Hub
from ..stream.reasons import CloseReason

log = structlog.get_logger(__name__)

_STEP = 0.02


async def drain(hub: Hub, seconds: float) -> None:
    """Tell all streams to come back elsewhere, over so many seconds, and take no new ones.

    Args:
        hub: Whose streams.
        seconds: At once where 0; where nobody is there, it takes no time either.
    """
    hub.closing = True
    people = hub.users()
    random.shuffle(people)
    if people:
        log.info("streams.draining", streams=hub.count, seconds=seconds)
    clock = asyncio.get_running_loop().time
    began = clock()
    for number, mxid in enumerate(people):
        wait = began + seconds * number / len(people) - clock()
        if wait > _STEP:
            await asyncio.sleep(wait)
        hub.close_user(mxid, CloseReason.SHUTDOWN)
    hub.close_all(CloseReason.SHUTDOWN)
