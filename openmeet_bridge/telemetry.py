"""Logging and metrics: set up once, used everywhere."""

from __future__ import annotations

import logging
import sys

import structlog
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import Counter, Gauge, Histogram

INGESTED = Counter(
    "openmeet_bridge_ingested_events_total",
    "Events that were appended to the log, by the way they came.",
    ["source"],
)
QUARANTINED = Counter(
    "openmeet_bridge_quarantined_events_total",
    "Events that could not be read and were set aside.",
)
TRANSACTION_SECONDS = Histogram(
    "openmeet_bridge_transaction_seconds",
    "Time from a transaction's arrival to its acknowledgement.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
TRANSACTIONS = Counter(
    "openmeet_bridge_transactions_total",
    "Transactions from the homeserver, by what became of them.",
    ["outcome"],
)
STREAMS = Gauge("openmeet_bridge_streams", "Open streams, by wire format.", ["wire"])
FRAMES = Counter(
    "openmeet_bridge_frames_total", "Frames handed to streams (one per reader and frame)."
)
STREAMS_CLOSED = Counter(
    "openmeet_bridge_streams_closed_total", "Streams closed by the bridge, by reason.", ["reason"]
)
STREAMS_REFUSED = Counter(
    "openmeet_bridge_streams_refused_total",
    "Streams that were not let in, by reason (full, closing, address, user_rate, process_rate).",
    ["reason"],
)
CONNECTIONS_SILENT = Gauge(
    "openmeet_bridge_connections_silent",
    "Connections to the public address on which nothing was said yet.",
)
CONNECTIONS_DISMISSED = Counter(
    "openmeet_bridge_connections_dismissed_total",
    "Connections to the public address that were closed before anything was said, by reason "
    "(gone, too_long, pushed_out, closing).",
    ["reason"],
)
STREAM_LIMITS = Gauge(
    "openmeet_bridge_stream_limit",
    "Limits of streams that are in force in this process, by the configuration's names; of "
    "`streams` as many as it may have open files.",
    ["limit"],
)
STREAM_ADDRESSES = Gauge(
    "openmeet_bridge_stream_addresses", "Addresses from which streams are open."
)
STREAMS_BEHIND = Gauge(
    "openmeet_bridge_streams_behind", "Streams whose reader has not taken all that was written."
)
STREAM_BYTES_WAITING = Gauge(
    "openmeet_bridge_stream_bytes_waiting", "Bytes that wait for readers of streams, in all."
)
STREAM_FRAMES_PARKED = Gauge(
    "openmeet_bridge_stream_frames_parked",
    "Frames that wait until readers have been given what they missed, in all.",
)
SENDS = Counter(
    "openmeet_bridge_sends_total", "Messages sent to the homeserver, by outcome.", ["outcome"]
)
OUTBOX_WORKERS = Gauge("openmeet_bridge_outbox_rooms", "Rooms with messages being sent.")
OUTBOX_PENDING = Gauge(
    "openmeet_bridge_outbox_pending", "Messages that were accepted and are not sent yet."
)
LOG_POSITION = Gauge("openmeet_bridge_log_position", "The end of the log.")
STREAM_LAG = Gauge(
    "openmeet_bridge_stream_lag_entries", "Entries of the log that streams have not been given yet."
)
QUARANTINE_SIZE = Gauge("openmeet_bridge_quarantine_events", "Events that are set aside.")
STRANGERS_DROPPED = Counter(
    "openmeet_bridge_strangers_dropped",
    "Events of rooms that belong to nobody on OpenMeet, dropped after an hour.",
)
REPAIR_AGE = Gauge(
    "openmeet_bridge_repair_age_seconds",
    "Time since the log was last compared with the homeserver.",
)
LAST_TRANSACTION = Gauge(
    "openmeet_bridge_last_transaction_timestamp_seconds",
    "When the homeserver's last transaction was kept (seconds since the epoch).",
)
JOBS_WAITING = Gauge(
    "openmeet_bridge_jobs_waiting", "Jobs that wait (pending) or were given up (failed).", ["state"]
)
JOBS = Counter("openmeet_bridge_jobs_total", "Jobs that were run, by outcome.", ["outcome"])
WEBHOOKS = Counter(
    "openmeet_bridge_webhooks_total",
    "Attempts to tell OpenMeet something, by type of event and outcome.",
    ["type", "outcome"],
)
WEBHOOKS_DROPPED = Counter(
    "openmeet_bridge_webhooks_dropped_total",
    "Messages that OpenMeet was not told of, because too many waited.",
)
WEBHOOKS_WAITING = Gauge(
    "openmeet_bridge_webhooks_waiting",
    "Webhooks that wait (pending) or were given up (failed).",
    ["state"],
)
WEBHOOKS_OLDEST = Gauge(
    "openmeet_bridge_webhooks_oldest_seconds", "Age of the oldest event that OpenMeet must be told."
)
SWEEPS = Counter(
    "openmeet_bridge_sweeps_total",
    "Times that everything was compared with the directory, whether or not anything happened.",
)
DRIFT_FOUND = Counter(
    "openmeet_bridge_drift_found_total",
    "What such a sweep found to differ, by kind; no call and no event had told.",
    ["kind"],
)
PICTURES = Counter(
    "openmeet_bridge_pictures_total",
    "Looks at pictures on OpenMeet, by outcome (copied, unchanged, problem).",
    ["outcome"],
)
ERASED = Counter("openmeet_bridge_erased_people_total", "People who were erased to the end.")
REPAIRED = Counter(
    "openmeet_bridge_repaired_entries_total",
    "Entries that the homeserver's push had lost or misplaced and that were repaired.",
)
WORKERS = Gauge("openmeet_bridge_workers", "Workers that serve this database, this one included.")
DUTIES = Gauge(
    "openmeet_bridge_duty_held",
    "Whether this worker has a duty that exactly one worker has at a time.",
    ["duty"],
)
RESTARTS = Counter(
    "openmeet_bridge_task_restarts_total", "Background tasks that failed and went on.", ["task"]
)
COMPARISONS = Counter(
    "openmeet_bridge_comparisons_total",
    "Comparisons with OpenMeet's database, by extent (full, incremental, single) and outcome.",
    ["extent", "outcome"],
)
COMPARISON_PROBLEMS = Gauge(
    "openmeet_bridge_comparison_problems",
    "Rows of OpenMeet's database that could not be used at the last full comparison.",
    ["tenant"],
)
COMPARISON_AGE = Gauge(
    "openmeet_bridge_comparison_age_seconds",
    "Time since a tenant was last fully compared with OpenMeet's database.",
    ["tenant"],
)
EPHEMERAL_DROPPED = Counter(
    "openmeet_bridge_ephemeral_dropped_total",
    "Typing notices, receipts and changes of presence that were dropped because a queue was full.",
    ["kind"],
)
PRESENCE_CHANGES = Counter(
    "openmeet_bridge_presence_changes_total",
    "Changes of people's presence that readers were told of, by what they became.",
    ["state"],
)
SIGNALS = Counter(
    "openmeet_bridge_signals_total",
    "Signals between processes, by direction (said, heard).",
    ["direction"],
)
BUS_SAID = Counter(
    "openmeet_bridge_bus_said_total",
    "Messages that were said over the bus, by kind (wakeup, word).",
    ["kind"],
)
BUS_HEARD = Counter(
    "openmeet_bridge_bus_heard_total",
    "Messages of other processes that were heard over the bus, by kind (wakeup, word), and those "
    "that were for nobody here (passed) or that nobody of ours wrote (unreadable).",
    ["kind"],
)
BUS_DROPPED = Counter(
    "openmeet_bridge_bus_dropped_total",
    "Messages that were never said over the bus, because too many waited.",
)
BUS_WAITING = Gauge("openmeet_bridge_bus_waiting", "Messages that wait to be said over the bus.")
BUS_LANES = Gauge("openmeet_bridge_bus_lanes", "Lanes of the bus that this process listens to.")
BUS_DEAF = Gauge(
    "openmeet_bridge_bus_deaf",
    "1 while nothing is heard over the bus and streams look at the log instead.",
)
BUS_CONNECTS = Counter(
    "openmeet_bridge_bus_connects_total",
    "Attempts to listen to the bus, by outcome (heard, failed) and, of what was heard, lost later.",
    ["outcome"],
)
BUS_ROUND_TRIP = Gauge(
    "openmeet_bridge_bus_round_trip_seconds",
    "How long the last thing took that this process said to itself over the bus.",
)
SIGNALS_IGNORED = Counter(
    "openmeet_bridge_signals_ignored_total",
    "Signals between processes that were passed over, by reason (unknown, too_large, failed).",
    ["reason"],
)


def setup_logging(level: str, *, as_json: bool) -> None:
    """Send all logging, the libraries' included, to stderr in one form.

    Args:
        level: Lowest level that is shown, by its name.
        as_json: One JSON object a line instead of text for people.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The pretty form shows local variables, and with them tokens.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if as_json else []),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # A line for every request and every mautrix call says nothing at the usual level.
    for chatty in ("aiohttp.access", "mau", "alembic", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    structlog.configure(
        # First of all what nobody sees is dropped: there are lines for every request.
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _is_ours(record: logging.LogRecord) -> bool:
    """Leave out what aiohttp logs as an error of ours and is a client's broken HTTP."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)
