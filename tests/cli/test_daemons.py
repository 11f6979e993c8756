"""Conf files as settings, and what a user sees who writes one that makes no sense."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cli.processes import Process, call, here, wait

from contrail_emulator.agent.settings import DnsServerAddress
from contrail_emulator.base.conf import ConfError, ConfFile
from contrail_emulator.base.servers import Endpoint
from contrail_emulator.cli import daemons_conf
from contrail_emulator.cli.daemons_conf import agent_conf, config_node_conf, control_conf, dns_conf
from contrail_emulator.config.testing.certificates import Authority
from contrail_emulator.config.tls import TlsFiles
from contrail_emulator.control.xmpp.framing import DEFAULT_MAX_STANZA
from contrail_emulator.control.xmpp.tls import TlsSettings

AGENT = "[VIRTUAL-HOST-INTERFACE]\nip = 10.255.2.1/24\ngateway = 10.255.2.254\n"


def parse(text: str) -> ConfFile:
    return ConfFile.parse(text, "x.conf")


def test_a_control_node_with_every_option_of_the_reference() -> None:
    text = "[DEFAULT]\nhostip = 192.0.2.1\nhostname = a\nbgp_port = 1\nxmpp_server_port = 2\nhttp_server_port = 3\n"
    text += "collectors = 1.1.1.1:8086\nlog_level = SYS_NOTICE\nlog_local = 1\ntcp_hold_time = 30\n[SANDESH]\n"
    text += "introspect_ssl_enable = false\n[DISCOVERY]\nserver = 1.1.1.1\n[IFMAP]\nserver_url = https://x:8443\n"
    text += "rabbitmq_server_list = 10.0.0.1:5673 10.0.0.2\nrabbitmq_password = hush\nrabbitmq_vhost = /v\n"
    read = control_conf(parse(text))
    assert read.warnings == ()
    settings = read.settings
    assert (settings.name, settings.address, settings.introspect_address) == ("a", "192.0.2.1", "192.0.2.1")
    assert (settings.bgp_port, settings.xmpp_port, settings.introspect_port) == (1, 2, 3)
    assert read.database.rabbitmq == (Endpoint("10.0.0.1", 5673), Endpoint("10.0.0.2", 5672))
    assert read.database.cassandra == (Endpoint("192.0.2.1", 9042),)
    assert read.database.rabbitmq_vhost == "v" and "hush" not in repr(read)


def test_without_hostip_everything_stays_on_loopback() -> None:
    settings = control_conf(parse("")).settings
    assert (settings.address, settings.introspect_address) == ("127.0.0.1", "127.0.0.1")
    assert (settings.bgp_port, settings.xmpp_port, settings.introspect_port) == (179, 5269, 8083)


def test_what_is_unknown_or_not_done_is_a_warning() -> None:
    text = "[DEFAULT]\nzonk = 1\nmvpn_ipv4_enable = 1\n[NOBODY]\nx = 1\n"
    assert control_conf(parse(text)).warnings == (
        "DEFAULT.mvpn_ipv4_enable: not done by the emulator; taken as false",
        "x.conf:2: DEFAULT.zonk: unknown",
        "x.conf:5: NOBODY.x: unknown",
    )
    assert agent_conf(parse(AGENT + "[TRACEBUFFSIZE]\nXmpp = 1\n[GATEWAY-0]\nroutes = 0/0\n")).warnings == ()
    assert config_node_conf(parse("[QUOTA]\nsubnet = 1\n")).warnings == ()


def test_helper_modes_of_a_control_node_can_be_turned_off() -> None:
    for word in ("true", "false"):
        read = control_conf(parse(f"[DEFAULT]\ngr_helper_bgp_disable = {word}\n"))
        assert read.settings.bgp_helper is (word == "false") and read.settings.xmpp_helper and read.warnings == ()
        read = control_conf(parse(f"[DEFAULT]\ngr_helper_xmpp_disable = {word}\n"))
        assert read.settings.xmpp_helper is (word == "false") and read.settings.bgp_helper and read.warnings == ()


@pytest.mark.parametrize(("reader", "head"), [(control_conf, ""), (dns_conf, ""), (agent_conf, AGENT)])
def test_the_longest_stanza_is_an_option(reader: Any, head: str) -> None:
    read = reader(parse(f"{head}[EMULATOR]\nxmpp_max_stanza = 70000\n"))
    assert read.settings.max_stanza == 70000 and read.warnings == ()
    assert reader(parse(head)).settings.max_stanza == DEFAULT_MAX_STANZA
    with pytest.raises(ConfError, match=r"x\.conf:\d+: .*xmpp_max_stanza.*: expected a number of 65536 to 1073741824"):
        reader(parse(f"{head}[EMULATOR]\nxmpp_max_stanza = 5\n"))


def test_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons_conf, "_resolvers", lambda path, own: ("192.0.2.53",))
    text = "[DEFAULT]\nhostip = 127.0.0.9\nhostname = d\ndns_server_port = 1053\nhttp_server_port = 8192\n"
    text += "xmpp_dns_auth_enable = true\nxmpp_server_cert = /c\nrndc_secret = hush\nnamed_log_file = /x\n"
    read = dns_conf(parse(text))
    assert read.warnings == () and read.introspect == ("127.0.0.9", 8192)
    assert (read.settings.hostname, read.settings.address, read.settings.port) == ("d", "127.0.0.9", 1053)
    assert read.settings.tls is not None and read.settings.tls.certificate == "/c"
    assert read.settings.forwarders == ("192.0.2.53",)


def test_tls_for_agents_and_of_agents() -> None:
    files = "xmpp_server_cert = /c\nxmpp_server_key = /k\nxmpp_ca_cert = /a\n"
    given = TlsSettings("/c", "/k", "/a")
    folder = "/etc/contrail/ssl"
    usual = TlsSettings(
        f"{folder}/certs/server.pem", f"{folder}/private/server-privkey.pem", f"{folder}/certs/ca-cert.pem"
    )
    for reader, head in ((control_conf, ""), (agent_conf, AGENT)):
        on, off = (parse(f"{head}[DEFAULT]\nxmpp_auth_enable = {word}\n{files}") for word in ("true", "false"))
        assert reader(on).settings.tls == given and reader(on).warnings == ()
        assert reader(off).settings.tls is None and reader(off).warnings == ()
        assert reader(parse(f"{head}[DEFAULT]\nxmpp_auth_enable = true\n")).settings.tls == usual
    apart = agent_conf(parse(AGENT + f"[DEFAULT]\nxmpp_dns_auth_enable = true\n{files}")).settings
    assert (apart.tls, apart.dns_tls) == (None, given)


@pytest.mark.parametrize("kind", ["control", "dns", "agent"])
def test_a_certificate_that_is_not_there_is_one_line(kind: str, tmp_path: Path) -> None:
    option = "xmpp_dns_auth_enable" if kind == "dns" else "xmpp_auth_enable"
    (tmp_path / "x.conf").write_text(f"{AGENT}[DEFAULT]\n{option} = true\nxmpp_server_cert = /nowhere/c.pem\n")
    done = call(kind, "-c", str(tmp_path / "x.conf"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "/nowhere/c.pem" in done.stderr and "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("contrail-emulator: cannot use the TLS files")
    assert last.endswith("/nowhere/c.pem: No such file or directory")


def test_tls_to_a_config_node_s_servers(tmp_path: Path) -> None:
    ours = Authority(tmp_path).issue("client")
    rabbit = f"kombu_ssl_ca_certs = {ours.ca}\nkombu_ssl_certfile = {ours.certificate}\n"
    rabbit += f"kombu_ssl_keyfile = {ours.key}\n"
    text = f"[DEFAULTS]\nrabbit_use_ssl = True\nkombu_ssl_version = tlsv1_2\n{rabbit}rabbit_ha_mode = True\n"
    keeper = f"zookeeper_ssl_enable = True\nzookeeper_ssl_ca_cert = {ours.ca}\n"
    keeper += f"zookeeper_ssl_certificate = {ours.certificate}\nzookeeper_ssl_keyfile = {ours.key}\n"
    database = f"cassandra_use_ssl = true\ncassandra_ca_certs = {ours.ca}\n"
    for form in (text + keeper + database, f"{text}[ZOOKEEPER]\n{keeper}[CASSANDRA]\n{database}"):
        read = config_node_conf(parse(form))
        assert read.warnings == ()
        settings = read.database
        assert (settings.rabbitmq_tls, settings.zookeeper_tls) == (ours, ours) and settings.rabbitmq_ha_mode
        assert settings.cassandra_tls == TlsFiles(ours.ca)
    read = config_node_conf(parse("[DEFAULTS]\nrabbit_use_ssl = True\nkombu_ssl_ca_certs = None\n"))
    assert read.warnings == ("RabbitMQ: TLS without a CA file: anybody could play this server",)
    assert read.database.cassandra_tls is None and read.database.zookeeper_tls is None


def test_resolv_conf(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("# nameserver 1.1.1.1\nnameserver\nnameserver 10.0.0.1\nnameserver ::1\nnameserver 127.0.0.9\n")
    assert daemons_conf._resolvers(path, {"127.0.0.9"}) == ("10.0.0.1",)
    assert daemons_conf._resolvers(tmp_path / "absent", ()) == ()


def test_a_config_node_from_a_file_of_older_times() -> None:
    text = "[DEFAULTS]\ncassandra_server_list = 10.0.0.1:9161,10.0.0.2:9160 10.0.0.3\nrabbit_server = 10.0.0.4:5673,b\n"
    text += "zk_server_ip = 10.0.0.5:2182,10.0.0.6\nzk_server_port = 2999\nrabbit_vhost = None\ncluster_id = c\n"
    text += "logical_routers_enabled = False\n[KEYSTONE]\nadmin_password = hush\n"
    read = config_node_conf(parse(text))
    assert [(server.host, server.port) for server in read.database.cassandra] == [
        ("10.0.0.1", 9041),
        ("10.0.0.2", 9042),
        ("10.0.0.3", 9042),
    ]
    assert len(read.warnings) == 2 and "Thrift" in read.warnings[0]
    assert read.database.rabbitmq == (Endpoint("10.0.0.4", 5673), Endpoint("b", 5672))
    assert read.database.zookeeper == (Endpoint("10.0.0.5", 2182), Endpoint("10.0.0.6", 2999))
    assert read.database.rabbitmq_vhost == "" and not read.logical_routers and read.database.cluster_id == "c"


def test_an_agent() -> None:
    text = AGENT + "[DEFAULT]\nagent_name = c1\ntunnel_type = MPLSoUDP\nflow_cache_timeout = 7\n"
    text += "[CONTROL-NODE]\nservers = 10.0.0.1 10.0.0.2:5270\nsubcluster_name = s\n[DNS]\nservers = 10.0.0.1:1053\n"
    text += "dns_timeout = 500\n[LLGR]\nconfig_fallback_time = 11\n[METADATA]\nmetadata_proxy_secret = hush\n"
    text += "[EMULATOR]\nbind_address = 127.0.2.1\nunderlay = 10.255.2.2=127.0.2.2 192.0.2.1\n"
    read = agent_conf(parse(text))
    settings = read.settings
    assert read.warnings == () and read.data_plane == "model"
    assert (settings.name, settings.tunnel_address, settings.bind_address) == ("c1", "10.255.2.1", "127.0.2.1")
    assert settings.control_nodes == (("10.0.0.1", 5269), ("10.0.0.2", 5270)) and settings.subcluster_name == "s"
    assert settings.dns_servers == (DnsServerAddress("10.0.0.1", 1053, 8093),)
    assert (settings.underlay_gateway, settings.underlay_prefix_length) == ("10.255.2.254", 24)
    timers = settings.timers
    assert (timers.flow_timeout, timers.dns_timeout, timers.config_fallback) == (7, 0.5, 11)
    assert dict(read.underlay) == {
        "10.255.2.1": "127.0.2.1",
        "10.255.2.2": "127.0.2.2",
        "192.0.2.1": "192.0.2.1",
    }
    assert agent_conf(parse(AGENT + "loopback_ip = 10.9.9.9\n")).settings.tunnel_address == "10.9.9.9"


WRONG = [
    ("control", "[DEFAULT]\nbgp_port = 70000\n", "x.conf:2: DEFAULT.bgp_port: expected a number of 0 to 65535"),
    ("control", "[CONFIGDB]\nconfig_db_use_etcd = true\n", "CONFIGDB.config_db_use_etcd: expected false"),
    (
        "control",
        "[CONFIGDB]\nrabbitmq_use_ssl = true\nrabbitmq_ssl_ca_certs = /nowhere/ca\n",
        "CONFIGDB.rabbitmq_use_ssl: cannot use the TLS files /nowhere/ca: No such file",
    ),
    ("control", "[CONFIGDB]\nconfig_db_server_list = a:b\n", "CONFIGDB.config_db_server_list: expected a list"),
    ("control", "bgp_port = 1\n", "x.conf:1: bgp_port: expected a [SECTION] above it"),
    ("dns", "[DEFAULT]\nhostip = here\n", "DEFAULT.hostip: expected an IP address"),
    ("config-node", "[DEFAULTS]\nzk_server_ip = 1.2.3.4:x\n", "DEFAULTS.zk_server_ip"),
    ("config-node", "[DEFAULTS]\nkombu_ssl_version = sslv2\n", "DEFAULTS.kombu_ssl_version: expected one of"),
    ("agent", "", "VIRTUAL-HOST-INTERFACE.ip: expected ADDRESS/LENGTH"),
    ("agent", "[VIRTUAL-HOST-INTERFACE]\nip = 10.0.0.1/33\n", "VIRTUAL-HOST-INTERFACE.ip: expected ADDRESS/LENGTH"),
    ("agent", AGENT + "[DEFAULT]\ntunnel_type = IPIP\n", "DEFAULT.tunnel_type: expected one of MPLSoGRE"),
    ("agent", AGENT + "[EMULATOR]\nunderlay = x=y\n", "EMULATOR.underlay: x=y: expected TUNNEL=ADDRESS"),
]


READERS = {"control": control_conf, "dns": dns_conf, "config-node": config_node_conf, "agent": agent_conf}


@pytest.mark.parametrize(("daemon", "text", "expected"), WRONG, ids=[row[2] for row in WRONG])
def test_wrong_values_are_one_line(daemon: str, text: str, expected: str) -> None:
    with pytest.raises(ConfError) as caught:
        READERS[daemon](parse(text))
    assert expected in str(caught.value) and "\n" not in str(caught.value)
    assert re.match(r"x\.conf:\d+: " if text else r"x\.conf: ", str(caught.value)), "which file and line"


USAGE = [
    (["control"], "", 2, "Missing option '--config-file'"),
    (["control", "-c", "absent.conf"], "", 1, "absent.conf"),
    (["control", "-c", "x.conf", "stray"], "", 2, "stray: expected --SECTION.OPTION VALUE"),
    (["control", "-c", "x.conf", "--nonsense"], "", 2, "--nonsense: expected --SECTION.OPTION VALUE"),
    (["control", "-c", "x.conf", "--DEFAULT.bgp_port"], "", 2, "expected a value after it"),
    (["control", "-c", "x.conf"], "[DEFAULT]\nlog_level = LOUD\n", 1, "DEFAULT.log_level: expected one of"),
    (["dns", "-c", "x.conf"], "[DEFAULT]\nlog_file = /nowhere/x\n", 1, "/nowhere/x: No such file or directory"),
    (["agent", "-c", "x.conf", "--database", "x"], AGENT, 2, "--database: expected --SECTION.OPTION VALUE"),
]


@pytest.mark.parametrize(("arguments", "text", "status", "expected"), USAGE, ids=[row[3] for row in USAGE])
def test_mistakes_of_the_command(
    arguments: list[str],
    text: str,
    status: int,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "x.conf").write_text(text)
    monkeypatch.chdir(tmp_path)
    code, output, errors = here(*arguments)
    assert (code, output) == (status, "")
    assert expected in errors
    assert errors.count("\n") == 1 and errors.startswith("contrail-emulator: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["control", "--DEFAULT.bgp_port", "x"], "command line: DEFAULT.bgp_port: expected a number"),
        (["agent"], "cannot listen on 10.255.2.1 port"),
        (["control", "--database", "x.conf"], "--database x.conf: file is not a database"),
        (["dns", "--database", "no/c.db"], "--database no/c.db: there is no folder no"),
        (["config-node", "--database", "x.conf"], "--database x.conf: file is not a database"),
    ],
)
def test_mistakes_that_are_found_when_it_starts(arguments: list[str], expected: str, tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text(AGENT)
    done = call(arguments[0], "-c", "x.conf", *arguments[1:], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert expected in done.stderr
    assert done.stderr.endswith("\n") and done.stderr.splitlines()[-1].startswith("contrail-emulator: ")


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    conf = tmp_path / "schema.conf"
    conf.write_text("[DEFAULTS]\nhttp_server_port = 0\n")
    first = Process(tmp_path, "first", "config-node", "-c", str(conf), "--database", str(tmp_path / "c.db")).ready()
    try:
        port = first.output().rpartition(" ")[2].strip()
        conf.write_text(f"[DEFAULTS]\nhttp_server_port = {port}\n")
        done = call("config-node", "-c", str(conf), "--database", str(tmp_path / "c.db"))
        assert done.returncode == 1
        assert done.stderr == f"contrail-emulator: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    finally:
        assert first.stop() == 0


def test_stopped_while_the_servers_do_not_answer(tmp_path: Path) -> None:
    conf = tmp_path / "control.conf"
    conf.write_text(
        "[DEFAULT]\nhostip = 127.0.0.1\nhostname = lonely\nbgp_port = 0\nxmpp_server_port = 0\nhttp_server_port = 0\n"
        "[CONFIGDB]\nrabbitmq_server_list = 127.0.0.1:1\nconfig_db_server_list = 127.0.0.1:1\n"
        "rabbitmq_password = hush\n"
    )
    lonely = Process(tmp_path, "lonely", "control", "-c", str(conf))
    wait("it tries", lambda: lonely.said("127.0.0.1:1"))
    assert lonely.stop() == 0
    assert lonely.output() == "" and not lonely.said("hush") and not lonely.said("Traceback")
