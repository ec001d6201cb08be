"""What a person finds on the chat page."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect


def composer(page: Page) -> Locator:
    """Where one writes."""
    return page.get_by_role("textbox", name=re.compile("^Message to"))


def say(page: Page, words: str) -> None:
    """Writes and sends."""
    composer(page).fill(words)
    composer(page).press("Enter")


def room_link(page: Page, name: str) -> Locator:
    """A room in the list, by its exact name."""
    exact = page.locator(".room__name").get_by_text(name, exact=True)
    return page.locator("om-room-list a").filter(has=exact)


def last_message(page: Page) -> Locator:
    """The newest message in the open room."""
    return page.locator(".message").last


def texts(page: Page) -> list[str]:
    """What is on the timeline."""
    return page.locator(".message__text").all_inner_texts()


def at_end(page: Page) -> bool:
    """Whether the newest message is in view."""
    script = "e => e.scrollHeight - e.scrollTop - e.clientHeight < 48"
    return bool(page.locator(".timeline__scroller").evaluate(script))


def scroll_back_to(page: Page, words: str) -> None:
    """Goes up in the history, a page at a time, to the message that begins with these words."""
    page.wait_for_function(
        """words => {
            const scroller = document.querySelector('.timeline__scroller');
            scroller.scrollTop = scroller.scrollTop ? 0 : 1;
            return [...document.querySelectorAll('.message__text')]
                .some((one) => one.textContent.startsWith(words));
        }""",
        arg=words,
        polling=50,
    )


def see(page: Page, words: str) -> None:
    """Waits for a message; it may not be there twice."""
    expect(page.locator(".message__text").get_by_text(words, exact=True)).to_have_count(1)


def see_own(page: Page, words: str) -> None:
    """Waits for an own message to be known as sent."""
    mine = page.locator(".message--mine").filter(has=page.get_by_text(words, exact=True))
    expect(mine.get_by_title("Sent")).to_have_count(1)


def banner(page: Page) -> Locator:
    """What says that the connection is not as it should be."""
    return page.locator("om-connection")


def connected(page: Page) -> Locator:
    """The sign that everything comes in live."""
    return page.get_by_title("Connected", exact=True)


_HAS_DRAFT = """async (words) => {
    const done = (request) => new Promise((found) => {
        request.onsuccess = () => found(request.result);
    });
    for (const { name } of await indexedDB.databases()) {
        const database = await done(indexedDB.open(name));
        const store = database.transaction('drafts').objectStore('drafts');
        const drafts = await done(store.getAll());
        database.close();
        if (drafts.some((draft) => draft.text === words)) return true;
    }
    return false;
}"""


def draft_is_kept(page: Page, words: str) -> None:
    """Waits until the browser has what is being written; a page that goes at once may lose it."""
    page.wait_for_function(_HAS_DRAFT, arg=words)
