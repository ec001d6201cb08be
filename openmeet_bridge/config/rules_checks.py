"""Rules about rules: tables that let nobody in, and words that are most likely misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from ..core.directory import BANNED
from .rules import RulesSection
from .values import Source

_GROUP_ROLES: Final = ("owner", "admin", "moderator", "member", "guest")
_MEETUP_ROLES: Final = (*_GROUP_ROLES, "host", "speaker", "participant")
_STATUSES: Final = (
    "invited",
    "confirmed",
    "attended",
    "cancelled",
    "rejected",
    "maybe",
    "pending",
    "waitlist",
)
_ALMOST: Final = 0.85
"""How alike two words are of which one is the other misspelt; new words of OpenMeet's are not."""


def check_rules(source: Source, path: str, rules: RulesSection) -> None:
    """Checks the rules of all tenants, or of one.

    Raises:
        ConfigError: For the first that cannot be meant.
    """
    _check_words(source, f"{path}.group_roles", rules.group_roles, _GROUP_ROLES, ".{}")
    _check_words(source, f"{path}.meetup_roles", rules.meetup_roles, _MEETUP_ROLES, ".{}")
    statuses = f"{path}.meetup_statuses"
    if BANNED in rules.meetup_statuses:
        raise source.error(statuses, f"{BANNED} people are never in a room")
    _check_words(source, statuses, rules.meetup_statuses, _STATUSES, "")
    for name in ("archive_after", "archive_cancelled_after"):
        seconds = getattr(rules, name)
        if seconds is not None and seconds < 0:
            raise source.error(f"{path}.{name}", "expected a time of 0 or more; empty: never")


def _check_words(
    source: Source, path: str, words: Iterable[str], known: tuple[str, ...], inner: str
) -> None:
    if not words:
        raise source.error(path, "names nothing, so nobody would be in any room")
    for word in words:
        place = path + inner.format(word)
        if not word.strip():
            raise source.error(place, "expected a word, not empty text")
        near = difflib.get_close_matches(word.strip().lower(), known, n=1, cutoff=_ALMOST)
        if word not in known and near:
            raise source.error(place, f"{word!r} is unknown; did you mean {near[0]}?")
