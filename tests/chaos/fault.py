"""What can be wrong."""

from __future__ import annotations

from typing import NamedTuple

KINDS = {
    "lost": "somebody should have it, and has not",
    "doubled": "it came twice, or was sent twice",
    "disordered": "it does not stand where it was said",
    "leaked": "somebody got what they may not read",
    "stale": "somebody has not what it says now",
    "strange": "somebody got what is not in the log",
    "reset": "a client had to start anew without need",
    "refused": "what should have been accepted was refused",
    "crashed": "a server has ended by itself",
    "restless": "what was begun was not done in time",
}
"""Every kind of fault, and what it means."""


class Fault(NamedTuple):
    """Something that is wrong.

    Attributes:
        kind: One of :data:`KINDS`.
        who: Who was done wrong: a reader, a speaker, the log, a server.
        room: Where.
        at: When, in seconds since the beginning; None for what is found in the end.
        text: What it is.
    """

    kind: str
    who: str
    room: str | None
    at: float | None
    text: str
