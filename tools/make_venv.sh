#!/usr/bin/env bash
# make_venv.sh PYTHON WHAT: a virtual environment in .venv with WHAT ('.' or '.[test]') installed editable.
set -eu
python=$1
what=$2
say() { echo "make: $*" >&2; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    { say "Python 3.11 or later is needed; name one with: make PYTHON=python3.12 ..."; exit 1; }
if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
            "$python" -m venv .venv
        else
            say "'$python -m venv' does not work here; on Debian: sudo apt-get install python3-venv"
            exit 1
        fi
    fi
fi
say "installing $what into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'setuptools>=69' wheel
.venv/bin/python -m pip install --quiet --disable-pip-version-check -e "$what"
