"""What is kept in a real browser: the same contract as in memory, and tabs that share it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.browser.chromium import launch
from tests.web.fake_server import running

pytestmark = pytest.mark.browser

CLIENT = Path(__file__).parents[2] / "openmeet_bridge" / "web" / "client"
REPLACED = {
    "'openmeet-bridge-client'": "'/web/client/index.js'",
    "'https://chat.example.org/'": "`${location.origin}/`",
    "'ann-arbor'": "'cyclists'",
    "myJwt": "'jwt-ann'",
}
OPEN = """async () => {
  const { Api, Chat } = await import('/web/client/index.js');
  const baseUrl = `${location.origin}/`;
  const api = new Api({ baseUrl, tenant: 'cyclists', token: () => 'jwt-ann' });
  window.chat = new Chat({ api });
  await chat.start();
  await chat.openRoom('!ann-ben');
}"""
UNSENT = "() => chat.outbox.unsent().map(({ draft, state }) => `${draft.body} ${state}`)"
SHOWN = """() => chat.timeline('!ann-ben').items().slice(-3)
  .map(({ entry, echo }) => (entry ?? echo).text)"""
CONTRACT = """async () => {
  const { shelfContract } = await import('/tests/shelf_contract.mjs');
  const { IdbShelf } = await import('/web/client/idb.js');
  await shelfContract(() => new IdbShelf('contract'), (found, wanted, what) => {
    const [is, should] = [found, wanted].map((value) => JSON.stringify(value));
    if (is !== should) throw new Error(`${what}: ${is} instead of ${should}`);
  });
}"""


class Tabs:
    """Tabs of one browser, all of them Ann's."""

    def __init__(self, base: str, context: BrowserContext) -> None:
        """`base` is the address of the fake server."""
        self._base = base
        self._context = context

    def blank(self) -> Page:
        """A tab with nothing in it."""
        page = self._context.new_page()
        page.goto(f"{self._base}/tests/shelf_contract.mjs")
        return page

    def chat(self) -> Page:
        """A tab in which a chat runs."""
        page = self.blank()
        page.evaluate(OPEN)
        return page

    def control(self, name: str, **arguments: Any) -> Any:
        """Pulls a string of the fake server."""
        data = json.dumps(arguments).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self._base}/control/{name}", data=data, headers=headers
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    """One browser for all tests."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser.new_context()
        browser.close()


@pytest.fixture
def tabs(context: BrowserContext) -> Iterator[Tabs]:
    """A fresh server, at an address of its own and so with a storage of its own."""
    with running() as base:
        yield Tabs(base, context)
        for page in context.pages:
            page.close()


def wait(page: Page, script: str, wanted: list[str]) -> None:
    """Waits until a script gives that."""
    page.wait_for_function(
        f"(wanted) => JSON.stringify(({script})()) === wanted",
        arg=json.dumps(wanted, separators=(",", ":"), ensure_ascii=False),
        timeout=10_000,
    )


def test_what_was_not_sent_outlasts_the_tabs(tabs: Tabs) -> None:
    """Two tabs share it; a crash of both loses nothing; the next one sends it once, in order."""
    tabs.control("fail_send", status=503, errcode="X", message="Away.", times=999)
    first, second = tabs.chat(), tabs.chat()
    first.evaluate(CONTRACT)
    first.evaluate("() => chat.send('!ann-ben', 'one')")
    wait(second, UNSENT, ["one waiting"])
    second.evaluate("() => { chat.send('!ann-ben', 'two'); chat.send('!ann-ben', 'three'); }")
    second.evaluate("() => chat.setDraft('!ann-ben', { text: 'half a', reply_to: '$e1' })")
    wait(first, UNSENT, ["one waiting", "two queued", "three queued"])
    first.wait_for_function("() => chat.draft('!ann-ben')?.text === 'half a'")
    for page in (first, second):
        page.close(run_before_unload=False)
    tabs.control("set", send_faults=[])

    third = tabs.chat()
    wait(third, UNSENT, [])
    wait(third, SHOWN, ["one", "two", "three"])
    assert third.evaluate("() => chat.draft('!ann-ben').text") == "half a"
    assert tabs.control("bodies", room_id="!ann-ben")[-3:] == ["one", "two", "three"]
    sends = [call for call in tabs.control("calls") if call.startswith("PUT")]
    assert len({call for call in sends if "/messages/" in call}) == 3
    third.evaluate("() => chat.signOut()")
    left = "async () => (await indexedDB.databases()).filter(({name}) => name.includes('chat'))"
    assert third.evaluate(left) == []


def test_the_example_of_the_readme_is_a_chat(tabs: Tabs) -> None:
    """As it is printed there, but for the address and the token."""
    readme = (CLIENT / "README.md").read_text()
    example = readme.split("```js\n")[1].split("```")[0]
    for theirs, ours in REPLACED.items():
        assert theirs in example
        example = example.replace(theirs, ours)
    page = tabs.blank()
    page.add_script_tag(content=example, type="module")
    page.get_by_role("button", name="Ben Okafor").click()
    with page.expect_response("**/reactions/**"):  # it is shown before it is said
        page.locator("li", has_text="Yes! I bring it").get_by_role("button", name="👍").click()
    page.get_by_text("👍 1*").wait_for()
    tabs.control("fail_send", status=403, errcode="M_FORBIDDEN", message="You are muted.")
    page.get_by_role("textbox").press_sequentially("**hello**")
    page.keyboard.press("Enter")
    page.get_by_text("Ann Lindqvist: **hello** (You are muted.)").wait_for()
    page.get_by_role("button", name="Retry").click()
    page.locator("li", has_text="Ann Lindqvist: hello").wait_for()
    assert tabs.control("bodies", room_id="!ann-ben")[-1] == "hello"
