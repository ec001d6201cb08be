"""What a failed conversion says, in the words of the person who wrote the file."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from ..core.errors import ConfigError
from ..core.yaml_document import YamlDocument

_COMPLAINT: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>.*)`")
_WRONG_TYPE: Final = re.compile(r"Expected `(?P<want>[^`]*)`, got `(?P<got>[^`]*)`")
_BOUND: Final = re.compile(r"Expected `(?P<want>int|float)` (?P<bound>[<>]=? .*)")
_WORDS: Final = {
    "str": "text (put it in quotes)",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "keys with values",
    "null": "nothing",
}


def complaint(
    document: YamlDocument, error: msgspec.ValidationError, within: str = ""
) -> ConfigError:
    """Return the error for a value that has the wrong type or is out of bounds.

    Args:
        document: The file.
        error: From the conversion.
        within: The path of what was converted, when that was not the whole file.
    """
    match = _COMPLAINT.fullmatch(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    path = f"{within}.{path}" if within and path else within or path
    if missing := _MISSING.fullmatch(what):
        key = f"{path}.{missing['name']}" if path else missing["name"]
        return document.error(key, "is missing")
    if wrong := _WRONG_TYPE.fullmatch(what):
        want = " or ".join(_WORDS.get(word, word) for word in wrong["want"].split(" | "))
        return document.error(
            path, f"expected {want}, got {_WORDS.get(wrong['got'], wrong['got'])}"
        )
    if bound := _BOUND.fullmatch(what):
        return document.error(path, f"expected {_WORDS[bound['want']]} {bound['bound']}")
    return document.error(path, what[:1].lower() + what[1:])
