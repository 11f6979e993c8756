"""The daemons that the common tests ask."""

from __future__ import annotations

import pytest
from interop.bird_daemon import Bird
from interop.daemons import Router
from interop.exabgp_daemon import ExaBgp
from interop.frr_daemon import Frr
from interop.gobgp_daemon import GoBgp
from interop.openbgpd_daemon import OpenBgpd

ROUTERS: tuple[type[Router], ...] = (ExaBgp, Bird, Frr, GoBgp, OpenBgpd)


def installed(router: type[Router]) -> type[Router]:
    """The router, or a skipped test that says what is missing."""
    if (reason := router.missing()) is not None:
        pytest.skip(reason)
    return router
