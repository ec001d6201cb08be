"""What a call to the homeserver can end with when it does not succeed.

Three ends, because a caller has three things to do: try again when the server is back
(:class:`HomeserverUnavailable`), try again at a named time (:class:`RateLimited`), or give up
and tell the person why (:class:`Refused`). Bodies and tokens are in none of them.
"""

from __future__ import annotations

from typing import ClassVar


class HomeserverError(Exception):
    """Root of everything that a call to the homeserver raises.

    Args:
        message: A sentence for people and logs; never a body, never a token.
        status: HTTP status of the answer, None when there was none.
        errcode: Matrix error code of the answer, None when it had none.
    """

    retryable: ClassVar[bool] = True

    def __init__(
        self, message: str, *, status: int | None = None, errcode: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.errcode = errcode


class HomeserverUnavailable(HomeserverError):
    """No usable answer: connection, timeout, 5xx, or an answer that is not Matrix at all.

    The call may or may not have had its effect; only idempotent calls may be repeated blindly.
    """


class PingFailed(HomeserverUnavailable):
    """The homeserver answers us, but could not reach the bridge at the registration's ``url``.

    ``errcode`` says how: ``M_CONNECTION_FAILED``, ``M_CONNECTION_TIMEOUT``, ``M_BAD_STATUS``
    (client-server API, "Application service ping"). Synapse answers ``M_CONNECTION_FAILED`` also
    while it is retrying a transaction, so the bridge's own ping handler is the better witness.
    """


class RateLimited(HomeserverError):
    """429 (client-server API, "Rate limiting").

    Args:
        message: The homeserver's sentence.
        retry_after_ms: How long to wait, in milliseconds; a default where the answer had none.
        errcode: ``M_LIMIT_EXCEEDED``, as a rule.
    """

    def __init__(self, message: str, *, retry_after_ms: int, errcode: str | None = None) -> None:
        super().__init__(message, status=429, errcode=errcode)
        self.retry_after_ms = retry_after_ms


class Refused(HomeserverError):
    """The homeserver understood, and says no. The same call again gets the same answer.

    Its ``__cause__`` is mautrix' own error class for the code.

    Args:
        status: HTTP status, 4xx.
        errcode: Matrix error code.
        message: The homeserver's sentence.
    """

    retryable: ClassVar[bool] = False
    status: int
    errcode: str

    def __init__(self, status: int, errcode: str, message: str) -> None:
        super().__init__(message, status=status, errcode=errcode)

    def __str__(self) -> str:
        return f"{self.status} {self.errcode}: {self.message}"


class TokenRefused(Refused):
    """The ``as_token`` is not known: the registration differs from what the homeserver loaded.

    Nothing that the bridge sends can succeed until an operator acts, so a message that meets
    this must be kept, not failed.
    """
