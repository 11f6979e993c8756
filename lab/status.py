"""What a lab looks like at one moment: rows for the screen, for `--json` and for the tests."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One session: `protocol` is BGP, XMPP or DNS; `left`, the server's side, counts `routes_in` and `routes_out`.

    `error` is why it last failed, as the server's side prints it.
    """

    protocol: str
    left: str
    right: str
    state: str
    up: bool
    routes_in: int | None = None
    routes_out: int | None = None
    note: str = ""
    error: str = ""

    @property
    def what(self) -> str:
        """Both ends in words."""
        return f"{self.protocol} {self.left} - {self.right}"


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing that must hold before the lab counts as converged; `missing` says what is still awaited."""

    what: str
    reached: int
    wanted: int
    missing: str = ""

    @property
    def met(self) -> bool:
        return self.reached >= self.wanted


@dataclass(frozen=True, slots=True)
class LabStatus:
    """Sessions and goals at one moment, `seconds` after the start."""

    seconds: float
    sessions: tuple[SessionStatus, ...] = ()
    goals: tuple[Goal, ...] = field(default_factory=tuple)

    @property
    def converged(self) -> bool:
        return all(session.up for session in self.sessions) and all(goal.met for goal in self.goals)

    @property
    def awaited(self) -> str:
        """The first thing still missing, in words."""
        for session in self.sessions:
            if not session.up:
                return f"{session.what}: {session.state}{session.error and f' (last error: {session.error})'}"
        for goal in self.goals:
            if not goal.met:
                return f"{goal.what}: {goal.missing or f'{goal.reached} of {goal.wanted}'}"
        return "nothing"
