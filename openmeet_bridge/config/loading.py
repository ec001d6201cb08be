"""Reading the configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..core.errors import ConfigError
from ..core.yaml_document import parse_yaml
from .address import Address
from .checks import check
from .complaints import complaint
from .model import Config
from .tenants import complete_tenants, inherit_rules
from .values import Source, resolve


def load(path: str | Path, environment: Mapping[str, str] | None = None) -> Config:
    """Reads, completes and checks the configuration.

    Args:
        path: The YAML file. Paths in it are relative to its folder.
        environment: Variables for ``${NAME}`` and ``TENANTS_B64``; the process' own by default.

    Returns:
        The configuration: paths are absolute, every tenant has a token check and rules.

    Raises:
        ConfigError: With file, line, key and what to do.
    """
    file = Path(path)
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(str(path), None, "", "is not UTF-8 text") from None
    except OSError as error:
        hint = "; copy config.example.yaml to begin" if isinstance(error, FileNotFoundError) else ""
        reason = f"cannot be read: {error.strerror}{hint}"
        raise ConfigError(str(path), None, "", reason) from None
    document = parse_yaml(text, str(path))
    folder = file.absolute().parent
    source = Source(document, folder, os.environ if environment is None else environment)
    values = resolve(source, Config, document.tree)
    complete_tenants(source, values)
    config = _convert(source, values)
    config = inherit_rules(config, values)
    config = msgspec.structs.replace(config, data_dir=folder / config.data_dir)
    check(source, config)
    return config


def _convert(source: Source, values: dict[str, Any]) -> Config:
    def decode(kind: type, raw: Any) -> Any:
        if not isinstance(raw, str):
            raise ValueError(f"expected text, not {raw!r}")
        return Address.parse(raw) if kind is Address else source.folder / raw

    try:
        return msgspec.convert(values, Config, dec_hook=decode)
    except msgspec.ValidationError as error:
        raise complaint(source.document, error) from None
