# SPDX-License-Identifier: Apache-2.0
"""Copies leave in the order in which their frames arrived, even if the worker that has the first one is off its processor."""
from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import re
from collections.abc import Iterator

import pytest

from net import frame, mac, threads
from switch import Lab

PTRACE_DETACH = 17
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000
TRIES = 30

_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.daemon.ovs("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:worker-threads=2")
        lab.daemon.restart()
        yield lab


def ptrace(request: int, thread: int) -> None:
    assert _libc.ptrace(request, thread, None, None) == 0, os.strerror(ctypes.get_errno())


@contextlib.contextmanager
def stopped(thread: int) -> Iterator[None]:
    ptrace(PTRACE_SEIZE, thread)
    ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WALL)
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, thread)


def place(lab: Lab) -> dict[str, int]:
    """The worker of each port, by its number."""
    lines = re.findall(r"^  ports:(.*)$", lab.daemon.ovs("ovs-appctl", "worker/show").stdout, re.MULTILINE)
    return {port: number for number, line in enumerate(lines) for port in line.split()}


def test_a_copy_waits_for_an_earlier_frame_of_another_worker(lab: Lab) -> None:
    """For some milliseconds, which a busy machine may exceed now and then; not before, the later frame always overtook."""
    one, two, probe = lab.host("one"), lab.host("two"), lab.host("probe")
    probe.wire.send(frame(b"\xff" * 6, mac(9), b"learn"))
    if place(lab)["one"] == place(lab)["two"]:
        two = lab.host("three")
    assert place(lab)["one"] != place(lab)[two.name], place(lab)
    sensor = lab.host("sensor")
    lab.mirror("m", "--source", "one:from", "--source", f"{two.name}:from", "--output", "sensor")
    first = sorted(map(int, threads(lab.daemon.pid, "worker")))[place(lab)["one"]]
    probe.wire.settle()
    in_order = 0
    for number in range(TRIES):
        probe.wire.clear()
        sensor.wire.clear()
        with stopped(first):
            one.wire.send(frame(mac(9), mac(1), b"first"))
            two.wire.send(frame(mac(9), mac(2), b"second"))
            probe.wire.expect(1)  # the other worker has sent it, and its copy is the mirror thread's
        copies = [data[14:] for data in sensor.wire.expect(2)]
        assert sorted(copies) == [b"first", b"second"]
        in_order += copies[0] == b"first"
    assert in_order > TRIES // 3, f"{in_order} of {TRIES} pairs of copies in order"
