"""Everything that can be said and done in a room, on the page, against the fake server."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.accessibility import findings
from tests.browser.chat_page import composer, room_link, say, texts
from tests.browser.fake_stage import FakeStage, fake_stage
from tests.browser.windows import PHONE

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stage(browser: Browser) -> Iterator[FakeStage]:
    """One server for all; each test uses a room of its own, or other messages of it."""
    with fake_stage(browser) as made:
        yield made


def message(page: Page, words: str) -> Locator:
    """The row of a message that has exactly these words."""
    text = page.locator(".message__text").get_by_text(words, exact=True)
    return page.locator(".message").filter(has=text)


def test_all_that_a_room_can_hold(stage: FakeStage) -> None:
    """Each kind is readable; quotes, threads, edits, deletions and reactions say what they are."""
    page = stage.window("ann", "show")
    words = page.locator(".timeline__list").inner_text()
    for part in ("mill.jpg", "Picture · 482 kB · 1600", "route.gpx", "bell.ogg", "0:04"):
        assert part in words, part
    for part in ("The route was updated.", "Mia started a call", "encrypted", "Nine", "bicycle"):
        assert part in words, part
    expect(page.get_by_text("Ann Lindqvist deleted this message: “asked for”")).to_be_visible()
    expect(page.locator(".message--emote")).to_contain_text("Chiara Moretti waves")
    assert page.locator(".rich strong").inner_text() == "bright"
    place = page.get_by_role("link", name=re.compile("on a map"))
    assert str(place.get_attribute("href")).startswith("https://www.openstreetmap.org/?mlat=52.1")
    expect(page.get_by_role("button", name=re.compile("^In a thread: Ben Okafor"))).to_be_visible()
    expect(message(page, "Ann, do you come?")).to_have_class(re.compile("message--calls-me"))
    expect(page.get_by_text("cannot be shown here")).to_be_visible()
    page.get_by_role("button", name=re.compile("^In reply to Ben Okafor: Wear")).click()
    first = page.locator(".message").first
    expect(first).to_be_focused()
    own = first.get_by_role("button", name="👍 2: Ann Lindqvist and Chiara Moretti")
    expect(own).to_have_attribute("aria-pressed", "true")
    own.hover()
    expect(own.locator(".tip")).to_be_visible()
    page.get_by_role("button", name="edited").click()
    expect(page.get_by_role("dialog", name="Earlier versions")).to_contain_text("At nin")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_one_does_with_a_message(stage: FakeStage) -> None:
    """Reply, edit, react and delete by the keyboard alone; the other one sees each of them."""
    ann, ben = stage.window("ann", "ann-ben"), stage.window("ben", "ann-ben")
    say(ben, "Shall we ride?")
    row = message(ann, "Shall we ride?")
    expect(row).to_be_visible()
    composer(ann).press("Shift+Tab")
    ann.keyboard.press("End")
    expect(row).to_be_focused()
    ann.keyboard.press("r")
    expect(ann.get_by_text("Replying to Ben Okafor")).to_be_visible()
    say(ann, "Yes, **now**")
    answer = ben.locator(".message").last
    expect(answer.get_by_role("button", name=re.compile("In reply to Ben Okafor"))).to_be_visible()
    expect(answer.locator("strong")).to_have_text("now")
    expect(ann.locator(".message--mine").last.get_by_title("Sent")).to_be_visible()
    composer(ann).press("ArrowUp")
    expect(ann.get_by_text("Editing your message")).to_be_visible()
    ann.keyboard.press("Escape")
    expect(composer(ann)).to_have_value("")
    composer(ann).press("ArrowUp")
    say(ann, "Yes, at noon")
    expect(answer).to_contain_text("at noon")
    expect(answer.get_by_role("button", name="edited")).to_be_visible()

    row.focus()
    ann.keyboard.press("+")
    ann.keyboard.press("ArrowRight")
    ann.keyboard.press("Enter")
    heart = ben.get_by_role("button", name=re.compile("❤️ 1: Ann Lindqvist"))
    heart.click()
    expect(row.get_by_role("button", name=re.compile("❤️ 2"))).to_be_visible()
    row.focus()
    ann.keyboard.press("Enter")
    ann.keyboard.press("Escape")
    expect(row).to_be_focused()
    ann.keyboard.press("Enter")
    ann.get_by_role("menuitem", name="Delete").click()
    ann.get_by_label("Reason").fill("too early")
    ann.keyboard.press("Enter")
    expect(ben.get_by_text("Ann Lindqvist deleted this message: “too early”")).to_be_visible()
    expect(ann.get_by_role("log")).to_have_text("Ben Okafor: Shall we ride?")


def test_names_and_marks_while_writing(stage: FakeStage) -> None:
    """A few letters offer people; keys make words bold; the reader is told that they are meant."""
    ann = stage.window("ann", "dawn-ride")
    field = composer(ann)
    field.press_sequentially("Hello @mor")
    expect(ann.get_by_role("option", name="Chiara Moretti")).to_be_visible()
    field.press("Enter")
    expect(field).to_have_value("Hello @Chiara Moretti ")
    field.press("Control+b")
    field.press_sequentially("again")
    field.press("End")
    field.press("Enter")
    chi = stage.window("chi", "dawn-ride")
    expect(chi.locator(".message").last).to_have_class(re.compile("message--calls-me"))
    expect(chi.locator(".message").last.locator("strong")).to_have_text("again")
    expect(room_link(ann, "Dawn ride to the lighthouse")).to_contain_text("You: Hello")


def test_a_spoiler_stays_open_while_the_row_changes(stage: FakeStage) -> None:
    """Hidden until it is asked for; a reaction to the message does not close it again."""
    page = stage.window("eli", "repair")
    html = 'It ends <span data-mx-spoiler="sad">badly</span>.'
    entry = {"kind": "text", "text": "It ends", "html": html}
    said = stage.control("entry", room_id="!repair", slug="ben", **entry)
    badly = page.get_by_text("badly", exact=True)
    expect(page.get_by_role("button", name="Spoiler: sad")).to_be_visible()
    expect(badly).to_be_hidden()
    page.get_by_role("button", name="Spoiler: sad").press("Enter")
    expect(badly).to_be_visible()
    told = {"room_id": "!repair", "event_id": said["event_id"]}
    stage.control("react", slug="ann", key="😢", **told)
    expect(page.get_by_role("button", name=re.compile("😢 1: Ann"))).to_be_visible()
    expect(badly).to_be_visible()
    expect(page.get_by_role("button", name="Spoiler: sad")).to_be_focused()


def test_ways_through_a_long_room(stage: FakeStage) -> None:
    """To a message that is not loaded, to a date, and back to the newest; newer ones follow on."""
    page = stage.window("ann", "repair")
    first = stage.control("bodies", room_id="!repair")[0]
    oldest = page.evaluate(
        """async () => {
            const answer = await fetch('api/v1/rooms/!repair/timeline?at=0&limit=20');
            return (await answer.json()).entries.find((one) => one.kind === 'text').event_id;
        }"""
    )
    reply = {"reply_to": {"event_id": oldest}, "kind": "text", "text": "As I said first"}
    stage.control("entry", room_id="!repair", slug="eli", **reply)
    page.get_by_role("button", name=re.compile("^In reply to Ben Okafor: Message 0")).click()
    expect(message(page, first)).to_be_focused()
    expect(page.get_by_role("button", name=re.compile("new$|Newest"))).to_be_visible()
    scroller = page.locator(".timeline__scroller")
    before = len(texts(page))
    scroller.evaluate("e => { e.scrollTop = e.scrollHeight }")
    expect(page.locator(".message").nth(before)).to_be_attached()
    page.get_by_role("button", name=re.compile("new$|Newest")).click()
    expect(message(page, "As I said first")).to_be_in_viewport()
    page.get_by_role("button", name="More about this room").click()
    page.get_by_role("menuitem", name="Go to a date").click()
    page.get_by_label("Go to the messages of").fill("2020-02-02")
    page.keyboard.press("Enter")
    expect(message(page, first)).to_be_in_viewport()


def test_who_is_here_and_who_has_read(stage: FakeStage) -> None:
    """Dots on people, names of readers, and the switches that hide oneself."""
    page = stage.window("dev", "sunday")
    stage.control("be", slug="chi", state="idle")
    page.get_by_role("button", name="People").click()
    people = page.get_by_role("dialog", name="People in this room")
    expect(people.get_by_text("Chiara Moretti")).to_be_visible()
    expect(people.locator(".dot--idle")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="People")).to_be_focused()
    page.get_by_role("button", name=re.compile("^Read by .*Ben")).last.click()
    expect(page.get_by_role("dialog", name="Read by")).to_contain_text("Ben Okafor")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Your privacy").click()
    page.get_by_role("switch", name="Show what I have read").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert "PUT /api/v1/me/preferences" in stage.control("calls")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="More about this room").click()
    page.get_by_role("menuitem", name="Mark as unread").click()
    expect(room_link(page, "Sunday Cyclists")).to_contain_text("Marked unread")


def test_a_refused_edit_can_be_repeated(stage: FakeStage) -> None:
    """The old words stay, with the reason; retry saves it, discard forgets it."""
    page = stage.window("eli", "sunday")
    say(page, "frist")
    expect(page.locator(".message--mine").last.get_by_title("Sent")).to_be_visible()
    for again in (False, True):
        composer(page).press("ArrowUp")
        stage.control("fail_send", status=403, errcode="M_FORBIDDEN", message="You are muted.")
        say(page, "first")
        expect(page.get_by_text("The edit was not saved. You are muted.")).to_be_visible()
        assert texts(page)[-1] == "frist"
        if not again:
            page.get_by_role("button", name="Discard").click()
            expect(page.get_by_text("The edit was not saved.")).to_have_count(0)
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".message__text").last).to_have_text("first")
    expect(page.get_by_text("The edit was not saved.")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(stage: FakeStage, scheme: str) -> None:
    """Menus, pickers, modes and failures, for whoever uses them in whatever way."""
    phone = scheme == "dark"
    size = {"viewport": PHONE} if phone else {}
    page = stage.window("ann", "show", color_scheme=scheme, **size)
    stage.control("fail_send", status=403, errcode="M_FORBIDDEN", message="You are muted.")
    say(page, "refused")
    expect(page.get_by_text("Not sent. You are muted.")).to_be_visible()
    row = page.locator(".message").first
    row.focus()
    row.hover()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menu")).to_be_visible()
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("+" if phone else "Delete")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert findings(page) == []
    page.keyboard.press("Escape")
    row.focus()
    page.keyboard.press("r")
    composer(page).press_sequentially("@chi")
    expect(page.get_by_role("option")).to_have_count(1)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
