"""What commands print, for people and for pipes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from openmeet_bridge.bridge.feeding import Progress
from openmeet_bridge.cli import output, progress

ROWS = [("ann", None, True), ("b\x1b[31m", 7, False)]


def test_pipes_get_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("Slug", "Number", "Active"), ROWS, nothing="nobody")
    assert capsys.readouterr().out == ("slug\tnumber\tactive\nann\t-\tyes\nb\ufffd[31m\t7\tno\n")


def test_people_get_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    output.table(("Slug", "Number", "Active"), [*ROWS, ("[bold]x[/]", 1, 2)], nothing="nobody")
    said = capsys.readouterr().out
    assert [word for word in said.splitlines()[1].split() if word] == ["Slug", "Number", "Active"]
    assert "[bold]x[/]" in said
    assert "\x1b[31m" not in said


def test_nothing_is_said_beside(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("Slug",), [], nothing="nobody")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "nobody\n")


def test_details_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    output.details((("a", 1), ("longer", datetime(2026, 5, 1, 18, 30, tzinfo=UTC))))
    assert capsys.readouterr().out == "a       1\nlonger  2026-05-01 18:30:00Z\n"


def test_documents_hold_what_json_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    output.document({"room": object})
    assert "room" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (12.4, "12 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


def test_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("openmeet_bridge.cli.progress.monotonic", lambda: now)
    with progress.shown() as tell:
        for done in range(0, 30, 5):
            tell(Progress(100, done, 10, 0))
            now += 5
        tell(Progress(100, 30, 10, 0, retrying=2, error="no\x1b"))
        now += 10
        tell(Progress(100, 100, 10, 5, served=False))
    first, second, _, third, last = capsys.readouterr().out.splitlines()
    assert first == "users 0/100 (0.0/s), rooms 0/10 (0.0/s)"
    assert second == "users 10/100 (1.0/s), rooms 0/10 (0.0/s)"
    assert third.endswith("2 failed and are tried again: no\ufffd")
    assert "about" in last
    assert last.endswith("nobody works on these jobs: start `openmeet-bridge serve`")


def test_progress_is_drawn_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    with progress.shown() as tell:
        tell(Progress(100, 50, 10, 5))
    said = capsys.readouterr().out
    assert "50/100" in said
    assert "5/10" in said
