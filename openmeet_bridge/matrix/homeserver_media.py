"""Media at the homeserver: files that are uploaded and deleted."""

from __future__ import annotations

import msgspec
from mautrix.api import Method, PathBuilder

from .homeserver_base import HomeserverCalls, acting
from .transport import Call


class _Uploaded(msgspec.Struct):
    content_uri: str


class MediaCalls(HomeserverCalls):
    """The calls that concern a file."""

    async def upload(self, content_type: str, filename: str, data: bytes, user_id: str) -> str:
        """Uploads a file ("Content repository"); returns its ``mxc://`` address.

        Args:
            content_type: What it is, for example ``image/png``.
            filename: As it is offered to who downloads it.
            data: The file.
            user_id: Whose it is.
        """
        path = PathBuilder("_matrix/media/v3/upload")
        query = acting(user_id) | {"filename": filename}
        call = Call("upload", Method.POST, path, query, data, content_type=content_type)
        return (await self._decoded(call, _Uploaded)).content_uri

    async def delete_media(self, mxc: str, user_id: str) -> None:
        """Deletes a file from the homeserver (Synapse's admin API, "Delete local media").

        Raises:
            Refused: ``M_FORBIDDEN`` when the user is no server admin, ``M_NOT_FOUND`` when there
                is no such file.
        """
        server, _, media_id = mxc.removeprefix("mxc://").partition("/")
        path = PathBuilder("_synapse/admin/v1/media")[server][media_id]
        await self._send(Call("delete_media", Method.DELETE, path, acting(user_id)))
