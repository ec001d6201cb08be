"""The plan: what must be done so that a room is as the directory and the rules say.

Pure: from what is wanted, what was last applied and what the log shows, to the steps that are
missing. Done, they lead to a room for which there are no steps; so a plan may be made and carried
out at any moment, by anybody, after any crash.

What people change from a Matrix client is put back (a step whenever present and wanted differ) or,
where the rules accept it, stays until OpenMeet says something new (a step only where wanted and
last applied differ).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from .ids import Mxid, PortalKind, PortalRef
from .room_power import all_levels, power_step, rest_of
from .room_state import (
    AVATAR,
    CANONICAL_ALIAS,
    JOIN_RULES,
    NAME,
    POWER,
    TOPIC,
    Content,
    Key,
    Wanted,
    canonical_alias,
    contents,
)
from .room_steps import (
    Ban,
    Close,
    CreateAlias,
    DeleteAlias,
    Invite,
    Join,
    Kick,
    List,
    MemberStep,
    Notice,
    SetState,
    Step,
    Unban,
    Unlist,
)
from .rules import Aspect, Place, Standing

NO_MEMBER = "no longer a member on OpenMeet"
BANNED_THERE = "banned on OpenMeet"
ASK_AGAIN_AFTER = timedelta(hours=1)
"""How long a homeserver's refusal to list a room is taken as its last word."""

_INSIDE = frozenset({"join", "invite", "knock"})
_ASPECTS: Mapping[Key, Aspect] = {NAME: Aspect.NAME, TOPIC: Aspect.TOPIC, AVATAR: Aspect.AVATAR}
_FIELDS: Mapping[Key, str] = {NAME: "name", TOPIC: "topic", AVATAR: "url"}


