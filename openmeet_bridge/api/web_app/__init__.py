"""OpenMeet's own web app: its backend's chat routes, as it knows them."""

from typing import Final

TAG: Final = "OpenMeet's web app"
"""The chapter of all its routes."""
