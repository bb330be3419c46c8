# SPDX-License-Identifier: Apache-2.0
"""What a running daemon may still do: its capabilities, its user and its system calls, of every thread."""
from __future__ import annotations

import copy
import json
import os
import pathlib
import pwd
import random
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import FAST_PATH, PATIENCE_S, SANITIZED, Daemon, Rpc, RpcError, wait_until
from net import Host, Net, run
from switch import Lab

NEEDED = {"net_admin": 12, "net_raw": 13, "perfmon": 38, "bpf": 39}  # capabilities(7): name and bit
ALL_NEEDED = sum(1 << bit for bit in NEEDED.values())
SEED = int(os.environ.get("VSWITCH_SEED", "15"))
REQUESTS = int(os.environ.get("VSWITCH_REQUESTS", "3000"))

Status = dict[str, str]


def threads_of(pid: int) -> list[Status]:
    """/proc/PID/task/*/status, of each thread."""
    statuses = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        statuses.append({key: value.strip() for key, _, value in (line.partition(":") for line in lines)})
    return statuses


def assert_confined(pid: int) -> set[str]:
    """All threads are; returns their names."""
    statuses = threads_of(pid)
    for status in statuses:
        for which in ("CapPrm", "CapEff"):
            assert int(status[which], 16) == ALL_NEEDED, (status["Name"], which, status[which])
        for which in ("CapInh", "CapBnd", "CapAmb"):
            assert int(status[which], 16) == 0, (status["Name"], which, status[which])
        assert status["NoNewPrivs"] == "1", status
        assert SANITIZED or status["Seccomp"] == "2", status
    return {status["Name"] for status in statuses}


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1 = lab.host("t1", "10.95.5.1")
        lab.t2 = lab.host("t2", "10.95.5.2")
        lab.t3 = lab.host("t3")
        yield lab


