# SPDX-License-Identifier: Apache-2.0
"""One client harms nobody: what it asks for is bounded in memory, time and descriptors, and only it notices.

switchd/control/README.md and switchd/base/limits.h have the bounds. The figures here are those bounds and some room.
"""
from __future__ import annotations

import contextlib
import json
import multiprocessing
import pathlib
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import SANITIZED, Daemon, Rpc, RpcError, wait_until
from switch import Lab

MIB = 1 << 20
LONG_S = 120  # for what takes long on a busy machine; nothing here measures that
ECHO_S = 1.5  # 0.1 on a quiet machine; without turns it is 5 to 17
DATABASE = "Open_vSwitch"

Make = Callable[..., Daemon]


def memory_mib(daemon: Daemon, what: str = "VmRSS") -> int:
    """VmRSS, VmHWM (the peak) or VmSize."""
    found = re.search(rf"{what}:\s+(\d+) kB", pathlib.Path(f"/proc/{daemon.pid}/status").read_text())
    assert found
    return int(found.group(1)) // 1024


class Slowest:
    """Asks for an echo all the time, from a process of its own: here, json.loads() holds the interpreter for seconds.

    .seconds is the slowest answer.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        context = multiprocessing.get_context("fork")
        self.slowest: Any = context.Value("d", 0.0)
        self.count: Any = context.Value("i", 0)
        self.done = context.Event()
        self.process = context.Process(target=self.ask)

    def ask(self) -> None:
        with Rpc(self.daemon.socket) as rpc:
            rpc.socket.settimeout(LONG_S)
            while not self.done.is_set():
                begun = time.monotonic()
                rpc.call("echo", ["there?"], version=1)
                self.slowest.value = max(self.slowest.value, time.monotonic() - begun)
                self.count.value += 1
                time.sleep(0.002)

    @property
    def seconds(self) -> float:
        return self.slowest.value

    @property
    def answers(self) -> int:
        return self.count.value

    def __enter__(self) -> Slowest:
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.process.join()


def exchange(daemon: Daemon, text: str, answers: int = 1) -> list[Any]:
    """Sends text as it is and returns the answers; fewer if the daemon hangs up."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LONG_S)
        client.connect(str(daemon.socket))
        sender = threading.Thread(target=send_all, args=(client, text))
        sender.start()
        received: list[Any] = []
        data = bytearray()
        while len(received) < answers:
            more = client.recv(1 << 20)
            if not more:
                break
            data += more
            if more[-1:] in (b"}", b"]"):
                with contextlib.suppress(ValueError):
                    received.append(json.loads(data))
                    data.clear()
        client.close()
        sender.join()
        return received


def send_all(client: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):  # it may hang up before it has read everything
        client.sendall(text.encode())


def transact(rpc: Rpc, *operations: Any) -> Any:
    rpc.socket.settimeout(LONG_S)
    return rpc.call("transact", [DATABASE, *operations], version=1)


def insert_rows(daemon: Daemon, number: int) -> None:
    with Rpc(daemon.socket) as rpc:
        transact(rpc, *({"op": "insert", "table": "Queue", "row": {"dscp": i % 64, "external_ids": ["map", [["n", str(i)]]]}}
                        for i in range(number)))


def insert_switch(daemon: Daemon) -> None:
    with Rpc(daemon.socket) as rpc:
        if not transact(rpc, {"op": "select", "table": DATABASE, "where": []})[0]["rows"]:
            transact(rpc, {"op": "insert", "table": DATABASE, "row": {}})


def batch(number: int) -> str:
    return json.dumps([{"jsonrpc": "2.0", "id": i, "method": "rpc.discover"} for i in range(number)])


def wait_operation(values: int) -> dict[str, Any]:
    """It never comes true, and its values are small: they take much more memory than text."""
    return {"op": "wait", "table": "Queue", "where": [["external_ids", "includes", ["map", [[f"k{i}", "v"] for i in range(values)]]]],
            "columns": ["dscp"], "until": "==", "rows": [{"dscp": 63}]}


def request(request_id: int, *operations: Any) -> str:
    return json.dumps({"id": request_id, "method": "transact", "params": [DATABASE, *operations]})


def parked(request_id: int, values: int) -> str:
    return request(request_id, wait_operation(values))


