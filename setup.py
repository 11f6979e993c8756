"""The rooms stand at the top of the repository; src/contrail_emulator holds one relative link to each of them."""

import os
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
ROOMS = ["agent", "base", "cli", "config", "control", "dns", "lab", "vrouter_model"]
broken = [room for room in ROOMS if not (HERE / "src" / "contrail_emulator" / room).is_dir()]
if broken:
    raise SystemExit(f"src/contrail_emulator: {', '.join(broken)}: not a linked folder; clone with core.symlinks=true")

ext_modules = []
if os.environ.get("CONTRAIL_EMULATOR_COMPILE") == "1":  # a wheel for an environment of its own, never in place
    from mypyc.build import mypycify

    HOT: list[str] = []
    ext_modules = mypycify([f"src/contrail_emulator/{path}" for path in HOT], opt_level="3")

setup(
    package_dir={"": "src"},
    packages=find_packages("src"),
    package_data={
        "contrail_emulator": ["py.typed"],
        "contrail_emulator.lab": ["data/*.yaml"],
        "contrail_emulator.config": ["data/*.json"],
    },
    include_package_data=False,
    ext_modules=ext_modules,
)
