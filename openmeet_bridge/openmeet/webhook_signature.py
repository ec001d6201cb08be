"""Signatures of webhooks in both directions, after the Standard Webhooks specification.

``webhook-signature`` holds ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``. It
may hold several, separated by spaces, while a secret is being changed.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Final

from ..core.webhooks import signing_key

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
TOLERANCE: Final = 300
"""Seconds by which the clocks of sender and receiver may differ, and a message may be old."""

_VERSION: Final = "v1"
_LONGEST_ID: Final = 255
_LONGEST_TIMESTAMP: Final = 12


class BadSignature(Exception):
    """A webhook that must not be believed. The text says why, and holds nothing secret."""


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``.

    Args:
        secret: Shared with the receiver; see :func:`openmeet_bridge.core.webhooks.signing_key`.
        message_id: The value of ``webhook-id``: the same for every attempt at one message.
        timestamp: The value of ``webhook-timestamp``: seconds since the epoch, of this attempt.
        body: What is sent, byte for byte.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.digest(signing_key(secret), signed, "sha256")
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a webhook; see :func:`sign`."""
    return {
        ID: message_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: sign(secret, message_id, timestamp, body),
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Check that a webhook comes from somebody who has the secret, and is not an old one.

    Args:
        secret: Shared with the sender.
        headers: Of the request; names in lower case, or a mapping that does not care.
        body: What was received, byte for byte.
        now: Seconds since the epoch.

    Returns:
        The message's id. Within :data:`TOLERANCE` somebody who overheard a message can send it
        again: handling one twice must be harmless, or the caller must know those it has handled.

    Raises:
        BadSignature: It must not be believed.
    """
    message_id, signatures = headers.get(ID, ""), headers.get(SIGNATURE, "")
    if not message_id.isascii() or not 0 < len(message_id) <= _LONGEST_ID:
        raise BadSignature(f"{ID} is needed: at most {_LONGEST_ID} ASCII characters")
    timestamp = _timestamp(headers.get(TIMESTAMP, ""))
    if abs(now - timestamp) > TOLERANCE:
        raise BadSignature(f"{TIMESTAMP} is more than {TOLERANCE} s from the bridge's clock")
    wanted = sign(secret, message_id, timestamp, body).encode()
    given = signatures.encode("utf-8", "replace").split(b" ")
    if not any(hmac.compare_digest(wanted, one) for one in given):
        raise BadSignature(f"{SIGNATURE} does not fit {ID}, {TIMESTAMP} and the body")
    return message_id


def _timestamp(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _LONGEST_TIMESTAMP:
        raise BadSignature(f"{TIMESTAMP} is needed: seconds since the epoch")
    return int(text)
