"""``python -m openmeet_bridge`` is ``openmeet-bridge``."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main(prog_name="openmeet-bridge")
