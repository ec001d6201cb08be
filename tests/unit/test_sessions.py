"""Who is calling: every way to say it, and every way in which it must not be believed."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from jose import jwt

from openmeet_bridge.api.sessions import Session, Sessions
from openmeet_bridge.bridge.identity import Identity
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.errors import BridgeError, Forbidden, MissingToken, UnknownToken
from openmeet_bridge.core.ids import TenantId, UserSlug
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.openmeet.tenants import KeySettings, Tenant, Tenants, service_key_digest
from openmeet_bridge.openmeet.tokens import JoseVerifier

NOW = 1_750_000_000
SECRETS = {
    "lake": "a secret of more than 32 bytes: lake",
    "sea": "a secret of more than 32 bytes: sea!",
}
NAMING = Naming("test")
PAGE = "https://openmeet.example"
OPENMEETS_PAGE = "https://app.example"


class Comers:
    """OpenMeet's other users, who become known when somebody asks for them."""

    def __init__(self, known: list[User]) -> None:
        self.known = known
        self.others = [User(TenantId("lake"), UserSlug("cid-x1"), 8, "Cid", None)]

    async def user(self, tenant: TenantId, openmeet_id: int) -> User | None:
        for one in self.others:
            if (one.tenant, one.openmeet_id) == (tenant, openmeet_id):
                self.known.append(one)
                return one
        return None


class KnownUsers(Identity):
    """The users of a directory in memory."""

    def __init__(self) -> None:
        self.ticket_lifetime = 30.0
        self.known = [
            User(TenantId("lake"), UserSlug("ann-x1"), 7, "Ann", None),
            User(TenantId("sea"), UserSlug("bea-x1"), 7, "Bea", "https://a/b.png"),
        ]
        self.tickets = {"good": (self.known[0], NOW * 1000 + 5)}
        self.newcomers = Comers(self.known)

    async def user(
        self, tenant: TenantId, openmeet_id: int, slug: str | None, issued_at: float | None = None
    ) -> User | None:
        for one in self.known:
            if (one.tenant, one.openmeet_id) == (tenant, openmeet_id) and slug in (None, one.slug):
                return one
        return None

    async def spend_ticket(self, secret: str) -> tuple[User, int] | None:
        return self.tickets.pop(secret, None)


def tenant(name: str) -> Tenant:
    keys = KeySettings("HS256", secret=SECRETS[name].encode(), tenant_claim_required=False)
    digest = service_key_digest(f"key of {name}")
    return Tenant(TenantId(name), name.title(), keys, (digest,))


@pytest.fixture
def sessions() -> Sessions:
    tenants = Tenants([tenant("lake"), tenant("sea")])
    verifier = JoseVerifier(tenants, now=lambda: NOW)
    users = KnownUsers()
    return Sessions(users, tenants, verifier, NAMING, users.newcomers, frozenset({OPENMEETS_PAGE}))


def token(of: str = "lake", **changes: Any) -> str:
    claims = {"id": 7, "tenantId": of, "iat": NOW - 10, "exp": NOW + 900, **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, SECRETS[of], "HS256")


def request(method: str = "GET", path: str = "/", **headers: str) -> web.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request(method, path, {"Host": "openmeet.example", **named})


def service_request(tenant_id: str, **headers: str) -> web.Request:
    made = request(**headers)
    made.match_info["tenant"] = tenant_id
    return made


def bearer(text: str) -> str:
    return f"Bearer {text}"


def cookie(text: str) -> str:
    return f"other=1; openmeet_token={text}"


async def refused(sessions: Sessions, asked: web.Request) -> UnknownToken:
    with pytest.raises(UnknownToken) as caught:
        await sessions.user(asked)
    assert (caught.value.status, caught.value.errcode) == (401, "M_UNKNOWN_TOKEN")
    return caught.value


def is_ann(session: Session) -> bool:
    return (session.tenant_id, session.user.name) == ("lake", "Ann")


# Tokens


