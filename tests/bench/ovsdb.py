# SPDX-License-Identifier: Apache-2.0
"""The control plane of vswitchd beside Open vSwitch's own, in one run: `./dev bench ovsdb`.

Rounds of both sides alternate, so what else the machine does befalls both; a row compares the medians. A ratio above 1 says that
ours is better, whatever the unit. docs/benchmarks.md says what each row means.
"""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from lab import PATIENCE_S, Daemon, Rpc, RpcError  # noqa: E402
from net import BROADCAST, Net, Wire, frame, mac, run  # noqa: E402
from openvswitch import OVS_VSWITCHD, OVSDB_SERVER, SCHEMA, client  # noqa: E402

MONITORS = 100
DURABLE = {"op": "commit", "durable": True}
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


# ---- the two sides

class Side:
    """One switch in a namespace of its own, on a copy of a database file."""
    name: str
    switches = True  # otherwise it is a database only

    def __init__(self, directory: pathlib.Path, database: pathlib.Path) -> None:
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        self.rundir = self.directory / "run"
        self.rundir.mkdir()
        self.database = self.directory / "conf.db"
        shutil.copy(database, self.database)
        self.net = Net()
        self.processes: list[subprocess.Popen[Any]] = []

    def close(self) -> None:
        try:
            self.stop()
        finally:
            self.net.__exit__()

    def launch(self) -> None:
        """Starts its processes."""
        raise NotImplementedError

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            wait_end(process)
        self.processes = []
        self.socket.unlink(missing_ok=True)

    @property
    def socket(self) -> pathlib.Path:
        return self.rundir / "db.sock"

    def start(self) -> tuple[Any, ...]:
        """Seconds until it answers, and until the switch has done what the file asks for."""
        begin = time.monotonic()
        self.launch()
        answers = time.monotonic() - begin
        if self.switches:
            self.wait_applied()
        return answers, time.monotonic() - begin

    def wait_applied(self) -> None:
        with Rpc(self.socket) as rpc:
            where = {"where": [], "until": "!=", "columns": ["cur_cfg"], "rows": [{"cur_cfg": 0}]}
            transact(rpc, {"op": "wait", "table": "Open_vSwitch", "timeout": 1000 * PATIENCE_S, **where})

    def cpu_s(self) -> Any:
        """In steps of 10 ms."""
        return sum(sum(map(int, stat_fields(process.pid)[11:13])) for process in self.processes) / TICKS_PER_S

    def cpu_ns(self) -> Any:
        """Of the threads there are; some end while one looks."""
        used = 0
        for path in (path for process in self.processes for path in pathlib.Path(f"/proc/{process.pid}/task").glob("*/schedstat")):
            with contextlib.suppress(OSError):
                used += int(path.read_text().split()[0])
        return used

    def rss_mib(self) -> Any:
        def one(pid: int) -> int:
            lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
            return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])

        return sum(one(process.pid) for process in self.processes) / 1024

    def vsctl(self, *args: str) -> Any:
        done = client(self.rundir, "ovs-vsctl", "--timeout=20", *args)
        assert done.returncode == 0, f"{self.name}: ovs-vsctl {' '.join(args)}: {done.stderr}"
        return done.stdout


class Ours(Side):
    name = "vswitchd"
    options: tuple[str, ...] = ()

    def launch(self) -> None:
        daemon = Daemon(self.directory, *self.options, namespace=self.net.switch)
        daemon.spawn()
        self.processes = [daemon.process]
        wait_answers(self.socket)


class Peer(Side):
    """ovsdb-server, and ovs-vswitchd beside it."""
    name = "Open vSwitch"

    def launch(self) -> None:
        self.spawn(OVSDB_SERVER, f"--remote=punix:{self.socket}", self.database)
        wait_answers(self.socket)  # as ovs-ctl does: a switch that comes too early waits a second before it tries again
        if self.switches:
            self.spawn(OVS_VSWITCHD, "--disable-system", f"unix:{self.socket}")

    def spawn(self, program: pathlib.Path, *args: str | pathlib.Path) -> None:
        self.processes.append(subprocess.Popen(
            ["ip", "netns", "exec", self.net.switch, program, "--no-chdir", "-vconsole:off", "-vsyslog:off", "--pidfile", *args],
            env={**os.environ, "OVS_RUNDIR": str(self.rundir)}, stdin=subprocess.DEVNULL))


