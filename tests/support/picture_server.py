"""OpenMeet's file storage for tests, and pictures to put into it."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from PIL import Image


@dataclass
class File:
    """What is at a path."""

    data: bytes = b""
    status: int = 200
    etag: str | None = None
    location: str | None = None
    hold: asyncio.Event | None = None


@dataclass
class PictureServer:
    """Serves files; counts who asks for which, and who had it already."""

    url: str = ""
    files: dict[str, File] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)

    def put(self, path: str, data: bytes, *, etag: str | None = None) -> str:
        """Put a file at a path; returns its address."""
        self.files[path] = File(data, etag=etag)
        return f"{self.url}/{path}"

    async def _get(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.asked[path] += 1
        file = self.files.get(path, File(status=404))
        if file.hold is not None:
            await file.hold.wait()
        headers = {"ETag": file.etag} if file.etag else {}
        if file.location is not None:
            headers["Location"] = file.location
        if file.etag and request.headers.get("If-None-Match") == file.etag:
            self.unchanged[path] += 1
            return web.Response(status=304, headers=headers)
        return web.Response(status=file.status, body=file.data, headers=headers)


@asynccontextmanager
async def picture_server() -> AsyncIterator[PictureServer]:
    """Runs one on a loopback port."""
    server = PictureServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", server._get)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def picture(
    colour: str = "red", size: tuple[int, int] = (64, 48), kind: str = "PNG", mode: str = "RGB"
) -> bytes:
    """A picture of one colour, as a file."""
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, kind)
    return file.getvalue()
