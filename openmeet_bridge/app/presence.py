"""The parts of presence, as the configuration wants them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ..bridge.matrix_presence import MatrixPresence
from ..bridge.presence import Presence
from ..bridge.presence_telling import PresenceTelling
from ..config import Config
from ..core.naming import Naming
from ..core.presence import Patience
from ..matrix.homeserver import Homeserver
from ..storage.database import Database
from ..stream.broadcast import Broadcast


@dataclass(frozen=True, slots=True)
class PresenceParts:
    """What works for presence.

    Attributes:
        presence: Knows who is there.
        from_matrix: Gets what the homeserver says; None where no tenant shows presence.
        loops: What must run while the bridge does, by name.
    """

    presence: Presence
    from_matrix: MatrixPresence | None
    loops: Mapping[str, Callable[[], Awaitable[None]]]


def presence_parts(
    config: Config, database: Database, homeserver: Homeserver, broadcast: Broadcast, naming: Naming
) -> PresenceParts:
    """Return the parts. Where no tenant shows presence, all are there and none does anything.

    But for one: where there are several processes, they tell each other who has streams.
    """
    section = config.presence
    tenants = {one.id for one in config.tenants if one.presence and section.enabled}
    from_matrix = MatrixPresence(database, homeserver, naming, broadcast)
    telling = PresenceTelling(database, homeserver, naming.bot) if section.matrix else None
    presence = Presence(
        database,
        broadcast,
        from_matrix,
        naming.bot,
        tenants,
        Patience(idle=section.idle_after, offline=section.offline_after),
        told=telling.tell if telling else lambda _mxid, _state: None,
    )
    if not tenants:
        alone = broadcast.alone
        return PresenceParts(presence, None, {} if alone else {"presence": presence.run})
    loops = {"presence": presence.run, "presence-asked": from_matrix.run}
    if telling is not None:
        loops["presence-told"] = telling.run
    return PresenceParts(presence, from_matrix, loops)
