"""Direct chats as OpenMeet's web app knows them: by a number, and by an opaque word.

Both are made from the chat's own slug, and so from the slugs of its two people: they stay until
one of these gets another. The word can be read back; whoever reads one back still has to ask
whether the reader is one of the two.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from .ids import PortalKind, PortalRef, TenantId, UserSlug
from .naming import direct_pair, direct_slug

_WORD: Final = re.compile(r"[a-z2-7]{1,800}")
_NUMBER_BITS: Final = 53
"""JavaScript's numbers have no more."""


def chat_number(ref: PortalRef) -> int:
    """Return the number of a direct chat: more than 0, and exact in JavaScript."""
    digest = hashlib.sha256(f"{ref.tenant}\0{ref.slug}".encode()).digest()
    return max(1, int.from_bytes(digest[:8], "big") >> (64 - _NUMBER_BITS))


def chat_ulid(ref: PortalRef) -> str:
    """Return the word of a direct chat, of small letters and the figures 2 to 7."""
    return base64.b32encode(ref.slug.encode()).decode("ascii").rstrip("=").lower()


def chat_of(tenant: TenantId, user: UserSlug, ulid: str) -> PortalRef | None:
    """Return which direct chat of somebody's a word means; None where it means none of theirs.

    Args:
        tenant: Whose word it can only be.
        user: Who names the chat.
        ulid: What :func:`chat_ulid` returned.
    """
    if not _WORD.fullmatch(ulid):
        return None
    try:
        slug = base64.b32decode(ulid.upper() + "=" * (-len(ulid) % 8)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None
    pair = direct_pair(slug)
    if user not in pair or direct_slug(*pair) != slug:
        return None
    ref = PortalRef(tenant, PortalKind.DIRECT, slug)
    return ref if chat_ulid(ref) == ulid else None
