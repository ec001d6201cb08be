"""The page on a real bridge and a real Synapse: people talk, from OpenMeet and from Matrix."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as PatienceError

from .cable import cable
from .chat_page import (
    banner,
    composer,
    connected,
    last_message,
    room_link,
    say,
    scroll_back_to,
    see,
    see_own,
    texts,
)
from .demo import Demo, Place
from .matrix_friend import MatrixFriend
from .stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.synapse, pytest.mark.timeout(300)]


@pytest.fixture
def trio(demo: Demo, mara: MatrixFriend) -> Place:
    """A room of Ann, Ben, and Mara from Matrix."""
    place = demo.place("ann", "ben", public=True)
    mara.join(place.alias)
    return place


def test_two_people_talk(real: Stage) -> None:
    """Chosen by a click; what one writes both see, once, and its writer sees it sent."""
    ann = real.window(None)
    ann.get_by_role("button", name="Ann Larsen").click()
    place = real.demo.place("ann", "ben")
    room_link(ann, place.name).click()
    ben = real.window("ben", place)

    say(ann, "Hello Ben!\nSee https://a.example/x.")
    see_own(ann, "Hello Ben!\nSee https://a.example/x.")
    see(ben, "Hello Ben!\nSee https://a.example/x.")
    link = ben.get_by_role("link", name="https://a.example/x", exact=True)
    assert link.get_attribute("rel") == "noopener noreferrer nofollow"
    for number in range(5):
        say(ben, f"answer {number}")
    see_own(ben, "answer 4")
    see(ann, "answer 4")
    assert texts(ann) == texts(ben)
    assert texts(ann)[1:] == [f"answer {number}" for number in range(5)]


def test_somebody_from_matrix_talks_along(real: Stage, mara: MatrixFriend, trio: Place) -> None:
    """Both ways, with the names that people have, and a deleted message goes blank."""
    ann = real.window("ann", trio)
    ann.get_by_text("3 people joined").click()
    expect(ann.get_by_text("Mara Lindholm joined")).to_be_visible()
    said = mara.send(trio.room_id, "Hello from a Matrix client")
    see(ann, "Hello from a Matrix client")
    expect(last_message(ann)).to_contain_text("Mara Lindholm")
    say(ann, "Hello from a browser")
    see_own(ann, "Hello from a browser")
    heard = mara.wait_for(trio.room_id, "Hello from a browser")
    assert heard.sender.startswith("@om_lakeside_ann-larsen")
    assert mara.bodies(trio.room_id).count("Hello from a browser") == 1
    mara.redact(trio.room_id, said)
    expect(ann.get_by_text("This message was deleted.")).to_be_visible()


def test_a_conversation_across(real: Stage, mara: MatrixFriend, trio: Place) -> None:
    """Formatted words, reply, edit and reaction, from a browser and from a Matrix client."""
    ann = real.window("ann", trio)
    say(ann, "**Nine** at the boathouse")
    expect(last_message(ann).locator("strong")).to_have_text("Nine")
    said = mara.wait_for(trio.room_id, "**Nine** at the boathouse").event_id
    thumb = {"rel_type": "m.annotation", "event_id": said, "key": "👍"}
    mara.send_event(trio.room_id, "m.reaction", {"m.relates_to": thumb})
    ann.get_by_role("button", name="👍 1: Mara Lindholm").click()
    expect(ann.get_by_role("button", name=re.compile("👍 2: "))).to_be_visible()
    answer = {"msgtype": "m.text", "body": "Late, as always"}
    relation = {"m.relates_to": {"m.in_reply_to": {"event_id": said}}}
    mara.send_event(trio.room_id, "m.room.message", {**answer, **relation})
    expect(
        ann.get_by_role("button", name=re.compile("In reply to Ann Larsen: Nine"))
    ).to_be_visible()
    composer(ann).press("ArrowUp")
    say(ann, "**Ten** at the boathouse")
    expect(ann.locator(".message--mine").get_by_text("Ten")).to_be_visible()
    expect(ann.get_by_role("button", name="edited")).to_be_visible()
    expect(
        ann.get_by_role("button", name=re.compile("In reply to Ann Larsen: Ten"))
    ).to_be_visible()


def test_typing(real: Stage, mara: MatrixFriend, trio: Place) -> None:
    """Seen by the others while it lasts, from both worlds to both."""
    ann, ben = real.window("ann", trio), real.window("ben", trio)
    composer(ben).press_sequentially("I am just")
    expect(ann.get_by_text("Ben Okafor is typing")).to_be_visible()
    assert any("ben-okafor" in mxid for mxid in mara.typists(trio.room_id))
    mara.type(trio.room_id)
    expect(ann.get_by_text(re.compile("Mara Lindholm.* typing"))).to_be_visible()
    composer(ben).press("Enter")
    expect(ann.get_by_text("Mara Lindholm is typing")).to_be_visible()
    mara.send(trio.room_id, "me too")
    expect(ann.get_by_text("typing")).to_be_hidden()


def test_read_marks(real: Stage, mara: MatrixFriend, trio: Place) -> None:
    """A face below what somebody has read, whichever way they read it."""
    ann = real.window("ann", trio)
    say(ann, "Who has read this?")
    see_own(ann, "Who has read this?")
    real.window("ben", trio)
    expect(last_message(ann).get_by_title("Read by Ben Okafor")).to_be_visible()
    said = mara.wait_for(trio.room_id, "Who has read this?")
    mara.read(trio.room_id, said.event_id)
    both = re.compile("Read by (Ben Okafor and Mara Lindholm|Mara Lindholm and Ben Okafor)")
    expect(last_message(ann).get_by_title(both)).to_be_visible()


def test_unread_messages_are_counted_until_they_are_seen(real: Stage) -> None:
    """In the list and in the title, in every window of the reader."""
    place, other = real.demo.place("carla", "ben"), real.demo.place("carla", "ben")
    carla = real.window("carla", other)
    second = real.window("carla", other)
    expect(carla).to_have_title(re.compile(re.escape(f"{other.name} · OpenMeet chat")))
    before = _unread(carla)
    for number in range(3):
        real.demo.say("ben", place, f"news {number}")
    link = room_link(carla, place.name)
    expect(link).to_contain_text("3 unread")
    assert _unread(carla) == before + 3
    link.click()
    expect(carla.get_by_text("New messages", exact=True)).to_be_visible()
    for page in (carla, second):
        expect(room_link(page, place.name)).not_to_contain_text("unread")
        expect(page).to_have_title(re.compile(rf"^{re.escape(_counted(before))}Place \d+"))
    carla.reload()
    expect(room_link(carla, place.name)).not_to_contain_text("unread")


def _unread(page: Page) -> int:
    found = re.match(r"\((\d+)\)", page.title())
    return int(found[1]) if found else 0


def _counted(unread: int) -> str:
    return f"({unread}) " if unread else ""


def test_many_unread_messages(real: Stage) -> None:
    """99+, the line above the first of them that is loaded, and all of them can be read."""
    place = real.demo.place("gus", "farah")
    for number in range(105):
        real.demo.say("farah", place, f"message {number}")
    gus = real.window("gus")
    expect(room_link(gus, place.name)).to_contain_text("99+ unread")
    room_link(gus, place.name).click()
    expect(gus.get_by_text("New messages", exact=True)).to_be_visible()
    scroll_back_to(gus, "message 0")
    assert texts(gus) == [f"message {number}" for number in range(105)]
    gus.get_by_role("button", name="99+ new").click()
    expect(last_message(gus)).to_be_in_viewport()
    expect(room_link(gus, place.name)).not_to_contain_text("unread")


def test_a_reload_stays_signed_in_and_no_script_holds_the_token(real: Stage) -> None:
    """The cookie does it, which scripts cannot read; nothing like a token is anywhere else."""
    place = real.demo.place("ann", "ben")
    ann = real.window("ann", place)
    addresses: list[str] = []
    ann.on("request", lambda request: addresses.append(request.url))
    ann.reload()
    say(ann, "by the cookie")
    see_own(ann, "by the cookie")
    calls = [url for url in addresses if "/api/v1/demo" in url]
    assert calls == [], "a reload asks nobody for a token"
    [cookie] = [one for one in ann.context.cookies() if one["name"] == "openmeet_token"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert ann.evaluate("document.cookie") == ""
    kept = ann.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, location.href])")
    for text in (kept, *addresses):
        assert "eyJ" not in text
        assert cookie["value"] not in text


def test_signing_out(real: Stage) -> None:
    """The cookie is gone, the stream is closed, and a reload asks who one is."""
    place = real.demo.place("ann", "ben")
    ann = real.window("ann", place)
    frames = _frames(ann)
    ann.get_by_role("button", name="Sign out").click()
    expect(ann.get_by_role("button", name="Ben Okafor")).to_be_visible()
    assert ann.context.cookies() == []
    heard = len(frames)
    real.demo.say("ben", place, "nobody hears this")
    ann.reload()
    expect(ann.get_by_role("button", name="Ben Okafor")).to_be_visible()
    assert len(frames) == heard
    assert ann.evaluate("fetch('api/v1/me').then(answer => answer.status)") == 401


def _frames(page: Page) -> list[str]:
    """Everything that streams bring to a page, from now on; the page is loaded anew for it."""
    frames: list[str] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda data: frames.append(str(data))),
    )
    page.reload()
    expect(connected(page)).to_be_attached()
    return frames


@pytest.mark.parametrize("websockets", [True, False], ids=["websocket", "events"])
def test_a_dropped_stream_is_said_and_resumed(
    real: Stage, mara: MatrixFriend, trio: Place, websockets: bool
) -> None:
    """No gap, no double, nothing loaded anew, and what was written meanwhile is sent."""
    with cable(real.demo.base) as wire:
        ann = real.window("ann", trio, wire.url, websockets=websockets)
        ben = real.window("ben", trio)
        say(ann, "before")
        see_own(ann, "before")
        wire.cut()
        expect(banner(ann)).to_contain_text("Connection lost.")
        expect(connected(ann)).to_have_count(0)
        for number in range(3):
            mara.send(trio.room_id, f"mara {number}")
            say(ben, f"ben {number}")
            see_own(ben, f"ben {number}")
        say(ann, "written meanwhile")
        expect(ann.get_by_text("It is tried again.")).to_be_visible()
        asked: list[str] = []
        ann.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
        wire.mend()
        with suppress(PatienceError):  # it may have come back by itself just before
            banner(ann).get_by_role("button", name="Try now").click(timeout=1000)
        expect(banner(ann)).to_be_hidden()
        see_own(ann, "written meanwhile")
        see(ben, "written meanwhile")
        missed = [f"{who} {number}" for number in range(3) for who in ("mara", "ben")]
        expect(ann.locator(".message__text")).to_have_text(["before", *missed, "written meanwhile"])
        assert texts(ben) == texts(ann)
        # Who is online has no history, so that is asked for anew.
        assert not [call for call in asked if re.search(r"GET .*/(rooms|timeline)(\?|$)", call)]


def test_without_a_network(real: Stage) -> None:
    """Said at once, though the open connection has not noticed; made good by itself."""
    place = real.demo.place("ann", "ben")
    ann = real.window("ann", place)
    ann.context.set_offline(True)
    expect(banner(ann)).to_contain_text("You are offline.")
    say(ann, "written in a tunnel")
    real.demo.say("ben", place, "said meanwhile")
    ann.context.set_offline(False)
    expect(banner(ann)).to_be_hidden()
    see_own(ann, "written in a tunnel")
    see(ann, "said meanwhile")
    assert texts(ann) == ["said meanwhile", "written in a tunnel"]


def test_a_homeserver_that_stands_still(real: Stage) -> None:
    """The message is not called sent before it is, waits in its place, and is sent once."""
    place = real.demo.place("ann", "ben")
    ann, ben = real.window("ann", place), real.window("ben", place)
    with real.demo.paused_homeserver():
        say(ann, "be patient")
        expect(ann.get_by_title("On its way")).to_be_visible()
        expect(ann.get_by_text("Kept by the server")).to_be_visible(timeout=20_000)
        expect(banner(ann)).to_be_hidden()
        assert texts(ben) == []
    see(ben, "be patient")
    see_own(ann, "be patient")
    expect(ann.get_by_text("Kept by the server")).to_be_hidden()
    assert texts(ann) == texts(ben) == ["be patient"]


def test_rooms_come_and_go(real: Stage) -> None:
    """Whoever becomes a member sees the room at once; whoever is removed is told."""
    dimitri = real.window("dimitri")
    place = real.demo.place("ann", name="Night swimmers")
    expect(room_link(dimitri, "Night swimmers")).to_have_count(0)
    real.demo.add(place, "dimitri")
    room_link(dimitri, "Night swimmers").click()
    say(dimitri, "I am in!")
    see_own(dimitri, "I am in!")
    real.demo.remove(place, "dimitri")
    expect(dimitri.get_by_text("You are no longer in Night swimmers.")).to_be_visible()
    expect(room_link(dimitri, "Night swimmers")).to_have_count(0)


def test_another_tenant_sees_nothing_of_it(real: Stage) -> None:
    """Neither in the list, nor by the address of the room, nor in what the stream brings."""
    place = real.demo.place("ann", "ben", name="Lakeside secrets")
    own = real.demo.place("hana", "ivo")
    hana, ben = real.window("hana", own), real.window("ben", place)
    frames = _frames(hana)
    real.demo.say("ann", place, "only for the lakeside")
    see(ben, "only for the lakeside")
    real.demo.say("ivo", own, "for the harbor")
    see(hana, "for the harbor")
    hana.goto(real.address("hana", place))
    expect(hana.get_by_text("You are not in this room.")).to_be_visible()
    assert "for the harbor" in "".join(frames)
    assert "lakeside" not in "".join(frames).lower()
    assert "lakeside" not in hana.content().lower().replace(place.room_id.lower(), "")


def test_two_users_in_one_browser(real: Stage) -> None:
    """The cookie is shared by tabs; neither of them may speak as the other."""
    place = real.demo.place("ann", "ben")
    ann = real.window("ann", place)
    ben = real.windows.beside(ann.context, real.address("ben", place))
    expect(composer(ben)).to_be_visible()
    say(ann, "I am Ann")
    see(ben, "I am Ann")
    say(ben, "I am Ben")
    see_own(ben, "I am Ben")
    ann.reload()
    say(ann, "still Ann")
    see_own(ann, "still Ann")
    see(ben, "still Ann")
    expect(ben.locator(".message--mine")).to_have_count(1)


def test_the_example_of_the_guide(real: Stage, browser: Browser) -> None:
    """The whole client in one file shows, sends, answers, reacts and deletes."""
    place = real.demo.place("ann", "ben")
    real.demo.say("ben", place, "Who brings the map?")
    guide = (Path(__file__).parents[2] / "docs/how-to/use-the-stream.md").read_text("utf-8")
    (example,) = re.findall(r"^```html\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    example = example.replace("http://127.0.0.1:8480", real.demo.base)
    page = browser.new_page()
    page.route("**/chat.html", lambda route: route.fulfill(body=example, content_type="text/html"))
    page.goto(f"{real.demo.base}/chat.html#{real.demo.people['ann'].jwt}")
    question = page.get_by_role("listitem").filter(has_text="Who brings the map?").first
    expect(page.get_by_text(f"Live in {place.name}")).to_be_visible()
    question.get_by_role("button", name="Reply").click()
    page.get_by_label("Message").fill("I *do*.")
    page.keyboard.press("Enter")
    answer = page.get_by_role("listitem").filter(has_text="I do.")
    expect(answer.locator("em")).to_have_text("do")
    expect(answer.locator("blockquote")).to_have_text("Who brings the map?")
    question.get_by_role("button", name="👍").click()
    expect(question).to_contain_text("👍 1")
    answer.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("This message was deleted.")).to_be_visible()
    real.demo.say("ben", place, "Thank you")
    expect(page.get_by_text("Thank you")).to_be_visible()
    page.close()
