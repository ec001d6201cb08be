"""Typed configuration: one YAML file, checked, with errors that name file, line and key."""

from __future__ import annotations

from .address import Address
from .limits import LimitsSection, StreamSection
from .loading import load
from .model import (
    Config,
    HomeserverSection,
    JwtSection,
    ListenSection,
    LoggingSection,
    RepairSection,
    RoomsSection,
    TenantSection,
    WebSection,
)
from .reference import example, reference

__all__ = [
    "Address",
    "Config",
    "HomeserverSection",
    "JwtSection",
    "LimitsSection",
    "ListenSection",
    "LoggingSection",
    "RepairSection",
    "RoomsSection",
    "StreamSection",
    "TenantSection",
    "WebSection",
    "example",
    "load",
    "reference",
]
