"""Who is in which room: the same for the bridge with a log in memory and for a whole one.

Readers and rooms have numbers from 0. Each block of readers is for one measurement, so that one
bridge can serve several of them after another.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import world


@dataclass(frozen=True, slots=True)
class Block:
    """Readers in turn in some rooms: reader i of a block is in its room i mod the rooms.

    Attributes:
        first_reader: The number of its first reader.
        readers: How many there are.
        first_room: The number of its first room.
        rooms: How many there are.
    """

    first_reader: int
    readers: int
    first_room: int
    rooms: int

    def room_of(self, reader: int) -> int:
        """Return the room of one of its readers."""
        return self.first_room + (reader - self.first_reader) % self.rooms

    def readers_of(self, room: int, most: int | None = None) -> list[int]:
        """Return who is in one of its rooms, of its first ``most`` readers."""
        end = self.first_reader + min(self.readers, most or self.readers)
        return list(range(self.first_reader + room - self.first_room, end, self.rooms))


ONE_ROOM = Block(0, 20_000, 0, 1)
SMALL_ROOMS = Block(20_000, 1_000, 1, 100)
BESIDE = Block(21_000, 100, 101, 1)
RETURNING = Block(22_000, 5_000, 200, 100)
STAYING = Block(27_000, 200, 300, 1)
BLOCKS = (ONE_ROOM, SMALL_ROOMS, BESIDE, RETURNING, STAYING)
READERS = max(block.first_reader + block.readers for block in BLOCKS)


def room_of(reader: int) -> int | None:
    """Return the room of a reader; None where nobody has the number."""
    for block in BLOCKS:
        if block.first_reader <= reader < block.first_reader + block.readers:
            return block.room_of(reader)
    return None


def room_id(room: int) -> str:
    """Return a room's id, as the load client writes it."""
    return f"!{room:06d}:{world.SERVER_NAME}"


def user(reader: int) -> int:
    """Return the number that OpenMeet has for a reader; its numbers begin with 1."""
    return reader + 1


def reader_of(openmeet_id: int) -> int:
    """Return the reader who has a number with OpenMeet."""
    return openmeet_id - 1
