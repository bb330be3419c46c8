# SPDX-License-Identifier: Apache-2.0
"""vswitchd beside its peers, frames per second to latency, in one run: `./dev bench`.

Every switch has ports of its own, made alike; they are measured in turn, round by round, so what else the machine does befalls all of
them. docs/benchmarks.md says what each row means, `GOALS` what must be reached.
"""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import platform
import re
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

import report  # noqa: E402
import switches  # noqa: E402
from lab import ROOT, wait_until  # noqa: E402
from net import frame, in_namespace, run  # noqa: E402
from openvswitch import OVS_VSWITCHD, OVSDB_SERVER, client  # noqa: E402
from report import OURS, Goal  # noqa: E402
from wires import LOAD_CORE, SWITCH_CORE, TOOLS, Wires, Work, count_of, finish, pairs, plural  # noqa: E402

OVS, OVS_TSO = switches.OpenVswitch.name, switches.OpenVswitchTso.name
BRIDGE, TRIVIAL = switches.Bridge.name, switches.Trivial.name
DPDK = switches.Testpmd.name
SPINNING, BOTH, XDP_COPIES = switches.VswitchdSpinning.name, switches.VswitchdBoth.name, switches.VswitchdXdpCopies.name
WHOLE_COPIES = switches.VswitchdWholeCopies.name
USER_SPACE, AT_ONCE = switches.VswitchdUserSpace.name, switches.VswitchdAtOnce.name
PORTS = [f"p{number}" for number in range(8)] + [f"m{number}" for number in range(8)]
MARK = 0x88B5  # EtherType of the frame behind the last one
SO_TIMESTAMPNS = 35
LONGEST_RUN_S = 3 * 3600
AUTOGROUP_NICE = -15

SECTIONS = {
    "rates": "Frames per second, no mirror, as many as can be sent (processor, all processors: ns a forwarded frame)",
    "copies": "Copies delivered of frames offered, one SPAN session, 64 bytes, at fixed rates and as many as can be sent",
    "mirrors": "The same while SPAN sessions copy every frame, each to a port of its own",
    "encapsulated": "The same while an ERSPAN session copies every frame",
    "tcp": "TCP goodput, default offloads, nothing pinned",
    "latency": "UDP round trips, one at a time, halved; a host on each core",
    "loss": "Loss at fixed rates, 64 bytes",
    "gathering": "Without the fast path: frames gather under load or are handled at once, 64 bytes",
    "flows": "Flows that the kernel carries",
    "growth": "Growth",
}


THOUSAND = Work(addresses=1000)
COPY_RATES = {f"{rate:,} frames/s": rate for rate in (100_000, 200_000, 300_000, 400_000)} | {"as many as can be sent": 0}
GATHER_RATES = [f"{rate:,} frames/s" for rate in (100_000, 300_000)]
TCP_ROWS: dict[str, tuple[int, str, bool]] = {
    f"{plural(streams, 'stream')} {way}{with_session}": (streams, way, bool(with_session))
    for with_session in ("", ", 1 session") for streams in (1, 8) for way in ("there", "back")}
ERSPAN, ERSPAN_SLOW = "64 bytes, 1 session", "64 bytes, 1 session at 100,000 frames/s"
TWO_CORES = "2 senders on 2 cores, 2 pairs of ports, 64 bytes"
MANY_FLOWS, FLOWS = "10,000 flows", 10_000


def addresses(count: int) -> str:
    return f"{count:,} addresses on either side"


def point(row: str, metric: str, side: str = OURS, section: str = "rates") -> tuple[str, str, str, str]:
    return (section, row, metric, side)


