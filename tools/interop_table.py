#!/usr/bin/env python3
"""Writes docs/bgp-interop.md from what the last run of tests/interop recorded (or only checks it: --check).

    pytest -n 4 --dist loadgroup tests/interop && tools/interop_table.py

Records are looked for in $CONTRAIL_EMULATOR_INTEROP_RESULTS, else in pytest's cache folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from interop import record, table  # noqa: E402 - found through the line above

PAGE = ROOT / "docs" / "bgp-interop.md"


def main() -> int:
    folder = Path(os.environ.get(record.FOLDER_VARIABLE) or ROOT / ".pytest_cache" / "d" / "interop")
    held = record.read(record.newest(folder))
    page = table.render(held)
    missing = table.promised() - held
    for cell in sorted(missing, key=str):
        print(f"did not run or did not hold: {cell}", file=sys.stderr)
    if "--check" in sys.argv[1:]:
        return int(bool(missing) or page != PAGE.read_text())
    PAGE.write_text(page)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
