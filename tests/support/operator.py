"""Somebody who looks after a bridge: gives commands while it runs."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess

from click.testing import CliRunner

from openmeet_bridge import cli

from .bridge import Settings

# The same server of forks as that of the bridge: it has imported the program.
_CONTEXT = multiprocessing.get_context("forkserver")


class Operator:
    """Gives commands beside the running bridge."""

    def __init__(self, settings: Settings) -> None:
        self._words = ("-c", str(settings.file))

    def start(self, *words: str) -> ForkServerProcess:
        """Begins a command in a process of its own, which can be killed."""
        process = _CONTEXT.Process(target=_give, args=([*words, *self._words],))
        process.start()
        return process

    async def run(self, *words: str, stdin: str | None = None) -> str:
        """Gives a command that must succeed; returns what it prints."""
        done = await asyncio.to_thread(
            CliRunner().invoke, cli.main, [*words, *self._words], input=stdin
        )
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout


def _give(words: Sequence[str]) -> None:
    cli.main(list(words))
