# SPDX-License-Identifier: Apache-2.0
"""Sessions changed a thousand times a second under traffic: a frame sees the old settings or the new, and other sessions see nothing."""
import json
import socket
import threading
import time

import pytest

from net import BROADCAST, frame, mac
from switch import Lab

FRAMES = 3000
PERIOD_S = 0.001  # between changes, if the machine keeps up
AT_LEAST = 200    # changes while frames are under way; below this the test has shown nothing


@pytest.fixture
def lab(tmp_path):
    with Lab(tmp_path) as lab:
        for name in ("t1", "one", "two", "other"):
            setattr(lab, name, lab.host(name))
        for name in ("one", "two", "other"):
            lab.mirror(name, "--source", "t1:from", "--output", name, "--snaplen", "60")
        yield lab


class Changes:
    """Transactions of two updates each, one after the other, on a connection of their own."""

    def __init__(self, lab, a, b):
        self.settings = (a, b)
        self.done = 0
        self.stop = threading.Event()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(lab.daemon.rundir / "db.sock"))
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        replies = self.sock.makefile("r")
        decoder, text = json.JSONDecoder(), ""
        due = time.monotonic()
        while not self.stop.is_set():
            rows = self.settings[self.done % 2]
            operations = [{"op": "update", "table": "Mirror", "where": [["name", "==", name]], "row": row} for name, row in rows.items()]
            self.sock.sendall(json.dumps({"method": "transact", "params": ["Open_vSwitch", *operations], "id": self.done}).encode())
            while True:
                text += replies.read(1)
                if text.endswith("}"):
                    try:
                        reply, _ = decoder.raw_decode(text)
                        break
                    except json.JSONDecodeError:
                        continue
            assert reply["error"] is None and [part.get("count") for part in reply["result"]] == [1, 1], reply
            text = ""
            self.done += 1
            due += PERIOD_S
            time.sleep(max(0, due - time.monotonic()))

    def end(self):
        self.stop.set()
        self.thread.join()
        self.sock.close()


def numbered(n):
    return frame(mac(1), BROADCAST, n.to_bytes(4, "big") + bytes(100))


def number_in(copy):
    return int.from_bytes(copy[14:18], "big")


def stream(lab, changes):
    """Sends the frames in small groups, and returns how many changes took effect meanwhile."""
    before = changes.done
    for n in range(FRAMES):
        lab.t1.wire.send(numbered(n))
        if n % 4 == 3:
            time.sleep(PERIOD_S * 2)
    return changes.done - before


def test_two_sessions_changed_together_never_mix(lab):
    changes = Changes(lab, {"one": {"snaplen": 60}, "two": {"snaplen": 60}}, {"one": {"snaplen": 80}, "two": {"snaplen": 80}})
    try:
        made = stream(lab, changes)
        lab.other.wire.wait(FRAMES)
    finally:
        changes.end()
    assert made >= AT_LEAST, f"only {made} changes"
    at_a = {number_in(copy): len(copy) for copy in lab.one.wire.settle(FRAMES)}
    at_b = {number_in(copy): len(copy) for copy in lab.two.wire.settle(FRAMES)}
    assert len(at_a) == len(lab.one.wire.frames) == FRAMES
    assert at_a == at_b, "a frame that one session saw with the old settings and the other with the new"
    assert set(at_a.values()) == {60, 80}
    assert [number_in(copy) for copy in lab.other.wire.settle(FRAMES)] == list(range(FRAMES)), "the session that nobody touched"
    for session in ("one", "two", "other"):
        assert lab.account(session)["delivered"] == lab.account(session)["matched"] == FRAMES


def test_of_two_sessions_one_is_always_on(lab):
    on, off = {"enabled": ["set", []]}, {"enabled": False}
    lab.ctl("disable-mirror", "br0", "two")
    changes = Changes(lab, {"one": off, "two": on}, {"one": on, "two": off})
    try:
        made = stream(lab, changes)
        lab.other.wire.wait(FRAMES)
    finally:
        changes.end()
    assert made >= AT_LEAST, f"only {made} changes"
    at_a = [number_in(copy) for copy in lab.one.wire.settle()]
    at_b = [number_in(copy) for copy in lab.two.wire.settle()]
    # A session that is off reserves nothing: its port gets the production frame then, which is not cut.
    at_a = [n for n, copy in zip(at_a, lab.one.wire.frames) if len(copy) == 60]
    at_b = [n for n, copy in zip(at_b, lab.two.wire.frames) if len(copy) == 60]
    assert at_a and at_b
    assert sorted(at_a + at_b) == list(range(FRAMES)), "each frame copied once, by the one that was on"
    assert [number_in(copy) for copy in lab.other.wire.settle(FRAMES)] == list(range(FRAMES))
