"""The office: the loops that run in one worker only, where several serve one database.

| loop | runs | why |
|---|---|---|
| ``feed``, ``heartbeat`` | everywhere | gives this worker's streams what is new |
| ``bus`` | everywhere | what this worker says and hears |
| ``announcements`` | everywhere | ends this worker's streams and tells it of jobs |
| ``outbox`` | everywhere | a room is one worker's turn at a time (``bridge/delivery``) |
| ``typing``, ``typing-notices`` | everywhere | of those who type on this worker's streams |
| ``receipts``, ``unread`` | everywhere | tells this worker's streams, and for its own requests |
| ``settled`` | everywhere | for those who wait here for what another worker has sent |
| ``presence`` | everywhere | of this worker's streams, and what it has heard |
| ``vitals`` | everywhere | the metrics of each worker are whole; the counts are the same in all |
| ``homeserver`` | everywhere | whether this worker reaches it |
| ``repair`` | office | one place in the bot's ``/sync`` |
| ``reconciler`` | office | ``rooms.jobs_at_once`` bounds what the homeserver gets in all |
| ``sweep``, ``comparison`` | office | each looks at everything: once is enough |
| ``housekeeping`` | office | the same |
| ``webhooks``, ``webhook-collector`` | office | one line an endpoint, one place in the log |
| ``matrix-ids`` | office | writes to OpenMeet's database |
| ``presence-told``, ``presence-asked`` | office | one budget of calls to the homeserver |

A worker that gets the duty starts them; one that has lost it ends them. The reconciler begins with
giving back the jobs of whoever was there before, so that none waits for its lease. A wake-up for a
loop that runs elsewhere goes over the bus; where it is lost, the loop looks by itself: the
reconciler within five seconds, webhooks within one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from ..bridge.duties import Duties
from ..bridge.supervisor import Supervisor

OFFICE: Final = "office"
"""The name of the duty."""

_LOOPS: Final = frozenset(
    {
        "repair",
        "reconciler",
        "sweep",
        "comparison",
        "housekeeping",
        "webhooks",
        "webhook-collector",
        "matrix-ids",
        "presence-asked",
        "presence-told",
    }
)

Loops = Mapping[str, Callable[[], Awaitable[None]]]


def apart(loops: Loops) -> tuple[Loops, Loops]:
    """Return the loops that run everywhere, and those of the office."""
    everywhere = {name: loop for name, loop in loops.items() if name not in _LOOPS}
    return everywhere, {name: loop for name, loop in loops.items() if name in _LOOPS}


class Office:
    """Runs the office's loops for as long as the duty is this worker's.

    Args:
        duties: Knows whose it is.
        loops: By name.
    """

    def __init__(self, duties: Duties, loops: Loops) -> None:
        self._duties = duties
        self._loops = loops

    async def run(self) -> None:
        """Run them again and again, for ever."""
        while True:
            over = await self._duties.won(OFFICE)
            supervisor = Supervisor()
            for name, loop in self._loops.items():
                supervisor.start(name, loop)
            try:
                await over.wait()
            finally:
                await supervisor.stop()
