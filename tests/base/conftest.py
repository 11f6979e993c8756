import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Tshark = Callable[..., str]

CHECKSUMS = ("tcp.check_checksum", "ip.check_checksum", "udp.check_checksum")


@pytest.fixture
def tshark() -> Tshark:
    """Run tshark on a capture, checksum validation on, and give what it printed. Skips when it is not installed."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not installed")

    def run(capture: Path, *arguments: str) -> str:
        options = [word for name in CHECKSUMS for word in ("-o", f"{name}:TRUE")]
        done = subprocess.run(
            [program, "-n", "-r", str(capture), *options, *arguments], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