class Applied(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What of the directory a room was last given.

    Attributes:
        texts: Name, topic and avatar, by state type.
        picture: Of which picture on OpenMeet the avatar is a copy.
        levels: Power of each ghost that had any.
        rest: The power levels without the users.
        aliases: Lead to the room.
        banned: Ghosts that are banned because OpenMeet bans them.
        failed: Ghosts that could not be brought in, and why.
        unlisted: Why the homeserver does not list the room.
        unlisted_at: When it said so.
        closing: The bot has said that the room is closed.
    """

    texts: dict[str, str] = {}
    picture: str | None = None
    levels: dict[str, int] | None = None
    rest: dict[str, Any] = {}
    aliases: tuple[str, ...] = ()
    banned: tuple[str, ...] = ()
    failed: dict[str, str] = {}
    unlisted: str | None = None
    unlisted_at: datetime | None = None
    closing: bool = False


class Presence(NamedTuple):
    """Somebody's membership; barred: out by OpenMeet's word already, whatever Matrix says."""

    membership: str
    barred: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Present:
    """A room as the log shows it.

    Attributes:
        creators: Whose power has no bound (room version 12 and later); empty before.
        ghosts: Who of all that appear in the room stand for users of OpenMeet.
        listed: It is in the homeserver's public directory, as far as we asked for it.
    """

    creators: frozenset[Mxid] = frozenset()
    state: Mapping[Key, Content] = field(default_factory=dict)
    members: Mapping[Mxid, Presence] = field(default_factory=dict)
    ghosts: frozenset[Mxid] = frozenset()
    listed: bool = False
    applied: Applied = Applied()  # noqa: RUF009 - immutable

    def inside(self) -> list[Mxid]:
        """Return who is in, or could come in, in a fixed order."""
        return sorted(one for one, how in self.members.items() if how.membership in _INSIDE)

    def is_barred(self, mxid: Mxid) -> bool:
        """Whether somebody is in by what Matrix says, and out by OpenMeet's word."""
        return self.members.get(mxid) == Presence("join", barred=True)


class Plan(NamedTuple):
    """Steps in their order.

    Attributes:
        first: Who must go out, and what the room must be before anybody comes in.
        then: Who comes in, and who may find the room.
        applied: What has been applied when ``first`` is done.
    """

    first: tuple[Step, ...]
    then: tuple[Step, ...]
    applied: Applied

    @property
    def steps(self) -> tuple[Step, ...]:
        """All of them."""
        return self.first + self.then


def plan(wanted: Wanted, present: Present, now: datetime) -> Plan:
    """Return what is missing."""
    out, coming = _members(wanted, present)
    first = (
        *out,
        *_aliases_to_make(wanted, present),
        *_state(wanted, present),
        *power_step(wanted, present.creators, present.state, present.ghosts, present.applied),
        *_aliases_to_give_back(wanted, present),
    )
    then = (*coming, *_listing(wanted, present, now))
    return Plan(first, then, applied(wanted, present))


def applied(wanted: Wanted, present: Present) -> Applied:
    """Return what a room has been given once it is as wanted."""
    texts = {key[0]: _text(key, content) for key, content in contents(wanted).items()}
    known = {kind: text for kind, text in texts.items() if (kind, "") in _ASPECTS}
    banned = (one for one, how in wanted.people.items() if how.place is Place.BANNED)
    return msgspec.structs.replace(
        present.applied,
        texts=present.applied.texts | known,
        picture=present.applied.picture if wanted.avatar is None else wanted.portal.avatar_url,
        levels=wanted.levels,
        rest=rest_of(wanted, present.creators),
        aliases=wanted.aliases,
        banned=tuple(sorted(banned)),
    )


def made(wanted: Wanted, invited: frozenset[Mxid], creators: frozenset[Mxid]) -> Present:
    """Return a room as it is right after the bot created it as wanted."""
    members = {one: Presence("invite") for one in invited} | {wanted.bot: Presence("join")}
    # What the creation cannot say follows as steps: it gives the room one alias.
    fresh = replace(wanted, former_aliases=())
    state = {
        **contents(wanted),
        CANONICAL_ALIAS: canonical_alias(fresh),
        POWER: all_levels(wanted, creators),
    }
    ghosts = frozenset(wanted.people)
    room = Present(creators=creators, state=state, members=members, ghosts=ghosts)
    given = applied(fresh, room)
    return replace(room, applied=msgspec.structs.replace(given, banned=()))


def closing(
    ref: PortalRef, bot: Mxid, present: Present, aliases: Iterable[str], *, renewed: bool = False
) -> list[Step]:
    """Return what closes the room of a portal that is no more: nobody stays, nobody comes back.

    People of Matrix go as well, and the aliases: a new group of the name must not come into the
    old history.

    Args:
        ref: The portal.
        bot: Stays.
        present: The room.
        aliases: All that it may have.
        renewed: Whether the portal is, and gets another room.
    """
    kind = "chat" if ref.kind is PortalKind.DIRECT else ref.kind.value
    fate = "has another room now" if renewed else "was deleted on OpenMeet"
    others = [one for one in present.inside() if one != bot]
    steps: list[Step] = []
    if _said(present, JOIN_RULES, "join_rule") != "invite":
        steps.append(SetState(*JOIN_RULES, {"join_rule": "invite"}))
    if others and not present.applied.closing:
        steps.append(Notice(f"This {kind} {fate}. The room is closed."))
    steps += [Kick(one, f"the {kind} {fate}") for one in others]
    steps += [Unlist()] if present.listed else []
    steps += [DeleteAlias(alias) for alias in sorted({*aliases, *present.applied.aliases})]
    return [*steps, Close(ref)]


# State and aliases


def _state(wanted: Wanted, present: Present) -> Iterator[SetState]:
    for key, content in contents(wanted).items():
        if _holds(present.state.get(key), key, content):
            continue
        # Where somebody's change is accepted, only what OpenMeet says anew is set.
        new = present.applied.texts.get(key[0]) != _text(key, content)
        if new or _ASPECTS.get(key) not in wanted.accepted:
            yield SetState(*key, content)
    aliases = canonical_alias(wanted)
    there = present.state.get(CANONICAL_ALIAS, {})
    if (there.get("alias"), there.get("alt_aliases") or []) != (
        aliases["alias"],
        aliases.get("alt_aliases", []),
    ):
        yield SetState(*CANONICAL_ALIAS, aliases)


def _holds(present: Content | None, key: Key, wanted: Content) -> bool:
    """Whether a state event says what is wanted; what it says besides does not matter."""
    if key in _FIELDS:
        # A text that is not there and one that is empty look the same to everybody.
        return _text(key, present or {}) == _text(key, wanted)
    return present is not None and all(present.get(name) == wanted[name] for name in wanted)


def _text(key: Key, content: Content) -> str:
    text = content.get(_FIELDS.get(key, ""), "")
    return text if isinstance(text, str) else "\0"


def _said(present: Present, key: Key, name: str) -> object:
    return present.state.get(key, {}).get(name)


def _aliases_to_make(wanted: Wanted, present: Present) -> Iterator[CreateAlias]:
    return (CreateAlias(one) for one in wanted.aliases if one not in present.applied.aliases)


def _aliases_to_give_back(wanted: Wanted, present: Present) -> Iterator[DeleteAlias]:
    return (DeleteAlias(one) for one in present.applied.aliases if one not in wanted.aliases)


def _listing(wanted: Wanted, present: Present, now: datetime) -> Iterator[Step]:
    if present.listed and not wanted.exposure.listed:
        yield Unlist()
    if wanted.exposure.listed and not present.listed:
        refused = present.applied.unlisted_at
        if refused is None or now - refused > ASK_AGAIN_AFTER:
            yield List()


# Members


def _members(wanted: Wanted, present: Present) -> tuple[list[MemberStep], list[MemberStep]]:
    out: list[MemberStep] = []
    coming: list[MemberStep] = []
    for mxid in sorted(present.ghosts | wanted.people.keys()):
        standing = wanted.people.get(mxid, Standing(Place.OUT))
        if standing.place is Place.IN:
            coming_of = list(_coming(mxid, wanted, present))
            out += [step for step in coming_of if isinstance(step, Kick)]
            coming += [step for step in coming_of if not isinstance(step, Kick)]
        else:
            out += _leaving(mxid, standing, present)
    return out, coming


def _leaving(mxid: Mxid, standing: Standing, present: Present) -> Iterator[MemberStep]:
    membership = present.members.get(mxid, Presence("leave")).membership
    if standing.place is Place.BANNED:
        if membership != "ban":
            yield Ban(mxid, BANNED_THERE)
    elif membership in _INSIDE:
        yield Kick(mxid, NO_MEMBER)
    elif membership == "ban" and mxid in present.applied.banned:
        # A ban that somebody else has spoken stays: OpenMeet does not want the person in.
        yield Unban(mxid)


def _coming(mxid: Mxid, wanted: Wanted, present: Present) -> Iterator[MemberStep]:
    membership = present.members.get(mxid, Presence("leave")).membership
    if present.is_barred(mxid):
        # Streams and reads have shut this membership out for good: only a new one counts.
        yield Kick(mxid, NO_MEMBER)
        membership = "leave"
    elif membership == "join" or (mxid not in wanted.firm and Aspect.MEMBERSHIP in wanted.accepted):
        return
    if membership == "ban":
        yield Unban(mxid)
    if membership != "invite" and wanted.exposure.join != "public":
        yield Invite(mxid)
    yield Join(mxid)
