"""The layout: how the servers want pub/sub to be done, and which of them a channel belongs to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ResponseError

from .valkey_link import Endpoint, Link, Server

_SHARDED_SINCE: Final = 7


class Layout:
    """What was found out about the servers.

    Args:
        sharded: Whether each channel belongs to one server of a cluster (``SSUBSCRIBE``).
        endpoints: The servers to be connected to; None is the one of the configured address.
        ranges: The first hash slot of each range in rising order, with the index of its server.
    """

    def __init__(
        self,
        sharded: bool,
        endpoints: Sequence[Endpoint | None] = (None,),
        ranges: Sequence[tuple[int, int]] = ((0, 0),),
    ) -> None:
        self.endpoints = endpoints
        self.subscribe = "SSUBSCRIBE" if sharded else "SUBSCRIBE"
        self.unsubscribe = "SUNSUBSCRIBE" if sharded else "UNSUBSCRIBE"
        self.publish = "SPUBLISH" if sharded else "PUBLISH"
        self._starts = [start for start, _ in ranges]
        self._owners = [owner for _, owner in ranges]

    def owner(self, channel: str) -> int:
        """Return the index of the server that a channel belongs to."""
        if len(self.endpoints) == 1:
            return 0
        return self._owners[bisect_right(self._starts, key_slot(channel.encode())) - 1]


async def survey(link: Link, server: Server) -> Layout:
    """Ask a server how pub/sub is to be done.

    All processes get the same answer, so that all speak where the others listen.

    Raises:
        RedisError: The server is away.
        ValueError: The cluster cannot be used: parts of it are served by nobody, or it is reached
            through a socket of this machine.
    """
    try:
        about = _lines(await link.ask("INFO", "server"))
    except ResponseError:
        # Some who rent out servers forbid to ask. What every server can is enough.
        return Layout(sharded=False)
    # Valkey calls it server_mode.
    mode = about.get("redis_mode") or about.get("server_mode")
    major = int(about.get("redis_version", "0").partition(".")[0])
    if major < _SHARDED_SINCE:
        return Layout(sharded=False)
    if mode != "cluster":
        return Layout(sharded=True)
    return _cluster(await link.ask("CLUSTER", "SLOTS"), server)


def _lines(info: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}


def _cluster(slots: Sequence[Any], server: Server) -> Layout:
    """Read the answer to ``CLUSTER SLOTS``: ``[first, last, [host, port, …], replicas…]``."""
    found = sorted((first, last, _endpoint(primary, server)) for first, last, primary, *_ in slots)
    expected = 0
    for first, last, _ in found:
        if first != expected:
            break
        expected = last + 1
    if expected != REDIS_CLUSTER_HASH_SLOTS:
        raise ValueError("the cluster has hash slots that no server serves")
    endpoints = sorted({endpoint for _, _, endpoint in found})
    if len(endpoints) == 1:
        # The address that is configured is as good, and works where the announced one does not.
        return Layout(sharded=True)
    if server.local:
        raise ValueError("a cluster of several servers needs an address with a host")
    return Layout(True, endpoints, [(first, endpoints.index(one)) for first, _, one in found])


def _endpoint(primary: Sequence[Any], server: Server) -> Endpoint:
    host = (primary[0] or b"").decode()
    # A server that does not know its own name is where it was asked.
    return (host if host not in ("", "?") else server.host), int(primary[1])
