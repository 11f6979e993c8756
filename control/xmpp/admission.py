"""Who may open a session: duplicate names and subclusters (reference/xmpp.md 1.2, 1.8)."""

from typing import NamedTuple


class Admission(NamedTuple):
    """`refusal` is empty when the new connection is accepted; `close_old` asks for the old session to be closed."""

    refusal: str = ""
    close_old: bool = False


class Existing(NamedTuple):
    """The session that has the name already; `established` is False while it is being cleaned up."""

    address: str
    established: bool


def admit_name(existing: Existing | None, address: str, graceful_restart_helper: bool) -> Admission:
    """The duplicate rules. A session that waits in a graceful restart timer does not exist here: its name is free."""
    if existing is None:
        return Admission()
    if existing.address != address:
        return Admission(f"the name is in use from {existing.address}")
    if not existing.established:
        return Admission("the previous session of this name is being cleaned up")
    if graceful_restart_helper:
        return Admission("a restarted agent: its previous session is closed first", close_old=True)
    return Admission("the name is in use by a session that still lives")


def admit_subcluster(own: str, offered: str) -> str:
    """The reason to refuse an agent's subcluster; a server without one accepts anything."""
    if own and own != offered:
        return f"subcluster {offered[:60]!r} is not {own!r}"
    return ""
