# SPDX-License-Identifier: Apache-2.0
"""Real transfers with the kernel's default offloads: what arrives is what was sent, mirrored or not."""
from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from net import BROADCAST, Host, frame, mac, run
from switch import Lab

SIZE = 200 * 1000 * 1000

RECEIVER = """
import hashlib, socket, sys
server = socket.create_server((sys.argv[1], 5001))
print('ready', flush=True)
peer, _ = server.accept()
digest, total = hashlib.sha256(), 0
while data := peer.recv(1 << 20):
    digest.update(data)
    total += len(data)
print(total, digest.hexdigest(), flush=True)
"""

SENDER = """
import hashlib, random, socket, sys
block = random.Random(7).randbytes(1 << 20)
left, digest = int(sys.argv[2]), hashlib.sha256()
peer = socket.create_connection((sys.argv[1], 5001), timeout=20)
while left:
    data = block[:left]
    peer.sendall(data)
    digest.update(data)
    left -= len(data)
peer.close()
print(digest.hexdigest(), flush=True)
"""

UDP_RECEIVER = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
sock.bind((sys.argv[1], 5002))
print('ready', flush=True)
sock.settimeout(3)
got = []
while len(got) < int(sys.argv[2]):
    got.append(sock.recv(65535))
print(sum(map(len, got)), got == sorted(got), flush=True)
"""


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


def transfer(sender: Host, receiver: Host, size: Any = SIZE, timeout: float = 120) -> None:
    server = receiver.popen("/usr/bin/python3", "-c", RECEIVER, receiver.address, stdout=subprocess.PIPE, text=True)
    assert server.stdout and server.stdout.readline().strip() == "ready"
    sent = sender.run("/usr/bin/python3", "-c", SENDER, receiver.address, size, timeout=timeout).stdout.strip()
    total, digest = server.communicate(timeout=timeout)[0].split()
    assert int(total) == size
    assert digest == sent, "SHA-256 at both ends"


def drop_early(host: Host) -> None:
    """The host's stack sees nothing of its eth0: a probe that only counts."""
    run("ip", "netns", "exec", host.namespace, "nft", "add", "table", "netdev", "probe")
    run("ip", "netns", "exec", host.namespace, "nft",
        "add chain netdev probe ignore { type filter hook ingress device eth0 priority 0; policy drop; }")


def test_200_megabytes_of_tcp_while_mirrored(lab: Lab) -> None:
    t1, t2, probe = lab.host("t1", "10.95.0.1"), lab.host("t2", "10.95.0.2"), lab.host("probe")
    drop_early(probe)
    lab.mirror("s", "--source", "t1", "--output", "probe")
    transfer(t1, t2)
    counters = lab.account("s")
    assert counters["tx_bytes"] > SIZE
    assert counters["delivered"] > 0


def test_200_megabytes_of_tcp_over_tagged_ports_while_mirrored(lab: Lab) -> None:
    """t1 (access 10) - br0 - trunk - br1 - t2 (access 10): on the trunk every super-frame has a tag."""
    t1 = lab.host("t1", "10.95.0.1", port_options=("--tag", "10"))
    lab.ctl("add-br", "br1")
    run("ip", "-n", lab.net.switch, "link", "add", "trunk0", "type", "veth", "peer", "name", "trunk1")
    for end, bridge in (("trunk0", "br0"), ("trunk1", "br1")):
        run("ip", "-n", lab.net.switch, "link", "set", end, "up")
        lab.ctl("add-port", bridge, end)
    t2 = lab.host("t2", "10.95.0.2", bridge="br1", port_options=("--tag", "10"))
    probe = lab.host("probe", bridge="br1")
    drop_early(probe)
    lab.mirror("s", "--source", "trunk1", "--output", "probe", bridge="br1")
    transfer(t1, t2)
    assert lab.account("s", bridge="br1")["tx_bytes"] > SIZE
    probe.wire.clear()
    t1.ping("10.95.0.2")
    tagged = probe.wire.wait(2, match=lambda data: data[12:14] == b"\x81\x00" and data[23 + 4] == 1)
    assert tagged and all(int.from_bytes(data[14:16], "big") & 0xFFF == 10 for data in tagged)


def test_segments_are_right_when_the_receiving_device_cannot_take_super_frames(lab: Lab) -> None:
    """With segmentation offload off on the switch's side the kernel cuts what the switch sends, tags included."""
    t1, t2 = lab.host("t1", "10.95.0.1"), lab.host("t2", "10.95.0.2")
    lab.net.switch_run("ethtool", "-K", "t2", "tso", "off", "gso", "off", "tx", "off")
    transfer(t1, t2, size=20_000_000)


