"""How a WebSocket begins and ends: RFC 6455, section 4, and what RFC 7692 adds."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from openmeet_bridge.stream.ws_handshake import (
    UpgradeRefused,
    accept_key,
    agreed_deflate,
    check_upgrade,
    close,
    pong,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of the example in RFC 6455, section 1.3


def request(**changed: str | None) -> CIMultiDict[str]:
    """The header fields of a browser; `_` stands for `-`, None takes a field away."""
    fields = {
        "host": "chat.example",
        "connection": "keep-alive, Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": KEY,
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    return CIMultiDict({name: value for name, value in fields.items() if value is not None})


def test_a_browser_is_let_in() -> None:
    assert check_upgrade(request()) == KEY
    assert check_upgrade(request(connection="upgrade", upgrade="WebSocket")) == KEY
    twice = request()
    twice.add("Connection", "x")  # the same as one field with a list
    assert check_upgrade(twice) == KEY


@pytest.mark.parametrize(
    ("changed", "status", "wanted"),
    [
        ({"upgrade": None}, 426, {"Upgrade": "websocket"}),
        ({"upgrade": "h2c"}, 426, {"Upgrade": "websocket"}),
        ({"connection": "keep-alive"}, 426, {"Connection": "Upgrade"}),
        ({"connection": None}, 426, {"Connection": "Upgrade"}),
        ({"sec_websocket_version": "8"}, 426, {"Sec-WebSocket-Version": "13"}),
        ({"sec_websocket_version": None}, 426, {"Sec-WebSocket-Version": "13"}),
        ({"sec_websocket_key": None}, 400, {}),
        ({"sec_websocket_key": ""}, 400, {}),
        ({"sec_websocket_key": "c2hvcnQ="}, 400, {}),
        ({"sec_websocket_key": KEY[:-2]}, 400, {}),
        ({"sec_websocket_key": KEY + "="}, 400, {}),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25j\u00fcQ=="}, 400, {}),
        ({"sec_websocket_key": "dGhl IHNhbXBsZSBub25jZQ=="}, 400, {}),
    ],
)
def test_others_are_told_what_is_wrong(
    changed: dict[str, str | None], status: int, wanted: dict[str, str]
) -> None:
    with pytest.raises(UpgradeRefused) as caught:
        check_upgrade(request(**changed))
    assert caught.value.status == status
    assert wanted.items() <= caught.value.headers.items()


def test_two_keys_are_none() -> None:
    both = request()
    both.add("Sec-WebSocket-Key", KEY)
    with pytest.raises(UpgradeRefused):
        check_upgrade(both)


ALONE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate; client_max_window_bits", ALONE),  # browsers
        ("permessage-deflate", ALONE),
        ("permessage-deflate; client_max_window_bits=9; client_no_context_takeover", ALONE),
        ("permessage-deflate; server_no_context_takeover", ALONE),
        ("permessage-deflate;server_max_window_bits=15", f"{ALONE}; server_max_window_bits=15"),
        ('permessage-deflate; server_max_window_bits="12"', f"{ALONE}; server_max_window_bits=12"),
        # A window smaller than that of the frames that all share; another offer may do.
        ("permessage-deflate; server_max_window_bits=11", None),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", ALONE),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=012", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; level=9", None),
        ("x-webkit-deflate-frame, permessage-deflate", ALONE),
        ("x-webkit-deflate-frame", None),
        ("", None),
    ],
)
def test_compression_is_agreed_on(offer: str, agreed: str | None) -> None:
    headers = request(sec_websocket_extensions=offer)
    assert agreed_deflate(headers) == agreed
    apart = request()
    for one in offer.split(","):  # the same as one field with a list
        apart.add("Sec-WebSocket-Extensions", one.strip())
    assert agreed_deflate(apart) == agreed


def test_no_compression_without_an_offer() -> None:
    assert agreed_deflate(request()) is None


def test_the_answer_to_the_key() -> None:
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_pong_and_close() -> None:
    assert pong(b"") == b"\x8a\x00"
    assert pong(b"a" * 125) == b"\x8a\x7d" + b"a" * 125
    assert close(None) == b"\x88\x00"
    assert close(1013) == b"\x88\x02\x03\xf5"
    assert close(4001, "token") == b"\x88\x07\x0f\xa1token"
    assert close(1000, "☃" * 50) == b"\x88\x7d\x03\xe8" + "☃".encode() * 41  # 123 bytes
    assert close(1000, "a" + "☃" * 50) == b"\x88\x7b\x03\xe8a" + "☃".encode() * 40
