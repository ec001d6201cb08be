"""What an erasure could not do, in words that an operator can act upon."""

from __future__ import annotations

from ..core.erasure import Left, Progress
from ..core.ids import Mxid

_HOW_TO = (
    'curl -X DELETE -H "Authorization: Bearer $ADMIN_TOKEN" "$HOMESERVER/_synapse/admin/v1/media/'
)


def left_of(progress: Progress, mxid: Mxid) -> list[Left]:
    """Return what is left of a person when all was tried."""
    return [*_events(progress), *_states(progress), *_files(progress), *_account(progress, mxid)]


def _events(progress: Progress) -> list[Left]:
    return [
        Left(
            what="events at the homeserver that it does not let us redact",
            count=count,
            why=reason,
            do="As a server admin: POST /_synapse/admin/v1/user/<Matrix id>/redact",
        )
        for reason, count in sorted(progress.refused.items())
    ]


def _states(progress: Progress) -> list[Left]:
    return [
        Left(
            what=f"{event_type} that the person has set in rooms",
            count=count,
            why="It is the room's and not the person's: the room would lose it.",
        )
        for event_type, count in sorted(progress.states.items())
    ]


def _files(progress: Progress) -> list[Left]:
    if not progress.media:
        return []
    why = progress.media_error or "unknown"
    return [
        Left(
            what=f"the file {mxc} at the homeserver",
            count=1,
            why=f"The bot is no server admin, and should not be: {why}",
            do=f'{_HOW_TO}{mxc.removeprefix("mxc://")}"',
        )
        for mxc in progress.media
    ]


def _account(progress: Progress, mxid: Mxid) -> list[Left]:
    if progress.account in ("ended", "never made"):
        return []
    do = (
        'curl -X POST -H "Authorization: Bearer $ADMIN_TOKEN" -d \'{"erase":true}\' '
        f'"$HOMESERVER/_synapse/admin/v1/deactivate/{mxid}"'
    )
    why = progress.account or "unknown"
    return [Left(what=f"the account {mxid} at the homeserver", count=1, why=why, do=do)]
