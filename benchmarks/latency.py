"""Latency: from the answer to a send to the frame in a browser, with a real Synapse."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from openmeet_bridge.config import Address
from openmeet_bridge.core.ids import PortalKind, PortalRef
from openmeet_bridge.demo.synapse import SynapseProcess, free_port
from openmeet_bridge.storage.embedded import EmbeddedPostgres

from . import house, world
from .group import settled_group
from .house import House
from .readers import opening
from .report import Report
from .samples import percentile
from .wire import Answer, Connection, bearer, connect, request

_GROUP = "latency"
_PATIENCE = 20.0
_PAUSE = 0.05
_READ = 1 << 18
_WRITER, _READER = 1, 2


@dataclass(slots=True)
class Times:
    """Milliseconds of one way of sending.

    Attributes:
        answer: From the request to its answer.
        frames: From the answer to the frame, by kind of stream; negative where it was sooner.
        whole: From the request to the frame, by kind of stream.
    """

    answer: list[float] = field(default_factory=list)
    frames: dict[str, list[float]] = field(default_factory=lambda: {"sse": [], "ws": []})
    whole: dict[str, list[float]] = field(default_factory=lambda: {"sse": [], "ws": []})


def run(home: Path, postgres: EmbeddedPostgres, *, quick: bool) -> list[Report]:
    """Measure."""
    agreed = house.plan(home)
    synapse = SynapseProcess(
        home / "synapse",
        port=free_port(),
        registrations=[agreed.registration_file],
        server_name=world.SERVER_NAME,
        relaxed=True,
    )
    count = 20 if quick else 300
    with synapse, house.running(agreed, postgres, synapse.base_url) as bridge:
        room_id = settled_group(bridge, _GROUP, (_WRITER, _READER))
        ways = {
            "Matrix user": _by_matrix(synapse, room_id),
            "web API": _by_api(bridge, room_id),
        }
        with _Streams(bridge) as streams:
            for send in ways.values():
                streams.measure(send, 5)  # warm
            found = {name: streams.measure(send, count) for name, send in ways.items()}
    return [_report(found, count)]


def _report(found: dict[str, Times], count: int) -> Report:
    columns = ("sent by", "stream", "answer p50", "to frame p50", "p99", "whole way p50", "p99 ")
    report = Report(f"From a send to a browser's frame, ms, {count} messages", columns)
    for name, times in found.items():
        for wire in ("sse", "ws"):
            frames, whole = times.frames[wire], times.whole[wire]
            report.rows.append(
                (
                    name,
                    wire,
                    percentile(times.answer, 0.5),
                    *(percentile(frames, share) for share in (0.5, 0.99)),
                    *(percentile(whole, share) for share in (0.5, 0.99)),
                )
            )
    report.notes = [
        "Answer: from the request to its answer, Synapse's own or the web API's. To frame: from",
        "that answer to the frame on another user's stream; below zero, the frame was sooner.",
        "The web API answers when it knows the event id, by Synapse's answer or by the event.",
    ]
    return report


Sender = tuple[Address, Callable[[int, str], bytes]]


def _by_matrix(synapse: SynapseProcess, room_id: str) -> Sender:
    synapse.register_user("visitor", "visitor-password")
    login = synapse.login("visitor", "visitor-password")
    base, headers = "/_matrix/client/v3", bearer(login.access_token)
    parts = urlsplit(synapse.base_url)
    address = Address(str(parts.hostname), int(parts.port or 0))
    alias = quote(world.NAMING.alias(PortalRef(world.TENANT, PortalKind.GROUP, _GROUP)), safe="")
    connection = Connection(address)
    connection.ask(request("POST", f"{base}/join/{alias}", headers, b"{}"))
    connection.close()

    def send(number: int, text: str) -> bytes:
        body = json.dumps({"msgtype": "m.text", "body": text}).encode()
        path = f"{base}/rooms/{quote(room_id, safe='')}/send/m.room.message/m{number}"
        return request("PUT", path, headers, body)

    return address, send


def _by_api(bridge: House, room_id: str) -> Sender:
    headers = bearer(world.token(_WRITER))

    def send(number: int, text: str) -> bytes:
        path = f"/api/v1/rooms/{quote(room_id, safe='')}/messages/b{number}"
        return request("PUT", path, headers, json.dumps({"body": text}).encode())

    return bridge.public, send


class _Streams:
    """A user's two streams, one of each kind."""

    def __init__(self, bridge: House) -> None:
        self._bridge = bridge
        self._selector = selectors.DefaultSelector()
        self._numbers = iter(range(1, 1 << 30))
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> _Streams:
        for wire in ("sse", "ws"):
            stream = connect(self._bridge.public)
            stream.sendall(opening(wire, world.token(_READER)))
            got = b""
            while b"hello" not in got:
                got += stream.recv(_READ)
            self._selector.register(stream, selectors.EVENT_READ, wire)
            self._sockets.append(stream)
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for stream in self._sockets:
            stream.close()

    def measure(self, sender: Sender, count: int) -> Times:
        """Send messages one by one, and note when each is answered and seen."""
        address, send = sender
        times = Times()
        connection = connect(address)
        self._selector.register(connection, selectors.EVENT_READ, "answer")
        for _ in range(count):
            number = next(self._numbers)
            text = f"~{number:08d}~"
            began = time.perf_counter()
            connection.sendall(send(number, text))
            self._note(times, began, self._moments(text.encode()))
            time.sleep(_PAUSE)
        self._selector.unregister(connection)
        connection.close()
        return times

    def _moments(self, mark: bytes) -> dict[str, float]:
        """Return when the answer came, and when each stream brought the mark."""
        moments: dict[str, float] = {}
        answer, got = Answer(), {"sse": b"", "ws": b""}
        deadline = time.monotonic() + _PATIENCE
        while len(moments) < 3:
            for key, _ in self._selector.select(1):
                assert isinstance(key.fileobj, socket.socket)
                data, now = key.fileobj.recv(_READ), time.perf_counter()
                if key.data == "answer":
                    whole = answer.feed(data)
                else:
                    got[key.data] += data
                    whole = mark in got[key.data]
                if whole:
                    moments.setdefault(key.data, now)
            if time.monotonic() > deadline:
                raise RuntimeError(f"not seen: {mark!r}; there is {sorted(moments)}")
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {answer.body!r}")
        return moments

    def _note(self, times: Times, began: float, moments: dict[str, float]) -> None:
        times.answer.append((moments["answer"] - began) * 1000)
        for wire in ("sse", "ws"):
            times.frames[wire].append((moments[wire] - moments["answer"]) * 1000)
            times.whole[wire].append((moments[wire] - began) * 1000)
