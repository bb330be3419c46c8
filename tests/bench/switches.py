# SPDX-License-Identifier: Apache-2.0
"""The switches that the forwarding benchmark compares, behind one interface."""
from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import ovsdb
from lab import VSWITCH_CTL, wait_until
from net import Net, run
from net import stop as end
from openvswitch import client
from ovsdb import Rpc, make_database, named, transact
from wires import LOAD_CORE, PATIENCE_S, SWITCH_CORE, TOOLS, Wires, Work, batch, pairs


TUNNEL, ENDPOINT = "mt", "10.78.0.2"


class Forwarder(ovsdb.Side):
    """A switch with its ports and what is behind them. A subclass says how it starts, and how it mirrors."""
    has_process = True
    polls = False  # takes all the processor time there is
    sessions = 0

    def begin(self, ports: list[str], core: int | None = SWITCH_CORE) -> None:
        """`core`: the only one it may use, or None for all of them."""
        self.ports = ports
        self.core = core
        self.wires = Wires(self.net, ports)
        self.start()
        self.pin()

    def pin(self) -> None:
        if self.core is None:
            return
        for process in self.processes:
            for thread in os.listdir(f"/proc/{process.pid}/task"):
                os.sched_setaffinity(int(thread), {self.core})

    def rest(self) -> None:
        """Nothing is asked of it for a while: it must not take processor time from the others."""

    def work(self) -> None:
        """The opposite of rest()."""

    def mirror(self, sessions: int, source: str = "p0") -> None:
        """So many SPAN sessions from now on, each of which copies what the source sends and receives to a port of its own: m0, m1, ..."""
        raise NotImplementedError

    def offer(self, work: Work, seconds: float) -> Any:
        self.work()
        try:
            return self.wires.offer(self, work, seconds)
        finally:
            self.rest()


# ---- with a database

class WithDatabase(Forwarder):
    """vswitchd and Open vSwitch begin with the same rows and take the same transactions."""
    other_config: dict[str, str] = {}
    mirror_columns: dict[str, str] = {}  # of every mirror

    def __init__(self, directory: pathlib.Path, ports: list[str], mac_table_size: int = 8192) -> None:
        directory = pathlib.Path(directory)
        directory.mkdir()
        super().__init__(directory / "side", make_database(directory / "made.db", rows(ports, self.other_config, mac_table_size)))

    def mirror(self, sessions: int, source: str = "p0") -> None:
        self.set_mirrors([(source, f"m{number}", None) for number in range(sessions)])
        self.sessions = sessions

    def set_mirrors(self, wanted: Any) -> None:
        """Replaces all mirrors by one for each (source port, output port, VLAN or None, perhaps filter); returns when they work."""
        with Rpc(self.socket) as rpc:
            ports = {row["name"]: row["_uuid"] for row in select(rpc, "Port", "name", "_uuid")}
            inserts = [{"op": "insert", "table": "Mirror", "uuid-name": f"m{number}",
                        "row": {"name": f"m{number}", "select_src_port": ports[source], "select_dst_port": ports[source],
                                "output_port": ports[output], **({"select_vlan": vlan} if vlan else {}),
                                **({"filter": rules[0]} if rules else {}), **self.mirror_columns}}
                       for number, (source, output, vlan, *rules) in enumerate(wanted)]
            wanted_cfg = select(rpc, "Open_vSwitch", "next_cfg")[0]["next_cfg"] + 1
            transact(rpc, *inserts,
                     {"op": "update", "table": "Bridge", "where": [],
                      "row": {"mirrors": ["set", [named(f"m{number}") for number in range(len(wanted))]]}},
                     {"op": "update", "table": "Open_vSwitch", "where": [], "row": {"next_cfg": wanted_cfg}})
            transact(rpc, {"op": "wait", "table": "Open_vSwitch", "timeout": 1000 * PATIENCE_S, "where": [], "until": "==",
                           "columns": ["cur_cfg"], "rows": [{"cur_cfg": wanted_cfg}]})


