"""Which tests a worker gets together, when there are several."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

_TOGETHER = {"tests/browser/test_page_for_all.py": "tests/browser/test_page_real.py"}


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Each file to one worker; those that share the demonstration to the same."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _TOGETHER.get(file, file)
