"""The configuration: what is accepted, and what each mistake is told."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from openmeet_bridge.config import Address, Config, load
from openmeet_bridge.config.units import (
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from openmeet_bridge.core.errors import ConfigError

SECRET = "a secret that is long enough for HS256"
MINIMAL = f"""\
homeserver:
  url: http://127.0.0.1:8008
  server_name: example.org
registration: registration.yaml
jwt_default: {{algorithm: HS256, secret: {SECRET}}}
tenants:
  - id: one
    name: One
"""

Load = Callable[..., Config]


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Writes a text to ``config.yaml`` and loads it."""

    def run(text: str, environment: Mapping[str, str] | None = None) -> Config:
        file = tmp_path / "config.yaml"
        file.write_text(text)
        return load(file, environment or {})

    return run


def complaint(load_text: Load, text: str, environment: Mapping[str, str] | None = None) -> str:
    """What the loader says, without the folder."""
    with pytest.raises(ConfigError) as caught:
        load_text(text, environment)
    error = caught.value
    line = "" if error.line is None else str(error.line)
    return f"{Path(error.file).name}:{line}: {error.key}: {error.reason}"


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def with_jwt(block: str) -> str:
    return MINIMAL + f"    jwt: {block}\n"


def test_defaults_are_complete(load_text: Load, tmp_path: Path) -> None:
    config = load_text(MINIMAL)
    assert config.registration == tmp_path / "registration.yaml"
    assert config.data_dir == tmp_path / "data"
    assert config.embedded
    assert config.public_base == "http://127.0.0.1:8480"
    assert config.listen.homeserver == Address("127.0.0.1", 9898)
    assert config.limits.transaction_bytes == 64 * 1024 * 1024
    assert config.tenants[0].jwt.secret == SECRET
    assert config.tenants[0].jwt.tenant_claim == "required"


