# SPDX-License-Identifier: Apache-2.0
"""The part of the datapath that is in the kernel: what it carries, and that nobody can tell but by the clock.

`bench_numbered` numbers its frames, so that each one that is lost, doubled or overtaken shows.
"""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import BUILD, FAST_PATH, wait_until
from net import BROADCAST, Host, Wire, frame, mac
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
    """Receives numbered frames at a host, or at another device, until no more come."""

    def __init__(self, host: Host | None, namespace: str = "", device: str = "eth0") -> None:
        namespace = host.namespace if host is not None else namespace
        self.process = subprocess.Popen(["ip", "netns", "exec", namespace, str(TOOL), "receive", "1", device],
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


def send(host: Host, source: int, destination: int | bytes, rate: int, count: int) -> None:
    address = mac(destination) if isinstance(destination, int) else destination
    host.run(str(TOOL), "send", rate, count, f"eth0,{hexadecimal(mac(source))},{hexadecimal(address)}")


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


def carried(lab: Lab) -> int:
    return stats(lab)["fast_path"]["frames"]


@pytest.mark.parametrize("options", (["--snaplen", "64"], ["--gso-packets", "segment", "--normal-io"],
                                     ["--filter", "tcp,tcp_flags=+syn"], ["--expires", "1000000packets"]),
                         ids=lambda options: options[0].strip("-"))
def test_user_space_makes_copies_of_what_the_kernel_forwards(lab: Lab, options: list[str]) -> None:
    lab.mirror("s", "--source", "t1", "--output", "t3", *options)
    go_fast_or_tapped(lab)
    before, account = carried(lab), lab.account("s")
    with Numbered(lab.t2) as production, Numbered(lab.t3) as copies:
        send(lab.t1, 1, 2, 10_000, MANY)
        assert production.result() == whole(MANY)
        if "--filter" not in options:
            assert copies.result() == whole(MANY)
    assert carried(lab) - before >= MANY - 100
    grown = {key: lab.account("s")[key] - account[key] for key in ("matched", "delivered")}
    assert grown == ({"matched": 0, "delivered": 0} if "--filter" in options else {"matched": MANY, "delivered": MANY})


def go_fast_or_tapped(lab: Lab) -> None:
    """The kernel forwards frames of the flow from t1 to t2, whoever copies them."""
    def is_carried() -> bool:
        before = carried(lab)
        lab.t1.wire.send(frame(mac(1), mac(2), b"go fast"))
        lab.t2.wire.settle()
        return carried(lab) > before

    wait_until(is_carried, "the kernel forwards the flow")
    for host in (lab.t1, lab.t2, lab.t3):
        host.wire.settle()
        host.wire.clear()


def test_samples_of_what_the_kernel_forwards_add_up(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1", "--output", "t3", "--sample", "4")
    go_fast_or_tapped(lab)
    before, account = carried(lab), lab.account("s")
    with Numbered(lab.t2) as production:
        send(lab.t1, 1, 2, 10_000, MANY)
        assert production.result() == whole(MANY)
    assert carried(lab) - before >= MANY - 100
    after = lab.account("s")
    assert after["matched"] - account["matched"] == MANY
    assert after["matched"] == after["delivered"] + after["sampled_out"]
    assert MANY / 5 < after["delivered"] < MANY / 3


@pytest.mark.parametrize("rate, frames_per_s, burst", [("1000", 1000, 100), ("1mbit", 1_000_000 / 8 / 60, 65536 / 60)],
                         ids=["frames", "bits"])
def test_the_kernel_keeps_to_a_rate(lab: Lab, rate: str, frames_per_s: float, burst: float) -> None:
    """Of the same buckets as user space, which floods the frames to an unknown address meanwhile."""
    lab.mirror("s", "--source", "t1:from", "--output", "t3", "--rate", rate)
    go_fast_or_tapped(lab)
    time.sleep(1.2)  # the buckets are full
    account, fast, slow = lab.account("s"), carried(lab), in_user_space(lab)
    began = time.monotonic()
    with Numbered(lab.t2) as production:
        other = threading.Thread(target=send, args=(lab.t1, 1, 9, 5_000, MANY // 4))
        other.start()
        send(lab.t1, 1, 2, 20_000, MANY)
        other.join()
        seconds = time.monotonic() - began
        assert production.result()["frames"] == MANY  # different numbers
    assert carried(lab) - fast >= MANY * 0.5 and in_user_space(lab) - slow >= MANY // 4
    after = lab.account("s")
    grown = {key: after[key] - account[key] for key in ("matched", "delivered", "rate_limited")}
    assert grown["matched"] == MANY + MANY // 4 == grown["delivered"] + grown["rate_limited"]
    assert burst + frames_per_s * 0.9 <= grown["delivered"] <= burst + frames_per_s * seconds


def test_the_kernel_copies_what_filters_select(lab: Lab) -> None:
    """User space says once which header fields a session selects."""
    lab.mirror("s", "--source", "t1", "--output", "t3", "--filter", "udp,tp_dst=53", "--filter", "dl_type=0x88b5")
    go_fast(lab, lab.t1, 1, 2)  # does not end before the kernel makes the copies
    before, account = in_user_space(lab), lab.account("s")
    with Numbered(lab.t2) as production, Numbered(lab.t3) as copies:
        send(lab.t1, 1, 2, 20_000, MANY)
        assert production.result() == whole(MANY)
        assert copies.result() == whole(MANY)
    assert in_user_space(lab) - before < MANY / 10
    after = lab.account("s")
    assert {key: after[key] - account[key] for key in ("matched", "delivered")} == {"matched": MANY, "delivered": MANY}


def packet(source: int, destination: int, source_port: int, port: int, protocol: int = 17, fragment: int = 0, tos: int = 0) -> bytes:
    transport = struct.pack("!HHHH", source_port, port, 20, 0) + bytes(12)
    if protocol == 6:
        transport = struct.pack("!HHIIBBHHH", source_port, port, 0, 0, 0x50, 2, 0, 0, 0)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(transport), 0, fragment, 64, protocol, 0, bytes([10, 0, 0, source]),
                         bytes([10, 0, 0, destination]))
    return frame(mac(source), mac(destination), header + transport, ether_type=0x0800)


def packet6(port: int, hop_by_hop: bool = False) -> bytes:
    transport = struct.pack("!HHHH", 1000, port, 20, 0) + bytes(12)
    if hop_by_hop:
        transport = bytes([17, 0, 1, 4, 0, 0, 0, 0]) + transport
    header = struct.pack("!IHBB16s16s", 0x60000000, len(transport), 0 if hop_by_hop else 17, 64, bytes(15) + b"\1", bytes(15) + b"\2")
    return frame(mac(1), mac(2), header + transport, ether_type=0x86dd)


def test_filters_select_the_same_whoever_looks(lab: Lab) -> None:
    """Each kind of frame four times: the first ones are looked at by user space, the last ones by the kernel."""
    frames = {"dns": packet(1, 2, 1000, 53), "other port": packet(1, 2, 1000, 54), "tcp": packet(1, 2, 1000, 53, protocol=6),
              "other source port": packet(1, 2, 1001, 53), "marked": packet(1, 2, 1000, 53, tos=0xb8),
              "first fragment": packet(1, 2, 1000, 53, fragment=0x2000), "later fragment": packet(1, 2, 1000, 53, fragment=4),
              "ipv6": packet6(53), "ipv6, other port": packet6(54), "ipv6 with an option": packet6(53, hop_by_hop=True),
              "malformed": packet(1, 2, 1000, 53)[:34] + bytes(26), "experimental": frame(mac(1), mac(2), b"x")}
    lab.mirror("dns", "--source", "t1:from", "--output", "t3", "--filter", "udp,tp_dst=53", "--filter", "udp6,tp_dst=53",
               "--skip", "ip,nw_tos=184")
    selected = {"dns", "other source port", "first fragment", "ipv6", "ipv6 with an option"}
    go_fast_or_tapped(lab)
    for round_ in range(6):
        for name, data in frames.items():
            lab.t1.wire.send(data)
            assert lab.t2.wire.expect(1) == [data], name
            lab.t2.wire.clear()
            assert lab.t3.wire.settle() == ([data] if name in selected else []), f"{name} in round {round_}"
            lab.t3.wire.clear()
    assert lab.account("dns")["delivered"] == 6 * len(selected)


def test_a_change_of_a_filter_applies_to_the_next_frame(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1:from", "--output", "t3", "--filter", "udp,tp_dst=53")
    wanted, other = packet(1, 2, 1000, 53), packet(1, 2, 1000, 54)
    go_fast_or_tapped(lab)
    for round_ in range(24):
        port = 53 + round_ % 2
        lab.rpc("mirror.set", bridge="br0", name="s", filter=[f"udp,tp_dst={port}"])
        for _ in range(4):
            lab.t1.wire.send(wanted, other)
            assert lab.t2.wire.expect(2) == [wanted, other]
            lab.t2.wire.clear()
            assert lab.t3.wire.settle() == [wanted if port == 53 else other], round_
            lab.t3.wire.clear()


def test_two_filters_for_one_port_give_it_one_copy(lab: Lab) -> None:
    lab.mirror("a", "--source", "t1:from", "--output", "t3", "--filter", "udp,tp_dst=53")
    lab.mirror("b", "--source", "t1:from", "--output", "t3", "--filter", "udp")
    go_fast_or_tapped(lab)
    both, one = packet(1, 2, 1000, 53), packet(1, 2, 1000, 54)
    for _ in range(6):
        lab.t1.wire.send(both, one)
        assert lab.t3.wire.settle() == [both, one]
        lab.t3.wire.clear()
    a, b = lab.account("a"), lab.account("b")
    assert (a["matched"], a["delivered"], b["matched"], b["delivered"], b["duplicate"]) == (6, 6, 12, 6, 6)


def test_a_session_of_user_space_does_not_hold_up_one_of_the_kernel(lab: Lab) -> None:
    t4 = lab.host("t4")
    lab.mirror("kernel", "--source", "t1", "--output", "t3")
    lab.mirror("user", "--source", "t1", "--output", "t4", "--snaplen", "64")
    go_fast_or_tapped(lab)
    account = lab.account("kernel")["delivered"]
    with Numbered(lab.t2) as production, Numbered(lab.t3) as copies, Numbered(t4) as others:
        send(lab.t1, 1, 2, 10_000, MANY)
        assert production.result() == whole(MANY)
        assert copies.result() == whole(MANY)
        assert others.result() == whole(MANY)
    assert lab.account("kernel")["delivered"] == account + MANY


def test_copies_by_user_space_and_by_the_kernel_keep_their_order(lab: Lab) -> None:
    """The session goes from one to the other and back as fast as it can be changed."""
    lab.mirror("s", "--source", "t1", "--output", "t3")
    go_fast(lab, lab.t1, 1, 2)
    ends = threading.Event()
    done = 0

    def change() -> None:
        nonlocal done
        while not ends.is_set():
            lab.rpc("mirror.set", bridge="br0", name="s", snaplen=1000 if done % 2 == 0 else None)
            done += 1

    with Numbered(lab.t2) as production, Numbered(lab.t3) as copies:
        thread = threading.Thread(target=change)
        thread.start()
        try:
            send(lab.t1, 1, 2, 10_000, 2 * MANY)
        finally:
            ends.set()
            thread.join()
        assert production.result() == whole(2 * MANY)
        assert copies.result() == whole(2 * MANY)
    assert done > 20


def learn_again(lab: Lab) -> None:
    for n, host in ((1, lab.t1), (2, lab.t2)):
        host.wire.send(frame(mac(n), BROADCAST))
    for host in (lab.t1, lab.t2):
        host.wire.settle()
        host.wire.clear()


def test_copies_into_a_vlan_are_made_by_the_kernel(lab: Lab) -> None:
    for port in ("br0", "t1", "t2"):  # the host's own port, too: the kernel does not send copies there
        lab.ctl("set-port", port, "--tag", "5")
    lab.ctl("set-port", "t3", "--trunks", "9")
    learn_again(lab)
    lab.mirror("s", "--source", "t1:from", "--output-vlan", "9")
    go_fast(lab, lab.t1, 1, 2)
    for host in (lab.t2, lab.t3):
        host.wire.settle()
        host.wire.clear()
    before = in_user_space(lab)
    sent = frame(mac(1), mac(2), b"into the VLAN")
    lab.t1.wire.send(sent)
    assert lab.t2.wire.expect(1) == [sent]
    assert lab.t3.wire.expect(1) == [frame(mac(1), mac(2), b"into the VLAN", vlan=9)]
    assert in_user_space(lab) == before


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


@pytest.mark.parametrize("group", [BROADCAST, bytes.fromhex("01005e000107"), bytes.fromhex("333300000107")],
                         ids=["broadcast", "ipv4", "ipv6"])
def test_the_kernel_sends_to_groups(lab: Lab, group: bytes) -> None:
    """To every port in its form, and the copies of both directions; a protected port is refused and counted."""
    hosts = {name: lab.host(name) for name in ("t4", "t5", "t6")}
    for name, options in (("t1", ["--tag", "10", "--protected"]), ("t2", ["--tag", "10"]), ("t3", ["--trunks", "10"]),
                          ("t4", ["--tag", "10", "--protected"]), ("t5", ["--tag", "20"])):
        lab.ctl("set-port", name, *options)
    lab.mirror("from", "--source", "t1:from", "--output", "t6", "--normal-io")
    lab.mirror("to", "--source", "t3:to", "--output", "t6", "--normal-io")
    lab.ctl("set-port", "t6", "--tag", "30")
    lab.t1.wire.send(frame(mac(1), group, b"here I am"))
    lab.t3.wire.settle()
    before = {name: lab.port(name)["counters"] for name in ("t1", "t2", "t3", "t4", "t5", "t6")}
    accounts = {name: lab.account(name) for name in ("from", "to")}
    slow = in_user_space(lab)
    with Numbered(lab.t2) as t2, Numbered(lab.t3) as t3, Numbered(hosts["t6"]) as t6:
        send(lab.t1, 1, group, 20_000, MANY)
        assert t2.result() == whole(MANY)
        assert t3.result() == whole(MANY)
        assert t6.result() == whole(MANY), "one copy, in the form of the session that comes first"
    assert in_user_space(lab) - slow < MANY / 2
    assert stats(lab)["fast_path"]["frames"] > MANY / 2

    def grown(port: str, key: str) -> int:
        return lab.port(port)["counters"][key] - before[port][key]

    assert (grown("t2", "tx_packets"), grown("t2", "tx_bytes")) == (MANY, MANY * 64)
    assert (grown("t3", "tx_packets"), grown("t3", "tx_bytes")) == (MANY, MANY * 68)
    assert (grown("t4", "tx_packets"), grown("t4", "tx_dropped")) == (0, MANY)
    assert (grown("t5", "tx_packets"), grown("t5", "tx_dropped")) == (0, 0)
    assert lab.drops("protected_port") >= MANY
    for name in ("from", "to"):
        assert lab.account(name)["matched"] - accounts[name]["matched"] == MANY
    assert sum(lab.account(name)["delivered"] - accounts[name]["delivered"] for name in ("from", "to")) == grown("t6", "tx_copies")


def test_a_group_loses_and_gains_members_with_the_next_frame(lab: Lab) -> None:
    for n in range(20):
        member = n % 2 == 0
        lab.ctl("set-port", "t3", "--tag", "none" if member else "7")
        for i in range(5):
            lab.t1.wire.send(frame(mac(1), BROADCAST, b"round %d %d" % (n, i)))
        lab.t2.wire.expect(5)
        seen = lab.t3.wire.settle()
        assert len(seen) == (5 if member else 0), n
        lab.t2.wire.clear()
        lab.t3.wire.clear()


@pytest.mark.parametrize("options", [["--output", "t3"], ["--output", "t3", "--snaplen", "1000"]], ids=["kernel", "tap"])
def test_a_budget_bounds_what_copies_cost(lab: Lab, options: list[str]) -> None:
    """Of processor time: production does not suffer, and what was not copied is in the account."""
    lab.mirror("span", "--source", "t1:from", *options)

    def is_forwarded_by_the_kernel() -> bool:
        before = stats(lab)["fast_path"]["frames"]
        lab.t1.wire.send(frame(mac(1), mac(2), b"go fast"))
        lab.t1.wire.settle()
        return bool(stats(lab)["fast_path"]["frames"] > before)

    wait_until(is_forwarded_by_the_kernel, "the kernel carries the flow")
    earlier = lab.account("span")
    for budget, at_least, at_most in (("1", 0.01, 0.9), ("none", 1.0, 1.0)):
        lab.ctl("set-mirror", "br0", "span", "--cpu-budget", budget)
        with Numbered(lab.t2) as production, Numbered(lab.t3) as copies:
            send(lab.t1, 1, 2, 50_000, MANY)
            assert production.result() == whole(MANY)
            copied = copies.result()
        now = lab.account("span")
        delivered = now["delivered"] - earlier["delivered"]
        lost = now["lost_by"].get("cpu_budget", 0) - earlier["lost_by"].get("cpu_budget", 0)
        assert now["matched"] - earlier["matched"] == MANY == delivered + lost, (budget, now)
        assert copied["frames"] == delivered and copied["doubled"] == copied["late"] == 0
        assert at_least * MANY <= delivered <= at_most * MANY, (budget, delivered)
        earlier = now


def over_patch(lab: Lab) -> tuple[Host, Host]:
    """br1 behind a patch from br0, with two hosts; the patch tags VLAN 10 of br0. Their addresses are those of 4 and 5."""
    lab.ctl("add-br", "br1")
    lab.ctl("add-port", "br0", "p01", "--type", "patch", "--option", "peer=p10", "--tag", "10")
    lab.ctl("add-port", "br1", "p10", "--type", "patch", "--option", "peer=p01")
    hosts = lab.host("t4", bridge="br1"), lab.host("t5", bridge="br1")
    for name in ("t1", "t2", "t3"):
        lab.ctl("set-port", name, "--tag", "10")
    learn(lab)
    for n, host in enumerate(hosts, 4):
        host.wire.send(frame(mac(n), BROADCAST))
    lab.t1.wire.settle(2)
    lab.t1.wire.clear()
    return hosts


def test_the_kernel_carries_frames_over_patches(lab: Lab) -> None:
    t4, t5 = over_patch(lab)
    lab.mirror("here", "--source", "t1:from", "--output", "t3")
    lab.mirror("there", "--source", "t4:to", "--output", "t5", bridge="br1")
    go_fast(lab, lab.t1, 1, 4)
    before = {name: lab.port(name)["counters"] for name in ("t1", "p01", "p10", "t4")}
    slow = in_user_space(lab)
    with Numbered(t4) as production, Numbered(lab.t3) as here, Numbered(t5) as there:
        send(lab.t1, 1, 4, 20_000, MANY)
        for receiver in (production, here, there):
            assert receiver.result() == whole(MANY)
    assert in_user_space(lab) - slow < MANY / 2

    def grown(port: str, key: str) -> int:
        return lab.port(port)["counters"][key] - before[port][key]

    for port, packets, bytes_ in (("t1", "rx_packets", "rx_bytes"), ("p01", "tx_packets", "tx_bytes"),
                                  ("p10", "rx_packets", "rx_bytes"), ("t4", "tx_packets", "tx_bytes")):
        assert (grown(port, packets), grown(port, bytes_)) == (MANY, MANY * 64), port
    for name, bridge in (("here", "br0"), ("there", "br1")):
        account = lab.account(name, bridge)
        assert account["matched"] == account["delivered"] >= MANY


@pytest.mark.parametrize("bridge", ["br0", "br1"])
def test_a_change_on_either_side_of_a_patch_applies_to_the_next_frame(lab: Lab, bridge: str) -> None:
    t4, t5 = over_patch(lab)
    copies = t5 if bridge == "br1" else lab.t3
    lab.mirror("span", "--source", "t4:to" if bridge == "br1" else "t1:from", "--output", copies.name, bridge=bridge)
    go_fast(lab, lab.t1, 1, 4)
    copies.wire.settle()
    for round_ in range(40):
        copies.wire.clear()
        is_on = round_ % 2 == 1
        lab.ctl("enable-mirror" if is_on else "disable-mirror", bridge, "span")
        lab.t1.wire.send(*(frame(mac(1), mac(4), b"round %d" % round_) for _ in range(5)))
        assert len([data for data in copies.wire.settle() if data[:6] == mac(4)]) == (5 if is_on else 0), round_
    assert stats(lab)["fast_path"]["flows"] > 0
    lab.ctl("del-port", "p10")
    t4.wire.clear()
    lab.t1.wire.send(frame(mac(1), mac(4), b"nobody there"))
    assert t4.wire.settle() == []


def test_an_address_that_moves_behind_a_patch_is_followed(lab: Lab) -> None:
    t4, t5 = over_patch(lab)
    go_fast(lab, lab.t1, 1, 4)
    t5.wire.send(frame(mac(4), BROADCAST, b"here now"))
    lab.t1.wire.settle(1)
    t4.wire.clear()
    t5.wire.clear()
    lab.t1.wire.send(frame(mac(1), mac(4), b"where are you"))
    assert [data for data in t5.wire.settle(1) if data[:6] == mac(4)] == [frame(mac(1), mac(4), b"where are you")]
    assert t4.wire.settle() == []


def test_the_kernel_gives_the_host_its_frames(lab: Lab) -> None:
    """To an address of the host, and to a group: on the local port, as user space would, without the switch's mark."""
    lab.net.switch_run("ip", "link", "set", "br0", "up")
    lab.net.switch_run("nft", "add table netdev t; add chain netdev t c { type filter hook ingress device br0 priority 0; }; "
                       "add rule netdev t c mark != 0 counter drop")
    lab.wait_port("br0", "active")
    address = bytes.fromhex(lab.net.switch_run("cat", "/sys/class/net/br0/address").stdout.strip().replace(":", ""))
    with contextlib.closing(Wire(lab.net.switch, "br0")) as host:
        host.send(frame(address, BROADCAST, b"the host"))
    lab.t1.wire.expect(1)
    before = in_user_space(lab), lab.port("br0")["counters"]
    for destination in (address, BROADCAST):
        with Numbered(None, lab.net.switch, "br0") as host_receives, Numbered(lab.t2) as other:
            send(lab.t1, 1, destination, 20_000, MANY)
            assert host_receives.result() == whole(MANY)
            if destination == BROADCAST:
                assert other.result() == whole(MANY)
    assert in_user_space(lab) - before[0] < MANY / 2
    assert lab.port("br0")["counters"]["tx_packets"] - before[1]["tx_packets"] == 2 * MANY
    assert lab.port("br0")["counters"]["tx_bytes"] - before[1]["tx_bytes"] == 2 * MANY * 64


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


def test_explain_and_trace_say_who_carries_a_flow(lab: Lab) -> None:
    """What they say is what then happens."""
    def said(destination: bytes = mac(2), vlans: bytes = b"") -> Any:
        data = destination + mac(1) + vlans + b"\x88\xb5" + bytes(46)
        fast_path = lab.rpc("mirror.explain", bridge="br0", in_port="t1", frame=data.hex())["fast_path"]
        traced = lab.daemon.ovs("ovs-appctl", "ofproto/trace", "br0", "in_port=t1", data.hex()).stdout.split("Datapath actions: ")[1]
        shown = lab.ctl("explain", "br0", "--in-port", "t1", "--frame", data.hex()).stdout
        assert fast_path["carried"] == ("flow is handled by the kernel" in traced) == ("the kernel carries such frames" in shown)
        if not fast_path["carried"]:
            assert f"by the userspace slow path because:\n  - {fast_path['reason']}\n" in traced
            assert f"user space carries such frames: {fast_path['reason']}\n" in shown
        # Twice, and once more: all but the first are the kernel's if it is to carry them.
        lab.t1.wire.send(data, data)
        lab.t1.wire.settle()
        if fast_path["carried"]:
            wait_until(lambda: is_carried(data), "the kernel carries it")
        else:
            assert not any(is_carried(data) for _ in range(5)), fast_path
        return fast_path

    def is_carried(data: bytes) -> bool:
        before = carried(lab)
        lab.t1.wire.send(data)
        lab.t2.wire.settle()
        return carried(lab) > before

    assert said() == {"carried": True, "user_copies": []}
    assert said(BROADCAST) == {"carried": True, "user_copies": []}
    assert "flooded" in said(mac(77))["reason"]
    assert "more than one VLAN tag" in said(vlans=b"\x81\x00\x00\x00\x81\x00\x00\x08")["reason"]
    lab.mirror("whole", "--source", "t1", "--output", "t3")
    assert said() == {"carried": True, "user_copies": []}
    lab.mirror("short", "--source", "t1", "--output-vlan", "7", "--output", "t2", "--snaplen", "60")
    assert said() == {"carried": True, "user_copies": ["short"]}
    lab.ctl("del-mirror", "br0", "short")
    lab.net.switch_run("tc", "qdisc", "add", "dev", "t2", "root", "pfifo")
    wait_until(lambda: lab.port("t2")["egress"] == "qdisc pfifo", "it is noticed")
    assert "on its way out" in said()["reason"]
    lab.net.switch_run("tc", "qdisc", "del", "dev", "t2", "root")
    wait_until(lambda: lab.port("t2")["egress"] is None, "it is gone")
    assert said()["carried"]
    lab.daemon.ovs("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:kernel-fast-path=false")
    assert "kernel-fast-path is false" in said()["reason"]


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


def test_what_the_kernel_does_not_carry_out_is_counted(lab: Lab) -> None:
    """Frames of a known flow that the filter has taken, while somebody has removed the program that carries them."""
    go_fast(lab, lab.t1, 1, 2)
    lab.t2.wire.clear()
    before = lab.port("t1")["counters"]
    os.kill(lab.daemon.pid, signal.SIGSTOP)  # or it would bring the program back at once
    try:
        lab.net.switch_run("tc", "filter", "del", "dev", "t1", "ingress")
        lab.t1.wire.send(*(frame(mac(1), mac(2), b"nobody carries it") for _ in range(50)))
    finally:
        os.kill(lab.daemon.pid, signal.SIGCONT)
    wait_until(lambda: lab.drops("fast_path_bypassed") == 50, "the loss has a reason")
    now = lab.port("t1")["counters"]
    assert [now[key] - before[key] for key in ("rx_packets", "rx_dropped")] == [50, 50], "and a port"
    assert re.search(r"^ *50  fast_path_bypassed ", lab.ctl("stats").stdout, re.M)
    assert lab.t2.wire.settle() == []
    # What is carried again is not counted, neither at rest nor under way.
    go_fast(lab, lab.t1, 1, 2)
    with Numbered(lab.t2) as production:
        send(lab.t1, 1, 2, 20_000, 3 * MANY)
        assert production.result() == whole(3 * MANY)
    assert "off" not in stats(lab)["fast_path"]
    assert lab.drops("fast_path_bypassed") == 50
    lab.ctl("del-port", "t1")
    assert lab.drops("fast_path_bypassed") in (0, 50), "and not again when the port goes"


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
