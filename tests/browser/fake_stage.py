"""The page in front of the fake server, which a test drives."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.browser.chat_page import connected
from tests.browser.windows import Windows
from tests.web.fake_server import running


class FakeStage:
    """A fake server, and windows of several people. Make one with :func:`fake_stage`.

    Attributes:
        base: The address of the server.
    """

    def __init__(self, base: str, windows: Windows) -> None:
        self.base = base
        self._windows = windows

    def control(self, name: str, **arguments: Any) -> Any:
        """Pulls a string of the fake server."""
        data = json.dumps(arguments).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.base}/control/{name}", data=data, headers=headers
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def window(self, slug: str | None, room: str | None = None, **options: Any) -> Page:
        """A window of its own, as that user, with that room open."""
        user = f"user=cyclists/{slug}" if slug else ""
        place = f"&room=%21{room}" if room else ""
        page = self._windows.open(f"{self.base}/#{user}{place}", **options)
        if slug:
            expect(connected(page)).to_be_attached()
        if room:
            expect(page.locator(".message").last).to_be_visible()
        return page


@contextmanager
def fake_stage(browser: Browser) -> Iterator[FakeStage]:
    """A fresh server; at the end no script may have failed."""
    windows = Windows(browser)
    with running() as base:
        yield FakeStage(base, windows)
        windows.close()
    assert windows.problems == []
