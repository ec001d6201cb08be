"""Life on one of OpenMeet's sites: what is there at first, and what may happen by chance."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence

from .openmeet_site import Site

STATUSES = (
    "invited",
    "confirmed",
    "attended",
    "cancelled",
    "rejected",
    "maybe",
    "pending",
    "waitlist",
)
GROUP_ROLES = ("owner", "admin", "moderator", "member", "guest")
EVENT_ROLES = ("participant", "host", "speaker", "moderator", "guest")
VISIBILITIES = ("public", "authenticated", "private", None)

_NAMES = ("Ann", "Ben", "Cleo", "Dilip", "Émile", "Fatou", "Gül", "Hank")
_CODES = "abcdefghijklmnopqrstuvwxyz0123456789_-"
Step = Callable[[Site, random.Random], Awaitable[str | None]]
MOST = {"users": 30, "groups": 8, "events": 12}
"""A site grows no further: a long life is one of much change, not one of many rooms."""


async def fill(site: Site) -> None:
    """Let there be people, groups and meetups, with what is odd in real databases."""
    ann = await site.register("ann-lee-x1y2z3", "Ann", "Lee")
    ben = await site.register("ben--_q-a_b", "  Ben ", None)
    nobody = await site.register("null-null-x1y2z3", None, None)
    greek = await site.register("-k3m_9-", "Ελένη", "Παπα")
    shadow = await site.register("shadow-abc123", "Blue", "Sky", shadow=True)
    resting = await site.register("resting-abc123", "Rested", "One", status=2)
    waiting = await site.register("waiting-abc123", "No", "Status", status=None)
    gone = await site.register("gone-abc123", "Gone", "Away")
    await site.register(None, "No", "Slug")
    await site.register("", "Empty", "Slug")
    await site.register("ann-lee-x1y2z3", "Another", "Ann")
    await site.register("mail-abc123", "mail@example.org", "")
    await site.delete_user(gone)
    people = [ann, ben, nobody, greek, shadow, resting, waiting, gone]
    hikers = await site.create_group("hikers--a_b-x1", "Hikers", ann)
    secret = await site.create_group(
        "secret-x1y2z3", "Secret", ben, visibility="private", approval=True
    )
    await site.create_group("draft-x1y2z3", "Draft", ann, status="draft")
    await site.create_group("open-x1y2z3", "Open", greek, visibility=None)
    for user, role in zip(people[1:], (*GROUP_ROLES[1:], "member", "member"), strict=False):
        await site.add_member(hikers, user, role)
    await site.add_member(hikers, ben, "member")
    await site.add_member(hikers, greek, None)
    await site.join_group(secret, ann)
    walk = await site.create_event(
        "walk-in-the-hills-a1b2c3", "Walk in the hills", ann, group=hikers
    )
    for user, status in zip(people[1:], STATUSES, strict=False):
        await site.attend(walk, user, status)
    talk = await site.create_event("talk-a1b2c3", "Talk", ben, visibility=None, status=None)
    await site.attend(talk, greek, None)
    await site.attend(talk, ann, "confirmed", "speaker")
    await site.create_event("off-a1b2c3", "Off", ann, visibility="private", status="cancelled")
    await site.open_direct_chat(ben, ann)
    await site.open_direct_chat(ann, gone)
    await site.open_direct_chat(ann, ann)


# What may happen by chance. Each step returns what was done, or None where nothing could be.


async def _is_full(site: Site, table: str) -> bool:
    where = 'WHERE "deletedAt" IS NULL' if table == "users" else ""
    statement = f'SELECT count(*) AS n FROM "{table}" {where}'  # noqa: S608
    (row,) = await site.rows(statement)
    return int(row["n"]) >= MOST[table]


async def _register(site: Site, chance: random.Random) -> str | None:
    if await _is_full(site, "users"):
        return None
    first, last = chance.choice((*_NAMES, None)), chance.choice((*_NAMES, None))
    slug = _slug(chance, f"{first}-{last}")
    return str(await site.register(slug, first, last, shadow=chance.random() < 0.1))


async def _update_profile(site: Site, chance: random.Random) -> str | None:
    user = await site.some(chance, "users")
    if user is None:
        return None
    await site.update_profile(user, chance.choice(_NAMES), chance.choice((*_NAMES, "", None)))
    return str(user)


async def _deactivate(site: Site, chance: random.Random) -> str | None:
    user = await site.some(chance, "users")
    if user is None:
        return None
    active = chance.random() < 0.6
    await site.set_status(user, active=active)
    return f"{user} active={active}"


async def _delete_user(site: Site, chance: random.Random) -> str | None:
    user = await site.some(chance, "users") if chance.random() < 0.3 else None
    if user is None:
        return None
    await site.delete_user(user)
    return str(user)


async def _restore_user(site: Site, chance: random.Random) -> str | None:
    found = await site.rows('SELECT "id" FROM "users" WHERE "deletedAt" IS NOT NULL ORDER BY 1')
    if not found:
        return None
    user = chance.choice(found)["id"]
    await site.restore_user(user)
    return str(user)


async def _claim_shadow(site: Site, chance: random.Random) -> str | None:
    found = await site.rows('SELECT "id" FROM "users" WHERE "isShadowAccount" ORDER BY 1')
    if not found:
        return None
    user = chance.choice(found)["id"]
    await site.claim_shadow(user)
    return str(user)


async def _rename_user(site: Site, chance: random.Random) -> str | None:
    user = await site.some(chance, "users") if chance.random() < 0.3 else None
    if user is None:
        return None
    slug = _slug(chance, chance.choice(_NAMES))
    await site.rename_user(user, slug)
    return f"{user} to {slug}"


async def _create_group(site: Site, chance: random.Random) -> str | None:
    owner = await site.some(chance, "users")
    if owner is None or await _is_full(site, "groups"):
        return None
    return str(
        await site.create_group(
            _slug(chance, "group"),
            f"Group {chance.randrange(1000)}",
            owner,
            visibility=chance.choice(VISIBILITIES),
            approval=chance.random() < 0.5,
        )
    )


async def _join_group(site: Site, chance: random.Random) -> str | None:
    group, user = await site.some(chance, "groups"), await site.some(chance, "users")
    if group is None or user is None:
        return None
    await site.join_group(group, user)
    return f"{user} in {group}"


async def _group_role(site: Site, chance: random.Random) -> str | None:
    pair = await site.some_pair(chance, "groupMembers", "groupId")
    if pair is None:
        return None
    role = chance.choice(GROUP_ROLES)
    await site.set_group_role(*pair, role)
    return f"{pair[1]} in {pair[0]}: {role}"


async def _leave_group(site: Site, chance: random.Random) -> str | None:
    pair = await site.some_pair(chance, "groupMembers", "groupId")
    if pair is None:
        return None
    await site.leave_group(*pair)
    return f"{pair[1]} out of {pair[0]}"


async def _change_group(site: Site, chance: random.Random) -> str | None:
    return await _change(site, chance, "groups", ("draft", "pending", "published", "published"))


async def _delete_group(site: Site, chance: random.Random) -> str | None:
    group = await site.some(chance, "groups") if chance.random() < 0.3 else None
    if group is None:
        return None
    await site.delete_group(group)
    return str(group)


async def _create_event(site: Site, chance: random.Random) -> str | None:
    host = await site.some(chance, "users")
    if host is None or await _is_full(site, "events"):
        return None
    group = await site.some(chance, "groups") if chance.random() < 0.5 else None
    visibility = chance.choice(VISIBILITIES)
    name = f"Meetup {chance.randrange(1000)}"
    slug = _slug(chance, "meetup")
    return str(await site.create_event(slug, name, host, group=group, visibility=visibility))


async def _attend(site: Site, chance: random.Random) -> str | None:
    event, user = await site.some(chance, "events"), await site.some(chance, "users")
    if event is None or user is None:
        return None
    status = chance.choice(("confirmed", "confirmed", *STATUSES))
    await site.attend(event, user, status, chance.choice(EVENT_ROLES))
    return f"{user} in {event}: {status}"


async def _set_attendee(site: Site, chance: random.Random) -> str | None:
    pair = await site.some_pair(chance, "eventAttendees", "eventId")
    if pair is None:
        return None
    status, role = chance.choice(STATUSES), chance.choice(EVENT_ROLES)
    await site.set_attendee(*pair, status, role)
    return f"{pair[1]} in {pair[0]}: {status} {role}"


async def _drop_attendee(site: Site, chance: random.Random) -> str | None:
    pair = await site.some_pair(chance, "eventAttendees", "eventId")
    if pair is None:
        return None
    await site.drop_attendee(*pair)
    return f"{pair[1]} out of {pair[0]}"


async def _change_event(site: Site, chance: random.Random) -> str | None:
    statuses = ("draft", "pending", "published", "published", "cancelled", None)
    return await _change(site, chance, "events", statuses)


async def _delete_event(site: Site, chance: random.Random) -> str | None:
    event = await site.some(chance, "events") if chance.random() < 0.5 else None
    if event is None:
        return None
    await site.delete_event(event)
    return str(event)


async def _change(
    site: Site, chance: random.Random, table: str, statuses: Sequence[str | None]
) -> str | None:
    number = await site.some(chance, table)
    if number is None:
        return None
    column = chance.choice(("name", "slug", "status", "visibility"))
    value = {
        "name": f"Named {chance.randrange(1000)}",
        "slug": _slug(chance, table),
        "status": chance.choice(statuses),
        "visibility": chance.choice(VISIBILITIES),
    }[column]
    await site.change(table, number, column, value)
    return f"{number} {column}={value}"


def _slug(chance: random.Random, name: str) -> str:
    code = "".join(chance.choices(_CODES, k=8))
    return f"{name.lower().replace(' ', '-')}-{code}"


STEPS: dict[str, Step] = {
    "register": _register,
    "update_profile": _update_profile,
    "deactivate": _deactivate,
    "delete_user": _delete_user,
    "restore_user": _restore_user,
    "claim_shadow": _claim_shadow,
    "rename_user": _rename_user,
    "create_group": _create_group,
    "join_group": _join_group,
    "group_role": _group_role,
    "leave_group": _leave_group,
    "change_group": _change_group,
    "delete_group": _delete_group,
    "create_event": _create_event,
    "attend": _attend,
    "set_attendee": _set_attendee,
    "drop_attendee": _drop_attendee,
    "change_event": _change_event,
    "delete_event": _delete_event,
}
