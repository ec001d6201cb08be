"""The configuration as types. Each key carries its own documentation.

The commented example, the reference page and the checks are all made from these structs, so a
key that is not described cannot exist.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, field

from ..core.ids import TenantId
from .address import Address
from .limits import KIB, MIB, LimitsSection, StreamSection
from .openmeet import OpenMeetSection, WebAppSection, WebhookSection
from .rules import RulesSection
from .section import Section, about, duration, size

EMBEDDED: Final = "embedded"
LOCAL: Final = "local"

Algorithm = Literal["HS256", "RS256", "PS256", "ES256"]


class HomeserverSection(Section, frozen=True, kw_only=True):
    """The Matrix homeserver (Synapse) that the bridge serves."""

    url: Annotated[
        str,
        about(
            "Where the bridge reaches the homeserver's client API.", example="http://127.0.0.1:8008"
        ),
    ]
    server_name: Annotated[
        str,
        about(
            "The homeserver's own `server_name`: what follows the colon in a Matrix id.",
            example="example.org",
        ),
    ]
    admin_token: Annotated[
        str | None,
        about(
            "Access token of an administrator of the homeserver, with which people may set a "
            "password for Matrix clients, and rooms are removed for good.",
            secret=True,
            file=True,
            shown="neither is possible",
        ),
    ] = None


class ListenSection(Section, frozen=True, kw_only=True):
    """The addresses the bridge listens on; each has another audience."""

    homeserver: Annotated[
        Address, about("Transactions from the homeserver. Only it needs to reach this.")
    ] = Address("127.0.0.1", 9898)
    public: Annotated[
        Address, about("The web API, the streams and the chat page; put a TLS proxy before it.")
    ] = Address("127.0.0.1", 8480)
    public_socket: Annotated[
        str | None,
        about(
            "Path of a UNIX socket on which a proxy of this machine reaches the same as on "
            "`public`: writing there costs half. Members of the bridge's group may connect. With "
            "several workers, each but the first adds a dot and its number.",
            example="/run/openmeet-bridge/public.sock",
        ),
    ] = None
    operations: Annotated[Address, about("Health and metrics. Keep it private.")] = Address(
        "127.0.0.1", 9480
    )
    trusted_proxies: Annotated[
        list[str],
        about(
            "Addresses and networks of the proxies before `public`: whom they pass on is counted "
            "by the last hop in their `X-Forwarded-For` that is none of them."
        ),
    ] = field(default_factory=lambda: ["127.0.0.0/8", "::1"])


class JwtSection(Section, frozen=True, kw_only=True):
    """How users' tokens are checked: by a shared secret or by a public key, never by both."""

    algorithm: Annotated[
        Algorithm,
        about(
            "The one algorithm accepted. `HS256` goes with `secret`, the others with a public key.",
            example="HS256",
        ),
    ]
    secret: Annotated[
        str | None,
        about(
            "Shared secret for HS256, at least 32 bytes: OpenMeet's `AUTH_JWT_SECRET`.",
            secret=True,
            file=True,
            example="${OPENMEET_JWT_SECRET}",
        ),
    ] = None
    public_key: Annotated[
        str | None, about("Public key as PEM text, for RS256, PS256 or ES256.", file=True)
    ] = None
    jwks_url: Annotated[
        str | None,
        about(
            "Where the issuer publishes its public keys. https; plain http only on this machine."
        ),
    ] = None
    issuer: Annotated[
        str | None, about("Required value of the `iss` claim.", shown="not checked")
    ] = None
    audience: Annotated[
        list[str],
        about(
            "Accepted values of the `aud` claim; one of them must be there.", shown="not checked"
        ),
    ] = field(default_factory=list)
    tenant_claim: Annotated[
        Literal["required", "optional", "session"],
        about(
            "Whether a token must name its tenant (`tenantId`). With `session`, one that names "
            "none is taken where `openmeet.database` has its session and its user in this tenant; "
            "so tenants may share a secret, as OpenMeet's do. A token that names another tenant "
            "is always refused."
        ),
    ] = "required"
    max_lifetime: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        about("Longest accepted time from `iat` to `exp`.", unit="seconds", shown="any"),
    ] = None


