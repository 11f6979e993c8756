"""Client libraries of real back ends are optional: they are imported when first used."""

import importlib
from typing import Any


class DriverMissing(Exception):
    """A back end was asked for whose client library is not installed."""


def driver(module: str, package: str) -> Any:
    """The module, or DriverMissing that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DriverMissing(f"{module} is needed: pip install {package}") from error
