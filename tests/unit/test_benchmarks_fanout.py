"""The fan-out benchmark's own parts: statistics, order of visits, plots, layout, log in memory."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestServer

from benchmarks import world
from benchmarks.fanout import client, fan, layout, results, servers
from benchmarks.fanout.found import Found, Goal, goals_report
from benchmarks.fanout.hub import Hub, Input
from benchmarks.fanout.memory_log import MemoryIdentity, MemoryLog
from benchmarks.fanout.plots import Axis, Plot, tick_text
from benchmarks.fanout.spread import Spread, ratios, visits
from openmeet_bridge.bridge.log_view import Standing
from openmeet_bridge.config import Address, load
from openmeet_bridge.core.ids import Mxid, Position, RoomId

from ..support import streams

# Statistics


def test_a_spread_is_the_median_and_the_middle_half() -> None:
    assert Spread.of([4, 1, 3, 2, 5]) == Spread(3, 2, 4, 5)
    assert Spread.of([1, 2]) == Spread(1.5, 1.25, 1.75, 2)
    assert Spread.of([7]) == Spread(7, 7, 7, 1)
    assert Spread.of([]) is None


def test_a_spread_is_told_as_short_as_it_says_enough() -> None:
    assert Spread(0.8412, 0.733, 0.96, 5).text("x") == "0.84x (0.73 to 0.96)"
    assert Spread(1234.5, 0, 0, 1).text() == "1,234"
    assert Spread(12.34, 0, 0, 1).text(" ms") == "12.3 ms"


def test_ratios_are_those_of_the_same_round() -> None:
    rounds = [{"a": [2.0, 4.0], "b": [1.0]}, {"a": [10.0], "b": [5.0, 4.0, 6.0]}, {"a": [1.0]}]
    assert ratios(rounds, "a", "b") == [3.0, 2.0]
    assert ratios([{"a": [1.0], "b": [0.0]}], "a", "b") == []


def test_every_server_is_visited_once_a_round_and_references_in_between() -> None:
    names = ["floor", "nchan", *"abcde"]
    order = visits(names, ("floor", "nchan", "absent"), random.Random(1))
    assert sorted(one for one in order if len(one) == 1) == list("abcde")
    assert order[:2] == order[6:8] == order[-2:] == ["floor", "nchan"]
    assert visits(names, (), random.Random(1)) != visits(names, (), random.Random(2))


@pytest.mark.parametrize(
    ("found", "least", "verdict"),
    [(0.8, True, "ok"), (0.79, True, "short"), (0.8, False, "ok"), (0.81, False, "short")],
)
def test_a_figure_is_held_against_what_is_asked(found: float, least: bool, verdict: str) -> None:
    goal = Goal("row", "bridge", Spread.of([found]), 0.8, least, "x")
    assert goal.verdict == verdict
    assert goal.cells[3] == ("≥ 0.80x" if least else "≤ 0.80x")


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    goal = Goal("row", "bridge", None, 1.0, True)
    assert goal.cells == ("row", "bridge", "-", "≥ 1.00", "not measured")


def phase(cpu: float, p99: float = 1000.0) -> client.Phase:
    return client.Phase(cpu_us_each=cpu, deliveries_s=1e6 / cpu, p99_us=p99)


def test_the_bridge_is_held_against_the_floor_of_the_same_round() -> None:
    costs = {"floor-each": 3.0, "floor-batch": 0.5, "nchan-sse": 6.0, "bridge-sse": 4.0}
    turns = {
        name: [{"one": phase(cost), "many": phase(cost), "load": phase(cost, 1000 * cost)}]
        for name, cost in costs.items()
    }
    found = {goal.row: goal for goal in fan.goals([turns, turns])}
    by_floor = found["1 in flight, by the C floor"]
    assert by_floor.found is not None
    assert (round(by_floor.found.median, 2), by_floor.verdict) == (0.75, "short")
    assert found["1 in flight, by nchan SSE"].verdict == "ok"
    assert found["p99 at 15,000 deliveries/s, by the C floor's"].verdict == "ok"


# Plots and the report


def test_a_plot_is_an_image_with_all_its_lines() -> None:
    plot = Plot("Title <&>", Axis("x", logarithmic=True), Axis("y"))
    root = ElementTree.fromstring(  # noqa: S314  (our own)
        plot.svg({"bridge-sse": [(10, 1), (1000, 3)], "other": [(10, 2)], "none": []})
    )
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Title <&>", "bridge-sse", "other", "none", "x", "y", "100"} <= set(texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 3


@pytest.mark.parametrize("logarithmic", [False, True])
def test_every_value_has_a_place_on_its_axis(logarithmic: bool) -> None:
    values = [0.3, 2.0, 70.0]
    scale = Axis("any", logarithmic).scale(values)
    assert all(0 <= scale.place(one) <= 1 for one in values)
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks())
    assert 3 <= len(scale.ticks()) <= 12


def test_ticks_are_short() -> None:
    assert [tick_text(one) for one in (0.05, 1, 2500, 200_000, 1_500_000)] == [
        "0.05", "1", "2.5k", "200k", "1.5M",
    ]  # fmt: skip


def test_a_report_is_written_with_its_plots(tmp_path: Path) -> None:
    found = Found(goals=[Goal("a | row", "bridge", Spread.of([1.0]), 0.5, True)])
    found.reports.append(goals_report(found.goals))
    found.point("memory", "bridge-sse", 1000, 2.0)
    results.write(tmp_path, {"processor": "one"}, found, quick=True)
    assert {one.name for one in tmp_path.iterdir()} == {
        "fanout.md", "fanout.json", "fanout-memory.svg",
    }  # fmt: skip
    page = (tmp_path / "fanout.md").read_text()
    assert "fanout-memory.svg" in page
    assert "A short run" in page
    values = msgspec.json.decode((tmp_path / "fanout.json").read_bytes())
    assert values["goals"][0]["verdict"] == "ok"


# What is measured


def test_each_reader_has_one_room_whoever_is_asked() -> None:
    for block in layout.BLOCKS:
        last = block.first_reader + block.readers - 1
        rooms = range(block.first_room, block.first_room + block.rooms)
        assert layout.room_of(block.first_reader) == block.first_room
        assert layout.room_of(last) in rooms
        for room in (rooms[0], rooms[-1]):
            assert {block.room_of(one) for one in block.readers_of(room)} == {room}
        everybody = sum(len(block.readers_of(room)) for room in rooms)
        assert everybody == block.readers
    assert layout.room_of(layout.READERS) is None
    assert layout.SMALL_ROOMS.readers_of(5, most=204) == [20_004, 20_104]


def event(number: int, text: str = "hello") -> bytes:
    return msgspec.json.encode(
        {"event_id": f"${number}", "origin_server_ts": number, "content": {"body": text}}
    )


async def test_the_log_in_memory_reads_as_the_real_one() -> None:
    log = MemoryLog()
    for number in range(1, 8):
        log.append(0 if number % 2 else 1, event(number))
    found, end = await log.after(Position(2), 3)
    assert ([one.position for one in found], end) == ([3, 4, 5], 5)
    found, end = await log.after(Position(5), 3)
    assert ([one.position for one in found], end) == ([6, 7], 7)
    assert await log.after(Position(7), 3) == ([], 7)
    who = Mxid(world.mxid(layout.user(layout.ONE_ROOM.first_reader)))
    standing = await log.standing(world.TENANT, who)
    assert standing == Standing(Position(7), frozenset({RoomId(layout.room_id(0))}))
    missed = await log.missed(world.TENANT, who, Position(1), Position(6), 10)
    assert [(one.position, readable) for one, readable in missed] == [(3, True), (5, True)]


async def test_users_are_known_by_their_number_and_their_slug() -> None:
    known = MemoryIdentity()
    assert await known.user(world.TENANT, 1, world.slug(1)) is not None
    assert await known.user(world.TENANT, 1, world.slug(2)) is None
    assert await known.user(world.TENANT, layout.READERS + 1, None) is None


async def test_lines_reach_streams_of_the_whole_public_listener(tmp_path: Path) -> None:
    config = load(servers.memory_config(tmp_path, Address("127.0.0.1", 9), {}))
    async with aiohttp.ClientSession() as http:
        hub = Hub(config, http)
        server = TestServer(hub.public.app)
        await server.start_server()
        lines = Input(hub.take)
        try:
            await _reads_what_is_said(hub, lines, str(server.make_url("")).rstrip("/"), http)
        finally:
            hub.close()
            await server.close()


async def _reads_what_is_said(hub: Hub, lines: Input, url: str, http: Any) -> None:
    headers = {"Authorization": f"Bearer {world.token(layout.user(0))}"}
    async with streams.sse(http, url, headers=headers) as stream:
        await stream.wait("hello")
        line = b"000000 %b\n000001 %b\n" % (event(1), event(2, "elsewhere"))
        lines.data_received(line[:20])
        lines.data_received(line[20:])
        while await hub.step():
            pass
        assert (await stream.message("hello"))["room_id"] == layout.room_id(0)
    assert stream.bodies() == ["hello"]


def test_kinds_of_stream_are_asked_for_as_they_are() -> None:
    reads = servers.bridge_reads(Address("127.0.0.1", 80))
    assert list(reads) == ["sse", "ws", "socketio"]
    assert all("--header" in one and servers.BEARER in one for one in reads.values())
    assert "--twin" in reads["socketio"]
