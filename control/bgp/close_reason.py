"""Why an established session ended."""

from __future__ import annotations

from dataclasses import dataclass

from .notification import code_text


@dataclass(frozen=True, slots=True)
class CloseReason:
    """How an established session ended.

    code, subcode: of the NOTIFICATION, 0/0 when there was none (the connection just closed). sent: by us.
    graceful: keep the peer's routes as stale (RFC 4724) until `sweep_stale`; otherwise drop them now.
    data: what the NOTIFICATION carried behind its subcode.
    """

    code: int
    subcode: int
    sent: bool
    graceful: bool
    data: bytes = b""

    @property
    def text(self) -> str:
        if self.code == 0:
            return "connection closed"
        return f"{'sent' if self.sent else 'received'} {code_text(self.code, self.subcode)}"
