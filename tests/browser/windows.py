"""Windows of several people, in which no script may fail."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


class Windows:
    """Opens windows, each with a cookie store of its own.

    Attributes:
        problems: Errors of scripts and violations of the content policy so far.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.problems: list[str] = []

    def open(self, address: str, *, websockets: bool = True, **options: Any) -> Page:
        """Opens a new window.

        Args:
            address: What it shows.
            websockets: False where something on the way does not let them through.
            options: Those of a browser context.
        """
        context = self._browser.new_context(
            **{"viewport": WIDE, "locale": "en-GB", "reduced_motion": "reduce", **options}
        )
        context.set_default_timeout(30_000)
        self._contexts.append(context)
        if not websockets:
            context.route_web_socket("**/*", lambda socket: socket.close())
        return self.beside(context, address)

    def beside(self, context: BrowserContext, address: str) -> Page:
        """One more tab of a window."""
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("dialog", lambda dialog: self._refuse(dialog))
        page.goto(address)
        return page

    def _refuse(self, dialog: Any) -> None:
        if dialog.type != "beforeunload":
            self.problems.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _hear(self, kind: str, text: str) -> None:
        # Refused requests are a part of some tests; a violated policy is never.
        if kind == "error" and "Failed to load resource" not in text and "WebSocket" not in text:
            self.problems.append(text)

    def close(self) -> None:
        """Closes all of them."""
        for context in self._contexts:
            context.close()
