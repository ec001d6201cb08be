"""Hints: what OpenMeet's domain events are about.

An event is never believed in what it says, only in what it is about: that is then compared with
OpenMeet's database. Its payload has numbers or slugs, by themselves or as a copy of the entity,
and some events have the number in a field of another name; all shapes that OpenMeet has had are
understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from .errors import InvalidParam

USER: Final = "user"
GROUP: Final = "group"
MEETUP: Final = "meetup"
KINDS: Final = (USER, GROUP, MEETUP)

_LARGEST: Final = 2**63 - 1
_LONGEST: Final = 255


class Subject(NamedTuple):
    """Something of OpenMeet's, by its number or, where that is None, by its slug."""

    kind: str
    number: int | None
    slug: str | None = None

    def __str__(self) -> str:
        """Write it as ``meetup/12`` or ``group/@slug``."""
        return f"{self.kind}/{self.number if self.slug is None else '@' + self.slug}"

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Read what :meth:`__str__` wrote.

        Raises:
            InvalidParam: It is something else.
        """
        kind, separator, name = text.partition("/")
        if kind in KINDS and separator:
            slug = _slug(name[1:]) if name.startswith("@") else None
            number = _number(name)
            if slug is not None or number is not None:
                return cls(kind, None if slug else number, slug)
        raise InvalidParam(
            "Expected user, group or meetup, a slash, and a number or @ and a slug.",
            fields={"subject": "for example meetup/12 or group/@hikers"},
        )


_ABOUT: Final[Mapping[str, str]] = {
    "event.created": MEETUP,
    "event.updated": MEETUP,
    "event.deleted": MEETUP,
    "event.before_delete": MEETUP,
    "event.attendee.added": MEETUP,
    "event.attendee.cancelled": MEETUP,
    "event.attendee.status.changed": MEETUP,
    "event.attendee.created": MEETUP,
    "event.attendee.updated": MEETUP,
    "event.attendee.deleted": MEETUP,
    "chat.event.created": MEETUP,
    "chat.event.member.add": MEETUP,
    "chat.event.member.remove": MEETUP,
    "matrix.sync.event.attendees": MEETUP,
    "group.created": GROUP,
    "group.updated": GROUP,
    "group.deleted": GROUP,
    "group.before_delete": GROUP,
    "group.slug.changed": GROUP,
    "chat.group.member.add": GROUP,
    "chat.group.member.remove": GROUP,
    "chat.group.member.role.update": GROUP,
    "user.created": USER,
    "user.updated": USER,
    "user.deleted": USER,
    "matrix.handle.registered": USER,
}
"""Every event of OpenMeet's that the bridge understands, and what it is about."""

EVENTS: Final = frozenset(_ABOUT)

# Where an event is about the entity itself, OpenMeet sends a copy of it, or its number and slug.
_WHOLE: Final = frozenset(
    {
        "event.created",
        "event.updated",
        "event.deleted",
        "group.created",
        "group.updated",
        "group.deleted",
        "user.created",
        "user.updated",
        "user.deleted",
    }
)
_NUMBERS: Final = {
    MEETUP: ("eventId", "event"),
    GROUP: ("groupId", "group"),
    USER: ("userId", "user"),
}
_SLUGS: Final = {
    MEETUP: ("eventSlug",),
    GROUP: ("groupSlug", "newSlug", "oldSlug"),
    USER: ("userSlug",),
}


def subjects(event: str, payload: Mapping[str, Any]) -> list[Subject]:
    """Return what an event of OpenMeet's is about; nothing where it is unknown or says nothing.

    The number is preferred, because a slug can change. Of what was deleted both are returned:
    the directory may have been told of it without its number.
    """
    kind = _ABOUT.get(event)
    if kind is None:
        return []
    number = next(_numbers(event, kind, payload), None)
    slugs = list(dict.fromkeys(_slugs(event, kind, payload)))
    found = [] if number is None else [Subject(kind, number)]
    if number is None or event.endswith(("deleted", "before_delete", "slug.changed")):
        found += [Subject(kind, None, slug) for slug in slugs]
    return found


def is_early(event: str) -> bool:
    """Whether OpenMeet sends an event before it does what the event is about."""
    return event.endswith(".before_delete")


def _numbers(event: str, kind: str, payload: Mapping[str, Any]) -> Iterator[int]:
    id_field, entity_field = _NUMBERS[kind]
    entity = payload.get(entity_field)
    candidates = [payload.get(id_field)]
    if isinstance(entity, Mapping):
        candidates.append(entity.get("id"))
    if event in _WHOLE:
        candidates.append(payload.get("id"))
    yield from (number for one in candidates if (number := _number(one)) is not None)


def _slugs(event: str, kind: str, payload: Mapping[str, Any]) -> Iterator[str]:
    _, entity_field = _NUMBERS[kind]
    entity = payload.get(entity_field)
    candidates = [payload.get(name) for name in _SLUGS[kind]]
    if isinstance(entity, Mapping):
        candidates.append(entity.get("slug"))
    if event in _WHOLE:
        candidates.append(payload.get("slug"))
    yield from (slug for one in candidates if (slug := _slug(one)) is not None)


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST:
        return value
    return None


def _slug(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST and "\0" not in value:
        return value
    return None