def goals() -> list[Any]:
    """What must be reached, as far as figures of one run decide it."""
    small = Work().name
    mirrored = "64 bytes, 1 session"
    workers = "2 workers, 2 pairs of ports, 64 bytes"
    every = "all processors"

    def rate(side: Any) -> Any:
        return point(small, "frames/s", side)

    def mirror(metric: str, side: Any = OURS, row: Any = mirrored) -> Any:
        return point(row, metric, side, "mirrors")

    def latency(metric: str, side: Any = OURS, row: str = "no session") -> Any:
        return point(row, metric, side, "latency")

    def tcp(side: Any, row: str = "1 stream there") -> Any:
        return point(row, "Mbit/s", side, "tcp")

    def copies(side: Any, row: str = "1 session at 50 %", section: str = "loss") -> Any:
        return point(row, "copies delivered", side, section)

    def bridge(text: str, at_least: bool, limit: float, row: str, metric: str, section: str) -> Goal:
        return Goal(text, at_least, limit, point(row, metric, OURS, section), point(row, metric, BRIDGE, section))

    def growth(row: str, metric: str = "processor") -> Any:
        return point(row, metric, section="growth")

    def encapsulated(row: str, metric: str) -> Any:
        return point(row, metric, section="encapsulated")

    in_the_kernel = [
        *(bridge(f"copies delivered of offered, one session, {row}, against the Linux bridge with mirred", True, 1, row, "copies delivered",
                 "copies") for row in COPY_RATES),
        bridge("processor time of all per 64-byte frame, one flow, against the bridge", False, 0.85, small, every, "rates"),
        bridge("the same with 1,000 addresses", False, 0.6, THOUSAND.name, every, "rates"),
        bridge("the same with one session, against bridge and mirred", False, 1, mirrored, every, "mirrors"),
        bridge("the same with eight sessions", False, 1.3, "64 bytes, 8 sessions", every, "mirrors"),
        *(bridge(f"TCP goodput, {row}, against the bridge{' and mirred' if 'session' in row else ''}", True, 0.95, row, "Mbit/s", "tcp")
          for row in TCP_ROWS),
        *(Goal(f"TCP goodput, {row}, GSO packets kept as they are there, against the bridge and mirred", True, 0.95, tcp(WHOLE_COPIES, row),
               tcp(BRIDGE, row)) for row in TCP_ROWS if "session" in row),
        bridge("p50 latency against the bridge", False, 1, "no session", "p50 us", "latency"),
        bridge("p99 latency against the bridge", False, 1.2, "no session", "p99 us", "latency"),
        bridge("two pairs of ports with senders on two cores, against the bridge", True, 1.1, TWO_CORES, "frames/s", "growth"),
        Goal("production while one ERSPAN session copies every frame, against no session", True, 0.9,
             encapsulated(ERSPAN, "production/s"), encapsulated("64 bytes, no session", "production/s")),
        Goal("copies of the ERSPAN session delivered, at 100,000 frames/s", True, 1, encapsulated(ERSPAN_SLOW, "copies delivered")),
        Goal("processor time of all per frame, 65,536 addresses against 100", False, 1.1, growth(addresses(65_536), every),
             growth(addresses(100), every)),
        Goal("a change of settings while the kernel carries 10,000 flows, ms", False, 50, point(MANY_FLOWS, "change ms", section="flows")),
    ]
    without_bpf = [
        Goal("copies delivered at half of capacity, one core for all", True, 1, copies(USER_SPACE)),
        Goal("copies delivered at half of capacity, mirror thread on either core", True, 1, copies(BOTH)),
        Goal("copies delivered at half of capacity, one core, xdp-copies asked for", True, 1, copies(XDP_COPIES)),
        Goal("processor time per frame at 100,000 frames/s, frames gather against at once", False, 0.5,
             point(GATHER_RATES[0], "processor", USER_SPACE, "gathering"), point(GATHER_RATES[0], "processor", AT_ONCE, "gathering")),
        Goal("p50 latency, nothing else under way, frames gather against at once", False, 1.03, latency("p50 us", USER_SPACE),
             latency("p50 us", AT_ONCE)),
        Goal("64-byte frames per second against the trivial forwarder", True, 0.9, rate(USER_SPACE), rate(TRIVIAL)),
        Goal("p50 latency against Open vSwitch, spinning asked for", False, 0.4, latency("p50 us", SPINNING), latency("p50 us", OVS)),
        Goal("two workers on two pairs of ports against one, processors free", True, 1.7, growth(workers, "frames/s"),
             growth(workers.replace("2 workers", "1 worker"), "frames/s")),
    ]
    return [
        *in_the_kernel,
        *(dataclasses.replace(goal, text=f"no BPF: {goal.text}") for goal in without_bpf),
        Goal("64-byte frames per second, no mirror, against Open vSwitch userspace", True, 2.5, rate(OURS), rate(OVS)),
        Goal("the same against testpmd net_af_packet", True, 1.8, rate(OURS), rate(DPDK)),
        Goal("processor time of all per frame against Open vSwitch userspace", False, 0.45, point(small, every), point(small, every, OVS)),
        Goal("64-byte production while one SPAN session copies every frame, against without", True, 0.95, mirror("production/s"),
             mirror("production/s", row="64 bytes, 0 sessions")),
        Goal("production plus copies delivered, against Open vSwitch with the same mirror", True, 1.7, mirror("together/s"),
             mirror("together/s", OVS)),
        Goal("TCP goodput, default offloads, against Open vSwitch with userspace-tso-enable", True, 1.2, tcp(OURS), tcp(OVS_TSO)),
        Goal("p50 latency against Open vSwitch", False, 0.4, latency("p50 us"), latency("p50 us", OVS)),
        Goal("p50 latency with one session on against off", False, 1.03, latency("p50 us", row="1 session"), latency("p50 us")),
        Goal("p99 latency with one session on against off", False, 1.03, latency("p99 us", row="1 session"), latency("p99 us")),
        *(Goal(f"cost per frame with 4,000 sessions that do not select it ({where}), against none", False, 1.05,
               growth(f"4,000 sessions on {where}", every), growth("no session", every))
          for where in ("another port", "the port, another VLAN", "the port, other filters")),
    ]