async def test_a_token_in_the_header(sessions: Sessions) -> None:
    session = await sessions.user(request(Authorization=bearer(token())))
    assert is_ann(session)
    assert session.mxid == NAMING.ghost(TenantId("lake"), UserSlug("ann-x1"))
    assert session.person.mxid == session.mxid
    assert (session.person.name, session.person.slug) == ("Ann", "ann-x1")
    assert session.expires_at_ms == (NOW + 900) * 1000


@pytest.mark.parametrize("form", ["bearer {}", "BEARER {}", "Bearer  {} "])
async def test_the_scheme_has_no_case(sessions: Sessions, form: str) -> None:
    assert is_ann(await sessions.user(request(Authorization=form.format(token()))))


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": ""}])
async def test_no_token(sessions: Sessions, header: dict[str, str]) -> None:
    with pytest.raises(MissingToken) as caught:
        await sessions.user(request(**header))
    assert (caught.value.status, caught.value.errcode) == (401, "M_MISSING_TOKEN")


@pytest.mark.parametrize("text", ["", " ", "x", "a.b.c", "....", "Bearer"])
async def test_no_such_token(sessions: Sessions, text: str) -> None:
    with pytest.raises(BridgeError) as caught:
        await sessions.user(request(Authorization=bearer(text)))
    assert caught.value.status == 401


async def test_an_expired_token(sessions: Sessions) -> None:
    await refused(sessions, request(Authorization=bearer(token(exp=NOW - 600))))


async def test_a_token_of_somebody_who_is_not_known(sessions: Sessions) -> None:
    await refused(sessions, request(Authorization=bearer(token(id=9))))


async def test_a_token_of_somebody_who_is_new(sessions: Sessions) -> None:
    await refused(sessions, request(Authorization=bearer(token(id=8, slug="dan-x1"))))
    session = await sessions.user(request(Authorization=bearer(token(id=8, slug="cid-x1"))))
    assert session.user.name == "Cid"


async def test_a_number_and_a_slug_that_do_not_fit(sessions: Sessions) -> None:
    assert is_ann(await sessions.user(request(Authorization=bearer(token(slug="ann-x1")))))
    await refused(sessions, request(Authorization=bearer(token(slug="ben-x1"))))


# Tenants


@pytest.mark.parametrize("claim", ["lake", None])
async def test_a_tenant_named_by_header_or_query(sessions: Sessions, claim: str | None) -> None:
    proof = bearer(token(tenantId=claim))
    assert is_ann(await sessions.user(request(Authorization=proof, X_Tenant_Id="lake")))
    assert is_ann(await sessions.user(request(path="/?tenantId=lake", Authorization=proof)))


async def test_the_header_names_the_tenant_before_the_query(sessions: Sessions) -> None:
    asked = request(path="/?tenantId=sea", Authorization=bearer(token()), X_Tenant_Id="lake")
    assert is_ann(await sessions.user(asked))


async def test_a_token_that_names_no_tenant_needs_one_named(sessions: Sessions) -> None:
    error = await refused(sessions, request(Authorization=bearer(token(tenantId=None))))
    assert "X-Tenant-Id" in error.message


@pytest.mark.parametrize("claim", ["lake", None])
@pytest.mark.parametrize("named", ["sea", "", "nowhere", "LAKE"])
async def test_a_token_is_of_no_other_tenant(
    sessions: Sessions, named: str, claim: str | None
) -> None:
    proof = bearer(token(tenantId=claim))
    await refused(sessions, request(Authorization=proof, X_Tenant_Id=named))
    await refused(sessions, request(path=f"/?tenantId={named}", Authorization=proof))


async def test_a_claim_does_not_choose_the_keys_of_another_tenant(sessions: Sessions) -> None:
    await refused(sessions, request(Authorization=bearer(token("sea", tenantId="lake"))))


async def test_the_same_number_is_somebody_else_in_another_tenant(sessions: Sessions) -> None:
    session = await sessions.user(request(Authorization=bearer(token("sea"))))
    assert (session.tenant_id, session.user.name) == ("sea", "Bea")


# Cookies


