# SPDX-License-Identifier: Apache-2.0
"""Whatever one client asks for, the `echo` of others is answered within 100 ms (switchd/control/echo_thread.h)."""
from __future__ import annotations

import contextlib
import json
import multiprocessing
import pathlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import SANITIZED, Daemon, Where

MIB = 1 << 20
DATABASE = "Open_vSwitch"
ROWS = 90_000
LONG_S = 120  # for what takes long on a busy machine
PERIOD_S = 0.01
ECHO_S = 0.1
MACHINE = "this machine"
ECHOES = [b'{"id":1,"method":"echo","params":["there?"]}', b'{"jsonrpc":"2.0","id":1,"method":"echo"}']


def connected(where: Where) -> socket.socket:
    client = socket.socket(socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX)
    client.settimeout(LONG_S)
    client.connect(where if isinstance(where, tuple) else str(where))
    return client


def ask(client: socket.socket, request: bytes) -> None:
    client.sendall(request)
    answer = b""
    while not answer.endswith(b"}"):
        more = client.recv(4096)
        assert more, "the daemon hung up"
        answer += more
    assert b'"result"' in answer


class Prober:
    """Asks for an echo every 10 ms, over one connection or over a new one each time, from a process of its own.

    Both dialects take turns.
    """

    def __init__(self, where: Where, anew: bool) -> None:
        self.where, self.anew = where, anew
        context = multiprocessing.get_context("fork")
        self.done = context.Event()
        self.here, self.there = context.Pipe()
        self.process = context.Process(target=self.run, daemon=True)
        self.process.start()
        assert self.here.recv() == "ready"

    def run(self) -> None:
        seconds: list[float] = []
        client = connected(self.where)
        ask(client, ECHOES[0])
        self.there.send("ready")
        while not self.done.is_set():
            begun = time.monotonic()
            if self.anew:
                client.close()
                client = connected(self.where)
            ask(client, ECHOES[len(seconds) % 2])
            seconds.append(time.monotonic() - begun)
            time.sleep(max(0.001, begun + PERIOD_S - time.monotonic()))
        client.close()
        self.there.send(seconds)

    def end(self) -> list[float]:
        """The seconds that each echo took."""
        self.done.set()
        assert self.here.poll(LONG_S)
        seconds: list[float] = self.here.recv()
        self.process.join()
        return seconds


@contextlib.contextmanager
def something_that_does_nothing_else(where: pathlib.Path) -> Iterator[None]:
    """It answers one client. Whom this machine does not let answer in time is no fault of the daemon."""
    def run(listening: socket.socket) -> None:
        client, _ = listening.accept()
        while client.recv(4096):
            client.sendall(b'{"result":[]}')

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(where))
        listening.listen()
        process = multiprocessing.get_context("fork").Process(target=run, args=(listening,), daemon=True)
        process.start()
        try:
            yield
        finally:
            process.join(LONG_S)


@contextlib.contextmanager
def probing(daemon: Daemon, port: int) -> Iterator[dict[str, list[float]]]:
    """Probers of the daemon, and MACHINE; what they found is there at the end."""
    found: dict[str, list[float]] = {}
    path = daemon.directory / "nothing.sock"
    with something_that_does_nothing_else(path):
        places: dict[str, Where] = {"unix": daemon.socket, "tcp": ("127.0.0.1", port)}
        probers = {f"{name}{', anew' if anew else ''}": Prober(where, anew)
                   for name, where in places.items() for anew in (False, True)}
        probers[MACHINE] = Prober(path, False)
        try:
            yield found
        finally:
            found.update({name: prober.end() for name, prober in probers.items()})


def exchange(daemon: Daemon, *messages: str) -> float:
    """Sends them all at once over a connection of their own, and waits until the last one is answered. Returns the seconds."""
    last = b'"id":"the end"'
    text = "".join(messages).encode() + b'{"jsonrpc":"2.0","id":"the end","method":"get_nothing"}'
    with connected(daemon.socket) as client:
        begun = time.monotonic()
        sender = threading.Thread(target=client.sendall, args=(text,))
        sender.start()
        tail = b""
        while last not in tail:
            more = client.recv(MIB)
            assert more, "the daemon hung up"
            tail = tail[-200:] + more
        sender.join()
        return time.monotonic() - begun


def request(method: str, *params: Any) -> str:
    return json.dumps({"id": 1, "method": method, "params": [*params]})


def transact(*operations: Any) -> str:
    return request("transact", DATABASE, *operations)


def inserts() -> str:
    return transact(*({"op": "insert", "table": "Queue", "row": {"dscp": i % 64, "external_ids": ["map", [["n", str(i)]]]}}
                      for i in range(ROWS)))


def waits() -> list[str]:
    """Transactions that wait, tried again after the commit that comes last."""
    wait = {"op": "wait", "table": "Queue", "where": [], "columns": ["dscp"], "until": "==", "rows": [{"dscp": 63}], "timeout": 3000}
    return [transact(wait)] * 20 + [transact({"op": "insert", "table": "Queue", "row": {"dscp": 1}})]


# What a client asks for, and whether there are rows before.
WORST: dict[str, tuple[bool, Callable[[], list[str]]]] = {
    "a large transaction": (False, lambda: [inserts()]),
    "large transactions, one after the other": (False, lambda: [inserts(), inserts()]),
    "all rows selected": (True, lambda: [transact({"op": "select", "table": "Queue", "where": []})]),
    "all rows monitored": (True, lambda: [request("monitor", DATABASE, "m", {"Queue": [{}]})]),
    "all rows changed": (True, lambda: [transact({"op": "update", "table": "Queue", "where": [], "row": {"dscp": 7}})]),
    "all rows deleted": (True, lambda: [transact({"op": "delete", "table": "Queue", "where": []})]),
    "many waits": (True, waits),
    "a message of short values": (False, lambda: [request("list_dbs", *[0] * (5 * MIB))]),
    "an echo of short values": (False, lambda: [request("echo", *[0] * (5 * MIB))]),
    "a batch": (False, lambda: [json.dumps([{"jsonrpc": "2.0", "id": i, "method": "rpc.discover"} for i in range(5000)])]),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.skipif(SANITIZED, reason="the time of a build with sanitizers is not the program's")
@pytest.mark.parametrize("what", WORST)
def test_the_echo_of_others_is_answered_meanwhile(make_daemon: Callable[..., Daemon], what: str) -> None:
    port = free_port()
    daemon = make_daemon("--remote", f"ptcp:{port}").start()
    has_rows, make = WORST[what]
    if has_rows:
        exchange(daemon, inserts())
    messages = make()
    with probing(daemon, port) as found:
        time.sleep(0.2)
        took = exchange(daemon, *messages)
        time.sleep(0.2)
    for name, seconds in found.items():
        ordered = sorted(seconds)
        print(f"{what}, {took:.2f} s: {name}: {len(seconds)} echoes, median {ordered[len(seconds) // 2] * 1000:.1f} ms, "
              f"slowest {', '.join(f'{each * 1000:.0f}' for each in ordered[:-4:-1])} ms")
    for name, seconds in found.items():
        assert len(seconds) > 20, name
        # The processors may have other work at one moment. An echo that waits for the request takes 0.66 s at least.
        slowest, second = sorted(seconds)[:-3:-1]
        assert second < ECHO_S + max(found[MACHINE]), f"{what}: {name}"
        assert slowest < 3 * ECHO_S + max(found[MACHINE]), f"{what}: {name}"
