"""The doctor of streams: a conformance suite for any deployment, from outside."""

from __future__ import annotations

from .examination import Order, examine, run
from .patience import Patience
from .target import Caller, Target

__all__ = ["Caller", "Order", "Patience", "Target", "examine", "run"]
