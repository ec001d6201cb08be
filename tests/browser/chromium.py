"""How the tests start Debian's Chromium."""

from __future__ import annotations

import os
import shutil

import pytest
from playwright.sync_api import Browser, Playwright

VARIABLE = "OPENMEET_BRIDGE_CHROMIUM"
"""Names a Chromium that is elsewhere than in the path."""

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def launch(playwright: Playwright) -> Browser:
    """Starts the Chromium of the machine; without one the test is skipped, in CI it fails."""
    found = executable()
    if found is None:
        reason = f"there is no chromium: install it, or name yours in {VARIABLE}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return playwright.chromium.launch(executable_path=found, args=ARGUMENTS)


def executable() -> str | None:
    """Where Chromium is, if anywhere."""
    return os.environ.get(VARIABLE) or shutil.which("chromium")
