#!/usr/bin/env bash
# make_fast.sh PYTHON: a virtual environment in .venv-fast with the package in it, its hot modules compiled by mypyc.
# The same sources as everywhere; .venv, the pure one, is not touched. Needs a C compiler and Python's headers.
set -eu
python=$1
mypy='mypy==2.4.1 mypy-zope==1.0.17'  # mypyc comes with mypy; what was tested
pip='.venv-fast/bin/python -m pip --quiet --disable-pip-version-check'
say() { echo "make: $*" >&2; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    { say "Python 3.11 or later is needed; name one with: make PYTHON=python3.12 fast"; exit 1; }
command -v "${CC:-cc}" >/dev/null ||
    { say "no C compiler; on Debian: sudo apt-get install gcc python3-dev"; exit 1; }
"$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    { say "no Python.h for $python; on Debian: sudo apt-get install python3-dev"; exit 1; }
.venv-fast/bin/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv-fast; "$python" -m venv .venv-fast; }

say "installing what the tests need into .venv-fast"
$pip install --upgrade 'setuptools>=69' wheel $mypy
$pip install '.[test]'  # pure: for what it depends on
say "compiling"
trap 'rm -rf build' EXIT
rm -rf build
CONTRAIL_EMULATOR_COMPILE=1 $pip install --no-build-isolation --no-deps --force-reinstall .
.venv-fast/bin/python -c '
from contrail_emulator.control.routing import table
from contrail_emulator.control.bgp import update_reader
for module in table, update_reader:
    assert module.__file__.endswith(".so"), f"{module.__name__} is not compiled"
'
say ".venv-fast/bin/contrail-emulator is compiled"
