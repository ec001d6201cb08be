"""The page in a real browser, against the fake server: what a person sees, does and hears."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Browser, expect
from playwright.sync_api import TimeoutError as PatienceError

from tests.browser.chat_page import (
    at_end,
    composer,
    draft_is_kept,
    room_link,
    say,
    scroll_back_to,
    texts,
)
from tests.browser.fake_stage import FakeStage, fake_stage
from tests.browser.windows import PHONE

pytestmark = pytest.mark.browser


@pytest.fixture
def stage(browser: Browser) -> Iterator[FakeStage]:
    """A fresh server, and windows on it."""
    with fake_stage(browser) as made:
        yield made


def test_two_people_talk(stage: FakeStage) -> None:
    """Choosing a user by click, writing, seeing it arrive, typing and read marks."""
    ann = stage.window(None)
    ann.get_by_role("button", name="Ann Lindqvist").click()
    room_link(ann, "Ben Okafor").click()
    ben = stage.window("ben", "ann-ben")

    composer(ann).press_sequentially("Hi B")
    expect(ben.get_by_text("Ann Lindqvist is typing")).to_be_visible()
    say(ann, "Hi Ben!\nSee https://a.example/x.")
    expect(ben.locator(".message").last).to_contain_text("Hi Ben!")
    expect(ben.get_by_text("Ann Lindqvist is typing")).to_be_hidden()
    link = ben.get_by_role("link", name="https://a.example/x", exact=True)
    assert link.get_attribute("rel") == "noopener noreferrer nofollow"
    expect(ann.locator(".message").last.get_by_title("Read by Ben Okafor")).to_be_visible()
    say(ben, "Hello Ann")
    expect(ann.locator(".message").last).to_contain_text("Hello Ann")
    assert texts(ann)[-2:] == texts(ben)[-2:]


def test_no_token_is_kept_or_shown(stage: FakeStage) -> None:
    """Not in an address, not in a storage; a reload still knows who we are."""
    page = stage.window("ann", "sunday")
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "jwt" not in stored
    page.reload()
    expect(page.locator(".message").last).to_be_visible()
    assert page.evaluate("document.cookie") == ""
    say(page, "by the cookie")
    expect(page.get_by_title("Sent").last).to_be_visible()
    assert not [call for call in stage.control("calls") if "jwt" in call]


def test_two_users_in_one_browser(stage: FakeStage) -> None:
    """The cookie is shared by tabs; neither of them may speak as the other."""
    ann = stage.window("ann", "ann-ben")
    ben = ann.context.new_page()
    ben.goto(f"{stage.base}/#user=cyclists/ben&room=%21ann-ben")
    expect(ben.locator(".message").last).to_be_visible()
    for page, words in ((ann, "I am Ann"), (ben, "I am Ben")):
        say(page, words)
        expect(page.locator(".message--mine").last).to_contain_text(words)
    ann.reload()
    say(ann, "still Ann")
    expect(ben.locator(".message--theirs").last).to_contain_text("still Ann")


def test_signing_out_leaves_nothing(stage: FakeStage) -> None:
    """After signing out a reload asks who one is."""
    page = stage.window("ann", "sunday")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Ben Okafor")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Ben Okafor")).to_be_visible()


def test_without_a_demo_a_token_is_asked_for(stage: FakeStage) -> None:
    """A wrong one is refused with its reason, a right one opens the chat."""
    stage.control("set", demo=False)
    page = stage.window(None)
    page.get_by_label("Access token").fill("nonsense")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This token is not known.")
    page.get_by_label("Access token").fill("jwt-dev")
    page.get_by_label("Community").fill("cyclists")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Dev Patel", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_text("Dev Patel", exact=True)).to_be_visible()


def test_unread_counts_line_and_title(stage: FakeStage) -> None:
    """Counted while elsewhere, marked by a line, and gone once it was seen."""
    page = stage.window("ann", "ann-ben")
    expect(page).to_have_title("(4) Ben Okafor · OpenMeet chat")
    stage.control("say", room_id="!dawn-ride", slug="chi", body="Coffee too!")
    expect(page).to_have_title("(5) Ben Okafor · OpenMeet chat")
    link = room_link(page, "Dawn ride to the lighthouse")
    expect(link).to_contain_text("3 unread")
    link.click()
    expect(page.get_by_text("New messages", exact=True)).to_be_visible()
    expect(link).not_to_contain_text("unread")
    expect(page).to_have_title("(2) Dawn ride to the lighthouse · OpenMeet chat")


def test_a_room_that_moves_keeps_the_focus(stage: FakeStage) -> None:
    """What is said in it brings it to the top, with whoever is there by keyboard."""
    page = stage.window("ann")
    link = room_link(page, "Announcements")
    link.focus()
    stage.control("say", room_id="!news", slug="dev", body="Open again!")
    groups = page.get_by_role("list", name="Groups").get_by_role("link")
    expect(groups.first).to_contain_text("Open again!")
    expect(link).to_be_focused()
    stage.control("say", room_id="!sunday", slug="dev", body="Sun!")
    expect(groups.nth(1)).to_contain_text("Open again!")
    expect(link).to_be_focused()


def test_older_messages_come_without_a_jump(stage: FakeStage) -> None:
    """The row in view stays where it is; the pill leads back."""
    page = stage.window("ann", "repair")
    scroller = page.locator(".timeline__scroller")
    row = page.locator(".message").first
    key = row.get_attribute("data-key")
    scroller.evaluate("e => { e.scrollTop = 100 }")
    before = page.locator(f'[data-key="{key}"]').bounding_box()
    expect(page.get_by_text("Message 70:").first).to_be_attached()
    after = page.locator(f'[data-key="{key}"]').bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2
    stage.control("say", room_id="!repair", slug="ben", body="down here")
    page.get_by_role("button", name="1 new").click()
    expect(page.locator(".message__text").last).to_have_text("down here")
    expect(page.locator(".message").last).to_be_in_viewport()
    assert at_end(page)


def test_all_of_a_long_history_can_be_read(stage: FakeStage) -> None:
    """Page by page to the very first message, each of them once."""
    page = stage.window("ann", "repair")
    scroll_back_to(page, "Message 0:")
    numbers = [text.split(":")[0] for text in texts(page)]
    assert numbers == [f"Message {number}" for number in range(160)]
    expect(page.get_by_role("button", name="Load older")).to_be_hidden()


def test_a_lost_connection_is_said_and_made_good(stage: FakeStage) -> None:
    """Banner, writing meanwhile, and afterwards each message once."""
    page = stage.window("ann", "ann-ben")
    stage.control("set", refuse_streams=True)
    stage.control("drop")
    banner = page.locator("om-connection")
    expect(banner).to_contain_text("Connection lost.")
    expect(banner).to_contain_text(re.compile(r"Next try in \d+ s"))
    stage.control("say", room_id="!ann-ben", slug="ben", body="while you were away")
    stage.control("fail_send", status=503, errcode="ORG_OPENMEET_UNAVAILABLE", message="Away.")
    say(page, "written meanwhile")
    expect(page.get_by_text("It is tried again.")).to_be_visible()
    stage.control("set", refuse_streams=False)
    # It may come back by itself just now: then there is nothing to click any more.
    with suppress(PatienceError):
        banner.get_by_role("button", name="Try now").click(timeout=3000)
    expect(banner).to_be_hidden()
    expect(page.locator(".message--mine").last.get_by_title("Sent")).to_be_visible()
    assert texts(page)[-2:] == ["while you were away", "written meanwhile"]
    assert stage.control("bodies", room_id="!ann-ben").count("written meanwhile") == 1


def test_server_sent_events_where_websockets_are_blocked(stage: FakeStage) -> None:
    """The fallback is live as well."""
    stage.control("set", refuse_ws=True)
    page = stage.window("ann", "ann-ben")
    stage.control("say", room_id="!ann-ben", slug="ben", body="over events")
    expect(page.get_by_text("over events").last).to_be_visible()
    assert [call for call in stage.control("calls") if "/api/v1/stream?" in call]


def test_a_silent_connection_is_noticed(stage: FakeStage) -> None:
    """Open, but nothing comes: the page says so instead of pretending."""
    stage.control("set", heartbeat_ms=1000)
    page = stage.window("ann", "ann-ben")
    stage.control("set", silent=True, refuse_streams=True)
    expect(page.locator("om-connection")).to_contain_text("Connection lost.")


def test_an_ended_session_is_said(stage: FakeStage) -> None:
    """No endless reconnecting when the server will not have us."""
    page = stage.window("ann", "ann-ben")
    bye = {"type": "bye", "data": {"reason": "too_many_streams", "reconnect": False}}
    stage.control("frame", slug="ann", frame=bye)
    banner = page.locator("om-connection")
    expect(banner).to_contain_text("open in too many places")
    banner.get_by_role("button", name="Sign in again").click()
    expect(page.get_by_role("button", name="Ben Okafor")).to_be_visible()


def test_a_refused_message_keeps_its_reason_and_words(stage: FakeStage) -> None:
    """Retry sends it, discard forgets it."""
    page = stage.window("ann", "ann-ben")
    for count, words in enumerate(("first", "second"), start=1):
        stage.control("fail_send", status=403, errcode="M_FORBIDDEN", message="You are muted.")
        say(page, words)
        expect(page.get_by_text("Not sent. You are muted.")).to_have_count(count)
    page.get_by_role("button", name="Discard").last.click()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("Not sent.")).to_have_count(0)
    expect(page.locator(".message--mine").last.get_by_title("Sent")).to_be_visible()
    assert texts(page)[-1] == "first"
    assert stage.control("bodies", room_id="!ann-ben")[-1] == "first"


def test_unsent_words_outlast_a_reload(stage: FakeStage) -> None:
    """The browser keeps what the server does not have yet, and sends it once, in order."""
    page = stage.window("ann", "ann-ben")
    stage.control("fail_send", status=503, errcode="X", message="Away.", times=1)
    say(page, "not lost")
    expect(page.get_by_text("It is tried again.")).to_be_visible()
    say(page, "after it")
    composer(page).fill("half a thought")
    draft_is_kept(page, "half a thought")
    page.reload()
    expect(page.locator(".message--mine").last.get_by_title("Sent")).to_be_visible()
    expect(page.get_by_text("It is tried again.")).to_be_hidden()
    expect(composer(page)).to_have_value("half a thought")
    assert texts(page)[-2:] == ["not lost", "after it"]
    assert stage.control("bodies", room_id="!ann-ben")[-2:] == ["not lost", "after it"]


def test_reset_begins_anew(stage: FakeStage) -> None:
    """The same messages, each once."""
    page = stage.window("ann", "sunday")
    before = texts(page)
    stage.control("reset")
    stage.control("say", room_id="!sunday", slug="ben", body="after it")
    expect(page.locator(".message").last).to_contain_text("after it")
    assert texts(page) == [*before, "after it"]


def test_hostile_text_stays_text(stage: FakeStage) -> None:
    """Markup in names, texts and lines is shown, not run; nothing breaks the layout of others."""
    evil = "<img src=x onerror=\"document.title='owned'\"><script>1</script>"
    page = stage.window("ann", "sunday")
    stage.control("say", room_id="!sunday", slug="ben", body=evil)
    expect(page.locator(".message__text").last).to_have_text(evil)
    topic = {"type": "m.room.topic", "kind": "room", "state_key": "", "text": f"Topic: {evil}"}
    stage.control("entry", room_id="!sunday", slug="ben", **topic)
    expect(page.locator(".system").last).to_contain_text("<script>")
    before = page.locator(".message").last.bounding_box()
    for body in (
        "\u202eabc " + "x" * 5000,
        "z" + "\u0301\u0316\u0489" * 3000,
        "\U0001f600" * 10_000,
        "\n" * 3000 + "end",
    ):
        said = stage.control("say", room_id="!sunday", slug="ben", body=body)
        stage.control(
            "react", room_id="!sunday", event_id=said["event_id"], slug="chi", key=body[:60]
        )
    stage.control("say", room_id="!sunday", slug="ben", body="the end")
    expect(page.locator(".message__text").last).to_have_text("the end")
    after = page.locator(".message").last.bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] == before["width"]
    assert page.locator(".message__bubble").evaluate_all(
        "all => all.every(one => one.getBoundingClientRect().height < 600)"
    )
    assert page.locator(".timeline__scroller").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert page.locator(".message__text img").count() == 0


def test_a_screen_reader_hears_new_messages_once(stage: FakeStage) -> None:
    """Not the history, not one's own, not the same one twice."""
    page = stage.window("ann", "ann-ben")
    log = page.get_by_role("log")
    expect(log).to_have_text("")
    said = stage.control("say", room_id="!ann-ben", slug="ben", body="listen")
    expect(log).to_have_text("Ben Okafor: listen")
    stage.control("frame", slug="ann", frame={"type": "timeline", "data": said})
    say(page, "mine")
    expect(page.locator(".message").last).to_contain_text("mine")
    stage.control("reset")
    page.wait_for_timeout(300)
    expect(log).to_have_text("Ben Okafor: listen")


