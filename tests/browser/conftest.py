"""A browser for each module, and one demonstration for all tests of the real page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from .chromium import launch
from .demo import Demo, running_demo
from .matrix_friend import MatrixFriend, matrix_friend
from .stage import Stage
from .windows import Windows

# A browser, Synapse, PostgreSQL and the bridge may share one slow machine.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a module.

    No longer than that: while it lives, no asynchronous test can run in this thread.
    """
    with sync_playwright() as playwright:
        found = launch(playwright)
        yield found
        found.close()


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The running demonstration; after the last test it must end well."""
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture
def real(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """The demonstration and windows on it; at the end no script may have failed."""
    windows = Windows(browser)
    yield Stage(demo, windows)
    windows.close()
    assert windows.problems == []


@pytest.fixture(scope="module")
def mara(demo: Demo) -> Iterator[MatrixFriend]:
    """Somebody who is not on OpenMeet."""
    with matrix_friend(demo.homeserver, *demo.matrix_user) as friend:
        yield friend
