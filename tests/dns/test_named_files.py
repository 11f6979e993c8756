"""What contrail-dns writes for named, judged by BIND's own checkers."""

import dataclasses
import ipaddress
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from contrail_emulator.dns.named_files import NamedSettings, named_conf, rndc_conf, zone_file, zone_file_name
from contrail_emulator.dns.views import Views
from contrail_emulator.dns.virtual_dns import VirtualDnsData

ZONE_FILE = """\
$ORIGIN .
$TTL 120
example.com                    IN  SOA contrail-ns.Example.com  contrail-mx.Example.com (
                                      54        
                                      10800     
                                      900       
                                      604800    
                                      100       
                                      )
                                   NS contrail-ns.Example.com       
$ORIGIN example.com
contrail-ns                    IN  A   10.9.9.9
"""  # noqa: W291 - the blanks are the point

VIEW = """\
view "default-domain-v1" {
    rrset-order { order cyclic; };
    virtual-forwarder "default-domain-v2";
    zone "0.1.10.in-addr.arpa." IN {
        type master;
        file "/etc/contrail/dns/default-domain-v1.0.1.10.in-addr.arpa.zone";
        allow-update { 127.0.0.1; };
        forwarders { };
    };
    zone "example.com" IN {
        type master;
        file "/etc/contrail/dns/default-domain-v1.example.com.zone";
        allow-update { 127.0.0.1; };
    };
};
"""

DEFAULT_VIEW = """\
view "_default_view_" {
    match-clients { any; };
    match-destinations { any; };
    match-recursive-only no;
    forwarders { 192.0.2.1; 192.0.2.2; };
    zone "open.org" IN {
        type static-stub;
        virtual-server-name "default-domain-v2";
        server-addresses { 127.0.0.1; };
    };
};
"""

SETTINGS = NamedSettings(rndc_secret="c2VjcmV0", resolvers=("192.0.2.1", "fd00::1", "192.0.2.2"))


def checker(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture
def views() -> Views:
    made = Views("10.9.9.9")
    one = made.ensure("default-domain:v1")
    data = VirtualDnsData("Example.com", record_order="round-robin", default_ttl=120, negative_ttl=100)
    one.configure(dataclasses.replace(data, next="default-domain:v2"))
    one.set_subnets((ipaddress.ip_network("10.1.0.0/24"),))
    for name in ("default-domain:v2", "default-domain:v3"):
        made.ensure(name).configure(VirtualDnsData("open.org", external_visible=True))
    made.ensure("default-domain:v4").configure(VirtualDnsData("four.org", next="192.0.2.9"))
    made.ensure("default-domain:named-only")
    return made


def test_a_zone_file_to_the_last_blank(views: Views) -> None:
    assert zone_file(views.ensure("default-domain:v1").zones[b"example.com"]) == ZONE_FILE


def test_reverse_zone_files_have_no_host(views: Views) -> None:
    text = zone_file(views.ensure("default-domain:v1").zones[b"0.1.10.in-addr.arpa"])
    assert text.endswith("$ORIGIN 0.1.10.in-addr.arpa\n") and "SOA contrail-ns.Example.com" in text


def test_views_in_order_and_the_default_one_last(views: Views) -> None:
    text = named_conf(views, SETTINGS)
    assert VIEW in text and text.endswith(DEFAULT_VIEW)
    assert re.findall(r'^view "([^"]*)"', text, re.MULTILINE) == [
        "default-domain-v1",
        "default-domain-v2",
        "default-domain-v3",
        "default-domain-v4",
        "_default_view_",
    ]
    assert "    forwarders { 192.0.2.9; };\n" in text and "fd00::1" not in text


def test_named_checkconf_takes_all_but_the_two_private_options(views: Views, tmp_path: Path) -> None:
    program = checker("named-checkconf")
    settings = NamedSettings(str(tmp_path), str(tmp_path / "named.log"), rndc_secret="c2VjcmV0")
    path = tmp_path / "named.conf"
    path.write_text(named_conf(views, settings))
    said = subprocess.run([program, path], capture_output=True, text=True, timeout=30).stdout
    unknown = re.findall(r"unknown option '([^']*)'", said)
    assert set(unknown) == {"virtual-forwarder", "virtual-server-name"} and len(said.splitlines()) == len(unknown)
    stock = re.sub(r"^ *virtual-(forwarder|server-name) .*\n", "", path.read_text(), flags=re.MULTILINE)
    path.write_text(stock)
    done = subprocess.run([program, path], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")


def test_rndc_conf() -> None:
    assert rndc_conf(SETTINGS) == (
        'key "rndc-key" {\n    algorithm hmac-md5;\n    secret "c2VjcmV0";\n};\n'
        'options {\n    default-key "rndc-key";\n    default-server 127.0.0.1;\n    default-port 8094;\n};\n'
    )


def test_named_checkzone_takes_every_zone(views: Views, tmp_path: Path) -> None:
    program = checker("named-checkzone")
    for server in views:
        for name, zone in server.zones.items():
            path = tmp_path / zone_file_name(server, zone)
            path.write_text(zone_file(zone))
            done = subprocess.run([program, name.decode(), path], capture_output=True, text=True, timeout=30)
            assert done.returncode == 0 and "loaded serial 54" in done.stdout, done.stdout


def test_quotes_are_refused_and_the_secret_is_not_printed() -> None:
    with pytest.raises(ValueError, match="neither quotes nor control characters"):
        NamedSettings(directory='/tmp/"; };')
    assert "c2VjcmV0" not in repr(SETTINGS)