def test_relative_path_of_the_file_does_not_matter(
    load_text: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_text(MINIMAL)
    monkeypatch.chdir(tmp_path)
    assert load("config.yaml", {}).registration == tmp_path / "registration.yaml"


def test_units_addresses_and_empty_blocks(load_text: Load) -> None:
    config = load_text(
        MINIMAL
        + "limits: {message_bytes: 8 KiB, send_wait: 500 ms, request_bytes: 4096}\n"
        + "listen: {public: '[::1]:0', operations: localhost:9}\n"
        + "stream:\n"
        + "public_url:\n"
        + "repair: {interval: 2}\n"
    )
    assert (config.limits.message_bytes, config.limits.request_bytes) == (8192, 4096)
    assert config.limits.send_wait == 0.5
    assert str(config.listen.public) == "[::1]:0"
    assert repr(config.listen.operations) == "Address('localhost', 9)"
    assert config.stream.heartbeat == 20.0
    assert config.repair.interval == 2.0
    assert config.public_url is None
    assert len({config.listen.public, Address("::1", 0)}) == 1


def test_environment_is_put_into_texts(load_text: Load) -> None:
    text = MINIMAL.replace(SECRET, "'${HEAD}-${TAIL}'")
    config = load_text(text, {"HEAD": "h" * 20, "TAIL": "t" * 20})
    assert config.tenants[0].jwt.secret == f"{'h' * 20}-{'t' * 20}"
    assert complaint(load_text, text, {"HEAD": "h"}) == (
        "config.yaml:5: jwt_default.secret: the environment variable TAIL is not set"
    )


def test_the_process_environment_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(MINIMAL.replace(SECRET, "'${OPENMEET_TEST_SECRET}'"))
    monkeypatch.setitem(os.environ, "OPENMEET_TEST_SECRET", SECRET)
    monkeypatch.delenv("TENANTS_B64", raising=False)
    assert load(file).tenants[0].jwt.secret == SECRET


def test_secrets_from_files(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "jwt.secret").write_text(SECRET + "\n")
    (tmp_path / "keys").write_text("# of the backend\nkey-one-0123456789\n\nkey-two-0123456789\n")
    (tmp_path / "dsn").write_text("postgresql://user:password@db/name\n")
    config = load_text(
        MINIMAL.replace(f"secret: {SECRET}", "secret_file: jwt.secret")
        + "    service_keys_file: keys\n"
        + "database_file: dsn\n"
    )
    assert config.tenants[0].jwt.secret == SECRET
    assert config.tenants[0].service_keys == ["key-one-0123456789", "key-two-0123456789"]
    assert config.database == "postgresql://user:password@db/name"
    assert not config.embedded


def test_secrets_are_not_in_the_repr(load_text: Load) -> None:
    config = load_text(
        MINIMAL + "    service_keys: [key-one-0123456789]\ndatabase: postgresql://u:hidden@h/d\n"
    )
    shown = repr(config)
    assert "server_name='example.org'" in shown
    for secret in (SECRET, "key-one", "hidden"):
        assert secret not in shown


def test_public_keys(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "rsa.pem").write_text(pem(rsa.generate_private_key(65537, 2048)))
    config = load_text(with_jwt("{algorithm: PS256, public_key_file: rsa.pem, max_lifetime: 1 h}"))
    assert (config.tenants[0].jwt.public_key or "").startswith("-----BEGIN PUBLIC KEY-----")
    assert config.tenants[0].jwt.max_lifetime == 3600
    (tmp_path / "ec.pem").write_text(pem(ec.generate_private_key(ec.SECP256R1())))
    config = load_text(with_jwt("{algorithm: ES256, public_key_file: ec.pem}"))
    assert config.tenants[0].jwt.algorithm == "ES256"


def test_weak_and_wrong_public_keys(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "short.pem").write_text(pem(rsa.generate_private_key(65537, 1024)))
    (tmp_path / "curve.pem").write_text(pem(ec.generate_private_key(ec.SECP384R1())))
    key = rsa.generate_private_key(65537, 2048).public_key()
    (tmp_path / "key.der").write_bytes(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "broken.pem").write_text("-----BEGIN PUBLIC KEY-----\nno\n-----END PUBLIC KEY-----")
    (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----")
    told = {
        ("RS256", "short.pem"): "RS256 needs an RSA key of at least 2048 bits",
        ("RS256", "curve.pem"): "RS256 needs an RSA key of at least 2048 bits",
        ("ES256", "curve.pem"): "ES256 needs a key on the curve P-256",
        ("RS256", "broken.pem"): "not a readable PEM public key",
        ("RS256", "cert.pem"): "expected a PEM public key",
        ("RS256", "key.der"): "must be PEM, not DER",
    }
    for (algorithm, file), reason in told.items():
        text = with_jwt(f"{{algorithm: {algorithm}, public_key_file: {file}}}")
        assert reason in complaint(load_text, text)


def test_jwks_may_be_plain_only_on_this_machine(load_text: Load) -> None:
    for url in ("https://id.example.org/jwks", "http://127.0.0.1:1/j", "http://localhost/j"):
        config = load_text(with_jwt(f"{{algorithm: RS256, jwks_url: '{url}'}}"))
        assert config.tenants[0].jwt.jwks_url == url
    text = with_jwt("{algorithm: RS256, jwks_url: 'http://id.example.org/jwks'}")
    assert "config.yaml:9: tenants[0].jwt.jwks_url: must be https" in complaint(load_text, text)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("{algorithm: HS256}", "tenants[0].jwt: HS256 needs secret"),
        ("{algorithm: RS256}", "tenants[0].jwt: RS256 needs public_key or jwks_url"),
        ("{algorithm: HS256, secret: short}", "tenants[0].jwt.secret: shorter than 32 bytes"),
        (f"{{algorithm: RS256, secret: {SECRET}}}", "not with secret"),
        (f"{{algorithm: HS256, secret: {SECRET}, public_key: x}}", "only one of secret and public"),
        ("{algorithm: HS256, jwks_url: 'https://e.org/'}", "not with jwks_url"),
        ("{algorithm: none}", "tenants[0].jwt.algorithm: invalid enum value 'none'"),
        ("{secret: x}", "tenants[0].jwt.algorithm: is missing"),
        ("[]", "tenants[0].jwt: expected keys with values, not a list"),
        ("{algorithm: HS256, secret: {}}", "tenants[0].jwt.secret: expected text"),
        ("{algorithm: HS256, secret_file: 7}", "expected the path of a file, not the number 7"),
        ("{algorithm: HS256, secret_file: true}", "expected the path of a file, not true or false"),
        ("{algorithm: HS256, secret_file: none.txt}", "No such file"),
        ("{algorithm: HS256, secret: x, secret_file: y}", "either secret or secret_file, not both"),
    ],
)
def test_one_family_of_keys_for_each_tenant(load_text: Load, block: str, told: str) -> None:
    said = complaint(load_text, with_jwt(block))
    assert said.startswith("config.yaml:9: ")
    assert told in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MINIMAL + "tenant: 1\n", "config.yaml:9: tenant: unknown key; did you mean tenants?"),
        (
            MINIMAL + "limits:\n  streams_per_usr: 3\n",
            "config.yaml:10: limits.streams_per_usr: unknown key; did you mean streams_per_user?",
        ),
        (MINIMAL + "bus: remote\n", "9: bus: expected local, embedded, or an address such as"),
        (MINIMAL + "workers: 2\n", "bus: several workers need a valkey:// address"),
        (MINIMAL + "stream: {x: 1}\n", "stream.x: unknown key; known keys here: heartbeat"),
        (MINIMAL + "limits: {streams: many}\n", "9: limits.streams: expected a whole number, got"),
        (MINIMAL + "limits: {streams: 0}\n", "9: limits.streams: expected a whole number >= 1"),
        (MINIMAL + "limits: {message_bytes: 3 KB}\n", "units B, KiB, MiB, GiB, not '3 KB'"),
        (MINIMAL + "repair: {interval: soon}\n", "9: repair.interval: expected a number with"),
        (MINIMAL + "rooms: {version: 12}\n", "rooms.version: expected text (put it in quotes)"),
        (MINIMAL + "web: {page: yes}\n", "9: web.page: expected true or false, got text"),
        (MINIMAL + "listen: {public: 8480}\n", "9: listen.public: expected text, not 8480"),
        (MINIMAL + "stream: {heartbeat: 60}\n", "9: stream.heartbeat: expected 1 s to 55 s: many"),
        (MINIMAL + "stream: {heartbeat: 500 ms}\n", "9: stream.heartbeat: expected 1 s to 55 s"),
        (
            MINIMAL + "listen: {trusted_proxies: [10.0.0.0/8, proxy]}\n",
            "listen.trusted_proxies[1]: expected an address or a network, for example 10.0.0.5",
        ),
        (MINIMAL + "listen: {public: here}\n", "9: listen.public: expected host:port"),
        (MINIMAL + "listen: {public_socket: here}\n", "9: listen.public_socket: expected a path"),
        (
            MINIMAL + f"listen: {{public_socket: /{'x' * 90}}}\n",
            "9: listen.public_socket: expected at most 90 bytes",
        ),
        (MINIMAL + "listen: {public: 'h:65536'}\n", "9: listen.public: expected host:port"),
        (MINIMAL + "listen: {public: 'h:1', operations: 'h:1'}\n", "same address as listen.public"),
        (MINIMAL + "web: {allowed_origins: [https://e.org/x]}\n", "web.allowed_origins[0]: expe"),
        (MINIMAL + "web: {allowed_origins: ['*']}\n", "web.allowed_origins[0]: expected an http"),
        (MINIMAL + "public_url: ftp://e.org\n", "9: public_url: expected an http:// or https://"),
        (MINIMAL + "public_url: http://e.org:port\n", "9: public_url: expected an http://"),
        (MINIMAL + "database: sqlite:x\n", "9: database: expected embedded or a postgresql://"),
        (MINIMAL + "logging: text\n", "9: logging: expected keys with values, not text"),
        (MINIMAL + "  - id: one\n    name: Again\n", "9: tenants[1].id: the tenant 'one' is list"),
        (MINIMAL + "    service_keys: [short]\n", "tenants[0].service_keys[0]: expected at least"),
        (
            MINIMAL + "    service_keys: none\n",
            "tenants[0].service_keys: expected a list, got text",
        ),
        (MINIMAL.replace("    name: One\n", ""), "config.yaml:7: tenants[0].name: is missing"),
        (MINIMAL.replace("url: http", "urls: http"), "2: homeserver.urls: unknown key; did you"),
        (MINIMAL.replace("example.org", "https://e.org"), "3: homeserver.server_name: expected"),
        (MINIMAL.replace("registration: registration.yaml\n", ""), ": registration: is missing"),
        (MINIMAL.split("jwt_default")[0] + "tenants: []\n", "tenants: name at least one tenant"),
        (MINIMAL.split("tenants")[0] + "tenants: one\n", "tenants: expected a list, got text"),
        (MINIMAL.split("tenants")[0] + "tenants: [one]\n", "tenants[0]: expected keys with values"),
        (MINIMAL.split("tenants")[0] + "tenants: [null]\n", "tenants[0].id: is missing"),
        (MINIMAL.replace("jwt_default", "# "), "config.yaml:7: tenants[0]: add a jwt block here"),
        (MINIMAL + "web: {page: true\n", "config.yaml:10: : not YAML: "),
        (MINIMAL + "homeserver: {}\n", "config.yaml:9: : not YAML: found duplicate key"),
        ("- a\n", "config.yaml:1: : expected keys with values (key: value) at the top"),
        ("", "config.yaml:1: : expected keys with values (key: value) at the top"),
        ("a: \x07\n", "config.yaml:: : not YAML: "),
    ],
)
def test_mistakes_name_line_key_and_cure(load_text: Load, text: str, told: str) -> None:
    assert told in complaint(load_text, text)


