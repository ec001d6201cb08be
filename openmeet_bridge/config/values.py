"""From what stands in the file to plain values: environment, ``*_file`` keys, units, typos."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args, get_origin

import msgspec
from msgspec import Struct

from ..core.errors import ConfigError
from ..core.yaml_document import YamlDocument
from .complaints import complaint
from .schema import Key, keys
from .units import parse_duration, parse_size

_VARIABLE: Final = re.compile(r"\$\{(?P<name>[^}]*)\}")
_FILE: Final = "_file"


class Source(NamedTuple):
    """A parsed file and what its values may refer to.

    Attributes:
        document: The file.
        folder: What relative paths in it are relative to.
        environment: Variables for ``${NAME}``.
    """

    document: YamlDocument
    folder: Path
    environment: Mapping[str, str]

    def error(self, path: str, reason: str) -> ConfigError:
        """An error that names the file, the line and the key."""
        return self.document.error(path, reason)


def resolve(source: Source, section: type[Struct], raw: Any, path: str = "") -> dict[str, Any]:
    """Returns a section's values with everything looked up that they refer to.

    Raises:
        ConfigError: For an unknown key, an unset variable, an unreadable file, a wrong unit.
    """
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise source.error(path, f"expected keys with values, not {_kind_of(raw)}")
    known = {key.name: key for key in keys(section)}
    _refuse_unknown(source, known, raw, path)
    values: dict[str, Any] = {}
    for name, key in known.items():
        inner = join(path, name)
        if key.extra.get("file") and raw.get(name + _FILE) is not None:
            values[name] = _from_file(source, key, raw, path)
        elif name in raw:
            values[name] = _value(source, key, raw[name], inner)
    return values


def join(path: str, name: str) -> str:
    """The dotted path of a key within a section."""
    return f"{path}.{name}" if path else name


def expand(source: Source, text: str, path: str) -> str:
    """Puts environment variables in the place of ``${NAME}``.

    Raises:
        ConfigError: When a variable is not set.
    """

    def look_up(match: re.Match[str]) -> str:
        value = source.environment.get(match["name"])
        if value is None:
            raise source.error(path, f"the environment variable {match['name']} is not set")
        return value

    return _VARIABLE.sub(look_up, text)


def _value(source: Source, key: Key, raw: Any, path: str) -> Any:
    if raw is None and not key.required and key.default is None:
        return None  # "public_url:" with nothing behind it is the same as no such line
    if key.section is not None:
        return resolve(source, key.section, raw, path)
    if get_origin(key.kind) is dict:
        return _table(source, key, raw, path)
    if key.item_section is not None and isinstance(raw, list):
        return [
            resolve(source, key.item_section, item, f"{path}[{index}]")
            for index, item in enumerate(raw)
        ]
    if isinstance(raw, list):
        return [_text(source, item, f"{path}[{index}]") for index, item in enumerate(raw)]
    value = _text(source, raw, path)
    return _number(source, key, value, path) if isinstance(value, str) and key.unit else value


def _table(source: Source, key: Key, raw: Any, path: str) -> dict[str, Any]:
    """Reads a table whose names the operator chooses, and checks it: only here are they known."""
    if not isinstance(raw, dict):
        raise source.error(path, f"expected names with values, not {_kind_of(raw)}")
    for name, value in raw.items():
        if not isinstance(name, str):
            reason = f"expected a name, not {_kind_of(name)}; put it in quotes"
            raise source.error(join(path, str(name)), reason)
        try:
            msgspec.convert(value, get_args(key.kind)[1])
        except msgspec.ValidationError as error:
            raise complaint(source.document, error, join(path, name)) from None
    return raw


def _text(source: Source, raw: Any, path: str) -> Any:
    return expand(source, raw, path) if isinstance(raw, str) else raw


def _number(source: Source, key: Key, text: str, path: str) -> int | float:
    try:
        return parse_size(text) if key.unit == "bytes" else parse_duration(text)
    except ValueError as error:
        raise source.error(path, str(error)) from None


def _from_file(source: Source, key: Key, raw: dict[str, Any], path: str) -> Any:
    inner = join(path, key.name + _FILE)
    if raw.get(key.name) is not None:
        raise source.error(inner, f"give either {key.name} or {key.name}{_FILE}, not both")
    name = raw[key.name + _FILE]
    if not isinstance(name, str):
        raise source.error(inner, f"expected the path of a file, not {_kind_of(name)}")
    text = _read(source, source.folder / expand(source, name, inner), inner)
    if key.kind is str:
        return text.strip()
    return [line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]


def _read(source: Source, file: Path, path: str) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        reason = "is not text; keys must be PEM, not DER"
        raise source.error(path, f"{file} {reason}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise source.error(path, f"cannot read {file}: {reason}") from None


def _refuse_unknown(source: Source, known: dict[str, Key], raw: dict[Any, Any], path: str) -> None:
    names = [*known, *(name + _FILE for name, key in known.items() if key.extra.get("file"))]
    for name in raw:
        if name in names:
            continue
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known keys here: {', '.join(names)}"
        raise source.error(join(path, str(name)), f"unknown key; {hint}")


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "keys with values"
