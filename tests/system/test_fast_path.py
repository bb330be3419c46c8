# SPDX-License-Identifier: Apache-2.0
"""The part of the datapath that is in the kernel: what it carries, and that nobody can tell but by the clock.

`bench_numbered` numbers its frames, so that each one that is lost, doubled or overtaken shows.
"""
from __future__ import annotations

import contextlib
import json
import pathlib
import re
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lab import BUILD, FAST_PATH, wait_until
from net import BROADCAST, Host, frame, mac
from switch import Lab

pytestmark = pytest.mark.skipif(not FAST_PATH, reason="it is switched off")

TOOL = BUILD / "tests" / "bench_numbered"
MANY = 20_000


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    """t1, t2 and t3 with known addresses, and a kernel that can do it: a test that proves nothing would pass."""
    with Lab(tmp_path) as lab:
        for n in (1, 2, 3):
            setattr(lab, f"t{n}", lab.host(f"t{n}"))
        learn(lab)
        assert "off" not in stats(lab)["fast_path"], stats(lab)["fast_path"]
        yield lab


def learn(lab: Lab) -> None:
    for n, host in enumerate((lab.t1, lab.t2, lab.t3), 1):
        host.wire.send(frame(mac(n), BROADCAST))
    for host in (lab.t1, lab.t2, lab.t3):
        host.wire.settle()
        host.wire.clear()


def stats(lab: Lab) -> Any:
    return lab.rpc("system.stats")


def in_user_space(lab: Lab) -> int:
    return sum(thread["frames"] for thread in stats(lab)["threads"] if thread["kind"] == "worker")


def hexadecimal(address: bytes) -> str:
    return address.hex()