def test_service_keys_belong_to_one_tenant(load_text: Load) -> None:
    key = "    service_keys: [the-very-same-key-0123]\n"
    text = MINIMAL + key + "  - id: two\n    name: Two\n" + key
    assert "config.yaml:12: tenants[1].service_keys[0]: another tenant" in complaint(
        load_text, text
    )


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.example\.yaml to begin"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "latin.yaml")


def b64(tenants: object) -> str:
    return base64.b64encode(json.dumps(tenants).encode()).decode()


def test_presence(load_text: Load) -> None:
    config = load_text(
        MINIMAL
        + "    presence: false\npresence: {idle_after: 2 min, offline_after: 5, matrix: true}\n"
    )
    assert (config.presence.idle_after, config.presence.offline_after) == (120, 5)
    assert (config.presence.enabled, config.presence.matrix) == (True, True)
    assert not config.tenants[0].presence
    told = complaint(load_text, MINIMAL + "presence: {idle_after: 5, offline_after: 5}\n")
    assert "presence.offline_after: expected less than presence.idle_after" in told


def test_openmeets_own_list_of_tenants(load_text: Load) -> None:
    listed = [{"id": "", "name": "Public", "frontendDomain": "https://e.org"}, {"id": "two"}]
    text = MINIMAL + "  - id: two\n    service_keys: [key-two-0123456789]\n"
    config = load_text(text, {"TENANTS_B64": b64(listed)})
    names = [(tenant.id, tenant.name, tenant.service_keys) for tenant in config.tenants]
    assert names == [("one", "One", []), ("two", "two", ["key-two-0123456789"]), ("", "Public", [])]
    assert all(tenant.jwt.secret == SECRET for tenant in config.tenants)


