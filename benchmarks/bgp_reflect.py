"""BGP route reflection, ours beside BIRD, FRR, GoBGP and OpenBGPD: one injector, N sinks, a daemon in between.

    python benchmarks/bgp_reflect.py [--prefixes 20000] [--sinks 1,10] [--families inet,inet-vpn] [--packed 10,1]
        [--daemons ours,BIRD,FRR,GoBGP,OpenBGPD] [--plot reflect.svg] [--profile FILE]

All are iBGP peers and clients of the daemon, a route reflector: next hops, AS paths and MEDs must then arrive as they
were sent, whatever the daemon, and none asks whether an external next hop is connected. The injector writes the same
prepared bytes to every daemon. Phases: announce all, change every second UPDATE, a sink that joins late, withdraw all.
At the end of each, every sink's table is compared with the expected one by a decoder of the benchmark's own, outside
the time measured: that ends with the last byte that reached a sink.

Printed per phase: prefixes per second of wall time that reached every sink; per second of the daemon's CPU time (user
and system, all its processes; more telling on a busy machine); the longest pause at a sink, the first wait included;
peak resident memory. `differs` means that a sink did not have the expected table within --timeout. The ratios at the
end compare ours with each, by wall time and by CPU time.
"""

from __future__ import annotations

import argparse
import select
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

import reflectors
from bgp_messages import END_OF_RIB, KEEPALIVE, Reader, Table, Workload, open_message
from bgp_plot import write_plot

QUIET = 0.5
"""Seconds without a delivery after which the sinks' tables are looked at."""


@dataclass(frozen=True, slots=True)
class Result:
    """One phase. Rates are prefixes per second; `pause` in seconds, `peak` in MiB."""

    daemon: str
    case: str
    phase: str
    wall_rate: float
    cpu_rate: float
    pause: float
    peak: float
    right: bool


class Client:
    """An iBGP speaker that knows one family. What it reads stays bytes until `check`."""

    def __init__(self, address: str, family: str) -> None:
        self.address = address
        self.family = family
        self.reader = Reader(family)
        self.chunks: list[bytes] = []
        self.pause = 0.0
        self.last = 0.0
        self._sock: socket.socket

    def connect(self, port: int, timeout: float = 20.0) -> socket.socket:
        """Until Established. RuntimeError when it takes too long."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            sock = socket.create_connection((reflectors.ADDRESS, port), timeout=5, source_address=(self.address, 0))
            try:
                sock.sendall(open_message(self.family, socket.inet_aton("10.9" + self.address[5:])))
                self._await(sock, 1)
                sock.sendall(KEEPALIVE)
                self._await(sock, 4)
            except (ConnectionError, TimeoutError):
                sock.close()
                time.sleep(0.2)
                continue
            sock.setblocking(False)
            self._sock = sock
            return sock
        raise RuntimeError(f"no session from {self.address}")

    @staticmethod
    def _await(sock: socket.socket, kind: int) -> None:
        head = sock.recv(19, socket.MSG_WAITALL)
        if len(head) < 19 or head[18] != kind:
            raise ConnectionError(f"message {head.hex()}")
        size = (head[16] << 8 | head[17]) - 19
        if size:
            sock.recv(size, socket.MSG_WAITALL)

    def begin(self, now: float) -> None:
        self.last, self.pause = now, 0.0

    def read(self, now: float) -> bool:
        """Take what there is. True when it was more than a keepalive or an End-of-RIB."""
        data = self._sock.recv(1 << 20)
        if not data:
            raise RuntimeError(f"the daemon closed the session with {self.address}")
        self.chunks.append(data)
        if len(data) <= END_OF_RIB:
            return False
        self.pause = max(self.pause, now - self.last)
        self.last = now
        return True

    def check(self, expected: Table) -> bool:
        """Read the bytes that came, compare."""
        chunks, self.chunks = self.chunks, []
        self.reader.update(b"".join(chunks))
        return self.reader.table == expected

    def close(self) -> None:
        self._sock.close()


class Bench:
    """One daemon and its clients."""

    def __init__(self, reflector: reflectors.Reflector, family: str, sinks: int, timeout: float) -> None:
        self.reflector = reflector
        self.timeout = timeout
        self.injector = Client(reflector.clients[0], family)
        self.late = Client(reflector.clients[1], family)
        self.sinks = [Client(address, family) for address in reflector.clients[2 : 2 + sinks]]
        self.opened: list[Client] = []
        self._poll = select.epoll()
        self._by_number: dict[int, Client] = {}

    def connect(self, client: Client) -> None:
        sock = client.connect(self.reflector.port)
        self._by_number[sock.fileno()] = client
        self._poll.register(sock.fileno(), select.EPOLLIN)
        self.opened.append(client)

    def settle(self) -> None:
        """Until nothing has come for a while."""
        while events := self._poll.poll(QUIET):
            for number, _ in events:
                self._by_number[number].read(0.0)

    def phase(self, data: bytes, expected: Table, watched: list[Client]) -> tuple[float, float, bool]:
        """Seconds until the last delivery, the daemon's CPU seconds, whether all `watched` have what they should."""
        cpu = self.reflector.cpu()
        start = time.monotonic()
        end = start + self.timeout
        for client in watched:
            client.begin(start)
        unsent = memoryview(data)
        sender = self.injector._sock.fileno()
        if unsent:
            self._poll.modify(sender, select.EPOLLIN | select.EPOLLOUT)
        last = time.monotonic()
        right = False
        while not right and time.monotonic() < end:
            for number, event in self._poll.poll(0.1):
                now = time.monotonic()
                if event & select.EPOLLOUT:
                    unsent = unsent[self.injector._sock.send(unsent[: 1 << 18]) :]
                    last = now
                    if not unsent:
                        self._poll.modify(sender, select.EPOLLIN)
                if event & ~select.EPOLLOUT and self._by_number[number].read(now):
                    last = now
            if not unsent and time.monotonic() - last > QUIET:
                right = all(client.check(expected) for client in watched)
                last = time.monotonic()
        spent = max(client.last for client in watched) - start
        return spent, self.reflector.cpu() - cpu, right

    def close(self) -> None:
        for client in self.opened:
            client.close()
        self._poll.close()
        self.reflector.stop()


