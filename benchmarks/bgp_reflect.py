"""BGP route reflection, ours beside BIRD, FRR, GoBGP and OpenBGPD: one injector, N sinks, a daemon in between.

    python benchmarks/bgp_reflect.py [--prefixes 20000] [--sinks 1,10] [--families inet,inet-vpn] [--packed 10,1]
        [--daemons ours,compiled,BIRD,FRR,GoBGP,GoBGP 4.8,OpenBGPD] [--plot reflect.svg] [--profile FILE]

All are iBGP peers and clients of the daemon, a route reflector: next hops, AS paths and MEDs must then arrive as they
were sent, whatever the daemon, and none asks whether an external next hop is connected. The injector writes the same
prepared bytes to every daemon. Phases: announce all, change every second UPDATE, a sink that joins late, withdraw all.
At the end of each, every sink's table is compared with the expected one by a decoder of the benchmark's own, and so is
our daemon's own table; outside the time measured, which ends with the last byte that reached a sink.

Printed per phase: prefixes per second of wall time that reached every sink; CPU seconds of the daemon (user and system,
all its processes) and prefixes per second of these, more telling on a busy machine; the longest pause at a sink, the
first wait included; peak resident memory. The ratios at the end compare ours with each. A daemon that ends, or a table
that is not the expected one within --timeout, ends that case and fails the run.

`compiled` is ours with the hot cores compiled (`make fast`); `GoBGP` the installed one, `GoBGP 4.8` a newer one where
--gobgpd says, or where `go install` put it; how to build it is printed when it is not there.
"""

from __future__ import annotations

import argparse
import select
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

import reflectors
from bgp_client import Client, Streams
from bgp_messages import Table, Workload
from bgp_plot import Bar, write_plot

QUIET = 0.5
"""Seconds without a delivery after which the sinks' tables are looked at."""
AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class Result:
    """One phase. `seconds` to the last delivery and `cpu` of the daemon; `pause` in seconds, `peak` in MiB; `wrong`
    says who had not the expected table."""

    daemon: str
    case: str
    phase: str
    prefixes: int
    seconds: float
    cpu: float
    pause: float
    peak: float
    wrong: str

    @property
    def wall_rate(self) -> float:
        return self.prefixes / max(self.seconds, 0.001)

    @property
    def cpu_rate(self) -> float:
        return self.prefixes / max(self.cpu, 0.01)


class Bench:
    """One daemon and its clients."""

    def __init__(self, reflector: reflectors.Reflector, family: str, sinks: int, timeout: float) -> None:
        self.reflector = reflector
        self.timeout = timeout
        streams = Streams()
        self.injector, self.late, *self.sinks = (
            Client(address, family, streams) for address in reflector.clients[: 2 + sinks]
        )
        self.opened: list[Client] = []
        self._poll = select.epoll()
        self._by_number: dict[int, Client] = {}
        self._sender = 0

    def connect(self, client: Client) -> None:
        number = client.connect(self.reflector.port).fileno()
        if client is self.injector:
            self._sender = number
        self._by_number[number] = client
        self._poll.register(number, select.EPOLLIN)
        self.opened.append(client)

    def settle(self) -> None:
        """Until nothing has come for a while."""
        while events := self._poll.poll(QUIET):
            for number, _ in events:
                self._by_number[number].read(0.0)

    def phase(self, data: bytes, expected: Table, watched: list[Client]) -> tuple[float, float, float, str]:
        """Seconds until the last delivery, the daemon's CPU seconds, its peak memory in MiB, who is wrong."""
        cpu = self.reflector.cpu()
        start = time.monotonic()
        end = start + self.timeout
        for client in watched:
            client.begin(start)
        unsent = memoryview(data)
        if unsent:
            self._poll.modify(self._sender, select.EPOLLIN | select.EPOLLOUT)
        last = time.monotonic()
        wrong: list[Client] = watched
        while wrong and time.monotonic() < end:
            for number, event in self._poll.poll(0.1):
                now = time.monotonic()
                if event & select.EPOLLOUT:
                    unsent = unsent[self.injector.send(unsent[:AT_ONCE]) :]
                    last = now
                    if not unsent:
                        self._poll.modify(number, select.EPOLLIN)
                if event & ~select.EPOLLOUT and self._by_number[number].read(now):
                    last = now
            if not unsent and time.monotonic() - last > QUIET:
                while wrong and wrong[0].check(expected):
                    wrong = wrong[1:]
                last = time.monotonic()
        spent = max(client.last for client in watched) - start
        cpu = self.reflector.cpu() - cpu
        peak = self.reflector.peak()
        if wrong:
            return spent, cpu, peak, f"sinks from {wrong[0].address} on"
        own = self.reflector.own_table()
        return spent, cpu, peak, "its own table" if own is not None and own != expected else ""

    def close(self) -> None:
        for client in self.opened:
            client.close()
        self._poll.close()
        self.reflector.stop()


