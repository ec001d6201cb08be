"""Integration API: whom a user blocks, and the signing out and the erasure of a user."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..bridge.directory import Directory
from ..bridge.erasure import Erasures
from ..bridge.roster import Roster
from ..bridge.signing_out import SigningOut
from ..core.changes import DeleteBlock, PutBlock
from ..core.erasure import ErasureReport
from ..core.errors import Conflict, NotFound
from ..core.ids import UserSlug
from ..openmeet.tenants import Tenant
from .descriptions import Slug
from .endpoint import Call, Endpoints
from .following import Follower, Following, Subject, Write, milliseconds
from .integration_paths import BASE, UserPath

ENDPOINTS = Endpoints(tag="Integration", auth="service")

_USER = BASE + "/users/{user}"
_BLOCK_FIELDS = {"blocker": "path.user", "blocked": "path.other"}


class BlockPath(msgspec.Struct):
    """Two users of a tenant: who blocks, and who is blocked."""

    tenant: str
    user: Slug
    other: Slug


class Blocks(msgspec.Struct):
    """Whom a user blocks: slugs, in order."""

    blocked: list[str]


class SignedOut(msgspec.Struct):
    """Since when a user's tokens are refused, in milliseconds."""

    signed_out_at: int


class LeftBehind(msgspec.Struct, omit_defaults=True):
    """Something that could not be erased: how many, why, and what an operator can do."""

    what: str
    count: int
    why: str
    do: str | None = None


class Erasure(msgspec.Struct, omit_defaults=True, kw_only=True):
    """How far the erasure of a user is.

    `running` until everything was tried, then `done`. `erased` says how many of what are gone,
    `left` what could not be erased. `error`: why it does not go on; it is tried again.
    """

    state: Literal["running", "done"]
    matrix_user_id: str
    requested_at: int
    finished_at: int | None = None
    erased: dict[str, int]
    left: list[LeftBehind]
    error: str | None = None


class IntegrationPeople:
    """The handlers for blocks, sign-outs and erasures.

    Args:
        directory: Keeps what there should be.
        roster: Tells who is blocked.
        erasures: Erases people.
        signing_out: Signs people out.
    """

    def __init__(
        self,
        directory: Directory,
        roster: Roster,
        erasures: Erasures,
        signing_out: SigningOut,
    ) -> None:
        self._follower = Follower(directory)
        self._roster = roster
        self._erasures = erasures
        self._signing_out = signing_out

    @ENDPOINTS.put(_USER + "/blocks/{other}", errors=(NotFound, Conflict))
    async def put_block(self, call: Call[Tenant, BlockPath, Write, None]) -> Following:
        """Write that a user blocks another: their direct chat takes no messages any more.

        Nobody blocks themselves.
        """
        path = call.path
        change = PutBlock(UserSlug(path.user), UserSlug(path.other))
        subject = Subject("user", path.user, _BLOCK_FIELDS)
        return await self._follower.make(call.caller.id, change, subject, call.query)

    @ENDPOINTS.delete(_USER + "/blocks/{other}", errors=(NotFound, Conflict))
    async def delete_block(self, call: Call[Tenant, BlockPath, Write, None]) -> Following:
        """Write that a user no longer blocks another."""
        path = call.path
        change = DeleteBlock(UserSlug(path.user), UserSlug(path.other))
        subject = Subject("user", path.user, _BLOCK_FIELDS)
        return await self._follower.make(call.caller.id, change, subject, call.query)

    @ENDPOINTS.get(_USER + "/blocks", errors=(NotFound,))
    async def blocks(self, call: Call[Tenant, UserPath, None, None]) -> Blocks:
        """Whom a user blocks."""
        user = UserSlug(call.path.user)
        return Blocks(list(await self._roster.blocked_by(call.caller.id, user)))

    @ENDPOINTS.post(_USER + "/sign-out", errors=(NotFound,))
    async def sign_out_user(self, call: Call[Tenant, UserPath, None, None]) -> SignedOut:
        """Refuse all tokens of a user that were issued until now, and end their streams at once.

        For a session that was revoked, or a password that was changed: the user comes back with a
        token that is issued afterwards (`iat`, in whole seconds: not in the same second). A token
        without `iat` cannot be told from a new one, and is not refused.
        """
        user = UserSlug(call.path.user)
        return SignedOut(milliseconds(await self._signing_out.sign_out(call.caller.id, user)))

    @ENDPOINTS.post(
        _USER + "/erase", success={202: "It is begun, or goes on."}, errors=(NotFound, Conflict)
    )
    async def erase_user(self, call: Call[Tenant, UserPath, None, None]) -> Erasure:
        """Erase a user: what they said, their files, their name, their account.

        The user is out of the directory, every room and every stream at once; the rest goes on
        for some time and survives restarts. Nobody can have the slug again. Asked for again, it
        is the same erasure. Also for a user who was removed before.
        """
        report = await self._erasures.request(call.caller.id, UserSlug(call.path.user))
        return _erasure(report)

    @ENDPOINTS.get(_USER + "/erasure", errors=(NotFound,))
    async def erasure(self, call: Call[Tenant, UserPath, None, None]) -> Erasure:
        """What was erased of a user so far, and what could not be."""
        report = await self._erasures.report(call.caller.id, UserSlug(call.path.user))
        return _erasure(report)


def _erasure(report: ErasureReport) -> Erasure:
    return Erasure(
        state=report.state,
        matrix_user_id=report.mxid,
        requested_at=milliseconds(report.requested_at),
        finished_at=None if report.finished_at is None else milliseconds(report.finished_at),
        erased=report.erased,
        left=[LeftBehind(one.what, one.count, one.why, one.do) for one in report.left],
        error=report.error,
    )
