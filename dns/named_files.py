"""The files contrail-dns writes for its named: named.conf, rndc.conf and zone templates (reference/dns.md 5).

``virtual-forwarder`` and ``virtual-server-name`` exist in Contrail's patched named only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .names import canonical, view_name
from .resolver import is_address
from .views import Views
from .virtual_dns import VirtualDns, VirtualDnsData
from .zone import EXPIRE, REFRESH, RETRY, TEMPLATE_SERIAL, Zone

DEFAULT_VIEW: Final = "_default_view_"
RNDC_PORT: Final = 8094

_NAME_WIDTH = 30
_NUMBER_WIDTH = 10
_NUMBER_INDENT = " " * 38
_NS_INDENT = " " * 34
_SAFE = re.compile(r'[^"\\\x00-\x1f]*')


@dataclass(frozen=True, slots=True)
class NamedSettings:
    """Paths and keys. ``resolvers`` are what /etc/resolv.conf names; IPv6 ones are left out, as the real one does.

    Raises ValueError for a text that would end its quotes in named.conf.
    """

    directory: str = "/etc/contrail/dns"
    log_file: str = "/var/log/contrail/contrail-named.log"
    port: int = 53
    max_cache_size: str = "32M"
    rndc_secret: str = ""
    resolvers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in (self.directory, self.log_file, self.max_cache_size, self.rndc_secret):
            if not _SAFE.fullmatch(text):
                raise ValueError("a path or key for named.conf: expected neither quotes nor control characters")

    @property
    def folder(self) -> str:
        """The directory with a slash at its end."""
        return self.directory.rstrip("/") + "/"

    def __repr__(self) -> str:
        return f"NamedSettings({self.directory!r}, port={self.port})"  # the secret stays here


def rndc_conf(settings: NamedSettings) -> str:
    """contrail-rndc.conf."""
    return (
        f"{_key(settings)}"
        "options {\n"
        '    default-key "rndc-key";\n'
        "    default-server 127.0.0.1;\n"
        f"    default-port {RNDC_PORT};\n"
        "};\n"
    )


def named_conf(views: Views, settings: NamedSettings) -> str:
    """contrail-named.conf: options, key, controls, logging, a view for each installed server, the default view last."""
    installed = [server for server in views if server.installed]
    parts = [_options(settings), _key(settings), _controls(), _logging(settings)]
    parts += [_view(server, server.data, settings) for server in installed if server.data is not None]
    parts.append(_default_view(installed, settings))
    return "\n".join(parts)


def zone_file_name(server: VirtualDns, zone: Zone) -> str:
    """``<view>.<zone>.zone``."""
    return f"{server.view_name}.{_text(zone.name)}.zone"


def zone_file(zone: Zone) -> str:
    """The template of a zone, to the last blank; the serial in it never changes."""
    settings = zone.settings
    domain = settings.domain.removesuffix(".")
    name = _text(zone.name)
    lines = [
        "$ORIGIN .",
        f"$TTL {settings.ttl}",
        f"{name:<{_NAME_WIDTH}} IN  SOA contrail-ns.{domain}  contrail-mx.{domain} (",
        *(
            f"{_NUMBER_INDENT}{number:<{_NUMBER_WIDTH}}"
            for number in (TEMPLATE_SERIAL, REFRESH, RETRY, EXPIRE, settings.negative_ttl)
        ),
        f"{_NUMBER_INDENT})",
        f"{_NS_INDENT} NS {'contrail-ns.' + domain:<{_NAME_WIDTH}}",
        f"$ORIGIN {name}",
    ]
    if zone.name == canonical(settings.domain):
        lines.append(f"{'contrail-ns':<{_NAME_WIDTH}} IN  A   {settings.host_ip}")
    return "\n".join(lines) + "\n"


def _options(settings: NamedSettings) -> str:
    folder = settings.folder
    cache = f"    max-cache-size {settings.max_cache_size};\n" if settings.max_cache_size else ""
    return (
        "options {\n"
        f'    directory "{folder}";\n'
        f'    managed-keys-directory "{folder}";\n'
        "    empty-zones-enable no;\n"
        f'    pid-file "{folder}contrail-named.pid";\n'
        f'    session-keyfile "{folder}session.key";\n'
        f"    listen-on port {settings.port} {{ any; }};\n"
        "    allow-query { any; };\n"
        "    allow-recursion { any; };\n"
        "    allow-query-cache { any; };\n"
        f"{cache}}};\n"
    )


def _key(settings: NamedSettings) -> str:
    return f'key "rndc-key" {{\n    algorithm hmac-md5;\n    secret "{settings.rndc_secret}";\n}};\n'


def _controls() -> str:
    return (
        "controls {\n"
        f"    inet 127.0.0.1 port {RNDC_PORT}\n"
        '    allow { 127.0.0.1; } keys { "rndc-key"; };\n'
        "};\n"
    )


def _logging(settings: NamedSettings) -> str:
    return (
        "logging {\n"
        "    channel debug_log {\n"
        f'        file "{settings.log_file}" versions 3 size 5m;\n'
        "        severity debug;\n"
        "        print-time yes;\n"
        "        print-severity yes;\n"
        "        print-category yes;\n"
        "    };\n"
        "    category default { debug_log; };\n"
        "    category queries { debug_log; };\n"
        "};\n"
    )


def _view(server: VirtualDns, data: VirtualDnsData, settings: NamedSettings) -> str:
    order = "cyclic" if data.record_order == "round-robin" else data.record_order
    body = [f"    rrset-order {{ order {order}; }};\n"]
    if not data.next:
        body += _forwarders(settings)
    elif is_address(data.next):
        body.append(f"    forwarders {{ {data.next}; }};\n")
    else:
        body.append(f'    virtual-forwarder "{view_name(data.next)}";\n')
    for name, zone in sorted(server.zones.items()):
        reverse = name != canonical(data.domain)
        closed = not data.next or (reverse and not data.reverse_resolution)
        body.append(
            f'    zone "{_text(name)}{"." if reverse else ""}" IN {{\n'
            "        type master;\n"
            f'        file "{settings.folder}{zone_file_name(server, zone)}";\n'
            "        allow-update { 127.0.0.1; };\n"
            + ("        forwarders { };\n" if closed else "")
            + "    };\n"
        )
    return f'view "{server.view_name}" {{\n' + "".join(body) + "};\n"


def _default_view(installed: list[VirtualDns], settings: NamedSettings) -> str:
    zones: dict[str, str] = {}
    for server in installed:
        if server.data is not None and server.data.external_visible:
            for name in sorted(server.zones):
                zones.setdefault(_text(name), server.view_name)
    body = [
        "    match-clients { any; };\n",
        "    match-destinations { any; };\n",
        "    match-recursive-only no;\n",
        *_forwarders(settings),
    ]
    body += [
        f'    zone "{name}" IN {{\n'
        "        type static-stub;\n"
        f'        virtual-server-name "{view}";\n'
        "        server-addresses { 127.0.0.1; };\n"
        "    };\n"
        for name, view in sorted(zones.items())
    ]
    return f'view "{DEFAULT_VIEW}" {{\n' + "".join(body) + "};\n"


def _forwarders(settings: NamedSettings) -> Iterator[str]:
    resolvers = [address for address in settings.resolvers if ":" not in address]
    if resolvers:
        yield f"    forwarders {{ {' '.join(address + ';' for address in resolvers)} }};\n"


def _text(name: bytes) -> str:
    return name.decode("ascii", "replace")
