"""Spaces: which rooms are in which, in what order, and what the space itself says.

A space shows whoever may look into it that its rooms are there. So no room is in a space that more
people may see than the room: the tenant's space, which outsiders find, has only what is public;
a group's space is as visible as the group, and has those of its meetups that are at least so. A
room says in which space it belongs (``m.space.parent``) only where the space may be known to all
who know the room: that is, where both may be seen by the same people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .directory import Portal, Visibility
from .events import SPACE_CHILD, SPACE_PARENT
from .ids import Mxid, PortalKind, RoomId
from .room_state import AVATAR, GUESTS, HISTORY, JOIN_RULES, NAME, TOPIC, Content, Key
from .room_steps import Invite, Join, Kick, List, SetState, Unlist
from .rules import Exposure

LINKS = frozenset({SPACE_CHILD, SPACE_PARENT})
"""State by which a space and its rooms name each other."""

NO_MEMBER = "no longer a member on OpenMeet"
_NAME_BYTES = 23
_UNSEEN = frozenset({"draft", "pending"})
"""Meetups that OpenMeet shows nobody yet."""

_HIDDEN = {Visibility.PUBLIC: 0, Visibility.AUTHENTICATED: 1, Visibility.PRIVATE: 2}


class Room(NamedTuple):
    """A room or space that could be in a space.

    Attributes:
        space: It is a space itself: the group's.
    """

    room_id: RoomId
    portal: Portal
    space: bool = False


class Child(NamedTuple):
    """A room in a space."""

    room_id: RoomId
    order: str
    belongs: bool
    """The room says too that it belongs here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a space should be.

    Attributes:
        avatar: ``mxc://`` address; empty: none; None: not known at present.
        members: Ghosts that should be in.
    """

    alias: str
    name: str
    server_name: str
    topic: str = ""
    avatar: str | None = ""
    exposure: Exposure = field(default_factory=Exposure)
    children: Sequence[Child] = ()
    members: frozenset[Mxid] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Present:
    """A space as the log shows it.

    Attributes:
        members: Membership of the ghosts that appear in it.
        parents: What rooms, in which the bot is, say of belonging to this space.
    """

    room_id: RoomId
    state: Mapping[Key, Content]
    members: Mapping[Mxid, str]
    parents: Mapping[RoomId, Content]
    listed: bool = False


class Step(NamedTuple):
    """A step, and the room in which it is done."""

    room_id: RoomId
    do: SetState | List | Unlist | Invite | Join | Kick


def children_of_tenant(rooms: Iterable[Room], groups_with_space: Iterable[str]) -> list[Child]:
    """Return what is in the tenant's space: spaces of public groups, and lonely public meetups."""
    there = set(groups_with_space)
    chosen = []
    for room in rooms:
        portal = room.portal
        lonely = portal.ref.kind is PortalKind.MEETUP and portal.group not in there
        if (room.space or lonely) and portal.visibility is Visibility.PUBLIC and _is_seen(portal):
            chosen.append(Child(room.room_id, _order(room), belongs=True))
    return sorted(chosen)


def children_of_group(rooms: Iterable[Room], group: Portal) -> list[Child]:
    """Return what is in a group's space: its own room and those of its meetups."""
    chosen = []
    for room in rooms:
        portal = room.portal
        hidden = _HIDDEN[portal.visibility] - _HIDDEN[group.visibility]
        if hidden <= 0 and not room.space and _is_seen(portal):
            chosen.append(Child(room.room_id, _order(room), belongs=not hidden))
    return sorted(chosen)


def _is_seen(portal: Portal) -> bool:
    return not portal.deleted and portal.status not in _UNSEEN


def _order(room: Room) -> str:
    """Return a key for sorting (at most 50 printable ASCII characters): groups, then meetups.

    Groups go by name, meetups by when they begin.
    """
    portal = room.portal
    name = portal.name.casefold().encode()[:_NAME_BYTES].hex()
    if portal.ref.kind is PortalKind.GROUP:
        return f"1{name}"
    if portal.starts_at is None:
        return f"3{name}"
    return f"2{portal.starts_at.timestamp():020.0f}"


