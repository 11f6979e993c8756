"""Which codec reads which family."""

from __future__ import annotations

from collections.abc import Mapping

from ..family import Family
from .base import Codec
from .ermvpn import ErmVpnCodec
from .evpn import EvpnCodec
from .mvpn import MvpnCodec
from .prefix import LabeledCodec, PrefixCodec
from .rtarget import RouteTargetCodec
from .vpn import VpnCodec

CODECS: Mapping[Family, Codec] = {
    Family.INET: PrefixCodec("inet", 4),
    Family.INET6: PrefixCodec("inet6", 16),
    Family.INET_LABELED: LabeledCodec("inet-labeled", 4),
    Family.INET_VPN: VpnCodec("inet-vpn", 4),
    Family.INET6_VPN: VpnCodec("inet6-vpn", 16),
    Family.ROUTE_TARGET: RouteTargetCodec(),
    Family.E_VPN: EvpnCodec(),
    Family.ERM_VPN: ErmVpnCodec(),
    Family.INET_MVPN: MvpnCodec(),
}


_EXACT_LABELED = LabeledCodec("inet-labeled", 4, lenient=False)


def withdrawal_codec(family: Family, lenient: bool) -> Codec:
    """The codec for what MP_UNREACH_NLRI holds. `lenient`: inet-labeled withdrawals may come without a label."""
    return CODECS[family] if lenient or family is not Family.INET_LABELED else _EXACT_LABELED


def codec(family: Family) -> Codec:
    """The NLRI codec of a family."""
    return CODECS[family]