class TenantSection(Section, frozen=True, kw_only=True):
    """One OpenMeet community site."""

    id: Annotated[
        TenantId,
        about(
            "OpenMeet's tenant id; may be empty text for the public schema.",
            example="lsdfaopkljdfs",
        ),
    ]
    name: Annotated[str, about("For people.", example="Example community")]
    jwt: Annotated[
        JwtSection,
        about(
            "How this tenant's tokens are checked.",
            shown="`jwt_default`",
            optional="{algorithm: RS256, jwks_url: https://id.example.org/jwks.json}",
        ),
    ]
    service_keys: Annotated[
        list[str],
        about(
            "Keys for OpenMeet's backend on the integration API, at least 16 characters each. "
            "Several, so that they can be changed without a gap.",
            secret=True,
            file=True,
            example=["${OPENMEET_SERVICE_KEY}"],
        ),
    ] = field(default_factory=list)
    site_url: Annotated[
        str | None,
        about(
            "The site's own address: rooms link to its pages, for example "
            "`https://meet.example.org`."
        ),
    ] = None
    webhook_secret: Annotated[
        str | None,
        about(
            "With what OpenMeet signs the domain events it sends to the bridge, at least 24 "
            "characters.",
            secret=True,
            file=True,
            shown="domain events are refused",
        ),
    ] = None
    webhooks: Annotated[
        list[WebhookSection],
        about(
            "Where the bridge tells OpenMeet what has happened.",
            optional="[{url: https://meet.example.org/hook, secret: at-least-24-characters-long}]",
        ),
    ] = field(default_factory=list)
    presence: Annotated[
        bool, about("Show this tenant's people who of them is there, where `presence` is on.")
    ] = True
    rules: Annotated[
        RulesSection | None,
        about(
            "Who is in which room, and how open rooms are, for this tenant: only what differs. A "
            "key that is not named here is taken from the `rules` of all tenants, also inside of "
            "blocks; a table of roles or a list is taken as a whole.",
            shown="the `rules` of all tenants",
            optional="{meetup_statuses: [confirmed]}",
        ),
    ] = None


class RoomsSection(Section, frozen=True, kw_only=True):
    """Rooms that the bridge creates."""

    version: Annotated[str, about("Matrix room version of new rooms.")] = "12"
    sweep: Annotated[
        float,
        duration(
            "Time in which every room is once compared with the directory, even if nothing "
            "seems to have happened. Costs the homeserver nothing where all is well."
        ),
    ] = 3600.0
    jobs_at_once: Annotated[
        int, about("Rooms and users that are brought up to date at the same time.", ge=1)
    ] = 4


class PicturesSection(Section, frozen=True, kw_only=True):
    """Pictures of users, groups and meetups, which the bridge copies to the homeserver."""

    enabled: Annotated[bool, about("Give ghosts and rooms the pictures they have on OpenMeet.")] = (
        True
    )
    max_bytes: Annotated[int, size("Largest picture that is fetched.", least=KIB)] = 10 * MIB
    max_pixels: Annotated[int, about("Largest picture that is decoded, in pixels.", ge=1)] = (
        40_000_000
    )
    side: Annotated[int, about("Longest side of the copy, in pixels.", ge=16)] = 512
    timeout: Annotated[float, duration("How long fetching a picture may take.")] = 15.0
    allow_private_addresses: Annotated[
        bool,
        about("Fetch pictures also from private addresses. Only where OpenMeet's storage has one."),
    ] = False


class WebSection(Section, frozen=True, kw_only=True):
    """What the public listener serves to browsers."""

    page: Annotated[bool, about("Serve the chat page at `/`.")] = True
    demo_login: Annotated[
        bool, about("Hand out tokens of demo users to anybody. Never outside a demonstration.")
    ] = False
    allowed_origins: Annotated[
        list[str],
        about(
            "Origins of web apps that may call the API (CORS), for example `https://app.example.org`."
        ),
    ] = field(default_factory=list)


class RepairSection(Section, frozen=True, kw_only=True):
    """The bridge's own look at the homeserver for events that were never pushed to it."""

    interval: Annotated[float, duration("Time between two looks.")] = 60.0
    echo_overdue: Annotated[
        float, duration("A sent message not pushed back for this long starts a look at once.")
    ] = 15.0


