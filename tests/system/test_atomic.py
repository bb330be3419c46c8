# SPDX-License-Identifier: Apache-2.0
"""Sessions changed a thousand times a second under traffic: a frame sees the old settings or the new, and other sessions see nothing."""
from __future__ import annotations

import json
import pathlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from net import BROADCAST, frame, mac
from switch import Lab

CHANGES = 3000
PERIOD_S = 0.0008   # between changes, whether those before are answered or not
UNDER_WAY = 64      # at most; a daemon that cannot keep up is waited for
APPLIED = 1000      # changes that reached the datapath one by one; below this the test has shown nothing
PATIENCE_S = 120


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        for name in ("t1", "t2", "one", "two", "other"):
            setattr(lab, name, lab.host(name))
        lab.t2.wire.send(frame(mac(2), BROADCAST))
        for host in (lab.t1, lab.one, lab.two, lab.other):
            host.wire.expect(1)
            host.wire.clear()
        for name in ("one", "two", "other"):
            lab.mirror(name, "--source", "t1:from", "--output", name, "--snaplen", "60")
        yield lab


class Stream:
    """JSON values over the control socket, both ways."""

    def __init__(self, lab: Lab) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(lab.daemon.rundir / "db.sock"))
        self.text = ""
        self.decoder = json.JSONDecoder()

    def send(self, method: str, params: Any, request: str | int) -> None:
        self.sock.sendall(json.dumps({"method": method, "params": params, "id": request}).encode())

    def next(self) -> Any:
        """The next value, or None when the connection is closed."""
        while True:
            self.text = self.text.lstrip()
            if self.text:
                try:
                    value, end = self.decoder.raw_decode(self.text)
                    self.text = self.text[end:]
                    return value
                except json.JSONDecodeError:
                    pass
            data = self.sock.recv(65536)
            if not data:
                return None
            self.text += data.decode()


