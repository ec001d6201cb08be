"""Which tests a worker gets together, when there are several."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

_TOGETHER = {
    "tests/browser/test_page_for_all.py": "tests/browser/test_page_real.py",
    # What has most tests comes first. A single long one would come last, and all would wait for it.
    "tests/synapse/test_openmeet_is_the_truth.py": "tests/synapse/test_tenants_apart.py",
    "tests/chaos/test_chaos_short.py": "tests/synapse/test_main_way.py",
}


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Each file to one worker; some together."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _TOGETHER.get(file, file)
