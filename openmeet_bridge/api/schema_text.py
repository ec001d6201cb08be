"""JSON Schema in few words, for tables that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]

_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "{} or more characters",
    "maxLength": "at most {} characters",
    "pattern": "matches `{}`",
}


def type_text(schema: Schema) -> str:
    """Returns a type as Markdown; a named one is a link to its heading on the same page."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(type_text(one) for one in schema["anyOf"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {type_text(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {type_text(schema['additionalProperties'])} by name"
    return str(kind) if kind else "any JSON"


def bounds_text(schema: Schema) -> str:
    """Returns what a value must keep to, besides its type; may be empty."""
    inner = _inner(schema)
    said = [
        text.format(str(inner[key]).replace("|", "\\|"))
        for key, text in _BOUNDS.items()
        if key in inner and not (key == "minLength" and inner[key] == 0)
    ]
    if schema.get("default") not in (None, ""):
        said.append(f"default `{str(schema['default']).lower()}`")
    return ", ".join(said)


def _inner(schema: Schema) -> Schema:
    """Returns what is meant where it may also be null."""
    meant = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return meant[0] if len(meant) == 1 else schema


def field_rows(schema: Schema) -> Iterable[tuple[str, str, str]]:
    """Returns name, type, bounds and meaning of an object's fields."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        optional = [] if name in required else ["may be left out"]
        meaning = field.get("description") or _inner(field).get("description")
        said = ", ".join([*optional, *filter(None, [bounds_text(field)])])
        yield f"`{name}`", type_text(field), ": ".join(filter(None, [said, meaning]))


def table(heads: tuple[str, ...], rows: Iterable[Iterable[str]]) -> str:
    """Returns a Markdown table."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def paragraphs(text: str) -> str:
    """Returns a docstring without its indentation, and with Markdown's code marks."""
    return "\n".join(line.strip() for line in text.strip().splitlines()).replace("``", "`")