class PeerDatabase(Peer):
    """ovsdb-server alone: for rows in which no switch has to act."""
    name = "ovsdb-server"
    switches = False


def wait_end(process: subprocess.Popen[Any]) -> None:
    """Until it ends, at once: Popen.wait() with a timeout looks every 50 ms."""
    pidfd = os.pidfd_open(process.pid)
    try:
        assert select.select([pidfd], [], [], PATIENCE_S)[0], f"{process.args!r} does not end"
    finally:
        os.close(pidfd)
    process.wait(PATIENCE_S)


def stat_fields(pid: int) -> Any:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def wait_answers(where: Any) -> None:
    """Until the database is served there, not only the socket."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(OSError, RpcError), Rpc(where) as rpc:
            if rpc.call("get_schema", ["Open_vSwitch"], version=1):
                return
        assert time.monotonic() < deadline, f"{where} does not answer"
        time.sleep(0.001)


# ---- what is in the database

def transact(rpc: Rpc, *operations: Any) -> Any:
    results = rpc.call("transact", ["Open_vSwitch", *operations], version=1)
    wrong = [result for result in results if result and "error" in result]
    assert not wrong, wrong
    return results


def named(uuid_name: str) -> list[Any]:
    return ["named-uuid", uuid_name]


def settings(bridges: Any, ports: Any, kind: str) -> Iterator[Any]:
    """Operations for bridges with that many ports and mirrors each: 25 of them, as Open vSwitch takes no more than 32 mirrors a bridge.

    A patch port leads to the next bridge, in a VLAN of its own lest frames go round.
    """
    def port(bridge: int, number: int) -> Iterator[Any]:
        name = f"p{bridge}x{number}"
        interface: dict[str, Any] = {"name": name}
        if kind == "patch":
            interface |= {"type": "patch", "options": ["map", [["peer", f"p{bridge ^ 1}x{number}"]]]}
        yield {"op": "insert", "table": "Interface", "uuid-name": f"i{name}", "row": interface}
        yield {"op": "insert", "table": "Port", "uuid-name": name,
               "row": {"name": name, "interfaces": named(f"i{name}"), "tag": 100 + number}}

    def mirror(bridge: int, number: int) -> Iterator[Any]:
        name = f"m{bridge}x{number}"
        source = ["set", [named(f"p{bridge}x{number}")]]
        output: dict[str, Any] = {"output_vlan": 900} if kind == "patch" else {"output_port": named(f"p{bridge}x{(number + 1) % ports}")}
        yield {"op": "insert", "table": "Mirror", "uuid-name": name,
               "row": {"name": name, "select_src_port": source, "select_dst_port": source, **output}}

    for bridge in range(bridges):
        yield {"op": "insert", "table": "Interface", "uuid-name": f"il{bridge}", "row": {"name": f"br{bridge}", "type": "internal"}}
        yield {"op": "insert", "table": "Port", "uuid-name": f"pl{bridge}",
               "row": {"name": f"br{bridge}", "interfaces": named(f"il{bridge}")}}
        for number in range(ports):
            yield from port(bridge, number)
            yield from mirror(bridge, number)
        yield {"op": "insert", "table": "Bridge", "uuid-name": f"b{bridge}",
               "row": {"name": f"br{bridge}", "datapath_type": "netdev",
                       "ports": ["set", [named(f"pl{bridge}"), *(named(f"p{bridge}x{number}") for number in range(ports))]],
                       "mirrors": ["set", [named(f"m{bridge}x{number}") for number in range(ports)]]}}
    yield {"op": "insert", "table": "Open_vSwitch", "uuid-name": "root",
           "row": {"next_cfg": 1, "ovs_version": "3.1.0", "db_version": "8.3.1",  # as ovs-ctl writes
                   "bridges": ["set", [named(f"b{bridge}") for bridge in range(bridges)]]}}


def make_database(path: pathlib.Path, operations: Any) -> Any:
    """A file with these settings, written by ovsdb-server."""
    run("ovsdb-tool", "create", path, SCHEMA)
    where = path.with_suffix(".sock")
    process = subprocess.Popen([OVSDB_SERVER, "--no-chdir", "-vconsole:off", "-vsyslog:off", f"--remote=punix:{where}",
                                f"--unixctl={path}.ctl", path], stdin=subprocess.DEVNULL)
    try:
        wait_answers(where)
        with Rpc(where) as rpc:
            transact(rpc, *operations)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    return path


def make_devices(net: Net, bridges: Any, ports: Any) -> None:
    """A veth pair per port, made in one go."""
    names = [f"p{bridge}x{number}" for bridge in range(bridges) for number in range(ports)]
    lines = [f"link add {name} up type veth peer name {name}e" for name in names] + [f"link set {name}e up" for name in names]
    run("ip", "-n", net.switch, "-batch", "-", input="\n".join(lines), timeout=120)


# ---- load

def message(*operations: Any) -> Any:
    return json.dumps({"method": "transact", "params": ["Open_vSwitch", *operations], "id": "~"}, separators=(",", ":")).encode()


def echo(_: Any) -> Any:
    return [b'{"method":"echo","params":[],"id":"~"}'] * 2


def change_row(number: int, *more: Any) -> list[Any]:
    """Each client has a Queue row of its own, and sets one of its external_ids to and fro."""
    where = [["_uuid", "==", ["uuid", row_uuid(number)]]]

    def change(value: Any) -> Any:
        return message({"op": "mutate", "table": "Queue", "where": where,
                        "mutations": [["external_ids", "delete", ["set", ["x"]]], ["external_ids", "insert", ["map", [["x", value]]]]]},
                       *more)

    return [change("to"), change("fro")]


def durable(number: int) -> Any:
    return change_row(number, DURABLE)


def insert_and_delete(number: int) -> list[Any]:
    uuid = row_uuid(1000 + number)
    return [message({"op": "insert", "table": "Queue", "uuid": uuid, "row": {"dscp": number % 64}}, DURABLE),
            message({"op": "delete", "table": "Queue", "where": [["_uuid", "==", ["uuid", uuid]]]}, DURABLE)]


def row_uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def make_rows(side: Any) -> None:
    with Rpc(side.socket) as rpc:
        transact(rpc, *({"op": "insert", "table": "Queue", "uuid": row_uuid(n), "row": {}} for n in range(50)))


class Load:
    """Clients that have `depth` requests under way each. Requests are serialised beforehand and replies only counted, so that this loop
    keeps up with a server; the `echo` row shows where it would not."""

    REPLY = b'"id":"~"'

    def __init__(self, where: Any, clients: int, requests: Any, depth: int = 1) -> None:
        self.depth = depth
        self.epoll = select.epoll()
        self.clients: dict[int, list[Any]] = {}  # by file descriptor: socket, requests to come, begin of a reply
        for number in range(clients):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(str(where))
            self.epoll.register(sock, select.EPOLLIN)
            self.clients[sock.fileno()] = [sock, itertools.cycle(requests(number)), b""]

    def close(self) -> None:
        for sock, _, _ in self.clients.values():
            sock.close()
        self.epoll.close()

    def run(self, seconds: float) -> Any:
        """Requests per second."""
        begin = time.monotonic()
        end = begin + seconds
        done, open_requests, reply, depth = 0, 0, self.REPLY, self.depth
        for sock, requests, _ in self.clients.values():
            sock.sendall(b"".join(itertools.islice(requests, depth)))
            open_requests += depth
        while open_requests:
            events = self.epoll.poll(PATIENCE_S)
            assert events, "no answer"
            going_on = time.monotonic() < end
            for fd, _ in events:
                one = self.clients[fd]
                got = one[0].recv(1 << 16)
                assert got, "hung up on"
                data = one[2] + got
                count = data.count(reply)
                one[2] = data[1 - len(reply):]  # a reply may be cut anywhere
                assert b'"details"' not in data, data
                done += count
                if going_on and count:
                    one[0].sendall(next(one[1]) if count == 1 else b"".join(itertools.islice(one[1], count)))
                else:
                    open_requests -= count
        return done / (time.monotonic() - begin)


class LiveSwitch:
    """Frames from t1 to t2 that each are a flow of their own, because Open vSwitch decides once for all frames of a flow, and t3, where
    nothing but copies arrive."""

    def __init__(self, side: Any) -> None:
        self.rpc = Rpc(side.socket)
        self.hosts = {name: side.net.host(name) for name in ("t1", "t2", "t3")}
        for name in self.hosts:
            side.vsctl("add-port", "br0", name)
        self.ports = {row["name"]: row["_uuid"] for row in self.select("Port", "_uuid", "name")}
        [self.bridge] = [row["_uuid"] for row in self.select("Bridge", "_uuid")]
        self.hosts["t2"].wire.send(frame(mac(2), BROADCAST))  # learned, so that its frames go nowhere else
        self.hosts["t1"].wire.expect(1, match=lambda data: data[6:12] == mac(2))
        self.sources = itertools.count(1 << 16)
        self.rpc.call("monitor", ["Open_vSwitch", None, {"Open_vSwitch": {"columns": ["cur_cfg"]}}], version=1)

    def close(self) -> None:
        self.rpc.close()

    def select(self, table: str, *columns: Any) -> Any:
        return transact(self.rpc, {"op": "select", "table": table, "where": [], "columns": columns})[0]["rows"]

    def commit(self, *operations: Any) -> tuple[float, int]:
        """Sends a transaction that asks for a new cur_cfg; returns when it did, and that."""
        wanted = self.select("Open_vSwitch", "next_cfg")[0]["next_cfg"] + 1
        request = message(*operations, {"op": "update", "table": "Open_vSwitch", "where": [], "row": {"next_cfg": wanted}})
        begin = time.monotonic()
        self.rpc.socket.sendall(request)
        return begin, wanted

    def change_mirrors(self, how: Any, which: Any) -> dict[Any, Any]:
        return {"op": "mutate", "table": "Bridge", "where": [["_uuid", "==", self.bridge]], "mutations": [["mirrors", how, which]]}

    def mirror(self) -> tuple[Any, ...]:
        """Seconds from the commit of a mirror until the reply, until cur_cfg, and until a frame is copied (twice, for two rows)."""
        sent = self.commit(
            {"op": "insert", "table": "Mirror", "uuid-name": "m",
             "row": {"name": "m", "select_src_port": self.ports["t1"], "output_port": self.ports["t3"]}},
            self.change_mirrors("insert", named("m")))
        reply, applied, copied = self.follow(*sent, self.hosts["t3"].wire)
        [mirror] = [row["_uuid"] for row in self.select("Mirror", "_uuid")]
        self.follow(*self.commit(self.change_mirrors("delete", mirror)), None)
        time.sleep(0.05)  # for copies that are under way
        self.hosts["t3"].wire.clear()
        return reply, applied, copied, copied

    def follow(self, begin: float, wanted: int, wire: Wire | None) -> tuple[float, float, float]:
        reply: float | None = None
        applied: float | None = None
        copied: float | None = None if wire else 0
        while reply is None or applied is None or copied is None:
            assert time.monotonic() - begin < PATIENCE_S, f"reply {reply}, cur_cfg {applied}, copy {copied}"
            if copied is None:
                self.hosts["t1"].wire.send(frame(b"\x06" + next(self.sources).to_bytes(5, "big"), mac(2), bytes(46)))
            watched = [self.rpc.socket] + ([wire.sock] if wire else [])
            readable, _, _ = select.select(watched, [], [], 0.0002)
            now = time.monotonic() - begin
            if wire and wire.sock in readable and copied is None:
                copied = now
            if self.rpc.socket in readable:
                for answer in self.messages():
                    if answer.get("id") == "~":
                        assert "details" not in json.dumps(answer), answer
                        reply = now
                    elif answer.get("method") == "update" and cur_cfg_in(answer) >= wanted:
                        applied = now
        return reply, applied, copied

    def messages(self) -> Iterator[Any]:
        yield self.rpc.receive()
        while self.rpc.text.strip():
            yield self.rpc.receive()


def cur_cfg_in(update: Any) -> Any:
    return max(row["new"]["cur_cfg"] for row in update["params"][1]["Open_vSwitch"].values())


class Monitors(contextlib.AbstractContextManager):
    """Clients that monitor all tables as Open vSwitch's own do, read by a process of its own every 2 ms."""

    def __init__(self, where: Any, clients: int) -> None:
        request: dict[str, list[dict[str, Any]]] = {table: [{}] for table in json.loads(SCHEMA.read_text())["tables"]}
        self.connections = []
        for _ in range(clients):
            rpc = Rpc(where)
            self.connections.append(rpc)
            rpc.call("monitor_cond_since", ["Open_vSwitch", "all", request, "00000000-0000-0000-0000-000000000000"], version=1)
        self.reader = os.fork()
        if self.reader == 0:
            self.read()

    def read(self) -> None:
        buffer = bytearray(1 << 20)
        sockets = [rpc.socket for rpc in self.connections]
        for sock in sockets:
            sock.setblocking(False)
        try:
            while True:
                time.sleep(0.002)
                for sock in sockets:
                    with contextlib.suppress(BlockingIOError):
                        if sock.recv_into(buffer) == 0:
                            os._exit(1)  # hung up on
        finally:
            os._exit(2)

    def __exit__(self, *exception: object) -> None:
        ended, _ = os.waitpid(self.reader, os.WNOHANG)
        if not ended:
            os.kill(self.reader, signal.SIGKILL)
            os.waitpid(self.reader, 0)
        for rpc in self.connections:
            rpc.close()
        assert not ended, "a monitoring client was hung up on"


