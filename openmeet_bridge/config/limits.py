"""Bounds of what comes in and of what waits, and how long streams last."""

from __future__ import annotations

from typing import Annotated, Final

from .section import Section, about, duration, size

KIB: Final = 1024
MIB: Final = 1024 * KIB


class LimitsSection(Section, frozen=True, kw_only=True):
    """Bounds: what is larger is refused, never buffered without end."""

    transaction_bytes: Annotated[
        int, size("Largest transaction from the homeserver.", least=MIB)
    ] = 64 * MIB
    request_bytes: Annotated[
        int, size("Largest request body on the public listener.", least=KIB)
    ] = 256 * KIB
    snapshot_bytes: Annotated[
        int, size("Largest batch or snapshot on the integration API.", least=KIB)
    ] = 32 * MIB
    message_bytes: Annotated[
        int, size("Longest message text. Matrix itself refuses events over 64 KiB.")
    ] = 32 * KIB
    replay_entries: Annotated[
        int,
        about(
            "Most entries replayed to a stream that resumes; beyond that it is told to reset.", ge=1
        ),
    ] = 1000
    subscriber_buffer_bytes: Annotated[
        int, size("What may wait for one slow reader before its stream is closed.", least=KIB)
    ] = MIB
    parked_frames: Annotated[
        int, about("Live frames kept for a stream while it replays.", ge=1)
    ] = 2000
    streams_per_user: Annotated[
        int, about("Open streams of one user; the oldest is closed beyond that.", ge=1)
    ] = 20
    streams_per_address: Annotated[
        int,
        about(
            "Open streams from one address (of IPv6: from one network of 64 bits). A whole school "
            "may sit behind one.",
            ge=1,
        ),
    ] = 1000
    streams: Annotated[
        int,
        about(
            "Open streams of one process. Each is an open file: where the process may have fewer, "
            "fewer are let in.",
            ge=1,
        ),
    ] = 20_000
    stream_connects_per_second: Annotated[
        int,
        about(
            "Streams that may begin in one process a second, and after a pause twice as many at "
            "once: readers who all come back do not hurt those who are there.",
            ge=1,
        ),
    ] = 2000
    stream_connects_per_user: Annotated[
        float,
        about(
            "Streams that one user may begin a second, and after a pause twice "
            "`streams_per_user` at once.",
            gt=0,
        ),
    ] = 1.0
    outbox_pending_per_room: Annotated[
        int, about("Messages of one room waiting for the homeserver.", ge=1)
    ] = 1000
    outbox_pending: Annotated[int, about("Messages waiting for the homeserver in all.", ge=1)] = (
        100_000
    )
    outbox_kept: Annotated[
        float,
        duration(
            "How long is kept what became of each thing that somebody sent. Then the log knows "
            "what was sent, and what failed is forgotten."
        ),
    ] = 30 * 86_400.0
    webhooks_waiting: Annotated[
        int,
        about(
            "Messages that one webhook endpoint may have waiting; the oldest beyond that are "
            "dropped. Other events are never dropped.",
            ge=1,
        ),
    ] = 10_000
    timeline_page: Annotated[int, about("Largest page of a timeline, in entries.", ge=1)] = 200
    ticket_lifetime: Annotated[float, duration("How long a single-use stream ticket is good.")] = (
        30.0
    )
    send_wait: Annotated[
        float,
        duration("How long a send request waits for the homeserver before it answers `pending`."),
    ] = 10.0


class StreamSection(Section, frozen=True, kw_only=True):
    """Streams to browsers."""

    heartbeat: Annotated[
        float,
        duration(
            "Time between heartbeats on a silent stream, from 1 to 55 s: many proxies cut a "
            "connection after 60 s of silence."
        ),
    ] = 20.0
    behind_after: Annotated[
        float,
        duration("How long something may wait for a slow reader before its stream is closed."),
    ] = 30.0
    idle_after: Annotated[
        float,
        duration(
            "Time without a sign of its user after which a stream is closed: no request, and "
            "nothing said by any of their clients. They come back when somebody is there again."
        ),
    ] = 7200.0
    lifetime: Annotated[
        float,
        duration(
            "Longest life of a stream, or up to a tenth less; the client comes back at once. It "
            "ends with its token in any case."
        ),
    ] = 86_400.0
    drain: Annotated[
        float,
        about(
            "Time over which the streams of a worker that ends are told to come back, so that "
            "they do not all come to the others at once.",
            ge=0,
            unit="seconds",
        ),
    ] = 5.0
