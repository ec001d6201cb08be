"""The page on OpenMeet's web app says all that there is, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

from openmeet_bridge.api import web_app
from openmeet_bridge.api.endpoint import Endpoints
from openmeet_bridge.api.web_app.socketio_events import EVENTS
from openmeet_bridge.api.web_app.socketio_handshake import (
    FAILED,
    INVALID_TOKEN,
    NO_TOKEN,
    UNKNOWN_USER,
)
from openmeet_bridge.api.web_app.socketio_said import PATHS
from openmeet_bridge.stream import web_app_frames
from openmeet_bridge.stream.socketio_wire import EVENT, TWIN

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "web-app.md").read_text("utf-8")


def tables() -> list[Endpoints]:
    """The tables of all modules of the package."""
    names = [one.name for one in pkgutil.iter_modules(web_app.__path__, f"{web_app.__name__}.")]
    found = [getattr(importlib.import_module(name), "ENDPOINTS", None) for name in names]
    return [one for one in found if one is not None]


def first_column(heading: str) -> list[str]:
    """What a chapter's table has in its first column."""
    chapter = re.split(r"^#+ ", PAGE.partition(f"# {heading}\n")[2], flags=re.MULTILINE)[0]
    return re.findall(r"^\| `([^`]+)`", chapter, re.MULTILINE)


def test_every_route_is_there_and_no_other() -> None:
    routes = re.findall(r"^\| `((?:GET|PUT|POST|PATCH|DELETE) [^`]+)`", PAGE, re.MULTILINE)
    wanted = [f"{one.method} {one.template}" for table in tables() for one in table]
    assert sorted(routes) == sorted(wanted)


def test_every_answer_that_means_success_is_there() -> None:
    for table in tables():
        for endpoint in table:
            row = re.search(
                rf"^\| `{endpoint.method} {re.escape(endpoint.template)}` .*", PAGE, re.MULTILINE
            )
            assert row is not None
            answer = row[0].split("|")[3].strip()
            said = re.match(r"\d{3}", answer)
            if said is not None:
                # A POST of Nest's is 201 unless it says otherwise; a refusal needs no other word.
                assert int(said[0]) in endpoint.success or answer.startswith("403 always"), row[0]
            else:
                assert answer.startswith(("the same", "as for")), row[0]


def test_every_event_that_can_be_sent_is_there_and_no_other() -> None:
    assert sorted(first_column("What can be sent")) == sorted(EVENTS)


def test_every_event_that_is_emitted_is_there_and_no_other() -> None:
    emitted = {EVENT, TWIN, "message-sent", "subscription_confirmed"}
    assert set(first_column("What is emitted")) == emitted
    assert emitted <= set(re.findall(r'"([a-z_-]+)"', sources()))


def test_every_type_that_comes_is_there_and_no_other() -> None:
    own = {"room_subscribed", "message-sent"}
    assert set(first_column("What comes")) == {*web_app_frames.EVENTS, *own}
    assert own <= set(re.findall(r'"type": "([a-z_-]+)"', sources()))


def test_what_sockets_are_told_at_the_beginning_is_there() -> None:
    for text in (*PATHS, NO_TOKEN, INVALID_TOKEN, UNKNOWN_USER, FAILED):
        assert f"`{text}`" in PAGE


def sources() -> str:
    """The code of the package and of its wire."""
    files = [
        *Path(web_app.__path__[0]).glob("*.py"),
        *Path(web_app_frames.__file__).parent.glob("*.py"),
    ]
    return "\n".join(file.read_text("utf-8") for file in files)