def alive(daemon: Daemon) -> None:
    assert daemon.runs(), daemon.log_text()
    assert daemon.rpc("echo", ["x"], version=1) == ["x"]


@pytest.mark.skipif(SANITIZED, reason="memory and time of a build with sanitizers are not the program's")
def test_a_batch_is_bounded_and_others_are_answered_meanwhile(daemon: Daemon) -> None:
    before = memory_mib(daemon)
    with Slowest(daemon) as other:
        answers = exchange(daemon, batch(10_000))[0]
    print(f"peak {memory_mib(daemon, 'VmHWM')} MiB, slowest echo {other.seconds * 1000:.0f} ms of {other.answers}")
    refused = [answer for answer in answers if "error" in answer]
    assert "the answers of this batch exceed 64 MiB; split it" in refused[0]["error"]["message"]
    assert "requests were not executed" in answers[-1]["error"]["message"] and answers[-1]["id"] is None
    assert memory_mib(daemon, "VmHWM") < before + 300
    assert other.seconds < ECHO_S
    wait_until(lambda: memory_mib(daemon) < before + 40, "the memory is given back")


@pytest.mark.skipif(SANITIZED, reason="memory and time of a build with sanitizers are not the program's")
def test_the_results_of_a_transaction_are_bounded(daemon: Daemon) -> None:
    insert_rows(daemon, 2000)
    before = memory_mib(daemon)
    select = {"op": "select", "table": "Queue", "where": []}
    results = exchange(daemon, request(1, *[select] * 2000))[0]["result"]
    refused = [result for result in results if result and "error" in result]
    assert refused[0]["error"] == "resources exhausted"
    assert "exceed 256 MiB of memory; select fewer rows or columns, or split it" in refused[0]["details"]
    print(f"peak {memory_mib(daemon, 'VmHWM')} MiB")
    assert memory_mib(daemon, "VmHWM") < before + 1000
    assert len(exchange(daemon, request(2, *[select] * 20))[0]["result"][19]["rows"]) == 2000
    wait_until(lambda: memory_mib(daemon) < before + 60, "the memory is given back")


@pytest.mark.skipif(SANITIZED, reason="memory and time of a build with sanitizers are not the program's")
def test_parked_requests_of_one_client_are_bounded(daemon: Daemon) -> None:
    before = memory_mib(daemon)
    with Rpc(daemon.socket) as rpc:
        rpc.socket.settimeout(LONG_S)
        for i in range(24):
            rpc.socket.sendall(parked(i, 300_000).encode())  # 4 MiB of text each
        refused = rpc.receive()
        assert refused["error"]["error"] == "resources exhausted"
        assert "the requests and answers of this client exceed 256 MiB of memory" in refused["error"]["details"]
        assert rpc.call("echo", ["on"], version=1) == ["on"], "the connection goes on"
        print(f"peak {memory_mib(daemon, 'VmHWM')} MiB")
        assert memory_mib(daemon, "VmHWM") < before + 800
        alive(daemon)
    wait_until(lambda: memory_mib(daemon) < before + 60, "the memory is given back")


def limited(make_daemon: Make, address_space_mib: int) -> Daemon:
    """A daemon that gets so much more address space than it takes at the start."""
    daemon = make_daemon().start()
    size = (memory_mib(daemon, "VmSize") + address_space_mib) * MIB
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, (size, size))
    return daemon


