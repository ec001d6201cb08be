"""The documentation says nothing of commands, keys, paths and files that are not there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from msgspec import Struct

from openmeet_bridge.api import openapi, reference
from openmeet_bridge.bridge import streams
from openmeet_bridge.cli import main
from openmeet_bridge.config import Config
from openmeet_bridge.config.schema import Key, keys
from openmeet_bridge.core.yaml_document import parse_yaml
from openmeet_bridge.stream.frames import FRAME_TYPES

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
        *(ROOT / "docker").glob("*.md"),
    ]
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"openmeet-bridge ((?:-*[a-z][a-z-]*)(?: [^\n`|&;#)]*)?)")
API_PATH = re.compile(r"/api/(?:integration/)?v1/[^\s\"'`<>),;?]*")
TENANT = "/api/integration/v1/tenants/lakeside"
SHELL_NAMES = {
    r"\$API(?=/)": "/api/v1",
    r"\$BASE(?=/)": TENANT,
    r"(?m)^(?:put|call [A-Z]+) ['\"]?(?=\w)": f"{TENANT}/",
    r"\bask [A-Z]+ ['\"]?(?=\w)": "/api/v1/",
}
"""What stands in shell examples for the beginning of an address."""
SECTIONS = {key.name: key for key in keys(Config)}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target}: no such file"
        if anchor:
            assert anchor in _anchors(file), f"{target}: no such heading"


@pages
def test_commands_exist(page: Path) -> None:
    for line in COMMAND.findall(page.read_text("utf-8")):
        words = _words(line)
        command, rest = _command(words)
        if command is None:
            assert _is_prose(words[0]), f"openmeet-bridge {line}: no such command"
            continue
        _check_options(command, rest, line)


@pages
def test_keys_exist(page: Path) -> None:
    for text in CODE.findall(_prose(page)):
        first, dot, rest = text.partition(".")
        if dot and first in SECTIONS and rest != "yaml" and re.fullmatch(r"[a-z_.]+", rest):
            assert _key(text) is not None, f"{text}: no such key"


@pages
def test_examples_of_the_configuration_are_right(page: Path) -> None:
    text = page.read_text("utf-8")
    documents = [body for kind, body in BLOCK.findall(text) if kind == "yaml"]
    documents += re.findall(r"<<'YAML'\n(.*?)\nYAML", text, re.DOTALL)
    for body in documents:
        tree = parse_yaml(body, str(page)).tree
        if set(tree) <= {"app_service_config_files"}:
            continue  # Synapse's
        _check_keys(Config, tree, "")


@pages
def test_paths_of_the_api_exist(page: Path) -> None:
    templates = [_pattern(path) for path in openapi.assemble()["paths"]]
    for path in _api_paths(page.read_text("utf-8")):
        assert any(one.fullmatch(path) for one in templates), f"{path}: no such path"


@pages
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    blocks = [body for kind, body in BLOCK.findall(page.read_text("utf-8")) if kind in ("bash", "")]
    for line in [*CODE.findall(_prose(page)), *"\n".join(blocks).splitlines()]:
        if line.startswith("make "):
            words = [word for word in line.split("#")[0].split()[1:] if word[0].islower()]
            assert words[0] in targets, f"{line}: no such target"


@pages
def test_lines_are_short_enough_to_read_in_a_terminal(page: Path) -> None:
    if "docs/reference" in str(page):
        return
    text = BLOCK.sub("", page.read_text("utf-8"))
    long = [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert not long


def test_every_page_is_linked() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in LINK.findall(_prose(page))
        if not re.match(r"[a-z]+:", target)
    }
    assert set(PAGES) <= linked


def test_every_frame_and_reset_is_explained() -> None:
    page = reference.streams_page()
    for name in FRAME_TYPES:
        assert f"### {name}\n" in page
    resets = re.findall(r"frames\.reset\(\s*\"(\w+)\"", Path(streams.__file__).read_text("utf-8"))
    assert resets
    for reason in resets:
        assert f"`{reason}`" in page


def _prose(page: Path) -> str:
    """The text without its code blocks, with broken lines joined."""
    text = BLOCK.sub("", page.read_text("utf-8"))
    return re.sub(r"(?<=\S)\n(?=[^\n\s|#*-])", " ", text)


def _anchors(file: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", BLOCK.sub("", file.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def _is_prose(word: str) -> bool:
    """Whether ``openmeet-bridge`` is followed by more of a sentence, or is a name in a file."""
    return word in {"has", "serves", "is"}


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # cut off inside quotes, at a sign that ends a command elsewhere
        return line.split()


def _command(words: list[str]) -> tuple[click.Command | None, list[str]]:
    """The command that words give, of a group too, and the words after its name."""
    command: click.Command | None = main
    for index, word in enumerate(words):
        # `[OPTIONS]` and `COMMAND` are of a usage line.
        if not isinstance(command, click.Group) or not re.fullmatch(r"[a-z][a-z-]*", word):
            return command, words[index:]
        inner = command.commands.get(word)
        if inner is None and command is not main:
            # `portals`, `jobs` …: more of a sentence may follow the name of a group.
            return command, [] if _is_prose(word) else ["--no-such-command"]
        command = inner
    return command, []


def _check_options(command: click.Command, words: list[str], line: str) -> None:
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    used = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    assert used <= known | {"--help"}, f"openmeet-bridge {line}: no such option"


def _key(path: str) -> Key | None:
    section: type[Struct] | None = Config
    found = None
    for name in path.split("."):
        if section is None:
            return None
        found = _named(section, name)
        section = (found.section or found.item_section) if found else None
    return found


def _named(section: type[Struct], name: str) -> Key | None:
    for key in keys(section):
        if name == key.name or (key.extra.get("file") and name == f"{key.name}_file"):
            return key
    return None


def _check_keys(section: type[Struct], tree: dict[str, Any], path: str) -> None:
    for name, value in tree.items():
        key = _named(section, name)
        assert key is not None, f"{path}{name}: no such key"
        inner = key.section or key.item_section
        for one in value if isinstance(value, list) else [value]:
            if inner is not None and isinstance(one, dict):
                _check_keys(inner, one, f"{path}{name}.")


def _api_paths(text: str) -> Iterator[str]:
    for name, path in SHELL_NAMES.items():
        text = re.sub(name, path, text)
    for found in API_PATH.findall(text):
        path = re.sub(r"\$\{[^}]*\}+|\$\w+", "x", found).rstrip(".:…")
        if path != TENANT and not re.search(r"/\$\d$", found):
            yield path


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{\w+\}", template)
    return re.compile("[^/]+".join(map(re.escape, parts)))
