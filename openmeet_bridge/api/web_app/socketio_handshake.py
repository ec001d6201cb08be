"""Who a client of Socket.IO is: by what it says at the beginning, in any of three places.

The texts of the refusals are the ones that the web app knows. None of them may hold the words
"tenant" or "authorization": the app would then forget which site it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...core.errors import BridgeError, MissingToken, Unavailable, UnknownToken
from ...openmeet.tokens import NobodysToken
from ..sessions import Session, Sessions, UnknownUser, UnnamedTenant
from .socketio_said import LONGEST, Said

NO_TOKEN: Final = "Authentication error - no token provided"  # noqa: S105  (a text)
INVALID_TOKEN: Final = "Invalid authentication token"  # noqa: S105  (a text)
NOBODYS_TOKEN: Final = "Invalid token - missing user ID"  # noqa: S105  (a text)
UNKNOWN_USER: Final = "User not found"
FAILED: Final = "Error authenticating user"


class Refused(Exception):
    """A client is refused; the text is the one that it gets."""


class Hello:
    """What a client says at the beginning.

    Args:
        said: In the request with which it came.
        auth: What it has sent besides, of whatever shape; this goes first.
    """

    def __init__(self, said: Said, auth: object) -> None:
        self._said = said
        self._auth = auth if isinstance(auth, Mapping) else {}

    @property
    def token(self) -> str:
        """OpenMeet's access token; empty where there is none."""
        token = self._sent("token") or self._said.token
        scheme, _, rest = token.partition(" ")
        return rest.strip() if scheme.lower() == "bearer" else token

    @property
    def tenant(self) -> str | None:
        """The tenant that it names."""
        return self._sent("tenantId") or self._said.tenant or None

    @property
    def cursor(self) -> str | None:
        """Where it wants to go on; too long a one is cut, and so none."""
        cursor = self._sent("cursor") or self._said.cursor
        since = self._sent("since") or self._said.since
        return (cursor or since)[:LONGEST] or None

    def _sent(self, name: str) -> str:
        text = self._auth.get(name)
        return text.strip() if isinstance(text, str) else ""


class Handshake:
    """Tells who clients are.

    Args:
        sessions: Knows users by their tokens.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def session(self, hello: Hello) -> Session:
        """Return whose client it is.

        Raises:
            Refused: It is nobody's.
            Unavailable: It cannot be told at the moment; it must not be refused for that, as the
                web app does not try again then.
        """
        try:
            return await self._sessions.by_token(hello.token, hello.tenant)
        except MissingToken:
            raise Refused(NO_TOKEN) from None
        except UnnamedTenant:
            raise Refused(FAILED) from None
        except UnknownUser:
            raise Refused(UNKNOWN_USER) from None
        except NobodysToken:
            raise Refused(NOBODYS_TOKEN) from None
        except UnknownToken:
            raise Refused(INVALID_TOKEN) from None
        except Unavailable:
            raise
        except BridgeError:
            raise Refused(FAILED) from None