def is_asked_for(name: str, asked: Any) -> bool:
    return not asked or any(words in name for words in asked)


class Bench:
    def __init__(self, directory: pathlib.Path, options: Any) -> None:
        self.directory = pathlib.Path(directory)
        self.options = options
        self.results = report.Results()
        self.failures: list[Any] = []
        self.turn = 0  # the round
        self.numbers = itertools.count()

    # ---- what every section does

    def wanted(self, section: str, names: Any) -> list[Any]:
        """Those of the names that --only asks for."""
        only = self.options.only
        return [name for name in names if not only or any(words in f"{section}: {name}" for words in only)]

    def kinds(self, *kinds: Any) -> list[Any]:
        """Those of the switches that --sides asks for."""
        return [kind for kind in kinds if is_asked_for(kind.name, self.options.sides)]

    @contextlib.contextmanager
    def sides(self, kinds: Any, ports: Any, core: int | None = SWITCH_CORE, **settings: Any) -> Iterator[Any]:
        with contextlib.ExitStack() as stack:
            made = []
            for kind in kinds:
                made.append(kind(self.directory / f"side{next(self.numbers)}", ports, **settings))
                stack.callback(made[-1].close)
                made[-1].begin(ports, core)
            yield made

    def rounds(self, sides: Any, measure: Any) -> None:
        """Asks every switch in each round; who is first takes turns. measure(side) notes what it finds. A switch that fails (its counts
        do not agree, it does not forward) has no figure for this round, and the report says so."""
        for self.turn in range(self.options.rounds):
            for at in range(len(sides)):
                side = sides[(at + self.turn) % len(sides)]
                try:
                    measure(side)
                except (AssertionError, OSError, subprocess.TimeoutExpired) as failure:
                    self.failures.append(f"{side.name}: {failure}")
                    print(f"failed: {self.failures[-1]}", file=sys.stderr)

    def note(self, section: str, name: str, side: Any, more_is_better: bool = True, **metrics: Any) -> None:
        for metric, value in metrics.items():
            if value is not None:
                self.results.add(section, name, METRICS.get(metric, metric), side.name, self.turn, value, more_is_better)
        if self.options.verbose:
            figures = ", ".join(f"{METRICS.get(metric, metric)} {report.number_text(value)}" for metric, value in metrics.items()
                                if value is not None)
            print(f"  {name}, {side.name}: {figures}", file=sys.stderr)

    def offer(self, section: str, name: str, side: Any, work: Work, note: bool = True) -> Any:
        sample = side.offer(work, self.options.seconds)
        if note:
            self.note(section, name, side, frames=sample.forwarded)
            self.note(section, name, side, more_is_better=False, processor=sample.cpu_ns, everybody=sample.all_ns)
        return sample

    # ---- sections

    def rates(self) -> None:
        works = {work.name: work for work in self.works()}
        names = self.wanted("rates", works)
        kinds = self.kinds(switches.Vswitchd, switches.VswitchdUserSpace, switches.Trivial, switches.OpenVswitch, switches.Bridge,
                           switches.Redirect, switches.Testpmd, switches.TestpmdXdp)
        if not names:
            return
        with self.sides(kinds, PORTS) as sides:
            for name in names:
                def measure(side: Any) -> None:
                    sample = self.offer("rates", name, side, works[name])
                    self.note("rates", name, side, offered=sample.offered)
                self.rounds(sides, measure)

    def works(self) -> list[Any]:
        """Each thing alone."""
        return [*(Work(length) for length in ("64", "512", "1514", "mix")), Work(flows=1000), THOUSAND, Work(pairs=4)]

    def copies(self) -> None:
        names = self.wanted("copies", COPY_RATES)
        if not names:
            return
        with self.sides(self.kinds(switches.Vswitchd, switches.VswitchdUserSpace, switches.Bridge), PORTS) as sides:
            for side in sides:
                side.mirror(1)
            for name in names:
                self.rounds(sides, lambda side: self.fixed_rate("copies", name, side, Work(rate=COPY_RATES[name], in_eights=True)))

    def fixed_rate(self, section: str, name: str, side: Any, work: Work) -> None:
        """What is lost. No figure if the sender did not reach the rate, as where others have their share of the processors."""
        sample = self.offer(section, name, side, work, note=False)
        reached = sample.offered >= 0.9 * work.rate
        assert reached or self.options.polite, f"{side.name}, {name}: only {sample.offered:.0f} frames/s could be sent"
        self.note(section, name, side, offered=sample.offered)
        self.note(section, name, side, more_is_better=False, loss=100 * sample.loss, processor=sample.cpu_ns, everybody=sample.all_ns)
        if side.sessions:
            self.note(section, name, side, delivered=sample.copied / sample.sent)

    def mirrors(self) -> None:
        points = {f"{length} bytes, {plural(count, 'session')}": (length, count)
                  for length in (("64",) if self.options.quick else ("64", "1514")) for count in (0, 1, 8)}
        names = self.wanted("mirrors", points)
        if not names:
            return
        kinds = self.kinds(switches.Vswitchd, switches.VswitchdXdpCopies, switches.Trivial, switches.OpenVswitch, switches.Bridge)
        with self.sides(kinds, PORTS) as sides:
            def measure(side: Any) -> None:
                for name in names:  # one behind the other, for their ratios
                    length, count = points[name]
                    side.mirror(count)
                    self.mirrored("mirrors", name, side, Work(length))
            self.rounds(sides, measure)

    def mirrored(self, section: str, name: str, side: Any, work: Work) -> None:
        sample = self.offer(section, name, side, work, note=False)
        self.note(section, name, side, production=sample.forwarded)
        if side.sessions:
            self.note(section, name, side, copies=sample.copies, together=sample.forwarded + sample.copies)
        self.note(section, name, side, more_is_better=False, processor=sample.cpu_ns, everybody=sample.all_ns)

    def encapsulated(self) -> None:
        names = self.wanted("encapsulated", ["64 bytes, no session", ERSPAN, ERSPAN_SLOW])
        if not names:
            return
        with self.sides(self.kinds(switches.Vswitchd, switches.VswitchdUserSpace), PORTS) as sides:
            def measure(side: Any) -> None:
                for name in names:
                    side.mirror_to_address(0 if name.endswith("no session") else 1)
                    if name == ERSPAN_SLOW:
                        self.fixed_rate("encapsulated", name, side, Work(rate=100_000))
                    else:
                        self.mirrored("encapsulated", name, side, Work())
            self.rounds(sides, measure)

    def tcp(self) -> None:
        names = self.wanted("tcp", TCP_ROWS)
        if not names:
            return
        kinds = self.kinds(switches.VswitchdFree, switches.VswitchdWholeCopies, switches.VswitchdUserSpaceFree, switches.TrivialOffload,
                           switches.OpenVswitch, switches.OpenVswitchTso, switches.Bridge)
        with self.sides(kinds, ["h0", "h1", "m0"], core=None) as sides:
            for side in sides:
                side.wires.spawn("h1", "iperf3", "--server", "--forceflush", core=None, stdout=subprocess.DEVNULL)
                wait_until(lambda: self.listens(side.wires.hosts["h1"]), "iperf3 listens")
            for name in names:
                streams, way, with_session = TCP_ROWS[name]
                asked = [side for side in sides if (isinstance(side, (switches.Vswitchd, switches.Bridge)) if with_session else
                                                    not isinstance(side, switches.VswitchdWholeCopies))]
                for side in asked if with_session else ():
                    side.mirror(1, source="h0")
                self.rounds(asked, lambda side: self.stream(name, side, streams, way))

    def stream(self, name: str, side: Any, streams: int, way: str) -> None:
        """A GSO packet counts as one frame, and its segments, where the copies are segments, as one copy each."""
        copies, frames = side.wires.behind.received(), side.wires.at_switch.received()
        goodput = self.goodput(side, streams, way)
        copied = count_of(["m0e"], copies, side.wires.settle())
        arrived = count_of(["h0", "h1"], frames, side.wires.at_switch.received())
        if side.sessions:
            assert copied > 0.01 * arrived, f"{side.name}: {copied} copies of {arrived} frames"
            self.note("tcp", name, side, delivered=min(copied / arrived, 1))
        self.note("tcp", name, side, goodput=goodput)

    @staticmethod
    def listens(host: str) -> bool:
        """Whether somebody does at iperf3's port, 5201."""
        return f":{5201:04X} " in run("ip", "netns", "exec", host, "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout

    def goodput(self, side: Any, streams: Any, way: Any) -> Any:
        """Mbit/s; 0 when no connection comes about."""
        args = ["iperf3", "--client", Wires.address("h1"), "--json", "--time", str(max(1, round(self.options.seconds))),
                "--parallel", str(streams), "--connect-timeout", "2000", *(["--reverse"] if way == "back" else [])]
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = run("ip", "netns", "exec", side.wires.hosts["h0"], *args, check=False, timeout=self.options.seconds + 15)
            with contextlib.suppress(ValueError, KeyError):
                return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6
        return 0

    def latency(self) -> None:
        names = self.wanted("latency", ["no session", "1 session"])
        if not names:
            return
        kinds = self.kinds(switches.Vswitchd, switches.VswitchdUserSpace, switches.VswitchdAtOnce, switches.VswitchdSpinning,
                           switches.Trivial, switches.OpenVswitch, switches.Bridge)
        with self.sides(kinds, ["h0", "h1", "m0"]) as sides:
            for side in sides:
                server = side.wires.spawn("h1", TOOLS / "bench_pingpong", "server", Wires.address("h1"), 7, core=SWITCH_CORE,
                                          stdout=subprocess.PIPE)
                assert server.stdout.readline() == "ready\n"

            def measure(side: Any) -> None:
                for name in names:
                    side.mirror(1 if name == "1 session" else 0, source="h0")
                    self.ping_pong(name, side)
            self.rounds(sides, measure)

    def ping_pong(self, name: str, side: Any) -> None:
        done = finish(side.wires.spawn("h0", TOOLS / "bench_pingpong", "client", Wires.address("h1"), 7, self.options.seconds, LOAD_CORE,
                                       stdout=subprocess.PIPE))
        assert done["count"] > 0, f"{side.name}: no answers, {done}"
        self.note("latency", name, side, more_is_better=False, p50=done["p50"], p99=done["p99"], p999=done["p999"], lost=done["lost"])

    def loss(self) -> None:
        rates = {f"no session at {percent} %": (0, percent) for percent in (25, 50, 75)}
        rates |= {f"1 session at {percent} %": (1, percent) for percent in (25, 50)}
        names = self.wanted("loss", rates)
        if not names:
            return
        kinds = self.kinds(switches.Vswitchd, switches.VswitchdUserSpace, switches.VswitchdXdpCopies, switches.VswitchdBoth,
                           switches.Trivial, switches.OpenVswitch, switches.Bridge)
        with self.sides(kinds, PORTS) as sides:
            capacity = {}
            for side in sides:
                found = [side.offer(Work(), self.options.seconds).forwarded for _ in range(min(3, self.options.rounds))]
                capacity[side.name] = statistics.median(found)
                self.note("loss", "capacity: forwarded when more is offered, no session", side, frames=capacity[side.name])

            def measure(side: Any) -> None:
                for name in names:
                    sessions, percent = rates[name]
                    side.mirror(sessions)
                    self.lost(name, side, Work(rate=int(capacity[side.name] * percent / 100)))
            self.rounds(sides, measure)

    def lost(self, name: str, side: Any, work: Work) -> None:
        sample = side.offer(work, self.options.seconds)
        self.note("loss", name, side, more_is_better=False, loss=100 * sample.loss)
        if side.sessions:
            self.note("loss", name, side, delivered=sample.copied / sample.sent)

    def gathering(self) -> None:
        names = self.wanted("gathering", GATHER_RATES)
        if not names:
            return
        with self.sides(self.kinds(switches.VswitchdUserSpace, switches.VswitchdShorter, switches.VswitchdAtOnce), PORTS) as sides:
            for name in names:
                rate = int(name.split()[0].replace(",", ""))
                self.rounds(sides, lambda side: self.fixed_rate("gathering", name, side, Work(rate=rate)))

    def flows(self) -> None:
        """How long it takes until the kernel knows many flows, and how long a change of settings takes while it carries them."""
        counts = {"1 flow": 1, MANY_FLOWS: FLOWS}
        names = self.wanted("flows", counts)
        kinds = self.kinds(switches.Vswitchd)
        if not names or not kinds:
            return
        with self.sides(kinds, PORTS, mac_table_size=2 * FLOWS + 1000) as [side]:
            def measure(side: Any) -> None:
                for name in names:
                    installed, changed = side.change_while_carried(counts[name])
                    self.note("flows", name, side, more_is_better=False, installed=1000 * installed, change=1000 * changed)
            self.rounds([side], measure)

    # ---- growth

    def growth(self) -> None:
        self.growth_of_sessions()
        self.growth_of_ports()
        self.growth_of_addresses()
        self.growth_of_cores()
        self.growth_of_workers()

    def growth_of_sessions(self) -> None:
        """Sessions that do not select the frame: on another port, on its port in another VLAN, or with filters that do not match."""
        counts = (1, 100, 4000)
        mirrors: dict[str, list[tuple[Any, ...]]] = {"no session": []}
        mirrors |= {f"{plural(count, 'session')} on another port": [("p2", f"m{n % 8}", None) for n in range(count)] for count in counts}
        mirrors |= {f"{plural(count, 'session')} on the port, another VLAN": [("p0", f"m{n % 8}", 2 + n % 4000) for n in range(count)]
                    for count in counts}
        mirrors |= {f"{plural(count, 'session')} on the port, other filters":
                    [("p0", f"m{n % 8}", None, f"tcp,tp_dst={1 + n}") for n in range(count)]
                    for count in counts}
        names = self.wanted("growth", mirrors)
        if not names:
            return
        with self.sides(self.kinds(switches.Vswitchd), PORTS) as sides:
            def measure(side: Any) -> None:
                for name in names:
                    side.set_mirrors(mirrors[name])
                    self.offer("growth", name, side, Work())
            self.rounds(sides, measure)

    def growth_of_ports(self) -> None:
        for count in (4, 64) if self.options.quick else (4, 64, 512):
            names = self.wanted("growth", [plural(count, "port")])
            if not names:
                continue
            kinds = self.kinds(switches.Vswitchd, switches.OpenVswitch, switches.Bridge)
            with self.sides(kinds, [f"p{number}" for number in range(count)]) as sides:
                self.rounds(sides, lambda side: self.offer("growth", names[0], side, Work()))
                for side in sides:
                    if side.has_process:
                        self.note("growth", names[0], side, more_is_better=False, memory=side.rss_mib())

    def growth_of_addresses(self) -> None:
        for count in (100, 65_536) if self.options.quick else (100, 1_000, 10_000, 65_536):
            names = self.wanted("growth", [addresses(count)])
            if not names:
                continue
            kinds = self.kinds(switches.Vswitchd, switches.OpenVswitch, switches.Bridge)
            with self.sides(kinds, PORTS[:2], mac_table_size=2 * count + 1000) as sides:
                self.rounds(sides, lambda side: self.offer("growth", names[0], side, Work(addresses=count)))

    def growth_of_cores(self) -> None:
        """Both cores send, and the switch may use both."""
        names = self.wanted("growth", [TWO_CORES])
        if not names:
            return
        with self.sides(self.kinds(switches.VswitchdFree, switches.VswitchdUserSpaceFree, switches.Bridge), PORTS[:4], core=None) as sides:
            self.rounds(sides, lambda side: self.offer("growth", names[0], side, Work(pairs=2, spread=True)))

    def growth_of_workers(self) -> None:
        """Full receive rings are emptied by one and by two workers. Nothing is sent meanwhile, so the processors are free."""
        kinds = {"1 worker": switches.VswitchdOneWorker, "2 workers": switches.VswitchdTwoWorkers}
        names = {f"{workers}, 2 pairs of ports, 64 bytes": kind for workers, kind in kinds.items()}
        wanted = self.wanted("growth", names)
        if not wanted or not self.kinds(switches.Vswitchd):
            return
        with self.sides([names[name] for name in wanted], PORTS[:8], core=None) as sides:
            drains = {side: Drain(side) for side in sides}

            def measure(side: Any) -> None:
                drained = drains[side].frames_per_second()
                self.results.add("growth", wanted[sides.index(side)], "frames/s", OURS, self.turn, drained)
            self.rounds(sides, measure)


METRICS = {"frames": "frames/s", "processor": "processor", "offered": "offered/s", "production": "production/s", "copies": "copies/s",
           "everybody": "all processors", "installed": "ms until all are known", "change": "change ms", "together": "together/s",
           "goodput": "Mbit/s", "p50": "p50 us", "p99": "p99 us", "p999": "p99.9 us", "lost": "lost",
           "loss": "% lost", "delivered": "copies delivered", "memory": "MiB resident"}


class Drain:
    """How fast a switch empties the receive rings of two ports that belong to different workers, if there are two.

    It is stopped while frames are put into the rings, with a marked one at the end of each; the time from SIGCONT until the later mark
    is behind the switch counts.
    """
    FRAMES = 8000  # a ring holds 8,192: receive-ring-kib
    TIMES = 15

    def __init__(self, side: Any) -> None:
        self.side = side
        self.wires = side.wires
        self.wires.prime(Work(pairs=4))
        self.streams = self.choose(pairs(4))
        self.markers = [self.open(port, 0) for port, *_ in self.streams]
        self.receivers = [self.open(to, MARK) for _, to, *_ in self.streams]
        for receiver, (_, _, source, destination) in zip(self.receivers, self.streams):
            receiver.send(frame(destination.to_bytes(6, "big"), source.to_bytes(6, "big")))  # so that nothing is flooded

    def choose(self, candidates: Any) -> list[Any]:
        """Two pairs of ports whose senders belong to as many workers as there are; the second may have its ends changed for that."""
        text = client(self.side.rundir, "ovs-appctl", "worker/show").stdout
        workers = {port: number for number, line in enumerate(re.findall(r"ports:(.*)", text)) for port in line.split()}
        first = candidates[0]
        others = [*candidates[1:], *((to, port, destination, source) for port, to, source, destination in candidates[1:])]
        return [first, next((pair for pair in others if workers[pair[0]] != workers[first[0]]), others[0])]

    def open(self, port: Any, protocol: int) -> Any:
        def make() -> Any:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            sock.bind((f"{port}e", protocol))
            return sock
        sock = in_namespace(self.wires.ends, make)
        self.wires.net.closing.callback(sock.close)
        return sock

    def frames_per_second(self) -> Any:
        found = []
        for _ in range(3 * self.TIMES):  # a mark is lost when the kernel's queue behind the switch overflows
            one = self.once()
            found += [one] if one else []
            if len(found) == self.TIMES:
                return statistics.median(found)
        raise AssertionError("the marks do not come through")

    def once(self) -> Any:
        """None when a mark was lost."""
        [process] = self.side.processes
        process.send_signal(signal.SIGSTOP)
        try:
            load = self.wires.load([(port, source, destination) for port, _, source, destination in self.streams], 1, count=self.FRAMES)
            assert finish(load)["refused"] == 0
            for marker, (_, _, source, destination) in zip(self.markers, self.streams):
                marker.send(frame(source.to_bytes(6, "big"), destination.to_bytes(6, "big"), bytes(46), ether_type=MARK))
        finally:
            begin = time.time_ns()
            process.send_signal(signal.SIGCONT)
        arrivals = [self.arrival(receiver) for receiver in self.receivers]
        return None if None in arrivals else (self.FRAMES + 1) * len(self.streams) / ((max(arrivals) - begin) / 1e9)

    @staticmethod
    def arrival(receiver: Any) -> Any:
        """When the mark came, in nanoseconds of the wall clock."""
        if not select.select([receiver], [], [], 0.5)[0]:
            return None
        _, [(_, _, stamp)], _, _ = receiver.recvmsg(64, 128)
        seconds, nanoseconds = struct.unpack("qq", stamp)
        return seconds * 1_000_000_000 + nanoseconds


# ---- the run

def machine() -> dict[Any, Any]:
    """What the figures depend on beside the programs."""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"processors": os.cpu_count(), "model": model.group(1) if model else platform.machine(), "kernel": platform.release(),
            "load": round(os.getloadavg()[0], 1)}