def run(kind: type[reflectors.Reflector], workload: Workload, sinks: int, timeout: float) -> list[Result]:
    """All phases of one case with one daemon, until one is wrong."""
    case = f"{workload.family}, {workload.packed} per UPDATE, {sinks} sink{'s' * (sinks > 1)}"
    clients = [f"127.0.2.{number + 1}" for number in range(sinks + 2)]
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="reflect-") as folder:
        Path(folder).chmod(0o755)
        bench = Bench(kind(Path(folder), workload.family, clients), workload.family, sinks, timeout)
        name = "start"

        def phase(data: bytes, watched: list[Client]) -> bool:
            count = workload.prefixes // 2 if name == "change half" else workload.prefixes
            spent, cpu, peak, wrong = bench.phase(data, expected, watched)
            pause = max(client.pause for client in watched)
            results.append(Result(kind.name, case, name, count, spent, cpu, pause, peak, wrong))
            return not wrong

        try:
            bench.reflector.start()
            reflectors.wait_for_port(bench.reflector)
            for client in (bench.injector, *bench.sinks):
                bench.connect(client)
            bench.settle()
            name = "announce"
            data, expected = workload.announce()
            if not phase(data, bench.sinks):
                return results
            name = "change half"
            data, changed = workload.announce(version=1, every=2)
            expected = {**expected, **changed}
            if not phase(data, bench.sinks):
                return results
            name = "late sink"
            bench.connect(bench.late)
            if not phase(b"", [bench.late]):
                return results
            if workload.family == "inet" or kind.withdraws_vpn:
                name, expected = "withdraw all", {}
                phase(workload.withdraw(), [*bench.sinks, bench.late])
        except (RuntimeError, OSError) as error:
            print(f"{kind.name}: {error}", file=sys.stderr)
            results.append(Result(kind.name, case, name, 0, 0.0, 0.0, 0.0, 0.0, str(error).splitlines()[0]))
        finally:
            bench.close()
    return results


HEAD = f"{'':24}{'prefixes/s':>12}{'CPU, s':>9}{'per CPU s':>12}{'pause, s':>10}{'peak, MiB':>11}"


def show(results: list[Result]) -> None:
    for found in results:
        rates = f"{found.wall_rate:12,.0f}{found.cpu:9.2f}{found.cpu_rate:12,.0f}{found.pause:10.2f}{found.peak:11.0f}"
        wrong = f"  wrong: {found.wrong}" if found.wrong else ""
        print(f"  {found.daemon:10}{found.phase:12}" + rates + wrong, flush=True)


def ratios(results: list[Result], ours: str) -> None:
    """Ours over each of the others: above 1 we are faster, or smaller."""
    mine = {(found.case, found.phase): found for found in results if found.daemon == ours}
    names = {kind.name for kind in reflectors.ALL if issubclass(kind, reflectors.Ours)}
    others = [found for found in results if found.daemon not in names and found.phase == "announce"]
    if not mine or not others:
        return
    print(f"\n{ours} / theirs: prefixes/s, per CPU s; theirs / {ours}: peak memory (announce)")
    for found in others:
        own = mine.get((found.case, found.phase))
        if own is not None and not found.wrong and not own.wrong:
            speed, cpu = own.wall_rate / found.wall_rate, own.cpu_rate / found.cpu_rate
            print(f"  {found.case:36}{found.daemon:10}{speed:8.2f}{cpu:8.2f}{found.peak / own.peak:8.2f}")


def plot(path: Path, prefixes: int, results: list[Result]) -> None:
    """The announce phase, in three panels."""
    announced = [found for found in results if found.phase == "announce" and not found.wrong]
    panels: list[tuple[str, list[Bar]]] = [
        ("prefixes per second", [(found.case, found.daemon, found.wall_rate) for found in announced]),
        ("prefixes per CPU second", [(found.case, found.daemon, found.cpu_rate) for found in announced]),
        ("peak memory, MiB", [(found.case, found.daemon, found.peak) for found in announced]),
    ]
    write_plot(path, f"Route reflection: {prefixes:,} prefixes announced", panels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefixes", type=int, default=20000)
    parser.add_argument("--sinks", default="1,10")
    parser.add_argument("--families", default="inet,inet-vpn")
    parser.add_argument("--packed", default="10,1")
    parser.add_argument("--daemons", default=",".join(kind.name for kind in reflectors.ALL))
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds per phase")
    parser.add_argument("--gobgpd", default="", help="the newer gobgpd")
    parser.add_argument("--fast", default="", help="the Python that has our compiled package")
    parser.add_argument("--plot", type=Path, help="an SVG file")
    parser.add_argument("--profile", type=Path, help="cProfile of our daemon (its last case)")
    options = parser.parse_args()
    if not 0 < options.prefixes <= 1 << 19:
        parser.error("between 1 and 524288 prefixes")
    reflectors.Ours.profile = options.profile.absolute() if options.profile else None
    reflectors.NewGoBgp.program = options.gobgpd or reflectors.NewGoBgp.program
    reflectors.OursCompiled.python = options.fast or reflectors.OursCompiled.python
    wanted = options.daemons.lower().split(",")
    if unknown := set(wanted) - {kind.name.lower() for kind in reflectors.ALL}:
        parser.error(f"no daemon {', '.join(sorted(unknown))}")
    kinds = [kind for kind in reflectors.ALL if kind.name.lower() in wanted]
    for kind in kinds:
        if (reason := kind.missing()) is not None:
            print(f"{kind.name} left out: {reason}")
    kinds = [kind for kind in kinds if kind.missing() is None]
    results: list[Result] = []
    for family in options.families.split(","):
        for packed in map(int, options.packed.split(",")):
            for sinks in map(int, options.sinks.split(",")):
                print(f"\n{options.prefixes} prefixes, {family}, {packed} per UPDATE, {sinks} sinks\n{HEAD}")
                for kind in kinds:
                    found = run(kind, Workload(family, options.prefixes, packed), sinks, options.timeout)
                    show(found)
                    results += found
    for name in (reflectors.Ours.name, reflectors.OursCompiled.name):
        ratios(results, name)
    if options.plot:
        plot(options.plot, options.prefixes, results)
    if wrong := [found for found in results if found.wrong]:
        raise SystemExit("\n".join(f"{found.daemon}, {found.case}, {found.phase}: {found.wrong}" for found in wrong))


if __name__ == "__main__":
    main()
