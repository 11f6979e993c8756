"""The command before it does anything: closed standard streams, Ctrl-C while it loads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli.processes import COMMAND

INTERRUPTED = """
import os, signal, sys
from contrail_emulator.cli.main import main

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "contrail_emulator.cli.command":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
main(["show", "agents"])
"""


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_is_like_none_at_all(closed: str, tmp_path: Path) -> None:
    database = tmp_path / "x.db"
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    for arguments, status in (
        (["config", "load", "--database", str(database), "-"], 1),
        (["show", "agents"], 1),
    ):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *arguments],
            capture_output=True, text=True, timeout=60, check=False, env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == status
        assert "Traceback" not in done.stderr and not done.stdout.startswith("contrail-emulator: ")
    assert not database.exists()


def test_interrupted_while_it_loads_it_says_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