def test_the_key_wins_over_the_environment(load_text: Load) -> None:
    text = MINIMAL.split("tenants")[0] + f"tenants_b64: {b64([{'id': 'file', 'name': 'F'}])}\n"
    config = load_text(text, {"TENANTS_B64": b64([{"id": "environment"}])})
    assert [tenant.id for tenant in config.tenants] == ["file"]


@pytest.mark.parametrize(
    "value", ["%%%", b64({"id": "x"}), b64([{"name": "x"}]), b64(["x"]), "e30"]
)
def test_broken_list_of_tenants(load_text: Load, value: str) -> None:
    assert "tenants_b64: expected base64" in complaint(load_text, MINIMAL, {"TENANTS_B64": value})


def test_repeated_ids_in_openmeets_list(load_text: Load) -> None:
    said = complaint(load_text, MINIMAL, {"TENANTS_B64": b64([{"id": "x"}, {"id": "x"}])})
    assert "the tenant 'x' is listed twice" in said


HOOK = "url: https://meet.example.org/hook, secret: whsec_" + base64.b64encode(bytes(24)).decode()


def test_webhooks(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "hook.secret").write_text("a text of 24 characters!\n")
    config = load_text(
        MINIMAL
        + "    site_url: https://meet.example.org\n"
        + "    webhook_secret: ${SECRET}\n"
        + f"    webhooks:\n      - {{{HOOK}}}\n"
        + "      - {url: http://10.0.0.1/x, secret_file: hook.secret, events: [message.created]}\n"
        + "openmeet: {database: postgresql://reader@db/openmeet, files_url: https://cdn.e.org/}\n",
        {"SECRET": "another text of 24 chars"},
    )
    first, second = config.tenants[0].webhooks
    assert first.events == ["portal.ready", "membership.failed"]
    assert (second.secret, second.events) == ("a text of 24 characters!", ["message.created"])
    assert "24 char" not in repr(config)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("    site_url: meet.example.org\n", "9: tenants[0].site_url: expected an http:// or"),
        (
            "    webhook_secret: short\n",
            "9: tenants[0].webhook_secret: shorter than 24 bytes; make",
        ),
        (
            "    webhook_secret: whsec_c2hvcnQ=\n",
            "9: tenants[0].webhook_secret: shorter than 24 bytes",
        ),
        (
            "    webhook_secret: whsec_not-base64-but-rather-long\n",
            "9: tenants[0].webhook_secret: what follows whsec_ is not base64",
        ),
        (
            "    webhooks: [{url: 'mailto:x', secret: x}]\n",
            "9: tenants[0].webhooks[0].url: expected an http:// or https://",
        ),
        (
            "    webhooks: [{url: 'https://e.org/', secret: x}]\n",
            "9: tenants[0].webhooks[0].secret: shorter than 24 bytes",
        ),
        (
            f"    webhooks:\n      - {{{HOOK}}}\n      - {{{HOOK}}}\n",
            "11: tenants[0].webhooks[1].url: listed twice",
        ),
        (
            f"    webhooks:\n      - {{{HOOK}, events: []}}\n",
            "10: tenants[0].webhooks[0].events: name at least one event",
        ),
        (
            f"    webhooks:\n      - {{{HOOK}, events: [portal.gone]}}\n",
            "10: tenants[0].webhooks[0].events[0]: invalid enum value 'portal.gone'",
        ),
        ("    webhooks: [{secret: x}]\n", "9: tenants[0].webhooks[0].url: is missing"),
        ("openmeet: {database: mysql://db}\n", "9: openmeet.database: expected a postgresql://"),
        ("openmeet: {files_url: cdn}\n", "9: openmeet.files_url: expected an http:// or https://"),
        ("openmeet: {max_removals: 2}\n", "9: openmeet.max_removals: expected a number <= 1"),
        ("openmeet: {interval: 0}\n", "9: openmeet.interval: expected a number > 0"),
        (
            "openmeet: {write_matrix_user_id: true}\n",
            "9: openmeet.write_matrix_user_id: needs openmeet.database",
        ),
        (
            f"    jwt: {{algorithm: HS256, secret: {SECRET}, tenant_claim: session}}\n",
            "9: tenants[0].jwt.tenant_claim: session needs openmeet.database",
        ),
        (
            "web_app: {endpoint: https://chat.example.org/matrix}\n",
            "9: web_app.endpoint: expected scheme and host only",
        ),
    ],
)
def test_what_concerns_openmeet(load_text: Load, text: str, told: str) -> None:
    assert told in complaint(load_text, MINIMAL + text)


