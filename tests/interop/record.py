"""What held in a run, written down for docs/bgp-interop.md: each process of a run leaves a JSON file in one folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from interop.table import Cell

FOLDER_VARIABLE = "CONTRAIL_EMULATOR_INTEROP_RESULTS"


class Record:
    """The cells of one process."""

    def __init__(self) -> None:
        self._cells: set[Cell] = set()

    def held(self, peer: str, row: str, column: str, profile: str = "") -> None:
        self._cells.add(Cell(peer, row, column, profile))

    def save(self, folder: Path) -> None:
        """Nothing when nothing held: a run of other tests leaves no file."""
        if not self._cells:
            return
        folder.mkdir(parents=True, exist_ok=True)
        rows = sorted((cell.peer, cell.row, cell.column, cell.profile) for cell in self._cells)
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
        (folder / f"{run}-{os.getpid()}.json").write_text(json.dumps(rows, indent=0))


def newest(folder: Path) -> list[Path]:
    """The files of the run that wrote last."""
    parts = sorted(folder.glob("*.json"), key=lambda part: part.stat().st_mtime)
    return list(folder.glob(f"{parts[-1].stem.rpartition('-')[0]}-*.json")) if parts else []


def read(parts: Iterable[Path]) -> set[Cell]:
    """The cells of all processes of a run."""
    return {Cell(*row) for part in parts for row in json.loads(part.read_text())}
