"""Files that the program writes are as the program would write them now."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from openmeet_bridge.cli import main
from openmeet_bridge.config import Config, load
from openmeet_bridge.config.schema import keys

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "OPENMEET_JWT_SECRET": "a secret that is long enough for HS256",
    "OPENMEET_SERVICE_KEY": "a-service-key-0123456789",
}


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ("configuration", "docs/reference/configuration.md"),
        ("cli", "docs/reference/cli.md"),
        ("api", "docs/reference/api.md"),
        ("streams", "docs/reference/streams.md"),
        ("errors", "docs/reference/errors.md"),
        ("metrics", "docs/reference/metrics.md"),
        ("config-example", "config.example.yaml"),
        ("registration-example", "registration.yaml.example"),
    ],
)
def test_committed_file_is_up_to_date(page: str, file: str) -> None:
    result = CliRunner().invoke(main, ["reference", page])
    assert result.exit_code == 0
    assert (ROOT / file).read_text("utf-8") == result.output, "run: make docs-reference"


def test_example_can_be_loaded(tmp_path: Path) -> None:
    config = load(ROOT / "config.example.yaml", ENVIRONMENT)
    assert config.embedded
    assert config.registration.name == "registration.yaml"
    assert config.tenants[0].service_keys == [ENVIRONMENT["OPENMEET_SERVICE_KEY"]]


OPTIONAL = ("# jwt: {", "# webhooks: [", "# rules: {", "# bus: valkey:")
"""What has no default, or a default that says nothing: the line shows how it is written."""


def test_commented_defaults_are_the_defaults(tmp_path: Path) -> None:
    """Taking the comment signs off every ``# key: value`` changes nothing."""
    text = (ROOT / "config.example.yaml").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(OPTIONAL)]
    opened = [_opened(line) for line in lines]
    assert opened != lines
    file = tmp_path / "config.yaml"
    file.write_text("\n".join(opened))
    plain, full = load(ROOT / "config.example.yaml", ENVIRONMENT), load(file, ENVIRONMENT)
    for name in set(plain.__struct_fields__) - {"registration", "data_dir"}:
        assert getattr(plain, name) == getattr(full, name)


def _opened(line: str) -> str:
    head, sign, rest = line.partition("# ")
    name, colon, _ = rest.partition(":")
    is_key = sign and colon and not head.strip() and name.isidentifier() and name.islower()
    return head + rest if is_key else line


def test_every_key_is_described() -> None:
    sections = [Config]
    while sections:
        for key in keys(sections.pop()):
            assert key.text, key.name
            inner = key.section or key.item_section
            if inner is not None:
                sections.append(inner)  # type: ignore[arg-type]
