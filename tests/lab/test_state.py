"""The state file: what a running lab leaves is found again, what anybody else leaves is not believed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.lab import state
from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.state import DaemonState, LabState

DAEMON = {"kind": "control", "name": "control-1", "introspect": "http://127.0.0.1:8083"}
LAB = LabState("demo", os.getpid(), (DaemonState(**DAEMON), DaemonState("agent", "compute-1", "http://[::1]:8085")))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = state.directory()
    folder.mkdir(mode=0o700)
    return folder


def leave(folder: Path, text: str) -> Path:
    path = folder / "x.json"
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def changed(**changes: Any) -> str:
    return json.dumps({"name": "demo", "pid": os.getpid(), "daemons": [DAEMON], **changes})


def test_what_is_written_is_found(folder: Path) -> None:
    previous = os.umask(0o002)  # as many systems have it: the file must not become the group's
    try:
        path = state.write(LAB)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(state.running()) == [LAB]
    assert state.find() == state.find("demo") == LAB
    with pytest.raises(LabError, match=r"no lab called other is running here \(running: demo\)"):
        state.find("other")


def test_a_daemon_by_kind_and_name() -> None:
    assert LAB.find("control") == LAB.find("control", "control-1") == LAB.daemons[0]
    with pytest.raises(LabError, match=r"^no control node is called nobody \(there is: control-1\)$"):
        LAB.find("control", "nobody")
    with pytest.raises(LabError, match=r"^lab demo has no DNS server$"):
        LAB.find("dns")


def test_the_file_of_a_lab_that_died_is_removed(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    path = leave(folder, changed(pid=child))
    assert list(state.running()) == [] and not path.exists()


BAD = {
    "empty": "", "array": "[]", "null": "null", "number": "7", "text": '"x"', "no json": "{", "deep": "[" * 200_000,
    "no name": json.dumps({"pid": 1, "daemons": []}),
    "pid 0": changed(pid=0), "negative": changed(pid=-1), "2**22": changed(pid=2**22), "2**80": changed(pid=2**80),
    "pid true": changed(pid=True), "pid text": changed(pid="1"), "pid float": changed(pid=1e400),
    "name list": changed(name=[]), "name empty": changed(name=""), "name long": changed(name="x" * 256),
    "name control": changed(name="a\x1b[2Jb"), "daemons object": changed(daemons={}),
    "daemons null": changed(daemons=None),
    "daemon array": changed(daemons=[[]]), "daemon null": changed(daemons=[None]),
    "kind": changed(daemons=[{**DAEMON, "kind": "shell"}]), "kind list": changed(daemons=[{**DAEMON, "kind": []}]),
    "daemon name": changed(daemons=[{**DAEMON, "name": "a\nb"}]),
}  # fmt: skip
URLS = (
    "", "http://", "http://h", "http://h:", "http://h:0", "http://h:99999", "http://h:x", "https://h:1",
    "file:///etc/passwd",
    "file://h:1", "ftp://h:1", "http://h:1/", "http://h:1/x", "http://h:1?x", "http://h:1#x", "http://u:p@h:1", "http://:1",
    "http://h h:1", "http://h:1\n", "http://[:1", "http://h\x00:1", "http://" + "h" * 300 + ":1", "HTTP://h:1", "//h:1",
    5, None,
)  # fmt: skip
BAD |= {f"url {url!r}"[:40]: changed(daemons=[{**DAEMON, "introspect": url}]) for url in URLS}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_file_of_another_shape_is_ignored_and_removed(text: str, folder: Path) -> None:
    path = leave(folder, text)
    assert list(state.running()) == [] and not path.exists()


def test_a_bad_file_hides_no_good_one(folder: Path) -> None:
    leave(folder, "[]")
    (folder / "dangling.json").symlink_to(folder / "nowhere")
    (folder / "folder.json").mkdir()
    state.write(LAB)
    assert list(state.running()) == [LAB]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(st.sampled_from(["name", "pid", "daemons", "kind", "introspect"]), children, max_size=5),
    max_leaves=12,
)


@given(json_values)
def test_no_content_raises_anything_else(value: Any) -> None:
    """`_lab` gives a state that `write` could have written, or one of the three errors its caller expects."""
    try:
        found = state._lab(json.loads(json.dumps(value)))
    except (ValueError, KeyError, TypeError):
        return
    assert 0 < found.pid < 2**22 and found.name.isprintable()


# Whose it is


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_folder_where_others_may_write_is_ignored(mode: int, folder: Path) -> None:
    path = leave(folder, changed())
    folder.chmod(mode)
    assert list(state.running()) == [] and path.exists()
    with pytest.raises(LabError, match="others may write there"):
        state.write(LAB)


def test_a_link_to_a_folder_is_ignored(folder: Path, tmp_path: Path) -> None:
    state.write(LAB)
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert list(state.running()) == []
    with pytest.raises(LabError, match="others may write there"):
        state.write(LAB)


def test_a_file_or_folder_of_another_user_is_ignored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.write(LAB)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert list(state.running()) == []


def test_a_linked_or_writable_file_is_not_believed(folder: Path, tmp_path: Path) -> None:
    elsewhere = leave(tmp_path, changed())
    (folder / "link.json").symlink_to(elsewhere)
    leave(folder, changed()).chmod(0o666)
    assert list(state.running()) == []
    assert elsewhere.exists() and list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "contrail-emulator").write_text("a file")
    with pytest.raises(LabError, match=r"contrail-emulator: File exists$"):
        state.write(LAB)
