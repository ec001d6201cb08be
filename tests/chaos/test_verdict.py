"""The judge of chaos runs finds each kind of fault, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from .acts import draw, kind_of
from .journal import Record
from .report import report
from .verdict import judge

ROOM, USER, REPLAY = "!room", "@reader", 50
Change = Callable[[list[Record]], object]


def cursor(position: int) -> str:
    return f"1-0badcafe-{position:x}"


def entry(number: int, **more: Any) -> Record:
    return {
        "event": f"$e{number}",
        "order": f"{number:016x}",
        "revision": number,
        "text": f"ann {number}",
    } | more


def frame(number: int, who: str = "r/ws", **more: Any) -> Record:
    place = {"type": "timeline", "cursor": cursor(number), "room": ROOM}
    return {"what": "frame", "who": who, **place, **entry(number), **more}


def journal() -> list[Record]:
    """Three messages to one who is in; of the last two another hears, who comes back by then."""
    join = {"type": "m.room.member", "sender": USER, "user": USER, "membership": "join"}
    guest = {**join, "user": "@guest"}
    said = [
        {"event": f"$e{n}", "type": "m.room.message", "sender": "@ann", "body": f"ann {n}"}
        for n in (3, 6, 7)
    ]
    events = [
        {"event": "$e1", **join},
        {"event": "$e2", **guest},
        {"event": "$e3", "type": "m.room.message", "sender": "@bot", "body": "ann 3"},
        {"event": "$e4", **guest, "membership": "leave"},
        {"event": "$e5", **guest},
        *said[1:],
    ]
    effects = {1: ("@reader", 1), 2: ("@guest", 1), 4: ("@guest", -1), 5: ("@guest", 1)}
    records: list[Record] = [
        {"what": "room", "room": ROOM, "name": "cave", "history": "joined"},
        {"what": "reader", "who": "r/ws", "mxid": USER, "wire": "ws"},
        {"what": "reader", "who": "g/sse", "mxid": "@guest", "wire": "sse"},
        {"what": "begins", "room": ROOM, "event": "$e3"},
        {"what": "loaded", "who": "r/ws", "rooms": [ROOM], "cursor": cursor(2)},
        {"what": "loaded", "who": "g/sse", "rooms": [], "cursor": cursor(4)},
        *(
            frame(number, text=f"ann {number}" if number not in (4, 5) else "")
            for number in range(3, 8)
        ),
        frame(5, "g/sse", text=""),
        {
            "what": "fetched",
            "who": "g/sse",
            "room": ROOM,
            "entries": [entry(3), entry(4, text=""), entry(5, text="")],
        },
        frame(6, "g/sse"),
        frame(7, "g/sse"),
        *(
            {
                "what": "said",
                "way": "web",
                "who": "ann",
                "sender": "@ann",
                "room": ROOM,
                "body": f"ann {n}",
                "began": float(n),
                "event": f"$e{n}",
            }
            for n in (6, 7)
        ),
        {"what": "moved", "who": "@guest", "room": ROOM, "where": "out"},
        {"what": "moved", "who": "@guest", "room": ROOM, "where": "returns"},
        {"what": "quiet", "why": ""},
        {"what": "undone", "outbox": 0, "quarantine": 0},
        {"what": "truth", "room": ROOM, "events": events},
        *({"what": "line", "room": ROOM, "repaired": False, **entry(n)} for n in range(1, 8)),
        *(
            {
                "what": "version",
                "position": n,
                "event_id": f"$e{n}",
                "room_id": ROOM,
                "sort_key": f"{n:016x}",
                "state_key": effects.get(n, (None, 0))[0],
                "effect": effects.get(n, (None, 0))[1],
                "about": None,
            }
            for n in range(1, 8)
        ),
        *(
            {
                "what": "page",
                "who": who,
                "room": ROOM,
                "entries": [entry(n, text="" if n in (4, 5) else f"ann {n}") for n in range(3, 8)],
            }
            for who in ("r/ws", "g/sse")
        ),
    ]
    return [{"at": float(at), **record} for at, record in enumerate(records)]


def of(records: list[Record], what: str, **values: Any) -> Record:
    return next(
        one
        for one in records
        if one["what"] == what and all(one.get(key) == value for key, value in values.items())
    )


def swap_orders(records: list[Record]) -> None:
    one, other = (of(records, "frame", who="r/ws", event=event) for event in ("$e6", "$e7"))
    one["order"], other["order"] = other["order"], one["order"]


def send_twice(records: list[Record]) -> None:
    events = of(records, "truth")["events"]
    events.append({**events[-1], "event": "$e9"})


def say_in_another_order(records: list[Record]) -> None:
    one, other = of(records, "said", body="ann 6"), of(records, "said", body="ann 7")
    one["body"], other["body"] = other["body"], one["body"]
    one["event"], other["event"] = other["event"], one["event"]


def show_to_the_absent(records: list[Record]) -> None:
    """The guest is given what was said in the moment after they had gone."""
    place = records.index(of(records, "frame", who="g/sse", event="$e5"))
    records.insert(place, {"at": 11.0, **frame(4, "g/sse", text="")})


def show_while_surely_out(records: list[Record]) -> None:
    of(records, "frame", who="g/sse", event="$e6")["at"] = 19.5
    of(records, "moved", where="out")["at"] = 1.0
    of(records, "moved", where="returns")["at"] = 20.0


FAULTS: dict[str, tuple[str, Change]] = {
    "a frame never came": (
        "lost",
        lambda all: all.remove(of(all, "frame", who="r/ws", event="$e6")),
    ),
    "a page lacks an entry": ("lost", lambda all: of(all, "page")["entries"].pop()),
    "it was never sent": ("lost", lambda all: of(all, "truth")["events"].pop()),
    "the log lacks it": ("lost", lambda all: all.remove(of(all, "line", event="$e7"))),
    "a frame came twice": (
        "doubled",
        lambda all: all.insert(12, deepcopy(of(all, "frame", event="$e5"))),
    ),
    "it was sent twice": ("doubled", send_twice),
    "places are wrong": ("disordered", swap_orders),
    "a speaker's order is lost": ("disordered", say_in_another_order),
    "the log's order is wrong": (
        "disordered",
        lambda all: of(all, "line", event="$e6").update(order="f" * 16),
    ),
    "who is out is shown something": ("leaked", show_to_the_absent),
    "who is surely out, too": ("leaked", show_while_surely_out),
    "a page shows too much": (
        "leaked",
        lambda all: of(all, "truth")["events"][4].update(membership="leave"),
    ),
    "another text": (
        "stale",
        lambda all: of(all, "frame", who="r/ws", event="$e7").update(text="old"),
    ),
    "what is not in the log": (
        "strange",
        lambda all: of(all, "frame", who="r/ws", event="$e7").update(event="$x"),
    ),
    "a reset too many": (
        "reset",
        lambda all: all.insert(
            12,
            {
                "at": 12.0,
                "what": "reset",
                "who": "r/ws",
                "why": "too_far_behind",
                "cursor": cursor(7),
            },
        ),
    ),
    "something is left": ("restless", lambda all: of(all, "undone").update(outbox=1)),
    "it never became quiet": ("restless", lambda all: of(all, "quiet").update(why="behind: r/ws")),
    "a server ended by itself": (
        "crashed",
        lambda all: all.append({"at": 99.0, "what": "crashed", "victim": "worker1"}),
    ),
    "a refusal": (
        "refused",
        lambda all: all.append(
            {"at": 99.0, "what": "refused", "who": "ann", "to": "x", "answer": "403"}
        ),
    ),
}


def test_a_good_run_has_no_fault() -> None:
    verdict = judge(journal(), REPLAY)
    assert verdict.faults == []
    assert verdict.figures.said == {"web": 2}
    assert verdict.figures.frames == {"ws": 5, "sse": 3}
    assert any(line.startswith("lost") for line in report(verdict))


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(name: str) -> None:
    kind, change = FAULTS[name]
    records = journal()
    change(records)
    verdict = judge(records, REPLAY)
    assert verdict.counts[kind] > 0, verdict.faults
    assert any(line.startswith(f"  {kind}") for line in report(verdict))


def test_the_seed_decides_what_is_done() -> None:
    victims = ["worker1", "worker2", "valkey", "postgres", "synapse", "public", "push"]
    acts = draw(7, 600, victims, 4)
    assert acts == draw(7, 600, victims, 4) != draw(8, 600, victims, 4)
    assert {act.victim for act in acts} == set(victims)
    workers = {act.kind for act in acts if kind_of(act.victim) == "worker"}
    assert workers == {"kill", "freeze", "restart"}
    assert [act.at for act in acts] == sorted(act.at for act in acts)
