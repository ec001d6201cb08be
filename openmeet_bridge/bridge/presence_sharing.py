"""Presence shared: who is there by this process, said to the others, and who is by them, heard.

Said at once a second is what has changed, and of everybody again once a minute, a part of them
each second: a word that is lost is made good, and who starts later is told when it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ..core.ids import Mxid
from ..stream.broadcast import Broadcast, in_parts
from ..stream.bus import EVERYBODY
from ..stream.signals import Attendant, Attending, Left, WhoIsThere
from .presence_elsewhere import SILENT, PresenceElsewhere

AT_A_TIME: Final = 2000
"""Of so many people it is said in a second how they are there; of others in the next."""

TOGETHER: Final = 100
"""Of so many it is said in one signal: whoever hears it does nothing else for a millisecond."""

_TICKS_OF_A_ROUND = 60
_BEAT = 5.0


class PresenceSharing:
    """Says to the other processes who is there by this one.

    Args:
        broadcast: Leads to them.
        own: Tells how somebody is there by this process.
        learned: Called with what another process says of somebody, when it is noted.
        gone: Called with people who have fewer streams elsewhere than before.
        clock: Seconds, of a clock that never goes back.

    Attributes:
        elsewhere: Who is there by others.
    """

    def __init__(
        self,
        broadcast: Broadcast,
        own: Callable[[Mxid], Attendant],
        learned: Callable[[Attendant], None],
        gone: Callable[[Iterable[Mxid]], None],
        clock: Callable[[], float],
    ) -> None:
        self.elsewhere = PresenceElsewhere(clock)
        self._broadcast = broadcast
        self._own = own
        self._learned = learned
        self._gone = gone
        self._clock = clock
        self._mine: set[Mxid] = set()
        self._unsaid: dict[Mxid, None] = {}
        self._round: list[Mxid] = []
        self._spoke_at = self._looked_at = clock()
        self._up_to_date = False
        self._left = False
        broadcast.on(Attending, self._heard)
        broadcast.on(Left, lambda said: gone(self.elsewhere.leave(said.origin)))
        broadcast.on(WhoIsThere, lambda _: self._say_all())

    def changed(self, mxid: Mxid) -> None:
        """Note that somebody is there by this process in another way than before."""
        if not self._broadcast.alone:
            self._mine.add(mxid)
            self._unsaid[mxid] = None

    def forget(self, mxid: Mxid) -> None:
        """Forget somebody who was removed."""
        self.elsewhere.forget(mxid)
        self._mine.discard(mxid)
        self._unsaid.pop(mxid, None)

    def tick(self) -> list[Mxid]:
        """Say what is due. To be called every second.

        Returns:
            Who was there by a process that has died.
        """
        if self._broadcast.alone or self._left:
            return []
        now, deaf = self._clock(), self._broadcast.deaf
        if deaf or now - self._looked_at > SILENT / 2:
            # Who cannot be heard, or was stopped, has missed what was said, and is missed.
            self._up_to_date = False
        self._looked_at = now
        if not deaf:
            if not self._up_to_date:
                self._catch_up()
            self._say(now)
        return self.elsewhere.expire(deaf=deaf)

    def leave(self) -> None:
        """Say that this process ends, and with it all that it has said; and then nothing more."""
        self._left = True
        self._broadcast.say(EVERYBODY, Left(self._broadcast.origin), fleeting=True)

    def _heard(self, said: Attending) -> None:
        self.elsewhere.speaks(said.origin)
        for one in said.people:
            self.elsewhere.put(said.origin, one)
            self._learned(one)

    def _catch_up(self) -> None:
        self._up_to_date = True
        self._broadcast.say(EVERYBODY, WhoIsThere(self._broadcast.origin), fleeting=True)
        self._say_all()

    def _say_all(self) -> None:
        self._unsaid |= dict.fromkeys(self._mine)

    def _say(self, now: float) -> None:
        due = list(self._unsaid)[:AT_A_TIME]
        for mxid in due:
            del self._unsaid[mxid]
        people = [self._own(one) for one in dict.fromkeys([*due, *self._some_again()])]
        for one in people:
            if not one.streams and not one.idle:
                self._mine.discard(one.mxid)
        parts = list(in_parts(people, TOGETHER))
        if not parts and self._mine and now - self._spoke_at >= _BEAT:
            parts = [()]  # so that nobody takes this process for dead
        for part in parts:
            self._broadcast.say(EVERYBODY, Attending(self._broadcast.origin, part), fleeting=True)
            self._spoke_at = now

    def _some_again(self) -> list[Mxid]:
        """Return a part of those who are there by this process, each once in a minute."""
        count = -(-len(self._mine) // _TICKS_OF_A_ROUND)
        if not self._round:
            self._round = list(self._mine)
        some, self._round = self._round[-count:] if count else [], self._round[: -count or None]
        return [one for one in some if one in self._mine]
