"""What of the optional parts is installed."""

from __future__ import annotations

import importlib.util


def installed(module: str) -> bool:
    """Whether a module can be imported; it is not."""
    return importlib.util.find_spec(module) is not None
