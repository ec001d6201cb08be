"""Files that only their owner can read, written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .exits import FAILED, fail


def write_private(path: Path, text: str, *, force: bool) -> None:
    """Write a registration; ``force`` replaces one that is there."""
    if path.exists() and not force:
        fail(f"{path} exists; --force replaces it, and its tokens are lost", FAILED)
    with private_file(path, force=force) as file:
        file.write(text)


@contextmanager
def private_file(path: Path, *, force: bool) -> Iterator[TextIO]:
    """Lend a file that takes its place when the block has ended well.

    Args:
        path: Its place.
        force: Replace what is there; else what is there by then stays, and the program ends.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            yield file
        # link() refuses an existing name, so a file made in the meantime is kept as well.
        os.replace(draft, path) if force else os.link(draft, path)
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}", FAILED)
    finally:
        draft.unlink(missing_ok=True)
