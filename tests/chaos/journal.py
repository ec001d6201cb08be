"""The journal: what everybody saw and did, one JSON object a line, from which a run is judged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

Record = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Journal:
    """Writes a journal. Usable as a context manager.

    Each record has ``what`` it is, and ``at``: seconds since the journal was begun.

    Args:
        path: The file; what is in it is written over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._began = time.monotonic()

    @property
    def now(self) -> float:
        """Seconds since the journal was begun."""
        return time.monotonic() - self._began

    def note(self, what: str, **values: Any) -> Record:
        """Write a record; return it."""
        record = {"what": what, "at": round(self.now, 3), **values}
        self._file.write(_encode(record) + b"\n")
        return record

    def flush(self) -> None:
        """Let the file hold everything."""
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def read(path: Path) -> Iterator[Record]:
    """Return the records of a journal."""
    with path.open("rb") as file:
        for line in file:
            yield _decode(line)
