"""Lets tests import their helpers as `control.bgp.session.…`, the name mypy knows them by."""

from __future__ import annotations

import sys
from pathlib import Path

_TESTS = str(Path(__file__).parents[3])
if _TESTS not in sys.path:
    sys.path.append(_TESTS)
