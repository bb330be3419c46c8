# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch and vswitchd side by side: the same commands and the same frames to both, and what came of them compared.

A scenario is a list of steps: `Vsctl` (one ovs-vsctl call, so one transaction) and `Send` (a frame put on a port's wire). `Pair.run`
takes both switches through it step by step. Each has the ports p1..p6, and the local ports of br0 and br1 while they exist.

Marker frames tell when a frame is done with, so nothing sleeps. They cross a bridge of their own, brm. One thread of each switch polls
all ports (that is why vswitchd gets `--workers 1`), so a frame sent before a marker was taken from its port, at the latest, in the
round that comes after the one that took the marker: when a second marker has come through, it is done. Copies of vswitchd leave from
another thread: its `queued` counters tell when they are gone.

Open vSwitch caches what it decided. `revalidator/purge` after each frame makes it decide, and learn, each time afresh.
"""
from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import time
from typing import Any

from lab import PATIENCE_S, Daemon, Rpc, wait_until
from net import BROADCAST, Net, Wire, frame, in_namespace, mac, run

PORTS = tuple(f"p{n}" for n in range(1, 7))
BRIDGES = ("br0", "br1")
MARKER_TYPE = 0x88B6
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclasses.dataclass(frozen=True)
class Vsctl:
    """One ovs-vsctl call: its sub-commands, each a list of words."""
    commands: tuple

    def words(self) -> list[str]:
        words = []
        for command in self.commands:
            words += ["--", *command]
        return words[1:]

    def __str__(self) -> str:
        quoted = [f"'{word}'" if re.search(r"[^\w@%+=:,./-]", word) or word == "" else word for word in self.words()]
        return "ovs-vsctl " + " ".join(quoted)


@dataclasses.dataclass(frozen=True)
class Send:
    port: str
    frame: bytes

    def __str__(self) -> str:
        return f"{self.port} <- {decode(self.frame)}\n        {self.frame[:64].hex()}{'...' if len(self.frame) > 64 else ''}"


def vsctl(*commands: str) -> Any:
    """Each command is a string of words, or a list of them."""
    return Vsctl(tuple(tuple(command.split() if isinstance(command, str) else command) for command in commands))


def decode(data: bytes) -> str:
    """One line that says what a frame is."""
    text = f"{data[6:12].hex(':')} > {data[:6].hex(':')}"
    at = 12
    while len(data) >= at + 6 and data[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        tpid, tci = struct.unpack_from("!HH", data, at)
        text += f" [{tpid:04x} vid {tci & 0xfff} pcp {tci >> 13}{' dei' if tci & 0x1000 else ''}]"
        at += 4
    return f"{text} type {data[at:at + 2].hex()}, {len(data)} bytes"


class Side:
    """One switch in a namespace of its own with a wire on each port."""

    def __init__(self, name: str, directory: pathlib.Path) -> None:
        self.name = name
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        self.rundir = self.directory / "run"
        self.rundir.mkdir(mode=0o755)
        self.net = Net()
        self.local: dict[str, tuple[int, Wire]] = {}  # bridge: (ifindex, Wire)
        self.markers = 0
        self.rpc: Rpc | None = None

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def alive(self) -> bool:
        raise NotImplementedError

    def log_text(self) -> str:
        raise NotImplementedError

    def finish(self) -> None:
        """After the last marker: whatever else has to be over."""
        raise NotImplementedError

    def mirror_statistics(self) -> dict[str, tuple[int, ...]]:
        raise NotImplementedError

    def begin(self) -> None:
        self.start()
        self.hosts = {name: self.net.host(name) for name in (*PORTS, "m1", "m2")}
        self.must("add-br brm", "set bridge brm datapath_type=netdev", "add-port brm m1", "add-port brm m2")

    def end(self) -> None:
        try:
            for _, wire in self.local.values():
                wire.close()
            self.local = {}
            self.stop()
        finally:
            self.net.__exit__()

    def client(self, program: str, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *args], text=True, capture_output=True, timeout=PATIENCE_S,
                              env={**os.environ, "OVS_RUNDIR": str(self.rundir), "OVS_LOGDIR": str(self.rundir)})

    def vsctl(self, step: Any) -> Any:
        """(exit status, standard output, standard error), without what must differ."""
        done = self.client("ovs-vsctl", "--timeout=20", *step.words())
        self.follow_bridges()
        output = "\n".join(sorted_tree(done.stdout.splitlines())) if step.words() == ["show"] else done.stdout
        return tuple(normalised(text, self.rundir) for text in (str(done.returncode), output, done.stderr))

    def must(self, *commands: str) -> None:
        status, _, problem = self.vsctl(vsctl(*commands))
        assert status == "0", f"{self.name}: {commands}: {problem}"

    def follow_bridges(self) -> None:
        """A wire on the local port of each bridge that is there."""
        there = {name: index for index, name in in_namespace(self.net.switch, socket.if_nameindex) if name in BRIDGES}
        for name, (index, wire) in list(self.local.items()):
            if there.get(name) != index:
                wire.close()
                del self.local[name]
        for name, index in there.items():
            if name not in self.local:
                run("ip", "-n", self.net.switch, "link", "set", name, "up")
                self.local[name] = index, Wire(self.net.switch, name)

    def wires(self) -> dict[Any, Any]:
        return {**{name: self.hosts[name].wire for name in PORTS}, **{name: wire for name, (_, wire) in self.local.items()}}

    def send(self, step: Any) -> None:
        self.wires()[step.port].send(step.frame)

    def barrier(self) -> None:
        """Returns when all that was sent before is done with."""
        for _ in range(2):
            self.markers += 1
            marker = frame(mac(0x6d01), BROADCAST, struct.pack("!I", self.markers), ether_type=MARKER_TYPE)
            self.hosts["m1"].wire.send(marker)
            arrived = self.hosts["m2"].wire.wait(1, PATIENCE_S, match=lambda data: data[14:18] == marker[14:18])
            assert arrived, f"{self.name}: no marker came through\n{self.log_text()[-2000:]}"
            self.hosts["m2"].wire.clear()
        self.finish()

    def take(self) -> dict[str, list[bytes]]:
        """What has arrived since it was last asked: {port: sorted frames}."""
        arrived = {}
        for name, wire in self.wires().items():
            if frames := wire.take():
                arrived[name] = sorted(frames)
        return arrived

    def reset(self) -> None:
        self.must(*[f"--if-exists del-br {bridge}" for bridge in BRIDGES], "clear Open_vSwitch . external_ids")
        self.barrier()
        self.take()


class OpenVSwitch(Side):
    """ovsdb-server and ovs-vswitchd as processes of their own."""

    def __init__(self, directory: pathlib.Path) -> None:
        super().__init__("Open vSwitch", directory)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.round = 0

    def spawn(self, program: str, *args: str) -> None:
        environment = {**os.environ, **{f"OVS_{key}": str(self.rundir) for key in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}}
        self.processes.append(subprocess.Popen(
            ["ip", "netns", "exec", self.net.switch, program, *args, "--no-chdir", "--pidfile", f"--log-file={self.log(program)}"],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def log(self, program: str = "ovs-vswitchd") -> pathlib.Path:
        return self.directory / f"{program}.log"

    def log_text(self) -> str:
        return self.log().read_text(errors="replace") if self.log().exists() else ""

    def start(self) -> None:
        database, remote = self.directory / "conf.db", self.rundir / "db.sock"
        run("ovsdb-tool", "create", database, SCHEMA)
        self.spawn("ovsdb-server", str(database), f"--remote=punix:{remote}")
        wait_until(remote.exists, "ovsdb-server listens")
        # As its start script (ovs-ctl) does.
        self.client("ovs-vsctl", "--no-wait", "init", "--", "set", "Open_vSwitch", ".", "ovs_version=3.1.0")
        self.spawn("ovs-vswitchd", f"unix:{remote}")
        control = self.rundir / f"ovs-vswitchd.{self.processes[-1].pid}.ctl"
        wait_until(control.exists, "ovs-vswitchd listens")
        self.rpc = Rpc(control)

    def alive(self) -> bool:
        return len(self.processes) == 2 and all(process.poll() is None for process in self.processes)

    def stop(self) -> None:
        if self.rpc:
            self.rpc.close()
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(PATIENCE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(PATIENCE_S)

    def finish(self) -> None:
        assert self.rpc
        self.rpc.call("revalidator/purge", [], version=1)

    def mirror_statistics(self) -> dict[str, tuple[int, ...]]:
        """{mirror: (tx_packets, tx_bytes)}. A change of the interval makes Open vSwitch publish at once."""
        self.round += 1
        self.client("ovs-vsctl", "set", "Open_vSwitch", ".", f"other_config:stats-update-interval={5001 + self.round % 2}")

        def published() -> bool:
            # Counted in the same transaction as the mirrors: each marker that has gone to m2.
            sent = self.client("ovs-vsctl", "get", "Interface", "m2", "statistics:tx_packets").stdout.strip()
            return sent == str(self.markers)

        wait_until(published, "Open vSwitch publishes statistics")
        return rows_of_mirrors(self)


class Vswitch(Side):
    def __init__(self, directory: pathlib.Path) -> None:
        super().__init__("vswitchd", directory)
        self.daemon = Daemon(self.directory, "--workers", "1", namespace=self.net.switch)

    def start(self) -> None:
        self.daemon.start()
        self.rpc = self.daemon.connect()

    def alive(self) -> bool:
        return self.daemon.runs()

    def log_text(self) -> str:
        return self.daemon.log_text()

    def stop(self) -> None:
        if self.rpc:
            self.rpc.close()
        try:
            self.daemon.end()
        finally:
            if self.alive():
                self.daemon.kill9()

    def mirrors(self) -> Any:
        assert self.rpc
        return self.rpc.call("mirror.stats")["mirrors"]

    def finish(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while any(mirror["counters"]["queued"] for mirror in self.mirrors()):
            assert time.monotonic() < deadline, f"copies stay queued: {self.mirrors()}"

    def mirror_statistics(self) -> dict[str, tuple[int, ...]]:
        return {mirror["name"]: (mirror["counters"]["tx_packets"], mirror["counters"]["tx_bytes"]) for mirror in self.mirrors()}


def rows_of_mirrors(side: Side) -> dict[str, tuple[int, ...]]:
    """The same, from the database's rows."""
    listed = side.client("ovs-vsctl", "--bare", "--columns=name", "list", "Mirror").stdout.split()
    found = {}
    for name in listed:
        got = side.client("ovs-vsctl", "--if-exists", "get", "Mirror", name, "statistics:tx_packets", "statistics:tx_bytes").stdout
        found[name] = tuple(int(number) for number in got.split()) or (0, 0)
    return found


def normalised(text: str, rundir: pathlib.Path) -> str:
    return TIME.sub("<time>", UUID.sub("<uuid>", text)).replace(str(rundir), "<rundir>")


def sorted_tree(lines: Any) -> list[Any]:
    """Lines whose indentation makes a tree, with brothers in alphabetical order: `show` has them in the order of their UUIDs."""
    blocks: list[Any] = []
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if blocks and depth > blocks[0][0]:
            blocks[-1][2].append(line)
        else:
            blocks.append((depth, line, []))
    return [line for _, first, rest in sorted(blocks, key=lambda block: UUID.sub("", block[1])) for line in (first, *sorted_tree(rest))]


class Difference(AssertionError):
    """The switches did not do the same; the message has all that is needed to replay it."""


def describe(outcome: Any) -> list[Any]:
    """What one switch did in a step, for people."""
    if isinstance(outcome, tuple):
        status, output, problem = outcome
        return [f"exit status {status}", *[f"| {line}" for line in output.splitlines()], *[f"! {line}" for line in problem.splitlines()]]
    return [f"{port}: {item if isinstance(item, tuple) else decode(item)}" for port, items in sorted(outcome.items())
            for item in (items if isinstance(items, list) else [items])] or ["nothing"]


def explain(what: str, steps: Any, outcomes: Any) -> str:
    """The text of a Difference: steps so far, the last of which differed, and each side's outcome."""
    lines = [what, "steps, the last of which differs:", *[f"  {step}" for step in steps]]
    for name, outcome in outcomes.items():
        lines.append(f"{name}:")
        lines += [f"    {line}" for line in describe(outcome)]
    unequal = []
    (name_1, one), (name_2, two) = outcomes.items()
    if isinstance(one, dict):
        for port in sorted({*one, *two}):
            left, right = one.get(port), two.get(port)
            if isinstance(left or right, list):
                left, right = list(left or []), list(right or [])
                for item in list(left):
                    if item in right:
                        left.remove(item)
                        right.remove(item)
                unequal += [f"only {name_1}, {port}: {item.hex()}" for item in left]
                unequal += [f"only {name_2}, {port}: {item.hex()}" for item in right]
    return "\n".join([*lines, *unequal])


class Pair:
    """Both switches."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.generation = 0
        self.sides: list[Side] = []
        self.frames = 0

    def ready(self) -> None:
        """Both run, with no bridge but the markers'."""
        if len(self.sides) != 2 or not all(side.alive() for side in self.sides):
            self.end()
            self.generation += 1
            for kind in (OpenVSwitch, Vswitch):
                self.sides.append(kind(self.directory / f"{kind.__name__.lower()}{self.generation}"))
                self.sides[-1].begin()
        for side in self.sides:
            side.reset()

    def end(self) -> None:
        failures = []
        for side in self.sides:
            try:
                side.end()
            except Exception as failure:  # the other must end too
                failures.append(failure)
        self.sides = []
        if failures:
            raise failures[0]

    def both(self, what: str, steps: Any, ask: Any) -> Any:
        outcomes = {side.name: ask(side) for side in self.sides}
        first, second = outcomes.values()
        if first == second:
            return first
        raise Difference(explain(what, steps, outcomes))

    def received(self, steps: Any) -> Any:
        arrived = {side.name: side.take() for side in self.sides}
        if arrived[self.sides[0].name] != arrived[self.sides[1].name]:
            time.sleep(0.3)  # a softirq may be late
            for side in self.sides:
                for port, frames in side.take().items():
                    arrived[side.name][port] = sorted(arrived[side.name].get(port, []) + frames)
        return self.both("a frame", steps, lambda side: arrived[side.name])

    def run(self, steps: Any, rows: bool = False) -> Any:
        """Takes both through the steps. Returns what each Send brought where; raises Difference at the first step that differs.

        With `rows`, mirror statistics of vswitchd are those in its database too, which takes a second or two.
        """
        self.ready()
        results = []
        for at, step in enumerate(steps):
            so_far = steps[:at + 1]
            if isinstance(step, Vsctl):
                self.both("a command", so_far, lambda side: side.vsctl(step))
                for side in self.sides:
                    side.barrier()
                continue
            for side in self.sides:
                side.send(step)
                side.barrier()
            self.frames += 1
            results.append(self.received(so_far))
        if any("mirror" in word.lower() for step in steps if isinstance(step, Vsctl) for word in step.words()):
            expected = self.both("mirror statistics", steps, lambda side: side.mirror_statistics())
            if rows:
                wait_until(lambda: rows_of_mirrors(self.sides[1]) == expected, f"the rows say {expected}")
        return results


def shrink(pair: Any, steps: Any, failure: Any) -> Any:
    """Leaves out steps and sub-commands while the switches still differ; returns the last Difference."""

    def still(candidate: Any) -> bool:
        nonlocal steps, failure
        try:
            pair.run(candidate)
        except Difference as difference:
            if str(difference).split("\n", 1)[0] == str(failure).split("\n", 1)[0]:
                steps, failure = candidate, difference
                return True
        except Exception:  # a step without what it needs, such as a frame to a bridge that was left out
            pass
        return False

    progress = True
    while progress:
        progress = False
        for at in reversed(range(len(steps))):
            if at < len(steps) and still(steps[:at] + steps[at + 1:]):
                progress = True
        for at, step in enumerate(list(steps)):
            if not isinstance(step, Vsctl) or at >= len(steps):
                continue
            for n in reversed(range(len(step.commands))):
                step = steps[at]
                fewer = step.commands[:n] + step.commands[n + 1:]
                if fewer and still(steps[:at] + [Vsctl(fewer)] + steps[at + 1:]):
                    progress = True
    return failure
