"""Salvage: takes a body apart that cannot be read as a whole, so that one event spoils no other.

JSON may hold what a strict reader refuses: half of a surrogate pair, nesting without end, bytes
that are no text. A refused transaction would be sent again for ever, and everything behind it
would wait. So the body is cut by its brackets, without a look at what is between them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


def elements(body: bytes) -> dict[str, list[bytes]]:
    """Return the elements of the arrays that are directly in a JSON object, by key.

    Whatever else the object holds is left out. A body that is no object, or not one whole object,
    has none.
    """
    found: dict[str, list[bytes]] = {}
    depth, key, start, end = 0, "", 0, 0
    for token in _TOKEN.finditer(body):
        mark = token[0][:1]
        if mark == b'"':
            if depth == 1:
                key = token[0][1:-1].decode("utf-8", "replace")
            continue
        if mark in b"[{":
            depth += 1
            if depth == 2 and mark == b"[":
                found[key], start = [], token.end()
            continue
        if depth == 2 and mark in b",]" and key in found:
            element = body[start : token.start()].strip()
            if element:
                found[key].append(element)
            start = token.end()
        if mark in b"]}":
            depth -= 1
            end = token.end()
    # A body that was cut off must not pass as one with fewer events.
    whole = depth == 0 and body.lstrip()[:1] == b"{" and not body[end:].strip()
    return found if whole else {}


def mended(raw: bytes) -> Iterator[bytes]:
    """Yield an event as it is, and then with its broken texts replaced where that is possible."""
    yield raw
    try:
        value = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return
    yield json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