def test_a_tenants_rules_say_what_differs(load_text: Load) -> None:
    config = load_text(
        MINIMAL
        + "    rules: {meetup_statuses: [confirmed], public: {history: joined}}\n"
        + "  - {id: two, name: Two, rules: {group_roles: {owner: 50}, archive_after: null}}\n"
        + "  - {id: three, name: Three}\n"
        + "rules:\n"
        + "  public: {listed: false}\n"
        + "  archive_after: 2 d\n"
        + "  accept: {group: [name]}\n"
    )
    one, two, three = (tenant.rules for tenant in config.tenants)
    assert one is not None
    assert two is not None
    assert three == config.rules
    assert one.meetup_statuses == ["confirmed"]
    assert (one.public.join, one.public.listed, one.public.history) == ("public", False, "joined")
    assert (one.archive_after, one.accept.group) == (172_800.0, ["name"])
    assert one.group_roles == config.rules.group_roles
    assert (two.group_roles, two.archive_after) == ({"owner": 50}, None)
    assert (two.public, two.meetup_roles) == (config.rules.public, config.rules.meetup_roles)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("group_roles: [owner]", "rules.group_roles: expected names with values, not a list"),
        ("group_roles: 7", "rules.group_roles: expected names with values, not the number 7"),
        ("group_roles:", "rules.group_roles: expected names with values, not nothing"),
        ("group_roles: {}", "rules.group_roles: names nothing, so nobody would be in"),
        (
            "group_roles: {owner: high}",
            "rules.group_roles.owner: expected a whole number, got text",
        ),
        ("group_roles: {owner: 100}", "rules.group_roles.owner: expected a whole number <= 99"),
        ("meetup_roles: {host: -2}", "rules.meetup_roles.host: expected a whole number >= -1"),
        ("meetup_roles: {7: 1}", "rules.meetup_roles.7: expected a name, not the number 7"),
        ("meetup_roles: {'': 1}", "rules.meetup_roles.: expected a word, not empty text"),
        ("meetup_roles: {hosts: 1}", "rules.meetup_roles.hosts: 'hosts' is unknown; did you mean"),
        ("meetup_statuses: confirmed", "rules.meetup_statuses: expected a list, got text"),
        ("meetup_statuses: []", "rules.meetup_statuses: names nothing"),
        ("meetup_statuses: [Confirmed]", "'Confirmed' is unknown; did you mean confirmed?"),
        ("meetup_statuses: [banned]", "rules.meetup_statuses: banned people are never in a room"),
        ("archive_after: -1", "rules.archive_after: expected a time of 0 or more"),
        ("archive_cancelled_after: soon", "rules.archive_cancelled_after: expected a number with"),
        ("accept: {group: [alias]}", "rules.accept.group[0]: invalid enum value 'alias'"),
        ("public: {join: open}", "rules.public.join: invalid enum value 'open'"),
        ("public: {joins: x}", "rules.public.joins: unknown key; did you mean join?"),
    ],
)
def test_mistakes_in_rules(load_text: Load, rules: str, told: str) -> None:
    common = complaint(load_text, f"{MINIMAL}rules:\n  {rules}\n")
    assert common.startswith("config.yaml:10: rules.")
    mine = complaint(load_text, f"{MINIMAL}    rules:\n      {rules}\n")
    assert mine.startswith("config.yaml:10: tenants[0].rules.")
    assert told in common
    assert told in mine


def test_words_of_openmeets_that_are_new(load_text: Load) -> None:
    config = load_text(MINIMAL + "rules: {meetup_roles: {steward: 10}, meetup_statuses: [here]}\n")
    assert config.rules.meetup_roles == {"steward": 10}


@pytest.mark.parametrize("size", [1, 1000, 1024, 32 * 1024, 3 * 1024**2, 1024**3])
def test_sizes_are_read_as_they_are_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("2", 2), ("1.5 h", 5400), ("7min", 420), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds
