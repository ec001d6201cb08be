"""Room state: what the state events of a portal's room should say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .directory import Portal
from .events import POWER_LEVELS
from .ids import Mxid, PortalKind
from .rules import Aspect, Exposure, Place, Rules, Standing

Key = tuple[str, str]
Content = Mapping[str, Any]

NAME = ("m.room.name", "")
TOPIC = ("m.room.topic", "")
AVATAR = ("m.room.avatar", "")
JOIN_RULES = ("m.room.join_rules", "")
HISTORY = ("m.room.history_visibility", "")
GUESTS = ("m.room.guest_access", "")
CANONICAL_ALIAS = ("m.room.canonical_alias", "")
POWER = (POWER_LEVELS, "")
BRIDGE_TYPES = ("m.bridge", "uk.half-shot.bridge")
"""What clients show as "this room is bridged" (MSC2346), by its coming name and its present one."""

BOT_LEVEL = 100
_MODERATOR = 50
_NAME_CHARACTERS = 250
_TOPIC_CHARACTERS = 8000


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Everything that OpenMeet and the tenant's rules say of a portal's room.

    Attributes:
        people: Where each ghost should be; who is not named should be out.
        firm: Ghosts whose place is made so even where rules accept what people change: their
            row is new, or an operator has spoken.
        former_aliases: They still lead to the room.
        avatar: ``mxc://`` address; empty: there is none; None: not known at present.
        read_only: Nobody but the bot may write.
        accepted: What people may change; it stays until OpenMeet says something new.
    """

    portal: Portal
    bot: Mxid
    people: Mapping[Mxid, Standing]
    firm: frozenset[Mxid] = frozenset()
    former_aliases: tuple[str, ...] = ()
    avatar: str | None = ""
    read_only: bool = False
    exposure: Exposure = field(default_factory=Exposure)
    accepted: frozenset[Aspect] = frozenset()

    @property
    def aliases(self) -> tuple[str, ...]:
        """All aliases, the canonical one first."""
        return (self.portal.alias, *self.former_aliases)

    @property
    def inside(self) -> tuple[Mxid, ...]:
        """The ghosts that should be in."""
        return tuple(sorted(one for one, how in self.people.items() if how.place is Place.IN))

    @property
    def levels(self) -> dict[Mxid, int]:
        """The power of those who have any."""
        return {one: self.people[one].level for one in self.inside if self.people[one].level}


def is_read_only(portal: Portal, rules: Rules, now: datetime) -> bool:
    """Whether a portal's room is archived by now."""
    moment = rules.archived_at(portal)
    return moment is not None and moment <= now


def contents(wanted: Wanted) -> dict[Key, Content]:
    """Return all state but power levels and aliases. An unknown avatar is left out."""
    portal = wanted.portal
    state: dict[Key, Content] = {
        NAME: {"name": portal.name[:_NAME_CHARACTERS]},
        TOPIC: {"topic": _topic(portal)},
        JOIN_RULES: {"join_rule": wanted.exposure.join},
        HISTORY: {"history_visibility": wanted.exposure.history},
        GUESTS: {"guest_access": "forbidden"},
    }
    if wanted.avatar is not None:
        state[AVATAR] = {"url": wanted.avatar} if wanted.avatar else {}
    if portal.ref.kind is not PortalKind.DIRECT:
        key = f"org.openmeet://{portal.ref.tenant}/{portal.ref.kind.value}"
        state |= {(kind, key): _bridge(wanted) for kind in BRIDGE_TYPES}
    return state


def canonical_alias(wanted: Wanted) -> Content:
    """Return the content of ``m.room.canonical_alias``."""
    former = list(wanted.former_aliases)
    return {"alias": wanted.portal.alias} | ({"alt_aliases": former} if former else {})


def _topic(portal: Portal) -> str:
    topic = portal.topic[:_TOPIC_CHARACTERS]
    return "\n".join(part for part in (topic, portal.url) if part)


def _bridge(wanted: Wanted) -> Content:
    tenant, _, slug = wanted.portal.ref
    url = {"external_url": wanted.portal.url} if wanted.portal.url else {}
    return {
        "bridgebot": wanted.bot,
        "protocol": {"id": "openmeet", "displayname": "OpenMeet"},
        "network": {"id": tenant or "openmeet"},
        "channel": {"id": slug} | url,
    }


def power_rest(*, read_only: bool, bot_is_creator: bool) -> dict[str, Any]:
    """Return the content of ``m.room.power_levels`` without its users.

    Args:
        read_only: Let nobody but the bot write.
        bot_is_creator: The bot's power has no bound (room version 12 and later).
    """
    events = {
        "m.room.power_levels": BOT_LEVEL,
        "m.room.encryption": BOT_LEVEL,
        "m.room.history_visibility": BOT_LEVEL,
        "m.room.join_rules": BOT_LEVEL,
        "m.room.server_acl": BOT_LEVEL,
        # In room version 12 only a creator may ever end a room.
        "m.room.tombstone": 150 if bot_is_creator else BOT_LEVEL,
    }
    if read_only:
        # What one has said may be taken back for ever; with `redact`, also by moderators.
        events["m.room.redaction"] = 0
    return {
        "users_default": 0,
        "events_default": BOT_LEVEL if read_only else 0,
        "state_default": BOT_LEVEL if read_only else _MODERATOR,
        "invite": BOT_LEVEL if read_only else _MODERATOR,
        "kick": _MODERATOR,
        "ban": _MODERATOR,
        "redact": _MODERATOR,
        "events": events,
    }
