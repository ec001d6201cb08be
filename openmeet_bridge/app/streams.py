"""Streams for browsers, within the configured limits."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Final

import structlog

from ..api.admission import Admission
from ..api.open_streams import OpenStreams
from ..api.peers import Peers
from ..api.stream_ends import StreamEnds
from ..api.stream_limits import StreamLimits
from ..bridge.streams import Streams
from ..config import Config
from ..stream.hub import Hub
from ..stream.sockets import Sockets
from ..telemetry import STREAM_LIMITS

log = structlog.get_logger(__name__)

RESERVE: Final = 512
"""Open files for all that is no stream: requests, the database, the homeserver, the bus."""


def open_streams(
    config: Config,
    streams: Streams,
    hub: Hub,
    sockets: Sockets,
    now: Callable[[], float] = time.time,
) -> OpenStreams:
    """Return what opens streams of every kind, so that all of them count for one limit.

    Args:
        config: The configuration.
        streams: Brings a stream to the present.
        hub: Delivers to it.
        sockets: Hold the connections.
        now: Seconds since the epoch.
    """
    limits = limits_of(config, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    _tell(config, limits)
    admission = Admission(hub, limits, Peers(config.listen.trusted_proxies))
    return OpenStreams(streams, hub, sockets, admission, StreamEnds(hub, limits, now))


def limits_of(config: Config, files: int) -> StreamLimits:
    """Return the limits that can be kept.

    Args:
        config: The configuration.
        files: How many open files this process may have: each stream is one. Below 0: any number.
    """
    wanted = config.limits
    return StreamLimits(
        streams=wanted.streams if files < 0 else min(wanted.streams, _room(files)),
        per_user=wanted.streams_per_user,
        per_address=wanted.streams_per_address,
        connects_per_second=wanted.stream_connects_per_second,
        connects_per_user=wanted.stream_connects_per_user,
        idle_after=config.stream.idle_after,
        lifetime=config.stream.lifetime,
    )


def _room(files: int) -> int:
    return max(1, files - min(RESERVE, files // 2))


def _tell(config: Config, limits: StreamLimits) -> None:
    """Let operators see which limits are in force."""
    wanted = config.limits
    in_force = {
        "streams": limits.streams,
        "streams_per_user": limits.per_user,
        "streams_per_address": limits.per_address,
        "stream_connects_per_second": limits.connects_per_second,
        "stream_connects_per_user": limits.connects_per_user,
        "subscriber_buffer_bytes": wanted.subscriber_buffer_bytes,
        "parked_frames": wanted.parked_frames,
        "replay_entries": wanted.replay_entries,
    }
    for name, value in in_force.items():
        STREAM_LIMITS.labels(name).set(value)
    if limits.streams < wanted.streams:
        log.warning(
            "streams.fewer_than_configured",
            streams=limits.streams,
            configured=wanted.streams,
            hint="each stream is an open file: raise the limit (LimitNOFILE=, ulimit -n)",
        )
