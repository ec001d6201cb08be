"""The doctor: proves the way of a message, step by step, and names the fix for what fails."""

from __future__ import annotations

from .examination import run

__all__ = ["run"]
