"""The guide for the move of OpenMeet's web app: its configurations are those that are tested."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from openmeet_bridge.config import load
from openmeet_bridge.core.ids import TenantId

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "how-to" / "move-the-web-app.md").read_text("utf-8")
TENANTS = [{"id": "lsdfaopkljdfs", "name": "A community", "frontendDomain": "https://a.example"}]
SECRETS = {
    "synapse-admin-token": "syt_admin",
    "bridge-database": "postgresql://bridge@127.0.0.1/bridge",
    "tenants-b64": base64.b64encode(json.dumps(TENANTS).encode()).decode(),
    "auth-jwt-secret": "a secret of OpenMeet that is long enough",
    "openmeet-database": "postgresql://bridge_reader@127.0.0.1/openmeet",
}


def blocks(kind: str) -> list[str]:
    """The guide's blocks in a language."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def lines(text: str) -> list[str]:
    """What is said, whatever the spaces and line ends between."""
    return [" ".join(one.split()) for one in re.findall(r"[^;{}]+", text) if one.strip()]


def test_its_configuration_is_taken(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    for name, secret in SECRETS.items():
        assert f"/run/secrets/{name}\n" in text
        (tmp_path / name).write_text(secret + "\n")
    file = tmp_path / "config.yaml"
    file.write_text(text.replace("/run/secrets", str(tmp_path)))
    config = load(file, {})
    (tenant,) = config.tenants
    assert tenant.id == TenantId("lsdfaopkljdfs")
    assert tenant.jwt.secret == SECRETS["auth-jwt-secret"]
    assert tenant.jwt.tenant_claim == "session"
    assert config.openmeet.write_matrix_user_id
    assert config.web_app.enabled
    assert config.homeserver.admin_token == SECRETS["synapse-admin-token"]


def test_its_change_of_nginx_is_part_of_the_example() -> None:
    example = (ROOT / "docker" / "nginx.conf.example").read_text("utf-8")
    tested = set(lines(re.sub(r"#.*", "", example)))
    for block in blocks("nginx"):
        assert set(lines(block)) <= tested
