"""Makes `control.bgp.wire.strategies` importable: test folders are namespace packages under tests/."""

import sys
from pathlib import Path

TESTS = str(Path(__file__).resolve().parents[3])
if TESTS not in sys.path:
    sys.path.append(TESTS)
