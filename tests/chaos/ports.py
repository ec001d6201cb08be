"""Ports that stay free while nobody listens on them, for servers that go and come back."""

from __future__ import annotations

import secrets
import socket

from openmeet_bridge.demo.synapse import HOST

_FIRST, _LAST = 20_000, 32_000
"""Below those that the kernel gives to outgoing connections: none of them is taken by chance."""


def ports(count: int) -> range:
    """Return as many ports of loopback, one after another, on which nobody listens now."""
    while True:
        first = _FIRST + secrets.randbelow(_LAST - _FIRST)
        found = range(first, first + count)
        if all(map(_is_free, found)):
            return found


def port() -> int:
    """Return one."""
    return ports(1)[0]


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, number))
        except OSError:
            return False
    return True
