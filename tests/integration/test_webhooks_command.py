"""What an operator sees of webhooks, and can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from openmeet_bridge import cli
from openmeet_bridge.app.desk import Desk
from openmeet_bridge.core.webhooks import PORTAL_READY, Endpoint
from openmeet_bridge.storage import webhooks

from ..support.office import LAKE, SEA, Office

URL = "https://meet.example.org/hook"


@pytest.fixture
def office(tmp_path: Path, database_url: str) -> Office:
    """A desk; of three events one was told, one was given up, and one waits."""
    office = Office(tmp_path, database_url)
    endpoints = [
        Endpoint(tenant, f"{URL}?token=hidden", "a secret", frozenset([PORTAL_READY]))
        for tenant in (LAKE, SEA)
    ]

    async def fill(desk: Desk) -> None:
        async with desk.database.connection() as connection:
            for tenant in (LAKE, LAKE, SEA):
                await webhooks.put(connection, tenant, PORTAL_READY, {})
            await webhooks.spread(connection, endpoints, 10)
            free = {(LAKE, endpoints[0].url): 10}
            told, failed = await webhooks.take(connection, free, 60)
            await webhooks.settle(connection, told)
            await webhooks.settle(connection, failed, "HTTP 500")

    office.at_desk(fill)
    return office


def test_what_is_shown(office: Office) -> None:
    failed, pending = office.json("webhooks")
    assert (failed["tenant"], failed["state"], failed["error"]) == ("lake", "failed", "HTTP 500")
    assert (pending["tenant"], pending["state"], pending["error"]) == ("sea", "pending", None)
    assert failed["endpoint"] == URL
    assert office.said("webhooks", "--state", "done").count(PORTAL_READY) == 1
    assert "hidden" not in office.said("webhooks")
    assert office.said("webhooks", "--tenant", "sea", "--state", "failed") == ""
    assert "Only the first" not in office.run("webhooks", "--limit", "1").stderr
    assert office.run("webhooks", "--tenant", "moon").exit_code == cli.MISCONFIGURED


def test_trying_again(office: Office) -> None:
    assert (
        office.said("webhooks", "retry", "--tenant", "sea") == "0 webhooks will be tried again.\n"
    )
    assert office.said("webhooks", "retry") == "1 webhook will be tried again.\n"
    tried, _ = office.json("webhooks")
    assert (tried["tenant"], tried["state"], tried["attempts"]) == ("lake", "pending", 0)
