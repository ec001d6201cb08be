"""How commands end: their exit codes, and errors as one line for the person who can mend them."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import click

from ..core.errors import BridgeError, ConfigError, Unavailable
from ..matrix.errors import HomeserverError

OK: Final = 0
FAILED: Final = 1
MISCONFIGURED: Final = 2
NO_DATABASE: Final = 3

EXIT_CODES: Final = """\
\b
Exit codes:
  0  all is well
  1  the command, or one of its checks, failed
  2  the configuration, the registration or the command line is wrong
  3  the database cannot be reached, or lacks migrations
"""


class Commands(click.Group):
    """Turns the errors that a person can mend into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            fail(str(error), MISCONFIGURED)
        except Unavailable as error:
            fail(error.message, NO_DATABASE)
        except (BridgeError, HomeserverError) as error:
            fail(error.message, FAILED)


def fail(message: str, code: int) -> NoReturn:
    """End the program with a line on standard error and an exit code."""
    click.echo(f"error: {message}", err=True)
    raise SystemExit(code)
