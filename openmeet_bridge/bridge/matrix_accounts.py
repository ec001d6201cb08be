"""Accounts on Matrix: somebody's user there, and a password to log in with other clients."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import structlog

from ..core.directory import User
from ..core.errors import BridgeError, Forbidden, Unavailable
from ..core.ids import Mxid
from ..matrix.errors import HomeserverError, RateLimited, Refused, TokenRefused
from ..matrix.homeserver_admin import HomeserverAdmin
from ..storage import ghosts
from ..storage.database import Database
from .arrivals import Arrivals
from .id_writing import IdWriting

log = structlog.get_logger(__name__)


class Provisioned(NamedTuple):
    """Somebody's Matrix user.

    Attributes:
        mxid: The Matrix id, which never changes.
        new: Whether it was made just now.
    """

    mxid: Mxid
    new: bool


class MatrixAccounts:
    """Makes and opens accounts on Matrix.

    Args:
        database: Knows whom Matrix has.
        arrivals: Makes users of Matrix.
        writing: Tells OpenMeet their Matrix ids; None: it is not told.
        admin: Sets passwords; None: nobody can.
        patience: Longest time for which somebody waits for their user, in seconds.
    """

    def __init__(
        self,
        database: Database,
        arrivals: Arrivals,
        writing: IdWriting | None,
        admin: HomeserverAdmin | None,
        patience: float,
    ) -> None:
        self._database = database
        self._arrivals = arrivals
        self._writing = writing
        self._admin = admin
        self._patience = patience

    async def provision(self, user: User, mxid: Mxid) -> Provisioned:
        """Let somebody's Matrix user exist, and be known to OpenMeet.

        While the homeserver is away the Matrix id is good all the same: it is made as soon as it
        can be, and until then what somebody writes is kept.

        Args:
            user: Who.
            mxid: The Matrix id that they have, or will have.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            ghost = await ghosts.of_user(connection, user.tenant, user.slug)
        there = ghost is not None and ghost.registered
        try:
            async with asyncio.timeout(self._patience):
                mxid = await self._arrivals.matrix_user(user)
        except (HomeserverError, TimeoutError) as error:
            log.warning("account.not_made_yet", tenant=user.tenant, mxid=mxid, error=str(error))
            return Provisioned(mxid, False)
        if self._writing is not None:
            await self._writing.one(user.tenant, user.openmeet_id, user.slug, mxid)
        return Provisioned(mxid, not there)

    async def set_password(self, user: User, password: str) -> None:
        """Let somebody log in with a Matrix client of their own.

        Raises:
            Forbidden: The bridge, or the homeserver, does not let anybody.
            Unavailable: The homeserver does not answer, or not as it should.
        """
        if self._admin is None:
            raise Forbidden("Passwords for Matrix clients cannot be set on this site.")
        try:
            mxid = await self._arrivals.matrix_user(user)
            await self._admin.set_password(mxid, password)
        except HomeserverError as error:
            raise _told(error) from error
        log.info("account.password_set", tenant=user.tenant, mxid=mxid)


def _told(error: HomeserverError) -> BridgeError:
    """Return what somebody is told whose password the homeserver did not take."""
    if isinstance(error, Refused) and not isinstance(error, TokenRefused):
        if error.errcode == "M_UNRECOGNIZED":
            return Forbidden("Passwords for Matrix clients cannot be set on this site.")
        return Forbidden(f"The homeserver does not take this password: {error.message}")
    log.error("account.password_not_set", error=str(error))
    wait = error.retry_after_ms if isinstance(error, RateLimited) else 5000
    text = "The password cannot be set at present: try again later."
    return Unavailable(text, retry_after_ms=wait)
