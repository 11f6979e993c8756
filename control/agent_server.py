"""The XMPP server of a control node: which of two sessions of one name stays (reference/xmpp.md 1.8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.base.pcap import Capture
from contrail_emulator.control.xmpp.server import ServerSession, ServerSettings, XmppServer
from contrail_emulator.control.xmpp.session import Handler
from contrail_emulator.control.xmpp.stream import StreamOpen


class AgentServer(XmppServer):
    """With `refuse_duplicate_agent` the old session stays, as at a real control node; otherwise the new one wins."""

    def __init__(
        self,
        reactor: Any,
        settings: ServerSettings,
        handler: Handler,
        *,
        behaviour: Behaviour = CONTRAIL,
        capture: Capture | None = None,
    ) -> None:
        super().__init__(reactor, replace(settings, behaviour=behaviour), handler, capture=capture)
        self._new_wins = not behaviour.refuse_duplicate_agent

    def judge(self, session: ServerSession, opened: StreamOpen) -> str:
        """Why an open is refused, empty when it is not."""
        if self._new_wins:
            old = self.sessions.get(opened.from_)
            if old is not None and old is not session:
                reason = "the agent connected again"
                old.close(reason)
                self.closed(old, reason)  # at once: the name and what it stands for are the new session's
        return super().judge(session, opened)
