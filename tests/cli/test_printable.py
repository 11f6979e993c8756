"""What we print on a terminal that cannot print everything."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from contrail_emulator.cli.printable import print_anywhere, printable


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "✓ a ↔ b · vm é 東…"), ("latin-1", "ok a - b · vm é ?..."), ("ascii", "ok a - b - vm ? ?...")],
    ids=["utf-8", "latin-1", "ascii"],
)
def test_signs_have_stand_ins_where_the_encoding_lacks_them(encoding: str, shown: str) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding)
    print_anywhere((stream, io.StringIO()))
    print("✓ a ↔ b · vm é 東…", file=stream, flush=True)
    assert written.getvalue().decode(encoding) == f"{shown}\n"


def test_the_command_says_its_errors_in_any_locale() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "contrail_emulator", "up", "réseau✓.yaml"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(b"contrail-emulator: r?seauok.yaml: ") and b"Traceback" not in done.stderr


def test_names_of_others_move_no_cursor() -> None:
    assert printable("vm\x1b[2J\x07\r\nnamé") == "vm[2Jnamé"
