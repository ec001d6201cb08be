"""The services of one bridge, each with what it needs of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from ..bridge.changing import USER
from ..bridge.delivery import Delivery
from ..bridge.directory import Directory
from ..bridge.ephemeral import EphemeralEvents
from ..bridge.ghosts import Ghosts
from ..bridge.identity import Identity
from ..bridge.ingest import Ingest
from ..bridge.inquiries import Inquiries
from ..bridge.portals import Portals
from ..bridge.receipts import Receipts
from ..bridge.reconciler import Reconciler, Work
from ..bridge.repair import Repair
from ..bridge.sending import Limits, Sending
from ..bridge.streams import Streams
from ..bridge.timeline import Timeline
from ..bridge.typing import Typing
from ..bridge.vitals import Vitals
from ..config import Config
from ..core.errors import BridgeError, Unavailable
from ..core.ids import PortalKind, PortalRef, RoomId, TenantId, UserSlug
from ..core.rules import Rules
from ..matrix.homeserver import Homeserver
from ..matrix.registration import Registration
from ..storage import event_log
from ..storage.database import Database
from ..storage.event_log import Head
from ..storage.log_view import LogView
from ..storage.outbox import Message
from ..stream import frames
from ..stream.bus import LocalBus
from ..stream.feed import Feed
from ..stream.hub import Hub
from ..stream.reasons import CloseReason
from .tenants import rules_of

_DELIVERY_PATIENCE = 30.0
_DEFAULT_RULES = Rules()


class Services:
    """Everything that works in a running bridge, and how one part tells another.

    Args:
        config: The configuration.
        registration: What homeserver and bridge have agreed upon.
        database: Open, and migrated.
        http: For all calls to the homeserver.
        head: The end of the log: streams are live from here.
    """

    def __init__(
        self,
        config: Config,
        registration: Registration,
        database: Database,
        http: aiohttp.ClientSession,
        head: Head,
    ) -> None:
        limits = config.limits
        self.naming = registration.naming
        self._database = database
        self._rules = rules_of(config)
        self._bus = LocalBus()
        self.hub = Hub(
            head.epoch,
            head.position,
            buffer_bytes=limits.subscriber_buffer_bytes,
            parked_frames=limits.parked_frames,
            heartbeat=config.stream.heartbeat,
        )
        homeserver = Homeserver(http, config.homeserver.url, registration.as_token)
        self.ghosts = Ghosts(database, homeserver, self.naming)
        portals = Portals(
            database, homeserver, self.ghosts, self.naming, self._rules_of, config.rooms.version
        )
        self._portals = portals
        self.reconciler = Reconciler(database, self._works, config.rooms.jobs_at_once)
        self.directory = Directory(
            database,
            self.naming,
            self._rules_of,
            self.reconciler.wake,
            user_gone=lambda mxid: self.hub.close_user(mxid, CloseReason.REMOVED),
            member_gone=self.hub.expel,
        )
        self.sending = Sending(database, _sending_limits(config), self._wake_delivery)
        self.delivery = Delivery(
            database,
            homeserver,
            self.ghosts,
            settled=self.sending.tell,
            failed=self._send_failed,
            unreachable=self._homeserver_away,
        )
        self.ingest = Ingest(database, self.naming, self._bus.grown, self.sending.confirmed)
        self.typing = Typing(database, homeserver, self.hub)
        self.receipts = Receipts(database, homeserver, self.hub)
        self.ephemeral = EphemeralEvents(self.typing, self.receipts)
        self.inquiries = Inquiries(database, self.naming)
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
        self.timeline = Timeline(database, self.naming, page_limit=limits.timeline_page)
        self.identity = Identity(database, ticket_lifetime=limits.ticket_lifetime)
        log_view = LogView(database)
        self.streams = Streams(log_view, self.hub, replay_entries=limits.replay_entries)
        self._vitals = Vitals(database, self.hub)
        self._feed = Feed(log_view.after, self.hub, self._bus)

    @property
    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """The loops that must run while the bridge does, by name."""
        return {
            "feed": self._feed.run,
            "repair": self.repair.run,
            "outbox": self.delivery.run,
            "reconciler": self.reconciler.run,
            "receipts": self.receipts.run,
            "heartbeat": self.hub.beat,
            "vitals": self._vitals.run,
        }

    @property
    def _works(self) -> Mapping[str, Work]:
        portals = {kind.value: self._settle(kind) for kind in PortalKind}
        return {USER: self._settle_user, **portals}

    async def _settle_user(self, tenant: TenantId, slug: str) -> None:
        await self.ghosts.refresh(tenant, UserSlug(slug))

    def _settle(self, kind: PortalKind) -> Work:
        return lambda tenant, slug: self._portals.settle(PortalRef(tenant, kind, slug))

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
        return None if self.repair.reachable else "the homeserver does not answer"

    def _rules_of(self, tenant: TenantId) -> Rules:
        return self._rules.get(tenant, _DEFAULT_RULES)

    async def _all_delivered(self) -> None:
        async with self._database.connection() as connection:
            head = await event_log.head(connection)
        try:
            async with asyncio.timeout(_DELIVERY_PATIENCE):
                await self.hub.reached(head.position)
        except TimeoutError:
            raise Unavailable("Streams have not been given the end of the log.") from None

    def _wake_delivery(self, room_id: RoomId) -> None:
        self.delivery.wake(room_id)

    def _homeserver_away(self) -> None:
        self.repair.ask()

    def _homeserver_back(self) -> None:
        self.reconciler.wake()
        self.delivery.resume()

    def _send_failed(self, message: Message) -> None:
        frame = frames.send_failed(
            message.room_id,
            message.client_txn_id,
            message.errcode or "M_UNKNOWN",
            message.error or "The message could not be sent.",
        )
        self.hub.to_user(message.sender, frame)


def _sending_limits(config: Config) -> Limits:
    return Limits(
        message_bytes=config.limits.message_bytes,
        pending_per_room=config.limits.outbox_pending_per_room,
        pending=config.limits.outbox_pending,
        wait=config.limits.send_wait,
    )
