"""The small file a running lab leaves, so that `show` and `ping` find it without options."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import LabError


@dataclass(frozen=True, slots=True)
class DaemonState:
    """One daemon of a running lab: `kind` is control, agent, dns or lab; `introspect` its base URL."""

    kind: str
    name: str
    introspect: str


@dataclass(frozen=True, slots=True)
class LabState:
    """A running lab as its state file tells it."""

    name: str
    pid: int
    daemons: tuple[DaemonState, ...]

    def find(self, kind: str, name: str | None = None) -> DaemonState:
        """The daemon of that kind, by name or the first.

        Raises:
            LabError: there is none.
        """
        for daemon in self.daemons:
            if daemon.kind == kind and name in (None, daemon.name):
                return daemon
        known = ", ".join(daemon.name for daemon in self.daemons if daemon.kind == kind) or "none"
        raise LabError(f"lab {self.name}: no {kind} is called {name} (there is: {known})")


def directory() -> Path:
    """Where state files are: the user's run-time folder, or one in the temporary folder that is this user's alone."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "contrail-emulator"
    return Path(tempfile.gettempdir()) / f"contrail-emulator-{os.getuid()}"


def write(state: LabState) -> Path:
    """Writes the file of this lab, whole or not at all."""
    folder = directory()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise LabError(f"{folder}: belongs to another user; remove it or set XDG_RUNTIME_DIR")
    path = folder / f"{state.name}-{state.pid}.json"
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
    draft.replace(path)
    return path


def running() -> Iterator[LabState]:
    """The labs that run now, the newest first; files of labs that died are removed."""
    try:
        paths = sorted(directory().glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return
    for path in paths:
        state = _read(path)
        if state is None or not _alive(state.pid):
            path.unlink(missing_ok=True)
        else:
            yield state


def find(name: str | None = None) -> LabState:
    """The running lab of that name, or the newest.

    Raises:
        LabError: none runs.
    """
    names = []
    for state in running():
        if name in (None, state.name):
            return state
        names.append(state.name)
    if name is None:
        raise LabError("no lab is running here; start one with: contrail-emulator up LAB.yaml")
    raise LabError(f"no lab called {name} is running here (running: {', '.join(names) or 'none'})")


def _read(path: Path) -> LabState | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        daemons = tuple(DaemonState(**daemon) for daemon in data["daemons"])
        return LabState(str(data["name"]), int(data["pid"]), daemons)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


__all__: Sequence[str] = ["DaemonState", "LabState", "directory", "find", "running", "write"]
