"""OpenContrail / Tungsten Fabric's control plane as one Python package."""

from importlib.metadata import version

__version__ = version("contrail-emulator")
