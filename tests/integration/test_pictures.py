"""Pictures: fetched once, uploaded once, looked at again when it is time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from openmeet_bridge.bridge.pictures import Pictures
from openmeet_bridge.matrix.errors import HomeserverUnavailable, Refused
from openmeet_bridge.openmeet.pictures import PictureStore
from openmeet_bridge.storage.database import Database

from ..support.ghost_matrix import GhostMatrix
from ..support.house import NAMING
from ..support.picture_server import File, PictureServer, picture, picture_server


class Gallery:
    """Pictures with a storage, a homeserver and a database of their own."""

    def __init__(self, database: Database, server: PictureServer, store: PictureStore) -> None:
        self.database = database
        self.server = server
        self.matrix = GhostMatrix()
        self.pictures = Pictures(
            database,
            self.matrix.as_homeserver(),
            store,
            NAMING.bot,
            max_pixels=100_000,
            side=32,
        )

    async def later(self, hours: float) -> None:
        """Let time pass."""
        async with self.database.connection() as connection:
            await connection.execute(
                """
                UPDATE picture_source SET
                    looked_at = looked_at - make_interval(secs => $1),
                    look_again_at = look_again_at - make_interval(secs => $1)
                """,
                hours * 3600,
            )

    async def problem(self, url: str) -> str | None:
        async with self.database.connection() as connection:
            found: str | None = await connection.fetchval(
                "SELECT problem FROM picture_source WHERE url = $1", url
            )
        return found


@pytest.fixture
async def gallery(database_url: str) -> AsyncIterator[Gallery]:
    async with AsyncExitStack() as stack:
        database = Database(database_url)
        stack.push_async_callback(database.close)
        server = await stack.enter_async_context(picture_server())
        store = PictureStore(max_bytes=100_000, timeout=5, allow_private_addresses=True)
        await stack.enter_async_context(store)
        yield Gallery(database, server, store)


async def test_a_picture_is_fetched_and_uploaded_once(gallery: Gallery) -> None:
    url = gallery.server.put("ann.png", picture())
    found = await asyncio.gather(*(gallery.pictures.mxc(url) for _ in range(5)))
    assert set(found) == {"mxc://test/1"}
    assert await gallery.pictures.mxc(url) == "mxc://test/1"
    assert gallery.server.asked == {"ann.png": 1}
    ((content_type, filename, data, by),) = gallery.matrix.uploads
    assert (content_type, filename, by) == ("image/jpeg", "picture.jpg", NAMING.bot)
    assert data.startswith(b"\xff\xd8")


async def test_equal_pictures_are_one_upload(gallery: Gallery) -> None:
    urls = [gallery.server.put(name, picture("red")) for name in ("a.png", "b.png")]
    assert set(await asyncio.gather(*map(gallery.pictures.mxc, urls))) == {"mxc://test/1"}
    assert (
        await gallery.pictures.mxc(gallery.server.put("c.png", picture("blue"))) != "mxc://test/1"
    )
    assert len(gallery.matrix.uploads) == 2


async def test_nothing_is_no_picture(gallery: Gallery) -> None:
    assert await gallery.pictures.mxc(None) is None
    assert await gallery.pictures.mxc("") is None
    assert not gallery.matrix.calls


async def test_a_picture_is_looked_at_again_after_a_day(gallery: Gallery) -> None:
    url = gallery.server.put("a.png", picture(), etag='"1"')
    first = await gallery.pictures.mxc(url)
    await gallery.later(23)
    assert await gallery.pictures.mxc(url) == first
    assert gallery.server.asked["a.png"] == 1
    await gallery.later(2)
    assert await gallery.pictures.mxc(url) == first
    assert gallery.server.unchanged == {"a.png": 1}
    gallery.server.put("a.png", picture("blue"), etag='"2"')
    await gallery.later(25)
    assert await gallery.pictures.mxc(url) == "mxc://test/2"
    assert gallery.server.asked["a.png"] == 3


async def test_a_bad_picture_is_a_problem_for_a_day(gallery: Gallery) -> None:
    url = gallery.server.put("a.png", b"<html>")
    look = await gallery.pictures.look(url)
    assert (look.mxc, look.passing) == (None, False)
    assert "not a picture" in (await gallery.problem(url) or "")
    await gallery.later(23)
    assert await gallery.pictures.mxc(url) is None
    assert gallery.server.asked["a.png"] == 1
    gallery.server.put("a.png", picture())
    await gallery.later(2)
    assert await gallery.pictures.mxc(url) == "mxc://test/1"
    assert await gallery.problem(url) is None


async def test_a_storage_that_is_away_is_asked_again_soon(gallery: Gallery) -> None:
    url = gallery.server.put("a.png", picture())
    gallery.server.files["a.png"] = File(status=503)
    look = await gallery.pictures.look(url)
    assert (look.mxc, look.passing) == (None, True)
    gallery.server.put("a.png", picture())
    assert await gallery.pictures.mxc(url) is None
    await gallery.later(0.2)
    assert await gallery.pictures.mxc(url) == "mxc://test/1"


async def test_a_known_picture_stays_while_its_storage_is_away(gallery: Gallery) -> None:
    url = gallery.server.put("a.png", picture())
    await gallery.pictures.mxc(url)
    gallery.server.files["a.png"] = File(status=503)
    await gallery.later(25)
    assert await gallery.pictures.mxc(url) == "mxc://test/1"
    assert await gallery.problem(url) == "status 503"
    gallery.server.files["a.png"] = File(status=404)
    await gallery.later(25)
    assert await gallery.pictures.mxc(url) is None


async def test_a_homeserver_that_is_away_is_the_callers_affair(gallery: Gallery) -> None:
    url = gallery.server.put("a.png", picture())
    gallery.matrix.failures["upload"] = [HomeserverUnavailable("away"), HomeserverUnavailable("!")]
    for _ in range(2):
        with pytest.raises(HomeserverUnavailable):
            await gallery.pictures.mxc(url)
    assert await gallery.problem(url) is None
    assert await gallery.pictures.mxc(url) == "mxc://test/1"


async def test_a_copy_that_the_homeserver_refuses_is_a_problem(gallery: Gallery) -> None:
    url = gallery.server.put("a.png", picture())
    gallery.matrix.failures["upload"] = [Refused(413, "M_TOO_LARGE", "no")]
    assert await gallery.pictures.mxc(url) is None
    assert "M_TOO_LARGE" in (await gallery.problem(url) or "")
    other = gallery.server.put("b.png", picture())
    gallery.matrix.failures["upload"] = [Refused(403, "M_FORBIDDEN", "has not registered")]
    with pytest.raises(Refused):
        await gallery.pictures.mxc(other)
