# SPDX-License-Identifier: Apache-2.0
"""The ports of a switch under test, what is behind them, and load on them.

Behind a port is either an *end*, a device that only sends what bench_load makes and counts what comes (tc drops it before any
protocol sees it), or a *host* with a namespace and an address of its own. Ends share a namespace: a namespace each would only cost time.
"""
from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import pathlib
import subprocess
import time
from collections.abc import Iterable
from typing import Any

from lab import BUILD
from net import Net, in_namespace, run, stop

TOOLS = BUILD / "tests"
LOAD_CORE, SWITCH_CORE = 0, 1
WARM_UP_S = 0.2
COPIES = 8  # of each frame, made by tc: what bench_load alone can send is less than the fast ones forward
SOURCES, DESTINATIONS = 0x025000000000, 0x026000000000  # MAC addresses; each stream has 2^24 of either
PATIENCE_S = 30
PRIMED_S = 250  # addresses are forgotten after 300


@dataclasses.dataclass(frozen=True)
class Work:
    """What is offered: frame length without FCS or "mix", UDP flows and MAC addresses per pair, pairs of ports, frames/s (0: all), and
    whether each pair has a sender on a core of its own. in_eights: tc makes COPIES of each frame that is sent, as it does when all is
    offered that can be."""
    length: str = "64"
    flows: int = 1
    pairs: int = 1
    addresses: int = 1
    rate: int = 0
    spread: bool = False
    in_eights: bool = False

    @property
    def is_multiplied(self) -> bool:
        """As much as can be offered, of frames that are all alike."""
        return self.in_eights or (self.rate, self.flows, self.addresses) == (0, 1, 1)

    @property
    def name(self) -> str:
        length = "mix" if self.length == "mix" else f"{self.length} bytes"
        many = plural(self.flows, "flow") if self.addresses == 1 else f"{self.addresses:,} addresses"
        return f"{length}, {many}, {plural(self.pairs, 'pair')}"

    @property
    def warm_up_s(self) -> float:
        """Until every address has been seen a few times, by a switch that forwards some 200,000 frames a second."""
        return WARM_UP_S + 4 * self.addresses * self.pairs / 200_000


def plural(count: Any, noun: Any) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@dataclasses.dataclass
class Sample:
    """One run of some Work. Rates are those of a window in its middle, counts those of all of it."""
    offered: float    # frames per second that the load sent
    forwarded: float  # frames per second that arrived behind the switch
    copies: float     # copies per second, all sessions
    cpu_ns: float     # processor time of the switch per forwarded frame; None where it has no process
    all_ns: float     # that of sender, switch and kernel per frame forwarded with all its copies; None where the switch polls
    sent: int
    received: int
    copied: int

    @property
    def loss(self) -> Any:
        return 1 - self.received / self.sent


def processor_ns(processes: Iterable[int]) -> int:
    """The processor time of all threads so far, to the nanosecond, with the softirqs that ran on top of them."""
    return sum(time.clock_gettime_ns(~process << 3 | 2) for process in processes)  # clock_getcpuclockid(3), which Python lacks


def softirq_threads() -> list[int]:
    """ksoftirqd of each processor: does what its processor did not get done on top of other threads."""
    return [int(path.parent.name) for path in pathlib.Path("/proc").glob("[0-9]*/comm") if path.read_text().startswith("ksoftirqd/")]