@pytest.mark.parametrize("length", [1, 1000, 1472, 8000])
def test_udp_with_default_offloads(lab: Lab, length: int) -> None:
    t1, t2, probe = lab.host("t1", "10.95.0.1"), lab.host("t2", "10.95.0.2"), lab.host("probe")
    lab.mirror("s", "--source", "t1:from", "--output", "probe")
    t1.ping("10.95.0.2")
    probe.wire.settle()
    probe.wire.clear()
    count = 50
    server = t2.popen("/usr/bin/python3", "-c", UDP_RECEIVER, t2.address, count, stdout=subprocess.PIPE, text=True)
    assert server.stdout and server.stdout.readline().strip() == "ready"
    t1.run("/usr/bin/python3", "-c",
           "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
           f"for n in range({count}): s.sendto(bytes([n])*{length}, ('10.95.0.2', 5002))")
    assert server.communicate(timeout=30)[0].split() == [str(count * length), "True"]
    copies = probe.wire.settle(count, match=lambda data: data[12:14] == b"\x08\x00" and data[23] == 17)
    assert len(copies) >= count
    if length <= 1472:
        assert all(udp_checksum_is_right(data) for data in copies), "copies carry finished checksums"


def udp_checksum_is_right(data: bytes) -> bool:
    header_length = (data[14] & 15) * 4
    udp = data[14 + header_length:14 + int.from_bytes(data[16:18], "big")]
    pseudo = data[26:34] + b"\x00\x11" + len(udp).to_bytes(2, "big")
    whole = pseudo + udp + (b"\x00" if len(udp) % 2 else b"")
    total = sum(int.from_bytes(whole[n:n + 2], "big") for n in range(0, len(whole), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF and udp[6:8] != b"\x00\x00"


def test_frames_of_9000_bytes(lab: Lab) -> None:
    hosts = [lab.host(name, mtu=9000) for name in ("t1", "t2", "probe")]
    t1, t2, probe = hosts
    lab.mirror("s", "--source", "t1:from", "--output", "probe")
    sent = [frame(mac(1), BROADCAST, bytes([n]) * 9000) for n in range(1, 60)]
    t1.wire.send(*sent)
    assert t2.wire.wait(len(sent)) == sent
    assert probe.wire.wait(len(sent)) == sent
    tagged = frame(mac(1), BROADCAST, b"t" * 9000, vlan=77, pcp=5)
    t1.wire.send(tagged)
    assert t2.wire.settle(len(sent) + 1)[-1] == tagged


def test_a_frame_longer_than_an_mtu_is_lost_on_that_port_only(lab: Lab) -> None:
    big, small, also_big = lab.host("big", mtu=9000), lab.host("small", mtu=1500), lab.host("also", mtu=9000)
    long_frame = frame(mac(1), BROADCAST, b"x" * 5000)
    big.wire.send(long_frame)
    assert also_big.wire.wait(1) == [long_frame]
    assert small.wire.settle() == []
    assert lab.drops("too_big") == 1


def test_64_ports_flood(lab: Lab) -> None:
    hosts = [lab.host(f"h{n}") for n in range(64)]
    hosts[5].wire.send(*[frame(mac(5), BROADCAST, bytes([n])) for n in range(20)])
    expected = [frame(mac(5), BROADCAST, bytes([n])) for n in range(20)]
    for host in hosts:
        got = host.wire.wait(20) if host is not hosts[5] else host.wire.settle()
        assert got == ([] if host is hosts[5] else expected), host.name
    lab.mirror("s", "--source", "all", "--output", "h63")
    hosts[63].wire.clear()
    hosts[5].wire.send(frame(mac(5), BROADCAST, b"once"))
    assert hosts[63].wire.settle(1) == [frame(mac(5), BROADCAST, b"once")], "one copy of a flood to 63 ports"


def test_double_tags_priority_tags_and_runts_pass_unchanged(lab: Lab) -> None:
    t1, t2 = lab.host("t1"), lab.host("t2")
    frames = [
        frame(mac(1), BROADCAST, b"\x00\x07\x88\xb5inner", vlan=100, tpid=0x88A8, ether_type=0x8100),
        frame(mac(1), BROADCAST, b"priority", vlan=0, pcp=6),
        frame(mac(1), BROADCAST),
        frame(mac(1), BROADCAST, b"20", vlan=4095),  # shorter tagged ones the kernel itself drops (skb_vlan_untag)
    ]
    t1.wire.send(*frames)
    assert t2.wire.wait(len(frames)) == frames
