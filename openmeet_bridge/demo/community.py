"""The people of the demonstration, their groups, and what they have said so far."""

from __future__ import annotations

from typing import NamedTuple


class Person(NamedTuple):
    """A user of OpenMeet."""

    slug: str
    name: str


class Place(NamedTuple):
    """A group or a meetup: ``members`` maps slugs to roles."""

    kind: str
    slug: str
    name: str
    topic: str
    public: bool
    members: dict[str, str]


class Said(NamedTuple):
    """A message: ``text`` is Markdown.

    ``where`` is the slug of a place, or two slugs with a plus between for a direct chat. What is
    answered or reacted to is named by its number in the talk.
    """

    where: str
    who: str
    text: str
    answers: int | None = None
    mentions: tuple[str, ...] = ()
    corrected: str | None = None
    reactions: tuple[tuple[str, str], ...] = ()


class Community(NamedTuple):
    """A tenant, and what its people have said so far."""

    id: str
    name: str
    people: list[Person]
    places: list[Place]
    directs: list[tuple[str, str]]
    talk: list[Said]


LAKESIDE = Community(
    id="lakeside",
    name="Lakeside Meetups",
    people=[
        Person("ann-larsen-x1y2z3", "Ann Larsen"),
        Person("ben-okafor-k4m5n6", "Ben Okafor"),
        Person("carla-ruiz-p7q8r9", "Carla Ruiz"),
        Person("dimitri-volkov-s1t2u3", "Dimitri Volkov"),
        Person("emi-tanaka-v4w5x6", "Emi Tanaka"),
        Person("farah-haddad-y7z8a9", "Farah Haddad"),
        Person("gus-meyer-b1c2d3", "Gus Meyer"),
    ],
    places=[
        Place(
            "groups",
            "sunday-hikers",
            "Sunday Hikers",
            "Easy trails around the lake, every Sunday",
            True,
            {
                "ann-larsen-x1y2z3": "owner",
                "ben-okafor-k4m5n6": "moderator",
                "carla-ruiz-p7q8r9": "member",
                "dimitri-volkov-s1t2u3": "member",
                "emi-tanaka-v4w5x6": "member",
            },
        ),
        Place(
            "groups",
            "board-game-circle",
            "Board Game Circle",
            "Thursdays at the library",
            False,
            {
                "carla-ruiz-p7q8r9": "owner",
                "ann-larsen-x1y2z3": "member",
                "farah-haddad-y7z8a9": "member",
                "gus-meyer-b1c2d3": "member",
            },
        ),
        Place(
            "meetups",
            "sunrise-walk-to-the-old-mill",
            "Sunrise walk to the old mill",
            "Sunday, 6:30, at the boathouse",
            False,
            {
                "ben-okafor-k4m5n6": "host",
                "ann-larsen-x1y2z3": "participant",
                "emi-tanaka-v4w5x6": "participant",
            },
        ),
        Place(
            "meetups",
            "strategy-night",
            "Strategy night",
            "Bring your longest game",
            False,
            {
                "carla-ruiz-p7q8r9": "host",
                "ann-larsen-x1y2z3": "participant",
                "gus-meyer-b1c2d3": "participant",
                "farah-haddad-y7z8a9": "participant",
            },
        ),
    ],
    directs=[
        ("ann-larsen-x1y2z3", "ben-okafor-k4m5n6"),
        ("ann-larsen-x1y2z3", "carla-ruiz-p7q8r9"),
    ],
    talk=[
        Said(
            "sunday-hikers",
            "ann-larsen-x1y2z3",
            "Welcome, everybody! Here we plan our hikes.",
            reactions=(("ben-okafor-k4m5n6", "👋"), ("emi-tanaka-v4w5x6", "👋")),
        ),
        Said(
            "sunday-hikers",
            "ben-okafor-k4m5n6",
            "Morning! Are we still on for the **ridge trail**?",
        ),
        Said(
            "sunday-hikers",
            "carla-ruiz-p7q8r9",
            "I would not miss it. I can take three in my car.",
            answers=1,
            reactions=(("ann-larsen-x1y2z3", "🚗"), ("dimitri-volkov-s1t2u3", "🚗")),
        ),
        Said(
            "sunday-hikers",
            "emi-tanaka-v4w5x6",
            "The upper path was icy yesterday: good shoes!",
            corrected="The upper path was *icy* yesterday, @Ben Okafor: good shoes!",
            mentions=("ben-okafor-k4m5n6",),
        ),
        Said(
            "sunday-hikers",
            "ann-larsen-x1y2z3",
            "Then let us walk the lake loop:\n\n- 9 km\n- and coffee",
            answers=3,
            reactions=(
                ("ben-okafor-k4m5n6", "👍"),
                ("carla-ruiz-p7q8r9", "👍"),
                ("dimitri-volkov-s1t2u3", "👍"),
                ("emi-tanaka-v4w5x6", "☕"),
            ),
        ),
        Said("sunday-hikers", "dimitri-volkov-s1t2u3", "Coffee settles it. Count me in."),
        Said(
            "sunday-hikers",
            "ben-okafor-k4m5n6",
            "The map is here: https://www.openstreetmap.org/\n\nWe meet at the boathouse at nine.",
        ),
        Said("board-game-circle", "carla-ruiz-p7q8r9", "The library has given us the big table."),
        Said("board-game-circle", "gus-meyer-b1c2d3", "Then we can finally play the long one."),
        Said(
            "board-game-circle",
            "farah-haddad-y7z8a9",
            "I bring snacks. No crumbs on the board, @Gus Meyer!",
            mentions=("gus-meyer-b1c2d3",),
            reactions=(("gus-meyer-b1c2d3", "😂"), ("ann-larsen-x1y2z3", "😂")),
        ),
        Said(
            "sunrise-walk-to-the-old-mill", "ben-okafor-k4m5n6", "Six thirty. Yes, in the morning."
        ),
        Said("sunrise-walk-to-the-old-mill", "emi-tanaka-v4w5x6", "I have set four alarms."),
        Said("strategy-night", "carla-ruiz-p7q8r9", "Who teaches the new ones?"),
        Said("strategy-night", "gus-meyer-b1c2d3", "I do. Slowly, with tea.", answers=12),
        Said(
            "ann-larsen-x1y2z3+ben-okafor-k4m5n6",
            "ben-okafor-k4m5n6",
            "Have you got the first-aid kit?",
        ),
        Said(
            "ann-larsen-x1y2z3+ben-okafor-k4m5n6",
            "ann-larsen-x1y2z3",
            "In my backpack, as always.",
            answers=14,
        ),
        Said("ann-larsen-x1y2z3+carla-ruiz-p7q8r9", "carla-ruiz-p7q8r9", "Could you pick me up?"),
    ],
)

