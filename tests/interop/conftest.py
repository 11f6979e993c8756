"""Lets tests import their helpers as `interop.…`, the name mypy knows them by; a reactor that a test drives itself."""

from __future__ import annotations

import os
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
    from interop.record import Record


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Speakers of ours and daemons of others; all closed at the end."""
    from interop.bench import Bench

    made = Bench(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    """Takes down what held, for docs/bgp-interop.md."""
    from interop.record import FOLDER_VARIABLE, Record

    made = Record()
    yield made
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        made.save(Path(named))
    elif (cache := getattr(request.config, "cache", None)) is not None:
        made.save(cache.mkdir("interop"))
