"""Derives route targets, connections, access lists and the BGP mesh from what users configured."""

from .transformer import Transformer

__all__ = ["Transformer"]