HARBOR = Community(
    id="harbor",
    name="Harbor Town",
    people=[
        Person("hana-kim-e4f5g6", "Hana Kim"),
        Person("ivo-petrov-h7i8j9", "Ivo Petrov"),
        Person("jules-moreau-k1l2m3", "Jules Moreau"),
        Person("kemal-aydin-n4o5p6", "Kemal Aydin"),
        Person("lena-fischer-q7r8s9", "Lena Fischer"),
    ],
    places=[
        Place(
            "groups",
            "harbor-sailors",
            "Harbor Sailors",
            "Small boats, big plans",
            False,
            {
                "hana-kim-e4f5g6": "owner",
                "ivo-petrov-h7i8j9": "admin",
                "jules-moreau-k1l2m3": "member",
                "kemal-aydin-n4o5p6": "member",
            },
        ),
        Place(
            "meetups",
            "knots-for-beginners",
            "Knots for beginners",
            "Pier 3, ropes are provided",
            False,
            {
                "ivo-petrov-h7i8j9": "host",
                "lena-fischer-q7r8s9": "participant",
                "hana-kim-e4f5g6": "participant",
            },
        ),
    ],
    directs=[("hana-kim-e4f5g6", "lena-fischer-q7r8s9")],
    talk=[
        Said("harbor-sailors", "hana-kim-e4f5g6", "Wind from the west tomorrow, 12 knots."),
        Said("harbor-sailors", "kemal-aydin-n4o5p6", "Perfect. I prepare the dinghy."),
        Said(
            "knots-for-beginners", "ivo-petrov-h7i8j9", "Everybody ties a bowline before we leave."
        ),
        Said(
            "hana-kim-e4f5g6+lena-fischer-q7r8s9", "lena-fischer-q7r8s9", "Is there a spare vest?"
        ),
    ],
)

COMMUNITIES = [LAKESIDE, HARBOR]

MATRIX_USER = "mara"
"""Somebody who is not on OpenMeet and joins with a Matrix client."""

MATRIX_NAME = "Mara Lindholm"

MATRIX_ROOM = "sunday-hikers"
