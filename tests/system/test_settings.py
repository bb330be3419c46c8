# SPDX-License-Identifier: Apache-2.0
"""Threads and memory of the datapath, set in Open_vSwitch other_config by a stock client."""
from __future__ import annotations

import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import found, wait_until
from net import Host, frame, mac, wait_forwarded
from switch import Lab


def set_config(lab: Lab, *pairs: Any) -> None:
    lab.daemon.ovs("ovs-vsctl", "--timeout=10", "set", "open_vswitch", ".", *(f"other_config:{pair}" for pair in pairs))


def threads(lab: Lab, name: str) -> list[Any]:
    """Thread ids, in the order of their making."""
    task = f"/proc/{lab.daemon.pid}/task"
    return [int(thread) for thread in sorted(os.listdir(task), key=int) if open(f"{task}/{thread}/comm").read().strip() == name]


def stats(lab: Lab) -> Any:
    return lab.rpc("system.stats")


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as made:
        yield made


def test_numbers_of_threads_and_the_queue_are_taken_at_the_next_start_and_said_until_then(lab: Lab) -> None:
    before = [thread["kind"] for thread in stats(lab)["threads"]]
    set_config(lab, "worker-threads=3", "mirror-threads=2", "mirror-queue-kib=1024")
    now = stats(lab)
    assert [thread["kind"] for thread in now["threads"]] == before
    assert [notice for notice in now["notices"] if "vswitchd restarts" in notice]
    assert "vswitchd restarts" in lab.ctl("stats").stdout
    lab.daemon.restart()
    now = stats(lab)
    assert [thread["kind"] for thread in now["threads"]] == ["worker"] * 3 + ["mirror"] * 2
    assert now["memory"]["queue_bytes"] == 3 * 1024 * 1024
    assert f"copy-queue-bytes:{3 * 1024 * 1024} " in lab.daemon.ovs("ovs-appctl", "memory/show").stdout
    assert now["notices"] == []
    assert len(threads(lab, "worker")) == 3 and len(threads(lab, "mirror")) == 2


def test_more_than_the_machine_has_is_said_and_the_switch_starts_all_the_same(lab: Lab) -> None:
    if int(found(r"VmSize:\s+(\d+)", pathlib.Path(f"/proc/{lab.daemon.pid}/status").read_text())[1]) > 1 << 30:
        pytest.skip("a sanitizer takes more address space than there is memory: no limit would be one")
    set_config(lab, "worker-threads=64", "mirror-queue-kib=1048576")  # 64 GiB
    lab.daemon.stop()
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (32 << 30, limit[1]))  # the daemon's
    try:
        lab.daemon.start()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    now = stats(lab)
    assert [thread["kind"] for thread in now["threads"]] == ["worker", "mirror"]
    refused = "worker-threads, mirror-threads or mirror-queue-kib could not"
    assert [notice for notice in now["notices"] if refused in notice and "use smaller" in notice]
    one, two = lab.host("t1", "10.9.0.1"), lab.host("t2", "10.9.0.2")
    one.ping("10.9.0.2")
    set_config(lab, "worker-threads=2", "mirror-queue-kib=1024")
    lab.daemon.restart()
    assert stats(lab)["notices"] == []
    two.ping("10.9.0.1")


def test_threads_run_where_they_are_placed_at_once_and_anywhere_again(lab: Lab) -> None:
    allowed = os.sched_getaffinity(lab.daemon.pid)
    cpu = max(allowed)
    set_config(lab, f"worker-cpus={cpu}", f"mirror-cpus=0-{cpu}")
    workers, mirrors = threads(lab, "worker"), threads(lab, "mirror")
    assert workers and mirrors
    for worker in workers:
        assert os.sched_getaffinity(worker) == {cpu}
    for number, mirror in enumerate(mirrors):
        assert os.sched_getaffinity(mirror) == {sorted(allowed)[number % len(allowed)]}
    lab.daemon.ovs("ovs-vsctl", "--timeout=10", "clear", "open_vswitch", ".", "other_config")
    assert (threads(lab, "worker"), threads(lab, "mirror")) == (workers, mirrors)
    for thread in workers + mirrors:
        assert os.sched_getaffinity(thread) == allowed


def test_values_that_make_no_sense_are_not_used_and_said_where_stats_are_shown(lab: Lab) -> None:
    set_config(lab, "worker-cpus=x", "worker-spin-us=-5", "worker-gather-us=201", "mirror-session-kib=1")
    notices = stats(lab)["notices"]
    assert len(notices) == 4
    for key in ("worker-cpus", "worker-spin-us", "worker-gather-us", "mirror-session-kib"):
        assert [notice for notice in notices if f'other_config:{key}="' in notice], notices
    set_config(lab, "worker-cpus=0", "worker-spin-us=5", "worker-gather-us=0", "mirror-session-kib=100")
    assert stats(lab)["notices"] == []