class Vswitchd(WithDatabase, ovsdb.Ours):
    """With one worker, as it has one core."""
    options: tuple[str, ...] = ("--workers", "1")

    def mirror_to_address(self, sessions: int) -> None:
        """No or one ERSPAN session of p0 to an address behind a device of its own, which counts as an output."""
        def ctl(*args: str) -> None:
            run(VSWITCH_CTL, "--rundir", self.rundir, *args)

        if TUNNEL not in self.wires.at_switch.received():
            self.wires.make_devices([TUNNEL])
            run("ip", "-n", self.net.switch, "addr", "add", "10.78.0.1/24", "dev", TUNNEL)
            run("ip", "-n", self.net.switch, "neigh", "add", ENDPOINT, "lladdr", "02:78:00:00:00:02", "dev", TUNNEL)
        if self.sessions:
            ctl("del-mirror", "br0", "er0")
        if sessions:
            ctl("add-mirror", "br0", "er0", "--source", "p0", "--endpoint", ENDPOINT, "--encap", "erspan2")
        self.sessions = sessions

    def known_flows(self) -> int:
        with Rpc(self.rundir / "db.sock") as rpc:
            known: int = rpc.call("system.stats", {})["fast_path"]["flows"]
        return known

    def change_while_carried(self, flows: int) -> tuple[float, float]:
        """Seconds until the kernel knows so many flows of a load that begins, and until a change of sessions is in effect while it
        carries them."""
        self.wires.prime(Work(addresses=flows))
        wait_until(lambda: self.known_flows() == 0, "flows without frames are removed")
        [(port, _, source, destination)] = pairs(1)
        load = self.wires.load([(port, source, destination)], 2 * PATIENCE_S, addresses=flows)
        begin = time.monotonic()
        wait_until(lambda: self.known_flows() >= flows, f"{flows} flows are known")
        known = time.monotonic()
        self.mirror(0 if self.sessions else 1)
        changed = time.monotonic()
        end(load)
        return known - begin, changed - known


class VswitchdFree(Vswitchd):
    """With the number of workers it chooses."""
    options = ()


class VswitchdWholeCopies(VswitchdFree):
    """Its copies are GSO packets, as those of mirred."""
    name = "vswitchd, GSO packets kept"
    mirror_columns = {"superframes": "keep"}


USER_SPACE = {"kernel-fast-path": "false"}  # for what is about the workers and mirror threads


class VswitchdUserSpace(Vswitchd):
    """As where there is no BPF."""
    name = "vswitchd, user space"
    other_config = USER_SPACE


class VswitchdUserSpaceFree(VswitchdUserSpace):
    """With the number of workers it chooses."""
    options = ()


class VswitchdAtOnce(Vswitchd):
    """Its worker lets no frames gather."""
    name = "vswitchd, at once"
    other_config = USER_SPACE | {"worker-gather-us": "0"}


class VswitchdShorter(Vswitchd):
    """Frames gather for less time than they do by default."""
    name = "vswitchd, 30 us"
    other_config = USER_SPACE | {"worker-gather-us": "30"}


class VswitchdSpinning(Vswitchd):
    name = "vswitchd, spinning"
    other_config = USER_SPACE | {"worker-spin-us": "50"}


class VswitchdXdpCopies(Vswitchd):
    name = "vswitchd, xdp-copies"
    other_config = USER_SPACE | {"xdp-copies": "true"}


class VswitchdBoth(Vswitchd):
    """As on a machine where nobody placed anything: the mirror thread may use the core of the load as well."""
    name = "vswitchd, both cores"
    other_config = USER_SPACE | {"worker-cpus": str(SWITCH_CORE)}

    def pin(self) -> None:
        """It has placed its worker itself."""


class VswitchdOneWorker(Vswitchd):
    """To be drained: a worker with a processor of its own."""
    options = ("--workers", "1")
    other_config = USER_SPACE | {"worker-cpus": str(SWITCH_CORE), "receive-ring-kib": "16384"}


class VswitchdTwoWorkers(Vswitchd):
    name = "vswitchd, 2 workers"
    options = ("--workers", "2")
    other_config = VswitchdOneWorker.other_config | {"worker-cpus": f"{LOAD_CORE},{SWITCH_CORE}"}


class OpenVswitch(WithDatabase, ovsdb.Peer):
    """As installed."""

    def set_mirrors(self, wanted: Any) -> None:
        super().set_mirrors(wanted)
        # A flow that is under way would go on without its copies, or with those of before (docs/ovs-differences.md).
        done = client(self.rundir, "ovs-appctl", "--timeout=20", "revalidator/purge")
        assert done.returncode == 0, done.stderr


class OpenVswitchTso(OpenVswitch):
    name = "Open vSwitch TSO"
    other_config = {"userspace-tso-enable": "true"}


def rows(ports: list[str], other_config: Any, mac_table_size: Any) -> Iterator[Any]:
    """Operations for a bridge br0 with these ports."""
    for name in ("br0", *ports):
        interface = {"name": name, **({"type": "internal"} if name == "br0" else {})}
        yield {"op": "insert", "table": "Interface", "uuid-name": f"i{name}", "row": interface}
        yield {"op": "insert", "table": "Port", "uuid-name": f"p{name}", "row": {"name": name, "interfaces": named(f"i{name}")}}
    yield {"op": "insert", "table": "Bridge", "uuid-name": "bridge",
           "row": {"name": "br0", "datapath_type": "netdev", "other_config": ["map", [["mac-table-size", str(mac_table_size)]]],
                   "ports": ["set", [named(f"p{name}") for name in ("br0", *ports)]]}}
    yield {"op": "insert", "table": "Open_vSwitch",
           "row": {"next_cfg": 1, "ovs_version": "3.1.0", "db_version": "8.3.1", "bridges": named("bridge"),
                   "other_config": ["map", [list(item) for item in other_config.items()]]}}


