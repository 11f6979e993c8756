"""A real Cassandra for tests: fetched from Maven Central once, run as a plain Java process (reference/backends.md).

`python -m contrail_emulator.config.testing.cassandra fetch` fills the cache, which `CONTRAIL_EMULATOR_CASSANDRA` may
move (default ~/.cache/contrail-emulator/cassandra-<version>).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from contrail_emulator.config.tls import TlsFiles

from .servers import HOST, Absent, Server, free_port

VERSION = "5.0.6"
FETCH_SECONDS = 600

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>test</groupId><artifactId>cassandra</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId>
<version>{VERSION}</version></dependency></dependencies></project>
"""

LOGBACK = """<configuration><appender name="file" class="ch.qos.logback.core.FileAppender"><file>system.log</file>
<encoder><pattern>%d %-5level %logger{20} %msg%n</pattern></encoder></appender>
<root level="WARN"><appender-ref ref="file"/></root></configuration>
"""

EXPORTS = (
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
)
OPENS = (
    *(
        f"java.base/{package}"
        for package in (
            "java.lang",
            "java.lang.module",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "java.io",
            "java.nio",
            "java.nio.file.attribute",
            "sun.nio.ch",
            "jdk.internal.loader",
            "jdk.internal.ref",
            "jdk.internal.reflect",
            "jdk.internal.math",
            "jdk.internal.module",
            "jdk.internal.util.jar",
        )
    ),
    "jdk.management/com.sun.management.internal",
)


def cache() -> Path:
    """Where the jars lie."""
    given = os.environ.get("CONTRAIL_EMULATOR_CASSANDRA")
    return Path(given) if given else Path.home() / ".cache" / "contrail-emulator" / f"cassandra-{VERSION}"


def fetch() -> Path:
    """Fetch the jars unless they are there; the folder they are in. Absent when Maven is not, or cannot."""
    folder = cache() / "lib"
    if (folder.parent / "complete").exists():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise Absent("Maven is not installed and Cassandra not fetched")
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / "pom.xml").write_text(POM)
    command = [maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    done = subprocess.run(
        command, cwd=folder.parent, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
    )
    if done.returncode != 0:
        raise Absent(f"Cassandra cannot be fetched: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    (folder.parent / "complete").write_text(VERSION)
    return folder


def settings(folder: Path, port: int, storage_port: int, tls: TlsFiles | None = None) -> str:
    """A cassandra.yaml that is enough; every commit is on the disk before it is answered."""
    return f"""cluster_name: contrail-emulator
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: "{HOST}:{storage_port}"}}]
listen_address: {HOST}
rpc_address: {HOST}
native_transport_port: {port}
storage_port: {storage_port}
data_file_directories: [{folder}/data]
commitlog_directory: {folder}/commitlog
hints_directory: {folder}/hints
saved_caches_directory: {folder}/caches
cdc_raw_directory: {folder}/cdc
commitlog_sync: batch
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
key_cache_size: 8MiB
file_cache_size: 32MiB
concurrent_reads: 8
concurrent_writes: 8
native_transport_max_threads: 8
auto_snapshot: false
""" + ("" if tls is None else _encryption(folder, tls))


def _encryption(folder: Path, tls: TlsFiles) -> str:
    """TLS and nothing else on the native port, from PEM files."""
    both = folder / "server-and-key.pem"
    both.write_bytes(Path(tls.key).read_bytes() + Path(tls.certificate).read_bytes())
    return f"""client_encryption_options:
  enabled: true
  optional: false
  ssl_context_factory: {{class_name: org.apache.cassandra.security.PEMBasedSslContextFactory}}
  keystore: {both}
  truststore: {tls.ca}
"""


class Cassandra(Server):
    """A single node; with `tls` it speaks nothing else to clients."""

    def __init__(self, folder: Path, tls: TlsFiles | None = None) -> None:
        java = shutil.which("java")
        if java is None:
            raise Absent("Java is not installed")
        library = cache() / "lib"
        if not (library.parent / "complete").exists():
            raise Absent("Cassandra is not fetched: python -m contrail_emulator.config.testing.cassandra fetch")
        conf = folder / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        port = free_port()
        (conf / "cassandra.yaml").write_text(settings(folder, port, free_port(), tls))
        (conf / "logback.xml").write_text(LOGBACK)
        jamm = next(iter(sorted(library.glob("jamm-*.jar"))), None)
        if jamm is None:
            raise Absent(f"no jamm jar in {library}")
        command = [java, "-Xms384m", "-Xmx384m", "-XX:+UseSerialGC", f"-javaagent:{jamm}"]
        command += [f"--add-exports={name}=ALL-UNNAMED" for name in EXPORTS]
        command += [f"--add-opens={name}=ALL-UNNAMED" for name in OPENS]
        properties = {
            "jdk.attach.allowAttachSelf": "true",
            "cassandra-foreground": "yes",
            "cassandra.config": f"file://{conf}/cassandra.yaml",
            "cassandra.storagedir": str(folder),
            "cassandra.logdir": str(folder),
            "cassandra.ring_delay_ms": "100",
            "cassandra.skip_wait_for_gossip_to_settle": "0",
            "cassandra.initial_token": "0",
            "cassandra.superuser_setup_delay_ms": "0",
        }
        command += [f"-D{name}={value}" for name, value in properties.items()]
        command += ["-cp", f"{conf}:{library}/*", "org.apache.cassandra.service.CassandraDaemon"]
        super().__init__("Cassandra", command, folder, port, {})


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch"]:
        raise SystemExit("usage: python -m contrail_emulator.config.testing.cassandra fetch")
    try:
        print(fetch())
    except Absent as error:
        raise SystemExit(str(error)) from error
