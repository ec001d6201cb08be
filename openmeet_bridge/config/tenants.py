"""The tenants: from the file and from ``TENANTS_B64``, each with its token check and rules."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec
from msgspec import Struct

from .model import Config
from .rules import RulesSection
from .schema import keys
from .values import Source

VARIABLE: Final = "TENANTS_B64"


def complete_tenants(source: Source, values: dict[str, Any]) -> None:
    """Merges OpenMeet's tenants into ``values["tenants"]`` and gives each one its token check.

    Args:
        source: For errors and the environment.
        values: The resolved values of the whole file; changed in place.

    Raises:
        ConfigError: When ids repeat, the base64 is broken, or there is no tenant at all.
    """
    listed = values.get("tenants", [])
    if not isinstance(listed, list):
        return  # the typed check says what is wrong
    _refuse_repeated_ids(source, listed, "tenants")
    _add_encoded(source, listed, values)
    if not listed:
        raise source.error("tenants", f"name at least one tenant here or in {VARIABLE}")
    default = values.get("jwt_default")
    for index, tenant in enumerate(listed):
        if tenant.get("jwt") is None:
            if not default:
                place = f"tenants[{index}]"
                raise source.error(place, "add a jwt block here, or jwt_default for all tenants")
            tenant["jwt"] = default
    values["tenants"] = listed


def inherit_rules(config: Config, values: dict[str, Any]) -> Config:
    """Lets each tenant's rules say only what is different: the rest is that of ``rules``.

    Key by key, also inside of blocks (``public``, ``accept``); a table of roles or a list
    replaces the whole of the other.

    Args:
        config: Converted, so that every value is known to be good where it stands.
        values: What it was converted from.
    """
    tenants = [
        msgspec.structs.replace(one, rules=_inherited(values, given.get("rules") or {}))
        for one, given in zip(config.tenants, values["tenants"], strict=True)
    ]
    return msgspec.structs.replace(config, tenants=tenants)


def _inherited(values: dict[str, Any], own: dict[str, Any]) -> RulesSection:
    merged = _merged(RulesSection, values.get("rules") or {}, own)
    return msgspec.convert(merged, RulesSection)


def _merged(section: type[Struct], common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = common | own
    for key in keys(section):
        if key.section is not None and key.name in common and key.name in own:
            merged[key.name] = _merged(key.section, common[key.name], own[key.name])
    return merged


def _add_encoded(source: Source, listed: list[dict[str, Any]], values: dict[str, Any]) -> None:
    text = values.get("tenants_b64") or source.environment.get(VARIABLE)
    if not isinstance(text, str) or not text.strip():
        return
    encoded = _decode(source, text)
    _refuse_repeated_ids(source, encoded, "tenants_b64")
    mine = {tenant.get("id"): tenant for tenant in listed}
    for tenant in encoded:
        if tenant["id"] in mine:
            mine[tenant["id"]].setdefault("name", tenant["name"])
        else:
            listed.append(tenant)


def _decode(source: Source, text: str) -> list[dict[str, Any]]:
    try:
        tenants = msgspec.json.decode(base64.b64decode(text.strip(), validate=True))
        return [{"id": item["id"], "name": item.get("name") or item["id"]} for item in tenants]
    except (binascii.Error, msgspec.DecodeError, TypeError, KeyError, AttributeError):
        reason = "expected base64 of a JSON list of objects with id and name"
        raise source.error("tenants_b64", f"{reason} (environment variable {VARIABLE})") from None


def _refuse_repeated_ids(source: Source, tenants: list[dict[str, Any]], path: str) -> None:
    seen: set[Any] = set()
    for index, tenant in enumerate(tenants):
        name = tenant.get("id")
        if isinstance(name, str) and name in seen:
            raise source.error(f"{path}[{index}].id", f"the tenant {name!r} is listed twice")
        if isinstance(name, str):
            seen.add(name)
