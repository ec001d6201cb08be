"""Names: every OpenMeet name has one Matrix name, and back; nobody can be two people."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmeet_bridge.core.errors import InvalidParam
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.naming import Naming, direct_pair, direct_slug

NAMING = Naming("example.org")
names = st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable() or "\n" in text)


@given(tenant=st.text(max_size=20), slug=names)
def test_a_ghost_leads_back_to_its_user(tenant: str, slug: str) -> None:
    try:
        ghost = NAMING.ghost(TenantId(tenant), UserSlug(slug))
    except InvalidParam:
        return
    assert NAMING.parse_ghost(ghost) == (tenant, slug)
    assert ghost.isascii()
    assert ghost == ghost.lower()
    assert len(ghost) <= 255


@given(first=st.tuples(st.text(max_size=9), names), second=st.tuples(st.text(max_size=9), names))
def test_two_users_never_share_a_ghost(first: tuple[str, str], second: tuple[str, str]) -> None:
    ghosts = [NAMING.ghost(TenantId(tenant), UserSlug(slug)) for tenant, slug in (first, second)]
    assert (ghosts[0] == ghosts[1]) == (first == second)


@pytest.mark.parametrize(
    "mxid",
    [
        "@om_bot:example.org",
        "@ann:example.org",
        "@om_a_ann:evil.example",
        "@om_a_ann:example.org.evil.example",
        "@om_a_:example.org",
        "@om_a_=61nn:example.org",  # a second spelling of "ann"
        "@om_a_Ann:example.org",
        "",
    ],
)
def test_others_are_no_ghosts(mxid: str) -> None:
    assert NAMING.parse_ghost(mxid) is None


def test_the_bot_and_its_room_are_nobodys() -> None:
    assert NAMING.bot == "@om_bot:example.org"
    assert NAMING.nudge_alias == "#om_nudge:example.org"


ADOPTING = Naming("example.org", adopted=[re.compile(r"@(?:[a-z0-9._-]+_a|ann):example\.org$")])


@pytest.mark.parametrize(
    ("mxid", "adoptable"),
    [
        ("@ann_a:example.org", True),
        ("@ann:example.org", True),
        ("@ben:example.org", False),
        ("@ann:evil.example", False),
        ("@ann_a:example.org.evil.example", False),
        ("@om_01hv3q8z9k5m7n2p4r6s8t0v1w:example.org", True),  # of an OpenMeet ULID
        ("@om_01hv3q8z9k5m7n2p4r6s8t0v1:example.org", False),
        ("@om_a_ann:example.org", True),
        ("@om_b_ann:example.org", False),  # another tenant's
        ("@om_a_=61nn:example.org", False),
        ("@om_bot:example.org", False),
        ("", False),
    ],
)
def test_which_ids_of_before_can_be_kept(mxid: str, adoptable: bool) -> None:
    assert ADOPTING.is_adoptable(mxid, TenantId("a")) is adoptable


@given(slug=names, other=names)
def test_a_further_id_of_a_slug_is_nobodys(slug: str, other: str) -> None:
    another = NAMING.another(NAMING.ghost(TenantId("a"), UserSlug(slug)), 2)
    assert another != NAMING.ghost(TenantId("a"), UserSlug(other))
    assert NAMING.parse_ghost(another) is None


def test_a_slug_that_is_too_long_is_refused_with_its_field() -> None:
    with pytest.raises(InvalidParam) as refusal:
        NAMING.ghost(TenantId("a"), UserSlug("x" * 250))
    assert "slug" in refusal.value.fields


@given(slug=st.text(min_size=1, max_size=400))
def test_every_portal_has_an_alias(slug: str) -> None:
    alias = NAMING.alias(PortalRef(TenantId("a"), PortalKind.MEETUP, slug))
    assert alias.startswith("#om_a_meetup_")
    assert len(alias) <= 255


@given(first=names, second=names)
def test_a_direct_chat_is_the_same_from_both_sides(first: str, second: str) -> None:
    slug = direct_slug(UserSlug(first), UserSlug(second))
    assert slug == direct_slug(UserSlug(second), UserSlug(first))
    assert set(direct_pair(slug)) == {first, second}
