"""Signatures of webhooks: those of the specification, and none that is forged or old."""

from __future__ import annotations

import base64
import subprocess

import pytest

from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.core.webhooks import Endpoint, signing_key
from openmeet_bridge.openmeet.webhook_signature import (
    TOLERANCE,
    BadSignature,
    sign,
    signed_headers,
    verify,
)

# The example of the specification's own libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}
OTHER = "v1," + base64.b64encode(bytes(32)).decode()


def test_the_specifications_example() -> None:
    assert sign(SECRET, ID, AT, BODY) == SIGNATURE
    assert signed_headers(SECRET, ID, AT, BODY) == HEADERS
    assert verify(SECRET, HEADERS, BODY, AT) == ID


def test_a_plain_secret_is_what_openssl_is_given() -> None:
    secret = "a plain secret, 24 characters or more"
    command = ["openssl", "dgst", "-sha256", "-hmac", secret, "-binary"]
    made = subprocess.run(command, input=f"{ID}.{AT}.".encode() + BODY, capture_output=True)
    assert sign(secret, ID, AT, BODY) == "v1," + base64.b64encode(made.stdout).decode()


@pytest.mark.parametrize("signatures", [f"{OTHER} {SIGNATURE}", f"v1a,xyz {SIGNATURE} {OTHER}"])
def test_one_of_several_signatures(signatures: str) -> None:
    assert verify(SECRET, {**HEADERS, "webhook-signature": signatures}, BODY, AT) == ID


@pytest.mark.parametrize("off", [-TOLERANCE, 0, TOLERANCE])
def test_clocks_may_differ_a_little(off: int) -> None:
    assert verify(SECRET, HEADERS, BODY, AT + off) == ID


@pytest.mark.parametrize("off", [-TOLERANCE - 1, TOLERANCE + 1, 10**9])
def test_what_is_old_is_refused(off: int) -> None:
    with pytest.raises(BadSignature, match="300 s from the bridge's clock"):
        verify(SECRET, HEADERS, BODY, AT + off)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_another"},
        {"webhook-id": ""},
        {"webhook-id": "msg_\udce9"},
        {"webhook-id": "m" * 256},
        {"webhook-timestamp": str(AT + 1)},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": f" {AT}"},
        {"webhook-timestamp": f"-{AT}"},
        {"webhook-timestamp": f"{AT}.0"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": "¹⁶¹⁴²⁶⁵³³⁰"},
        {"webhook-signature": ""},
        {"webhook-signature": OTHER},
        {"webhook-signature": SIGNATURE.lower()},
        {"webhook-signature": SIGNATURE.removeprefix("v1,")},
        {"webhook-signature": SIGNATURE.replace("v1", "v2")},
        {"webhook-signature": SIGNATURE + "\udce9"},
    ],
)
def test_forgeries(changed: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        verify(SECRET, HEADERS | changed, BODY, AT)


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_no_header_may_be_missing(name: str) -> None:
    with pytest.raises(BadSignature, match=name):
        verify(SECRET, {key: value for key, value in HEADERS.items() if key != name}, BODY, AT)


def test_another_body_or_secret() -> None:
    for secret, body in ((SECRET, BODY + b" "), (SECRET.removeprefix("whsec_"), BODY)):
        with pytest.raises(BadSignature, match="does not fit"):
            verify(secret, HEADERS, body, AT)


def test_the_key_behind_a_secret() -> None:
    assert signing_key("whsec_AAEC") == b"\0\1\2"
    assert signing_key("AAEC") == b"AAEC"
    with pytest.raises(ValueError, match="not base64"):
        signing_key("whsec_%")


def test_an_endpoint_does_not_show_its_secret() -> None:
    assert SECRET not in repr(Endpoint(TenantId("one"), "https://e.org", SECRET, frozenset()))
