"""Attacks on the two fences around formatted messages, in a Chromium without a content policy.

The page's policy would stop a script even where a fence let it through. Here it is off, so a hole
in a fence shows itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from openmeet_bridge.core.html import for_page
from tests.browser.windows import Windows
from tests.web.fake_server import running

pytestmark = pytest.mark.browser

CORPUS: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "data" / "hostile_html.json").read_text()
)

SHOW = """async (messages) => {
    const { formatted } = await import('./web/page/message-content.js');
    const fence = { me: '@ann:x', name: (mxid) => mxid };
    const list = document.createElement('div');
    document.body.replaceChildren(list);
    for (const html of messages) {
        const item = document.createElement('div');
        item.append(...formatted({ text: '', html }, fence).body);
        list.append(item);
    }
    // What waits to be touched is touched; only links, which lead away, are not followed.
    list.addEventListener('click', (event) => event.preventDefault(), true);
    for (const element of list.querySelectorAll('*')) {
        for (const kind of ['mouseover', 'click', 'focus', 'toggle', 'pointerrawupdate',
                            'animationstart', 'transitionend', 'error', 'load']) {
            element.dispatchEvent(new Event(kind, { bubbles: true }));
        }
    }
    await new Promise((done) => setTimeout(done, 300));
    const elements = [...list.querySelectorAll('*')];
    return {
        tags: [...new Set(elements.map((one) => one.tagName.toLowerCase()))],
        names: [...new Set(elements.flatMap((one) => one.getAttributeNames()))],
        schemes: [...new Set([...list.querySelectorAll('a')].map((link) => link.protocol))],
        words: list.textContent.length,
    };
}"""

# fmt: off
TAGS = {
    "a", "b", "strong", "i", "em", "u", "s", "del", "sup", "sub", "code", "pre", "blockquote", "p",
    "div", "span", "ul", "ol", "li", "br", "hr", "table", "caption", "thead", "tbody", "tr", "th",
    "td", "details", "summary", "button", "bdi",
}
NAMES = {
    "class", "href", "title", "target", "rel", "start", "type", "tabindex", "aria-expanded",
}
# fmt: on


class Yard:
    """A page without a content policy, and what happens on it.

    Attributes:
        page: The page.
        alarms: Dialogs, and requests to anybody but the server.
    """

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.alarms: list[str] = []
        page.on("dialog", lambda dialog: self.alarms.append(f"a dialog: {dialog.message}"))
        page.on("popup", lambda popup: self.alarms.append(f"a window: {popup.url}"))
        page.on("request", lambda asked: self._look(asked.url, base))
        page.on("framenavigated", lambda frame: self.alarms.append(f"went to {frame.url}"))

    def _look(self, url: str, base: str) -> None:
        if not url.startswith((f"{base}/web/", f"{base}/api/")):
            self.alarms.append(f"asked for {url[:200]}")

    def show(self, messages: list[str]) -> Any:
        """Puts formatted messages into the page; returns what has become of them."""
        return self.page.evaluate(SHOW, messages)


@pytest.fixture(scope="module")
def yard(browser: Browser) -> Iterator[Yard]:
    """The page's own modules, on the fake server."""
    windows = Windows(browser)
    with running() as base:
        page = windows.open(f"{base}/", bypass_csp=True)
        page.get_by_role("button", name="Ben Okafor").wait_for()
        yield Yard(page, base)
        windows.close()


def harmless(found: Any) -> None:
    """Checks what is left of messages."""
    assert set(found["tags"]) <= TAGS
    assert set(found["names"]) <= NAMES
    assert set(found["schemes"]) <= {"http:", "https:", "mailto:"}


def test_the_alarm_works(yard: Yard) -> None:
    """Without a fence an attack of the corpus is seen."""
    attack = "<img src=https://evil.example/x onerror=alert(1)>"
    script = "html => document.body.append(document.createRange().createContextualFragment(html))"
    with yard.page.expect_event("dialog"):
        yard.page.evaluate(script, attack)
    assert yard.alarms[0] == "asked for https://evil.example/x"
    yard.alarms.clear()


def test_the_fence_of_the_page_alone(yard: Yard) -> None:
    """Everything as it comes: no script runs, nobody is asked for anything."""
    assert len(CORPUS) > 100
    harmless(yard.show([attack["html"] for attack in CORPUS]))
    assert yard.alarms == []


def test_both_fences(yard: Yard) -> None:
    """As it is in earnest: what the server has cleaned, through the fence of the page."""
    cleaned = [html for attack in CORPUS if (html := for_page(attack["html"], ""))]
    assert len(cleaned) > 50
    found = yard.show(cleaned)
    harmless(found)
    assert found["words"] > 1000
    assert yard.alarms == []


def test_what_is_harmless_stays(yard: Yard) -> None:
    """Bold, lists, code, links, spoilers; people are called by their own name."""
    yard.show(
        [
            "<p><strong>bold</strong> <em>slanted</em></p><ul><li>one</li></ul>",
            '<pre><code class="language-py">x = 1</code></pre>',
            '<a href="https://a.example/">a link</a> <a href="javascript:alert(1)">none</a>',
            '<a href="https://matrix.to/#/@eve:x">Ann</a> <a href="https://matrix.to/#/@ann:x">Eve</a>',
            'It ends <span data-mx-spoiler="sad">badly</span>.',
        ]
    )
    page = yard.page
    assert page.locator("body strong").inner_text() == "bold"
    assert page.locator("body pre code").get_attribute("class") == "language-py"
    assert page.locator("body a").evaluate_all("all => all.map(one => one.href)") == [
        "https://a.example/"
    ]
    assert page.locator(".pill").all_inner_texts() == ["@@eve:x", "@@ann:x"]
    assert page.locator(".pill--me").inner_text() == "@@ann:x"
    assert yard.alarms == []
