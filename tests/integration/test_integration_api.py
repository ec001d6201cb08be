"""The integration API of a running bridge, without a homeserver: what is written, and refused."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from openmeet_bridge.api.batch import MOST_CHANGES
from openmeet_bridge.openmeet.webhook_signature import signed_headers

from ..support.bridge import HERE, THERE, Settings, running_bridge
from ..support.databases import Databases
from ..support.openmeet import Answer, Backend
from ..support.ports import free_port
from ..support.world import World, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOWHERE = "http://127.0.0.1:1"
SNAPSHOT_BYTES = 512 << 10
WEBHOOK_SECRET = "what the tenant here signs events with"
Json = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    databases: Databases, registration_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """One bridge for all tests of this module; each makes its own people and groups."""
    settings = Settings(
        tmp_path_factory.mktemp("bridge"),
        databases.create(),
        registration_file,
        NOWHERE,
        free_port(),
        {"limits": {"snapshot_bytes": SNAPSHOT_BYTES}},
        {HERE.id: {"webhook_secret": WEBHOOK_SECRET}},
    )
    async with running_bridge(settings), connected(settings, NOWHERE) as world:
        yield world


@pytest.fixture
def here(world: World) -> Backend:
    return world.here


def some(name: str) -> str:
    """A slug that no other test has."""
    return f"{name}-{secrets.token_hex(4)}"


async def people(backend: Backend, *names: str) -> list[str]:
    """Write users; return their slugs."""
    slugs = [some(name) for name in names]
    await backend.batch(*({"op": "put_user", "slug": slug, "name": slug} for slug in slugs))
    return slugs


def whats(answer: Mapping[str, Any]) -> list[tuple[str, str, str | None]]:
    """The differences of an answer: kind, what, member."""
    return [(one["kind"], one["what"], one.get("member")) for one in answer["differences"]]


def fields(answer: Answer) -> Json:
    """What an error says of fields."""
    found: Json = answer.body.get("fields", {})
    return found


# Single things


async def test_a_user_is_written_once(here: Backend) -> None:
    slug = some("ann")
    details = {"name": "Ann", "id": 1, "avatar_url": "https://x.example/a.png", "active": True}
    first = await here.do("PUT", f"/users/{slug}", details)
    assert first["state"] == "pending"
    assert first["matrix_user_id"] == f"@om_here_{slug}:localhost"
    assert first["differences"] == [{"kind": "user", "slug": slug, "what": "added"}]
    again = await here.do("PUT", f"/users/{slug}", details)
    assert again["differences"] == []
    assert again["revision"] == first["revision"]
    changed = await here.do("PUT", f"/users/{slug}", details | {"name": "Anna", "active": False})
    (difference,) = changed["differences"]
    assert difference["fields"] == ["name", "active"]
    assert changed["revision"] == first["revision"] + 1
    assert (await here.do("GET", f"/users/{slug}/status"))["revision"] == changed["revision"]


async def test_a_meetup_has_times_and_a_group(world: World, here: Backend) -> None:
    group, meetup = some("hikers"), some("walk")
    await here.do("PUT", f"/groups/{group}", {"name": "Hikers", "visibility": "public"})
    answer = await here.do(
        "PUT",
        f"/meetups/{meetup}",
        {
            "name": "Walk",
            "group": group,
            "status": "published",
            "starts_at": "2026-05-01T18:30:00+02:00",
            "ends_at": "2026-05-01T20:30:00.5Z",
        },
    )
    assert answer["alias"] == f"#om_here_meetup_{meetup}:localhost"
    again = await here.do(
        "PUT",
        f"/meetups/{meetup}",
        {
            "name": "Walk",
            "group": group,
            "status": "published",
            "starts_at": "2026-05-01T16:30:00Z",
            "ends_at": "2026-05-01T20:30:00.500Z",
        },
    )
    assert again["differences"] == []
    rows = await world.sql('SELECT "group" FROM directory_portal WHERE slug = $1', meetup)
    assert rows[0]["group"] == group


async def test_a_slug_may_have_any_characters(here: Backend) -> None:
    slug = some("Ü/ä ?#%&+@:.é漢")
    path = f"/users/{quote(slug, safe='')}"
    await here.do("PUT", path, {"name": "Any"})
    assert (await here.do("GET", f"{path}/status"))["matrix_user_id"].startswith("@om_here_")
    group = f"/groups/{quote(slug, safe='')}"
    await here.do("PUT", group, {"name": "Any"})
    await here.do("PUT", f"{group}/members/{quote(slug, safe='')}", {"role": "owner"})
    assert list(await here.members(group)) == [slug]


async def test_a_removal_is_done_once(here: Backend) -> None:
    (ann,) = await people(here, "ann")
    assert whats(await here.do("DELETE", f"/users/{ann}")) == [("user", "removed", None)]
    assert whats(await here.do("DELETE", f"/users/{ann}")) == []
    assert (await here.ask("DELETE", f"/users/{some('nobody')}")).status == 404


async def test_a_dry_run_leaves_nothing(world: World, here: Backend) -> None:
    before = (await here.do("GET", "/status"))["revision"]
    slug = some("ann")
    answer = await here.do("PUT", f"/users/{slug}", {"name": "Ann"}, {"dry_run": "true"})
    assert (answer["state"], whats(answer)) == ("absent", [("user", "added", None)])
    change = {"op": "put_user", "slug": slug, "name": "Ann"}
    assert (await here.batch(change, dry_run="true"))["counts"] == {"user.added": 1}
    assert (await here.ask("GET", f"/users/{slug}/status")).status == 404
    # Not the whole status: jobs of the tests before are done meanwhile.
    assert (await here.do("GET", "/status"))["revision"] == before
    assert not await world.sql("SELECT FROM ghost WHERE slug = $1", slug)
    assert not await world.sql("SELECT FROM job WHERE slug = $1", slug)


async def test_a_write_may_ask_for_a_revision(here: Backend) -> None:
    revision = (await here.do("GET", "/status"))["revision"]
    slug = some("ann")
    path, details = f"/users/{slug}", {"name": "Ann"}
    late = await here.ask("PUT", path, details, {"if_revision": str(revision + 1)})
    assert (late.status, late.errcode) == (409, "ORG_OPENMEET_CONFLICT")
    await here.do("PUT", path, details, {"if_revision": str(revision)})
    late = await here.ask("POST", "/batch", {"changes": []}, {"if_revision": str(revision)})
    assert late.status == 409


async def test_names_change(here: Backend) -> None:
    ann, ben = await people(here, "ann", "ben")
    group, new_group, new_ann = some("hikers"), some("walkers"), some("anna")
    await here.do("PUT", f"/groups/{group}", {"name": "Hikers"})
    await here.do("PUT", f"/direct-chats/{ann}/{ben}")
    answer = await here.do("POST", f"/users/{ann}/rename", {"to": new_ann})
    assert whats(answer) == [("user", "renamed", None), ("direct", "renamed", None)]
    assert answer["matrix_user_id"] == f"@om_here_{ann}:localhost"
    await here.do("GET", f"/direct-chats/{new_ann}/{ben}/status")
    answer = await here.do("POST", f"/groups/{group}/rename", {"to": new_group})
    assert answer["alias"] == f"#om_here_group_{new_group}:localhost"
    for path, to in ((f"/users/{ann}", new_ann), (f"/groups/{group}", new_group)):
        assert (await here.do("POST", f"{path}/rename", {"to": to}))["differences"] == []
        assert (await here.ask("GET", f"{path}/status")).status == 404
    taken = await here.ask("POST", f"/users/{new_ann}/rename", {"to": ben})
    assert (taken.status, fields(taken)) == (409, {"body.to": "is taken"})
    unknown = await here.ask("POST", f"/users/{ann}/rename", {"to": some("x")})
    assert (unknown.status, fields(unknown)) == (404, {"path.user": "is not known"})
    long = await here.ask("POST", f"/users/{ben}/rename", {"to": "ü" * 200})
    assert (long.status, list(fields(long))) == (400, ["body.to"])


async def test_blocks(here: Backend) -> None:
    ann, ben = await people(here, "ann", "ben")
    path = f"/users/{ann}/blocks"
    assert whats(await here.do("PUT", f"{path}/{ben}")) == [("user", "changed", None)]
    assert whats(await here.do("PUT", f"{path}/{ben}")) == []
    assert await here.do("GET", path) == {"blocked": [ben]}
    refused = await here.ask("PUT", f"/direct-chats/{ben}/{ann}")
    assert refused.status == 409
    oneself = await here.ask("PUT", f"{path}/{ann}")
    assert (oneself.status, fields(oneself)) == (400, {"path.other": "is the user"})
    nobody = await here.ask("PUT", f"{path}/{some('x')}")
    assert (nobody.status, fields(nobody)) == (404, {"path.other": "is not known"})
    await here.do("DELETE", f"{path}/{ben}")
    await here.do("DELETE", f"{path}/{ben}")
    assert await here.do("GET", path) == {"blocked": []}
    assert (await here.ask("GET", f"/users/{some('x')}/blocks")).status == 404


async def test_an_erased_user_never_comes_back(here: Backend) -> None:
    (ann,) = await people(here, "ann")
    assert (await here.ask("GET", f"/users/{ann}/erasure")).status == 404
    begun = await here.ask("POST", f"/users/{ann}/erase")
    assert (begun.status, begun.body["state"]) == (202, "running")
    assert (await here.do("GET", f"/users/{ann}/erasure"))["requested_at"] > 1_700_000_000_000
    back = await here.ask("PUT", f"/users/{ann}", {"name": "Ann"})
    assert (back.status, back.errcode) == (409, "ORG_OPENMEET_CONFLICT")
    assert (await here.ask("POST", f"/users/{some('x')}/erase")).status == 404


# Members


async def test_the_whole_set_of_members_is_replaced(here: Backend) -> None:
    ann, ben, cem = await people(here, "ann", "ben", "cem")
    path = f"/groups/{some('hikers')}"
    await here.do("PUT", path, {"name": "Hikers"})
    first = {"members": [{"user": ann, "role": "owner"}, {"user": ben}]}
    answer = await here.do("PUT", f"{path}/members", first)
    assert whats(answer)[-2:] == [("group", "added", ann), ("group", "added", ben)]
    assert (await here.do("PUT", f"{path}/members", first))["differences"] == []
    second = {"members": [{"user": cem}, {"user": ben, "role": "guest"}]}
    answer = await here.do("PUT", f"{path}/members", second)
    assert whats(answer) == [
        ("group", "removed", ann),
        ("group", "added", cem),
        ("group", "changed", ben),
    ]
    found = await here.members(path)
    assert [(one["user"], one["role"]) for one in found.values()] == [
        (ben, "guest"),
        (cem, "member"),
    ]
    assert (found[ben]["should_be"], found[ben]["why"]) == ("out", "role")
    assert (found[cem]["should_be"], found[cem]["why"]) == ("in", "pending")
    assert not found[cem]["in_room"]


async def test_why_somebody_is_not_in_a_room(here: Backend) -> None:
    ann, ben, cem, dan = await people(here, "ann", "ben", "cem", "dan")
    path = f"/meetups/{some('walk')}"
    await here.do("PUT", path, {"name": "Walk"})
    await here.do("PUT", f"{path}/members/{ann}", {"role": "participant", "status": "cancelled"})
    await here.do("PUT", f"{path}/members/{ben}", {"role": "participant", "status": "banned"})
    await here.do("PUT", f"{path}/members/{cem}", {"role": "visitor", "status": "confirmed"})
    await here.do("PUT", f"{path}/members/{dan}", {"role": "host"})
    await here.do("PUT", f"/users/{dan}", {"name": "Dan", "active": False})
    found = await here.members(path)
    whys = {one: (found[one]["should_be"], found[one]["why"]) for one in found}
    assert whys == {
        ann: ("out", "status"),
        ben: ("banned", "banned"),
        cem: ("out", "role"),
        dan: ("out", "inactive"),
    }
    assert (await here.ask("GET", f"/groups/{some('x')}/members")).status == 404


async def test_members_that_cannot_be(here: Backend) -> None:
    (ann,) = await people(here, "ann")
    path = f"/groups/{some('hikers')}"
    nowhere = await here.ask("PUT", f"{path}/members", {"members": []})
    assert (nowhere.status, fields(nowhere)) == (404, {"path.slug": "is not known"})
    await here.do("PUT", path, {"name": "Hikers"})
    body = {"members": [{"user": ann}, {"user": some("x")}]}
    stranger = await here.ask("PUT", f"{path}/members", body)
    assert (stranger.status, list(fields(stranger))) == (404, ["body.members[1].user"])
    twice = await here.ask("PUT", f"{path}/members", {"members": [{"user": ann}, {"user": ann}]})
    assert (twice.status, fields(twice)) == (400, {"body": f"`members` has '{ann}' twice"})
    assert await here.members(path) == {}


# Batches


async def test_a_batch_has_every_change(here: Backend) -> None:
    ann, ben, group, meetup = some("ann"), some("ben"), some("hikers"), some("walk")
    answer = await here.batch(
        {"op": "put_user", "slug": ann, "name": "Ann"},
        {"op": "put_user", "slug": ben, "name": "Ben"},
        {"op": "put_group", "slug": group, "name": "Hikers"},
        {"op": "put_meetup", "slug": meetup, "name": "Walk", "group": group},
        {"op": "put_member", "kind": "group", "slug": group, "user": ann, "role": "owner"},
        {"op": "replace_members", "kind": "meetup", "slug": meetup, "members": [{"user": ben}]},
        {"op": "put_direct", "first": ann, "second": ben},
        {"op": "put_block", "blocker": ann, "blocked": ben},
    )
    assert answer["counts"] == {
        "direct.added": 1,
        "direct.member.added": 2,
        "group.added": 1,
        "group.member.added": 1,
        "meetup.added": 1,
        "meetup.member.added": 1,
        "user.added": 2,
        "user.changed": 1,
    }
    answer = await here.batch(
        {"op": "delete_block", "blocker": ann, "blocked": ben},
        {"op": "delete_direct", "first": ben, "second": ann},
        {"op": "delete_member", "kind": "group", "slug": group, "user": ann},
        {"op": "rename", "kind": "group", "slug": group, "to": f"{group}-2"},
        {"op": "rename_user", "slug": ann, "to": f"{ann}-2"},
        {"op": "delete", "kind": "meetup", "slug": meetup},
        {"op": "delete_user", "slug": ben},
        {"op": "delete_user", "slug": ben},
    )
    assert answer["counts"] == {
        "direct.removed": 1,
        "group.member.removed": 1,
        "group.renamed": 1,
        "meetup.removed": 1,
        "user.changed": 1,
        "user.removed": 1,
        "user.renamed": 1,
    }


async def test_a_batch_is_made_whole_or_not(here: Backend) -> None:
    slug = some("ann")
    revision = (await here.do("GET", "/status"))["revision"]
    good = [{"op": "put_user", "slug": f"{slug}-{number}", "name": "A"} for number in range(17)]
    bad = {"op": "put_member", "kind": "group", "slug": some("x"), "user": f"{slug}-1"}
    refused = await here.ask("POST", "/batch", {"changes": [*good, bad]})
    assert refused.status == 404
    assert fields(refused) == {"body.changes[17].slug": "is not known"}
    assert (await here.ask("GET", f"/users/{slug}-1/status")).status == 404
    assert (await here.do("GET", "/status"))["revision"] == revision


def refused_changes() -> Iterator[tuple[Json, str]]:
    user: Json = {"op": "put_user", "slug": "x", "name": "X"}
    meetup: Json = {"op": "put_meetup", "slug": "x", "name": "X"}
    yield {}, "op"
    yield {"op": "nonsense"}, "op"
    yield {"op": "put_user", "slug": "x"}, "name"
    yield user | {"slug": ""}, "slug"
    yield user | {"slug": "x" * 256}, "slug"
    yield user | {"slug": "x" * 250}, "slug"
    yield user | {"id": 0}, "id"
    yield user | {"id": 2**63}, "id"
    yield user | {"id": -(2**70)}, "id"
    yield user | {"id": 1.5}, "id"
    yield user | {"name": "X\0"}, "name"
    yield user | {"avatar_url": "ftp://x"}, "avatar_url"
    yield user | {"matrix_user_id": "nobody"}, "matrix_user_id"
    yield user | {"unknown": 1}, "unknown"
    yield meetup | {"starts_at": "2026-05-01T18:30:00"}, "starts_at"
    yield meetup | {"starts_at": 1_795_000_000_000}, "starts_at"
    yield meetup | {"starts_at": "0001-01-01T00:00:00+01:00"}, ""
    yield meetup | {"ends_at": "9999-12-31T23:00:00-01:00"}, ""
    yield meetup | {"status": "over"}, "status"
    yield meetup | {"visibility": None}, "visibility"
    yield {"op": "put_direct", "first": "x", "second": "x"}, "second"
    yield {"op": "delete", "kind": "direct", "slug": "x"}, "kind"


@pytest.mark.parametrize(("change", "field"), list(refused_changes()), ids=str)
async def test_a_refused_change_is_named(here: Backend, change: Json, field: str) -> None:
    answer = await here.ask("POST", "/batch", {"changes": [change]})
    assert answer.status == 400, answer
    place = "body.changes[0]" + (f".{field}" if field else "")
    assert list(fields(answer)) == [place]


async def test_a_batch_has_a_limit(here: Backend) -> None:
    change = {"op": "delete_user", "slug": some("x")}
    assert (await here.batch(*[change] * MOST_CHANGES))["differences"] == []
    answer = await here.ask("POST", "/batch", {"changes": [change] * (MOST_CHANGES + 1)})
    assert (answer.status, list(fields(answer))) == (400, ["body.changes"])


async def test_half_a_character_is_refused(world: World, here: Backend) -> None:
    headers = {"Authorization": f"Bearer {HERE.service_key}", "Content-Type": "application/json"}
    for raw in (rb'{"name": "\ud83d"}', b'{"name": "\xff"}', b'{"name"', b""):
        async with world.session.put(f"{here.url}/users/x", data=raw, headers=headers) as answer:
            found = await answer.json()
            half = b"ud83d" in raw  # JSON that holds it can be read, and told where it stands
            assert answer.status == 400
            assert found["errcode"] == ("M_BAD_JSON" if half else "M_NOT_JSON")
            assert list(found.get("fields", ())) == (["body.name"] if half else [])
    for slug in ("%00", "x" * 300):
        url = f"{here.url}/users/{slug}"
        async with world.session.put(url, json={"name": "X"}, headers=headers) as answer:
            assert answer.status == 400
            assert list((await answer.json())["fields"]) == ["path.user"]


# Snapshots


async def test_a_snapshot_is_all_there_is(world: World) -> None:
    there = world.there
    users = [{"slug": f"u{number}", "name": f"U{number}", "id": number} for number in range(1, 9)]
    members = [{"user": f"u{number}"} for number in range(1, 9)]
    whole: Json = {
        "users": users,
        "groups": [{"slug": "g1", "id": 1, "name": "G", "members": members}],
        "meetups": [{"slug": "m1", "id": 1, "name": "M", "group": "g1", "members": members[:3]}],
        "directs": [{"first": "u2", "second": "u1"}],
    }
    plan = await there.do("PUT", "/snapshot", whole, {"dry_run": "true"})
    made = await there.do("PUT", "/snapshot", whole)
    assert made["counts"]["user.added"] == plan["counts"]["user.added"] == 8
    assert made["counts"]["group.member.added"] == 8
    assert made["counts"]["meetup.added"] == made["counts"]["direct.added"] == 1
    again = await there.do("PUT", "/snapshot", whole)
    assert (again["counts"], again["revision"]) == ({}, made["revision"])
    users[0]["slug"] = "u-one"
    for entry in (whole["groups"][0], whole["meetups"][0]):
        entry["members"] = [{"user": "u-one"}, *entry["members"][1:]]
    whole["directs"] = []
    renamed = await there.do("PUT", "/snapshot", whole)
    assert renamed["counts"] == {"direct.renamed": 1, "user.renamed": 1}
    status = await there.do("GET", "/users/u-one/status")
    assert status["matrix_user_id"] == "@om_there_u1:localhost"


async def test_a_snapshot_does_not_remove_much_unasked(world: World) -> None:
    there = world.there
    before = await there.do("GET", "/status")
    empty: Json = {"users": [], "groups": [], "meetups": []}
    users = [{"op": "put_user", "slug": f"u{number}", "name": "U"} for number in range(30, 40)]
    await there.batch(*users)
    refused = await there.ask("PUT", "/snapshot", empty)
    assert (refused.status, list(fields(refused))) == (409, ["query.allow_removals"])
    assert "of " in refused.body["error"]
    status = await there.do("GET", "/status")
    assert status["revision"] == before["revision"] + 1
    late = {"allow_removals": "true", "if_revision": str(before["revision"])}
    assert (await there.ask("PUT", "/snapshot", empty, late)).status == 409
    made = await there.do("PUT", "/snapshot", empty, {"allow_removals": "true"})
    assert made["counts"]["user.removed"] >= 10


async def test_a_snapshot_that_cannot_be(here: Backend) -> None:
    user = {"slug": "a", "name": "A"}
    whole: Json = {"users": [user], "groups": [], "meetups": [], "directs": []}
    cases: list[tuple[Json, str]] = [
        ({"users": [user, user]}, "body.users[1].slug"),
        ({"users": [user | {"id": 1}, user | {"id": 1, "slug": "b"}]}, "body.users[1].id"),
        ({"users": [user | {"slug": "ü" * 100}]}, "body.users[0].slug"),
        ({"groups": [{"slug": "g", "name": "G"}]}, "body.groups[0].members"),
        (
            {"groups": [{"slug": "g", "name": "G", "members": [{"user": "x"}]}]},
            "body.groups[0].members[0].user",
        ),
        (
            {"meetups": [{"slug": "g", "name": "G", "members": [{"user": "a"}] * 2}]},
            "body.meetups[0]",
        ),
        ({"directs": [{"first": "a", "second": "a"}]}, "body.directs[0].second"),
        ({"directs": [{"first": "a", "second": "x"}]}, "body.directs[0].second"),
        ({"meetups": None}, "body.meetups"),
    ]
    for change, place in cases:
        answer = await here.ask("PUT", "/snapshot", whole | change)
        assert (answer.status, list(fields(answer))) == (400, [place]), change
    del whole["groups"]
    answer = await here.ask("PUT", "/snapshot", whole)
    assert list(fields(answer)) == ["body.groups"]


async def test_only_bulk_may_be_large(here: Backend) -> None:
    group: Json = {"op": "put_group", "slug": some("big"), "name": "Big"}
    changes = [group | {"topic": "t" * 2000}] * 150
    assert len(json.dumps(changes)) > 300_000
    await here.batch(*changes, dry_run="true")
    large = {"name": "x", "topic": "t" * 300_000}
    assert (await here.ask("PUT", f"/groups/{some('g')}", large)).status == 413
    huge: Json = {"changes": [], "more": "x" * SNAPSHOT_BYTES}
    assert (await here.ask("POST", "/batch", huge)).status == 413


# Progress


async def test_jobs_are_listed_page_by_page(world: World, here: Backend) -> None:
    await people(here, *(["job"] * 5))
    status = await here.do("GET", "/status")
    assert status["pending"] >= 5
    assert not status["settled"]
    pending: list[Json] = []
    query = {"state": "pending", "limit": "2"}
    while True:
        page = await here.do("GET", "/jobs", None, query)
        assert len(page["jobs"]) <= 2
        pending += page["jobs"]
        if "next" not in page:
            break
        query["after"] = page["next"]
    names = [(one["kind"], one["slug"]) for one in pending]
    assert len(set(names)) == len(names) >= 5
    rows = await world.sql(
        "SELECT count(*) FROM job WHERE tenant = 'here' AND wanted > done AND NOT permanent"
    )
    assert rows[0]["count"] == len(names)
    done: Json = await here.do("GET", "/jobs", None, {"state": "done", "limit": "1000"})
    assert not {(job["kind"], job["slug"]) for job in done["jobs"]} & set(names)
    assert (await here.ask("GET", "/jobs", None, {"state": "over"})).status == 400
    assert (await here.ask("GET", "/jobs", None, {"after": "x"})).status == 400
    assert all(job["slug"].startswith("x") for job in await _jobs(world.there, "x"))


async def _jobs(backend: Backend, prefix: str) -> list[Json]:
    found: Json = await backend.do("GET", "/jobs", None, {"after": f"user:{prefix}"})
    return [job for job in found["jobs"] if job["kind"] == "user"]


# Domain events


def signed(body: bytes, *, secret: str = WEBHOOK_SECRET, age: int = 0) -> Json:
    headers = signed_headers(secret, "msg-1", int(time.time()) - age, body)
    return headers | {"Content-Type": "application/json"}


async def send(world: World, body: bytes, headers: Json, tenant: str = "here") -> Answer:
    url = f"{world.settings.api_url}/api/integration/v1/tenants/{tenant}/events"
    async with world.session.post(url, data=body, headers=headers) as answer:
        return Answer(answer.status, await answer.json())


EVENT = json.dumps({"event": "user.updated", "payload": {"id": 1}}).encode()


async def test_an_event_needs_a_signature(world: World) -> None:
    key = {"Authorization": f"Bearer {HERE.service_key}", "Content-Type": "application/json"}
    for headers, tenant, status in (
        (key, "here", 401),
        (signed(EVENT, secret="what the tenant there signs events with"), "here", 401),
        (signed(EVENT, age=301), "here", 401),
        (signed(EVENT, age=-360), "here", 401),
        (signed(EVENT + b" "), "here", 401),
        (signed(EVENT), "nowhere", 401),
        (signed(EVENT), "there", 403),
    ):
        answer = await send(world, EVENT, headers, tenant)
        assert answer.status == status, (headers, answer)
    huge = EVENT + b" " * 300_000
    assert (await send(world, huge, signed(huge))).status == 413


async def test_an_event_without_a_database_to_look_into(world: World) -> None:
    answer = await send(world, EVENT, signed(EVENT))
    assert (answer.status, answer.errcode) == (409, "ORG_OPENMEET_CONFLICT")
    assert "openmeet.database" in answer.body["error"]


# Others


async def test_another_tenants_key_opens_nothing(world: World) -> None:
    for path in ("/status", "/jobs"):
        url = f"{world.here.url}{path}"
        for key in (THERE.service_key, ""):
            headers = {"Authorization": f"Bearer {key}"}
            async with world.session.get(url, headers=headers) as answer:
                assert answer.status == 401


async def test_many_writers_at_once_lose_nothing(here: Backend) -> None:
    group = some("crowd")
    slugs = await people(here, *(["crowd"] * 20))
    await here.do("PUT", f"/groups/{group}", {"name": "Crowd"})
    before = (await here.do("GET", "/status"))["revision"]
    path = f"/groups/{group}/members"
    answers = await asyncio.gather(*(here.do("PUT", f"{path}/{slug}", {}) for slug in slugs))
    assert sorted(one["revision"] for one in answers) == list(range(before + 1, before + 21))
    assert sorted(await here.members(f"/groups/{group}")) == sorted(slugs)