def test_receive_rings_of_busy_ports_keep_to_their_bound(lab: Lab) -> None:
    def grown(name: str) -> Any:
        """KiB that the ring of a new port is larger after a great many frames."""
        host = lab.host(name)
        first = stats(lab)["memory"]["receive_bytes"]
        one = frame(b"\xff" * 6, b"\x02\x00\x00\x00\x00\x01", b"x" * 46)

        def has_grown() -> bool:
            host.wire.send(*[one] * 500)
            return stats(lab)["memory"]["receive_bytes"] > first

        wait_until(has_grown, "the ring has grown")
        return (stats(lab)["memory"]["receive_bytes"] - first) // 1024

    set_config(lab, "receive-ring-kib=512")
    assert grown("t1") == 512 - 256
    set_config(lab, "receive-ring-kib=4096")
    assert grown("t2") == 4096 - 256


def at_once(lab: Lab, host: Host, frames: Any) -> None:
    """Frames that the switch finds all waiting."""
    os.kill(lab.daemon.pid, signal.SIGSTOP)
    try:
        host.wire.send(*frames)
    finally:
        os.kill(lab.daemon.pid, signal.SIGCONT)


def kernel_sends_by_xdp() -> bool:
    AF_XDP = 44
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW).close()
    except OSError:
        return False
    return tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 17)


def test_busy_ports_send_by_af_xdp_unless_told_otherwise(lab: Lab) -> None:
    def sends_by_xdp(number: int) -> bool:
        """Whether the way from one new host to another does once it was busy. Frames in great number arrive as they were sent."""
        one, two = lab.host(f"from{number}"), lab.host(f"to{number}")
        here, there = mac(2 * number), mac(2 * number + 1)
        two.wire.send(*(frame(there, here, b"learn", vlan=vlan) for vlan in (None, 1, 2)))  # nothing is flooded
        before = stats(lab)["memory"]["send_bytes"]
        frames = [frame(here, there, bytes([number % 256, number // 256]) + b"x" * (number * 5), vlan=number % 3 or None)
                  for number in range(290)]
        for _ in range(60):
            two.wire.clear()
            at_once(lab, one, frames)
            assert two.wire.wait(290) == frames
            time.sleep(0.01)  # the socket is opened by a thread
        return stats(lab)["memory"]["send_bytes"] > before

    can = kernel_sends_by_xdp()
    set_config(lab, "kernel-fast-path=false")  # which would leave nothing to send
    assert sends_by_xdp(1) == can
    assert f"send rings {131 if can else 0} KiB" in lab.ctl("stats").stdout
    set_config(lab, "xdp-transmit=false")
    assert not sends_by_xdp(2)
    set_config(lab, "xdp-transmit=true")
    assert sends_by_xdp(3) == can


def test_stats_watch_shows_rates_queues_and_processor_share(lab: Lab) -> None:
    host = lab.host("t1", "10.9.0.1")
    lab.host("t2", "10.9.0.2")
    lab.mirror("m", "--source", "t1", "--output", "t2", "--normal-io", "--snaplen", "64")  # user space truncates
    host.popen("ping", "-q", "-i", "0.002", "10.9.0.2", stdout=subprocess.DEVNULL)
    wait_until(lambda: lab.rpc("mirror.stats")["mirrors"][0]["counters"]["matched"] > 10, "copies are made")
    text = lab.ctl("stats", "--watch", "--count", "2", "--interval", "0.5").stdout
    look = text[text.rindex("BRIDGE  PORT"):]
    assert re.search(r"^br0 +t1 +[1-9][0-9]* ", look, re.M), look
    assert re.search(r"^br0 +m +[1-9][0-9]* +[1-9][0-9]* ", look, re.M), look
    assert re.search(r"^worker \d+ +\d+ +[1-9][0-9]* +\d+ +\d+ +\d+\.\d +\d+ of \d+ KiB$", look, re.M), look
    assert re.search(r"^mirror 0 +- +[1-9][0-9]* ", look, re.M), look


def test_a_spinning_worker_sleeps_when_nothing_comes(lab: Lab) -> None:
    host = lab.host("t1", "10.9.0.1")
    lab.host("t2", "10.9.0.2")
    set_config(lab, "worker-spin-us=1000")
    assert host.run("ping", "-c", "50", "-i", "0.002", "10.9.0.2").returncode == 0
    wait_forwarded()  # then every thread sleeps
    busy = [thread["cpu_ns"] for thread in stats(lab)["threads"]]
    time.sleep(0.5)
    idle = [thread["cpu_ns"] for thread in stats(lab)["threads"]]
    assert sum(idle) - sum(busy) < 0.1 * 0.5e9