@pytest.fixture
def open_directory() -> Iterator[pathlib.Path]:
    """One that every user may enter, unlike tmp_path."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="vswitch-confined-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def test_every_thread_has_the_needed_capabilities_and_a_filter(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1", "--output", "t3")
    lab.t1.ping("10.95.5.2", 3)
    names = assert_confined(lab.daemon.pid)
    assert {"vswitchd", "worker", "mirror", "echo"} <= names, names
    said = lab.rpc("system.info")["privileges"]
    assert said == {"user": "root", "capabilities": sorted(NEEDED, key=lambda name: NEEDED[name]),
                    "system_calls": "all" if SANITIZED else "filtered", "missing": []}


def test_confine_off_leaves_everything_and_says_so(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    daemon.confine = "off"
    daemon.start()
    ours = int(pathlib.Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
    for status in threads_of(daemon.pid):
        assert (int(status["CapEff"], 16), status["NoNewPrivs"], status["Seccomp"]) == (ours, "0", "0"), status
    assert "--confine off: a flaw in the daemon would be one in the whole host" in daemon.log_text()
    assert daemon.rpc("system.info")["privileges"]["system_calls"] == "all"


@pytest.mark.parametrize("capability", NEEDED)
def test_a_missing_capability_has_its_sentence(make_daemon: Callable[..., Daemon], capability: str) -> None:
    daemon = make_daemon()
    daemon.inside = ["setpriv", f"--bounding-set=-{capability}", "--inh-caps=-all"]
    daemon.start()
    [sentence] = daemon.rpc("system.info")["privileges"]["missing"]
    assert sentence.startswith(f"CAP_{capability.upper()} is missing: ")
    assert f"WARN|{sentence}\n" in daemon.log_text()
    assert f"notice: {sentence}\n" in daemon.ctl("version").stdout
    assert capability not in daemon.rpc("system.info")["privileges"]["capabilities"]
    assert daemon.rpc("system.stats")["fast_path"]["off"], "it is tried out with all of them"


def test_with_user_it_becomes_that_user_and_the_switch_works(open_directory: pathlib.Path) -> None:
    nobody = pwd.getpwnam("nobody")
    with Net() as net:
        daemon = Daemon(open_directory, "--user", "nobody", "--group", "daemon", namespace=net.switch)
        daemon.database = open_directory / "db" / "conf.db"
        daemon.start()
        try:
            daemon.ctl("add-br", "br0")
            hosts: list[Host] = []
            for number in (1, 2):
                hosts.append(net.host(f"t{number}", f"10.95.6.{number}"))
                daemon.ctl("add-port", "br0", f"t{number}")
            run("ip", "-n", net.switch, "link", "set", "br0", "up")
            run("ip", "-n", net.switch, "addr", "add", "10.95.6.9/24", "dev", "br0")
            hosts[0].ping("10.95.6.2", 3)
            hosts[1].ping("10.95.6.9")
            assert_confined(daemon.pid)
            for status in threads_of(daemon.pid):
                assert set(status["Uid"].split()) == {str(nobody.pw_uid)}, status
                assert set(status["Gid"].split()) == {str(nobody.pw_gid)}, status
            assert daemon.rpc("system.info")["privileges"]["user"] == "nobody"
            assert ("off" in daemon.rpc("system.stats")["fast_path"]) == (not FAST_PATH)
            daemon.ctl("compact")  # needs the directory
            for path in (daemon.rundir, daemon.socket, daemon.database):
                assert path.stat().st_uid == nobody.pw_uid, path
            assert daemon.socket.group() == "daemon"
            daemon.ovs("ovs-vsctl", "set-manager", "punix:" + str(daemon.rundir / "later.sock"))
            wait_until(lambda: (daemon.rundir / "later.sock").exists(), "the manager's socket is there")
            wait_until(lambda: (daemon.rundir / "later.sock").group() == "daemon", "and belongs to the group")
            assert daemon.restart().ctl("list-ports", "br0").stdout.split().count("t1") == 1
            hosts[0].ping("10.95.6.2")
        finally:
            daemon.end()


def test_a_user_that_cannot_be_had_is_a_reason_not_to_start(make_daemon: Callable[..., Daemon], open_directory: pathlib.Path) -> None:
    daemon = make_daemon("--user", "no-such-user")
    daemon.spawn()
    assert daemon.process.wait(PATIENCE_S) == 1
    assert 'no user "no-such-user" on this host' in daemon.log_text()
    root_only = open_directory / "root-only"
    root_only.mkdir(mode=0o700)
    other = make_daemon("--user", "nobody")
    other.rundir = root_only / "run"
    other.spawn()
    assert other.process.wait(PATIENCE_S) == 1
    assert "Permission denied" in other.log_text()


# Requests of all kinds, most of them wrong


class Fuzzer:
    """Takes the examples of the contract apart and puts them together wrongly; the same for a given seed."""

    ATOMS: list[Any] = [None, True, False, 0, -1, 1, 4095, 4096, 2 ** 31, 2 ** 63, 1.5, "", "br0", "t1", "s", "no-such",
                        "\u7aef", "x" * 300, "a\0b", "/dev/null", "../../etc/passwd", "*", [], {}, [[]], [None], {"": None}]

    def __init__(self, seed: int, contract: Any) -> None:
        self.random = random.Random(seed)
        self.methods: list[tuple[str, Any]] = []
        for method in contract["methods"]:
            for example in method.get("examples", []):
                params = {param["name"]: param["value"] for param in example.get("params", [])}
                self.methods.append((method["name"], params))

    def mutated(self, value: Any) -> Any:
        chance = self.random.random()
        if chance < 0.15:
            return copy.deepcopy(self.random.choice(self.ATOMS))
        if isinstance(value, dict):
            result = {key: self.mutated(one) for key, one in value.items() if self.random.random() > 0.05}
            if chance > 0.95:
                result[str(self.random.choice(["name", "bridge", "sources", "zz"]))] = copy.deepcopy(self.random.choice(self.ATOMS))
            return result
        if isinstance(value, list):
            return [self.mutated(one) for one in value for _ in range(self.random.choice((1, 1, 1, 0, 2)))]
        if isinstance(value, str) and chance > 0.8:
            at = self.random.randrange(len(value) + 1)
            return value[:at] + self.random.choice(["", "\x01", "9", ":", "\u00e9"]) + value[at + 1:]
        return value

    def request(self) -> tuple[str, Any]:
        name, params = self.random.choice(self.methods)
        return name, params if self.random.random() < 0.2 else self.mutated(params)

    def transaction(self) -> list[Any]:
        table = self.random.choice(["Bridge", "Port", "Interface", "Mirror", "Open_vSwitch", "Manager", "Nope"])
        column = self.random.choice(["name", "external_ids", "other_config", "status", "mirrors", "options", "target", "type"])
        atom = self.random.choice(self.ATOMS)
        operation = self.random.choice(["select", "insert", "update", "mutate", "delete", "wait", "comment", "abort"])
        return ["Open_vSwitch", self.mutated({
            "op": operation, "table": table, "where": [[column, "==", atom]], "row": {column: self.random.choice(self.ATOMS)},
            "columns": [column], "mutations": [[column, "insert", atom]], "until": "==", "rows": [], "timeout": 0})]


def test_no_request_makes_the_daemon_ask_for_what_it_may_not(lab: Lab) -> None:
    """With the strict filter, a system call that it does not name kills the process."""
    lab.mirror("s", "--source", "t1", "--output", "t3")
    daemon = lab.daemon
    fuzzer = Fuzzer(SEED, daemon.rpc("rpc.discover"))
    answers = {"good": 0, "refused": 0}
    rpc = daemon.connect()
    for number in range(REQUESTS):
        method, params = fuzzer.request()
        if fuzzer.random.random() < 0.3:
            method, params = "transact", fuzzer.transaction()
        if method == "mirror.explain" and isinstance(params, dict) and "next" in params:
            continue  # waits for a frame
        try:
            rpc.call(method, params, version=1 if method == "transact" else 2)
            answers["good"] += 1
        except RpcError:
            answers["refused"] += 1
        except (AssertionError, OSError):  # it may hang up on nonsense, but not die
            assert daemon.runs(), f"request {number} (VSWITCH_SEED={SEED}): {method} {json.dumps(params)}\n{daemon.log_text()[-2000:]}"
            rpc.close()
            rpc = daemon.connect()
    rpc.close()
    assert min(answers.values()) > REQUESTS / 20, answers
    assert daemon.runs() and daemon.serves()
    assert_confined(daemon.pid)


def test_bytes_that_are_no_requests_do_not_kill_it(lab: Lab) -> None:
    chance = random.Random(SEED)
    operator = lab.daemon.rundir / f"ovs-vswitchd.{lab.daemon.pid}.ctl"
    good = b'{"method":"echo","params":[1],"id":1}'
    for number in range(300):
        data = bytearray(good * 3) if number % 2 else bytearray(chance.randbytes(chance.randrange(1, 4096)))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(operator if number % 3 == 0 else lab.daemon.socket))
            try:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                while client.recv(1 << 16):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass
        assert lab.daemon.runs(), f"input {number} (VSWITCH_SEED={SEED}): {bytes(data)!r}"
    assert lab.daemon.serves()


@pytest.mark.skipif(not shutil.which("ovs-appctl"), reason="needs openvswitch-common")
def test_every_operator_command_is_survived(lab: Lab) -> None:
    commands = [line.split()[0] for line in lab.daemon.ovs("ovs-appctl", "list-commands").stdout.splitlines()[1:] if line.strip()]
    tried = 0
    for command in commands:
        if command == "exit":
            continue
        for line in ("", "br0", "br0 t1", "../x \u7aef -1"):
            lab.daemon.ovs("ovs-appctl", command, *line.split(), check=False)
            tried += 1
        assert lab.daemon.runs(), command
    assert tried > 100
    assert lab.daemon.serves()
    with Rpc(lab.daemon.socket) as rpc:
        assert rpc.call("echo", [1], version=1) == [1]
