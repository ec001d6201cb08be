"""The real page with people in front of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from playwright.sync_api import Page, expect

from .chat_page import composer, connected
from .demo import Demo, Place
from .windows import Windows


class Stage:
    """The demonstration, and windows of its users.

    Attributes:
        demo: Tells the servers what to do.
        windows: The windows.
    """

    def __init__(self, demo: Demo, windows: Windows) -> None:
        self.demo = demo
        self.windows = windows

    def address(self, who: str | None, place: Place | None = None, base: str | None = None) -> str:
        """Where the page shows itself to somebody, with a room open."""
        address = f"{base or self.demo.base}/"
        if who is None:
            return address
        person = self.demo.people[who]
        room = f"&room={quote(place.room_id)}" if place else ""
        return f"{address}#user={person.tenant}/{person.slug}{room}"

    def window(
        self,
        who: str | None,
        place: Place | None = None,
        base: str | None = None,
        **options: Any,
    ) -> Page:
        """A window of its own, ready to use.

        Args:
            who: First name, in lower case; None for the first screen.
            place: Whose room to open.
            base: Where the page is, if not at the bridge itself.
            options: Those of a browser context.
        """
        page = self.windows.open(self.address(who, place, base), **options)
        if who is not None:
            expect(connected(page)).to_be_attached()
        if place is not None:
            expect(composer(page)).to_be_visible()
        return page
