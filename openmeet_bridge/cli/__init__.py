"""The commands. Each loads only what it needs, so that ``--help`` answers at once."""

from __future__ import annotations

from .exits import FAILED, MISCONFIGURED, NO_DATABASE, OK
from .page import cli_page
from .program import main

__all__ = ["FAILED", "MISCONFIGURED", "NO_DATABASE", "OK", "cli_page", "main"]
