"""The registration file: what the homeserver and the bridge agree upon.

Application service API, "Registration". The homeserver reads the same file once, at its start.
Keys that it does not know (such as ``org.openmeet.prefix``) are ignored by Synapse.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from ..core.errors import ConfigError
from ..core.ids import Mxid
from ..core.naming import Naming
from ..core.yaml_document import YamlDocument, parse_yaml

DEFAULT_ID: Final = "openmeet-bridge"
DEFAULT_PREFIX: Final = "om_"
PREFIX_KEY: Final = "org.openmeet.prefix"
LEAST_TOKEN: Final = 32
_EPHEMERAL: Final = ("receive_ephemeral", "de.sorunome.msc2409.push_ephemeral")
_LOCALPART: Final = "[a-z0-9._=/-]+"
_PREFIX: Final = re.compile(r"[a-z0-9.=/-]*[a-z0-9]_")
_SENDER: Final = re.compile(r"[a-z0-9._~-]+")
_LEADING_PREFIX: Final = re.compile(r"@(?P<prefix>[a-z0-9.=/-]*[a-z0-9]_)\[")

_TEMPLATE: Final = """\
# Registration of openmeet-bridge, for the homeserver and for the bridge itself.
# Synapse: name this file in homeserver.yaml under app_service_config_files, then restart it.
# Keep it secret (chmod 600): who holds as_token can speak as every OpenMeet user.

# Never change it: the homeserver keeps what it has sent by this name.
id: {id}
# Where the homeserver reaches the bridge's homeserver listener (listen.homeserver).
url: {url}
# The bridge shows as_token to the homeserver, the homeserver shows hs_token to the bridge.
as_token: {as_token}
hs_token: {hs_token}
# Required by the specification and not used: the bridge's bot is {bot},
# an ordinary user of the namespace, because a sender cannot /sync.
sender_localpart: {sender_localpart}
# The bridge's own key: how every localpart of its users and aliases begins.
org.openmeet.prefix: {prefix}

# Anchored to this server and escaped: a pattern without its end would match look-alikes.
namespaces:
  users:
    - exclusive: true
      regex: {users_regex}
{adopted}  aliases:
    - exclusive: true
      regex: {aliases_regex}
  rooms: []

# The bridge paces itself, and a whole community speaks through one token.
rate_limited: false
# Typing and read receipts, under the name in the specification and the older one.
receive_ephemeral: true
de.sorunome.msc2409.push_ephemeral: true
protocols: []
"""

_ADOPTED_TEMPLATE: Final = """\
    # Users that OpenMeet had on this homeserver before the bridge. Not exclusive: they may have
    # their own clients, and go on being notified there.
    - exclusive: false
      regex: {regex}
"""


class Registration(Struct, frozen=True, kw_only=True):
    """One registration.

    Attributes:
        id: The appservice's name at the homeserver.
        url: Where the homeserver sends transactions.
        as_token: What the bridge shows to the homeserver.
        hs_token: What the homeserver shows to the bridge.
        sender_localpart: The appservice's nominal user; not used.
        server_name: The homeserver that the namespaces are anchored to.
        prefix: How the localparts of ghosts, bot and aliases begin.
        adopted: Regular expressions of whole Matrix ids outside of the prefix that the bridge may
            act as: those which OpenMeet's users had before it.
    """

    id: str
    url: str
    as_token: str
    hs_token: str
    sender_localpart: str
    server_name: str
    prefix: str = DEFAULT_PREFIX
    adopted: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Registration(id={self.id!r}, url={self.url!r}, server_name={self.server_name!r})"

    @property
    def naming(self) -> Naming:
        """The names within this registration's namespaces."""
        adopted = [re.compile(regex) for regex in self.adopted]
        return Naming(self.server_name, self.prefix, adopted)

    @property
    def bot(self) -> Mxid:
        """The bridge's own user. Never a ghost: those have a second underscore."""
        return self.naming.bot

    @property
    def bot_localpart(self) -> str:
        """The bot's name without sigil and server."""
        return f"{self.prefix}bot"

    @property
    def users_regex(self) -> str:
        """The namespace of ghosts and bot."""
        return f"@{re.escape(self.prefix)}{_LOCALPART}:{re.escape(self.server_name)}$"

    @property
    def aliases_regex(self) -> str:
        """The namespace of the portals' aliases."""
        return f"#{re.escape(self.prefix)}{_LOCALPART}:{re.escape(self.server_name)}$"

    def dump(self) -> str:
        """Returns the file's text, with comments."""
        names = ("id", "url", "as_token", "hs_token", "sender_localpart", "prefix")
        quoted = {name: _quote(getattr(self, name)) for name in names}
        quoted |= {name: _quote(getattr(self, name)) for name in ("users_regex", "aliases_regex")}
        adopted = "".join(_ADOPTED_TEMPLATE.format(regex=_quote(one)) for one in self.adopted)
        return _TEMPLATE.format(bot=self.bot, adopted=adopted, **quoted)