def heading(about: Any, options: Any) -> str:
    rounds = plural(options.rounds, "round")
    return (f"{about['processors']} processors ({about['model']}), Linux {about['kernel']}, load {about['load']} at the start; "
            f"{rounds} of {options.seconds:g} s")


def report_text(bench: Any, about: Any, options: Any) -> Iterator[Any]:
    yield heading(about, options)
    yield ""
    yield from report.goals_table(goals(), bench.results)
    yield from report.table(bench.results, SECTIONS)
    if bench.failures:
        yield ""
        yield f"{plural(len(bench.failures), 'measurement')} failed; the first: {bench.failures[0]}"


def panels(results: Any) -> list[Any]:
    def bars(section: str, name: str, metric: str) -> Any:
        row = results.rows.get((section, name, metric))
        return [(side, row.median(side)) for side in row.values] if row else []

    small = Work().name
    return [("64-byte frames, no mirror", "frames/s", bars("rates", small, "frames/s")),
            ("1,514-byte frames, no mirror", "frames/s", bars("rates", Work("1514").name, "frames/s")),
            ("64-byte frames with one session, production and copies", "frames/s", bars("mirrors", "64 bytes, 1 session", "together/s")),
            ("TCP, one stream, default offloads", "Mbit/s", bars("tcp", "1 stream there", "Mbit/s")),
            ("Latency, median (less is better)", "us", bars("latency", "no session", "p50 us"))]


