"""Lines as the log makes sentences of them: what was before counts, and nothing stops a stream."""

from __future__ import annotations

from typing import Any

import pytest

from openmeet_bridge.bridge.log_view import LogView
from openmeet_bridge.core.ids import Mxid, Position
from openmeet_bridge.core.showing import show

from ..support.house import house_at

ZOE = Mxid("@zoe:elsewhere.org")


async def test_what_a_member_event_says_depends_on_what_was_before(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house_at(database_url) as house:
        ann, log = await house.user("ann"), LogView(house.database)
        await house.room(ann)
        began = house.grown[-1]

        async def turns(sender: Mxid, membership: str, **more: Any) -> None:
            content = {"membership": membership, **more}
            await house.state(sender, "m.room.member", ZOE, content)

        await turns(ann, "invite", displayname="Zoe")
        await turns(ZOE, "leave")
        await turns(ann, "invite")
        await turns(ann, "leave", reason="the wrong Zoe")
        await turns(ZOE, "join", displayname="Zoe")
        await turns(ZOE, "join", displayname="Zoë")
        await turns(ZOE, "join", displayname="Zoë", avatar_url="mxc://elsewhere.org/z")
        await turns(ann, "ban")
        await turns(ann, "leave")

        async def texts() -> list[str]:
            found, _ = await log.after(Position(began), 100)
            return [one.entry.text for one in found]

        # People are called what they are called now: Zoe's last event gave her no name.
        told = await texts()
        assert [one.replace("zoe", "Zoe") for one in told] == [
            "Ann invited Zoe",
            "Zoe declined the invitation",
            "Ann invited Zoe",
            "Ann withdrew the invitation of Zoe: the wrong Zoe",
            "Zoe joined",
            "Zoe is now called Zoë",
            "Zoë changed their picture",
            "Ann banned Zoe",
            "Ann lifted the ban of Zoe",
        ]
        hurt = {"msgtype": "m.text", "body": "boom"}
        await house.sends(ann, hurt)
        true_show = show

        def crashes(kind: str, *arguments: Any, **more: Any) -> Any:
            if kind == "m.room.message":
                raise RuntimeError("a bug")
            return true_show(kind, *arguments, **more)

        monkeypatch.setattr("openmeet_bridge.bridge.showing.show", crashes)
        assert await texts() == [*told, "This cannot be shown here"]
