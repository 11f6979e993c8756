"""The small file a running lab leaves, so that `show` and `ping` find it without options.

What is read here may have been put there by anybody: only a folder and files that are this user's alone are believed,
and only what has the shape that `write` gives it.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .errors import LabError

KINDS: Mapping[str, str] = MappingProxyType(
    {"control": "control node", "agent": "agent", "dns": "DNS server", "lab": "lab", "config": "config node"}
)
"""The kinds of daemons, and how a person calls them."""
MAX_PID = 2**22
MAX_NAME = 255
MAX_URL = 300
MAX_FILE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DaemonState:
    """One daemon of a running lab: `kind` is one of KINDS; `introspect` its base URL."""

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
        what = KINDS.get(kind, kind)
        known = ", ".join(daemon.name for daemon in self.daemons if daemon.kind == kind) or "none"
        raise LabError(
            f"lab {self.name} has no {what}" if name is None else f"no {what} is called {name} (there is: {known})"
        )


def directory() -> Path:
    """Where state files are: the user's run-time folder, or one in the temporary folder that is this user's alone."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "contrail-emulator"
    return Path(tempfile.gettempdir()) / f"contrail-emulator-{os.getuid()}"


def write(state: LabState) -> Path:
    """Writes the file of this lab, whole or not at all.

    Raises:
        LabError: the folder is not this user's alone, or nothing can be written there.
    """
    folder = directory()
    path = folder / f"{state.name}-{state.pid}.json"
    draft = path.with_suffix(".new")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _ours_alone(folder, stat.S_ISDIR):
            raise LabError(f"{folder}: others may write there; remove it or set XDG_RUNTIME_DIR")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise LabError(f"{error.filename}: {error.strerror}") from error
    return path


def running() -> Iterator[LabState]:
    """The labs that run now, the newest first; files that no living lab has written are removed."""
    folder = directory()
    if not _ours_alone(folder, stat.S_ISDIR):
        return
    for path in sorted(folder.glob("*.json"), key=_modified, reverse=True):
        state = _read(path)
        if state is not None and _alive(state.pid):
            yield state
        else:
            _forget(path)


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


def _ours_alone(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether it is of that kind itself (no link to one), belongs to this user, and nobody else may write it."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return kind(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # a folder, or not ours to remove: it is passed over each time
        return


def _read(path: Path) -> LabState | None:
    """What the file says; None when it is not ours or not what `write` writes."""
    if not _ours_alone(path, stat.S_ISREG):
        return None
    try:
        with path.open("rb") as file:
            return _lab(json.loads(file.read(MAX_FILE)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _lab(data: Any) -> LabState:
    """Raises ValueError, KeyError or TypeError for any other shape."""
    pid = data["pid"]
    if type(pid) is not int or not 0 < pid < MAX_PID:
        raise ValueError("pid")
    daemons = data["daemons"]
    if not isinstance(daemons, list):
        raise TypeError("daemons")
    return LabState(_name(data["name"]), pid, tuple(_daemon(daemon) for daemon in daemons))


def _daemon(data: Any) -> DaemonState:
    if data["kind"] not in KINDS:
        raise ValueError("kind")
    return DaemonState(data["kind"], _name(data["name"]), _url(data["introspect"]))


def _name(text: Any) -> str:
    if not isinstance(text, str) or not 0 < len(text) <= MAX_NAME or not text.isprintable():
        raise ValueError("name")
    return text


def _url(text: Any) -> str:
    """`http://HOST:PORT` and nothing more: this is where `show` will go."""
    if not isinstance(text, str) or len(text) > MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("URL")
    found = urllib.parse.urlsplit(text)
    if found.scheme != "http" or not found.hostname or not found.port or "@" in found.netloc:
        raise ValueError("URL")
    if text != f"http://{found.netloc}":
        raise ValueError("URL")
    return text


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


__all__: Sequence[str] = ["DaemonState", "LabState", "directory", "find", "running", "write"]
