"""The loops that tell OpenMeet what has happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from ..bridge.webhook_bodies import WebhookBodies
from ..bridge.webhook_collector import WebhookCollector
from ..bridge.webhooks import Webhooks
from ..config import Config
from ..core.ids import Mxid
from ..core.webhooks import MESSAGE_CREATED
from ..storage.database import Database
from ..stream.bus import Bus
from .tenants import endpoints_of


def webhook_loops(
    config: Config, database: Database, bus: Bus, online: Callable[[Mxid], bool], bot: Mxid
) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Return the loops, by name.

    Args:
        config: The configuration.
        database: The log, and what is to be told.
        bus: Says that the log grew.
        online: Whether somebody has a stream open.
        bot: Whose words are no news.
    """
    endpoints = endpoints_of(config)
    bodies = WebhookBodies(database, online)
    deliverer = Webhooks(database, bodies, endpoints, most_waiting=config.limits.webhooks_waiting)
    curious = sorted({one.tenant for one in endpoints if MESSAGE_CREATED in one.events})
    collector = WebhookCollector(database, bus, bot, curious, deliverer.wake)
    return {"webhooks": deliverer.run, "webhook-collector": collector.run}