class Numbered(contextlib.AbstractContextManager):
    """Receives numbered frames at a host until no more come."""

    def __init__(self, host: Host) -> None:
        self.process = subprocess.Popen(["ip", "netns", "exec", host.namespace, str(TOOL), "receive", "1", "eth0"],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def result(self, source: int = 1) -> dict[str, int]:
        text, _ = self.process.communicate(timeout=60)
        found = json.loads(text)
        assert found["dropped"] == 0, "the receiver was too slow"
        return found[hexadecimal(mac(source))]


def send(host: Host, source: int, destination: int, rate: int, count: int) -> None:
    host.run(str(TOOL), "send", rate, count, f"eth0,{hexadecimal(mac(source))},{hexadecimal(mac(destination))}")


def whole(count: int) -> dict[str, int]:
    return {"frames": count, "doubled": 0, "late": 0, "last": count - 1}


def go_fast(lab: Lab, host: Host, source: int, destination: int) -> None:
    """Returns when frames of the flow do not come to user space any more."""
    def is_fast() -> bool:
        before = in_user_space(lab)
        host.wire.send(frame(mac(source), mac(destination), b"go fast"))
        host.wire.settle()
        return in_user_space(lab) == before

    wait_until(is_fast, "the kernel carries the flow")


def test_the_kernel_carries_a_known_flow_and_its_copies(lab: Lab) -> None:
    lab.mirror("span", "--source", "t1", "--output", "t3")
    before = in_user_space(lab), lab.port("t1")["counters"], lab.port("t2")["counters"], lab.port("t3")["counters"]
    with Numbered(lab.t2) as production, Numbered(lab.t3) as copies:
        send(lab.t1, 1, 2, 20_000, MANY)
        assert production.result() == whole(MANY)
        assert copies.result() == whole(MANY)
    assert in_user_space(lab) - before[0] < MANY / 2
    account = lab.account("span")
    assert (account["matched"], account["delivered"], account["tx_packets"]) == (MANY, MANY, MANY)
    assert (account["delivered_bytes"], account["tx_bytes"]) == (MANY * 64, MANY * 64)

    def grown(port: str, key: str, earlier: Any) -> int:
        return lab.port(port)["counters"][key] - earlier[key]

    assert (grown("t1", "rx_packets", before[1]), grown("t1", "rx_bytes", before[1])) == (MANY, MANY * 64)
    assert (grown("t2", "tx_packets", before[2]), grown("t2", "tx_bytes", before[2])) == (MANY, MANY * 64)
    assert (grown("t3", "tx_packets", before[3]), grown("t3", "tx_copies", before[3])) == (MANY, MANY)


def test_a_change_applies_to_the_next_frame(lab: Lab) -> None:
    lab.mirror("span", "--source", "t1", "--output", "t3")
    go_fast(lab, lab.t1, 1, 2)
    lab.t3.wire.settle()
    lab.t3.wire.clear()
    copied = 0
    for round_ in range(40):
        copies = round_ % 2 == 1
        lab.ctl("enable-mirror" if copies else "disable-mirror", "br0", "span")
        lab.t1.wire.send(*(frame(mac(1), mac(2), b"round %d" % round_) for _ in range(5)))
        seen = [data for data in lab.t3.wire.settle() if data[:6] == mac(2)]
        copied += len(seen)
        assert len(seen) == (5 if copies else 0), round_
        lab.t3.wire.clear()
    assert copied == 100
    assert stats(lab)["fast_path"]["frames"] > 0


def test_changes_disturb_nothing(lab: Lab) -> None:
    """As many changes as can be made, of another session of the bridge."""
    lab.mirror("steady", "--source", "t1", "--output", "t3")
    lab.mirror("busy", "--source", "t2:from", "--endpoint", "10.0.0.1", "--disabled")
    go_fast(lab, lab.t1, 1, 2)
    done = 0
    ends = threading.Event()

    def change() -> None:
        nonlocal done
        while not ends.is_set():
            lab.rpc("mirror.set", bridge="br0", name="busy", snaplen=64 + done % 100)
            done += 1

    account = lab.account("steady")["delivered"]
    with Numbered(lab.t2) as production, Numbered(lab.t3) as copies:
        thread = threading.Thread(target=change)
        thread.start()
        try:
            send(lab.t1, 1, 2, 20_000, 3 * MANY)
        finally:
            ends.set()
            thread.join()
        assert production.result() == whole(3 * MANY)
        assert copies.result() == whole(3 * MANY)
    assert lab.account("steady")["delivered"] == account + 3 * MANY
    assert done > 20


def test_an_address_that_moves_is_followed(lab: Lab) -> None:
    go_fast(lab, lab.t1, 1, 2)
    lab.t3.wire.send(frame(mac(2), BROADCAST))  # moves to t3
    lab.t1.wire.expect(1)
    lab.t2.wire.settle()
    lab.t2.wire.clear()
    lab.t3.wire.clear()
    probe = frame(mac(1), mac(2), b"where are you")
    lab.t1.wire.send(probe)
    assert lab.t3.wire.expect(1) == [probe]
    assert lab.t2.wire.settle() == []


def test_an_address_that_is_forgotten_is_flooded(lab: Lab) -> None:
    for forget in (["ovs-appctl", "fdb/flush", "br0"], ["ovs-vsctl", "set", "bridge", "br0", "flood_vlans=7"]):
        learn(lab)
        go_fast(lab, lab.t1, 1, 2)
        lab.t3.wire.settle()
        lab.t3.wire.clear()
        lab.daemon.ovs(*forget)
        lab.t1.wire.send(frame(mac(1), mac(2), b"anybody"))
        lab.t3.wire.expect(1)


def test_tags_are_pushed_and_popped(lab: Lab) -> None:
    lab.ctl("set-port", "t1", "--tag", "10")
    lab.ctl("set-port", "t3", "--tag", "10", "--vlan-mode", "access")
    lab.ctl("set-port", "t2", "--trunks", "10")
    plain = frame(mac(1), mac(2), b"from the access port")
    tagged = frame(mac(2), mac(1), b"from the trunk", vlan=10)
    lab.t1.wire.send(frame(mac(1), BROADCAST))
    lab.t2.wire.send(frame(mac(2), BROADCAST, b"where I am", vlan=10))
    lab.t1.wire.expect(1)
    for host, sent, other, expected in ((lab.t1, plain, lab.t2, frame(mac(1), mac(2), b"from the access port", vlan=10)),
                                        (lab.t2, tagged, lab.t1, frame(mac(2), mac(1), b"from the trunk"))):
        before = stats(lab)["fast_path"]["frames"]
        for _ in range(6):
            other.wire.settle()
            other.wire.clear()
            host.wire.send(sent)
            assert other.wire.expect(1) == [expected]
        assert stats(lab)["fast_path"]["frames"] > before


def test_explain_gets_the_next_frame_of_a_fast_flow(lab: Lab) -> None:
    go_fast(lab, lab.t1, 1, 2)
    ends = threading.Event()

    def chatter() -> None:
        while not ends.wait(0.01):
            lab.t1.wire.send(frame(mac(1), mac(2), b"chatter"))

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        assert "send to t2" in lab.ctl("explain", "br0", "--port", "t1", "--next").stdout
    finally:
        ends.set()
        thread.join()
    go_fast(lab, lab.t1, 1, 2)


def test_it_can_be_switched_off(lab: Lab) -> None:
    go_fast(lab, lab.t1, 1, 2)
    lab.daemon.ovs("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:kernel-fast-path=false")
    before = in_user_space(lab)
    lab.t1.wire.send(*(frame(mac(1), mac(2)) for _ in range(10)))
    lab.t2.wire.settle()
    assert in_user_space(lab) == before + 10
    assert "kernel-fast-path is false" in lab.ctl("stats").stdout
    lab.daemon.ovs("ovs-vsctl", "remove", "Open_vSwitch", ".", "other_config", "kernel-fast-path")
    go_fast(lab, lab.t1, 1, 2)


def test_a_frame_too_long_for_its_port_is_counted(lab: Lab) -> None:
    lab.net.switch_run("ip", "link", "set", "t2", "mtu", "1000")
    wait_until(lambda: lab.port("t2")["mtu"] == 1000, "the switch knows the MTU")
    go_fast(lab, lab.t1, 1, 2)
    before = lab.drops("too_big")
    lab.t1.wire.send(frame(mac(1), mac(2), bytes(1001)), frame(mac(1), mac(2), bytes(1000)))
    lab.t2.wire.settle()
    assert lab.drops("too_big") == before + 1


def test_after_a_kill_nothing_forwards(lab: Lab) -> None:
    go_fast(lab, lab.t1, 1, 2)
    lab.daemon.kill9()
    lab.t2.wire.settle()
    lab.t2.wire.clear()
    lab.t1.wire.send(*(frame(mac(1), mac(2), b"nobody is there") for _ in range(100)))
    assert lab.t2.wire.settle() == []


def test_copies_of_tcp_are_as_on_a_wire(lab: Lab) -> None:
    """Segments with finished checksums, although the kernel copies what hosts have left to devices."""
    lab.mirror("span", "--source", "t1", "--output", "t3")
    for n, host in enumerate((lab.t1, lab.t2), 1):
        host.run("ip", "address", "add", f"10.95.0.{n}/24", "dev", "eth0")
    lab.t1.ping("10.95.0.2")
    inside = ["ip", "netns", "exec"]
    before = stats(lab)["fast_path"]["frames"]
    processes: list[subprocess.Popen[str]] = []
    try:
        processes.append(subprocess.Popen([*inside, lab.t2.namespace, "iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE,
                                          text=True))
        processes.append(subprocess.Popen([*inside, lab.t3.namespace, "tcpdump", "-nvi", "eth0", "-B", "65536", "-c", "3000", "tcp"],
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        for stream in (processes[0].stdout, processes[1].stderr):
            assert stream is not None
            assert any("listening" in line for line in iter(stream.readline, ""))
        lab.t1.run("iperf3", "-c", "10.95.0.2", "-n", "8M", "--connect-timeout", "5000")
        text, _ = processes[1].communicate(timeout=30)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
    assert stats(lab)["fast_path"]["frames"] > before + 50
    assert text.count("(correct)") >= 3000
    assert "incorrect" not in text
    lengths = [int(length) for length in re.findall(r"proto TCP \(6\), length (\d+)", text)]
    assert len(lengths) >= 3000
    assert max(lengths) <= 1500
