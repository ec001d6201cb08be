"""Takes the pictures of the chat page, on a running demonstration: `make screenshot`.

The fonts are those of the machine. The pictures in the repository were taken with Debian's
packages fonts-noto-core and fonts-noto-color-emoji.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.chat_page import composer, room_link, say, see
from tests.browser.chromium import launch
from tests.browser.demo import Demo, running_demo
from tests.browser.matrix_friend import MatrixFriend, matrix_friend
from tests.browser.stage import Stage
from tests.browser.windows import PHONE, WIDE, Windows

ROOM = "Sunday Hikers"
WELCOME = "Welcome, Mara! Nine at the boathouse. Do you need a lift?"
LAST = "That would be lovely. I live next to the library."
TYPED = "Great, then you"

PICTURES: dict[str, dict[str, Any]] = {
    "chat.png": {"viewport": WIDE},
    "chat-dark.png": {"viewport": WIDE, "color_scheme": "dark"},
    "chat-phone.png": {"viewport": PHONE, "device_scale_factor": 2, "is_mobile": True},
}


@contextmanager
def scene() -> Iterator[tuple[Stage, MatrixFriend]]:
    """The demonstration, a browser, and Mara with her Matrix client."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_demo(Path(folder)) as demo,
        matrix_friend(demo.homeserver, *demo.matrix_user) as mara,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright)
        windows = Windows(browser)
        yield Stage(demo, windows), mara
        windows.close()
        browser.close()


def talk(stage: Stage, mara: MatrixFriend) -> Page:
    """A few words between Ann, Ben and Mara; returns Ben's window, where he is about to write."""
    ann, ben = stage.window("ann"), stage.window("ben")
    room_id = room_id_of(stage.demo, "ben", ROOM)
    room_link(ben, ROOM).click()
    for name in ("Strategy night", "Ben Okafor", ROOM):
        room_link(ann, name).click()
        expect(room_link(ann, name)).not_to_contain_text("unread")
    mara.send(room_id, "Hello from Element! Is there room for one more?")
    say(ben, "Always. You do not even need an account here 🙂")
    see(ann, "Always. You do not even need an account here 🙂")
    say(ann, WELCOME)
    see(ben, WELCOME)
    said = mara.wait_for(room_id, WELCOME)
    mara.read(room_id, said.event_id)
    mara.send(room_id, LAST)
    see(ann, LAST)
    return ben


def room_id_of(demo: Demo, who: str, name: str) -> str:
    """The id of one of somebody's rooms."""
    rooms = demo.api(who, "GET", "rooms")["rooms"]
    return str(next(room["room_id"] for room in rooms if room["name"] == name))


def take(stage: Stage, ben: Page, options: dict[str, Any], file: Path) -> None:
    """Takes one picture of Ann's window while Ben types."""
    ann = stage.window("ann", **options)
    room_link(ann, ROOM).click()
    see(ann, LAST)
    composer(ben).fill("")
    composer(ben).press_sequentially(TYPED)
    expect(ann.get_by_text("Ben Okafor is typing")).to_be_visible()
    expect(ann.get_by_title("Read by")).not_to_have_count(0)
    ann.screenshot(path=file)
    ann.close()


def main() -> None:
    """Writes the pictures into the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with scene() as (stage, mara):
        ben = talk(stage, mara)
        for name, options in PICTURES.items():
            take(stage, ben, options, folder / name)


if __name__ == "__main__":
    main()
