"""Web API v1: what others may see of the caller."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ..bridge.preferences import Preferring
from .endpoint import Call, Endpoints
from .sessions import Session

ENDPOINTS = Endpoints(tag="Session")


class Preferences(msgspec.Struct, forbid_unknown_fields=True):
    """What others may see of the caller."""

    presence: Annotated[
        bool, Meta(description="Whether the caller is there, and when they last were.")
    ]
    receipts: Annotated[bool, Meta(description="How far the caller has read.")]


class PreferencesApi:
    """The handlers of preferences.

    Args:
        preferring: Keeps preferences.
    """

    def __init__(self, preferring: Preferring) -> None:
        self._preferring = preferring

    @ENDPOINTS.get("/api/v1/me/preferences")
    async def preferences(self, call: Call[Session, None, None, None]) -> Preferences:
        """What others may see of me."""
        kept = await self._preferring.of(call.caller.user)
        return Preferences(kept.presence, kept.receipts)

    @ENDPOINTS.put("/api/v1/me/preferences")
    async def prefer(self, call: Call[Session, None, None, Preferences]) -> Preferences:
        """Decide what others may see of me.

        Who hides their presence is offline for everybody at once, and when they were last there is
        forgotten.
        """
        caller, wanted = call.caller, call.body
        await self._preferring.put(
            caller.user, caller.mxid, presence=wanted.presence, receipts=wanted.receipts
        )
        return wanted
