"""A Synapse that starts in a moment: to import it takes seconds, and it is imported once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from openmeet_bridge.demo.synapse import Child, SynapseProcess

_NURSERY = Path(__file__).with_name("synapse_nursery.py")
_POLL = 0.01


class Nursery:
    """A process that has imported Synapse and forks it. Usable as a context manager."""

    def __enter__(self) -> Self:
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_NURSERY)],  # its folder is no place to import from
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def start(self, folder: Path, *arguments: str) -> Child:
        """Starts a Synapse; what it says is in the file ``synapse.out``.

        Args:
            folder: In which it runs.
            arguments: Of its command line.
        """
        return _Forked(self, int(self.ask("start", str(folder), *arguments)))

    def ask(self, *request: str | int) -> str:
        """Asks it for something; returns its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline().strip()
        assert answer, "the nursery of Synapse is dead"
        return answer


class QuickSynapse(SynapseProcess):
    """One Synapse, forked by a nursery.

    Args:
        nursery: Of whom it is born.
        home: As for any other.
        options: As for any other.
    """

    def __init__(self, nursery: Nursery, home: Path, **options: Any) -> None:
        super().__init__(home, **options)
        self._nursery = nursery

    def _spawn(self, home: Path) -> Child:
        return self._nursery.start(home, "-c", str(home / "homeserver.yaml"))


class _Forked:
    """What :class:`subprocess.Popen` is for a child of one's own."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._status: int | None = None

    def poll(self) -> int | None:
        if self._status is None:
            answer = self._nursery.ask("poll", self.pid)
            self._status = None if answer == "-" else int(answer)
        return self._status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("synapse", timeout or 0)
            time.sleep(_POLL)
        return status
