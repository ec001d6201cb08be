"""The bridge as a server that is killed: workers as programs, and as one program's processes."""

from __future__ import annotations

import signal
import threading

from ..support.bridge import BridgeProcess
from .plan import Plan
from .servers import Server, children, family, send, wait


def bridges_of(plan: Plan, processes: list[BridgeProcess]) -> list[Server]:
    """Return to whom something can be done; where one program has all workers, it is the first."""
    if not plan.together:
        return [Worker(f"worker{number}", one) for number, one in enumerate(processes, 1)]
    (process,) = processes
    together = Together(process, plan.workers)
    return [together, *(OfTogether(together, number) for number in range(plan.workers))]


class Worker(Server):
    """One ``openmeet-bridge serve``, which a supervisor starts again until it stays up.

    Args:
        name: As acts name it.
        process: The program.
    """

    def __init__(self, name: str, process: BridgeProcess) -> None:
        self.name = name
        self._process = process
        self._wanted = False
        self._fault = ""

    @property
    def crashed(self) -> bool:
        """Whether it has ended by itself."""
        return self._wanted and not self._process.runs

    def start(self) -> None:
        """Start it; what it needs may be away at first."""
        wait(self._try, lambda: f"{self.name}: {self._fault}")
        self._wanted = True

    def _try(self) -> bool:
        try:
            self._process.start()
        except AssertionError as error:
            self._fault = str(error)
            return False
        return True

    def stop(self) -> None:
        """End it with SIGTERM."""
        self._wanted = False
        status = self._process.stop()
        assert status == 0, f"{self.name} ended with {status}"

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._wanted = False
        self._process.kill()

    def pids(self) -> list[int]:
        """Return its processes."""
        pid = self._process.pid
        return [] if pid is None else family(pid)


class Together(Server):
    """One ``openmeet-bridge serve`` with several workers, which it looks after itself.

    Args:
        process: The program.
        count: How many workers.
    """

    name = "bridge"

    def __init__(self, process: BridgeProcess, count: int) -> None:
        self._process = process
        self._count = count
        self._wanted = False
        self._fault = ""
        self._starting = threading.Lock()

    @property
    def crashed(self) -> bool:
        """Whether it has ended by itself."""
        return self._wanted and not self._process.runs

    def workers(self) -> list[int]:
        """Return the processes of the workers, the oldest first."""
        pid = self._process.pid
        return [] if pid is None else children(pid)

    def start(self) -> None:
        """Start it where it does not run, and wait until all workers are there."""
        # A worker that is killed before the first is ready ends the whole program: once more, then.
        wait(lambda: self._try() and self._all_there(), self._what_is_wrong)
        self._wanted = True

    def _all_there(self) -> bool:
        return len(self.workers()) == self._count

    def _what_is_wrong(self) -> str:
        return f"{len(self.workers())} of {self._count} workers. {self._fault}"

    def _try(self) -> bool:
        with self._starting:
            if not self._process.runs:
                try:
                    self._process.start()
                except AssertionError as error:  # what it needs is away
                    self._fault = str(error)
                    return False
            return True

    def stop(self) -> None:
        """Let it replace its workers, one after the other, as an operator does (SIGHUP)."""
        before = set(self.workers())
        if self._process.pid is not None:
            send([self._process.pid], signal.SIGHUP)
        wait(lambda: not before & set(self.workers()), lambda: "workers are not replaced")

    def kill(self) -> None:
        """Kill the first process: its workers see that, and end."""
        self._wanted = False
        self._process.kill()

    def pids(self) -> list[int]:
        """Return all its processes."""
        pid = self._process.pid
        return [] if pid is None else family(pid)


class OfTogether(Server):
    """One worker of several of one program, which starts it again when it is killed.

    Args:
        together: The program.
        number: Which of its workers; the oldest is 0.
    """

    def __init__(self, together: Together, number: int) -> None:
        self.name = f"worker{number + 1}"
        self._together = together
        self._number = number
        self._frozen: list[int] = []

    def start(self) -> None:
        """Wait until it was started again."""
        self._together.start()

    def stop(self) -> None:
        """End it with SIGTERM."""
        send(self.pids(), signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL."""
        send(self.pids(), signal.SIGKILL)

    def freeze(self) -> None:
        """Let it stand still."""
        self._frozen = self.pids()
        send(self._frozen, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the same one go on, whatever has become of the others."""
        send(self._frozen, signal.SIGCONT)

    def pids(self) -> list[int]:
        """Return its process."""
        return self._together.workers()[self._number : self._number + 1]