async def test_a_cookie_reads(sessions: Sessions) -> None:
    assert is_ann(await sessions.user(request(Cookie=cookie(token()))))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_cookie_writes_only_for_scripts_of_ours(sessions: Sessions, method: str) -> None:
    with pytest.raises(Forbidden) as caught:
        await sessions.user(request(method, Cookie=cookie(token())))
    assert "X-Requested-With" in caught.value.message
    with pytest.raises(Forbidden):
        await sessions.user(request(method, Cookie=cookie(token()), X_Requested_With="other"))
    guarded = request(method, Cookie=cookie(token()), X_Requested_With="openmeet")
    assert is_ann(await sessions.user(guarded))


async def test_a_header_needs_no_guard(sessions: Sessions) -> None:
    assert is_ann(await sessions.user(request("PUT", Authorization=bearer(token()))))


async def test_a_header_goes_before_a_cookie(sessions: Sessions) -> None:
    both = request("PUT", Authorization=bearer(token()), Cookie=cookie(token("sea")))
    assert is_ann(await sessions.user(both))
    await refused(sessions, request(Authorization=bearer(token(id=9)), Cookie=cookie(token())))


async def test_an_empty_cookie_is_none(sessions: Sessions) -> None:
    with pytest.raises(MissingToken):
        await sessions.user(request(Cookie="openmeet_token="))


@pytest.mark.parametrize("origin", [None, PAGE, "http://openmeet.example", OPENMEETS_PAGE])
async def test_a_socket_with_a_cookie_from_a_page_of_ours(
    sessions: Sessions, origin: str | None
) -> None:
    named = {} if origin is None else {"Origin": origin}
    asked = request(Cookie=cookie(token()), Upgrade="websocket", **named)
    assert is_ann(await sessions.stream(asked))


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://openmeet.example.evil.example",
        "https://openmeet.example:444",
        "https://evil.example//openmeet.example",
        "openmeet.example",
        "null",
        "",
    ],
)
async def test_a_socket_with_a_cookie_from_another_page(sessions: Sessions, origin: str) -> None:
    with pytest.raises(Forbidden) as caught:
        await sessions.stream(request(Cookie=cookie(token()), Upgrade="websocket", Origin=origin))
    assert caught.value.status == 403


async def test_a_socket_with_a_header_may_come_from_anywhere(sessions: Sessions) -> None:
    asked = request(
        Authorization=bearer(token()), Upgrade="websocket", Origin="https://evil.example"
    )
    assert is_ann(await sessions.stream(asked))


# Tickets


async def test_a_ticket_opens_one_stream(sessions: Sessions) -> None:
    asked = request(path="/api/v1/stream?ticket=good", Origin="https://evil.example")
    session = await sessions.stream(asked)
    assert is_ann(session)
    assert session.expires_at_ms == NOW * 1000 + 5
    with pytest.raises(UnknownToken):
        await sessions.stream(asked)


async def test_a_bad_ticket_is_not_made_good_by_a_cookie(sessions: Sessions) -> None:
    for ticket in ("", "bad"):
        asked = request(path=f"/api/v1/stream?ticket={ticket}", Cookie=cookie(token()))
        with pytest.raises(UnknownToken):
            await sessions.stream(asked)


async def test_a_ticket_is_for_streams_only(sessions: Sessions) -> None:
    with pytest.raises(MissingToken):
        await sessions.user(request(path="/?ticket=good"))


# Service keys


async def test_a_service_key_is_of_one_tenant(sessions: Sessions) -> None:
    key = bearer("key of lake")
    found = await sessions.service(service_request("lake", Authorization=key))
    assert found.id == "lake"
    for other in ("sea", "nowhere", ""):
        with pytest.raises(UnknownToken):
            await sessions.service(service_request(other, Authorization=key))


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer "}, {"Cookie": cookie("x")}])
async def test_no_service_key(sessions: Sessions, header: dict[str, str]) -> None:
    with pytest.raises(MissingToken):
        await sessions.service(service_request("lake", **header))


async def test_a_users_token_is_no_service_key(sessions: Sessions) -> None:
    asked = service_request("lake", Authorization=bearer(token()))
    with pytest.raises(UnknownToken):
        await sessions.service(asked)
    with pytest.raises(BridgeError):
        await sessions.user(request(Authorization=bearer("key of lake")))
