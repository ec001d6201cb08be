"""The scene: as whom the checks ask, and what they have found out so far."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from ..finding import Finding
from .advice import BRIDGE, Advice, failed
from .client import Client
from .patience import Patience
from .surface import OWN_API, Surface
from .target import Target
from .trouble import Refused, Trouble, Untrusted

UNKNOWN_HEARTBEAT = 20.0


@dataclass
class Scene:
    """What the checks share.

    Attributes:
        client: Asks as the first user.
        stranger: Asks as nobody.
        other: Asks as the second user, if there is one.
        room: Where messages may be sent, if anywhere.
        crowd: Whether the user's streams may be pushed out.
        mxid: The first user.
        surface: Which part of the bridge is there.
    """

    client: Client
    stranger: Client
    other: Client | None = None
    room: str | None = None
    crowd: bool = False
    mxid: str = ""
    surface: Surface = OWN_API

    @property
    def target(self) -> Target:
        """What is examined."""
        return self.client.target

    @property
    def patience(self) -> Patience:
        """How long is waited."""
        return self.client.patience


async def made(check: str, work: Awaitable[Finding], advice: Advice = BRIDGE) -> Finding:
    """Make a check; what goes wrong on the way is its finding.

    Args:
        check: Its name.
        work: Makes it.
        advice: What to do when it cannot be made.
    """
    try:
        return await work
    except Trouble as error:
        return failed(check, told(error), advice)


def told(error: Trouble) -> str:
    """Return an error as a sentence of a finding."""
    if isinstance(error, Refused) and error.error is not None:
        code = f" ({error.errcode})" if error.errcode else ""
        return f"refused with HTTP {error.status}{code}: {error.error.rstrip('.')}"
    if isinstance(error, Untrusted):
        return f"somebody answers, but {error}"
    return str(error)