class Changes:
    """Transactions of two updates each, to and fro, at a steady pace and without waiting for the answers.

    Each counts next_cfg up; what of it appears in cur_cfg, seen by a monitor, has reached the datapath. Commits that come together
    are applied together, so the pace is what has them applied one by one.
    """

    def __init__(self, lab: Lab, a: Any, b: Any) -> None:
        self.settings = (a, b)
        self.answered = 0
        self.applied: list[Any] = []  # values of cur_cfg
        self.failures: list[Any] = []
        self.room = threading.Semaphore(UNDER_WAY)
        self.client = Stream(lab)
        self.monitor = Stream(lab)
        self.monitor.send("monitor", ["Open_vSwitch", "m", {"Open_vSwitch": {"columns": ["cur_cfg"], "select": {"initial": False}}}], "m")
        self.monitor.next()
        self.begin = time.monotonic()
        self.seconds = 0.0
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.ask, self.hear, self.watch)]
        for thread in self.threads:
            thread.start()

    def ask(self) -> None:
        due = time.monotonic()
        for n in range(CHANGES):
            operations = [{"op": "update", "table": "Mirror", "where": [["name", "==", name]], "row": row}
                          for name, row in self.settings[n % 2].items()]
            operations.append({"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]})
            if not self.room.acquire(timeout=PATIENCE_S):
                self.failures.append(f"no answer makes room for change {n}")
                return
            self.client.send("transact", ["Open_vSwitch", *operations], n)
            due = max(due + PERIOD_S, time.monotonic() - 10 * PERIOD_S)
            time.sleep(max(0, due - time.monotonic()))

    def hear(self) -> None:
        while self.answered < CHANGES:
            reply = self.client.next()
            if reply is None or reply["error"] is not None or [part.get("count") for part in reply["result"]] != [1, 1, 1]:
                self.failures.append(reply)
                return
            self.answered += 1
            self.room.release()
        self.seconds = time.monotonic() - self.begin

    def watch(self) -> None:
        while (update := self.monitor.next()) is not None:
            row, = update["params"][1]["Open_vSwitch"].values()
            self.applied.append(row["new"]["cur_cfg"])

    def under_way(self) -> bool:
        return self.threads[1].is_alive() and not self.failures

    def end(self) -> None:
        """Waits for the last answer and its cur_cfg, says how fast it was, and checks that all were made."""
        self.threads[1].join(PATIENCE_S)
        deadline = time.monotonic() + 5
        while not (self.applied and self.applied[-1] - self.applied[0] >= CHANGES - 1) and time.monotonic() < deadline:
            time.sleep(0.01)
        for stream in (self.client, self.monitor):
            stream.sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(5)
        for stream in (self.client, self.monitor):
            stream.sock.close()
        assert not self.failures and self.answered == CHANGES, (self.answered, self.failures)
        print(f"{CHANGES} transactions in {self.seconds:.2f} s, {CHANGES / self.seconds:.0f} a second, "
              f"applied one after the other in {len(self.applied)} steps, {len(self.applied) / self.seconds:.0f} a second")
        assert self.applied == sorted(set(self.applied)), "cur_cfg only grows"
        assert len(self.applied) >= APPLIED, f"only {len(self.applied)} changes took effect by themselves"


def numbered(n: int, destination: bytes) -> bytes:
    return frame(mac(1), destination, n.to_bytes(4, "big") + bytes(100))


def number_in(copy: bytes) -> int:
    return int.from_bytes(copy[14:18], "big")


def stream(lab: Lab, changes: Changes, destination: bytes) -> int:
    """Sends frames in small groups as long as changes are under way; returns how many."""
    sent = 0
    while changes.under_way():
        lab.t1.wire.send(*[numbered(sent + n, destination) for n in range(4)])
        sent += 4
        time.sleep(0.002)
        if sent % 256 == 0:
            for host in (lab.t2, lab.one, lab.two, lab.other):
                host.wire.wait(0)  # empties the socket
    return sent


to_group_or_address = pytest.mark.parametrize("destination", [BROADCAST, mac(2)], ids=["group", "address"])


@to_group_or_address
def test_two_sessions_changed_together_never_mix(lab: Lab, destination: bytes) -> None:
    changes = Changes(lab, {"one": {"snaplen": 60}, "two": {"snaplen": 60}}, {"one": {"snaplen": 80}, "two": {"snaplen": 80}})
    try:
        sent = stream(lab, changes, destination)
    finally:
        changes.end()
    lab.other.wire.expect(sent)
    at_a = {number_in(copy): len(copy) for copy in lab.one.wire.settle(sent)}
    at_b = {number_in(copy): len(copy) for copy in lab.two.wire.settle(sent)}
    assert len(at_a) == len(lab.one.wire.frames) == sent
    assert at_a == at_b, "a frame that one session saw with the old settings and the other with the new"
    assert set(at_a.values()) == {60, 80}
    assert [number_in(copy) for copy in lab.other.wire.settle(sent)] == list(range(sent)), "the session that nobody touched"
    for session in ("one", "two", "other"):
        assert lab.account(session)["delivered"] == lab.account(session)["matched"] == sent


@to_group_or_address
def test_of_two_sessions_one_is_always_on(lab: Lab, destination: bytes) -> None:
    on, off = {"enabled": ["set", []]}, {"enabled": False}
    lab.ctl("disable-mirror", "br0", "two")
    changes = Changes(lab, {"one": off, "two": on}, {"one": on, "two": off})
    try:
        sent = stream(lab, changes, destination)
    finally:
        changes.end()
    lab.other.wire.expect(sent)
    at_a = [number_in(copy) for copy in lab.one.wire.settle()]
    at_b = [number_in(copy) for copy in lab.two.wire.settle()]
    # A session that is off reserves nothing: its port gets the production frame then, which is not cut.
    at_a = [n for n, copy in zip(at_a, lab.one.wire.frames) if len(copy) == 60]
    at_b = [n for n, copy in zip(at_b, lab.two.wire.frames) if len(copy) == 60]
    assert at_a and at_b
    assert sorted(at_a + at_b) == list(range(sent)), "each frame copied once, by the one that was on"
    assert [number_in(copy) for copy in lab.other.wire.settle(sent)] == list(range(sent))


def test_of_two_makers_of_copies_one_is_always_on(lab: Lab) -> None:
    """User space truncates the copies of one session, and the kernel makes those of the other."""
    lab.ctl("set-mirror", "br0", "two", "--snaplen", "none")
    lab.ctl("disable-mirror", "br0", "two")
    on, off = {"enabled": ["set", []]}, {"enabled": False}
    changes = Changes(lab, {"one": off, "two": on}, {"one": on, "two": off})
    try:
        sent = stream(lab, changes, mac(2))
    finally:
        changes.end()
    lab.other.wire.expect(sent)
    at_a = [number_in(copy) for copy in lab.one.wire.settle()]
    at_b = [number_in(copy) for copy in lab.two.wire.settle()]
    assert at_a and at_b
    assert sorted(at_a + at_b) == list(range(sent)), "each frame copied once, by the one that was on"
    assert [number_in(copy) for copy in lab.other.wire.settle(sent)] == list(range(sent))
