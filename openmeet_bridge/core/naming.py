"""How OpenMeet's names become Matrix names, and back.

A ghost is ``@<prefix><tenant>_<slug>:<server>``, the bot ``@<prefix>bot:<server>``, a portal's
alias ``#<prefix><tenant>_<kind>_<slug>:<server>``. Characters that a Matrix localpart may not hold
are written ``=xx`` (the bytes of their UTF-8), as the specification proposes for bridges. The
tenant has its underscores written so too: hence the first underscore after the prefix always ends
it, the mapping can be reversed, and the bot (no second underscore) is never a ghost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from .errors import InvalidParam
from .ids import Mxid, PortalKind, PortalRef, TenantId, UserSlug

MAX_ID_BYTES = 255
"""Longest Matrix user id or alias, sigil and server included (Matrix, "Common identifiers")."""

_SLUG_ESCAPED = re.compile(rb"[^a-z0-9._-]")
_TENANT_ESCAPED = re.compile(rb"[^a-z0-9.-]")
_ESCAPE = re.compile(rb"=([0-9a-f]{2})")
_ULID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")
_DIGEST_CHARACTERS = 40


class Naming:
    """The names of one homeserver's ghosts, portals and bot.

    Args:
        server_name: The homeserver's ``server_name``.
        prefix: Start of every localpart in the appservice's namespace.
        adopted: Patterns of further Matrix ids that the bridge may act as: those which
            OpenMeet's users had before the bridge.
    """

    def __init__(
        self,
        server_name: str,
        prefix: str = "om_",
        adopted: Sequence[re.Pattern[str]] = (),
    ) -> None:
        self.server_name = server_name
        self.prefix = prefix
        self._adopted = tuple(adopted)
        self.bot = Mxid(f"@{prefix}bot:{server_name}")
        self._head = f"@{prefix}"
        self._tail = f":{server_name}"

    @property
    def nudge_localpart(self) -> str:
        """Localpart of the alias of the bot's own room; no second underscore: never a portal's."""
        return f"{self.prefix}nudge"

    @property
    def nudge_alias(self) -> str:
        """Alias of the room in which the bot makes the homeserver push what it has kept back."""
        return f"#{self.nudge_localpart}{self._tail}"

    def ghost_localpart(self, tenant: TenantId, slug: UserSlug) -> str:
        """Return the localpart of a user's ghost.

        Raises:
            InvalidParam: The slug is empty, or too long to be a Matrix user id.
        """
        if not slug:
            raise InvalidParam("A user's slug is empty.", fields={"slug": "must not be empty"})
        localpart = f"{self.prefix}{_escape(tenant, _TENANT_ESCAPED)}_{escape_slug(slug)}"
        if len(localpart) + len(self._tail) + 1 > MAX_ID_BYTES:
            raise InvalidParam(
                f"The slug is too long: a Matrix user id has at most {MAX_ID_BYTES} bytes.",
                fields={"slug": "too long to be a Matrix user id"},
            )
        return localpart

    def ghost(self, tenant: TenantId, slug: UserSlug) -> Mxid:
        """Return the Matrix user id of a user's ghost (see :meth:`ghost_localpart`)."""
        return Mxid(f"@{self.ghost_localpart(tenant, slug)}{self._tail}")

    def is_adoptable(self, mxid: str, tenant: TenantId) -> bool:
        """Whether a Matrix id that OpenMeet holds for a user can be that user's ghost.

        So can ids that are made as the bridge makes them for the tenant, those made of an
        OpenMeet ULID (``om_<ulid>``), and those of the further namespaces.
        """
        if mxid == self.bot or len(mxid) > MAX_ID_BYTES or not mxid.endswith(self._tail):
            return False
        if mxid.startswith(self._head):
            made = self.parse_ghost(mxid)
            rest = mxid[len(self._head) : -len(self._tail)]
            return made[0] == tenant if made else _ULID.fullmatch(rest) is not None
        return any(pattern.fullmatch(mxid) for pattern in self._adopted)

    def another(self, mxid: Mxid, number: int) -> Mxid:
        """Return a further Matrix id for a slug whose own one stands for somebody else.

        ``=.`` is never part of an escaped slug, so this is nobody else's id.
        """
        return Mxid(f"{mxid[: -len(self._tail)]}=.{number}{self._tail}")

    def parse_ghost(self, mxid: str) -> tuple[TenantId, UserSlug] | None:
        """Return whom a ghost stands for; None for the bot and for people from Matrix."""
        if not (mxid.startswith(self._head) and mxid.endswith(self._tail)):
            return None
        tenant, separator, slug = mxid[len(self._head) : -len(self._tail)].partition("_")
        if not separator or not slug:
            return None
        names = TenantId(_unescape(tenant)), UserSlug(_unescape(slug))
        return names if self._round_trips(mxid, *names) else None

    def alias_localpart(self, ref: PortalRef) -> str:
        """Return the localpart of a portal's alias; a slug that is too long is hashed."""
        head = f"{self.prefix}{_escape(ref.tenant, _TENANT_ESCAPED)}_{ref.kind.value}_"
        slug = escape_slug(ref.slug)
        if len(head) + len(slug) + len(self._tail) + 1 > MAX_ID_BYTES:
            slug = "=" + hashlib.sha256(ref.slug.encode()).hexdigest()[:_DIGEST_CHARACTERS]
        return head + slug

    def alias(self, ref: PortalRef) -> str:
        """Return a portal's full alias."""
        return f"#{self.alias_localpart(ref)}{self._tail}"

    def space_alias_localpart(self, tenant: TenantId, group: str) -> str:
        """Return the localpart of a space's alias; without a group that of the tenant's space.

        ``community`` has no underscore behind it and ``space`` is no kind of portal: neither is
        ever the alias of one.
        """
        head = f"{self.prefix}{_escape(tenant, _TENANT_ESCAPED)}_"
        if not group:
            return f"{head}community"
        head, slug = f"{head}space_", escape_slug(group)
        if len(head) + len(slug) + len(self._tail) + 1 > MAX_ID_BYTES:
            slug = "=" + hashlib.sha256(group.encode()).hexdigest()[:_DIGEST_CHARACTERS]
        return head + slug

    def space_alias(self, tenant: TenantId, group: str) -> str:
        """Return a space's full alias."""
        return f"#{self.space_alias_localpart(tenant, group)}{self._tail}"

    def _round_trips(self, mxid: str, tenant: TenantId, slug: UserSlug) -> bool:
        # Two spellings of one ghost ("=61" for "a") would be two Matrix users for one person.
        try:
            return self.ghost(tenant, slug) == mxid
        except InvalidParam:
            return False


def direct_slug(first: UserSlug, second: UserSlug) -> str:
    """Return the slug of the direct chat of two users, whatever their order."""
    return "+".join(sorted((escape_slug(first), escape_slug(second))))


def direct_pair(slug: str) -> tuple[UserSlug, UserSlug]:
    """Return the two users of a direct chat, the reverse of :func:`direct_slug`."""
    first, _, second = slug.partition("+")
    return UserSlug(_unescape(first)), UserSlug(_unescape(second))


def portal_ref(tenant: TenantId, kind: PortalKind, slug: str) -> PortalRef:
    """Return a portal's identity.

    Raises:
        InvalidParam: The slug is empty.
    """
    if not slug:
        raise InvalidParam("A slug is empty.", fields={"slug": "must not be empty"})
    return PortalRef(tenant, kind, slug)


def escape_slug(slug: str) -> str:
    """Write a slug with the characters of a Matrix localpart only."""
    return _escape(slug, _SLUG_ESCAPED)


def _escape(text: str, escaped: re.Pattern[bytes]) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    return escaped.sub(lambda match: b"=%02x" % match[0][0], raw).decode("ascii")


def _unescape(text: str) -> str:
    raw = _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode("utf-8"))
    return raw.decode("utf-8", "replace")
