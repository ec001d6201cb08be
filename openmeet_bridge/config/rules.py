"""The configuration of the rules by which OpenMeet's members become members of rooms."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from .section import Section, about

Aspect = Literal["name", "topic", "avatar", "power_levels", "membership"]
Level = Annotated[int, Meta(ge=-1, le=99)]


class ExposureSection(Section, frozen=True, kw_only=True):
    """How open the rooms of groups and meetups with one visibility are."""

    join: Annotated[
        Literal["public", "knock", "invite"],
        about("How people of Matrix come in: by themselves, by asking, or by invitation."),
    ] = "invite"
    listed: Annotated[
        bool, about("Whether the room is in the homeserver's public room directory.")
    ] = False
    history: Annotated[
        Literal["world_readable", "shared", "invited", "joined"],
        about("What newcomers may read (`m.room.history_visibility`)."),
    ] = "shared"


class PublicExposureSection(ExposureSection, frozen=True, kw_only=True):
    """How open the rooms of public groups and meetups are."""

    join: Annotated[
        Literal["public", "knock", "invite"],
        about("How people of Matrix come in: by themselves, by asking, or by invitation."),
    ] = "public"
    listed: Annotated[
        bool, about("Whether the room is in the homeserver's public room directory.")
    ] = True


class AcceptSection(Section, frozen=True, kw_only=True):
    """What people may change from a Matrix client, where they have the power; else put back."""

    group: Annotated[
        list[Aspect],
        about(
            "In rooms of groups: any of `name`, `topic`, `avatar`, `power_levels`, `membership`. "
            "What is accepted stays until OpenMeet says something new."
        ),
    ] = field(default_factory=list)
    meetup: Annotated[list[Aspect], about("In rooms of meetups.")] = field(default_factory=list)
    direct: Annotated[list[Aspect], about("In direct chats.")] = field(default_factory=list)


class RulesSection(Section, frozen=True, kw_only=True):
    """Who is in which room, with what power, and how open rooms are."""

    group_roles: Annotated[
        dict[str, Level],
        about(
            "Power level of each role in a group. Who has a role that is not listed (`guest`) is "
            "not in the room."
        ),
    ] = field(default_factory=lambda: {"owner": 90, "admin": 75, "moderator": 50, "member": 0})
    meetup_roles: Annotated[
        dict[str, Level], about("The same for meetups, which are OpenMeet's events.")
    ] = field(
        default_factory=lambda: {
            "owner": 90,
            "host": 90,
            "admin": 75,
            "moderator": 50,
            "speaker": 25,
            "participant": 0,
            "guest": 0,
            "member": 0,
        }
    )
    meetup_statuses: Annotated[
        list[str],
        about("Attendees with these statuses are in a meetup's room; all others are not."),
    ] = field(default_factory=lambda: ["confirmed", "attended"])
    public: Annotated[
        PublicExposureSection, about("Rooms of groups and meetups that everybody may see.")
    ] = field(default_factory=PublicExposureSection)
    authenticated: Annotated[
        ExposureSection, about("Rooms of those that everybody who is signed in may see.")
    ] = field(default_factory=ExposureSection)
    private: Annotated[ExposureSection, about("Rooms of private groups and meetups.")] = field(
        default_factory=ExposureSection
    )
    accept: AcceptSection = field(default_factory=AcceptSection)
    archive_after: Annotated[
        float | None,
        about(
            "How long after its end a meetup's room becomes read-only; empty: never.",
            unit="seconds",
        ),
    ] = 30 * 86_400.0
    archive_cancelled_after: Annotated[
        float | None,
        about(
            "How long after its start a cancelled meetup's room becomes read-only; empty: never.",
            unit="seconds",
        ),
    ] = 7 * 86_400.0
    spaces: Annotated[
        bool, about("Make a Matrix space of the tenant and of each group, with their rooms inside.")
    ] = True
    space_members: Annotated[
        bool,
        about(
            "Let users be members of the spaces too: worth it where they use Matrix clients, "
            "and one join more for each user and group."
        ),
    ] = False
