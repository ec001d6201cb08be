"""Connecting to the public internet only, whatever a name says at whatever moment.

An address that came from OpenMeet's users may name a machine inside the operator's network, or a
name that leads to one. The check is therefore made where the name becomes an address: what was
checked is what is connected to.
"""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class NotPublic(OSError):
    """A name or an address that does not lead to the public internet."""


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the public addresses of a host.

        Raises:
            NotPublic: It has others only.
            OSError: It has none at all.
        """
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if is_public(one["host"])]
        if not public:
            raise NotPublic(f"{host} is not on the public internet")
        return public

    async def close(self) -> None:
        """End."""
        await self._resolver.close()


def is_public(address: str) -> bool:
    """Whether a numeric address is one of the public internet; False for what is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inner(parsed)
    return inner.is_global and not inner.is_multicast


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
