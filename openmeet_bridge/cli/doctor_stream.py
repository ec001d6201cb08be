"""``doctor stream``: what stands between browsers and the bridge, looked at from outside."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .exits import EXIT_CODES

if TYPE_CHECKING:
    from yarl import URL

_LONG = 90.0
_TOKENS = 2


@click.command(epilog=EXIT_CODES)
@click.argument("url")
@click.option(
    "--token",
    "tokens",
    multiple=True,
    metavar="TOKEN",
    envvar="OPENMEET_TOKEN",
    show_envvar=True,
    help="OpenMeet's access token of a user; twice for two users of one room. Others on this "
    "machine can see it on the command line: rather use a file or the environment.",
)
@click.option(
    "--token-file",
    "token_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file with such tokens, one a line; - for standard input.",
)
@click.option("--tenant", metavar="ID", help="Their tenant, where the tokens do not name it.")
@click.option(
    "--room",
    metavar="ROOM",
    help="SENDS TEST MESSAGES to this room (an id: !…), about eight, which stay there, and looks "
    "whether they come. Without it nothing is written anywhere.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Watch the streams for so long. Default: two and a half heartbeats and a bit.",
)
@click.option("--long", "watch_long", is_flag=True, help="Watch them for 90 seconds at least.")
@click.option(
    "--many-streams",
    "crowd",
    is_flag=True,
    help="Open streams until the user has too many. ENDS THE USER'S OTHER STREAMS, in browsers "
    "too: use an account that nobody needs.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path),
    help="Certificates to trust, where the address has one of your own.",
)
@click.option(
    "--connect-to",
    metavar="HOST:PORT",
    help="Go there, with the name of the address: to one of several proxies, or past one.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines.")
def stream(
    url: str,
    tokens: tuple[str, ...],
    token_files: tuple[Path, ...],
    tenant: str | None,
    room: str | None,
    patience: float | None,
    watch_long: bool,
    crowd: bool,
    ca_file: Path | None,
    connect_to: str | None,
    as_json: bool,
) -> None:
    """Prove the streams of a deployment from outside, with the fix for what fails.

    URL is the public address, as browsers have it. Run it anywhere; it needs no configuration. It
    checks whether proxies on the way hold back, cut, rewrite or refuse what streams are made of:
    server-sent events, WebSocket and Socket.IO, resuming, heartbeats, time-outs.

    It reads only, unless --room or --many-streams is given. Without a token it asks for the
    people of a demonstration (web.demo_login).

    \b
    Examples:
      openmeet-bridge doctor stream https://chat.openmeet.example --token-file token
      openmeet-bridge doctor stream http://127.0.0.1:8480 --room '!id' --long
    """
    from ..doctor.stream import Caller, Order, Patience, Target, run

    callers = [Caller(token, tenant) for token in _tokens(tokens, token_files)]
    target = Target(
        _address(url),
        Patience(watch=patience),
        _trust(ca_file),
        _place(connect_to) if connect_to else None,
    )
    order = Order(target, callers, room, crowd, _LONG if watch_long else 0.0)
    raise SystemExit(run(order, as_json))


def _tokens(given: tuple[str, ...], files: tuple[Path, ...]) -> list[str]:
    try:
        texts = [sys.stdin.read() if str(one) == "-" else one.read_text("utf-8") for one in files]
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"cannot be read: {error}", param_hint="--token-file") from None
    # What is named on the command line goes before what lies in the environment.
    found = " ".join(texts).split() or " ".join(given).split()
    if len(found) > _TOKENS:
        raise click.UsageError("give one token or two")
    if any(not one.isascii() or not one.isprintable() for one in found):
        raise click.UsageError("what was given is no token")
    return found


def _address(text: str) -> URL:
    from yarl import URL

    try:
        url = URL(text)
        good = url.scheme in ("http", "https") and url.host and url.port
    except ValueError:
        good = False
    if not good or url.query_string or url.fragment or url.user:
        reason = "not an address such as https://chat.openmeet.example"
        raise click.BadParameter(reason, param_hint="URL")
    return url


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise click.BadParameter("not HOST:PORT", param_hint="--connect-to")
    return host.strip("[]"), int(port)


def _trust(file: Path | None) -> ssl.SSLContext | None:
    if file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(file))
    except OSError as error:  # ssl.SSLError is one
        raise click.BadParameter(f"cannot be used: {error}", param_hint="--ca-file") from None
