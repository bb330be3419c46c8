# SPDX-License-Identifier: Apache-2.0
"""explain with capture files in and out: what it writes is what then leaves the switch."""
from __future__ import annotations

import ipaddress
import json
import pathlib
import struct
import subprocess
from collections.abc import Iterator

import pytest

from lab import PATIENCE_S
from net import BROADCAST, frame, mac
from switch import Lab


FROM, TO = ipaddress.ip_address("10.95.0.1").packed, ipaddress.ip_address("10.95.0.2").packed


def ipv4(protocol: int, payload: bytes) -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0) + FROM + TO
    return frame(mac(1), mac(2), header + payload, ether_type=0x0800)


def ipv6(next_header: int, payload: bytes) -> bytes:
    addresses = ipaddress.ip_address("fd00::1").packed + ipaddress.ip_address("fd00::2").packed
    return frame(mac(1), mac(2), struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64) + addresses + payload,
                 ether_type=0x86DD)


FRAMES = [
    ipv4(6, struct.pack("!HHIIBBHHH", 1234, 80, 1, 0, 0x50, 2, 512, 0, 0) + b"x" * 200),
    ipv4(1, struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"y" * 40),
    ipv6(58, struct.pack("!BBHHH", 128, 0, 0, 1, 1) + b"z" * 40),
    frame(mac(1), BROADCAST, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac(1) + FROM + bytes(6) + TO + bytes(18),
          ether_type=0x0806),
    frame(mac(1), mac(2), b"w" * 60, vlan=7),
]
WORDS = ["IPv4 10.95.0.1 > 10.95.0.2 TCP 1234 > 80 SYN", "IPv4 10.95.0.1 > 10.95.0.2 ICMP echo request",
         "IPv6 fd00::1 > fd00::2 ICMPv6 echo request", "ARP who has 10.95.0.2, tell 10.95.0.1", "VLAN 7, "]


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1 = lab.host("t1", port_options=["--tag", "10"])
        lab.t2 = lab.host("t2", port_options=["--trunks", "10"])
        lab.t3 = lab.host("t3", port_options=["--tag", "10"])
        lab.t2.wire.send(frame(mac(2), BROADCAST, b"here I am", vlan=10))
        lab.t1.wire.expect(1)
        lab.mirror("whole", "--source", "t1:from", "--output", "t3")
        lab.mirror("dns", "--source", "t1:from", "--filter", "udp", "--output", "t3")
        yield lab


def write_pcap(path: pathlib.Path, frames: list[bytes]) -> None:
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    path.write_bytes(header + b"".join(struct.pack("<IIII", 1_767_600_000 + number, 5, len(one), len(one)) + one
                                       for number, one in enumerate(frames)))


def sent_by_port(path: pathlib.Path) -> dict[str, list[bytes]]:
    """Frames by the name of their interface, as tshark reads the file."""
    done = subprocess.run(["tshark", "-n", "-r", str(path), "-T", "jsonraw", "-j", "frame"], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=True)
    names = subprocess.run(["tshark", "-n", "-r", str(path), "-T", "fields", "-e", "frame.interface_name"], capture_output=True,
                           text=True, timeout=PATIENCE_S, check=True).stdout.split()
    sent: dict[str, list[bytes]] = {}
    for name, packet in zip(names, json.loads(done.stdout), strict=True):
        sent.setdefault(name, []).append(bytes.fromhex(packet["_source"]["layers"]["frame_raw"][0]))
    return sent


def test_what_is_written_is_what_leaves(lab: Lab, tmp_path: pathlib.Path) -> None:
    given, leaving = tmp_path / "given.pcap", tmp_path / "leaving.pcapng"
    write_pcap(given, FRAMES)
    said = lab.ctl("explain", "br0", "--in-port", "t1", "--pcap", str(given), "-w", str(leaving)).stdout
    for number, words in enumerate(WORDS, 1):
        assert f"frame {number}: {words}" in said, said
    assert "    t2 gets it as: VLAN 10, IPv4 10.95.0.1 > 10.95.0.2 TCP 1234 > 80 SYN\n" in said
    assert "    t3 gets a copy of whole: as it came\n" in said
    assert said.count("dns does not copy it: none of its filters matches the frame: from t1") == 4
    assert said.endswith("5 frames: 4 forwarded, 1 not; copied by whole: 4\n"), said
    for host in (lab.t2, lab.t3):
        host.wire.clear()
    lab.t1.wire.send(*FRAMES)
    written = sent_by_port(leaving)
    assert set(written) == {"t2", "t3"}
    for name, host in (("t2", lab.t2), ("t3", lab.t3)):
        assert host.wire.expect(len(written[name])) == written[name], name
    comments = subprocess.run(["tshark", "-n", "-r", str(leaving), "-T", "fields", "-e", "frame.interface_name", "-e",
                               "frame.comment", "-e", "frame.packet_flags_direction"], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=True).stdout.splitlines()
    assert sorted(set(comments)) == ["t2\t\t0x00000002", "t3\tcopy of whole\t0x00000002"], comments


def test_its_own_captures_are_read(lab: Lab, tmp_path: pathlib.Path) -> None:
    leaving, again = tmp_path / "leaving.pcapng", tmp_path / "again.pcapng"
    write_pcap(tmp_path / "given.pcap", FRAMES[:2])
    lab.ctl("explain", "br0", "--in-port", "t1", "--pcap", str(tmp_path / "given.pcap"), "-w", str(leaving))
    said = lab.ctl("--json", "explain", "br0", "--in-port", "t2", "--pcap", str(leaving), "-w", str(again)).stdout
    frames = json.loads(said)["frames"]
    assert [one["number"] for one in frames] == [1, 2, 3, 4]
    one = lab.ctl("explain", "br0", "--in-port", "t2", "--pcap", str(leaving), "--number", "1").stdout
    assert one.startswith("VLAN 10, IPv4 10.95.0.1 > 10.95.0.2 TCP 1234 > 80 SYN\n") and "SESSION  COPIES IT" in one
    info = subprocess.run(["capinfos", "-c", "-E", str(again)], capture_output=True, text=True, timeout=PATIENCE_S)
    assert info.returncode == 0, info.stderr
