"""The homeserver: reachable, in time, and holding the same registration as the bridge.

Every call here is harmless: nothing is made but the bot, which ``serve`` makes as well.
"""

from __future__ import annotations

import secrets
import time
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from ..core.ids import TenantId, UserSlug
from ..matrix.errors import HomeserverError, Refused, TokenRefused
from ..matrix.homeserver import Homeserver
from ..matrix.registration import Registration
from .finding import Finding, Report, fail, ok, skip, warn

CHECKS = ("homeserver", "clock", "as_token", "sender", "bot", "namespace", "exclusive")

SKEW_SECONDS = 5.0
RELOAD = "name the registration file in app_service_config_files and restart the homeserver"

_PATIENCE = aiohttp.ClientTimeout(total=10.0, sock_connect=5.0)
# What Synapse says of a user that the application service may not, or may, act as. It is the one
# way to look at the namespaces that it holds without making a user.
_OUTSIDE = "cannot masquerade"
_INSIDE = "has not registered"


async def examine(
    session: aiohttp.ClientSession,
    api: Homeserver,
    url: str,
    registration: Registration,
    report: Report,
) -> bool:
    """Check the homeserver.

    Returns:
        Whether the bot can act: what comes after needs it.
    """
    reachable = await _reachable(api, url)
    report(reachable)
    if reachable.fix:
        return _skip_rest(report, CHECKS[1:], "needs the homeserver")
    report(await _clock(session, url))
    token = await _token(api)
    report(token)
    if token.fix:
        return _skip_rest(report, CHECKS[3:], "needs an as_token that is accepted")
    report(await _sender(api, registration))
    bot = await _bot(api, registration)
    report(bot)
    report(await _namespace(api, registration))
    report(await _exclusive(session, url, registration))
    return not bot.fix


async def _reachable(api: Homeserver, url: str) -> Finding:
    try:
        versions = (await api.versions()).versions
    except HomeserverError as error:
        fix = "start the homeserver, or correct homeserver.url"
        return fail("homeserver", f"{url} does not answer as one: {error}", fix)
    return ok("homeserver", f"{url} answers and speaks up to {versions[-1] if versions else '?'}")


async def _clock(session: aiohttp.ClientSession, url: str) -> Finding:
    skew = await _skew(session, f"{url.rstrip('/')}/_matrix/client/versions")
    if skew is None:
        return skip("clock", "the homeserver's answer has no date")
    text = f"the homeserver's clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
    if abs(skew) > SKEW_SECONDS:
        return warn(
            "clock", text, "set both machines' clocks by NTP: tokens and times depend on it"
        )
    return ok("clock", "the same on both sides, to a second or two" if abs(skew) < 2 else text)


async def _skew(session: aiohttp.ClientSession, url: str) -> float | None:
    """Return how far the other clock is ahead, in seconds; None where it does not tell."""
    began = time.time()
    try:
        async with session.get(URL(url), timeout=_PATIENCE, allow_redirects=False) as answer:
            date = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
    # The header is cut to whole seconds.
    return date.timestamp() + 0.5 - (began + time.time()) / 2


async def _token(api: Homeserver) -> Finding:
    try:
        await api.whoami()
    except TokenRefused as error:
        fix = f"{RELOAD}: it reads the file only at its start"
        return fail("as_token", f"the homeserver does not know it ({error.errcode})", fix)
    except HomeserverError as error:
        if not isinstance(error, Refused):
            return fail("as_token", str(error), "see the homeserver's log")
    return ok("as_token", "accepted")


async def _sender(api: Homeserver, registration: Registration) -> Finding:
    wanted = f"@{registration.sender_localpart}:{registration.server_name}"
    try:
        sender = (await api.whoami()).user_id
    except HomeserverError as error:
        return skip("sender", f"the homeserver does not tell: {error}")
    if sender == wanted:
        return ok("sender", f"{sender}, as in the registration")
    theirs = sender.partition(":")[2]
    if theirs != registration.server_name:
        text = f"the homeserver's name is {theirs}, not {registration.server_name}"
        return fail("sender", text, f"set homeserver.server_name to {theirs}")
    return fail("sender", f"the homeserver has {sender}, the registration {wanted}", RELOAD)


async def _bot(api: Homeserver, registration: Registration) -> Finding:
    try:
        made = await api.register_ghost(registration.bot_localpart)
        bot = (await api.whoami(registration.bot)).user_id
    except Refused as error:
        text = f"{registration.bot} cannot be used: {error}"
        return fail("bot", text, f"the namespaces differ, or it is deactivated: {RELOAD}")
    except HomeserverError as error:
        return fail("bot", str(error), "see the homeserver's log")
    return ok("bot", f"{bot} {'was made now' if made else 'is there'}")


async def _namespace(api: Homeserver, registration: Registration) -> Finding:
    """Ask for users that nobody has registered, inside and outside of the namespace."""
    nobody = UserSlug(secrets.token_hex(8))
    inside = registration.naming.ghost(TenantId("doctor"), nobody)
    outside = [
        f"{inside}.evil.example",
        inside.replace(f":{registration.server_name}", ":evil.example"),
        inside.replace(f"@{registration.prefix}", "@", 1),
    ]
    if await _allowed(api, inside) is False:
        return fail("namespace", f"the homeserver's does not have {inside}", RELOAD)
    answers = {user: await _allowed(api, user) for user in outside}
    wide = [user for user, allowed in answers.items() if allowed]
    if wide:
        text = "the homeserver's is wider than the registration's and takes what is not ours"
        return fail("namespace", text, RELOAD, wide)
    if None in answers.values():
        return skip("namespace", "the homeserver words its refusals in a way not known here")
    return ok("namespace", "the homeserver has our users and no look-alikes")


async def _allowed(api: Homeserver, user_id: str) -> bool | None:
    """Return whether the bridge may act as a user; None when the answer cannot be told."""
    try:
        await api.whoami(user_id)
    except Refused as error:
        if _OUTSIDE in error.message:
            return False
        return True if _INSIDE in error.message else None
    except HomeserverError:
        return None
    return True


async def _exclusive(
    session: aiohttp.ClientSession, url: str, registration: Registration
) -> Finding:
    """Ask, as a stranger, whether a name of ours could be registered."""
    name = registration.naming.ghost_localpart(TenantId("doctor"), UserSlug(secrets.token_hex(8)))
    address = URL(f"{url.rstrip('/')}/_matrix/client/v3/register/available")
    try:
        async with session.get(
            address.with_query(username=name), timeout=_PATIENCE, allow_redirects=False
        ) as answer:
            status, body = answer.status, await answer.text(errors="replace")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return skip("exclusive", f"the homeserver does not tell: {type(error).__name__}")
    if status == 200:
        text = "anybody may register our names"
        return fail("exclusive", text, f"exclusive must be true in the namespaces: {RELOAD}")
    if "M_EXCLUSIVE" in body:
        return ok("exclusive", "nobody else may register our names")
    if status == 403:
        return ok("exclusive", "registration is closed, so nobody else can take our names")
    return skip("exclusive", f"the homeserver does not tell (status {status})")


def _skip_rest(report: Report, checks: tuple[str, ...], why: str) -> bool:
    for check in checks:
        report(skip(check, why))
    return False
