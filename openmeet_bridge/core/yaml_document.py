"""A YAML text as plain values, with the line of every key, so that complaints can point at it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from .errors import ConfigError


class YamlDocument(NamedTuple):
    """One parsed file.

    Attributes:
        file: Its path as the user gave it.
        tree: Plain Python values; the top is always a mapping.
        lines: 1-based line of each key, by dotted path (``tenants[0].jwt.secret``).
    """

    file: str
    tree: dict[str, Any]
    lines: dict[str, int]

    def line(self, path: str) -> int | None:
        """The line of a key, or of the nearest enclosing key that is in the file."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None

    def error(self, path: str, reason: str) -> ConfigError:
        """An error that names this file, the line and the key."""
        return ConfigError(self.file, self.line(path), path, reason)


def parse_yaml(text: str, file: str) -> YamlDocument:
    """Parses one YAML mapping.

    Args:
        text: The file's text.
        file: Its name, for errors.

    Raises:
        ConfigError: When the text is not YAML, repeats a key, or is not a mapping.
    """
    reader = YAML(typ="safe", pure=True)
    try:
        node = reader.compose(text)
        tree = reader.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise ConfigError(file, line, "", f"not YAML: {error.problem or error.context}") from None
    except YAMLError as error:
        raise ConfigError(file, None, "", f"not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(tree, dict):
        raise ConfigError(file, 1, "", "expected keys with values (key: value) at the top")
    lines: dict[str, int] = {}
    _note_lines(node, "", lines)
    return YamlDocument(file, tree, lines)


def _note_lines(node: Node, path: str, lines: dict[str, int]) -> None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = f"{path}.{key.value}" if path else str(key.value)
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            inner = f"{path}[{index}]"
            lines[inner] = value.start_mark.line + 1
            _note_lines(value, inner, lines)
