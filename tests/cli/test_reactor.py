"""The reactor of a command."""

from __future__ import annotations

import subprocess
import sys

COMMAND = """
import time
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred
from contrail_emulator.cli.reactor import run

wall = [time.time()]
ReactorBase.seconds = lambda self: wall[0]

async def start(reactor):
    done = Deferred()
    reactor.callLater(0.01, done.callback, 7)
    wall[0] -= 3600
    return await done

print(run(start))
"""


def test_a_command_keeps_its_reactor_steady() -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("7\n", "")
