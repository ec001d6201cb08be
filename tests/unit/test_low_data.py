"""The hour of which the savings of low data are told: always the same, and rightly counted."""

from __future__ import annotations

from benchmarks.low_data import LEFT_OUT, Hour, kinds, savings, sizes
from openmeet_bridge.stream.frames import WS, Frame

from ..stream.parsers import WsParser

ORDER = ("everything", "everything, deflated", "low data", "low data, deflated")


def test_the_hour() -> None:
    hour, again = (list(Hour(messages=20).frames()) for _ in range(2))
    assert [frame.ws for frame in hour] == [frame.ws for frame in again]
    assert {frame.type for frame in hour} == {
        "membership",
        "presence",
        "receipt",
        "timeline",
        "timeline.changed",
        "typing",
    }
    received = WsParser().feed(WS.join(hour))
    assert [one.type for one in received] == [frame.type for frame in hour]

    rows = {row[0]: row[1:] for row in savings(hour).rows}
    shares = [float(rows[name][2] or 0) for name in ORDER]
    assert shares == sorted(shares, reverse=True)
    for name in ORDER:
        size, short, passing_by = (
            float(rows[name + more][1] or 0)
            for more in ("", ", people by reference", ", the same for who passes by")
        )
        assert size * 0.5 < short < passing_by < size * 1.5
    assert rows["low data"][0] == sum(frame.type not in LEFT_OUT for frame in hour)
    assert sum(int(row[1] or 0) for row in kinds(hour).rows) == len(hour)


def test_sizes() -> None:
    for length in (100, 123, 1_000, 70_000):
        frame = Frame("x", b'"%b"' % (b"a" * length))
        assert frame.text == b'{"type":"x","data":"%b"}' % (b"a" * length)
        plain, small, events, body = sizes([frame] * 2)
        assert (plain, events) == (2 * len(frame.ws), 2 * len(frame.sse))
        assert small < plain
        assert body < events