def contents(wanted: Wanted) -> dict[Key, Content]:
    """Return what the space's state should be, without its children. Unknown is left out."""
    state: dict[Key, Content] = {
        NAME: {"name": wanted.name},
        TOPIC: {"topic": wanted.topic},
        JOIN_RULES: {"join_rule": wanted.exposure.join},
        HISTORY: {"history_visibility": wanted.exposure.history},
        GUESTS: {"guest_access": "forbidden"},
    }
    if wanted.avatar is not None:
        state[AVATAR] = {"url": wanted.avatar} if wanted.avatar else {}
    return state


def power_levels(*, bot: Mxid, bot_is_creator: bool) -> dict[str, Any]:
    """Return a space's power levels: the bot's alone."""
    return {
        "users": {} if bot_is_creator else {bot: 100},
        "users_default": 0,
        "events_default": 100,
        "state_default": 100,
        "invite": 100,
        "kick": 100,
        "ban": 100,
        "redact": 100,
        "events": {},
    }


def plan(wanted: Wanted, present: Present) -> list[Step]:
    """Return what is missing for a space to be as wanted; nothing where nothing is."""
    steps = [*_state(wanted, present), *_children(wanted, present), *_parents(wanted, present)]
    if present.listed != wanted.exposure.listed:
        steps.append(Step(present.room_id, List() if wanted.exposure.listed else Unlist()))
    return steps + _members(wanted, present)


def _state(wanted: Wanted, present: Present) -> list[Step]:
    aliases = present.state.get(("m.room.canonical_alias", ""), {})
    state = contents(wanted)
    if aliases.get("alias") != wanted.alias:
        state["m.room.canonical_alias", ""] = {"alias": wanted.alias}
    return [
        Step(present.room_id, SetState(*key, content))
        for key, content in state.items()
        if not _holds(present.state.get(key), content)
    ]


def _children(wanted: Wanted, present: Present) -> list[Step]:
    via = [wanted.server_name]
    wanted_state = {
        (SPACE_CHILD, child.room_id): {"via": via, "order": child.order}
        for child in wanted.children
    }
    here = present.room_id
    steps = [
        Step(here, SetState(*key, content))
        for key, content in wanted_state.items()
        if not _holds(present.state.get(key), content)
    ]
    gone = (
        key
        for key, content in present.state.items()
        if key[0] == SPACE_CHILD and content and key not in wanted_state
    )
    return steps + [Step(here, SetState(*key, {})) for key in gone]


def _parents(wanted: Wanted, present: Present) -> list[Step]:
    key = (SPACE_PARENT, present.room_id)
    content: Content = {"via": [wanted.server_name], "canonical": True}
    belong = {child.room_id for child in wanted.children if child.belongs}
    steps = [
        Step(room_id, SetState(*key, content))
        for room_id in sorted(belong)
        if not _holds(present.parents.get(room_id), content)
    ]
    gone = (room_id for room_id, said in present.parents.items() if said and room_id not in belong)
    return steps + [Step(room_id, SetState(*key, {})) for room_id in sorted(gone)]


def _members(wanted: Wanted, present: Present) -> list[Step]:
    steps: list[Step] = []
    for mxid in sorted(wanted.members):
        membership = present.members.get(mxid)
        if membership in ("join", "ban"):
            continue
        if membership != "invite" and wanted.exposure.join != "public":
            steps.append(Step(present.room_id, Invite(mxid)))
        steps.append(Step(present.room_id, Join(mxid)))
    for mxid, membership in sorted(present.members.items()):
        if membership in ("join", "invite") and mxid not in wanted.members:
            steps.append(Step(present.room_id, Kick(mxid, NO_MEMBER)))
    return steps


def _holds(present: Content | None, wanted: Content) -> bool:
    """Whether an event says what is wanted; what is empty need not be there."""
    there = present or {}
    if not any(wanted.values()):
        return not any(there.get(name) for name in ("url", *wanted))
    return all(there.get(name) == wanted[name] for name in wanted)
