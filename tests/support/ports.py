"""Ports for the servers of tests: no two of them are told the same one.

The system's own choice (bind to port 0) does not last: until the server listens, and while it is
away, the same port may be given to somebody else's connection, or chosen once more.
"""

from __future__ import annotations

import itertools
import os
import secrets
import socket
from collections.abc import Iterator

from openmeet_bridge.demo.synapse import HOST

_FIRST, _LAST = 12_000, 22_000
"""Below those that the kernel gives to outgoing connections, and so is the second port of each
server of a Valkey cluster, which is higher by 10,000."""


def free_ports(count: int) -> range:
    """Return as many ports of loopback, one after another, on which nobody listens now."""
    while True:
        first = next(_turn)
        found = range(first, first + count)
        if found.stop > _share.stop:
            continue
        # Nobody comes between: whoever is asked next goes on behind these.
        for _ in found[1:]:
            next(_turn)
        if all(map(_is_free, found)):
            return found


def free_port() -> int:
    """Return one."""
    return free_ports(1)[0]


def _of_this_process() -> range:
    """Return the ports that only this one of the processes of a test run gives."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    each = (_LAST - _FIRST) // count
    return range(_FIRST + number * each, _FIRST + (number + 1) * each)


def _in_turn(share: range) -> Iterator[int]:
    # From anywhere: those of a run that was ended a moment ago are taken for a while.
    start = secrets.randbelow(len(share))
    return itertools.cycle([*share[start:], *share[:start]])


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, number))
        except OSError:
            return False
    return True


_share = _of_this_process()
_turn = _in_turn(_share)
