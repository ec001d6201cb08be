"""How far a long command is: bars on a terminal, else a line now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import click

from .desk import NOBODY
from .output import cell, duration, is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from ..bridge.feeding import Progress

Tell = Callable[["Progress"], None]
LINE_SECONDS = 10.0


@contextmanager
def shown() -> Iterator[Tell]:
    """Show progress for the length of the block; yields what takes it."""
    if not is_terminal():
        yield _Lines().tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<6}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Bars(*columns) as bars:
        yield _Drawn(bars).tell


class _Speed:
    """How fast something grows."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None
        self.per_second = 0.0

    def see(self, done: int) -> None:
        """Take what is done now."""
        now = monotonic()
        if self._began is None or done < self._began[1]:
            self._began = now, done
        began, first = self._began
        if done == first:
            self._began = now, done  # it has not begun to grow yet
        else:
            self.per_second = (done - first) / max(now - began, 0.001)


class _Drawn:
    """Draws two bars.

    Args:
        bars: Where.
    """

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._users = bars.add_task("users", total=None, rate="", note="")
        self._rooms = bars.add_task("rooms", total=None, rate="", note="")
        self._speeds = {self._users: _Speed(), self._rooms: _Speed()}

    def tell(self, progress: Progress) -> None:
        """Take how far it is."""
        self._draw(self._users, progress.users_done, progress.users, "")
        self._draw(self._rooms, progress.rooms_done, progress.rooms, _note(progress))

    def _draw(self, bar: TaskID, done: int, total: int, note: str) -> None:
        speed = self._speeds[bar]
        speed.see(done)
        rate = f"{speed.per_second:.1f}/s"
        self._bars.update(bar, completed=done, total=total, rate=rate, note=note)


class _Lines:
    """Prints a line every ten seconds."""

    def __init__(self) -> None:
        self._next = 0.0
        self._users, self._rooms = _Speed(), _Speed()

    def tell(self, progress: Progress) -> None:
        """Take how far it is."""
        self._users.see(progress.users_done)
        self._rooms.see(progress.rooms_done)
        if monotonic() < self._next:
            return
        self._next = monotonic() + LINE_SECONDS
        parts = [
            f"users {progress.users_done}/{progress.users} ({self._users.per_second:.1f}/s)",
            f"rooms {progress.rooms_done}/{progress.rooms} ({self._rooms.per_second:.1f}/s)",
        ]
        left = self._left(progress)
        if left is not None:
            parts.append(f"about {duration(left)} left")
        note = _note(progress)
        click.echo(", ".join([*parts, note] if note else parts))

    def _left(self, progress: Progress) -> float | None:
        seconds = 0.0
        for left, speed in (
            (progress.users - progress.users_done, self._users.per_second),
            (progress.rooms - progress.rooms_done, self._rooms.per_second),
        ):
            if left and not speed:
                return None
            seconds += left / speed if left else 0
        return seconds


def _note(progress: Progress) -> str:
    if not progress.served:
        return NOBODY
    if progress.retrying:
        return f"{progress.retrying} failed and are tried again: {cell(progress.error)}"
    return ""
