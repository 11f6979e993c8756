"""States and events of the two state machines (reference/xmpp.md 1.7)."""

from enum import Enum

from .framing import Pattern


class State(Enum):
    """State name and sub-state, as introspection prints them."""

    IDLE = ("Idle", "")
    ACTIVE = ("Active", "")
    CONNECT = ("Connect", "")
    OPEN_SENT = ("OpenSent", "")
    OPEN_CONFIRM_INIT = ("OpenConfirm", "init")
    OPEN_CONFIRM_NEGOTIATION = ("OpenConfirm", "feature-negotiation")
    OPEN_CONFIRM_HANDSHAKE = ("OpenConfirm", "feature-negotiation (handshake)")
    OPEN_CONFIRM_SUCCESS = ("OpenConfirm", "feature-success")
    ESTABLISHED = ("Established", "")

    __hash__ = object.__hash__  # that of Enum is a function in Python, and tables are asked several times a stanza

    @property
    def label(self) -> str:
        return self.value[0]

    @property
    def substate(self) -> str:
        return self.value[1]


class Event(Enum):
    """What can happen to a state machine."""

    START = "start"
    STOP = "stop"
    CLEAR = "cleared"
    ACCEPTED = "connection accepted"
    CONNECTED = "connection up"
    CONNECT_FAILED = "connection failed"
    CLOSED = "connection closed"
    OPEN = "stream open"
    REFUSED = "stream open refused"
    FEATURES = "stream features"
    STARTTLS = "starttls"
    PROCEED = "proceed"
    TLS_UP = "TLS handshake done"
    KEEPALIVE = "keepalive"
    STANZA = "stanza"
    BAD_INPUT = "bad input"
    CONNECT_TIMER = "connect timer expired"
    OPEN_TIMER = "open timer expired"
    HOLD_TIMER = "hold timer expired"
    KEEPALIVE_TIMER = "keepalive timer expired"

    __hash__ = object.__hash__  # as for State


SERVER_PATTERNS = {
    State.OPEN_CONFIRM_INIT: Pattern.STARTTLS,
    State.ESTABLISHED: Pattern.STANZA,
}
"""What a server looks for; a stream open in all other states."""

CLIENT_PATTERNS = {
    State.OPEN_CONFIRM_INIT: Pattern.FEATURES,
    State.OPEN_CONFIRM_NEGOTIATION: Pattern.PROCEED,
    State.ESTABLISHED: Pattern.STANZA,
}
"""What a client looks for; a stream open in all other states."""
