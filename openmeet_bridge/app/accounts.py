"""Accounts and rooms, as OpenMeet's web app has them made, opened and closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from ..bridge.arrivals import Arrivals
from ..bridge.directory import Directory
from ..bridge.id_writing import IdWriting
from ..bridge.matrix_accounts import MatrixAccounts
from ..bridge.room_office import RoomOffice
from ..config import Config
from ..core.ids import Mxid
from ..matrix.homeserver import Homeserver
from ..matrix.homeserver_admin import HomeserverAdmin
from ..storage.database import Database
from .openmeet import OpenMeetSources

Loops = Mapping[str, Callable[[], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class AccountParts:
    """What makes, opens and closes.

    Attributes:
        accounts: Of people.
        office: Rooms.
        loops: Those that must run.
    """

    accounts: MatrixAccounts
    office: RoomOffice
    loops: Loops


def account_parts(
    config: Config,
    database: Database,
    http: aiohttp.ClientSession,
    homeserver: Homeserver,
    bot: Mxid,
    directory: Directory,
    arrivals: Arrivals,
    openmeet: OpenMeetSources,
) -> AccountParts:
    """Return the parts, as they are configured."""
    token, patience = config.homeserver.admin_token, config.web_app.arrival_wait
    admin = HomeserverAdmin(http, config.homeserver.url, token) if token else None
    tenants = [tenant.id for tenant in config.tenants]
    writing = IdWriting(database, openmeet.ids, tenants) if openmeet.ids else None
    return AccountParts(
        MatrixAccounts(database, arrivals, writing, admin, patience),
        RoomOffice(database, directory, arrivals, homeserver, bot, admin),
        {"matrix-ids": writing.run} if writing else {},
    )
