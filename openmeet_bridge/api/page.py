"""The chat page: its files, as they lie in the package."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

from aiohttp import web

from ..core.errors import NotFound

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' https: data:; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".md": "text/markdown",
}


class Page:
    """Serves the page and its modules. All files are read once, at start."""

    def __init__(self) -> None:
        root = files("openmeet_bridge") / "web"
        self._files = {path: _File(file) for path, file in _walk(root, "")}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/", self._index), web.get("/web/{path:.+}", self._asset)]

    async def _index(self, request: web.Request) -> web.Response:
        return self._answer(request, "index.html")

    async def _asset(self, request: web.Request) -> web.Response:
        return self._answer(request, request.match_info["path"])

    def _answer(self, request: web.Request, path: str) -> web.Response:
        file = self._files.get(path)
        if file is None:
            raise NotFound("There is no such file.")
        headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            # Asked for again each time and answered 304: a new version is never half there.
            "Cache-Control": "no-cache",
            "ETag": file.etag,
        }
        if request.headers.get("If-None-Match") == file.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=file.body, content_type=file.content_type, charset="utf-8", headers=headers
        )


class _File:
    def __init__(self, source: Traversable) -> None:
        self.body = source.read_bytes()
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:20]}"'
        suffix = "." + source.name.rpartition(".")[2]
        self.content_type = _TYPES.get(suffix, "application/octet-stream")


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _walk(item, f"{prefix}{item.name}/")
        else:
            found.append((f"{prefix}{item.name}", item))
    return found
