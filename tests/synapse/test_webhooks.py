"""Webhooks with a real Synapse: OpenMeet hears what is said, and that a room is ready."""

from __future__ import annotations

import secrets

import pytest

from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import HERE, Settings, running_bridge
from ..support.matrix_user import matrix_user
from ..support.waiting import eventually
from ..support.webhook_endpoint import SECRET, Received, WebhookEndpoint
from ..support.world import connected

pytestmark = pytest.mark.synapse


async def test_openmeet_hears_what_somebody_of_matrix_says(
    settings: Settings, synapse: SynapseProcess
) -> None:
    async with WebhookEndpoint().running() as endpoint:
        hook = {"url": endpoint.url, "secret": SECRET, "events": ["message.created"]}
        settings.of_tenant = {HERE.id: {"webhooks": [hook]}}
        async with (
            running_bridge(settings),
            connected(settings, synapse.base_url) as world,
            matrix_user(synapse, f"friend-{secrets.token_hex(3)}") as friend,
        ):
            ann, ben = await world.here.user("Ann"), await world.here.user("Ben")
            slug = f"hikers-{secrets.token_hex(3)}"
            room_id = await world.here.group(slug, [ann, ben], public=True)
            await friend.join(room_id)
            async with ben.stream() as stream:
                await stream.wait("hello")
                event_id = await friend.send(room_id, "See you at nine")

                async def heard() -> Received | None:
                    # Rooms of other tests on this Synapse may be news as well.
                    return next(
                        (one for one in endpoint.received if one.data["room_id"] == room_id), None
                    )

                told = await eventually(heard, "the message is told")
    assert told is not None
    assert told.type == "message.created"
    assert (told.data["event_id"], told.data["room_id"]) == (event_id, room_id)
    assert (told.data["portal"]["slug"], told.data["body"]) == (slug, "See you at nine")
    assert told.data["sender"]["mxid"] == friend.user_id
    assert told.data["sender"]["slug"] is None
    online = {one["slug"]: one["online"] for one in told.data["recipients"]}
    assert online == {ann.slug: False, ben.slug: True}
