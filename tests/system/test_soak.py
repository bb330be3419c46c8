# SPDX-License-Identifier: Apache-2.0
"""Traffic that the kernel carries, while settings change as fast as clients can: `./dev soak`.

Every frame is numbered, so each that is lost, doubled or overtaken shows; and each change is tried with a frame of its own after its
answer. Without VSWITCH_SOAK, the seconds it lasts, it is left out.
"""
from __future__ import annotations

import itertools
import os
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import wait_until
from net import BROADCAST, frame, mac
from switch import Lab
from test_fast_path import Numbered, carried, send

SECONDS = int(os.environ.get("VSWITCH_SOAK", "0"))
RATE = int(os.environ.get("VSWITCH_SOAK_RATE", "5000"))
ROUND_S = 10

pytestmark = pytest.mark.skipif(SECONDS == 0, reason="it takes long: ./dev soak")

#: What a session is changed to, and back: it goes from the kernel to user space, to filters, and is off for a while.
CHANGES: list[dict[str, Any]] = [
    {"snaplen": 100}, {"snaplen": None}, {"filter": ["dl_type=0x88b5"]}, {"filter": []}, {"skip": ["tcp,tp_dst=80"]}, {"skip": []},
    {"rate": {"packets": 1_000_000}}, {"rate": None}, {"description": "changed"},
    {"sources": {"ports": [{"name": "t2", "direction": "from"}]}}, {"sources": {"ports": [{"name": "t2", "direction": "both"}]}}]


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        for n in range(1, 6):
            setattr(lab, f"t{n}", lab.host(f"t{n}"))
        lab.mirror("steady", "--source", "t1:from", "--output", "t3")
        lab.mirror("user", "--source", "t1:from", "--output", "t5", "--snaplen", "64")
        lab.mirror("busy", "--source", "t2:from", "--output", "t4")
        yield lab


def learn(lab: Lab) -> None:
    for n, host in enumerate((lab.t1, lab.t2), 1):
        host.wire.send(frame(mac(n), BROADCAST))
        host.wire.send(frame(mac(10 + n), BROADCAST))
    for host in (lab.t1, lab.t2):
        host.wire.settle()
        host.wire.clear()


class Changer(threading.Thread):
    """Changes the session busy, and now and then sees whether the change counts for the next frame."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self.lab, self.done, self.tried, self.failure = lab, 0, 0, ""
        self.not_copied: list[bytes] = []
        self.ends = threading.Event()

    def run(self) -> None:
        try:
            for number, change in enumerate(itertools.cycle(CHANGES)):
                if self.ends.is_set():
                    return
                self.lab.rpc("mirror.set", bridge="br0", name="busy", **change)
                self.done += 1
                if number % 20 == 0:
                    self.try_out(number // 20)
        except Exception as error:  # for the test to report
            self.failure = repr(error)

    def try_out(self, number: int) -> None:
        """From t2 to t1, with addresses that nothing else uses; what t1 receives says when the frame has been through."""
        copies = number % 2 == 0
        self.lab.rpc("mirror.set", bridge="br0", name="busy", enabled=copies)
        probe = frame(mac(12), mac(11), b"probe %d" % number)
        self.lab.t2.wire.send(probe)
        self.lab.t1.wire.expect(1, match=lambda data: data == probe)
        if copies:
            self.lab.t4.wire.expect(1, match=lambda data: data == probe)
        else:
            self.not_copied.append(probe)
        self.lab.rpc("mirror.set", bridge="br0", name="busy", enabled=True)
        self.lab.t1.wire.clear()
        self.tried += 1


def test_nothing_is_lost_doubled_overtaken_or_forwarded_by_old_settings(lab: Lab) -> None:
    learn(lab)
    ends = time.monotonic() + SECONDS
    number = RATE * ROUND_S
    changed = tried = rounds = 0
    while time.monotonic() < ends or rounds == 0:
        learn(lab)
        go_fast_with_taps(lab)
        before = {name: lab.account(name)["delivered"] for name in ("steady", "user")}
        changer = Changer(lab)
        with Numbered(lab.t2) as production, Numbered(lab.t3) as copies, Numbered(lab.t5) as by_user:
            changer.start()
            try:
                send(lab.t1, 1, 2, RATE, number)
            finally:
                changer.ends.set()
                changer.join()
            for receiver in (production, copies, by_user):
                assert receiver.result() == {"frames": number, "doubled": 0, "late": 0, "last": number - 1}
        assert not changer.failure
        assert not set(changer.not_copied) & set(lab.t4.wire.settle()), "copied by a session that was disabled"
        lab.t4.wire.clear()
        for name, earlier in before.items():
            assert lab.account(name)["delivered"] == earlier + number
        lab.account("busy")  # adds up
        changed, tried, rounds = changed + changer.done, tried + changer.tried, rounds + 1
    assert tried > 0
    print(f"{rounds * number} frames, {changed} changes, {tried} of them tried, {carried(lab)} frames carried by the kernel")
    kill_in_the_middle(lab)


def go_fast_with_taps(lab: Lab) -> None:
    def is_carried() -> bool:
        before = carried(lab)
        lab.t1.wire.send(frame(mac(1), mac(2), b"go fast"))
        lab.t2.wire.settle()
        return carried(lab) > before

    wait_until(is_carried, "the kernel forwards the flow")
    for host in (lab.t1, lab.t2, lab.t3, lab.t5):
        host.wire.settle()
        host.wire.clear()


def kill_in_the_middle(lab: Lab) -> None:
    sender = threading.Thread(target=send, args=(lab.t1, 1, 2, RATE, 2 * RATE))
    sender.start()
    time.sleep(0.5)
    lab.daemon.kill9()
    time.sleep(0.2)
    lab.t2.wire.settle()
    lab.t2.wire.clear()
    sender.join()
    assert lab.t2.wire.settle() == [], "something forwards although the daemon is dead"
