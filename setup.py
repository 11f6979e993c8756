"""The rooms stand at the top of the repository; src/contrail_emulator holds one relative link to each of them."""

import os
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
ROOMS = ["agent", "base", "cli", "config", "control", "dns", "lab", "vrouter_model"]
broken = [room for room in ROOMS if not (HERE / "src" / "contrail_emulator" / room).is_dir()]
if broken:
    raise SystemExit(f"src/contrail_emulator: {', '.join(broken)}: not a linked folder; clone with core.symlinks=true")

# What every route passes on its way through a control node. Not the Twisted adapters, not the state machine's actions,
# not the dataclasses: compiling those gains nothing.
HOT = {
    "control/bgp": "framing peer section_cache update_reader update_writer",
    "control/bgp/attributes": "as_path attributes layout section",
    "control/bgp/nlri": "base prefix vpn",
    "control/channels": "bgp_encoder bgp_import",
    "control/routing": "attribute_set core delivery export groups members path replication ring selection source table",
}
ext_modules = []
if os.environ.get("CONTRAIL_EMULATOR_COMPILE") == "1":  # `make fast`: for an environment of its own, never in place
    from mypyc.build import mypycify

    paths = [f"src/contrail_emulator/{room}/{name}.py" for room, names in HOT.items() for name in names.split()]
    ext_modules = mypycify(paths, opt_level="3", debug_level="0", group_name="contrail_emulator")

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
