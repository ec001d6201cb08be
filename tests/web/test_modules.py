"""The modules of the page that need no page, tested in Node. `make types` checks their types."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import playwright

HERE = Path(__file__).parent
WEB = HERE.parents[1] / "openmeet_bridge" / "web"
NODE = Path(playwright.__file__).parent / "driver" / "node"
"""Comes with Playwright, so a machine needs no Node of its own."""


def test_modules() -> None:
    """All of ``*.test.mjs``, by Node's own test runner."""
    files = sorted(str(file) for file in HERE.glob("*.test.mjs"))
    ran = subprocess.run(
        [str(NODE), "--test", *files], capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = re.search(r"pass (\d+)", ran.stdout)
    assert passed is not None
    assert int(passed[1]) > 0


def test_no_markup_is_made_from_data() -> None:
    """Nothing parses text as markup, and nothing runs text as a script."""
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|srcdoc")
    for file in WEB.rglob("*.js"):
        assert forbidden.search(file.read_text()) is None, file.name


def test_index_keeps_to_the_policy() -> None:
    """No inline script or style, nothing from elsewhere, and every file it names exists."""
    index = (WEB / "index.html").read_text()
    assert re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?://", index) is None
    for path in re.findall(r'(?:href|src)="web/([^"]+)"', index):
        assert (WEB / path).is_file(), path
