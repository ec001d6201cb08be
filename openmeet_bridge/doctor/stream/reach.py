"""The way to the bridge: is it there, does it refuse as documented, and who are we to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs

from ..finding import Finding, Report, fail, ok, skip, warn
from .advice import ADDRESS, CERTIFICATE, ERROR_PAGES, ROUTE, UPSTREAM, failed
from .client import Answer, Client
from .scene import Scene, made, told
from .surface import WEB_APP_API, Who
from .target import SOCKET, STREAM, WEB_APP_EVENTS
from .trouble import Refused, Silent, Trouble, Unreachable, Untrusted

CHECKS: Final = ("address", "refusal", "token", "second_token")

_ME = "/api/v1/me"
_NONSENSE = "no-token-of-anybody"
_UPSTREAM_AWAY = frozenset({502, 503, 504, *range(520, 528), 530})
_GIVE = "give another token: with --token-file, --token or OPENMEET_TOKEN"
_KNOWN = ("nginx", "caddy", "haproxy", "cloudflare", "envoy", "traefik", "apache")


async def examine(scene: Scene, seconds: float, report: Report) -> bool:
    """Check the way.

    Args:
        scene: As whom is asked.
        seconds: How long the examination takes at most; tokens should live longer.
        report: Takes the findings.

    Returns:
        Whether the first user is let in: what comes after needs it.
    """
    address = await _address(scene)
    report(address)
    if address.fix:
        for check in CHECKS[1:]:
            report(skip(check, "needs an answer of the bridge"))
        return False
    report(await made("refusal", _refusal(scene), ERROR_PAGES))
    token, who = await _token(scene, scene.client, "token", seconds)
    report(token)
    if who is None:
        report(skip("second_token", "needs the first one"))
        return False
    scene.mxid = who.mxid
    report(await _second(scene, seconds))
    return True


async def _address(scene: Scene) -> Finding:
    try:
        answer = await scene.stranger.ask("GET", _ME)
        if not _is_bridges(answer, "errcode") and await _has_web_app(scene.stranger):
            scene.surface = WEB_APP_API
            by = _proxy(answer.headers)
            text = "the bridge answers what OpenMeet's web app calls; its own API is elsewhere"
            return ok("address", f"{text}{f'; through {by}' if by else ''}")
    except Untrusted as error:
        return failed("address", told(error), CERTIFICATE)
    except (Unreachable, Silent) as error:
        return failed("address", f"nobody answers: {error}", ADDRESS)
    except Trouble as error:
        return failed("address", f"what answers is no bridge: {error}", ROUTE)
    return _answered(answer)


async def _has_web_app(stranger: Client) -> bool:
    return _is_bridges(await stranger.ask("GET", WEB_APP_EVENTS), "statusCode")


def _is_bridges(answer: Answer, key: str) -> bool:
    """Whether a refusal has the shape of one of the bridge's surfaces."""
    return answer.status == 401 and f'"{key}"'.encode() in answer.body


def _answered(answer: Answer) -> Finding:
    refused = Refused(answer.status, answer.headers, answer.body)
    by = _proxy(answer.headers)
    if answer.status == 401:
        return ok("address", f"the bridge answers{f', through {by}' if by else ''}")
    if 300 <= answer.status < 400:
        place = answer.headers.get(hdrs.LOCATION, "elsewhere")
        return fail("address", f"it leads on to {place}", "give the address that it leads to")
    if answer.status in _UPSTREAM_AWAY:
        text = f"{by or 'a proxy'} answers, and does not reach the bridge (HTTP {answer.status})"
        return failed("address", text, UPSTREAM)
    return failed("address", f"somebody else answers than the bridge: {refused}", ROUTE)


def _proxy(headers: Mapping[str, str]) -> str:
    """Return by whom an answer says that it was passed on; empty where it says nothing."""
    said = f"{headers.get(hdrs.SERVER, '')} {headers.get(hdrs.VIA, '')}".lower()
    return next((name for name in _KNOWN if name in said), "")


async def _refusal(scene: Scene) -> Finding:
    """What clients decide by: without a token, and with one that is none."""
    if not scene.surface.whole:
        return skip("refusal", "needs the bridge's own API")
    wrong = []
    bearer: dict[str, str] = {hdrs.AUTHORIZATION: f"Bearer {_NONSENSE}"}
    cases: tuple[tuple[str, Mapping[str, str], str], ...] = (
        ("without a token", {}, "M_MISSING_TOKEN"),
        ("with a wrong one", bearer, "M_UNKNOWN_TOKEN"),
    )
    for path in (STREAM, SOCKET):
        for how, headers, errcode in cases:
            answer = await scene.stranger.ask("GET", path, headers=headers)
            flaws = _flaws(answer, errcode)
            wrong += [f"{path} {how}: {flaw}" for flaw in flaws]
    if wrong:
        text = "who has no good token is not told so as documented"
        return fail("refusal", text, ERROR_PAGES.fix, [*wrong, *ERROR_PAGES.settings])
    return ok("refusal", "streams want a token, and say so as documented")


def _flaws(answer: Answer, errcode: str) -> list[str]:
    refused = Refused(answer.status, answer.headers, answer.body)
    if answer.status != 401:
        return [f"HTTP {answer.status} in place of 401"]
    if refused.errcode is None:
        return [f"the body is another's: {refused}"]
    flaws = []
    if refused.errcode != errcode:
        flaws.append(f"{refused.errcode} in place of {errcode}")
    if "bearer" not in answer.headers.get(hdrs.WWW_AUTHENTICATE, "").lower():
        flaws.append("no WWW-Authenticate: Bearer")
    return flaws


async def _token(
    scene: Scene, client: Client, check: str, seconds: float
) -> tuple[Finding, Who | None]:
    try:
        who = await scene.surface.who(client)
    except Trouble as error:
        return fail(check, told(error), _GIVE), None
    name = f"{who.mxid} of {who.tenant}" if who.tenant else who.mxid
    rest = seconds if who.expires_at is None else who.expires_at / 1000 - time.time()
    if rest < seconds:
        text = f"{name}, but the token ends in {max(rest, 0):.0f} s: streams end with it"
        return warn(check, text, "give one that lives longer than the examination"), who
    return ok(check, name), who


async def _second(scene: Scene, seconds: float) -> Finding:
    if scene.other is None:
        return skip("second_token", "none was given: only the first user reads")
    finding, who = await _token(scene, scene.other, "second_token", seconds)
    if who is None:
        scene.other = None
    elif who.mxid == scene.mxid:
        scene.other = None
        return warn("second_token", "it is the first user's as well", "give another user's")
    return finding