def run(kind: type[reflectors.Reflector], workload: Workload, sinks: int, timeout: float) -> list[Result]:
    """All phases of one case with one daemon."""
    case = f"{workload.family}, {workload.packed} per UPDATE, {sinks} sink{'s' * (sinks > 1)}"
    clients = [f"127.0.2.{number + 1}" for number in range(sinks + 2)]
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="reflect-") as folder:
        Path(folder).chmod(0o755)
        bench = Bench(kind(Path(folder), workload.family, clients), workload.family, sinks, timeout)

        def phase(name: str, data: bytes, watched: list[Client]) -> None:
            count = workload.prefixes // 2 if name == "change half" else workload.prefixes
            spent, cpu, right = bench.phase(data, expected, watched)
            pause = max(client.pause for client in watched)
            rates = count / max(spent, 0.001), count / max(cpu, 0.01)
            results.append(Result(kind.name, case, name, *rates, pause, bench.reflector.peak(), right))

        try:
            bench.reflector.start()
            reflectors.wait_for_port(bench.reflector)
            for client in (bench.injector, *bench.sinks):
                bench.connect(client)
            bench.settle()
            data, expected = workload.announce()
            phase("announce", data, bench.sinks)
            data, changed = workload.announce(version=1, every=2)
            expected = {**expected, **changed}
            phase("change half", data, bench.sinks)
            bench.connect(bench.late)
            phase("late sink", b"", [bench.late])
            if workload.family == "inet" or kind.withdraws_vpn:
                expected = {}
                phase("withdraw all", workload.withdraw(), [*bench.sinks, bench.late])
        except RuntimeError as error:
            print(f"{kind.name}: {error}", file=sys.stderr)
        finally:
            bench.close()
    return results


HEAD = f"{'':14}{'prefixes/s':>12}{'per CPU s':>12}{'pause, s':>10}{'peak, MiB':>11}"


def show(results: list[Result]) -> None:
    for found in results:
        rates = f"{found.wall_rate:12,.0f}{found.cpu_rate:12,.0f}{found.pause:10.2f}{found.peak:11.0f}"
        print(f"  {found.daemon:9}{found.phase:13}"[:24].ljust(24) + rates + ("" if found.right else "  differs"))


def ratios(results: list[Result]) -> None:
    """Ours over each of the others: above 1 we are faster, or smaller."""
    ours = {(found.case, found.phase): found for found in results if found.daemon == "ours"}
    print("\nours / theirs: prefixes/s, per CPU s; theirs / ours: peak memory (announce)")
    for found in results:
        mine = ours.get((found.case, found.phase))
        if found.daemon != "ours" and mine is not None and found.phase == "announce" and found.right and mine.right:
            speed, cpu = mine.wall_rate / found.wall_rate, mine.cpu_rate / found.cpu_rate
            print(f"  {found.case:36}{found.daemon:10}{speed:8.2f}{cpu:8.2f}{found.peak / mine.peak:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefixes", type=int, default=20000)
    parser.add_argument("--sinks", default="1,10")
    parser.add_argument("--families", default="inet,inet-vpn")
    parser.add_argument("--packed", default="10,1")
    parser.add_argument("--daemons", default=",".join(kind.name for kind in reflectors.ALL))
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds per phase")
    parser.add_argument("--gobgpd", default="", help="another gobgpd than the first on the PATH")
    parser.add_argument("--plot", type=Path, help="an SVG file")
    parser.add_argument("--profile", type=Path, help="cProfile of our daemon (its last case)")
    options = parser.parse_args()
    if not 0 < options.prefixes <= 1 << 19:
        parser.error("between 1 and 524288 prefixes")
    reflectors.Ours.profile = options.profile.absolute() if options.profile else None
    reflectors.GoBgp.program = options.gobgpd or reflectors.GoBgp.program
    wanted = options.daemons.lower().split(",")
    kinds = [kind for kind in reflectors.ALL if kind.name.lower() in wanted]
    for kind in kinds:
        if (reason := kind.missing()) is not None:
            print(f"{kind.name} left out: {reason}")
    results: list[Result] = []
    for family in options.families.split(","):
        for packed in map(int, options.packed.split(",")):
            for sinks in map(int, options.sinks.split(",")):
                print(f"\n{options.prefixes} prefixes, {family}, {packed} per UPDATE, {sinks} sinks\n{' ' * 10}{HEAD}")
                for kind in kinds:
                    if kind.missing() is None:
                        found = run(kind, Workload(family, options.prefixes, packed), sinks, options.timeout)
                        show(found)
                        results += found
    ratios(results)
    if options.plot:
        announced = [found for found in results if found.phase == "announce"]
        bars = [(found.case, found.daemon, found.wall_rate) for found in announced]
        write_plot(options.plot, f"Reflection of {options.prefixes} prefixes: announced prefixes per second", bars)
    if not all(found.right for found in results if found.daemon == "ours"):
        raise SystemExit("ours: a sink has not what it should")


if __name__ == "__main__":
    main()
