"""Peers: from which address a request comes, behind proxies too."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from aiohttp import hdrs

from .asking import Asking

LOOPBACK: Final = ("127.0.0.0/8", "::1")

_PREFIX: Final = 64
_KNOWN: Final = 4096
_LONGEST: Final = 64


class Peers:
    """Tells from where requests come.

    Args:
        trusted: Addresses and networks of proxies: what they say of where a request comes from is
            believed.
    """

    def __init__(self, trusted: Iterable[str] = LOOPBACK) -> None:
        self._trusted = [ip_network(one, strict=False) for one in trusted]
        # Proxies are few and call all day; so do most of the clients.
        self._place = lru_cache(_KNOWN)(self._look_up)

    def address(self, request: Asking) -> str | None:
        """Return who counts as one: an address, or a network of 64 bits of IPv6.

        Behind proxies that are trusted it is the last hop that none of them is: what stands before
        that, anybody may have written. None where there is no such hop: then it is this machine,
        or a proxy that does not say for whom it asks.
        """
        # Only a proxy of this machine comes by a UNIX socket, and has no address then.
        place = self._place(request.remote) if request.remote else ""
        if place == "":
            for hop in reversed(_hops(request)):
                place = self._place(hop)
                if place != "":
                    break
        return place or None

    def is_unknown_proxy(self, request: Asking) -> bool:
        """Whether a request looks as if a proxy had passed it on that is not trusted."""
        came_by_proxy = hdrs.X_FORWARDED_FOR in request.headers
        return came_by_proxy and bool(self._place(request.remote or ""))

    def _look_up(self, text: str) -> str | None:
        """Return where an address belongs: empty for a trusted one, None for what is none."""
        found = _parsed(text)
        if found is None:
            return None
        if any(found in network for network in self._trusted):
            return ""
        if isinstance(found, IPv6Address):
            # Whoever has one address of IPv6 has as many as they like.
            return str(ip_network((found, _PREFIX), strict=False))
        return str(found)


def _hops(request: Asking) -> list[str]:
    said = request.headers.getall(hdrs.X_FORWARDED_FOR, ())
    return [hop.strip()[:_LONGEST] for hop in ",".join(said).split(",")]


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    # Some proxies write the port too: 192.0.2.1:80, [2001:db8::1]:80.
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
