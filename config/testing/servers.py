"""Start, kill and stop real RabbitMQ, ZooKeeper and Cassandra on loopback, without systemd or containers.

What each needs was tried out: reference/backends.md. Every process is a child in its own process group and is ended by
its id; nothing outlives `stop`.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from contrail_emulator.config.tls import TlsFiles

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
ZOOKEEPER = Path("/usr/share/zookeeper/bin/zkServer.sh")
START_SECONDS = 240.0
"""A busy machine of two cores takes a minute over what an idle one does in four seconds."""
HOST = "127.0.0.1"
PORTS = range(10000, 20000)
"""Below those that Linux gives to outgoing connections: one of them might have the port before its server has."""
QUICK = "-Dzookeeper.forceSync=no"
"""A killed process loses nothing by it, only a machine without power: a test need not wait for a busy disk."""


class Absent(Exception):
    """The server cannot be run on this machine; the text says what is missing."""


class NotStarted(Exception):
    """The server is there and did not start: nothing to skip over. The text has the end of its output."""


def free_port(address: str = HOST) -> int:
    """A TCP port that nobody has on this address, and that no other process of ours was given lately: it may be seconds
    until its server listens. Raises NotStarted.
    """
    for _ in range(200):
        port = PORTS[_ticket() % len(PORTS)]
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
        return port
    raise NotStarted(f"no free port found on {address}")


def _ticket() -> int:
    """Counts up for all processes of this user, in a file."""
    path = Path(tempfile.gettempdir()) / f"contrail-emulator-ports-{os.getuid()}"
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read(20)
        ticket = int(text) if text.isdigit() else secrets.randbelow(len(PORTS))
        file.seek(0)
        file.truncate()
        file.write(b"%d" % (ticket + 1))
    return ticket


def listening(port: int) -> bool:
    """Does anybody accept connections there?"""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


class Server:
    """One server process. `start` waits until it accepts connections; `kill` is kill -9; `stop` ends it for good."""

    def __init__(self, name: str, command: list[str], folder: Path, port: int, environment: dict[str, str]) -> None:
        self.name = name
        self.port = port
        self.folder = folder
        self._command = command
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it and wait until it listens. Raises NotStarted."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._serves():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                text = (self.folder / "output").read_text(errors="replace")[-2000:]
                raise NotStarted(f"{self.name} did not start: {text}")
            time.sleep(0.05)

    def _serves(self) -> bool:
        return listening(self.port)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Have it stand still, connections open: a machine that hangs, a cable that is out."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None, f"{self.name} does not run"
        os.killpg(self._process.pid, number)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for sent in (how, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sent)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                continue
            break


class RabbitMq(Server):
    """A broker with an epmd of its own.

    With `tls` it has a second port, `tls_port`, for whoever shows a certificate.
    """

    def __init__(self, folder: Path, tls: TlsFiles | None = None) -> None:
        if not RABBITMQ.exists():
            raise Absent(f"{RABBITMQ} is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plugins").write_text("[].\n")
        port, self._epmd_port = free_port(), free_port()
        self.tls_port = 0
        if tls is not None:
            self.tls_port = free_port()
            (folder / "rabbitmq.conf").write_text(
                f"listeners.ssl.1 = {HOST}:{self.tls_port}\nssl_options.cacertfile = {tls.ca}\n"
                f"ssl_options.certfile = {tls.certificate}\nssl_options.keyfile = {tls.key}\n"
                "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
            )
        epmd = shutil.which("epmd")
        if epmd is None:
            raise Absent("epmd is not installed")
        self._epmd_command = [epmd, "-address", HOST, "-port", str(self._epmd_port)]
        self._epmd: subprocess.Popen[bytes] | None = None
        environment = {
            "RABBITMQ_NODENAME": f"test{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),  # may be absent
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "HOME": str(folder),
        }
        super().__init__("RabbitMQ", [str(RABBITMQ)], folder, port, environment)

    def start(self) -> None:
        if self._epmd is None:
            self._epmd = subprocess.Popen(
                self._epmd_command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        try:
            super().start()
        except NotStarted:
            self.stop()
            raise

    def stop(self) -> None:
        super().stop()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None


class ZooKeeper(Server):
    """A stand-alone server. With `tls` it has a second port, `tls_port`, for whoever shows a certificate."""

    def __init__(self, folder: Path, tls: TlsFiles | None = None) -> None:
        if not ZOOKEEPER.exists():
            raise Absent(f"{ZOOKEEPER} is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        settings = folder / "zoo.cfg"
        text = f"tickTime=500\ndataDir={folder / 'data'}\nclientPort={port}\nclientPortAddress={HOST}\n"
        self.tls_port = 0
        if tls is not None:
            self.tls_port = free_port()
            both = folder / "server-and-key.pem"
            both.write_bytes(Path(tls.key).read_bytes() + Path(tls.certificate).read_bytes())
            text += (
                f"secureClientPort={self.tls_port}\nsecureClientPortAddress={HOST}\n"
                "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n"
                f"ssl.keyStore.location={both}\nssl.keyStore.type=PEM\n"
                f"ssl.trustStore.location={tls.ca}\nssl.trustStore.type=PEM\n"
                "ssl.hostnameVerification=false\nssl.clientAuth=need\n"
            )
        settings.write_text(f"{text}admin.enableServer=false\n")
        # Debian's class path lacks a jar that TLS needs; the last -cp counts.
        jars = [f"/usr/share/java/{name}.jar" for name in ("zookeeper", "netty-codec", "netty-resolver")]
        path = ":".join(["/etc/zookeeper/conf", *jars])
        environment = {"ZOO_LOG_DIR": str(folder), "JVMFLAGS": f"-Xmx128m -XX:+UseSerialGC {QUICK} -cp {path}"}
        command = [str(ZOOKEEPER), "start-foreground", str(settings)]
        super().__init__("ZooKeeper", command, folder, port, environment)

    def _serves(self) -> bool:
        """It listens before it serves; the four-letter word says which."""
        if not listening(self.port):
            return False
        try:
            with socket.create_connection((HOST, self.port), 2) as asked:
                asked.sendall(b"srvr")
                return asked.recv(100).startswith(b"Zookeeper version")
        except OSError:
            return False
