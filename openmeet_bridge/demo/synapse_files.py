"""The files of a Synapse on loopback: configuration, log configuration, signing key, secrets."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

SECRET_KEYS = ("registration_shared_secret", "macaroon_secret_key", "form_secret")

# Every limiter that a test could meet, out of reach.
_RATE: dict[str, Any] = {"per_second": 10_000, "burst_count": 10_000}
RELAXED: dict[str, Any] = {
    "rc_message": _RATE,
    "rc_registration": _RATE,
    "rc_login": {"address": _RATE, "account": _RATE, "failed_attempts": _RATE},
    "rc_admin_redaction": _RATE,
    "rc_joins": {"local": _RATE, "remote": _RATE},
    "rc_joins_per_room": _RATE,
    "rc_invites": {"per_room": _RATE, "per_user": _RATE, "per_issuer": _RATE},
    "rc_room_creation": _RATE,
    "rc_media_create": _RATE,
    "bcrypt_rounds": 4,
}


def write_files(
    home: Path,
    port: int,
    server_name: str,
    registrations: Sequence[Path],
    *,
    relaxed: bool,
    presence: bool,
) -> None:
    """Writes what Synapse reads at start; secrets and the signing key are made once.

    Args:
        home: Synapse's directory; created when missing.
        port: Loopback port to listen on.
        server_name: Domain of its users.
        registrations: Absolute paths of registration files.
        relaxed: Whether rate limits are out of reach.
        presence: Whether it keeps and pushes who is there.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = _secrets(home)
    key = home / "signing.key"
    if not key.exists():
        _private(key, _signing_key())
    config = {
        **_homeserver(home, port, server_name),
        **kept,
        "app_service_config_files": [str(path) for path in registrations],
        **(RELAXED if relaxed else {}),
        "presence": {"enabled": presence},
    }
    _dump(home / "homeserver.yaml", config)
    _dump(home / "log.yaml", _logging(home))


def shared_secret(home: Path) -> str:
    """The secret that registers accounts."""
    return _secrets(home)["registration_shared_secret"]


def _homeserver(home: Path, port: int, server_name: str) -> dict[str, Any]:
    listener = {
        "bind_addresses": ["127.0.0.1"],
        "port": port,
        "type": "http",
        "tls": False,
        "x_forwarded": False,
        "resources": [{"names": ["client"], "compress": False}],
    }
    return {
        "server_name": server_name,
        "public_baseurl": f"http://127.0.0.1:{port}/",
        "listeners": [listener],
        "database": {"name": "sqlite3", "args": {"database": str(home / "homeserver.db")}},
        "log_config": str(home / "log.yaml"),
        "media_store_path": str(home / "media"),
        "signing_key_path": str(home / "signing.key"),
        "report_stats": False,
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "enable_registration": False,
        "federation_domain_whitelist": [],
        "url_preview_enabled": False,
        "encryption_enabled_by_default_for_room_type": "off",
        "room_list_publication_rules": [{"action": "allow"}],
    }


def _logging(home: Path) -> dict[str, Any]:
    line = "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s"
    file = {
        "class": "logging.handlers.RotatingFileHandler",
        "formatter": "line",
        "filename": str(home / "homeserver.log"),
        "maxBytes": 10_000_000,
        "backupCount": 1,
        "encoding": "utf8",
    }
    return {
        "version": 1,
        "formatters": {"line": {"format": line}},
        "handlers": {"file": file},
        "root": {"level": "WARNING", "handlers": ["file"]},
        "disable_existing_loggers": False,
    }


def _signing_key() -> str:
    seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return f"ed25519 a_{secrets.token_hex(2)} {seed}\n"


def _secrets(home: Path) -> dict[str, str]:
    """The secrets of an earlier start, or new ones."""
    path = home / "homeserver.yaml"
    old = YAML(typ="safe").load(path) if path.exists() else {}
    return {key: str(old.get(key) or secrets.token_urlsafe(32)) for key in SECRET_KEYS}


def _dump(path: Path, value: dict[str, Any]) -> None:
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    path.touch(mode=0o600)
    with path.open("w") as file:
        yaml.dump(value, file)


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
