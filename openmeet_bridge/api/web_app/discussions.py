"""The conversations of events and groups: what the routes of both have in common."""

from __future__ import annotations

from ...bridge.attending import Attending
from ...bridge.discussions import Discussions
from ...bridge.web_sending import WebSending
from ...bridge.web_timeline import WebTimeline
from ...core.errors import BridgeError
from ...core.ids import PortalKind, PortalRef, RoomId, TenantId, UserSlug
from ..sessions import Session
from .discussion import DiscussionMessages, Joined, PageQuery, SentMessage, not_joined


class Conversations:
    """Does for one kind of thing what the web app asks for.

    Args:
        kind: Of what.
        discussions: Finds the rooms.
        attending: Lets people in and shows them out.
        sending: Sends messages.
        timeline: Reads rooms.
    """

    def __init__(
        self,
        kind: PortalKind,
        discussions: Discussions,
        attending: Attending,
        sending: WebSending,
        timeline: WebTimeline,
    ) -> None:
        self._kind = kind
        self._discussions = discussions
        self._attending = attending
        self._sending = sending
        self._timeline = timeline

    async def send(self, caller: Session, slug: str, text: str) -> SentMessage:
        """Send a message."""
        room_id = await self._discussions.room(caller.user, self._ref(caller, slug))
        return SentMessage(await self._sending.send(caller.actor(room_id), text))

    async def messages(self, caller: Session, slug: str, query: PageQuery) -> DiscussionMessages:
        """Return a page of messages."""
        room_id = await self._discussions.room(caller.user, self._ref(caller, slug))
        page = await self._timeline.page(
            caller.tenant_id, caller.mxid, room_id, limit=query.size, before=query.before
        )
        return DiscussionMessages.of(page)

    async def for_guest(self, tenant: TenantId, slug: str) -> DiscussionMessages:
        """Return what somebody gets who has not logged in: no message."""
        room_id = await self._discussions.for_guest(PortalRef(tenant, self._kind, slug))
        return DiscussionMessages([], "", room_id)

    async def join(self, caller: Session, slug: str, said: str) -> Joined:
        """Let the caller in; ``said`` tells them so."""
        return await self.let_in(caller, slug, caller.user.slug, said)

    async def let_in(self, caller: Session, slug: str, who: UserSlug, said: str) -> Joined:
        """Let somebody in, and tell in the answer whether that worked."""
        try:
            room_id = await self.add(caller, slug, who)
        except BridgeError as error:
            return not_joined(error)
        return Joined(success=True, roomId=room_id, message=said)

    async def add(self, caller: Session, slug: str, who: UserSlug) -> RoomId:
        """Let somebody in."""
        return await self._attending.add(caller.user, who, self._ref(caller, slug))

    async def remove(self, caller: Session, slug: str, who: UserSlug) -> None:
        """Show somebody out who is no longer a member."""
        ref = self._ref(caller, slug)
        await self._attending.remove(caller.user, caller.mxid, who, ref)

    def _ref(self, caller: Session, slug: str) -> PortalRef:
        return PortalRef(caller.tenant_id, self._kind, slug)
