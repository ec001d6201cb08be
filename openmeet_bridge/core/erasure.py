"""What an erasure has done of a person, and what is left: the report that is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct, field

from .cursor import BEFORE_ALL
from .ids import Mxid, TenantId, UserSlug

RUNNING: Literal["running"] = "running"
DONE: Literal["done"] = "done"


class Left(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that could not be erased.

    Attributes:
        what: What it is.
        count: How many of it.
        why: Why it could not be.
        do: What an operator can do about it, as a command where there is one.
    """

    what: str
    count: int
    why: str
    do: str | None = None


class ErasureReport(Struct, frozen=True, kw_only=True):
    """How far an erasure is.

    Attributes:
        state: ``running`` until everything was tried, then ``done``.
        erased: What was erased, by kind: how many.
        left: What was not.
        error: Why the last attempt to go on failed; it is tried again.
    """

    tenant: TenantId
    slug: UserSlug
    mxid: Mxid
    state: Literal["running", "done"]
    requested_at: datetime
    finished_at: datetime | None
    erased: dict[str, int]
    left: list[Left]
    error: str | None = None


class Progress(Struct, kw_only=True):
    """Where an erasure stands, so that it can go on after whatever stopped it.

    Attributes:
        steps: Those that are done.
        room: Rooms up to this one, in the order of their ids, are done.
        position: In the next room, entries up to this position are done.
        erased: What was erased, by kind: how many.
        refused: Events that the homeserver did not let us redact, by its reason: how many.
        states: What the person has set in rooms and what stays, by event type: how many.
        media: Files at the homeserver that belong to the person.
        media_error: Why they could not be deleted.
        pictures: Addresses of the person's pictures on OpenMeet.
        account: How the account at the homeserver ended.
    """

    steps: list[str] = field(default_factory=list)
    room: str = ""
    position: int = BEFORE_ALL
    erased: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    media: list[str] = field(default_factory=list)
    media_error: str | None = None
    pictures: list[str] = field(default_factory=list)
    account: str | None = None

    def count(self, what: str, number: int = 1) -> None:
        """Note that something was erased."""
        if number:
            self.erased[what] = self.erased.get(what, 0) + number
