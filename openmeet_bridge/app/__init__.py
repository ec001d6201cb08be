"""The program: builds every object, owns every task, and knows the order of the end."""

from __future__ import annotations

from .bridge import Bridge
from .serving import run_loop, running, serve, stop_signal

__all__ = ["Bridge", "run_loop", "running", "serve", "stop_signal"]
