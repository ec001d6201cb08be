"""Where a tenant's tables are in OpenMeet's database, and which columns this OpenMeet has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..core.errors import InvalidParam, Unavailable
from ..core.ids import TenantId

PUBLIC: Final = "public"
"""The schema of the tenant whose id is empty."""

# PostgreSQL cuts names off silently after 63 bytes, and then the schema could be another tenant's.
_TENANT: Final = re.compile(r"[A-Za-z0-9_-]{1,56}")

REQUIRED: Final[Mapping[str, frozenset[str]]] = {
    "users": frozenset({"id", "slug", "firstName", "lastName"}),
    "groups": frozenset({"id", "slug", "name"}),
    "groupMembers": frozenset({"id", "userId", "groupId", "groupRoleId"}),
    "groupRoles": frozenset({"id", "name"}),
    "events": frozenset({"id", "slug", "name"}),
    "eventAttendees": frozenset({"id", "eventId", "userId", "roleId", "status"}),
    "eventRoles": frozenset({"id", "name"}),
}
"""Without these nothing can be said of who should be where."""

COLUMNS: Final = """
    SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1
"""


class UnusableSchema(Unavailable):
    """OpenMeet's database answers, but what must be read is not there or may not be read."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A tenant's schema.

    Attributes:
        name: Its name, unquoted.
        columns: The columns of each table that may be read.
    """

    name: str
    columns: Mapping[str, frozenset[str]]

    def check(self) -> None:
        """Look for what is required.

        Raises:
            UnusableSchema: Something is missing; the message names it.
        """
        if not self.columns:
            raise UnusableSchema(
                f"OpenMeet's database has no schema {self.name!r} with tables that this user may "
                "read: check the tenant's id and the GRANTs."
            )
        for table, required in REQUIRED.items():
            if table not in self.columns:
                raise UnusableSchema(
                    f"The schema {self.name!r} of OpenMeet's database has no table {table!r} that "
                    "this user may read."
                )
            missing = sorted(required - self.columns[table])
            if missing:
                raise UnusableSchema(
                    f"The table {table!r} in the schema {self.name!r} of OpenMeet's database has "
                    f"no column {missing[0]!r} that this user may read."
                )

    def has(self, table: str, *columns: str) -> bool:
        """Whether there is a table with these columns."""
        return table in self.columns and self.columns[table].issuperset(columns)

    def table(self, name: str) -> str:
        """Return a table's full name for SQL."""
        return f"{quoted(self.name)}.{quoted(name)}"

    def column(self, alias: str, table: str, name: str, otherwise: str = "NULL") -> str:
        """Return a column for SQL; where this OpenMeet lacks it, what stands for it."""
        return f"{alias}.{quoted(name)}" if self.has(table, name) else otherwise


def schema_name(tenant: TenantId) -> str:
    """Return the schema of a tenant's tables.

    Raises:
        InvalidParam: No schema of OpenMeet's is named after such an id.
    """
    if tenant == "":
        return PUBLIC
    if not _TENANT.fullmatch(tenant):
        raise InvalidParam(
            "A tenant in OpenMeet's database has an id of letters, digits, - and _, at most 56.",
            fields={"tenant": "cannot be the name of a schema"},
        )
    return f"tenant_{tenant}"


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
