"""Tokens: what is accepted, and every forgery that is known to have worked somewhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st
from jose import jwt

from openmeet_bridge.core.errors import BridgeError, MissingToken, UnknownToken
from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.openmeet.keys import KeyProblem, secret_key
from openmeet_bridge.openmeet.tenants import KeySettings, Tenant, Tenants, service_key_digest
from openmeet_bridge.openmeet.tokens import JoseVerifier, check_keys, unverified_tenant

NOW = 1_750_000_000
SECRET = b"a secret of more than thirty-two bytes"
OTHER_SECRET = b"another secret of more than 32 bytes!!"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
CLAIMS = {"id": 7, "slug": "ann-x1", "tenantId": "t1", "iat": NOW - 10, "exp": NOW + 900}

Signing = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def pem(key: Signing) -> str:
    """The public half, as a configuration has it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def private_pem(key: Signing) -> str:
    """The private half, as python-jose signs with it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def b64(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(algorithm: str) -> str:
    """The first two parts of a token."""
    return ".".join(b64(json.dumps(part).encode()) for part in ({"alg": algorithm}, CLAIMS))


def forged(header: Any, payload: Any, secret: bytes = SECRET) -> str:
    """A token with any header and payload, signed with HMAC-SHA-256 all the same."""
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)
    ]
    signed = ".".join(map(b64, parts))
    return f"{signed}.{b64(hmac.digest(secret, signed.encode(), 'sha256'))}"


def hs(claims: dict[str, Any], headers: dict[str, Any] | None = None) -> str:
    """A token as OpenMeet signs it."""
    return jwt.encode(claims, SECRET, "HS256", headers)


def tenant(tenant_id: str = "t1", **settings: Any) -> Tenant:
    """A tenant with HS256 unless told otherwise."""
    keys = {"algorithm": "HS256", **settings}
    if not {"secret", "public_key", "jwks_url"} & keys.keys():
        keys["secret"] = SECRET
    return Tenant(TenantId(tenant_id), "One", KeySettings(**keys))


async def verify(token: str, one: Tenant | None = None, now: float = NOW) -> Any:
    """Checks a token for a tenant at a time."""
    one = one or tenant()
    return await JoseVerifier(Tenants([one]), now=lambda: now).verify(token, one)


async def refused(token: str, one: Tenant | None = None, now: float = NOW) -> str:
    """Asserts that a token is refused in the one shape, and returns the sentence."""
    with pytest.raises(UnknownToken) as caught:
        await verify(token, one, now)
    assert (caught.value.status, caught.value.errcode) == (401, "M_UNKNOWN_TOKEN")
    assert not caught.value.fields
    return caught.value.message


async def test_a_token_of_openmeet_is_accepted() -> None:
    claims = await verify(hs({**CLAIMS, "role": {"id": 2}, "sessionId": 12}))
    assert (claims.tenant, claims.user_id, claims.slug) == ("t1", 7, "ann-x1")
    assert claims.expires_at_ms == (NOW + 900) * 1000
    assert claims.subject is None


async def test_the_forger_of_these_tests_can_write_a_valid_token() -> None:
    header = {"alg": "HS256", "typ": "JWT", "kid": "any", "cty": "json"}
    assert await verify(forged(header, CLAIMS))


async def test_an_older_token_has_no_slug_and_a_newer_one_a_subject() -> None:
    claims = await verify(hs({"id": 7, "tenantId": "t1", "exp": NOW + 1.5, "sub": "7"}))
    assert claims.slug is None
    assert claims.subject == "7"
    assert claims.expires_at_ms == NOW * 1000 + 1500


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("ES256", EC)])
async def test_asymmetric_tokens(algorithm: str, key: Signing) -> None:
    one = tenant(algorithm=algorithm, public_key=pem(key))
    token = jwt.encode(CLAIMS, private_pem(key), algorithm, {"kid": "any"})
    assert (await verify(token, one)).user_id == 7
    assert await refused(token[:-8] + "AAAAAAAA", one) == "The token is not valid."


async def test_ps256_which_the_library_lacks() -> None:
    one = tenant(algorithm="PS256", public_key=pem(RSA))
    signed = unsigned("PS256")
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    token = f"{signed}.{b64(RSA.sign(signed.encode(), pss, hashes.SHA256()))}"
    assert (await verify(token, one)).user_id == 7
    await refused(f"{signed}.{b64(bytes(256))}", one)
    pkcs1 = RSA.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    await refused(f"{signed}.{b64(pkcs1)}", one)


async def test_the_injected_clock_governs() -> None:
    token = hs(CLAIMS)
    assert await verify(token, now=NOW + 900 + 29)
    assert await refused(token, now=NOW + 900 + 30) == "The token has expired."
    assert await refused(token, now=NOW + 10**8) == "The token has expired."
    assert await refused(hs({**CLAIMS, "exp": NOW - 31})) == "The token has expired."


async def test_nothing_is_said_of_an_expired_token_with_a_wrong_signature() -> None:
    expired = {**CLAIMS, "exp": 1}
    token = forged({"alg": "HS256"}, expired, OTHER_SECRET)
    assert await refused(token) == "The token is not valid."


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "HS512", "RS256", "ES256", "", "X"])
async def test_the_algorithm_is_the_tenants(algorithm: str) -> None:
    await refused(forged({"alg": algorithm}, CLAIMS))


async def test_none_without_a_signature() -> None:
    bare = unsigned("none") + "."
    await refused(bare)
    await refused(bare + "AA")


def public_forms(key: Signing) -> list[bytes]:
    """The public key in each form that a confused library could take as an HMAC secret."""
    public = key.public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    forms = [
        public.public_bytes(encoding, spki)
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER)
    ]
    if isinstance(public, rsa.RSAPublicKey):
        n = public.public_numbers().n
        fields = {"kty": "RSA", "n": b64(n.to_bytes(256, "big")), "e": "AQAB"}
        pkcs1 = serialization.PublicFormat.PKCS1
        forms += [
            json.dumps(fields).encode(),
            public.public_bytes(serialization.Encoding.DER, pkcs1),
            public.public_bytes(serialization.Encoding.PEM, pkcs1),
        ]
    return forms


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("PS256", RSA), ("ES256", EC)])
async def test_a_public_key_is_no_secret(algorithm: str, key: Signing) -> None:
    one = tenant(algorithm=algorithm, public_key=pem(key))
    for form in public_forms(key):
        for claimed in ("HS256", algorithm):
            await refused(forged({"alg": claimed}, CLAIMS, form), one)


async def test_a_token_of_the_other_family_for_a_secret() -> None:
    await refused(jwt.encode(CLAIMS, private_pem(RSA), "RS256"))


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"jku": "https://evil.example/jwks"},
        {"jwk": {"kty": "oct", "k": b64(SECRET)}},
        {"x5u": "https://evil.example"},
        {"x5c": []},
        {"b64": False},
        {"zip": "DEF"},
        {"kid": 5},
        {"kid": "k" * 257},
        {"typ": None, "alg": ["HS256"]},
    ],
)
async def test_the_header_holds_four_names_only(extra: dict[str, Any]) -> None:
    await refused(forged({"alg": "HS256", "typ": "JWT", **extra}, CLAIMS))


@pytest.mark.parametrize(
    "change",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": -1},
        {"exp": NOW * 1000},
        {"exp": 10**400},
        {"iat": NOW + 31},
        {"iat": "now"},
        {"iat": -(10**400)},
        {"nbf": NOW + 31},
        {"id": None},
        {"id": 0},
        {"id": -7},
        {"id": True},
        {"id": "7"},
        {"id": 7.5},
        {"id": 2**63},
        {"slug": 7},
        {"tenantId": "t2"},
        {"tenantId": ""},
        {"tenantId": 1},
        {"tenantId": None},
    ],
)
async def test_claims_that_are_refused(change: dict[str, Any]) -> None:
    assert await refused(forged({"alg": "HS256"}, {**CLAIMS, **change})) == (
        "The token is not valid."
    )


@pytest.mark.parametrize("name", ["exp", "id", "tenantId"])
async def test_claims_that_must_be_there(name: str) -> None:
    await refused(hs({key: value for key, value in CLAIMS.items() if key != name}))


async def test_an_optional_tenant_claim_must_still_be_right() -> None:
    one = tenant(tenant_claim_required=False)
    without = {key: value for key, value in CLAIMS.items() if key != "tenantId"}
    assert (await verify(hs(without), one)).tenant == "t1"
    assert await verify(hs(CLAIMS), one)
    await refused(hs({**CLAIMS, "tenantId": "t2"}), one)


async def test_a_token_says_whether_it_names_its_tenant_and_session() -> None:
    one = tenant(tenant_claim_required=False, by_session=True)
    nameless = {key: value for key, value in CLAIMS.items() if key != "tenantId"}
    named = await verify(hs(CLAIMS | {"sessionId": 12}), one)
    assert (named.names_tenant, named.session) == (True, 12)
    strange: list[Any] = [None, "abc", True, 0, -1, 1.5, 2**63, {}]
    for session in strange:
        claims = await verify(hs(nameless | {"sessionId": session}), one)
        assert (claims.names_tenant, claims.session) == (False, None)
    await refused(hs(CLAIMS | {"sessionId": 12, "tenantId": "t2"}), one)


async def test_the_empty_tenant_is_a_tenant() -> None:
    one = tenant("")
    assert (await verify(hs({**CLAIMS, "tenantId": ""}), one)).tenant == ""
    await refused(hs(CLAIMS), one)


async def test_the_longest_lifetime() -> None:
    one = tenant(max_lifetime=3600)
    assert await verify(hs({**CLAIMS, "exp": NOW + 3500}), one)
    await refused(hs({**CLAIMS, "exp": NOW + 10 * 365 * 86400}), one)
    without = {"id": 7, "tenantId": "t1"}
    assert await verify(hs({**without, "exp": NOW + 3600}), one)
    await refused(hs({**without, "exp": NOW + 3700}), one)


async def test_audiences_and_issuers() -> None:
    one = tenant(audiences=frozenset({"chat", "web"}), issuers=frozenset({"https://om.example"}))
    good = {**CLAIMS, "iss": "https://om.example", "aud": ["other", "web"]}
    assert await verify(hs(good), one)
    assert await verify(hs({**good, "aud": "chat"}), one)
    changes: list[dict[str, Any]] = [
        {"aud": None},
        {"aud": []},
        {"aud": "x"},
        {"aud": 5},
        {"iss": None},
    ]
    for change in changes:
        await refused(forged({"alg": "HS256"}, {**good, **change}), one)
    await refused(hs(CLAIMS), one)


@pytest.mark.parametrize("payload", [[], "x", 7, None, b"not json", b"\xff\xfe", b"[" * 4000])
async def test_a_signed_payload_that_is_no_object(payload: Any) -> None:
    await refused(forged({"alg": "HS256"}, payload))


@pytest.mark.parametrize("header", [[], "HS256", None, b"{", b"\xff", b"[" * 4000, {}])
async def test_a_header_that_is_none(header: Any) -> None:
    await refused(forged(header, CLAIMS))


async def test_the_shape_of_a_token() -> None:
    token = hs(CLAIMS)
    head, payload, signature = token.split(".")
    for junk in (
        f"{token}.x",
        f"{head}.{payload}",
        f"{head}..{signature}",
        f"{token}=",
        f" {token}",
        f"{token}\n",
        f"{head}.{payload}.!{signature}",
        f"{head}.{payload}.{signature}é",
        "\ud800.\ud800.\ud800",
        "ünï.cödé.☃",
        "a.b.c",
        "....",
    ):
        await refused(junk)
    with pytest.raises(MissingToken):
        await verify("")


async def test_a_huge_token_is_not_looked_at() -> None:
    token = hs({**CLAIMS, "filler": "x" * 8192})
    assert len(token) > 8192
    await refused(token)
    with pytest.raises(UnknownToken):
        unverified_tenant(token)


@given(
    st.text(max_size=200) | st.from_regex(r"[\w-]{1,40}\.[\w-]{1,40}\.[\w-]{1,40}", fullmatch=True)
)
def test_anything_else_is_refused_and_never_breaks(junk: str) -> None:
    try:
        unverified_tenant(junk)
    except BridgeError as error:
        # Nearly all junk ends here; a well-formed token by chance would be fine, too.
        if error.status != 401:
            raise


async def test_the_named_tenant_only_chooses_keys() -> None:
    assert unverified_tenant(hs(CLAIMS)) == "t1"
    assert unverified_tenant(hs({"id": 1})) is None
    for token in (forged({"alg": "HS256"}, {"tenantId": 5}), forged({"alg": "HS256"}, b"junk")):
        with pytest.raises(UnknownToken):
            unverified_tenant(token)


async def test_each_tenant_has_its_own_key() -> None:
    one, two = tenant("t1"), tenant("t2", secret=OTHER_SECRET)
    verifier = JoseVerifier(Tenants([one, two]), now=lambda: NOW)
    assert (await verifier.verify(hs(CLAIMS), one)).tenant == "t1"
    for claims in (CLAIMS, {**CLAIMS, "tenantId": "t2"}):
        with pytest.raises(UnknownToken):
            await verifier.verify(hs(claims), two)


def der(key: Signing) -> bytes:
    """The public key as DER, the form that slips through python-jose's own check."""
    return public_forms(key)[1]