def test_the_keyboard_is_enough(stage: FakeStage) -> None:
    """Roving rooms, Enter opens, Escape leads back, the skip link leads to the composer."""
    page = stage.window("ann")
    room_link(page, "Sunday Cyclists").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    expect(room_link(page, "Ben Okafor")).to_be_focused()
    assert page.locator('om-room-list a[tabindex="0"]').count() == 1
    page.keyboard.press("Enter")
    expect(composer(page)).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    expect(page.locator(".message__text").last).to_have_text(re.compile(r"one\s*two"))
    page.keyboard.press("Escape")
    expect(room_link(page, "Ben Okafor")).to_be_focused()
    page.reload()
    expect(page.locator(".message").last).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the messages")).to_be_focused()
    page.keyboard.press("Enter")
    expect(composer(page)).to_be_focused()
    assert "room=" in page.url


def test_a_phone_shows_one_view_at_a_time(stage: FakeStage) -> None:
    """List, room, back; also by the browser's own back button."""
    page = stage.window("ann", viewport=PHONE, has_touch=True, is_mobile=True)
    expect(composer(page)).to_be_hidden()
    room_link(page, "Ben Okafor").tap()
    expect(composer(page)).to_be_visible()
    expect(page.get_by_role("navigation", name="Rooms")).to_be_hidden()
    page.get_by_role("button", name="Back to the rooms").tap()
    expect(room_link(page, "Ben Okafor")).to_be_focused()
    room_link(page, "Sunday Cyclists").tap()
    expect(composer(page)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("navigation", name="Rooms")).to_be_visible()
    page.set_viewport_size({"width": 320, "height": 560})
    room_link(page, "Sunday Cyclists").tap()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_room_one_may_only_read(stage: FakeStage) -> None:
    """It says so instead of offering a field."""
    page = stage.window("ann", "news")
    expect(page.get_by_text("You can read this room, but not write in it.")).to_be_visible()
    expect(composer(page)).to_have_count(0)


def test_drafts_and_length(stage: FakeStage) -> None:
    """A draft stays with its room; too long a message is not sent."""
    page = stage.window("ann", "ann-ben")
    composer(page).fill("half a thought")
    room_link(page, "Sunday Cyclists").click()
    expect(composer(page)).to_have_value("")
    room_link(page, "Ben Okafor").click()
    expect(composer(page)).to_have_value("half a thought")
    composer(page).fill("ä" * 16_385)
    expect(page.get_by_role("alert")).to_contain_text("too long by 2 bytes")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()


def test_put_out_of_a_room(stage: FakeStage) -> None:
    """The room closes with a word about it."""
    page = stage.window("ann", "ann-ben")
    data = {"room_id": "!ann-ben", "reason": "removed"}
    stage.control("frame", slug="ann", frame={"type": "room.removed", "data": data})
    expect(page.get_by_text("You are no longer in Ben Okafor.")).to_be_visible()
    expect(room_link(page, "Ben Okafor")).to_have_count(0)
