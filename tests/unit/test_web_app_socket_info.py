"""Where OpenMeet's web app is told that Socket.IO is: an origin, whatever it came through."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from openmeet_bridge.api.web_app.matrix import origin_of, requested_origin


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({}, "http://chat.example.org:8480"),
        ({"X-Forwarded-Proto": "https"}, "https://chat.example.org:8480"),
        ({"X-Forwarded-Proto": "HTTPS, http"}, "https://chat.example.org:8480"),
        ({"X-Forwarded-Proto": "javascript"}, "http://chat.example.org:8480"),
    ],
)
def test_the_origin_is_that_of_the_request(headers: dict[str, str], origin: str) -> None:
    made = make_mocked_request(
        "POST", "/api/matrix/websocket-info", {"Host": "chat.example.org:8480", **headers}
    )
    assert requested_origin(made) == origin


def test_an_address_has_an_origin() -> None:
    # What is behind it would become part of the namespace.
    assert origin_of("https://chat.example.org/bridge/") == "https://chat.example.org"
