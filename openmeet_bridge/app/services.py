"""The services of one bridge, each with what it needs of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import aiohttp

from ..bridge.arrivals import Arrivals
from ..bridge.comparison import COMPARE
from ..bridge.delivery import Delivery
from ..bridge.directory import Directory
from ..bridge.drift import soon
from ..bridge.duties import Duties
from ..bridge.entries import Entries
from ..bridge.ephemeral import EphemeralEvents
from ..bridge.erasure import ERASURE, Erasures
from ..bridge.ghosts import Ghosts
from ..bridge.history import History
from ..bridge.housekeeping import Housekeeping
from ..bridge.identity import Identity
from ..bridge.ingest import Ingest
from ..bridge.inquiries import Inquiries
from ..bridge.ledger import SPACE, USER
from ..bridge.log_view import LogView
from ..bridge.merging import Merging
from ..bridge.pictures import Pictures
from ..bridge.portals import Portals
from ..bridge.preferences import Preferring
from ..bridge.progress import Progress
from ..bridge.reach import Reach
from ..bridge.receipts import Receipts
from ..bridge.reconciler import Reconciler, Work
from ..bridge.repair import Repair
from ..bridge.restating import Restating
from ..bridge.room_jobs import RoomJobs
from ..bridge.room_lists import RoomLists
from ..bridge.room_names import RoomNames
from ..bridge.roster import Roster
from ..bridge.sending import Limits, Sending
from ..bridge.signing_out import SigningOut
from ..bridge.snapshots import Snapshots
from ..bridge.space_views import SpaceViews
from ..bridge.spaces import Spaces
from ..bridge.streams import Streams
from ..bridge.sweep import Look, Sweep
from ..bridge.timeline import Timeline
from ..bridge.typing import Typing
from ..bridge.unread import UnreadState
from ..bridge.upgrades import Upgrades
from ..bridge.vitals import Vitals
from ..config import Config
from ..core.entry import LogEntry
from ..core.errors import BridgeError, Unavailable
from ..core.ids import Mxid, PortalKind, Position, RoomId, TenantId, UserSlug
from ..core.rules import Rules
from ..matrix.homeserver import Homeserver
from ..matrix.registration import Registration
from ..openmeet.pictures import PictureStore
from ..storage import duties, event_log
from ..storage.announcements import Announcements
from ..storage.database import Database
from ..storage.event_log import Head
from ..storage.instance import InstanceLock
from ..storage.outbox import Message
from ..stream import frames
from ..stream.broadcast import Broadcast
from ..stream.feed import Feed
from ..stream.hub import Hub
from ..stream.reasons import CloseReason
from ..stream.sockets import Sockets
from .accounts import account_parts
from .buses import bus_parts
from .office import OFFICE
from .openmeet import comparison_of, openmeet_sources_of
from .presence import presence_parts
from .streams import open_streams
from .tenants import rules_of
from .web_chats import WebChats
from .webhooks import webhook_loops

_DELIVERY_PATIENCE = 30.0
_OPENING = 2.0
_DEFAULT_RULES = Rules()
_LOOK = 0.25
_JOBS = "jobs"
_REPAIR = "repair"
_HOMESERVER_BACK = "homeserver-back"
_ERASED = "erased"


class Services:
    """Everything that works in a running bridge, and how one part tells another.

    Args:
        config: The configuration.
        registration: What homeserver and bridge have agreed upon.
        database: Open, and migrated.
        http: For all calls to the homeserver.
        head: The end of the log: streams are live from here.
        place: This process among the workers. Without it, it does nothing that one of them does.
    """

    def __init__(
        self,
        config: Config,
        registration: Registration,
        database: Database,
        http: aiohttp.ClientSession,
        head: Head,
        place: Duties | None = None,
    ) -> None:
        self._duties = place or Duties(InstanceLock(database.dsn), [])
        limits = config.limits
        self.naming = registration.naming
        self._database = database
        self._rules = rules_of(config)
        bus = bus_parts(config, head.epoch)
        self._bus, self._bus_loops, self.close_bus = bus.bus, bus.loops, bus.close
        self.hub = Hub(
            head.epoch,
            head.position,
            buffer_bytes=limits.subscriber_buffer_bytes,
            parked_frames=limits.parked_frames,
            heartbeat=config.stream.heartbeat,
            behind_seconds=config.stream.behind_after,
        )
        self.broadcast = Broadcast(self.hub, self._bus)
        self._bus.heard = self.broadcast.heard
        self.hub.begun, self.hub.over = self.broadcast.begun, self.broadcast.over
        self.hub.behind = self._bus.look
        homeserver = Homeserver(http, config.homeserver.url, registration.as_token)
        self.picture_store = PictureStore(
            max_bytes=config.pictures.max_bytes,
            timeout=config.pictures.timeout,
            allow_private_addresses=config.pictures.allow_private_addresses,
        )
        pictures = Pictures(
            database,
            homeserver,
            self.picture_store,
            self.naming.bot,
            max_pixels=config.pictures.max_pixels,
            side=config.pictures.side,
        )
        self.pictures = pictures if config.pictures.enabled else None
        self.ghosts = Ghosts(database, homeserver, self.naming, self.pictures)
        portals = Portals(
            database,
            homeserver,
            self.ghosts,
            self.naming,
            self._rules_of,
            config.rooms.version,
            self.pictures.mxc if self.pictures else None,
        )
        self.portals = portals
        self.reconciler = Reconciler(
            database,
            self._works,
            config.rooms.jobs_at_once,
            unseen=lambda: self.ask_repair(),
        )
        self.directory = Directory(
            database,
            self.naming,
            self._rules_of,
            self.reconciler.wake,
            user_gone=self._user_gone,
            member_gone=self._member_gone,
            message_gone=lambda message_id: self.sending.tell(message_id),
            streaming=self.hub.users,
            signed_out=self._signed_out,
        )
        self.signing_out = SigningOut(database, self.directory.endings)
        self._announcements = Announcements(
            database.dsn, self.directory.endings.heard, self.directory.endings.look
        )
        self.erasures = Erasures(
            database,
            homeserver,
            self.naming,
            self.directory,
            self._wake_jobs,
            user_gone=self._user_erased,
            erased=lambda: self.broadcast.wake(_ERASED),
        )
        self.openmeet = openmeet_sources_of(config)
        self.openmeet_database = self.openmeet.database
        self.comparison = (
            comparison_of(config, database, self.directory, self.openmeet_database, self._wake_jobs)
            if self.openmeet_database
            else None
        )
        self.roster = Roster(database, self._rules_of)
        self.arrivals = Arrivals(
            database,
            self.ghosts,
            self.roster,
            self.comparison,
            self._wake_jobs,
            config.web_app.arrival_wait,
        )
        self._accounts = account_parts(
            config,
            database,
            http,
            homeserver,
            self.naming.bot,
            self.directory,
            self.arrivals,
            self.openmeet,
        )
        self.accounts, self.office = self._accounts.accounts, self._accounts.office
        self.room_names = RoomNames(database)
        self.progress = Progress(database)
        self.snapshots = Snapshots(database, self.directory, config.openmeet.max_removals)
        self.sending = Sending(
            database, _sending_limits(config), self._wake_delivery, self.broadcast
        )
        self.delivery = Delivery(
            database,
            homeserver,
            self.ghosts,
            self._duties,
            settled=self.sending.settled,
            failed=self._send_failed,
            unreachable=self.ask_repair,
            readmitted=Restating(database, homeserver, self.naming.bot).readmit,
        )
        self.unread = UnreadState(database, self.broadcast)
        self.ingest = Ingest(
            database,
            self.naming,
            self._bus.grown,
            self.sending.confirmed,
            drifted=soon(self._wake_jobs),
            read=self.unread.changed,
        )
        self._upgrades = Upgrades(database, homeserver, self.ingest, self.naming, self._bus.grown)
        self._spaces = Spaces(
            database,
            homeserver,
            self.ingest,
            self.ghosts,
            self.naming,
            self._rules_of,
            self._space_views(config),
            self._wake_jobs,
            config.rooms.version,
        )
        self._rooms = RoomJobs(portals, self._upgrades, self._spaces)
        self.merging = Merging(database, homeserver, self.naming)
        self.sweep = Sweep(
            database,
            self._looks,
            [tenant.id for tenant in config.tenants],
            config.rooms.sweep,
            self._wake_jobs,
        )
        self.typing = Typing(database, homeserver, self.broadcast)
        parts = presence_parts(config, database, homeserver, self.broadcast, self.naming)
        self.presence, self._presence_loops = parts.presence, parts.loops
        self.preferring = Preferring(database, self.presence)
        self.hub.moved = self.presence.moved
        self.hub.greeting = self.typing.now_in
        self.hub.dispatched = self._dispatched
        self.receipts = Receipts(
            database, homeserver, self.broadcast, self.naming.bot, self.unread.changed
        )
        self.ephemeral = EphemeralEvents(
            self.typing, self.receipts, parts.from_matrix, self.broadcast, self.naming.bot
        )
        self.inquiries = Inquiries(
            database, self.naming, homeserver, self._wake_jobs, self.broadcast
        )
        self.repair = Repair(
            database,
            homeserver,
            self.ghosts,
            self.ingest,
            self.naming,
            registration.id,
            interval=config.repair.interval,
            echo_overdue=config.repair.echo_overdue,
            recovered=self._homeserver_back,
            delivered=self._all_delivered,
        )
        self._reach = Reach(homeserver, lambda: not self._in_office, self.delivery.resume)
        self._duties.gone = self.delivery.take_over
        self.broadcast.on_wake(_JOBS, lambda _: self.reconciler.wake())
        self.broadcast.on_wake(_REPAIR, lambda _: self.repair.ask())
        self.broadcast.on_wake(_ERASED, lambda _: self.hub.recent.forget())
        self.broadcast.on_wake(_HOMESERVER_BACK, lambda _: self.delivery.resume())
        self.room_lists = RoomLists(database, self.naming)
        history = History(database, homeserver, self.naming.bot)
        self.timeline = Timeline(database, history, page_limit=limits.timeline_page)
        self.entries = Entries(database, self.timeline)
        self.web_chats = WebChats(
            database,
            arrivals=self.arrivals,
            roster=self.roster,
            directory=self.directory,
            timeline=self.timeline,
            sending=self.sending,
            receipts=self.receipts,
        )
        self.identity = Identity(database, ticket_lifetime=limits.ticket_lifetime)
        log_view = LogView(database)
        self.streams = Streams(log_view, self.hub, replay_entries=limits.replay_entries)
        self.sockets = Sockets()
        self.open_streams = open_streams(config, self.streams, self.hub, self.sockets)
        self.open_streams.ends.seen = self.presence.life_at
        self._vitals = Vitals(
            database,
            self.hub,
            self.sockets,
            lambda: self.open_streams.parked,
            lambda: self.open_streams.admission.addresses,
        )
        self._housekeeping = Housekeeping(database, self.naming.bot, outbox_kept=limits.outbox_kept)
        self._feed = Feed(log_view.after, self.hub, self._bus)
        self._webhooks = webhook_loops(
            config, database, self._bus, self.presence.has_streams, self.naming.bot
        )

    @property
    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """The loops that must run while the bridge does, by name."""
        return {
            "feed": self._feed.run,
            "repair": self.repair.run,
            "outbox": self.delivery.run,
            "reconciler": self.reconciler.run,
            "announcements": self._announcements.run,
            "sweep": self.sweep.run,
            "receipts": self.receipts.run,
            "typing": self.typing.run,
            "typing-notices": self.typing.notices.run,
            **self._presence_loops,
            "unread": self.unread.run,
            "settled": self.sending.run,
            "heartbeat": self.hub.beat,
            **self._bus_loops,
            "vitals": self._vitals.run,
            "homeserver": self._reach.run,
            "housekeeping": self._housekeeping.run,
            **self._webhooks,
            **self._accounts.loops,
            **({"comparison": self.comparison.run} if self.comparison else {}),
        }

    @property
    def _works(self) -> Mapping[str, Work]:
        portals = {kind.value: self._settle(kind) for kind in PortalKind}
        return {
            USER: self._settle_user,
            SPACE: self._settle_space,
            ERASURE: lambda tenant, slug: self.erasures.work(tenant, slug),
            COMPARE: self._compare,
            **portals,
        }

    async def _settle_user(self, tenant: TenantId, slug: str) -> None:
        await self.ghosts.refresh(tenant, UserSlug(slug))

    async def _compare(self, tenant: TenantId, subject: str) -> None:
        # Without OpenMeet's database, what is left of the time when there was one is done.
        if self.comparison is not None:
            await self.comparison.compare_subject(tenant, subject)

    async def _settle_space(self, tenant: TenantId, group: str) -> None:
        await self._spaces.settle(tenant, group)

    def _settle(self, kind: PortalKind) -> Work:
        return lambda tenant, slug: self._rooms.settle(kind)(tenant, slug)

    @property
    def _looks(self) -> Mapping[str, Look]:
        portals = {kind.value: self._rooms.look(kind) for kind in PortalKind}
        return {USER: self._look_at_user, SPACE: self._look_at_space, **portals}

    async def _look_at_user(self, tenant: TenantId, slug: str) -> bool:
        return not await self.ghosts.is_settled(tenant, UserSlug(slug))

    async def _look_at_space(self, tenant: TenantId, group: str) -> bool:
        return bool(await self._spaces.plan(tenant, group))

    @property
    def checks(self) -> Mapping[str, Callable[[], Awaitable[str | None]]]:
        """What must be well for the bridge to be ready, by name."""
        return {"database": self._check_database, "homeserver": self._check_homeserver}

    async def _check_database(self) -> str | None:
        try:
            async with self._database.connection() as connection:
                await event_log.head(connection)
        except BridgeError as error:
            return error.message
        return None

    async def _check_homeserver(self) -> str | None:
        answers = self.repair.reachable if self._in_office else self._reach.answers
        return None if answers else "the homeserver does not answer"

    @property
    def _in_office(self) -> bool:
        """Whether the loops that run in one worker only run in this one."""
        return self._duties.holds(OFFICE)

    def _space_views(self, config: Config) -> SpaceViews:
        return SpaceViews(
            self._database,
            self.naming,
            self._rules_of,
            {tenant.id: tenant.name for tenant in config.tenants},
            self.pictures.mxc if self.pictures else None,
        )

    def _rules_of(self, tenant: TenantId) -> Rules:
        return self._rules.get(tenant, _DEFAULT_RULES)

    async def _all_delivered(self) -> None:
        async with self._database.connection() as connection:
            head = await event_log.head(connection)
        try:
            async with asyncio.timeout(_DELIVERY_PATIENCE):
                await self.hub.reached(head.position)
                await self._others_reached(head.position)
        except TimeoutError:
            raise Unavailable("Streams have not been given the end of the log.") from None

    async def _others_reached(self, position: Position) -> None:
        """Wait until the streams of the other workers have been given the log up to there."""
        while self._duties.others:
            async with self._database.connection() as connection:
                least = await duties.least_position(connection, self._duties.worker)
            if least is None or least >= position:
                return
            await asyncio.sleep(_LOOK)

    def ask_repair(self) -> None:
        """Ask for a look at the homeserver at once, in whichever worker that is done."""
        self._call(_REPAIR, self.repair.ask)

    def _wake_jobs(self) -> None:
        self._call(_JOBS, self.reconciler.wake)

    def _call(self, name: str, here: Callable[[], None]) -> None:
        if self._in_office:
            here()
        else:
            self.broadcast.wake(name)

    def _wake_delivery(self, room_id: RoomId) -> None:
        self.delivery.wake(room_id)

    def _homeserver_back(self) -> None:
        self.reconciler.wake()
        self.broadcast.wake(_HOMESERVER_BACK)

    def _dispatched(self, batch: Sequence[LogEntry]) -> None:
        self.typing.happened(batch)
        self.presence.happened(batch)
        self.open_streams.ends.happened(batch)

    def _user_gone(self, mxid: Mxid) -> None:
        self._cut(mxid, CloseReason.REMOVED)
        self.typing.end_all(mxid)
        self.presence.gone(mxid)

    def _signed_out(self, mxid: Mxid) -> None:
        self._cut(mxid, CloseReason.TOKEN_EXPIRED)

    def _cut(self, mxid: Mxid, reason: CloseReason) -> None:
        self.hub.close_user(mxid, reason)
        # And whoever was let in a moment before, and was not in the hub yet. They may come back,
        # if they still may: somebody may have been let in again meanwhile.
        again = CloseReason.TOKEN_EXPIRED
        asyncio.get_running_loop().call_later(_OPENING, self.hub.close_user, mxid, again)

    def _user_erased(self, mxid: Mxid) -> None:
        self._user_gone(mxid)
        # Nothing was announced by the job, which goes on where another process began.
        self.broadcast.close_user(mxid, CloseReason.REMOVED)

    def _member_gone(self, mxid: Mxid, room_id: RoomId) -> None:
        self.hub.expel(mxid, room_id)
        self.typing.end(room_id, mxid)

    def _send_failed(self, message: Message) -> None:
        if message.own_id is None and message.about is None:
            return  # It goes with something else, which is what was asked for.
        frame = frames.send_failed(
            message.room_id,
            message.own_id,
            message.errcode or "M_UNKNOWN",
            message.error or "The message could not be sent.",
            action=message.action,
            event_id=message.about,
            key=message.key,
        )
        self.broadcast.to_user(message.sender, frame)


def _sending_limits(config: Config) -> Limits:
    return Limits(
        message_bytes=config.limits.message_bytes,
        pending_per_room=config.limits.outbox_pending_per_room,
        pending=config.limits.outbox_pending,
        wait=config.limits.send_wait,
    )