def write_docs(text: str, svg: Any) -> None:
    """The generated parts of docs/benchmarks.md, and its picture."""
    path = ROOT / "docs" / "benchmarks.md"
    begin, end = "<!-- forwarding figures: ./dev bench --write-docs -->", "<!-- end of the forwarding figures -->"
    before, found, rest = path.read_text().partition(begin)
    _, found_too, after = rest.partition(end)
    assert found and found_too, f"{path} has lost its marks"
    block = f"\n\n![Forwarding beside its peers](forwarding.svg)\n\n```\n{text}\n```\n\n"
    path.write_text(before + begin + block + end + after)
    (path.parent / "forwarding.svg").write_text(svg)


def interrupted(number: int, _: Any) -> None:
    """Ends the run by way of everything that cleans up, and lets nobody interrupt that."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(f"ended by {signal.Signals(number).name}")


def parse_arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="./dev bench forwarding")
    parser.add_argument("--quick", action="store_true", help="3 rounds of half a second, and fewer rows")
    parser.add_argument("--json", metavar="FILE", help="writes every round's figure there")
    parser.add_argument("--svg", metavar="FILE", help="writes the picture there")
    parser.add_argument("--only", action="append", metavar="ROW|SECTION",
                        help=f"rows with these words in 'SECTION: ROW'; sections: {', '.join(SECTIONS)}; repeatable")
    parser.add_argument("--sides", action="append", metavar="NAME", help="only switches with this in their names; repeatable")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of one measurement")
    parser.add_argument("--write-docs", action="store_true", help="puts the figures into docs/benchmarks.md")
    parser.add_argument("--polite", action="store_true",
                        help="leaves other programs their share of the processors, and takes rates as they come")
    parser.add_argument("--verbose", action="store_true", help="shows each figure when it is there")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.seconds = options.seconds or (0.5 if options.quick else 0.8)
    return options


@contextlib.contextmanager
def before_others() -> Iterator[None]:
    """Other sessions get little of the processors meanwhile. Where sessions are not groups of their own for the scheduler (autogroups),
    nothing changes: what nice(1) says counts among the threads of a switch, too."""
    path = pathlib.Path("/proc/self/autogroup")
    if not path.exists() or pathlib.Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip() != "1":
        yield
        return
    before = path.read_text().split()[-1]
    path.write_text(f"{AUTOGROUP_NICE}")
    try:
        yield
    finally:
        path.write_text(before)


def check_machine(sides: Any) -> None:
    if os.geteuid() != 0:
        sys.exit("needs root: it makes network namespaces")
    if (os.cpu_count() or 1) < 2:
        sys.exit("needs two processors: one sends, one switches")
    peers: list[tuple[str, pathlib.Path | str]] = [(OVS, OVS_VSWITCHD), (DPDK, "dpdk-testpmd")]
    needed: list[pathlib.Path | str] = ["tc", "taskset", "iperf3", OVSDB_SERVER,
                                        *(program for side, program in peers if is_asked_for(side, sides))]
    missing = [program for program in needed if not shutil.which(program)]
    if missing:
        sys.exit(f"not installed: {', '.join(map(str, missing))}; ./dev bench installs them")


def main() -> None:
    options = parse_arguments()
    check_machine(options.sides)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, interrupted)
    signal.alarm(LONGEST_RUN_S)
    priority = contextlib.nullcontext() if options.polite else before_others()
    with priority, tempfile.TemporaryDirectory(prefix="vswitch-bench-") as directory:
        bench, about = Bench(pathlib.Path(directory), options), machine()
        for section in SECTIONS:
            if not options.verbose:
                print(f"== {section}", file=sys.stderr)
            getattr(bench, section)()
    text = "\n".join(report_text(bench, about, options))
    print(text)
    svg = report.picture(panels(bench.results))
    if options.svg:
        pathlib.Path(options.svg).write_text(svg)
    if options.json:
        found = {**about, "goals": report.goals_json(goals(), bench.results), "rows": bench.results.json(), "failures": bench.failures}
        pathlib.Path(options.json).write_text(json.dumps(found, indent=1) + "\n")
    if options.write_docs:
        write_docs(text, svg)


if __name__ == "__main__":
    main()
