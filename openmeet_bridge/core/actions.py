"""Actions: what a person can do to a conversation, each of which becomes one event."""

from __future__ import annotations

from enum import StrEnum

from .events import MESSAGE, REDACTION
from .relations import REACTION


class Action(StrEnum):
    """What is done."""

    SEND = "send"
    EDIT = "edit"
    REACT = "react"
    UNREACT = "unreact"
    DELETE = "delete"

    @property
    def event_type(self) -> str:
        """Type of the event that it becomes."""
        return _TYPES[self]

    @property
    def is_redaction(self) -> bool:
        """Whether it takes the content of another event away."""
        return self.event_type == REDACTION

    @property
    def may_be_repeated(self) -> bool:
        """Whether it does no harm when it is done twice, at any distance of time."""
        return self not in (Action.SEND, Action.EDIT)


_TYPES = {
    Action.SEND: MESSAGE,
    Action.EDIT: MESSAGE,
    Action.REACT: REACTION,
    Action.UNREACT: REDACTION,
    Action.DELETE: REDACTION,
}
