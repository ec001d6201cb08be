"""Sessions of OpenMeet: tokens that name no tenant are bound to the one that has their session.

OpenMeet counts users and sessions from 1 in each tenant, and signs for all with one secret. A token
that says nothing of its tenant is taken for the one whose database has its session, of its user.
This is asked once a minute for each; what was good stays good for a while when nobody answers.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import structlog

from ..core.errors import NotFound, Unavailable, UnknownToken
from ..core.ids import TenantId
from ..openmeet.tenants import Tenant
from ..openmeet.tokens import Claims, TokenVerifier
from .turns import Turns

log = structlog.get_logger(__name__)

GOOD: Final = 60.0
"""Seconds for which a session is not asked for again."""

BAD: Final = 5.0
"""Seconds for which one that is not there is refused unasked."""

STALE: Final = 600.0
"""Seconds for which a good session stays good while OpenMeet's database is away."""

_AGAIN = 5.0
_REMEMBERED = 20_000


class SessionTable(Protocol):
    """Knows the sessions of OpenMeet's users."""

    async def has_session(self, tenant: TenantId, session: int, user: int) -> bool:
        """Whether a user has, or had, a session with a number.

        Raises:
            Unavailable: It cannot be told.
            NotFound: There is no such tenant.
        """
        ...


class _Key(NamedTuple):
    tenant: TenantId
    user: int
    session: int


@dataclass(slots=True)
class _Answer:
    good: bool
    at: float
    ask_at: float


class SessionVerifier:
    """Checks tokens, and of those that name no tenant, whether the tenant has their session.

    Args:
        verifier: Checks all else.
        accounts: OpenMeet's database.
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        accounts: SessionTable,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verifier = verifier
        self._accounts = accounts
        self._clock = clock
        self._answers: OrderedDict[_Key, _Answer] = OrderedDict()
        self._turns = Turns()

    async def verify(self, token: str, tenant: Tenant) -> Claims:
        """See :meth:`~openmeet_bridge.openmeet.tokens.TokenVerifier.verify`.

        Raises:
            Unavailable: Also: OpenMeet's database is away, and the session was not good lately.
        """
        claims = await self._verifier.verify(token, tenant)
        if tenant.keys.by_session and not claims.names_tenant:
            if claims.session is None:
                raise _refused()
            await self._check(_Key(claims.tenant, claims.user_id, claims.session))
        return claims

    async def _check(self, key: _Key) -> None:
        answer = self._answers.get(key)
        if answer is None or self._clock() >= answer.ask_at:
            async with self._turns.of(key):
                answer = self._answers.get(key)
                if answer is None or self._clock() >= answer.ask_at:
                    answer = await self._ask(key, answer)
        if not answer.good:
            raise _refused()

    async def _ask(self, key: _Key, before: _Answer | None) -> _Answer:
        began = self._clock()
        try:
            good = await self._accounts.has_session(key.tenant, key.session, key.user)
        except NotFound:
            good = False
        except Unavailable as error:
            log.warning("sessions.not_checked", tenant=key.tenant, error=error.message)
            if before is None or not before.good or began >= before.at + STALE:
                # Not the error itself, which may name what is in the database.
                text = "Sessions cannot be checked at present: try again soon."
                raise Unavailable(text, retry_after_ms=5000) from error
            before.ask_at = self._clock() + _AGAIN
            return before
        answer = _Answer(good, began, began + (GOOD if good else BAD))
        self._answers[key] = answer
        self._answers.move_to_end(key)
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return answer


def _refused() -> UnknownToken:
    return UnknownToken("The token is not valid.")
