"""The way back: the homeserver reaches the bridge, with the right token, and sends typing too."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from ..core.events import NUDGE
from ..core.ids import RoomId
from ..matrix.errors import HomeserverError, PingFailed, Refused
from ..matrix.homeserver import Homeserver
from ..matrix.registration import Registration
from .finding import Finding, Report, fail, ok, skip
from .homeserver import RELOAD
from .running_bridge import WitnessError

CHECKS: Final = ("ping", "alias", "typing")

_PING_SECONDS = 1.0
_TYPING_SECONDS = 3.0
_TYPING_TRIES = 3
_TYPING_TIMEOUT_MS = 15_000
_POLL_SECONDS = 0.1
_FIXES = {
    "M_CONNECTION_FAILED": "the homeserver cannot connect to it: is the address right from the "
    "homeserver's machine, and does listen.homeserver accept it?",
    "M_CONNECTION_TIMEOUT": "nothing answers there: look for a firewall, and at `url` of the "
    "registration",
    "M_BAD_STATUS": "something else answers there: compare `url` of the registration with "
    "listen.homeserver",
}


class Witness(Protocol):
    """Who sees what the homeserver sends: a running bridge, or the doctor's own listener."""

    held_back: int
    strangers: int

    async def saw_ping(self, transaction_id: str) -> bool: ...

    async def saw_typing(self, room_id: RoomId, since_ms: int) -> bool: ...

    def check_room_is(self, room_id: RoomId) -> None: ...


async def examine(
    api: Homeserver, registration: Registration, witness: Witness, report: Report
) -> None:
    """Check the way from the homeserver to the bridge."""
    try:
        ping = await _ping(api, registration, witness)
        report(ping)
        if ping.fix:
            report(skip("alias", "needs the way back"))
            report(skip("typing", "needs the way back"))
            return
        room_id, alias = await _room(api, registration)
        report(alias)
        if room_id is None:
            report(skip("typing", "needs the bot's check room"))
            return
        report(await _typing(api, registration, room_id, witness))
    except WitnessError as error:
        report(fail("witness", str(error), "run the doctor of the version that serves"))


async def _ping(api: Homeserver, registration: Registration, witness: Witness) -> Finding:
    transaction_id = uuid.uuid4().hex
    failure: PingFailed | None = None
    try:
        await api.ping(registration.id, transaction_id)
    except PingFailed as error:
        # No verdict: Synapse says this also of a ping that came through while it was retrying.
        failure = error
    except Refused as error:
        text = f"the homeserver refuses to ping: {error}"
        return fail("ping", text, f"`id` or `url` differ from the homeserver's: {RELOAD}")
    except HomeserverError as error:
        return fail("ping", str(error), "see the homeserver's log")
    if await _eventually(lambda: witness.saw_ping(transaction_id), _PING_SECONDS):
        return ok("ping", f"the homeserver reached {registration.url} and showed our hs_token")
    return _not_seen(registration, witness, failure)


def _not_seen(registration: Registration, witness: Witness, failure: PingFailed | None) -> Finding:
    if witness.strangers or (failure is not None and "HTTP 403" in failure.message):
        text = "the homeserver reached the bridge, but showed another hs_token"
        return fail("ping", text, RELOAD)
    if failure is None:
        text = f"the homeserver reached something at {registration.url}, but not this bridge"
        return fail("ping", text, "let `url` of the registration lead to listen.homeserver")
    text = f"the homeserver does not reach {registration.url}: {failure.message}"
    return fail("ping", text, _FIXES.get(failure.errcode or "", "see the homeserver's log"))


async def _room(api: Homeserver, registration: Registration) -> tuple[RoomId | None, Finding]:
    """Find or make the bot's check room; its alias is a look at the alias namespace as well."""
    alias = registration.naming.nudge_alias
    try:
        room_id = await _find_or_make(api, registration, alias)
        taken = await _is_taken(api, registration, alias, room_id)
    except Refused as error:
        text = f"{alias} cannot be used: {error}"
        return None, fail("alias", text, f"the alias namespaces differ: {RELOAD}")
    except HomeserverError as error:
        return None, fail("alias", str(error), "see the homeserver's log")
    state = "is the bot's check room" if taken else "points at the bot's check room again"
    return room_id, ok("alias", f"{alias} {state}")


async def _find_or_make(api: Homeserver, registration: Registration, alias: str) -> RoomId:
    room_id = await api.resolve_alias(alias)
    if room_id is not None:
        return room_id
    localpart = registration.naming.nudge_localpart
    body = {"room_alias_name": localpart, "preset": "private_chat", "name": "Bridge check"}
    try:
        return await api.create_room(registration.bot, body)
    except Refused:
        # The bridge was quicker, if the alias is there now.
        room_id = await api.resolve_alias(alias)
        if room_id is None:
            raise
        return room_id


async def _is_taken(
    api: Homeserver, registration: Registration, alias: str, room_id: RoomId
) -> bool:
    # An alias that exists is refused with 409, but only after the namespace was looked at.
    try:
        await api.create_alias(alias, room_id, registration.bot)
    except Refused as error:
        if error.status != 409:
            raise
        return True
    return False


async def _typing(
    api: Homeserver, registration: Registration, room_id: RoomId, witness: Witness
) -> Finding:
    witness.check_room_is(room_id)
    try:
        for _ in range(_TYPING_TRIES):
            if await _typing_arrives(api, registration, room_id, witness):
                return ok("typing", "arrives")
            if witness.held_back:
                break
            await _wake(api, registration, room_id)
    except HomeserverError as error:
        return fail("typing", f"the bot cannot type: {error}", "see the homeserver's log")
    if witness.held_back:
        text = "events wait at the homeserver for the bridge, which sends no typing until then"
        return skip("typing", text, "openmeet-bridge serve, then the doctor again")
    fix = f"receive_ephemeral must be true in the registration: {RELOAD}"
    return fail("typing", "does not arrive", fix)


async def _typing_arrives(
    api: Homeserver, registration: Registration, room_id: RoomId, witness: Witness
) -> bool:
    bot = registration.bot
    # A notice that is there already would not be sent again.
    await api.typing(room_id, bot, False)
    began = _now_ms()
    await api.typing(room_id, bot, True, _TYPING_TIMEOUT_MS)
    seen = await _eventually(lambda: witness.saw_typing(room_id, began), _TYPING_SECONDS)
    ended = _now_ms()
    await api.typing(room_id, bot, False)
    if seen:
        # Its end must find a listener, or the homeserver takes the bridge for gone.
        await _eventually(lambda: witness.saw_typing(room_id, ended), _TYPING_SECONDS)
    return seen


async def _wake(api: Homeserver, registration: Registration, room_id: RoomId) -> None:
    """Make a homeserver that waits before it tries again do so now: an event, then a ping."""
    await api.send_event(room_id, NUDGE, f"omdoctor{uuid.uuid4().hex}", {}, registration.bot)
    try:
        await api.ping(registration.id)
    except PingFailed:
        return


async def _eventually(holds: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
