"""The commented example and the reference page, made from the structs."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

from .address import Address
from .model import Config
from .schema import Key, keys
from .units import format_duration, format_size

_WIDTH: Final = 96
_HEAD: Final = """\
# Configuration of openmeet-bridge. Made by `openmeet-bridge reference config-example`.
#
# Copy it to config.yaml. Lines that are commented out show the default.
# Any text may be "${NAME}", an environment variable; secrets may be given as KEY_file too.
# Check it with: openmeet-bridge check-config --config config.yaml
"""
_SHARED: Final = {"jwt": "jwt_default", "rules": "rules"}
"""Blocks of a tenant that have the keys of a block at the top level."""

_NAMES: Final[dict[Any, str]] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    Address: "host:port",
    Path: "path",
}

_PAGE: Final = """\
# Configuration

<!-- Made by `openmeet-bridge reference configuration`; edit openmeet_bridge/config/model.py. -->

One YAML file, named by `--config`, by the environment variable `OPENMEET_BRIDGE_CONFIG`, or
`config.yaml` in the current folder. [`config.example.yaml`](../../config.example.yaml) shows every
key. `openmeet-bridge check-config` checks a file without starting anything.

* Any text may hold `${NAME}`: the value of an environment variable, which must be set.
* A key marked *or `_file`* may be given as `KEY_file: PATH` instead; the file's text is the value.
* Paths are relative to the folder of the configuration file.
* Sizes are numbers of bytes or text with a unit: `B`, `KiB`, `MiB`, `GiB`.
* Durations are numbers of seconds or text with a unit: `ms`, `s`, `min`, `h`, `d`.
* A key that is not listed here is refused; the error names the nearest known one.
"""


def example() -> str:
    """Returns the text of ``config.example.yaml``."""
    lines = [_HEAD]
    for key in keys(Config):
        lines += [*_example_key(key, indent=""), ""]
    return "\n".join(lines).rstrip() + "\n"


def reference() -> str:
    """Returns the text of the configuration's reference page."""
    sections: list[str] = [_PAGE, "## Top level\n", _table(Config)]
    for title, section in _sections(Config, ""):
        sections += [f"\n## `{title}`\n", f"{_summary(section)}\n", _table(section)]
    return "\n".join(sections) + "\n"


def _example_key(key: Key, indent: str) -> list[str]:
    lines = _comment(key.text, indent)
    if key.item_section is not None and not key.extra.get("optional"):
        return [*lines, f"{indent}{key.name}:", *_example_item(key.item_section, indent + "  ")]
    # jwt_default is the one worth filling in; a tenant's own jwt is the exception.
    if key.extra.get("optional"):
        return [*lines, f"{indent}# {key.name}: {key.extra['optional']}"]
    if key.section is not None:
        inner = [line for item in keys(key.section) for line in _example_key(item, indent + "  ")]
        return [*lines, f"{indent}{key.name}:", *inner]
    shown = "example" in key.extra
    value = _yaml(key.extra["example"] if shown else _written(key))
    return [*lines, f"{indent}{'' if shown else '# '}{key.name}: {value}".rstrip()]


def _example_item(section: type[Struct], indent: str) -> list[str]:
    lines = [line for key in keys(section) for line in _example_key(key, indent + "  ")]
    first = next(i for i, line in enumerate(lines) if not line.lstrip().startswith("#"))
    lines[first] = f"{indent}- {lines[first].lstrip()}"
    # A comment before the dash belongs to the list's own column.
    return [indent + line.lstrip() for line in lines[:first]] + lines[first:]


def _comment(text: str, indent: str) -> list[str]:
    start = f"{indent}# "
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=start)


def _written(key: Key) -> Any:
    """A default as it is written in the file."""
    if key.default is None:
        return ""
    if key.unit == "bytes":
        return format_size(key.default)
    if key.unit == "seconds":
        return format_duration(key.default)
    return str(key.default) if isinstance(key.default, Address | Path) else key.default


def _yaml(value: Any) -> str:
    if isinstance(value, str) and not value.replace(".", "").isdigit() and "${" not in value:
        return value
    return msgspec.json.encode(value).decode()


def _sections(section: type[Struct], path: str) -> list[tuple[str, type[Struct]]]:
    found: list[tuple[str, type[Struct]]] = []
    for key in keys(section):
        inner = key.section or key.item_section
        if inner is not None:
            title = f"{path}{key.name}{'[]' if key.item_section else ''}"
            if key.name in _SHARED and path:
                continue
            found.append((title, inner))
            found += _sections(inner, f"{title}.")
    return found


def _table(section: type[Struct]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| {_name(key)} | {_type(key)} | {_default(key)} | {key.text} |" for key in keys(section)
    ]
    return "\n".join(rows)


def _name(key: Key) -> str:
    return f"`{key.name}`, or `{key.name}_file`" if key.extra.get("file") else f"`{key.name}`"


def _type(key: Key) -> str:
    if key.section or key.item_section:
        many = "list of " if key.item_section else ""
        return many + (
            f"block `{_SHARED[key.name]}`"
            if key.name in _SHARED and not key.required and key.extra.get("optional")
            else "block"
        )
    if get_origin(key.kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(key.kind))
    if get_origin(key.kind) is list:
        return "list of texts"
    if get_origin(key.kind) is dict:
        return "numbers by name"
    if key.unit:
        return {"bytes": "size", "seconds": "duration"}[key.unit]
    return _NAMES[key.kind]


def _default(key: Key) -> str:
    if "shown" in key.extra:
        return str(key.extra["shown"])
    if key.required:
        return "**required**"
    if key.section or key.default in (None, []):
        return "-"
    value = _written(key)
    return f"`{_yaml(value)}`"


def _summary(section: type[Struct]) -> str:
    return (section.__doc__ or "").split("\n")[0]
