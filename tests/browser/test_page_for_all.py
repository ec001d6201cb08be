"""The real page for everybody: without a mouse, on a phone, for a screen reader; and hostile text.

Accessibility is checked with axe-core; what it calls serious or critical may not be there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PatienceError

from .accessibility import findings
from .cable import cable
from .chat_page import banner, composer, last_message, room_link, say, texts
from .matrix_friend import MatrixFriend
from .stage import Stage
from .windows import PHONE, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.synapse, pytest.mark.timeout(300)]

MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
SCRIPT_LINK = "javascript:document.title='owned'"
NARROW = {"width": 320, "height": 568}


def press_until(page: Page, key: str, target: Locator, most: int = 40) -> None:
    """Presses a key until the focus is where it should get."""
    for _ in range(most):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not lead to {target}")


def test_the_keyboard_is_enough(real: Stage) -> None:
    """From the first screen to a message that was sent, and out again, without a click."""
    place = real.demo.place("emi", "ben")
    page = real.window(None)
    press_until(page, "Tab", page.get_by_role("button", name="Emi Tanaka"))
    page.keyboard.press("Enter")
    expect(room_link(page, place.name)).to_be_visible()
    press_until(page, "Tab", page.locator('om-room-list a[tabindex="0"]'))
    press_until(page, "ArrowDown", room_link(page, place.name))
    page.keyboard.press("Enter")
    expect(composer(page)).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    expect(last_message(page).get_by_title("Sent")).to_be_visible()
    assert texts(page) == ["one\ntwo"]
    page.keyboard.press("Escape")
    expect(room_link(page, place.name)).to_be_focused()
    press_until(page, "Shift+Tab", page.get_by_role("button", name="Sign out"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Ben Okafor")).to_be_visible()


def test_a_screen_reader_hears_new_messages(real: Stage) -> None:
    """Those of others, once, also after the connection was lost; not the history."""
    place = real.demo.place("ann", "ben")
    real.demo.say("ben", place, "history")
    with cable(real.demo.base) as wire:
        ann = real.window("ann", place, wire.url)
        log = ann.get_by_role("log")
        expect(last_message(ann)).to_contain_text("history")
        expect(log).to_have_text("")
        real.demo.say("ben", place, "listen")
        expect(log).to_have_text("Ben Okafor: listen")
        wire.cut()
        expect(banner(ann).get_by_role("status")).to_have_text("Connection lost.")
        real.demo.say("ben", place, "again")
        again = banner(ann).get_by_role("button", name="Try now")
        expect(again).to_be_visible()
        wire.mend()
        with suppress(PatienceError):  # it may have come back by itself just before
            again.click(timeout=1000)
        expect(log.locator("p")).to_have_text(["Ben Okafor: listen", "Ben Okafor: again"])


def test_on_a_phone(real: Stage) -> None:
    """One view at a time, nothing wider than the glass."""
    long = "Donaudampfschifffahrtsgesellschaftskapitän" * 3
    place = real.demo.place("ann", "ben", name=f"A name without an end: {long}")
    real.demo.say("ben", place, long * 4)
    ann = real.window("ann", viewport=PHONE, has_touch=True, is_mobile=True)
    expect(composer(ann)).to_be_hidden()
    for size in (PHONE, NARROW):
        ann.set_viewport_size(size)  # type: ignore[arg-type]
        room_link(ann, place.name).tap()
        say(ann, f"from {size['width']} pixels")
        expect(last_message(ann)).to_contain_text(f"from {size['width']} pixels")
        expect(ann.get_by_role("navigation", name="Rooms")).to_be_hidden()
        assert ann.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert ann.locator(".timeline__scroller").evaluate("e => e.scrollWidth <= e.clientWidth")
        ann.get_by_role("button", name="Back to the rooms").tap()
        expect(room_link(ann, place.name)).to_be_focused()
        assert ann.evaluate("document.documentElement.scrollWidth") <= size["width"]
    room_link(ann, place.name).tap()
    expect(composer(ann)).to_be_visible()
    ann.go_back()
    expect(ann.get_by_role("navigation", name="Rooms")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [None, PHONE], ids=["wide", "phone"])
def test_nobody_is_kept_out(real: Stage, scheme: str, viewport: dict[str, int] | None) -> None:
    """First screen, list, room with all that can be in it, and the lost connection."""
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": viewport or WIDE}
    place = real.demo.place("ann", "ben", "carla")
    real.demo.say("ben", place, "See https://a.example/")
    first = real.window(None, **options)
    expect(first.get_by_role("button", name="Ann Larsen")).to_be_visible()
    assert findings(first) == []
    with cable(real.demo.base) as wire:
        ann = real.window("ann", None, wire.url, **options)
        expect(room_link(ann, place.name)).to_contain_text("unread")
        assert findings(ann) == []
        room_link(ann, place.name).click()
        say(ann, "mine")
        expect(last_message(ann).get_by_title("Sent")).to_be_visible()
        assert findings(ann) == []
        wire.cut()
        say(ann, "on its way")
        expect(ann.get_by_text("It is tried again.")).to_be_visible()
        expect(banner(ann)).to_be_visible()
        assert findings(ann) == []


@pytest.fixture
def hostile(mara: MatrixFriend) -> Callable[[str], None]:
    """Sends everything bad that a Matrix client may send to a room."""

    def send(room_id: str) -> None:
        mara.send(room_id, MARKUP)
        formatted = {"format": "org.matrix.custom.html", "formatted_body": MARKUP}
        mara.send_event(
            room_id, "m.room.message", {"msgtype": "m.text", "body": "plain", **formatted}
        )
        mara.send(room_id, f"{SCRIPT_LINK} data:text/html,{MARKUP} https://a.example/{MARKUP}")
        mara.send(room_id, "\u202eesrever https://b.example/\u202etxt.exe")
        mara.send(room_id, "")
        mara.send_event(room_id, "m.sticker", {"body": {"a": 1}, "url": [SCRIPT_LINK]})
        image = {"msgtype": "m.image", "body": MARKUP, "url": SCRIPT_LINK}
        mara.send_event(room_id, "m.room.message", image)
        mara.send_event(room_id, "org.example.strange", {"body": MARKUP})
        mara.send(room_id, "\U0001f600" * 5000)

    return send


def test_hostile_text_stays_text(
    real: Stage, mara: MatrixFriend, hostile: Callable[[str], None]
) -> None:
    """Shown as it is, in messages, names and the list; no script runs, no picture is fetched."""
    place = real.demo.place("ann", name=MARKUP, public=True)
    ann = real.window("ann", place)
    fetched: list[str] = []
    ann.on("request", lambda request: fetched.append(request.url))
    mara.join(place.alias)
    hostile(place.room_id)
    expect(last_message(ann)).to_contain_text("\U0001f600" * 5000)
    assert texts(ann)[:2] == [MARKUP, "plain"]
    assert "This message has no text." in texts(ann)
    sticker, picture = ann.locator(".card").all_inner_texts()
    assert sticker.startswith("Sticker")
    assert picture.startswith(MARKUP.replace("/", "_"))
    expect(ann.get_by_role("heading", name=MARKUP)).to_be_visible()
    expect(room_link(ann, MARKUP)).to_be_visible()
    links = ann.locator(".message__text a")
    hrefs = links.evaluate_all("links => links.map(link => link.href)")
    # What turned the writing direction is gone: the address is what one reads.
    assert hrefs == ["https://a.example/", "https://b.example/txt.exe"]
    assert ann.locator("om-timeline img, om-timeline script").count() == 0
    assert "owned" not in ann.title().replace(MARKUP, "")
    assert not [url for url in fetched if "/api/" not in url]
    assert ann.evaluate("document.documentElement.scrollWidth <= innerWidth")
    say(ann, "still here")
    expect(last_message(ann).get_by_title("Sent")).to_be_visible()
