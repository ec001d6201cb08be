"""HTML of strangers: whatever comes in, what goes out is what the specification allows."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmeet_bridge.core.html import MOST_CHARACTERS, MOST_TAGS, as_text, for_matrix, for_page
from openmeet_bridge.core.html_policy import ATTRIBUTES, ELEMENTS
from openmeet_bridge.core.html_tree import DEEPEST

HOSTILE = json.loads((Path(__file__).parents[1] / "data" / "hostile_html.json").read_text())
ADDRESS = re.compile(r"(?:(?:https?|ftp)://|mailto:|magnet:|matrix:)[^\s]+")
VALUES = {
    "href": ADDRESS,
    "target": re.compile("_blank"),
    "rel": re.compile("noopener noreferrer nofollow"),
    "data-mention": re.compile(r"@[^\"'<>`\s]*:[A-Za-z0-9.:\[\]-]+"),
    "class": re.compile(r"language-[\w+#.-]+"),
    "start": re.compile(r"-?\d{1,9}"),
    "data-mx-color": re.compile("#[0-9a-fA-F]{6}"),
    "data-mx-bg-color": re.compile("#[0-9a-fA-F]{6}"),
    "data-mx-spoiler": re.compile("[^\n]{0,200}"),
    "data-mx-maths": re.compile("[^\n]{1,4096}"),
}
BY_US = {"target", "rel", "data-mention"}


class Inspector(HTMLParser):
    """Fails on anything that is not allowed, and on what is out of order."""

    def __init__(self, by_us: set[str]) -> None:
        super().__init__()
        self.by_us = by_us
        self.open: list[str] = []
        self.deepest = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS
        for name, value in attrs:
            allowed = name in ATTRIBUTES.get(tag, ()) or (tag == "a" and name in self.by_us)
            assert allowed, (tag, name)
            assert value is not None
            assert VALUES[name].fullmatch(value), (name, value)
        if tag == "a":
            assert "href" in dict(attrs)
            assert self.by_us <= {*dict(attrs), "data-mention"}
        if tag not in {"br", "hr"}:
            self.open.append(tag)
        self.deepest = max(self.deepest, len(self.open))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        pytest.fail(f"a declaration: {decl}")

    def unknown_decl(self, data: str) -> None:
        pytest.fail(f"a declaration: {data}")

    def handle_pi(self, data: str) -> None:
        pytest.fail(f"an instruction: {data}")

    def handle_data(self, data: str) -> None:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", data)


def inspect(html: str, by_us: set[str] = BY_US) -> None:
    inspector = Inspector(by_us)
    inspector.feed(html)
    inspector.close()
    assert inspector.open == []
    assert inspector.deepest <= DEEPEST


def check(html: str) -> None:
    shown = for_page(html, None)
    if shown is not None:
        inspect(shown)
        assert for_page(shown, None) == shown
    sent = for_matrix(html)
    if sent is not None:
        inspect(sent, set())
        assert for_matrix(sent) == sent
    as_text(html)


def test_known_attacks() -> None:
    assert len({one["name"] for one in HOSTILE}) == len(HOSTILE) >= 200
    for one in HOSTILE:
        try:
            check(one["html"])
        except AssertionError as error:
            raise AssertionError(one["name"]) from error


tags = st.sampled_from(
    [*sorted(ELEMENTS), "table", "tr", "td", "a", "p", "pre", "svg", "style", "img", "mx-reply"]
)
values = st.sampled_from(
    [
        "https://a.example/?a=1&copy=2",
        "https://[bad",
        "https://1.2.3.4.5/",
        "javascript:alert(1)",
        "java\tscript:alert(1)",
        "mailto:a@b.example",
        "https://matrix.to/#/%40ann%3Aa.example?via=a",
        "matrix:u/ann:a.example",
        "language-c++ x",
        "#ff0000",
        "7",
    ]
)
names = st.sampled_from(
    ["href", "class", "start", "data-mx-color", "data-mx-spoiler", "onclick", "style", "id"]
)
starts = st.builds("<{} {}='{}'>".format, tags, names, values)
soup = st.lists(
    st.one_of(
        starts,
        st.builds("<{}>".format, tags),
        st.builds("</{}>".format, tags),
        st.sampled_from(["\n", " ", "x", "&lt;", "&amp;amp;", "<", "<!--", "-->", "\xa0"]),
        st.text(max_size=5),
    ),
    max_size=20,
).map("".join)


@settings(deadline=None)
@given(soup)
def test_any_tags_in_any_order(html: str) -> None:
    check(html)


@settings(deadline=None)
@given(st.text())
def test_any_text(text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("given_html", "shown"),
    [
        ("<b>a<i>b</b>c</i>", "<b>a<i>b</i></b>c"),
        ("<p>a<p>b<ul><li>c<li>d</ul>", "<p>a</p><p>b</p><ul><li>c</li><li>d</li></ul>"),
        (
            "<table>x<tr><td>1<td>2</table>",
            "<table></table>x12",
        ),
        (
            "<table><tr><td>1<th>2<tr><td>3</table>",
            "<table><tbody><tr><td>1</td><th>2</th></tr><tr><td>3</td></tr></tbody></table>",
        ),
        ("<td>stray</td><b>b</b>", "stray<b>b</b>"),
        ("<pre>\n\nx</pre>", "<pre>x</pre>"),
        ("<strike>s</strike><tt>t</tt>", "<s>s</s><code>t</code>"),
        ("<h1>a<h2>b</h2>", "<h1>a</h1><h2>b</h2>"),
        ("<b>one</b><mx-reply>two</mx-reply>", "<b>one</b>"),
        ("<img src='mxc://a.example/b' alt=':wave:'><b>!</b>", ":wave:<b>!</b>"),
        ("<b>a & b &amp; c &copy &nbsp;</b>", "<b>a &amp; b &amp; c © &nbsp;</b>"),
        (
            '<span data-mx-spoiler="why">s</span><span data-mx-spoiler>t</span>',
            '<span data-mx-spoiler="why">s</span><span data-mx-spoiler="">t</span>',
        ),
        (
            '<font data-mx-color="#00ff00" data-mx-bg-color="blue">f</font>',
            '<font data-mx-color="#00ff00">f</font>',
        ),
        ('<ol start="3"><li>c</ol>', '<ol start="3"><li>c</li></ol>'),
        ('<code class="hljs language-rust">c</code>', '<code class="language-rust">c</code>'),
        ('<div data-mx-maths="x^2">x²</div>', '<div data-mx-maths="x^2">x²</div>'),
        ("a < b <3 <>", "a &lt; b &lt;3 &lt;&gt;"),
    ],
)
def test_what_is_shown(given_html: str, shown: str) -> None:
    assert for_page(given_html, None) == shown


LINK = '<a href="{}"{} target="_blank" rel="noopener noreferrer nofollow">a</a>'


@pytest.mark.parametrize(
    ("address", "shown", "mention"),
    [
        ("https://a.example/?x=1&copy=2&amp;y", "https://a.example/?x=1&amp;copy=2&amp;y", None),
        (" HTTPS://a.example/a b ", "https://a.example/a%20b", None),
        ("mailto:a@b.example", "mailto:a@b.example", None),
        ("magnet:?xt=urn:btih:1", "magnet:?xt=urn:btih:1", None),
        ("https://matrix.to/#/%40a%3Ab.c", "https://matrix.to/#/%40a%3Ab.c", "@a:b.c"),
        ("https://matrix.to/#/@a:b.c?via=d", "https://matrix.to/#/@a:b.c?via=d", "@a:b.c"),
        ("matrix:u/a:b.c?action=chat", "matrix:u/a:b.c?action=chat", "@a:b.c"),
        ("https://matrix.to/#/!room:b.c", "https://matrix.to/#/!room:b.c", None),
        ("https://matrix.to/#/@nobody", "https://matrix.to/#/@nobody", None),
        ("https://evil.example/matrix.to/#/@a:b.c", None, None),
    ],
)
def test_links(address: str, shown: str | None, mention: str | None) -> None:
    said = f' data-mention="{mention}"' if mention else ""
    expected = LINK.format(shown or address, said)
    assert for_page(f'<a href="{address}" data-mention="@x:y.z">a</a>', None) == expected


@pytest.mark.parametrize(
    "address", ["https://[bad", "https://1.2.3.4.5/", "https:/a.example", "x", "#a", "tel:1", ""]
)
def test_a_link_to_nowhere_is_its_text(address: str) -> None:
    assert for_page(f"<a href='{address}'>a</a><b>b</b>", None) == "a<b>b</b>"


@pytest.mark.parametrize(
    ("html", "plain", "adds"),
    [
        ("hello", "hello", False),
        ("<p>a &amp; b</p><p>c</p>", "a & b\n\nc", False),
        ("a<br>b", "a\nb", False),
        ("<b>hello</b>", "hello", True),
        ("other words", "hello", True),
        ("<script>x</script>", "hello", False),
        ("<b> </b>", "hello", False),
        ("", "hello", False),
    ],
)
def test_html_that_adds_nothing_is_left_out(html: str, plain: str, *, adds: bool) -> None:
    assert (for_page(html, plain) is not None) is adds


def test_a_hundred_thousand_tags_within_one_another() -> None:
    assert for_page("<b>" * 100_000 + "x", None) is None
    nested = "<div>" * (MOST_TAGS // 3) + "x" + "</div>" * (MOST_TAGS // 3)
    shown = for_page(f"<b>b</b>{nested}", None)
    assert shown is not None
    assert shown.count("<div>") == DEEPEST
    inspect(shown)


def test_what_is_too_much() -> None:
    assert for_page("x" * (MOST_CHARACTERS + 1), None) is None
    assert for_matrix("<br>" * (MOST_TAGS + 1)) is None
    assert as_text("<br>" * (MOST_TAGS + 1)) is None
    assert for_page("&" * MOST_CHARACTERS, None) is None


def test_a_number_without_end_is_no_character() -> None:
    endless = f"&#{'1' * 60_000};"
    assert as_text(f"a{endless}b&#98;") == "a\ufffdbb"
    link = f'<a href="https://a.example/{endless}">x</a>'
    assert for_page(link, None) == for_page(link.replace(endless, "\ufffd"), None)


def test_markup_that_browsers_multiply_does_not_grow() -> None:
    fonts = "".join(f'<font data-mx-color="#{one:06x}">' for one in range(500))
    shown = for_page(fonts + "<p>x" * 500, None)
    assert shown is not None
    assert len(shown) < 10_000


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a  b</p>\n<p>c</p>", "a b\n\nc"),
        ("<ul><li>a</li><li>b<ol start=4><li>c</li></ol></li></ul>", "- a\n- b\n  4. c"),
        ("<blockquote><p>a</p><p>b</p></blockquote>c", "> a\n> \n> b\nc"),
        ("a<br>b<hr>c", "a\nb\n---\nc"),
        ("<pre><code>x\n  y\n</code></pre>z", "x\n  y\n\nz"),
        ('<a href="https://a.example/">here</a>', "here (https://a.example/)"),
        ('<a href="https://a.example/">https://a.example/</a>', "https://a.example/"),
        ('<a href="https://matrix.to/#/@a:b.c">@A</a>', "@A"),
        ("a <span data-mx-spoiler>b</span> <span>c</span>", "a ||b|| c"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3"),
        ("<li>stray", "- stray"),
        ("<ol start=x><li>a</ol>", "1. a"),
        ("<blockquote>" * 9 + "deep", "> " * 6 + "deep"),
        ("", ""),
    ],
)
def test_html_in_words(html: str, text: str) -> None:
    assert as_text(html) == text
