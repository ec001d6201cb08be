"""Streams for browsers, within the configured limits."""

from __future__ import annotations

from ..api.open_streams import OpenStreams
from ..bridge.streams import Streams
from ..config import Config
from ..stream.hub import Hub
from ..stream.sockets import Sockets


def open_streams(config: Config, streams: Streams, hub: Hub, sockets: Sockets) -> OpenStreams:
    """Return what opens streams of every kind, so that all of them count for one limit."""
    limits = config.limits
    return OpenStreams(
        streams,
        hub,
        sockets,
        max_streams=limits.streams,
        max_per_user=limits.streams_per_user,
    )
