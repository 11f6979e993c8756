"""NLRI codecs, one module per group of families. A route is a pair (key, payload): docs/architecture.md."""

from .base import Codec, NlriError, Route
from .families import codec, withdrawal_codec
from .payload import l3_label, label, label_bytes, with_label

__all__ = ["Codec", "NlriError", "Route", "codec", "l3_label", "label", "label_bytes", "with_label", "withdrawal_codec"]