# ---- rounds and rows

def p90(values: list[float]) -> float:
    return sorted(values)[int(0.9 * (len(values) - 1) + 0.5)]


@dataclasses.dataclass
class Metric:
    name: str
    unit: str
    more_is_better: bool = False
    of: Callable[[list[float]], float] = statistics.median


class Bench:
    def __init__(self, directory: pathlib.Path, options: Any) -> None:
        self.directory = pathlib.Path(directory)
        self.options = options
        self.rows: list[Any] = []
        self.section = ""

    def database(self, bridges: Any, ports: int = 0, kind: str = "patch") -> Any:
        path = self.directory / f"{kind}{bridges}x{ports}.db"
        return path if path.exists() else make_database(path, settings(bridges, ports, kind))

    @contextlib.contextmanager
    def sides(self, peer: type[Peer], database: pathlib.Path, started: bool = True) -> Iterator[Any]:
        with contextlib.ExitStack() as stack:
            both: list[Side] = []
            kinds: tuple[type[Side], type[Side]] = (Ours, peer)
            for number, kind in enumerate(kinds):
                both.append(kind(pathlib.Path(tempfile.mkdtemp(dir=self.directory)) / str(number), database))
                stack.callback(both[-1].close)
                if started:
                    both[-1].start()
            yield both

    def compare(self, both: Any, metrics: Any, measure: Any, rounds: Any = None, warm_up: int = 1) -> None:
        """measure(side) gives a number for each metric; each round asks both sides, and who is first alternates."""
        rounds = rounds or self.options.rounds
        values: tuple[list[Any], list[Any]] = ([], [])
        for number in range(-warm_up, rounds):
            for side in ((0, 1), (1, 0))[number % 2]:
                value = measure(both[side])
                if number >= 0:
                    values[side].append(as_tuple(value))
        for at, metric in enumerate(metrics):
            ours, peer = ([value[at] for value in one] for one in values)
            mine, theirs = metric.of(ours), metric.of(peer)
            ratio = (mine / theirs if metric.more_is_better else theirs / mine) if mine and theirs else None
            self.rows.append({"section": self.section, "metric": metric.name, "unit": metric.unit, "ours": mine, "peer": theirs,
                              "ratio": ratio, "rounds": rounds, "peer_is": both[1].name, "all_ours": ours, "all_peer": peer})
            if not self.options.json:
                print(f"  {metric.name}: {number_text(mine)} {metric.unit}, {both[1].name} {number_text(theirs)}", file=sys.stderr)

    def load(self, both: Any, name: str, clients: int, requests: Any, depth: int = 1, cpu: bool = False) -> None:
        metrics = [Metric(name, "/s", True)]
        if cpu:
            metrics.append(Metric(f"{name}: processor time per 1,000", "ms"))
        loads = {side.name: Load(side.socket, clients, requests, depth) for side in both}

        def measure(side: Any) -> Any:
            before, begin = side.cpu_s(), time.monotonic()
            rate = loads[side.name].run(self.options.seconds)
            count = rate * (time.monotonic() - begin)
            return (rate, (side.cpu_s() - before) * 1e6 / count) if cpu else rate

        self.compare(both, metrics, measure)
        for load in loads.values():
            load.close()

    # ---- sections

    def transactions(self) -> None:
        """Transactions on a small database; no switch has to act"""
        with self.sides(PeerDatabase, self.database(1)) as both:
            for side in both:
                make_rows(side)
            self.load(both, "1 client", 1, change_row, cpu=True)
            self.load(both, "1 client, durable", 1, durable)
            self.load(both, "1 client, durable, 16 under way", 1, durable, depth=16)
            self.load(both, "50 clients", 50, change_row, cpu=True)
            self.load(both, "50 clients, durable", 50, durable)
            self.load(both, "50 clients, durable, insert and delete", 50, insert_and_delete)
            self.load(both, "50 clients, 16 under way each", 50, change_row, depth=16)
            self.load(both, "echo, 50 clients", 50, echo)

    def monitors(self) -> None:
        """One writer while 100 clients monitor all tables"""
        with self.sides(PeerDatabase, self.database(1)) as both:
            for side in both:
                make_rows(side)

            def measure(side: Any) -> tuple[Any, ...]:
                with Monitors(side.socket, MONITORS):
                    before, begin = side.cpu_s(), time.monotonic()
                    load = Load(side.socket, 1, change_row)
                    rate = load.run(self.options.seconds)
                    count = rate * (time.monotonic() - begin)
                    load.close()
                    return rate, (side.cpu_s() - before) * 1e3 / count

            self.compare(both, [Metric("1 client", "/s", True), Metric("1 client: processor time per 1,000", "s")], measure)

    def commands(self) -> None:
        """ovs-vsctl, and from a commit to its effect"""
        with self.sides(Peer, self.database(1)) as both:
            count = self.options.commands
            for side in both:
                make_devices(side.net, 1, count + 1)
            turns = {side.name: itertools.count() for side in both}

            def add_port(side: Any) -> Any:
                name = f"p0x{next(turns[side.name])}"
                begin = time.monotonic()
                side.vsctl("add-port", "br0", name)
                return (time.monotonic() - begin,) * 2

            def del_port(side: Any) -> Any:
                begin = time.monotonic()
                side.vsctl("del-port", "br0", f"p0x{next(turns[side.name])}")
                return time.monotonic() - begin

            def set_only(side: Any) -> Any:
                begin = time.monotonic()
                side.vsctl("--no-wait", "set", "bridge", "br0", f"external_ids:x={next(turns[side.name])}")
                return time.monotonic() - begin

            self.compare(both, [Metric("ovs-vsctl add-port, median", "ms"), Metric("ovs-vsctl add-port, 90th percentile", "ms", of=p90)],
                         in_ms(add_port), rounds=count)
            self.compare(both, [Metric("ovs-vsctl --no-wait set", "ms")], in_ms(set_only), rounds=count)
            turns.update({side.name: itertools.count() for side in both})
            self.compare(both, [Metric("ovs-vsctl del-port", "ms")], in_ms(del_port), rounds=count)
            switches = {side.name: LiveSwitch(side) for side in both}
            self.compare(both, [Metric("new mirror: commit to reply", "ms"), Metric("new mirror: commit to cur_cfg", "ms"),
                                Metric("new mirror: commit to first copy", "ms"),
                                Metric("new mirror: commit to first copy, 90th percentile", "ms", of=p90)],
                         in_ms(lambda side: switches[side.name].mirror()), rounds=count)
            for switch in switches.values():
                switch.close()

    def scale(self) -> None:
        """1,000 patch ports and 1,000 mirrors in 40 bridges"""
        database = self.database(40, 25)
        with self.sides(Peer, database, started=False) as both:
            self.start_up(both, database)
            for side in both:
                make_rows(side)
            self.load(both, "1 client", 1, change_row, cpu=True)
            self.load(both, "50 clients, durable", 50, durable, cpu=True)
            turns = itertools.count()

            def set_and_wait(side: Any) -> Any:
                begin = time.monotonic()
                side.vsctl("set", "port", "p0x0", f"external_ids:x={next(turns)}")
                return (time.monotonic() - begin) * 1e3

            self.compare(both, [Metric("ovs-vsctl set port, until cur_cfg", "ms")], set_and_wait)
            self.idle(both)

    def devices(self) -> None:
        """200 veth ports and 200 mirrors in 8 bridges"""
        database = self.database(8, 25, "veth")
        with self.sides(Peer, database, started=False) as both:
            for side in both:
                make_devices(side.net, 8, 25)
            self.start_up(both, database)

    def start_up(self, both: Any, database: pathlib.Path) -> None:
        """Each round begins with the file as it was made; both go on running after the last one."""
        def measure(side: Any) -> tuple[Any, ...]:
            begin = time.monotonic()
            side.stop()
            stopped = time.monotonic() - begin
            shutil.copy(database, side.database)
            return *side.start(), side.cpu_s(), side.rss_mib(), stopped

        self.compare(both, [Metric("start until it answers", "s"), Metric("start until the switch is set up", "s"),
                            Metric("start: processor time", "s"), Metric("resident memory", "MiB"),
                            Metric("SIGTERM until gone", "s")], measure, rounds=self.options.starts)

    def idle(self, both: Any) -> None:
        """Both at once: neither has anything to do but look after itself and write statistics."""
        before = [side.cpu_ns() for side in both]
        time.sleep(self.options.idle)
        used = {side.name: (side.cpu_ns() - ns) / 1e6 / self.options.idle for side, ns in zip(both, before)}
        self.compare(both, [Metric("idle: processor time", "ms/s")], lambda side: used[side.name], rounds=1, warm_up=0)


