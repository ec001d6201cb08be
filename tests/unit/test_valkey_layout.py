"""What is made of what servers of different makes and ages say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from openmeet_bridge.stream.valkey_layout import Layout, survey
from openmeet_bridge.stream.valkey_link import Link, Server

CLUSTER = b"redis_version:7.2.4\r\nserver_name:valkey\r\nserver_mode:cluster\r\n"


class _Answers:
    """Stands for a link, and answers by rote."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    async def ask(self, *command: str) -> Any:
        return self._answers[command[0]]


async def found(info: bytes, slots: Any = None, address: str = "valkey://seed") -> Layout:
    link = cast("Link", _Answers({"INFO": info, "CLUSTER": slots}))
    return await survey(link, Server(address))


@pytest.mark.parametrize(
    ("info", "publish"),
    [
        (b"# Server\r\nredis_version:6.2.14\r\nredis_mode:cluster\r\n", "PUBLISH"),
        (b"# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n", "SPUBLISH"),
        (b"redis_version:7.2.4\r\nserver_name:valkey\r\nserver_mode:standalone", "SPUBLISH"),
        (b"", "PUBLISH"),
    ],
)
async def test_a_server_that_stands_alone(info: bytes, publish: str) -> None:
    layout = await found(info)
    assert (layout.publish, layout.endpoints) == (publish, (None,))
    assert layout.owner("any") == 0


async def test_a_cluster_is_read_from_its_slots() -> None:
    slots = [
        [8192, 16383, [b"10.0.0.2", 7001, b"id"], [b"10.0.0.9", 7009, b"replica"]],
        [0, 99, [b"", 7000, b"id", []]],
        [100, 199, [b"10.0.0.2", 7001, b"id"]],
        [200, 8191, [None, 7000, b"id"]],
    ]
    layout = await found(CLUSTER, slots)
    assert layout.endpoints == [("10.0.0.2", 7001), ("seed", 7000)]
    # The slots of these names, by the cluster specification: 12182 and 5061.
    assert [layout.owner(name) for name in ("foo", "bar")] == [0, 1]
    with pytest.raises(ValueError, match="an address with a host"):
        await found(CLUSTER, slots, "unix:///run/valkey.sock")
    with pytest.raises(ValueError, match="no server serves"):
        await found(CLUSTER, slots[1:])
    with pytest.raises(ValueError, match="no server serves"):
        await found(CLUSTER, [])


async def test_a_cluster_of_one_server_is_spoken_to_where_it_was_found() -> None:
    layout = await found(CLUSTER, [[0, 16383, [b"192.168.7.7", 6379, b"id"]]])
    assert layout.endpoints == (None,)
    assert layout.subscribe == "SSUBSCRIBE"
