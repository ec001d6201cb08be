"""Wires of streams that bring less: compressed ones, and those that leave frames or people out.

What a frame is on a wire is made once, whoever leaves what else out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from weakref import WeakValueDictionary

from .deflate import sse_deflated, ws_deflated
from .frames import ALWAYS, CHOICE, Frame, Wire
from .people import ByReference


class GzipSseWire:
    """Server-sent events as pieces of a body with ``Content-Encoding: gzip``.

    The body's header is not among them; whatever else is in the body must be compressed, too.
    """

    name = "sse"

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the frames one after another."""
        return b"".join([self._written(frame) for frame in frames])

    def _written(self, frame: Frame) -> bytes:
        written = frame.other.get(self)
        if written is None:
            written = frame.other[self] = sse_deflated(frame.sse)
        return written


class DeflatedWsWire:
    """WebSocket text frames with permessage-deflate, each compressed by itself."""

    name = "ws"

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the frames one after another."""
        return b"".join([self._written(frame) for frame in frames])

    def _written(self, frame: Frame) -> bytes:
        written = frame.other.get(self)
        if written is None:
            written = frame.other[self] = ws_deflated(frame.text)
        return written


class Filtered:
    """A wire that leaves out all frames but those of some types, and those of ``ALWAYS``.

    Args:
        wire: How the frames are written.
        types: Which are.
    """

    def __init__(self, wire: Wire, types: frozenset[str]) -> None:
        self.name = wire.name
        self._wire = wire
        self._types = types | ALWAYS

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the frames that are not left out, one after another."""
        return self._wire.join([frame for frame in frames if frame.type in self._types])


LOW: Final = CHOICE - {"typing", "receipt", "presence"}
"""What is brought where data is dear, unless more is asked for."""

SSE_GZIP: Final = GzipSseWire()
WS_DEFLATED: Final = DeflatedWsWire()

_filtered: WeakValueDictionary[tuple[Wire, frozenset[str]], Filtered] = WeakValueDictionary()
_by_reference: WeakValueDictionary[tuple[Wire, frozenset[str] | None], ByReference] = (
    WeakValueDictionary()
)


def filtered(wire: Wire, types: frozenset[str] | None) -> Wire:
    """Return a wire on which only frames of some types go; None: all.

    Streams that ask for the same have the same wire, so that what they get is joined once. It is
    there as long as one of them is: there are never more than streams.
    """
    chosen = _chosen(types)
    if chosen is None:
        return wire
    key = wire, chosen
    found = _filtered.get(key)
    if found is None:
        found = _filtered[key] = Filtered(*key)
    return found


def by_reference(wire: Wire, types: frozenset[str] | None) -> ByReference:
    """Return a wire on which people go by reference, and only frames of some types; None: all.

    It is shared as :func:`filtered` says.
    """
    key = wire, _chosen(types)
    found = _by_reference.get(key)
    if found is None:
        found = _by_reference[key] = ByReference(*key)
    return found


def _chosen(types: frozenset[str] | None) -> frozenset[str] | None:
    return None if types is None or types >= CHOICE else types & CHOICE