def select(rpc: Any, table: str, *columns: Any) -> Any:
    return transact(rpc, {"op": "select", "table": table, "where": [], "columns": list(columns)})[0]["rows"]


# ---- without

class WithoutDatabase(Forwarder):
    """Pairs of ports, p0 and p1 and so on, or all of them."""
    switches = False  # no rows that it would have to follow

    def __init__(self, directory: pathlib.Path, ports: list[str], mac_table_size: Any = None) -> None:
        self.directory = self.rundir = pathlib.Path(directory)
        self.directory.mkdir()
        self.net = Net()
        self.processes = []

    def stop(self) -> None:
        """By force after a while: testpmd does not always end when asked."""
        for process in self.processes:
            end(process)
        self.processes = []

    def paired(self) -> list[Any]:
        return [name for name in self.ports if not name.startswith("m")]


class Bridge(WithoutDatabase):
    """The kernel's, which has no process: it works on the core of whoever sends. tc mirred makes its copies."""
    name = "Linux bridge"
    has_process = False

    def launch(self) -> None:
        batch("ip", self.net.switch, ["link add br0 up type bridge stp_state 0 mcast_snooping 0"] +
              [f"link set {port} master br0" for port in self.ports])

    def mirror(self, sessions: int, source: str = "p0") -> None:
        change = [f"qdisc del dev {source} clsact"] if self.sessions else []
        if sessions:
            outputs = " ".join(f"action mirred egress mirror dev m{number}{' pipe' if number + 1 < sessions else ''}"
                               for number in range(sessions))
            change += [f"qdisc add dev {source} clsact",
                       *(f"filter add dev {source} {way} protocol all u32 match u32 0 0 {outputs}" for way in ("ingress", "egress"))]
        batch("tc", self.net.switch, change)
        self.sessions = sessions


class Redirect(WithoutDatabase):
    """The least that the kernel can do with a frame: tc sends it on without looking at it."""
    name = "tc redirect"
    has_process = False

    def launch(self) -> None:
        ports = self.paired()
        both = [*zip(ports[::2], ports[1::2]), *zip(ports[1::2], ports[::2])]
        batch("tc", self.net.switch, [line for port, to in both for line in (
            f"qdisc add dev {port} clsact",
            f"filter add dev {port} ingress protocol all u32 match u32 0 0 action mirred egress redirect dev {to}")])


class Spawned(WithoutDatabase):
    ready: str  # what it says when it is

    def spawn(self, *command: Any) -> None:
        log = (self.directory / "log").open("ab")
        with log:
            self.processes = [subprocess.Popen(["ip", "netns", "exec", self.net.switch, *map(str, command)], stdin=subprocess.PIPE,
                                               stdout=log, stderr=log)]
        self.wait_ready()

    def log_text(self) -> Any:
        return (self.directory / "log").read_text(errors="replace")

    def wait_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(self.ready, self.log_text()):
            assert self.processes[0].poll() is None and time.monotonic() < deadline, f"{self.name}: {self.log_text()}"
            time.sleep(0.02)


class Trivial(Spawned):
    """The least a forwarder can do."""
    name = "trivial forwarder"
    ready = "ready"
    offload: tuple[str, ...] = ()

    def launch(self) -> None:
        copies = [f"--mirror=m{number}" for number in range(self.sessions)]
        self.spawn(TOOLS / "bench_trivial", *self.offload, *copies, *self.paired())

    def mirror(self, sessions: int, source: str = "p0") -> None:
        assert source == self.ports[0], "it mirrors its first port"
        if sessions == self.sessions:
            return
        self.stop()
        (self.directory / "log").unlink()
        self.sessions = sessions
        self.launch()
        self.pin()


class TrivialOffload(Trivial):
    """For frames with unfinished checksums and super-frames."""
    offload = ("--offload",)


class Testpmd(Spawned):
    """DPDK's forwarder from port to port. It polls, so it sleeps by SIGSTOP, and its processor time says nothing."""
    name = "testpmd af_packet"
    driver = "net_af_packet"
    ready = "Checking link statuses"  # the last it says before it forwards, as far as it flushes
    has_process = False
    polls = True

    def launch(self) -> None:
        devices = [f"--vdev={self.driver}{number},iface={port}" for number, port in enumerate(self.paired())]
        self.spawn("dpdk-testpmd", "--lcores", f"0@{LOAD_CORE},1@{SWITCH_CORE}", "--no-pci", "--no-huge", "--no-shconf", "-m", "512",
                   "--no-telemetry", *devices, "--", "--forward-mode=io", "--port-topology=paired", "--total-num-mbufs=32768")
        self.rest()

    def pin(self) -> None:
        """It did so itself."""

    def rest(self) -> None:
        self.processes[0].send_signal(signal.SIGSTOP)

    def work(self) -> None:
        self.processes[0].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.processes:
            self.work()
        super().stop()


class TestpmdXdp(Testpmd):
    name = "testpmd af_xdp"
    driver = "net_af_xdp"
