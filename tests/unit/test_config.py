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
        (MINIMAL + "stream: {x: 1}\n", "stream.x: unknown key; known keys here: heartbeat"),
        (MINIMAL + "limits: {streams: many}\n", "9: limits.streams: expected a whole number, got"),
        (MINIMAL + "limits: {streams: 0}\n", "9: limits.streams: expected `int` >= 1"),
        (MINIMAL + "limits: {message_bytes: 3 KB}\n", "units B, KiB, MiB, GiB, not '3 KB'"),
        (MINIMAL + "repair: {interval: soon}\n", "9: repair.interval: expected a number with"),
        (MINIMAL + "rooms: {version: 12}\n", "rooms.version: expected text (put it in quotes)"),
        (MINIMAL + "web: {page: yes}\n", "9: web.page: expected true or false, got text"),
        (MINIMAL + "listen: {public: 8480}\n", "9: listen.public: expected text, not 8480"),
        (MINIMAL + "listen: {public: here}\n", "9: listen.public: expected host:port"),
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


@pytest.mark.parametrize("size", [1, 1000, 1024, 32 * 1024, 3 * 1024**2, 1024**3])
def test_sizes_are_read_as_they_are_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("2", 2), ("1.5 h", 5400), ("7min", 420), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds
