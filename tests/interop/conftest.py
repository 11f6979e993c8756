"""Lets tests import their helpers as `interop.…`, the name mypy knows them by; a reactor that a test drives itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

_TESTS = str(Path(__file__).parents[1])
if _TESTS not in sys.path:
    sys.path.append(_TESTS)

if TYPE_CHECKING:
    from interop.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Speakers of ours and daemons of others; all closed at the end."""
    from interop.bench import Bench

    made = Bench(tmp_path)
    try:
        yield made
    finally:
        made.close()