class Counters:
    """Interface counters of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.file = in_namespace(namespace, lambda: open("/proc/thread-self/net/dev"))

    def close(self) -> None:
        self.file.close()

    def received(self) -> dict[Any, Any]:
        """Frames by device."""
        self.file.seek(0)
        pairs = (line.split(":") for line in self.file.readlines()[2:])
        return {name.strip(): int(fields.split()[1]) for name, fields in pairs}


class Wires:
    """Port `name` is a device of the switch's namespace; its end is called `name`e. The ports called h0, h1, ... have hosts. What leaves
    through `name`g is COPIES times what leaves through `name`e (ports that begin with p)."""

    def __init__(self, net: Net, ports: list[str]) -> None:
        self.net = net
        self.ends = f"{net.uid}-ends"
        self.hosts = {name: f"{net.uid}-{name}" for name in ports if name.startswith("h")}
        for namespace in (self.ends, *self.hosts.values()):
            net.add_namespace(namespace)
        self.make_devices(ports)
        for name, namespace in self.hosts.items():
            run("ip", "-n", namespace, "addr", "add", f"{self.address(name)}/24", "dev", f"{name}e")
        self.behind, self.at_switch = Counters(self.ends), Counters(net.switch)
        self.softirqs = softirq_threads()
        self.primed: tuple[int, int] | None = None  # addresses and pairs
        self.primed_until = 0.0
        net.closing.callback(self.behind.close)
        net.closing.callback(self.at_switch.close)

    def make_devices(self, ports: list[str]) -> None:
        links: list[str] = []
        ends: dict[str, list[str]] = {}
        drops: list[str] = []
        for name in ports:
            namespace = self.hosts.get(name, self.ends)
            links.append(f"link add {name} up type veth peer name {name}e netns {namespace}")
            ends.setdefault(namespace, []).append(f"link set {name}e up")
            if namespace == self.ends:
                # Two instructions of classic BPF (return TC_ACT_SHOT): the kernel may lack the action `drop`. IPv4 only: other
                # protocols are how a run marks a place in the stream.
                drops += [f"qdisc add dev {name}e clsact",
                          f"filter add dev {name}e ingress protocol ip bpf da bytecode '1,6 0 0 2'"]
            if name.startswith("p"):
                links.append(f"link add {name}g netns {namespace} up type veth peer name {name}x netns {namespace}")
                action = f"action mirred egress %s dev {name}e"
                drops += [f"qdisc add dev {name}g clsact", " ".join([f"filter add dev {name}g egress protocol all u32 match u32 0 0",
                                                                    *[action % "mirror"] * (COPIES - 1), action % "redirect"])]
                ends.setdefault(namespace, []).append(f"link set {name}x up")
        batch("ip", self.net.switch, links)
        for namespace, lines in ends.items():
            batch("ip", namespace, lines)
        batch("tc", self.ends, drops)

    @staticmethod
    def address(host: str) -> str:
        return f"10.77.0.{int(host[1:]) + 1}"

    def spawn(self, host: str, *args: object, core: int | None = LOAD_CORE, **options: Any) -> Any:
        """A process behind a port that has a host; it ends with the lab."""
        return self.spawn_in(self.hosts[host], *args, core=core, **options)

    def spawn_in(self, namespace: str, *args: object, core: int | None = LOAD_CORE, **options: Any) -> Any:
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *pinned, *map(str, args)], stdin=subprocess.DEVNULL, text=True,
                                   **options)
        self.net.closing.callback(stop, process)
        return process

    # ---- load

    def load(self, streams: Any, seconds: float, length: str = "64", flows: int = 1, addresses: int = 1, rate: int = 0, count: Any = None,
             copies: int = 1, core: int = LOAD_CORE) -> Any:
        """Starts bench_load with streams of (port, first source, first destination)."""
        options: list[object] = ["--core", core, "--seconds", seconds, "--length", length, "--flows", flows, "--addresses",
                                 addresses, "--rate", rate]
        if count is not None:
            options += ["--count", count]
        if copies > 1:
            options += ["--copies", copies]
        devices = (f"{port}{'g' if copies > 1 else 'e'},{source:012x},{destination:012x}" for port, source, destination in streams)
        return self.spawn_in(self.ends, TOOLS / "bench_load", *options, *devices, core=None, stdout=subprocess.PIPE)

    def prime(self, work: Work) -> None:
        """Every receiver sends a frame from each of its addresses, so that nothing has to be flooded; again until all came through, or
        many of them twice: Open vSwitch decides a flood for each, and loses some of 100,000."""
        what = (work.addresses, work.pairs)
        if self.primed == what and time.monotonic() < self.primed_until:
            return
        streams = [(to, destination, source) for _, to, source, destination in pairs(work.pairs)]
        senders = [f"{port}e" for port, *_ in pairs(work.pairs)]
        count = work.addresses * work.pairs
        deadline = time.monotonic() + 2 * PATIENCE_S
        came = passes = 0
        while came < (count if passes < 2 else 0.5 * count):
            assert time.monotonic() < deadline, f"only {came} of {count} frames come through"
            before = self.behind.received()
            finish(self.load(streams, PATIENCE_S, addresses=work.addresses, rate=20_000, count=work.addresses))
            came = count_of(senders, before, self.settle())
            passes += 1
        self.primed, self.primed_until = what, time.monotonic() + PRIMED_S

    def settle(self) -> Any:
        """Waits until the counters behind the switch stand still."""
        deadline = time.monotonic() + PATIENCE_S
        before, now = None, self.behind.received()
        while before != now:
            assert time.monotonic() < deadline, "frames do not stop coming"
            time.sleep(0.05)
            before, now = now, self.behind.received()
        return now

    def offer(self, side: Any, work: Work, seconds: float) -> Any:
        """Runs the work; what came of it, after checking that the counts agree."""
        self.prime(work)
        begin, arrived = self.behind.received(), self.at_switch.received()
        streams = [(port, source, destination) for port, _, source, destination in pairs(work.pairs)]
        cores = (LOAD_CORE, SWITCH_CORE) if work.spread else (LOAD_CORE,)
        copies = COPIES if work.is_multiplied else 1
        loads = [self.load(streams[number::len(cores)], seconds + work.warm_up_s + WARM_UP_S, work.length, work.flows, work.addresses,
                           work.rate // copies, copies=copies, core=core) for number, core in enumerate(cores)]
        everybody = [*self.softirqs, *(process.pid for process in itertools.chain(loads, side.processes))]

        def look() -> tuple[float, int, int, dict[Any, Any]]:
            switch = processor_ns(process.pid for process in side.processes)
            return time.monotonic(), switch, processor_ns(everybody), self.behind.received()

        time.sleep(work.warm_up_s)
        first = look()
        time.sleep(seconds)
        last = look()
        results = [finish(load) for load in loads]
        end = self.settle()
        receivers, outputs = [f"{to}e" for _, to, _, _ in pairs(work.pairs)], [name for name in end if name.startswith("m")]
        forwarded, copied = count_of(receivers, first[3], last[3]), count_of(outputs, first[3], last[3])
        complete = min(forwarded, copied / side.sessions) if side.sessions else forwarded
        took, sent = last[0] - first[0], sum(result["sent"] for result in results)
        sample = Sample(offered=sum(result["sent"] / result["seconds"] for result in results), forwarded=forwarded / took,
                        copies=copied / took,
                        cpu_ns=(last[1] - first[1]) / forwarded if side.has_process and forwarded else None,
                        all_ns=(last[2] - first[2]) / complete if not side.polls and complete else None,
                        sent=sent, received=count_of(receivers, begin, end), copied=count_of(outputs, begin, end))
        self.check(side, sample, count_of([port for port, _, _ in streams], arrived, self.at_switch.received()))
        return sample

    @staticmethod
    def check(side: Any, sample: Any, arrived: Any) -> None:
        where = f"{side.name}: {sample}, {arrived} arrived at the switch"
        assert sample.sent > 0, where
        assert arrived == sample.sent, f"what was sent is not what arrived: {where}"
        assert 0 < sample.received <= sample.sent, f"more came out than went in, or nothing: {where}"
        assert sample.copied <= sample.sent * side.sessions, f"too many copies: {where}"


def pairs(count: Any) -> list[Any]:
    """(port of the sender, port of the receiver, first address of the one, of the other)"""
    return [(f"p{2 * i}", f"p{2 * i + 1}", SOURCES + (i << 24), DESTINATIONS + (i << 24)) for i in range(count)]


def count_of(names: Any, before: Any, after: Any) -> Any:
    return sum(after[name] - before[name] for name in names)


def finish(process: Any) -> Any:
    """What a tool printed in its last line."""
    with contextlib.ExitStack() as stack:
        stack.callback(stop, process)
        text, _ = process.communicate(timeout=2 * PATIENCE_S)
    assert process.returncode == 0, f"{process.args}: exit {process.returncode}"
    return json.loads(text.splitlines()[-1])


def batch(program: str, namespace: str, lines: Any) -> None:
    if lines:
        run("ip", "netns", "exec", namespace, program, "-batch", "-", input="\n".join(lines) + "\n", timeout=240)
