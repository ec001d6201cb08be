"""The sheet on which findings are written: lines as they come, or one document at the end."""

from __future__ import annotations

import sys

import msgspec

from .finding import Finding, Outcome


class Sheet:
    """Takes findings; a :data:`~.finding.Report`.

    Args:
        as_json: Print one JSON document, ``{"ok": true, "checks": [...]}``, instead of lines.
    """

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._findings: list[Finding] = []
        self._out = sys.stdout

    def __call__(self, finding: Finding) -> None:
        """Write a finding down."""
        self._findings.append(finding)
        if not self._as_json:
            print(finding.line(), file=self._out, flush=True)

    def conclude(self) -> int:
        """Print what there is to say at the end.

        Returns:
            0 when nothing failed, else 1.
        """
        failed = any(finding.outcome is Outcome.FAIL for finding in self._findings)
        if self._as_json:
            document = msgspec.json.encode({"ok": not failed, "checks": self._findings})
            print(msgspec.json.format(document, indent=2).decode(), file=self._out)
            return int(failed)
        counts = dict.fromkeys(Outcome, 0)
        for finding in self._findings:
            counts[finding.outcome] += 1
        print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()), file=self._out)
        return int(failed)
