"""Imports Synapse once and forks it whenever it is told to; see ``quick_synapse``.

It reads requests from its standard input, a JSON list each, and answers each with one line:
``["start", FOLDER, ARGUMENT, …]`` with the process id of a new Synapse in that folder, and
``["poll", PID]`` with its exit status, or ``-`` while it runs. With the end of its input everything
ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Serves until the input ends."""
    reactor, synapse = _imported()
    gc.freeze()  # what is imported is neither looked at nor copied by the forked
    alive: set[int] = set()
    for line in sys.stdin:
        what, *words = json.loads(line)
        if what == "start":
            pid = os.fork()
            if pid == 0:
                _become(reactor, synapse, *words)
            alive.add(pid)
            answer = str(pid)
        else:
            answer = _polled(words[0], alive)
        print(answer, flush=True)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def _imported() -> tuple[Any, Any]:
    # A real reactor must not be shared by the forked: each installs its own behind this one.
    proxied = importlib.import_module("synapse.app.complement_fork_proxied_reactor")
    reactor = proxied.ProxiedReactor()
    importlib.import_module("twisted.internet.main").installReactor(reactor)
    return reactor, importlib.import_module("synapse.app.homeserver")


def _become(reactor: Any, synapse: Any, folder: str, *arguments: str) -> None:
    status = 1
    try:
        os.setsid()
        os.chdir(folder)
        for path, flags, numbers in (
            (os.devnull, os.O_RDONLY, (0,)),
            ("synapse.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, (1, 2)),
        ):
            descriptor = os.open(path, flags, 0o600)
            for number in numbers:
                os.dup2(descriptor, number)
            os.close(descriptor)
        reactor._install_real_reactor(
            importlib.import_module("twisted.internet.epollreactor").EPollReactor()
        )
        sys.argv = ["synapse.app.homeserver", *arguments]
        synapse.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _polled(pid: int, alive: set[int]) -> str:
    if pid not in alive:
        return "0"
    found, status = os.waitpid(pid, os.WNOHANG)
    if not found:
        return "-"
    alive.discard(pid)
    return str(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