class PresenceSection(Section, frozen=True, kw_only=True):
    """Who is there: online, idle, or last seen. Everybody can hide their own."""

    enabled: Annotated[bool, about("Show people who of those in their rooms is there.")] = True
    idle_after: Annotated[
        float, duration("Time without a sign of life after which somebody is idle.")
    ] = 300.0
    offline_after: Annotated[
        float,
        duration(
            "Time after the end of somebody's last stream until they are gone: a page that is "
            "loaded again is not seen to go."
        ),
    ] = 10.0
    matrix: Annotated[
        bool,
        about(
            "Tell the homeserver too, for people who use Matrix clients. Synapse forgets it "
            "after half a minute, so that this costs one call in 25 seconds for everybody who is "
            "there and whom somebody from Matrix can see. Only where Synapse's own `presence` is "
            "on."
        ),
    ] = False


class LoggingSection(Section, frozen=True, kw_only=True):
    """What the bridge writes on its standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], about("Least severity written.")
    ] = "info"
    format: Annotated[
        Literal["console", "json"], about("For people, or one JSON object a line.")
    ] = "console"


class Config(Section, frozen=True, kw_only=True):
    """The whole configuration, checked and complete."""

    homeserver: HomeserverSection
    registration: Annotated[
        Path,
        about(
            "The registration file shared with the homeserver; relative to this file.",
            example="registration.yaml",
        ),
    ]
    database: Annotated[
        str,
        about(
            "`embedded` runs a PostgreSQL of the bridge's own (extra `embedded`); otherwise a "
            "`postgresql://user:password@host/name` address.",
            secret=True,
            file=True,
            example=EMBEDDED,
        ),
    ] = EMBEDDED
    data_dir: Annotated[
        Path, about("Where the embedded database lives; relative to this file.")
    ] = Path("data")
    bus: Annotated[
        str,
        about(
            "How the processes of one deployment tell each other what is new. `local`: there is "
            "only one. `valkey://[user:password@]host[:port][/db]`: Valkey or Redis (extra "
            "`valkey`); `valkeys://` is the same with TLS, `redis://` and `rediss://` mean the "
            "same as these, and `unix:///path` is a socket of this machine. `embedded` runs a "
            "Valkey of the bridge's own, for development (extra `embedded-valkey`).",
            secret=True,
            file=True,
            optional="valkey://127.0.0.1:6379",
        ),
    ] = LOCAL
    listen: ListenSection = field(default_factory=ListenSection)
    public_url: Annotated[
        str | None,
        about("Where browsers reach the public listener.", shown="`http://` and `listen.public`"),
    ] = None
    jwt_default: Annotated[
        JwtSection | None, about("Token check for every tenant that has no `jwt` of its own.")
    ] = None
    tenants: Annotated[
        list[TenantSection],
        about("The OpenMeet community sites served.", shown="**required** without `tenants_b64`"),
    ]
    tenants_b64: Annotated[
        str | None,
        about(
            "OpenMeet's own `TENANTS_B64` (base64 of a JSON list): its tenants are served too. "
            "The environment variable `TENANTS_B64` is read when this key is absent. An entry of "
            "`tenants` with the same id adds keys to it.",
            secret=True,
            file=True,
        ),
    ] = None
    rules: RulesSection = field(default_factory=RulesSection)
    openmeet: OpenMeetSection = field(default_factory=OpenMeetSection)
    rooms: RoomsSection = field(default_factory=RoomsSection)
    pictures: PicturesSection = field(default_factory=PicturesSection)
    web: WebSection = field(default_factory=WebSection)
    web_app: WebAppSection = field(default_factory=WebAppSection)
    limits: LimitsSection = field(default_factory=LimitsSection)
    repair: RepairSection = field(default_factory=RepairSection)
    stream: StreamSection = field(default_factory=StreamSection)
    presence: PresenceSection = field(default_factory=PresenceSection)
    workers: Annotated[
        int,
        about(
            "Processes that serve on this machine and share its addresses; each has a port of its "
            "own for operations, counted up from `listen.operations`. More than one needs a `bus` "
            "that reaches them all.",
            ge=1,
        ),
    ] = 1
    migrate_on_start: Annotated[
        bool,
        about(
            "Let `serve` bring the database up to date first. Turn off to run `migrate` by hand."
        ),
    ] = True
    logging: LoggingSection = field(default_factory=LoggingSection)

    @property
    def embedded(self) -> bool:
        """Whether the bridge runs its own PostgreSQL."""
        return self.database == EMBEDDED

    @property
    def public_base(self) -> str:
        """Where browsers reach the public listener, without a trailing slash."""
        return (self.public_url or f"http://{self.listen.public}").rstrip("/")
