"""Power levels: roles on OpenMeet as power in the room, beside what people of Matrix have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .ids import Mxid
from .room_state import BOT_LEVEL, POWER, Content, Key, Wanted, power_rest
from .room_steps import SetState
from .rules import Aspect

if TYPE_CHECKING:
    from .room_plan import Applied


def creators(version: str, sender: Mxid, create: Content) -> frozenset[Mxid]:
    """Return whose power in a room has no bound and must not be listed.

    Since room version 12 that is so for who made the room, and whom they named beside them.

    Args:
        version: The room's version.
        sender: Of ``m.room.create``.
        create: Its content.
    """
    if not version.isdigit() or int(version) < 12:
        return frozenset()
    others = create.get("additional_creators", ())
    named = others if isinstance(others, list | tuple) else ()
    return frozenset({sender, *(Mxid(one) for one in named if isinstance(one, str))})


def all_levels(wanted: Wanted, above_all: frozenset[Mxid]) -> dict[str, Any]:
    """Return the power levels of a new room."""
    return {**rest_of(wanted, above_all), "users": _ours(wanted, wanted.levels, above_all)}


def rest_of(wanted: Wanted, above_all: frozenset[Mxid]) -> dict[str, Any]:
    """Return the power levels without the users."""
    return power_rest(read_only=wanted.read_only, bot_is_creator=wanted.bot in above_all)


def power_step(
    wanted: Wanted,
    above_all: frozenset[Mxid],
    state: Mapping[Key, Content],
    ghosts: frozenset[Mxid],
    applied: Applied,
) -> Iterator[SetState]:
    """Return the step that makes power levels right, where they are not."""
    present = state.get(POWER, {})
    there = _numbers(present.get("users"))
    ours = ghosts | wanted.people.keys() | {wanted.bot} | above_all
    kept = {one: level for one, level in there.items() if one not in ours}
    levels: Mapping[Mxid, int] = wanted.levels
    rest = rest_of(wanted, above_all)
    if Aspect.POWER_LEVELS in wanted.accepted and present:
        levels = _accepted(wanted, there, applied.levels)
        rest = {} if applied.rest == rest else rest
    users = kept | _ours(wanted, levels, above_all)
    same = _with_power(there) == _with_power(users)
    content = {**present, **rest, "users": present.get("users", {}) if same else users}
    if content != present:
        yield SetState(*POWER, content)


def _accepted(
    wanted: Wanted, there: Mapping[Mxid, int], before: Mapping[str, int] | None
) -> dict[Mxid, int]:
    """Return what ghosts have, but for those of whom OpenMeet has said something new."""
    levels = {}
    for one in wanted.inside:
        level = wanted.people[one].level
        new = before is None or before.get(one, 0) != level
        levels[one] = level if new else there.get(one, 0)
    return levels


def _ours(
    wanted: Wanted, levels: Mapping[Mxid, int], above_all: frozenset[Mxid]
) -> dict[Mxid, int]:
    users = {one: level for one, level in levels.items() if level and one not in above_all}
    return users if wanted.bot in above_all else users | {wanted.bot: BOT_LEVEL}


def _with_power(users: Mapping[Mxid, int]) -> dict[Mxid, int]:
    return {one: level for one, level in users.items() if level}


def _numbers(users: object) -> dict[Mxid, int]:
    """Return the levels that are numbers; before room version 10 they may be anything."""
    if not isinstance(users, Mapping):
        return {}
    return {Mxid(one): level for one, level in users.items() if isinstance(level, int)}