def generate(
    server_name: str,
    url: str,
    *,
    id: str = DEFAULT_ID,
    prefix: str = DEFAULT_PREFIX,
    adopt: Sequence[str] = (),
) -> Registration:
    """Makes a registration with fresh random tokens.

    Args:
        server_name: The homeserver's ``server_name``.
        url: Where the homeserver reaches the bridge.
        id: The appservice's name at the homeserver.
        prefix: How localparts in the namespace begin; ends with its only underscore.
        adopt: Regular expressions of the localparts that OpenMeet's users have already, for
            example ``[a-z0-9._-]+_town``; they are anchored to the server here.

    Raises:
        ValueError: One of them is no regular expression.
    """
    return Registration(
        id=id,
        url=url,
        as_token=secrets.token_urlsafe(48),
        hs_token=secrets.token_urlsafe(48),
        sender_localpart=f"{id}-{secrets.token_hex(8)}",
        server_name=server_name,
        prefix=prefix,
        adopted=tuple(_adopted_regex(one, server_name) for one in adopt),
    )


def example() -> str:
    """Returns the text of ``registration.yaml.example``: everything but real tokens."""
    return Registration(
        id=DEFAULT_ID,
        url="http://127.0.0.1:9898",
        as_token="REPLACED-BY-generate-registration-1",  # noqa: S106
        hs_token="REPLACED-BY-generate-registration-2",  # noqa: S106
        sender_localpart=f"{DEFAULT_ID}-0123456789abcdef",
        server_name="example.org",
    ).dump()


