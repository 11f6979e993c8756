"""`our_reflector.py`, whose own table can be looked at: on SIGUSR1 it writes it to a file.

    python benchmarks/our_table.py FILE ADDRESS PORT FAMILY CLIENT_ADDRESS...

The file is `bgp_messages.Table` in JSON, both sides in hex; it appears at once and whole. A forked child reads the
table and writes the file, so that the daemon's memory and CPU time stay what they are without this.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))

import our_reflector

from contrail_emulator.control.routing import RoutingCore

TABLES = {"inet": "inet.0", "inet-vpn": "bgp.l3vpn.0"}


def entries(core: RoutingCore, family: str) -> dict[str, str]:
    """What the best paths say: NLRI without label -> label and essence, as the benchmark's own reader has them."""
    found = {}
    for key, route in core.tables[TABLES[family]].routes.items():
        if route.best is None:
            continue
        attributes = route.best.attributes
        numbers = ((value or 0).to_bytes(4, "big") for value in (attributes.med, attributes.local_pref))
        parts = attributes.next_hop, attributes.as_path.raw, *numbers, b"".join(attributes.ext_communities)
        nlri = key if family == "inet" else bytes((key[8] + 64,)) + key[:8] + key[9:]
        found[nlri.hex()] = (route.best.payload + b"|".join(parts)).hex()
    return found


def main() -> None:
    path, family = Path(sys.argv.pop(1)), sys.argv[3]
    cores: list[RoutingCore] = []

    def remember(*arguments: Any, **named: Any) -> RoutingCore:
        cores.append(RoutingCore(*arguments, **named))
        return cores[-1]

    def write(_number: int, _frame: object) -> None:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        try:
            whole = path.with_suffix(".new")
            whole.write_text(json.dumps(entries(cores[-1], family)))
            whole.rename(path)
        finally:
            os._exit(0)

    vars(our_reflector)["RoutingCore"] = remember  # it has no other way to say which core it made
    signal.signal(signal.SIGUSR1, write)
    our_reflector.main()


if __name__ == "__main__":
    main()