SMALL_RSA = rsa.generate_private_key(65537, 1024)
P384 = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"secret": b"short"}, "32 bytes"),
        ({"secret": der(RSA)}, "DER"),
        ({"secret": pem(RSA).encode()}, "asymmetric"),
        ({"algorithm": "RS256", "secret": SECRET}, "public key"),
        ({"algorithm": "HS256", "public_key": pem(RSA)}, "secret"),
        ({"algorithm": "RS256", "public_key": pem(EC)}, "RSA"),
        ({"algorithm": "ES256", "public_key": pem(RSA)}, "P-256"),
        ({"algorithm": "ES256", "public_key": pem(P384)}, "P-256"),
        ({"algorithm": "RS256", "public_key": pem(SMALL_RSA)}, "2048"),
        ({"algorithm": "RS256", "public_key": private_pem(RSA)}, "private"),
        ({"algorithm": "RS256", "public_key": "junk"}, "PEM"),
        ({"algorithm": "HS512", "secret": SECRET * 2}, "one of"),
        ({"algorithm": "none", "secret": SECRET}, "one of"),
        ({"secret": SECRET, "jwks_url": "https://x.example"}, "exactly one"),
        ({"algorithm": "RS256", "jwks_url": "https://x.example"}, "session"),
    ],
)
def test_keys_that_must_not_be_used(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(KeyProblem, match=says) as caught:
        JoseVerifier(Tenants([tenant(**settings)]))
    assert "'t1'" in str(caught.value)


def test_settings_can_be_checked_without_a_tenant() -> None:
    check_keys(KeySettings("RS256", jwks_url="https://x.example"))
    with pytest.raises(KeyProblem):
        check_keys(KeySettings("HS256"))
    with pytest.raises(KeyProblem):
        secret_key(SECRET, "RS256")
    assert SECRET.decode() not in repr(tenant())


def test_tenants_are_looked_up() -> None:
    tenants = Tenants([tenant("t1"), tenant("t2", secret=OTHER_SECRET)])
    assert len(tenants) == 2
    assert [one.id for one in tenants] == ["t1", "t2"]
    assert tenants.get("t2").id == "t2"
    with pytest.raises(UnknownToken, match="unknown"):
        tenants.get("t3")
    with pytest.raises(ValueError, match="twice"):
        Tenants([tenant("t1"), tenant("t1")])


def test_shared_keys_need_the_claim() -> None:
    Tenants([tenant("t1"), tenant("t2")])
    with pytest.raises(ValueError, match="same JWT key"):
        Tenants([tenant("t1"), tenant("t2", tenant_claim_required=False)])
    Tenants([tenant("t1"), tenant("t2", tenant_claim_required=False, by_session=True)])
    apart = [
        tenant(name, tenant_claim_required=False, issuers=frozenset({name}))
        for name in ("t1", "t2")
    ]
    assert len(Tenants(apart)) == 2


def test_service_keys() -> None:
    keys = KeySettings("HS256", secret=SECRET)
    digests = (service_key_digest("k1"), service_key_digest("k2"))
    one = Tenant(TenantId("t1"), "One", keys, digests)
    two = Tenant(TenantId("t2"), "Two", keys, (hashlib.sha256(b"k3").digest(),))
    tenants = Tenants([one, two])
    assert tenants.by_service_key("t1", "k2") is one
    assert tenants.by_service_key("t2", "k3") is two
    messages = set()
    for tenant_id, key in [("t1", "k3"), ("t2", "k1"), ("t3", "k1"), ("t1", "\ud800"), ("t1", "é")]:
        with pytest.raises(UnknownToken) as caught:
            tenants.by_service_key(tenant_id, key)
        messages.add(caught.value.message)
    assert len(messages) == 1
    with pytest.raises(MissingToken):
        tenants.by_service_key("t1", "")
