"""How the tests start Debian's Chromium."""

from __future__ import annotations

import os
import shutil

import pytest
from playwright.sync_api import Browser, Playwright

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
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None and not os.environ.get("CI"):
        pytest.skip("there is no chromium on this machine")
    return playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
