"""Fetched keys: freshness, rotation, outages, and servers that mean no good."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import jwt

from openmeet_bridge.core.errors import Unavailable, UnknownToken
from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.openmeet.jwks import JwksKeys
from openmeet_bridge.openmeet.keys import KeyProblem
from openmeet_bridge.openmeet.tenants import KeySettings, Tenant, Tenants
from openmeet_bridge.openmeet.tokens import JoseVerifier

NOW = 1_750_000_000
ONE = rsa.generate_private_key(65537, 2048)
TWO = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


def b64(number: int, size: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


def entry(key: rsa.RSAPrivateKey, kid: str | None, **extra: Any) -> dict[str, Any]:
    fields = {"kty": "RSA", "n": b64(key.public_key().public_numbers().n, 256), "e": "AQAB"}
    return fields | ({} if kid is None else {"kid": kid}) | extra


def curve_entry(kid: str) -> dict[str, Any]:
    numbers = CURVE.public_key().public_numbers()
    point = {"x": b64(numbers.x, 32), "y": b64(numbers.y, 32)}
    return {"kty": "EC", "crv": "P-256", "kid": kid, **point}


class Issuer:
    """A server of keys that the test sets, which counts what is asked of it."""

    def __init__(self) -> None:
        self.asked = 0
        self.now = 0.0
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""
        self.entered = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()
        self.url = ""
        self.session: aiohttp.ClientSession

    def serve(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.entered.set()
        await self.hold.wait()
        return web.Response(body=self.body, status=self.status, headers=self.headers)

    async def moved(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/jwks")

    async def away(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{self.url.replace('127.0.0.1', 'localhost')}/jwks")

    def keys(self, algorithm: str = "RS256", path: str = "/jwks") -> JwksKeys:
        return JwksKeys(self.url + path, algorithm, self.session, clock=lambda: self.now)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    found = Issuer()
    app = web.Application()
    app.router.add_get("/jwks", found.answer)
    app.router.add_get("/moved", found.moved)
    app.router.add_get("/away", found.away)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        found.url, found.session = f"http://127.0.0.1:{server.port}", session
        yield found


async def test_tokens_are_checked_with_the_key_that_they_name(issuer: Issuer) -> None:
    issuer.serve(entry(ONE, "1", alg="RS256", use="sig"), entry(TWO, "2"))
    tenant = Tenant(TenantId("t"), "T", KeySettings("RS256", jwks_url=f"{issuer.url}/jwks"))
    verifier = JoseVerifier(Tenants([tenant]), issuer.session, now=lambda: NOW)
    claims = {"id": 1, "tenantId": "t", "exp": NOW + 60}
    with pytest.raises(UnknownToken):
        await verifier.verify(jwt.encode(claims, "x" * 32, "HS256", {"kid": "1"}), tenant)
    assert issuer.asked == 0
    pem = ONE.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    assert (await verifier.verify(jwt.encode(claims, pem, "RS256", {"kid": "1"}), tenant)).user_id
    for headers in ({"kid": "2"}, {"kid": "3"}, None):
        with pytest.raises(UnknownToken):
            await verifier.verify(jwt.encode(claims, pem, "RS256", headers), tenant)


async def test_no_kid_is_enough_for_one_key_only(issuer: Issuer) -> None:
    issuer.serve(entry(ONE, "1"))
    assert await issuer.keys().key(None)
    issuer.serve(entry(ONE, None))
    keys = issuer.keys()
    assert await keys.key(None)
    assert await keys.key("1") is None
    issuer.serve(entry(ONE, "1"), entry(TWO, "2"))
    assert await issuer.keys().key(None) is None


async def test_other_keys_of_the_set_are_passed_over(issuer: Issuer) -> None:
    issuer.serve(
        entry(ONE, "good", key_ops=["verify"], d="private and ignored"),
        entry(TWO, "enc", use="enc"),
        entry(TWO, "rs512", alg="RS512"),
        entry(TWO, "ops", key_ops=["encrypt"]),
        entry(TWO, "opsjunk", key_ops="verify"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
        {"kty": "RSA", "n": "!!", "e": "AQAB", "kid": "junk"},
        {"kty": "RSA", "n": 5, "e": "AQAB", "kid": "number"},
        {"kty": "RSA", "n": b64(ONE.public_key().public_numbers().n >> 1024, 128), "e": "AQAB"},
        entry(TWO, None) | {"kid": 5},
        curve_entry("ec"),
    )
    keys = issuer.keys()
    assert await keys.key("good")
    for kid in ("enc", "rs512", "ops", "opsjunk", "oct", "junk", "number", "ec"):
        assert await keys.key(kid) is None
    assert issuer.asked == 1
    assert await issuer.keys("ES256").key("ec")
    assert await issuer.keys("PS256").key("good")


async def test_rotation_costs_one_fetch_a_minute(issuer: Issuer) -> None:
    issuer.serve(entry(ONE, "1"))
    keys = issuer.keys()
    assert await keys.key("1")
    issuer.serve(entry(TWO, "2"))
    for _ in range(5):
        assert await keys.key("2") is None
    assert issuer.asked == 1
    issuer.now += 61
    assert await keys.key("2")
    assert await keys.key("1") is None
    issuer.status = 500
    issuer.now += 61
    for _ in range(5):
        assert await keys.key("3") is None
    assert issuer.asked == 3


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("", 300),
        ("no-store", 300),
        ("max-age=1", 300),
        ("public, Max-Age=1000, immutable", 1000),
        ("s-maxage=1000", 300),
        ("max-age=999999999", 86400),
    ],
)
async def test_freshness_is_bounded(issuer: Issuer, cache_control: str, seconds: float) -> None:
    issuer.serve(entry(ONE, "1"))
    issuer.headers = {"Cache-Control": cache_control}
    keys = issuer.keys()
    await keys.key("1")
    issuer.now = seconds - 1
    await keys.key("1")
    assert issuer.asked == 1
    issuer.now = seconds + 1
    await keys.key("1")
    assert issuer.asked == 2


async def test_the_last_good_set_outlives_an_outage_but_not_for_ever(issuer: Issuer) -> None:
    issuer.serve(entry(ONE, "1"))
    keys = issuer.keys()
    await keys.key("1")
    issuer.status = 503
    issuer.now = 1000
    assert await keys.key("1")
    assert await keys.key("1")
    assert issuer.asked == 2
    issuer.now = 300 + 86400 + 1
    with pytest.raises(Unavailable) as caught:
        await keys.key("1")
    assert caught.value.retry_after_ms


async def test_requests_do_not_queue_behind_a_slow_refresh(issuer: Issuer) -> None:
    issuer.serve(entry(ONE, "1"))
    keys = issuer.keys()
    await keys.key("1")
    issuer.now = 1000
    issuer.entered.clear()
    issuer.hold.clear()
    slow = asyncio.create_task(keys.key("1"))
    await issuer.entered.wait()
    async with asyncio.timeout(30):
        assert await keys.key("1")
    issuer.hold.set()
    assert await slow


async def test_a_cold_start_fetches_once_for_all_and_says_when_it_cannot(issuer: Issuer) -> None:
    issuer.serve(entry(ONE, "1"))
    keys = issuer.keys()
    assert all(await asyncio.gather(*(keys.key("1") for _ in range(10))))
    assert issuer.asked == 1
    issuer.status = 404
    cold = issuer.keys()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await cold.key("1")
    assert issuer.asked == 2
    issuer.status = 200
    issuer.now += 11
    assert await cold.key("1")


@pytest.mark.parametrize(
    "body",
    [
        b"junk",
        b"\xff",
        b"[]",
        b'{"keys": 5}',
        b'{"keys": []}',
        b'{"keys": [5]}',
        b'{"keys": [' + b"[" * 50_000,
        json.dumps({"keys": [entry(ONE, "1"), entry(TWO, "1")]}).encode(),
        json.dumps({"keys": [entry(ONE, "1")], "filler": "x" * 262_144}).encode(),
    ],
)
async def test_sets_that_are_refused(issuer: Issuer, body: bytes) -> None:
    issuer.body = body
    with pytest.raises(Unavailable):
        await issuer.keys().key("1")


async def test_redirects_stay_on_the_host(issuer: Issuer) -> None:
    issuer.serve(entry(ONE, "1"))
    assert await issuer.keys(path="/moved").key("1")
    with pytest.raises(Unavailable):  # the same keys, but at another host
        await issuer.keys(path="/away").key("1")
    issuer.status = 302
    for location in ("http://localhost:1/jwks", "//evil.example/jwks", "/jwks", "http://[", ""):
        issuer.headers = {"Location": location}
        with pytest.raises(Unavailable):
            await issuer.keys().key("1")


async def test_urls_that_are_refused(issuer: Issuer) -> None:
    for url in ("http://keys.example/jwks", "ftp://127.0.0.1/x", "https:///x", "http://[", "jwks"):
        with pytest.raises(KeyProblem):
            JwksKeys(url, "RS256", issuer.session)
    with pytest.raises(KeyProblem):
        JwksKeys("https://keys.example/jwks", "HS256", issuer.session)
    for url in ("https://keys.example/jwks", "http://[::1]/x", "http://localhost/x"):
        JwksKeys(url, "RS256", issuer.session)
