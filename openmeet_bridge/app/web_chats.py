"""The services behind the chats of OpenMeet's web app, each with what it needs of the others."""

from __future__ import annotations

import time

from ..bridge.arrivals import Arrivals
from ..bridge.attending import Attending
from ..bridge.direct_chats import DirectChats
from ..bridge.direct_lists import DirectLists
from ..bridge.directory import Directory
from ..bridge.discussions import Discussions
from ..bridge.own_echoes import OwnEchoes
from ..bridge.receipts import Receipts
from ..bridge.roster import Roster
from ..bridge.sending import Sending
from ..bridge.timeline import Timeline
from ..bridge.web_reading import WebReading
from ..bridge.web_sending import WebSending
from ..bridge.web_timeline import WebTimeline
from ..storage.database import Database


class WebChats:
    """What the web app's chat routes work with.

    Args:
        database: The bridge's.
        arrivals: Brings people into rooms.
        roster: Knows who should be where.
        directory: What OpenMeet says there should be.
        timeline: Reads rooms.
        sending: Accepts messages.
        receipts: Keeps read marks.
    """

    def __init__(
        self,
        database: Database,
        *,
        arrivals: Arrivals,
        roster: Roster,
        directory: Directory,
        timeline: Timeline,
        sending: Sending,
        receipts: Receipts,
    ) -> None:
        self.discussions = Discussions(database, arrivals)
        self.attending = Attending(database, self.discussions, roster, directory, arrivals)
        self.timeline = WebTimeline(timeline, OwnEchoes(database))
        self.sending = WebSending(database, sending)
        self.directs = DirectChats(database, directory)
        self.direct_lists = DirectLists(database, self.timeline)
        self.reading = WebReading(database, receipts, lambda: int(time.time() * 1000))
