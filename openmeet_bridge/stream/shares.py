"""Shares: who gets which frames of a piece of the log, those with the same ones together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .audience import Audience
from .circles import Circle, Circles
from .frames import Frame, Wire, people
from .subscriber import Subscriber

Frames = Sequence[Frame]

Numbered = Sequence[tuple[int, Frame]]
"""Frames with their places in the piece of the log."""


@dataclass(slots=True)
class Share:
    """The same frames for readers on the same kind of wire.

    Attributes:
        wire: Writes just these frames, for just these readers.
        done: How many of the readers have had their turn.
    """

    wire: Wire
    frames: Frames
    readers: list[Subscriber]
    done: int = 0


def of_one_room(audience: Audience, frames: Frames) -> list[Share]:
    """Return the shares of frames that are for all who are live in a room."""
    if audience.circles is not None:
        return _of_circles(audience.circles, audience.live, frames)
    return [Share(wire, frames, list(readers)) for wire, readers in audience.live.items()]


def of_rooms(news: Iterable[tuple[Audience, Numbered]]) -> list[Share]:
    """Return the shares of frames each of which is for all who are live in one of several rooms.

    Who is in two of them gets the frames of both, in the order of the log.
    """
    rooms = list(news)
    if len(rooms) == 1:
        audience, numbered = rooms[0]
        return of_one_room(audience, _frames(numbered))
    several = _in_several(audience for audience, _ in rooms)
    shares = _merged(rooms, several) if several else []
    for audience, numbered in rooms:
        frames = _frames(numbered)
        if audience.circles is not None:
            shares += _of_circles(audience.circles, audience.live, frames, several)
            continue
        for wire, readers in audience.live.items():
            alone = [one for one in readers if one not in several] if several else list(readers)
            if alone:
                shares.append(Share(wire, frames, alone))
    return shares


def _of_circles(
    circles: Circles,
    live: Mapping[Wire, Iterable[Subscriber]],
    frames: Frames,
    elsewhere: Collection[Subscriber] = (),
) -> list[Share]:
    """Return the shares of a room in which people come by reference, and unite ripe circles.

    Whom a circle knows is not introduced to it again. Who gets the frames in another share, or too
    late to get them alone, has them written on their own wire, and lacks nobody.

    Args:
        circles: Those of the room.
        live: All of its readers.
        frames: What they get.
        elsewhere: Who gets it in another share.
    """
    # Whom one circle is told to be like the other one is told to all of it, or to none.
    ripe = {} if elsewhere else circles.ripe()
    shares = []
    for fewer, more in ripe.items():
        # As a frame, so that who gets the others later, with still others, gets it with them.
        lacking = fewer.lacks(more)
        told = (people(lacking), *frames) if lacking else frames
        shares.append(Share(fewer, told, list(live[fewer])))
    for wire, readers in live.items():
        alone = [one for one in readers if one not in elsewhere]
        if alone and wire not in ripe:
            short = wire.told(frames) if isinstance(wire, Circle) else wire
            shares.append(Share(short, frames, alone))
    for fewer, more in ripe.items():
        circles.unite(fewer, more)
    return shares


def _in_several(audiences: Iterable[Audience]) -> set[Subscriber]:
    """Return who is live in more than one of these rooms: usually very few, or nobody."""
    seen: set[Subscriber] = set()
    several: set[Subscriber] = set()
    for audience in audiences:
        for readers in audience.live.values():
            several.update(seen.intersection(readers))
            seen.update(readers)
    return several


def _merged(rooms: Sequence[tuple[Audience, Numbered]], several: set[Subscriber]) -> list[Share]:
    mine: dict[Subscriber, tuple[int, ...]] = {}
    for number, (audience, _) in enumerate(rooms):
        alone = (number,)
        for readers in audience.live.values():
            for reader in several.intersection(readers):
                mine[reader] = mine.get(reader, ()) + alone
    shares: dict[tuple[Wire, tuple[int, ...]], Share] = {}
    for reader, numbers in mine.items():
        share = shares.get((reader.wire, numbers))
        if share is None:
            frames = _in_order(rooms[number][1] for number in numbers)
            share = shares[reader.wire, numbers] = Share(reader.wire, frames, [])
        share.readers.append(reader)
    return list(shares.values())


def of_each(outgoing: Mapping[Subscriber, Frames]) -> list[Share]:
    """Return the shares of frames that were found for each reader apart."""
    shares: dict[tuple[object, ...], Share] = {}
    for reader, frames in outgoing.items():
        # Wires and frames are equal only to themselves, so their place in memory is the key.
        key = (reader.wire, *frames)
        share = shares.get(key)
        if share is None:
            share = shares[key] = Share(reader.wire, frames, [])
        share.readers.append(reader)
    return list(shares.values())


def _in_order(parts: Iterable[Numbered]) -> Frames:
    found = [one for part in parts for one in part]
    found.sort(key=lambda one: one[0])  # stable: what one entry gave stays as it is
    return _frames(found)


def _frames(numbered: Numbered) -> Frames:
    return [frame for _, frame in numbered]