@pytest.mark.skipif(SANITIZED, reason="memory and time of a build with sanitizers are not the program's")
@pytest.mark.parametrize("room_mib", [5, 30, 80, 200])
def test_too_little_memory_ends_requests_and_not_the_switch(make_daemon: Make, room_mib: int) -> None:
    daemon = limited(make_daemon, room_mib)
    requests = [batch(4000), parked(1, 300_000), json.dumps([0] * 4_000_000), "[" + "[" * 900 + "1" + "]" * 901,
                json.dumps({"id": 1, "method": "echo", "params": [[]] * 1_500_000}),
                json.dumps({"id": 1, "method": "echo", "params": ["x" * (15 * MIB)]}),
                json.dumps({"id": 1, "method": "transact", "params": [DATABASE, *[{"op": "insert", "table": "Queue", "row": {
                    "external_ids": ["map", [["k", "v" * (MIB // 4)]]]}}] * 40]})]
    for round_number in range(3):
        with contextlib.ExitStack() as open_clients:
            for text in requests:
                client = open_clients.enter_context(socket.socket(socket.AF_UNIX))
                client.settimeout(5)
                client.connect(str(daemon.socket))
                send_all(client, text)
                with contextlib.suppress(OSError):
                    client.recv(100)
            assert daemon.runs(), f"round {round_number}\n{daemon.log_text()}"
        wait_until(lambda: daemon.serves(), "it serves")
    alive(daemon)
    insert_rows(daemon, 1)
    assert daemon.stop() == 0, daemon.log_text()


def seconds_of_mutations(daemon: Daemon, number: int) -> float:
    insert_switch(daemon)
    operations = [{"op": "mutate", "table": DATABASE, "where": [], "mutations": [["external_ids", "insert", ["map", [[f"x{i}", "1"]]]]]}
                  for i in range(number)]
    with Rpc(daemon.socket) as rpc:
        begun = time.monotonic()
        assert transact(rpc, *operations)[-1] == {"count": 1}
        took = time.monotonic() - begun
        rows = transact(rpc, {"op": "select", "table": DATABASE, "where": [], "columns": ["external_ids"]})[0]["rows"]
        assert len(rows[0]["external_ids"][1]) == number
        return took


def test_many_mutations_of_one_row_take_time_in_proportion(make_daemon: Make) -> None:
    took = {}
    for number in (2000, 4000, 8000, 16_000):
        daemon = make_daemon().start()
        took[number] = seconds_of_mutations(daemon, number)
        daemon.end()
    print(", ".join(f"{number}: {seconds:.2f} s" for number, seconds in took.items()))
    assert took[16_000] < 10, "with the square of the number, it took 20 s"


def test_others_are_answered_while_waits_are_tried_again(daemon: Daemon) -> None:
    insert_rows(daemon, 2000)
    wait = {"op": "wait", "table": "Queue", "where": [], "columns": ["dscp"], "until": "==", "rows": [{"dscp": 63}]}
    with Rpc(daemon.socket) as rpc, Rpc(daemon.socket) as writer:
        send_all(rpc.socket, "".join(json.dumps({"id": i, "method": "transact", "params": [DATABASE, wait]}) for i in range(2000)))
        assert rpc.call("echo", ["all are parked"], version=1)
        with Slowest(daemon) as other:
            for i in range(3):
                transact(writer, {"op": "insert", "table": "Queue", "row": {"dscp": i}})
            time.sleep(1)
        print(f"slowest echo {other.seconds * 1000:.0f} ms of {other.answers}")
        assert other.seconds < ECHO_S


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lab = Lab(tmp_path)
    with lab:
        lab.host("n1", "10.0.0.1")
        yield lab
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_idle_clients_leave_descriptors_for_ports(lab: Lab) -> None:
    daemon = lab.daemon
    assert daemon.stop() == 0
    daemon.inside += ["prlimit", "--nofile=96:96"]  # it has some fifty of its own
    daemon.start()
    lab.wait_port("n1", "active")
    with contextlib.ExitStack() as idle:
        for _ in range(60):
            client = idle.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(daemon.socket))
        wait_until(lambda: "client refused: limit of 24 clients reached" in daemon.log_text(), "the log says that clients are refused")
        lab.net.switch_run("ip", "link", "del", "n1")
        wait_until(lambda: "n1" not in lab.net.switch_run("ip", "-br", "link").stdout, "it is gone")
        time.sleep(1)
        lab.net.switch_run("ip", "link", "add", "n1", "type", "veth", "peer", "name", "n1x")
        lab.net.switch_run("ip", "link", "set", "n1", "up")
        attached = "n1: attached"
        wait_until(lambda: daemon.log_text().count(attached) >= 3, "the port is back while the clients are there")
        assert "Too many open files" not in daemon.log_text()


def test_a_client_that_asks_for_too_much_at_once_is_told_why(daemon: Daemon) -> None:
    with Rpc(daemon.socket) as rpc, pytest.raises(RpcError) as refused:
        transact(rpc, *[0] * 100_001)
    assert refused.value.error == {"error": "resources exhausted",
                                   "details": "the transaction has 100001 operations, and 100000 are allowed; split it"}
