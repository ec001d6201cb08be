"""Streams for browsers, within the configured limits."""

from __future__ import annotations

from ..api.open_streams import OpenStreams
from ..config import Config
from .services import Services


def open_streams(config: Config, services: Services) -> OpenStreams:
    """Return what opens streams of any kind; their limits are counted by the one hub."""
    limits = config.limits
    return OpenStreams(
        services.streams,
        services.hub,
        max_streams=limits.streams,
        max_per_user=limits.streams_per_user,
    )
