"""What somebody writes becomes a message that every Matrix client can show."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from openmeet_bridge.core.composing import MOST_BYTES, Draft, Format, Kind, compose
from openmeet_bridge.core.errors import BadRequest, TooLarge
from openmeet_bridge.core.events import CLIENT_TXN_KEY
from openmeet_bridge.core.html import for_matrix
from openmeet_bridge.core.ids import ClientTxnId, EventId, Mxid, UserSlug
from openmeet_bridge.core.markdown import rendered
from openmeet_bridge.core.showing import Names, show

TXN = ClientTxnId("t1")
ANN, BEN, EVE = Mxid("@ann:a.example"), Mxid("@om_a_ben:a.example"), Mxid("@eve:b.example")
PEOPLE = {ANN: "Ann", BEN: "Ann Lee", EVE: "Eve (she/her)"}
SLUGS = {BEN: UserSlug("ben-7")}
STOCK = MarkdownIt("commonmark", {"html": False, "linkify": True, "breaks": True, "maxNesting": 40})
STOCK.enable(["strikethrough", "table", "linkify"]).disable(["image", "html_block"])
assert STOCK.linkify is not None
STOCK.linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
PILL = '<a href="https://matrix.to/#/{}">{}</a>'


def said(body: str, how: Format = Format.MARKDOWN, **more: Any) -> dict[str, Any]:
    return compose(Draft(body=body, client_txn_id=TXN, format=how, **more))


def html(body: str, how: Format = Format.MARKDOWN, **more: Any) -> str | None:
    content = said(body, how, **more)
    assert ("formatted_body" in content) == (content.get("format") == "org.matrix.custom.html")
    return content.get("formatted_body")


def test_plain_text() -> None:
    content = said("**a**\n<b>", Format.PLAIN)
    assert content == {
        "msgtype": "m.text",
        "body": "**a**\n<b>",
        "m.mentions": {},
        CLIENT_TXN_KEY: TXN,
    }
    assert said("waves", kind=Kind.EMOTE)["msgtype"] == "m.emote"
    assert said("beep", kind=Kind.NOTICE)["msgtype"] == "m.notice"


@pytest.mark.parametrize(
    ("body", "formatted"),
    [
        ("just words", None),
        ("two\nlines", None),
        ("two\n\nparagraphs", None),
        ("1 < 2 && 3 > 2", None),
        ("**b** _i_ `c` ~~s~~", "<strong>b</strong> <em>i</em> <code>c</code> <s>s</s>"),
        ("**b**\nc", "<strong>b</strong><br>\nc"),
        (r"\*no\*", "*no*"),
        ("> q\n\nx", "<blockquote><p>q</p></blockquote><p>x</p>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("# h", "<h1>h</h1>"),
        ("```js\n1 < 2\n\n```", '<pre><code class="language-js">1 &lt; 2\n\n</code></pre>'),
        (
            "|a|\n|-|\n|1|",
            "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>",
        ),
        ("[l](https://a.example/?x=1&y)", '<a href="https://a.example/?x=1&amp;y">l</a>'),
        (
            "https://a.example/ readme.md",
            '<a href="https://a.example/">https://a.example/</a> readme.md',
        ),
        ("**[l](javascript:alert(1))**", "<strong>[l](javascript:alert(1))</strong>"),
        ("**b** <img src=x onerror=y>", "<strong>b</strong> &lt;img src=x onerror=y&gt;"),
        ("![i](https://a.example/i.png)", '!<a href="https://a.example/i.png">i</a>'),
        ("it was ||*him*||!", 'it was <span data-mx-spoiler=""><em>him</em></span>!'),
        ("||a|| ||b", '<span data-mx-spoiler="">a</span> ||b'),
        ("a || b || c |||| d", None),
        ("`||c||` *x*", "<code>||c||</code> <em>x</em>"),
        ("||a\n\nb||", None),
    ],
)
def test_markdown(body: str, formatted: str | None) -> None:
    content = said(body)
    assert (content["body"], content.get("formatted_body")) == (body, formatted)


@pytest.mark.parametrize(
    ("body", "plain", "formatted"),
    [
        ("<b>x</b><script>y</script>", "x", "<b>x</b>"),
        ("<p>a</p><p>b &amp; c</p>", "a\n\nb & c", None),
        ("<ul><li>a<li onclick=x>b</ul>", "- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
        (
            "<a href='https://a.example' target=_top>l</a>",
            "l (https://a.example)",
            '<a href="https://a.example">l</a>',
        ),
        ("a <span data-mx-spoiler>b</span>", "a ||b||", 'a <span data-mx-spoiler="">b</span>'),
    ],
)
def test_html(body: str, plain: str, formatted: str | None) -> None:
    content = said(body, Format.HTML)
    assert (content["body"], content.get("formatted_body")) == (plain, formatted)


def test_mentions() -> None:
    body = "@ann lee, @Ann: see @ben-7, @eve:b.example, @Eve (she/her) not x@Ann @Anna `@Ann`"
    content = said(body, mentioned=PEOPLE, slugs=SLUGS, mention_room=True)
    assert content["body"] == body
    assert content["m.mentions"] == {"user_ids": [ANN, BEN, EVE], "room": True}
    ann, ben, eve = PILL.format(ANN, "@Ann"), PILL.format(BEN, "{}"), PILL.format(EVE, "{}")
    assert content["formatted_body"] == (
        f"{ben.format('@ann lee')}, {ann}: see {ben.format('@ben-7')}, "
        f"{eve.format('@eve:b.example')}, {eve.format('@Eve (she/her)')} "
        "not x@Ann @Anna <code>@Ann</code>"
    )
    assert html("hi @Ann\n<3", Format.PLAIN, mentioned=PEOPLE) == f"hi {ann}<br>&lt;3"
    assert html("<i>@Ann</i>", Format.HTML, mentioned=PEOPLE) == f"<i>{ann}</i>"
    assert html("hello", Format.PLAIN, mentioned=PEOPLE) is None
    assert html("@Ann", Format.PLAIN) is None


def test_who_was_mentioned_reads_it_so() -> None:
    content = said("**hi** @Ann", mentioned={ANN: "Ann"})
    shown = show("m.room.message", None, msgspec.json.encode(content), Names("Ben"))
    assert shown.mentioned == (ANN,)
    assert shown.html is not None
    assert f'data-mention="{ANN}"' in shown.html


def test_answers_and_threads() -> None:
    other, root = EventId("$other"), EventId("$root")
    assert said("x", reply_to=other)["m.relates_to"] == {"m.in_reply_to": {"event_id": other}}
    assert said("x", thread=root)["m.relates_to"] == {
        "rel_type": "m.thread",
        "event_id": root,
        "m.in_reply_to": {"event_id": root},
        "is_falling_back": True,
    }
    both = said("x", thread=root, reply_to=other)["m.relates_to"]
    assert both["m.in_reply_to"] == {"event_id": other}
    assert both["is_falling_back"] is False


def test_edits() -> None:
    target = EventId("$was")
    content = said(
        "*hi* @Ann", edits=target, mentioned=PEOPLE, mention_room=True, told=[BEN], room_told=True
    )
    new = content["m.new_content"]
    pill = PILL.format(ANN, "@Ann")
    assert new == {
        "msgtype": "m.text",
        "body": "*hi* @Ann",
        "format": "org.matrix.custom.html",
        "formatted_body": f"<em>hi</em> {pill}",
        "m.mentions": {"user_ids": [ANN, BEN, EVE], "room": True},
    }
    assert content["m.relates_to"] == {"rel_type": "m.replace", "event_id": target}
    assert content["m.mentions"] == {"user_ids": [ANN, EVE]}
    assert content["body"] == f"* {new['body']}"
    assert content["formatted_body"] == f"* {new['formatted_body']}"
    assert content[CLIENT_TXN_KEY] == TXN


def test_a_long_edit_is_not_sent_twice_over() -> None:
    content = said("*x* " + "y" * 20_000, edits=EventId("$was"))
    assert len(content["m.new_content"]["body"]) == 20_004
    assert len(content["body"]) < 2000
    assert "formatted_body" not in content


@pytest.mark.parametrize("body", ["", " \n\t", "\u200b\u2060", "a\x00b", "a\ud83db"])
@pytest.mark.parametrize("how", list(Format))
def test_what_cannot_be_sent(body: str, how: Format) -> None:
    with pytest.raises(BadRequest) as refused:
        said(body, how)
    assert list(refused.value.fields) == ["body.body"]


def test_html_with_nothing_in_it_cannot_be_sent() -> None:
    with pytest.raises(BadRequest) as refused:
        said("<script>alert(1)</script>", Format.HTML)
    assert list(refused.value.fields) == ["body.body"]


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("x" * MOST_BYTES, Format.PLAIN),
        ("ü" * (MOST_BYTES // 2), Format.PLAIN),
        ('"' * (MOST_BYTES // 2), Format.PLAIN),
        ("**x** " + "<" * 25_000, Format.MARKDOWN),
        ("*a* " * 5000, Format.MARKDOWN),
        ("[" * 20_000, Format.MARKDOWN),
        ("<b>" * 10_000 + "x", Format.HTML),
    ],
)
def test_what_is_too_large(body: str, how: Format) -> None:
    with pytest.raises(TooLarge) as refused:
        said(body, how)
    assert list(refused.value.fields) == ["body.body"]


@pytest.mark.parametrize(
    "source",
    [
        "://" * 10_000,
        "https://a.example/( " * 1500,
        "- a\n" * 10_000,
        "# a\n" * 10_000,
        "|a" * 2000 + "|\n" + "|-" * 2000 + "|\n" + "|a\n" * 10_000,
        "> " + "|a" * 200 + "|\n> " + "|-" * 200 + "|\n" + "> |a\n" * 2000,
    ],
)
def test_markdown_that_would_take_long_is_not_read_to_its_end(source: str) -> None:
    assert rendered(source) is None
    with pytest.raises(TooLarge):
        said(source[: MOST_BYTES - 1000])


def test_much_that_is_common_is_read() -> None:
    table = "|a|b|c|\n|-|-|-|\n" + "|1|2|3|\n" * 200
    links = "see https://a.example/x_y_z\n" * 300
    code = "```\n" + "|" * 20_000 + "\n```\n" + "a\n" * 900
    for source in (table, links, code, "- a\n" * 900):
        assert html(source)


MARKDOWN = (
    *("http", "s", "ftp", "mailto", ":", "://", "/", "a.example", "x_y_z", "(", ")", "[", "]"),
    *("*", "_", "`", "<", ">", "|", "-", "\\", "&amp;", " ", "\n", "\n\n", "a+b.c-", "é", "||"),
)


@settings(deadline=None)
@given(st.lists(st.sampled_from(MARKDOWN), max_size=30).map("".join))
def test_addresses_are_found_as_the_library_finds_them(source: str) -> None:
    assert rendered(source) == STOCK.render(source)


@settings(deadline=None)
@given(st.text(alphabet="a *_`~|[]()<>!#-\n@&\\:/\u202e", max_size=60), st.sampled_from(Format))
def test_any_text_can_be_sent_or_is_refused(body: str, how: Format) -> None:
    try:
        content = said(body, how, mentioned={ANN: "a"})
    except BadRequest:
        return
    formatted = content.get("formatted_body")
    assert formatted is None or for_matrix(formatted) == formatted
    shown = show("m.room.message", None, msgspec.json.encode(content), Names("Ben"))
    assert shown.text
