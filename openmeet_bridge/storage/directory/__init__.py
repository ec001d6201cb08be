"""The directory: what OpenMeet says there should be. Every statement names its tenant."""

from __future__ import annotations

from .aliases import forget_former_aliases, former_aliases, heir, portal_by_alias, release_alias
from .blocks import blocked_by, blockers_of, delete_block, is_blocked, put_block
from .head import Head, advance, compared, head, lock, seen, suspend
from .members import (
    Person,
    all_members,
    delete_member,
    mark_settled,
    member,
    members,
    people,
    portals_of,
    put_members,
    unsettled_members,
)
from .overrides import delete_override, overrides, put_override
from .portals import (
    buried,
    delete_portal,
    is_occupied,
    meetups_of_group,
    portal,
    put_portal,
    rename_portal,
    renew_portal,
    visible,
)
from .snapshot import snapshot
from .users import delete_user, known_users, put_user, rename_user, user, user_by_openmeet_id, users

__all__ = [
    "Head",
    "Person",
    "advance",
    "all_members",
    "blocked_by",
    "blockers_of",
    "buried",
    "compared",
    "delete_block",
    "delete_member",
    "delete_override",
    "delete_portal",
    "delete_user",
    "forget_former_aliases",
    "former_aliases",
    "head",
    "heir",
    "is_blocked",
    "is_occupied",
    "known_users",
    "lock",
    "mark_settled",
    "meetups_of_group",
    "member",
    "members",
    "overrides",
    "people",
    "portal",
    "portal_by_alias",
    "portals_of",
    "put_block",
    "put_members",
    "put_override",
    "put_portal",
    "put_user",
    "release_alias",
    "rename_portal",
    "rename_user",
    "renew_portal",
    "seen",
    "snapshot",
    "suspend",
    "unsettled_members",
    "user",
    "user_by_openmeet_id",
    "users",
    "visible",
]
