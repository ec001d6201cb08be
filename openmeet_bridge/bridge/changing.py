"""Changing the directory: which module makes which change."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from ..core.changes import (
    Change,
    DeleteBlock,
    DeleteMember,
    DeleteOverride,
    DeletePortal,
    DeleteUser,
    PutBlock,
    PutDirect,
    PutMember,
    PutOverride,
    PutPortal,
    PutUser,
    RenamePortal,
    RenameUser,
    RenewPortal,
    ReplaceMembers,
)
from .changing_directs import ChangingDirects
from .changing_members import ChangingMembers
from .changing_portals import ChangingPortals
from .changing_users import ChangingUsers
from .ledger import Ledger


class Changing:
    """Changes one tenant's directory inside one SQL transaction, which holds its lock.

    Args:
        ledger: Has the transaction; what follows from the changes is written into it, and comes
            into effect with :meth:`Ledger.finish`.
    """

    def __init__(self, ledger: Ledger) -> None:
        portals = ChangingPortals(ledger)
        members = ChangingMembers(ledger)
        directs = ChangingDirects(ledger, portals, members)
        users = ChangingUsers(ledger, directs)
        self._ways: dict[type[Any], Callable[[Any], Coroutine[Any, Any, None]]] = {
            PutUser: users.put,
            DeleteUser: users.delete,
            RenameUser: users.rename,
            PutPortal: portals.put,
            DeletePortal: portals.delete,
            RenamePortal: portals.rename,
            RenewPortal: portals.renew,
            PutMember: members.put,
            DeleteMember: members.delete,
            ReplaceMembers: members.replace,
            PutOverride: members.put_override,
            DeleteOverride: members.delete_override,
            PutDirect: directs.put,
            PutBlock: directs.put_block,
            DeleteBlock: directs.delete_block,
        }

    async def make(self, change: Change) -> None:
        """Make one change; see :class:`~openmeet_bridge.bridge.directory.Directory`."""
        await self._ways[type(change)](change)