def load(path: str | Path, server_name: str) -> Registration:
    """Reads and checks a registration file.

    Args:
        path: The file that the homeserver reads too.
        server_name: The homeserver's ``server_name``, which the namespaces must be anchored to.

    Raises:
        ConfigError: With file, line, key and what to do.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        hint = "; make one with: openmeet-bridge generate-registration"
        raise ConfigError(str(path), None, "", f"cannot be read: {reason}{hint}") from None
    document = parse_yaml(text, str(path))
    registration = Registration(
        id=_text(document, "id"),
        url=_url(document),
        as_token=_token(document, "as_token"),
        hs_token=_token(document, "hs_token"),
        sender_localpart=_text(document, "sender_localpart"),
        server_name=server_name,
        prefix=_prefix(document),
        adopted=_adopted(document, server_name),
    )
    _check_names(document, registration)
    _check_namespace(document, "users", registration.bot, server_name)
    alias = f"#{registration.prefix}a_group_b:{server_name}"
    _check_namespace(document, "aliases", alias, server_name)
    if not any(document.tree.get(key) is True for key in _EPHEMERAL):
        raise document.error(_EPHEMERAL[0], "must be true, or typing and receipts never arrive")
    return registration


def _text(document: YamlDocument, key: str) -> str:
    value = document.tree.get(key)
    if not isinstance(value, str) or not value:
        raise document.error(key, "is missing" if value is None else "expected text")
    return value


def _token(document: YamlDocument, key: str) -> str:
    token = _text(document, key)
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable():
        raise document.error(key, f"expected at least {LEAST_TOKEN} printable ASCII characters")
    return token


def _url(document: YamlDocument) -> str:
    if "url" in document.tree and document.tree["url"] is None:
        raise document.error("url", "null means that the homeserver sends nothing to the bridge")
    url = _text(document, "url")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise document.error("url", "expected an http:// or https:// address")
    return url.rstrip("/")


def _prefix(document: YamlDocument) -> str:
    if PREFIX_KEY in document.tree:
        prefix = _text(document, PREFIX_KEY)
        if not _PREFIX.fullmatch(prefix):
            reason = "expected lower-case letters or digits, then the one underscore, as in om_"
            raise document.error(PREFIX_KEY, reason)
        return prefix
    path, regex = _namespace(document, "users")
    match = _LEADING_PREFIX.match(regex.replace("\\", ""))
    if match is None:
        raise document.error(path, f"cannot tell the prefix from the regex; add {PREFIX_KEY}: om_")
    return match["prefix"]


def _check_names(document: YamlDocument, registration: Registration) -> None:
    if registration.as_token == registration.hs_token:
        raise document.error("hs_token", "is the same as as_token; each needs its own")
    if "|" in registration.id:
        raise document.error("id", "Synapse refuses | in it")
    if not _SENDER.fullmatch(registration.sender_localpart):
        reason = "expected lower-case letters, digits and . _ - only"
        raise document.error("sender_localpart", reason)
    if registration.sender_localpart == registration.bot_localpart:
        raise document.error("sender_localpart", "must not be the bot: a sender cannot /sync")


def _namespace(document: YamlDocument, kind: str) -> tuple[str, str]:
    namespaces = document.tree.get("namespaces")
    entries = namespaces.get(kind) if isinstance(namespaces, dict) else None
    path = f"namespaces.{kind}"
    entries = entries if isinstance(entries, list) else []
    too_many = len(entries) > 1 and kind != "users"
    if not entries or too_many or not isinstance(entries[0], dict):
        raise document.error(path, "expected a list with one entry of exclusive and regex")
    entry: dict[str, Any] = entries[0]
    if entry.get("exclusive") is not True:
        raise document.error(f"{path}[0].exclusive", "must be true, or anybody may take the names")
    if not isinstance(entry.get("regex"), str):
        raise document.error(f"{path}[0].regex", "expected a regular expression as text")
    return f"{path}[0].regex", entry["regex"]


def _adopted(document: YamlDocument, server_name: str) -> tuple[str, ...]:
    """Read the further namespaces of users: whom the bridge may act as besides its own."""
    _namespace(document, "users")
    found = []
    for number, entry in enumerate(document.tree["namespaces"]["users"][1:], start=1):
        path = f"namespaces.users[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("exclusive"), bool):
            raise document.error(path, "expected exclusive (true or false) and regex")
        regex = entry.get("regex")
        anchor = f":{re.escape(server_name)}$"
        if not isinstance(regex, str) or not regex.startswith("@") or not regex.endswith(anchor):
            raise document.error(f"{path}.regex", f"expected a text from @ to {anchor}")
        if "|" in regex and not regex.startswith("@(?:"):
            reason = f"write @(?:one|another){anchor}: a | at the top parts it from its end"
            raise document.error(f"{path}.regex", reason)
        try:
            re.compile(regex)
        except re.error as error:
            raise document.error(f"{path}.regex", f"not a regular expression: {error}") from None
        found.append(regex)
    return tuple(found)


def _adopted_regex(localparts: str, server_name: str) -> str:
    try:
        re.compile(localparts)
    except re.error as error:
        raise ValueError(f"{localparts!r} is not a regular expression: {error}") from None
    return f"@(?:{localparts}):{re.escape(server_name)}$"


def _check_namespace(document: YamlDocument, kind: str, wanted: str, server_name: str) -> None:
    path, text = _namespace(document, kind)
    try:
        regex = re.compile(text)
    except re.error as error:
        raise document.error(path, f"not a regular expression: {error}") from None
    if not regex.match(wanted):
        raise document.error(path, f"does not match {wanted} of homeserver.server_name")
    anchored = f":{re.escape(server_name)}$"
    look_alikes = [f"{wanted}.evil.example", wanted.replace(server_name, "evil.example")]
    if "." in server_name:
        look_alikes.append(wanted.replace(server_name, server_name.replace(".", "x")))
    for look_alike in look_alikes:
        if regex.match(look_alike):
            raise document.error(path, f"matches {look_alike} too; end it with {anchored}")


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
