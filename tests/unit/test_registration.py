"""The registration: what is generated, what a homeserver makes of it, what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openmeet_bridge.core.errors import ConfigError
from openmeet_bridge.core.ids import TenantId, UserSlug
from openmeet_bridge.core.yaml_document import parse_yaml
from openmeet_bridge.matrix.registration import example, generate, load

SERVER = "matrix.my-town.example"
URL = "http://127.0.0.1:9898"


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "registration.yaml"
    file.write_text(text)
    return file


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    made = generate(SERVER, URL)
    assert load(write(tmp_path, made.dump()), SERVER) == made


def test_the_file_says_what_the_specification_wants() -> None:
    made = generate(SERVER, URL, id="it's")
    tree = parse_yaml(made.dump(), "registration.yaml").tree
    assert tree["id"] == "it's"
    assert tree["namespaces"]["users"] == [{"exclusive": True, "regex": made.users_regex}]
    assert tree["namespaces"]["aliases"] == [{"exclusive": True, "regex": made.aliases_regex}]
    assert tree["namespaces"]["rooms"] == []
    assert tree["rate_limited"] is False
    assert tree["receive_ephemeral"] is True
    assert tree["de.sorunome.msc2409.push_ephemeral"] is True
    assert tree["protocols"] == []


def test_tokens_are_fresh_and_hidden() -> None:
    one, two = generate(SERVER, URL), generate(SERVER, URL)
    assert len({one.as_token, one.hs_token, two.as_token, two.hs_token}) == 4
    assert len(one.as_token) >= 64
    assert one.sender_localpart != two.sender_localpart
    assert one.as_token not in repr(one)
    assert one.hs_token not in repr(one)


def test_namespaces_are_anchored_and_escaped() -> None:
    made = generate(SERVER, URL)
    users = re.compile(made.users_regex)
    assert users.match(made.bot)
    assert users.match(made.naming.ghost(TenantId("town"), UserSlug("ann")))
    assert not users.match(f"@om_a_b:{SERVER}.evil.example")
    assert not users.match(f"@om_a_b:{SERVER.replace('.', 'x')}")
    assert not users.match(f"@ann:{SERVER}")
    assert not re.match(made.aliases_regex, f"@om_a_b:{SERVER}")


def test_bot_is_neither_the_sender_nor_a_ghost() -> None:
    made = generate(SERVER, URL)
    assert made.bot == f"@om_bot:{SERVER}"
    assert made.sender_localpart != made.bot_localpart
    assert made.naming.parse_ghost(made.bot) is None
    assert not re.match(made.users_regex, f"@{made.sender_localpart}:{SERVER}")


def test_example_can_be_read_but_holds_no_real_token(tmp_path: Path) -> None:
    shown = load(write(tmp_path, example()), "example.org")
    assert shown.as_token.startswith("REPLACED-BY")


def test_prefix_is_told_by_the_regex_when_its_key_is_gone(tmp_path: Path) -> None:
    made = generate(SERVER, URL, prefix="town_")
    text = re.sub(r"org\.openmeet\.prefix:.*\n", "", made.dump())
    assert load(write(tmp_path, text), SERVER).bot == f"@town_bot:{SERVER}"


@pytest.mark.parametrize(
    ("found", "put", "told"),
    [
        (r"as_token: .*", "", ": as_token: is missing"),
        (r"as_token: .*", "as_token: 5", ":10: as_token: expected text"),
        (r"as_token: .*", "as_token: short", ":10: as_token: expected at least 32 printable"),
        (r"hs_token: .*", f"hs_token: {'é' * 40}", ":11: hs_token: expected at least 32 printable"),
        (r"url: .*", "url: null", ":8: url: null means that the homeserver sends nothing"),
        (r"url: .*", "url: bridge:9898", ":8: url: expected an http:// or https:// address"),
        (r"\nid: .*", "\nid: a|b", ":6: id: Synapse refuses | in it"),
        (r"sender_localpart: .*", "sender_localpart: A B", "sender_localpart: expected lower-case"),
        (r"sender_localpart: .*", "sender_localpart: om_bot", "must not be the bot"),
        (r"org\.openmeet\.prefix: .*", "org.openmeet.prefix: a_b_", "expected lower-case letters"),
        (r"org\.openmeet\.prefix: .*", "org.openmeet.prefix: om2_", "does not match @om2_bot:"),
        (r"receive_ephemeral: true\nde.*", "", ": receive_ephemeral: must be true"),
        (r"exclusive: true", "exclusive: false", "[0].exclusive: must be true"),
        (r"regex: '#", "regex: x\n    - regex: '#", "namespaces.aliases: expected a list with one"),
        (r"regex: .*", "regex: 3", "[0].regex: expected a regular expression as text"),
        (r"regex: .*", "regex: '@om_[a'", "namespaces.users[0].regex: not a regular expression"),
        (r"regex: .*", "regex: '@om_.*'", "namespaces.users[0].regex: matches @om_bot:"),
        (r"\$'", "'", "namespaces.users[0].regex: matches @om_bot:"),
        (r"\\\.", ".", "namespaces.users[0].regex: matches @om_bot:matrixxmy-townxexample too"),
        (r"my\\-town", "other", f"does not match @om_bot:{SERVER} of homeserver.server_name"),
        (r"namespaces:(.|\n)*rooms: \[\]\n", "", ": namespaces.users: expected a list with one"),
    ],
)
def test_mistakes_name_line_and_key(tmp_path: Path, found: str, put: str, told: str) -> None:
    text = re.sub(found, lambda _: put, generate(SERVER, URL).dump())
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), SERVER)
    assert told in str(caught.value)


ADOPTED = r"@(?:[a-z]+_town|ann):matrix\.my\-town\.example$"


def test_ids_of_before_are_a_namespace_that_is_not_exclusive(tmp_path: Path) -> None:
    made = generate(SERVER, URL, adopt=["[a-z]+_town|ann"])
    assert made.adopted == (ADOPTED,)
    read = load(write(tmp_path, made.dump()), SERVER)
    assert read == made
    tree = parse_yaml(made.dump(), "registration.yaml").tree
    assert tree["namespaces"]["users"][1:] == [{"exclusive": False, "regex": ADOPTED}]
    assert read.naming.is_adoptable(f"@ann_town:{SERVER}", TenantId("town"))
    assert not read.naming.is_adoptable(f"@annx:{SERVER}", TenantId("town"))


def test_a_localpart_to_adopt_must_be_a_regular_expression() -> None:
    with pytest.raises(ValueError, match="not a regular expression"):
        generate(SERVER, URL, adopt=["(ann"])


@pytest.mark.parametrize(
    ("found", "put", "told"),
    [
        ("exclusive: false", "exclusive: 'no'", "namespaces.users[1]: expected exclusive"),
        (r"'@\(\?:.*", "'ann'", "namespaces.users[1].regex: expected a text from @ to :matrix"),
        (r"'@\(\?:.*", "5", "namespaces.users[1].regex: expected a text from @ to :matrix"),
        (r"'@\(\?:\[a-z", "'@(?:[", "namespaces.users[1].regex: not a regular expression"),
        (r"@\(\?:(.*)\):", "@ann|ben:", "namespaces.users[1].regex: write @(?:one|another)"),
    ],
)
def test_mistakes_in_further_namespaces(tmp_path: Path, found: str, put: str, told: str) -> None:
    text = re.sub(found, lambda _: put, generate(SERVER, URL, adopt=["[a-z]+_town|ann"]).dump())
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), SERVER)
    assert told in str(caught.value)


def test_a_regex_that_hides_its_prefix(tmp_path: Path) -> None:
    text = re.sub(r"org\.openmeet\.prefix:.*\n", "", generate(SERVER, URL).dump())
    text = text.replace("@om_[", "@(om_)[", 1)
    with pytest.raises(ConfigError, match=r"add org\.openmeet\.prefix: om_"):
        load(write(tmp_path, text), SERVER)


def test_same_token_twice(tmp_path: Path) -> None:
    made = generate(SERVER, URL)
    text = made.dump().replace(made.hs_token, made.as_token)
    with pytest.raises(ConfigError, match="hs_token: is the same as as_token"):
        load(write(tmp_path, text), SERVER)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="generate-registration"):
        load(tmp_path / "none.yaml", SERVER)
    (tmp_path / "latin.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "latin.yaml", SERVER)


@pytest.mark.synapse
def test_synapse_reads_it(tmp_path: Path) -> None:
    """Synapse's own loader takes the file, its extra key included."""
    synapse = pytest.importorskip("synapse.config.appservice")
    made = generate(SERVER, URL, adopt=["[a-z]+_town"])
    (service,) = synapse.load_appservices(SERVER, [str(write(tmp_path, made.dump()))])
    assert service.token == made.as_token
    assert service.supports_ephemeral
    assert service.is_exclusive_user(made.bot)
    assert not service.is_rate_limited()
    assert service.is_interested_in_user(f"@ann_town:{SERVER}")
    assert not service.is_exclusive_user(f"@ann_town:{SERVER}")
