"""People of OpenMeet who are there: by the streams of this process, and by those of others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from ..core.ids import Mxid, TenantId
from ..core.presence import ONLINE, Attendance, Patience
from ..stream.broadcast import Broadcast
from ..stream.signals import Attendant
from .presence_sharing import PresenceSharing


class PresencePeople:
    """Knows how people of OpenMeet are there, and lets the other processes know.

    Args:
        broadcast: Leads to the streams that are open here, and to the other processes.
        tenants: Whose people may see one another's presence. Of others it is only counted how many
            streams they have.
        patience: When somebody is idle, and when gone.
        clock: Seconds, of a clock that never goes back.

    Attributes:
        doubtful: Who may be there in another way than before; whoever looks takes them out.
        leaving: Who has no stream any more; nobody knows yet whether they come back.
        kept: Whose last sight this process is to keep, because it had their streams.
        sharing: What other processes are told, and say.
    """

    def __init__(
        self,
        broadcast: Broadcast,
        tenants: Collection[TenantId],
        patience: Patience,
        clock: Callable[[], float],
    ) -> None:
        self._broadcast = broadcast
        self._hub = broadcast.hub
        self._tenants = tenants
        self._patience = patience
        self._clock = clock
        self._people: dict[Mxid, Attendance] = {}
        self._moved: dict[Mxid, None] = {}
        self.doubtful: dict[Mxid, None] = {}
        self.leaving: set[Mxid] = set()
        self.kept: set[Mxid] = set()
        self.sharing = PresenceSharing(
            broadcast, self._attendant, self._learned, self._recount_all, clock
        )

    def __iter__(self) -> Iterator[Mxid]:
        return iter(self._people)

    def __len__(self) -> int:
        return len(self._people)

    def get(self, mxid: Mxid) -> Attendance | None:
        """Return how somebody is there; None where they are not."""
        return self._people.get(mxid)

    def streams(self, mxid: Mxid) -> int:
        """Return how many streams somebody has open, here and elsewhere."""
        return self._hub.streams_of(mxid) + self.sharing.elsewhere.streams(mxid)

    def moved(self, mxid: Mxid) -> None:
        """Note that somebody has a stream here more or less."""
        if self._tenants or not self._broadcast.alone:
            self._moved[mxid] = None

    def sign(self, mxid: Mxid, *, active: bool, share: bool) -> None:
        """Note a sign of life, or that there is none. Without a stream there is neither.

        Args:
            mxid: Whose.
            active: Whether it is one.
            share: Whether the other processes must be told, because they do not see it themselves.
        """
        if mxid in self._moved:
            self.count()
        attendance = self._people.get(mxid)
        if attendance is None:
            return
        now = self._clock()
        # That who is there still is, is said again once a minute anyway.
        if share and not (active and attendance.state(now) == ONLINE):
            self.sharing.changed(mxid)
        (attendance.active if active else attendance.idle)(now)
        self.doubtful[mxid] = None

    def tick(self) -> None:
        """Count what has changed here, and say and forget what is due. Called every second."""
        self.count()
        died = self.sharing.tick()
        self._recount_all(died)
        self.kept |= self._people.keys() & set(died)
        self.doubtful |= dict.fromkeys(self.leaving)

    def count(self) -> None:
        """Count the streams of those who have some more or less here than before."""
        now = self._clock()
        moved, self._moved = self._moved, {}
        for mxid in moved:
            self.sharing.changed(mxid)
            if mxid not in self._people:
                if self._hub.tenant_of(mxid) not in self._tenants:
                    continue
                self._people[mxid] = Attendance(self._patience, now)
            self._recount(mxid, self._people[mxid], ours=True)
            self.kept.add(mxid)
            self.doubtful[mxid] = None

    def drop(self, mxid: Mxid) -> None:
        """Keep nothing of somebody who is gone."""
        self._people.pop(mxid, None)
        self.leaving.discard(mxid)
        self.kept.discard(mxid)

    def forget(self, mxid: Mxid) -> None:
        """Forget somebody who was removed."""
        self.drop(mxid)
        self.doubtful.pop(mxid, None)
        self.sharing.forget(mxid)

    def _recount(self, mxid: Mxid, attendance: Attendance, *, ours: bool = False) -> None:
        streams = self.streams(mxid)
        attendance.count(streams, self._clock(), ours=ours)
        elsewhere = self.sharing.elsewhere
        attendance.idle_elsewhere = elsewhere.idle(mxid, attendance.life_at)
        (self.leaving.discard if streams else self.leaving.add)(mxid)

    def _recount_all(self, mxids: Iterable[Mxid]) -> None:
        for mxid in mxids:
            attendance = self._people.get(mxid)
            if attendance is not None:
                self._recount(mxid, attendance)
                self.doubtful[mxid] = None

    def _attendant(self, mxid: Mxid) -> Attendant:
        """Return how somebody is there by this process."""
        attendance = self._people.get(mxid)
        streams = self._hub.streams_of(mxid)
        if attendance is None:
            return Attendant(mxid, streams, shown=False)
        now = self._clock()
        idle, idle_at = attendance.idle_words, attendance.idle_at
        if attendance.stays_idle:
            idle, idle_at = max(idle, streams), max(idle_at, attendance.life_at)
        return Attendant(mxid, streams, idle, now - attendance.life_at, now - idle_at)

    def _learned(self, said: Attendant) -> None:
        """Note how somebody is there by another process."""
        now = self._clock()
        life_at = now - said.life_age
        attendance = self._people.get(said.mxid)
        if attendance is None:
            if not said.shown or not said.streams or said.mxid not in self.sharing.elsewhere:
                return
            attendance = self._people[said.mxid] = Attendance(self._patience, life_at)
        before = attendance.state(now)
        attendance.hear(life_at, now - said.idle_age if said.idle else None, now)
        self._recount(said.mxid, attendance)
        if attendance.state(now) != before:
            self.doubtful[said.mxid] = None
