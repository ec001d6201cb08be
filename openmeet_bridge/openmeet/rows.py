"""From OpenMeet's rows to the directory's values.

What a row leaves open is read in the careful way: who has no role or no status is in nothing, and
what has no visibility, or is not published yet, is private.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from ..core.directory import Member, Portal, User, Visibility
from ..core.ids import Mxid, PortalKind, PortalRef, TenantId, UserSlug

NONE: Final = "none"
"""The role or status of a row that has none."""

LONGEST_TOPIC: Final = 2000
LONGEST_SLUG: Final = 255

_PAGES: Final = {PortalKind.GROUP: "groups", PortalKind.MEETUP: "events"}
_SHOWN: Final = frozenset({"published", "cancelled"})
_VISIBILITIES: Final = {
    "public": Visibility.PUBLIC,
    "authenticated": Visibility.AUTHENTICATED,
    "unlisted": Visibility.AUTHENTICATED,  # what later versions call it
    "private": Visibility.PRIVATE,
}
_ROLES: Final = ("owner", "admin", "moderator", "member", "guest", NONE)
_MXID: Final = re.compile(r"@[^:\s]+:\S+")
Row = Mapping[str, Any]


class Reader:
    """Makes values of one tenant's rows.

    Args:
        tenant: Whose.
        site_url: The tenant's site, for links to pages.
        files_url: What stands before the paths of files.
    """

    def __init__(self, tenant: TenantId, site_url: str | None, files_url: str | None) -> None:
        self.tenant = tenant
        self._site_url = site_url.rstrip("/") if site_url else None
        self._files_url = files_url.rstrip("/") if files_url else None

    @property
    def unknown(self) -> frozenset[str]:
        """Fields of which nothing can be said, because it is not configured where they lead."""
        fields = {"url": self._site_url, "avatar_url": self._files_url}
        return frozenset(name for name, base in fields.items() if base is None)

    def user(self, row: Row) -> User:
        """Return a user. The name is never made of the e-mail address."""
        name = " ".join(f"{row['first_name'] or ''} {row['last_name'] or ''}".split())
        mxid = (row["mxid"] or "").strip()
        return User(
            self.tenant,
            UserSlug(row["slug"]),
            row["id"],
            name,
            self._picture(row["picture"]),
            bool(row["active"]),
            Mxid(mxid) if _MXID.fullmatch(mxid) else None,
        )

    def portal(self, kind: PortalKind, row: Row) -> Portal:
        """Return a group or a meetup; its alias is made when it is put."""
        slug = row["slug"]
        page = f"{self._site_url}/{_PAGES[kind]}/{quote(slug, safe='')}"
        return Portal(
            PortalRef(self.tenant, kind, slug),
            alias="",
            name=" ".join((row["name"] or "").split()) or slug,
            topic=(row["topic"] or "").strip()[:LONGEST_TOPIC],
            avatar_url=self._picture(row["picture"]),
            url=page if self._site_url else None,
            visibility=visibility(row["visibility"], row["status"]),
            openmeet_id=row["id"],
            status=row["status"],
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
            group=row["group"] or None,
        )

    def _picture(self, path: str | None) -> str | None:
        if self._files_url is None or not path:
            return None
        if path.startswith(("https://", "http://")):
            return path
        return f"{self._files_url}/{quote(path.lstrip('/'), safe='/')}"


def member(slug: UserSlug, row: Row) -> Member:
    """Return what a user is in a group or a meetup."""
    return Member(slug, row["role"] or NONE, row["status"] or NONE)


def that_counts(kind: PortalKind, one: Member, later: Member) -> Member:
    """Return which of two rows counts that OpenMeet has for one user and one thing.

    In a group, where nothing keeps it from having two, the higher role; else the later row.
    """
    higher = kind is PortalKind.GROUP and _rank(one.role) < _rank(later.role)
    return one if higher else later


def _rank(role: str) -> int:
    return _ROLES.index(role) if role in _ROLES else len(_ROLES)


def visibility(word: str | None, status: str | None) -> Visibility:
    """Return who may see something; nobody but its members while it is not published."""
    if status not in _SHOWN:
        return Visibility.PRIVATE
    return _VISIBILITIES.get(word or "", Visibility.PRIVATE)


def problem_of_slug(slug: str | None) -> str | None:
    """Return what is wrong with a slug, if anything."""
    if not slug or not slug.strip():
        return "it has no slug"
    return "its slug is too long" if len(slug) > LONGEST_SLUG else None