def as_tuple(value: Any) -> Any:
    return value if isinstance(value, tuple) else (value,)


def in_ms(measure: Any) -> Any:
    return lambda side: tuple(value * 1e3 for value in as_tuple(measure(side)))


def number_text(value: Any) -> Any:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def machine(directory: pathlib.Path) -> dict[Any, Any]:
    """What the figures depend on beside the programs."""
    return {"processors": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "fdatasync_ms": round(fdatasync_ms(directory), 2)}


def fdatasync_ms(directory: pathlib.Path) -> Any:
    """Median of appending a transaction's bytes and waiting for the disk."""
    samples = []
    with open(pathlib.Path(directory) / "sync", "wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(200))
            begin = time.monotonic()
            os.fdatasync(file)
            samples.append(time.monotonic() - begin)
    return statistics.median(samples) * 1e3


def table(rows: Any) -> Iterator[Any]:
    """For people: a line per row, a heading per section."""
    yield f"{'':56}{'':6}{'ours':>10}{'peer':>10}{'ratio':>9}"
    for section, of_section in itertools.groupby(rows, key=lambda row: row["section"]):
        group = list(of_section)
        yield f"{section} (peer: {group[0]['peer_is']})"
        for row in group:
            ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}" if row["ratio"] >= 0.1 else f"{row['ratio']:.2g}"
            yield (f"  {row['metric']:54}{row['unit']:6}{number_text(row['ours']):>10}{number_text(row['peer']):>10}{ratio:>9}"
                   f"  {row['rounds']:2} rounds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute instead of three")
    parser.add_argument("--json", action="store_true", help="rows as JSON, with what every round measured")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section; repeatable")
    parser.add_argument("--directory", help="where the databases are: below /dev/shm the disk is out of the account")
    options = parser.parse_args()
    options.rounds, options.seconds, options.starts, options.commands, options.idle = (
        (3, 0.3, 2, 11, 5) if options.quick else (7, 0.5, 3, 31, 10))
    for needed in (OVSDB_SERVER, OVS_VSWITCHD):
        if not needed.exists():
            sys.exit(f"{needed} is missing (Debian: openvswitch-switch)")
    with tempfile.TemporaryDirectory(prefix="vswitch-bench-", dir=options.directory) as directory:
        bench = Bench(pathlib.Path(directory), options)
        about = machine(pathlib.Path(directory))
        for name in options.only or SECTIONS:
            measure = getattr(bench, name)
            bench.section = measure.__doc__
            measure()
    if options.json:
        json.dump({**about, "rows": bench.rows}, sys.stdout, indent=1)
    else:
        print(f"{about['processors']} processors, load {about['load']}, fdatasync {about['fdatasync_ms']} ms")
        print("\n".join(table(bench.rows)))


SECTIONS = ("transactions", "monitors", "commands", "scale", "devices")

if __name__ == "__main__":
    main()
