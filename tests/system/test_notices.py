# SPDX-License-Identifier: Apache-2.0
"""A session disturbs nothing, and nothing that it changes or cannot do is accepted in silence."""
from __future__ import annotations

import pathlib
import struct
from collections.abc import Iterator

import pytest

from net import BROADCAST, Host, frame, mac
from switch import Lab
from test_traffic import transfer


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


@pytest.fixture
def three(lab: Lab) -> list[Host]:
    """t1, t2 and t3; the switch knows where mac(1) and mac(2) are."""
    hosts = [lab.host(f"t{n}") for n in (1, 2, 3)]
    for n in (1, 2):
        hosts[n - 1].wire.send(frame(mac(n), BROADCAST))
    hosts[2].wire.settle(2)
    for host in hosts:
        host.wire.settle()
        host.wire.clear()
    return hosts


def vsctl(lab: Lab, *words: str) -> str:
    return lab.daemon.ovs("ovs-vsctl", *words).stdout.strip()


CHANGES = {
    "SPAN": [("add-mirror", "br0", "s", "--source", "t3", "--output", "spare"), ("set-mirror", "br0", "s", "--snaplen", "100"),
             ("disable-mirror", "br0", "s"), ("enable-mirror", "br0", "s"), ("del-mirror", "br0", "s")],
    "into a VLAN": [("add-mirror", "br0", "s", "--source", "t3", "--output-vlan", "900"),
                    ("set-mirror", "br0", "s", "--output-vlan", "901"),
                    ("set-mirror", "br0", "s", "--output", "spare"), ("disable-mirror", "br0", "s"), ("enable-mirror", "br0", "s"),
                    ("del-mirror", "br0", "s")],
    "from a VLAN": [("add-mirror", "br0", "s", "--source-vlan", "900", "--output", "spare"),
                    ("set-mirror", "br0", "s", "--source-vlan", "901"),
                    ("set-mirror", "br0", "s", "--strip-vlan", "--output", "spare"), ("del-mirror", "br0", "s")],
    "to an address": [("add-mirror", "br0", "s", "--source", "t3", "--endpoint", "127.0.0.9"), ("del-mirror", "br0", "s")],
}


@pytest.mark.parametrize("kind", CHANGES)
def test_no_change_of_a_session_forgets_an_address(lab: Lab, three: list[Host], kind: str) -> None:
    t1, t2, t3 = three
    lab.host("spare")
    for n, change in enumerate(CHANGES[kind]):
        lab.ctl(*change)
        known = {entry["mac"] for entry in lab.rpc("fdb.list", bridge="br0")["entries"]}
        assert known >= {mac(1).hex(":"), mac(2).hex(":")}, change
        data = frame(mac(1), mac(2), f"{kind} {n}".encode())
        t1.wire.send(data)
        assert t2.wire.settle(1) == [data]
        t2.wire.clear()
        assert data not in t3.wire.settle(), f"flooded after {change}"


def test_an_output_that_loses_its_own_traffic_is_no_secret(lab: Lab, three: list[Host]) -> None:
    added = lab.ctl("add-mirror", "br0", "cut", "--source", "t1", "--output", "t2")
    assert "warning: port t2 carries only copies, but had traffic of its own (1 addresses learned)" in added.stderr
    assert "--normal-io" in lab.ctl("add-mirror", "--help").stdout
    assert lab.port("t2")["copies_only"] == "cut"
    assert "copies only (cut)" in lab.ctl("show-port", "t2").stdout
    assert vsctl(lab, "get", "interface", "t2", "status:copies_only") == "cut"
    assert "mirror|WARN|br0/cut: port t2 carries only copies" in lab.daemon.log_text()
    allowed = lab.ctl("set-mirror", "br0", "cut", "--normal-io")
    assert allowed.stderr == ""
    assert lab.port("t2")["copies_only"] is None
    assert "copies only" not in lab.ctl("show").stdout


def test_the_host_s_own_port_as_output_is_noticed(lab: Lab, three: list[Host]) -> None:
    lab.net.switch_run("ip", "addr", "add", "10.95.0.254/24", "dev", "br0")
    lab.net.switch_run("ip", "link", "set", "br0", "up")
    vsctl(lab, "--", "--id=@o", "get", "port", "br0", "--", "--id=@p", "get", "port", "t1", "--", "--id=@m", "create", "mirror",
          "name=m0", "select_src_port=@p", "output_port=@o", "--", "add", "bridge", "br0", "mirrors", "@m")
    notice = lab.rpc("mirror.get", bridge="br0", name="m0")["notice"]
    assert notice.startswith("port br0 carries only copies, so the host is not reachable at 10.95.0.254")
    assert f"mirror|WARN|br0/m0: {notice}" in lab.daemon.log_text()


def test_an_own_address_as_endpoint_is_noticed(lab: Lab, three: list[Host]) -> None:
    added = lab.ctl("add-mirror", "br0", "m0", "--source", "t1", "--endpoint", "127.0.0.1")
    assert "is an address of this host" in added.stderr


def test_the_log_tells_the_life_of_a_session(lab: Lab, three: list[Host]) -> None:
    lab.ctl("add-mirror", "br0", "one", "--source", "t1", "--output", "t3", "--normal-io")
    lab.ctl("add-mirror", "br0", "two", "--source", "t1", "--output", "gone")
    assert "mirror|INFO|br0/one: active" in lab.daemon.log_text()
    assert "mirror|WARN|br0/two: waiting: destination: no port gone on br0" in lab.daemon.log_text()
    lab.ctl("disable-mirror", "br0", "two")
    assert "mirror|INFO|br0/two: disabled" in lab.daemon.log_text()
    # A stock client that sets the column replaces what was there.
    vsctl(lab, "--", "--id=@p", "get", "port", "t1", "--", "--id=@o", "get", "port", "t3", "--", "--id=@m", "create", "mirror",
          "name=m0", "select_src_port=@p", "output_port=@o", "--", "set", "bridge", "br0", "mirrors=@m")
    assert [one["name"] for one in lab.rpc("mirror.list")["mirrors"]] == ["m0"]
    for name in ("one", "two"):
        assert f"mirror|INFO|br0/{name}: removed" in lab.daemon.log_text()


@pytest.mark.parametrize("record, key, words", [
    ("bridge br0", "sflow", ["--id=@s", "create", "sflow", "agent=t1", 'target="10.0.0.9:6343"', "--", "set", "bridge", "br0", "sflow=@s"]),
    ("bridge br0", "netflow", ["--id=@s", "create", "netflow", 'targets="10.0.0.9:2055"', "--", "set", "bridge", "br0", "netflow=@s"]),
    ("bridge br0", "ipfix", ["--id=@s", "create", "ipfix", 'targets="10.0.0.9:4739"', "--", "set", "bridge", "br0", "ipfix=@s"]),
    ("bridge br0", "controller", ["set-controller", "br0", "tcp:127.0.0.1:6653"]),
    ("port t1", "qos", ["--id=@q", "create", "qos", "type=linux-htb", "--", "set", "port", "t1", "qos=@q"]),
    ("interface t1", "ingress_policing", ["set", "interface", "t1", "ingress_policing_rate=1000"]),
    ("interface t1", "ingress_policing", ["set", "interface", "t1", "ingress_policing_kpkts_rate=5"]),
])
def test_what_has_no_effect_says_so(lab: Lab, three: list[Host], record: str, key: str, words: list[str]) -> None:
    vsctl(lab, "--", *words)
    assert vsctl(lab, "get", *record.split(), f"status:{key}").startswith('"not supported: ')
    name = record.split()[1]
    assert f"unsupported|WARN|{record.split()[0]} {name}: {key}: not supported" in lab.daemon.log_text()


def checksum_is_right(packet: bytes) -> bool:
    """Of a TCP segment in an IPv4 packet without options."""
    segment = packet[20:]
    pseudo = packet[12:20] + struct.pack("!HH", 6, len(segment))
    data = pseudo + segment + b"\0" * (len(segment) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF


def test_an_analyser_gets_frames_as_on_a_wire(lab: Lab) -> None:
    """With the hosts' default offloads: no copy is longer than an Ethernet frame, and all have finished checksums."""
    t1, t2, probe = lab.host("t1", "10.95.0.1"), lab.host("t2", "10.95.0.2"), lab.host("probe")
    lab.mirror("s", "--source", "t1:from", "--output", "probe")
    transfer(t1, t2, size=300_000)
    account = lab.account("s")
    copies = [data for data in probe.wire.settle(account["sent_packets"]) if data[12:14] == b"\x08\x00" and data[23] == 6]
    assert account["lost"] == 0 and account["sent_packets"] > account["delivered"], "some were GSO packets"
    assert max(len(data) for data in copies) <= 1514
    assert all(len(data) == 14 + int.from_bytes(data[16:18], "big") or len(data) == 60 for data in copies)
    assert all(checksum_is_right(data[14:14 + int.from_bytes(data[16:18], "big")]) for data in copies)
    assert sum(int.from_bytes(data[16:18], "big") - 20 - (data[46] >> 4) * 4 for data in copies) >= 300_000, "all of the stream"


def test_segments_that_an_analyser_cannot_take_are_lost_as_too_big(lab: Lab) -> None:
    """Hosts with jumbo frames, an analyser without: what counts as delivered has arrived there."""
    t1, t2 = lab.host("t1", "10.95.0.1", mtu=9000), lab.host("t2", "10.95.0.2", mtu=9000)
    probe = lab.host("probe")
    lab.mirror("s", "--source", "t1:from", "--output", "probe")
    transfer(t1, t2, size=1_000_000)
    account = lab.account("s")
    assert account["lost_by"].keys() == {"too_big"} and account["lost"] * 65_536 > 500_000
    assert account["delivered"] == account["sent_packets"] == len(probe.wire.settle(account["sent_packets"]))


def test_gso_packets_are_copied_whole_where_a_session_asks_for_it(lab: Lab) -> None:
    """At a port with production, at one that carries copies only, and beside a session that wants segments there."""
    t1, t2, probe = lab.host("t1", "10.95.0.1"), lab.host("t2", "10.95.0.2"), lab.host("probe")
    lab.host("other")

    def longest_copy() -> int:
        probe.wire.clear()
        before = lab.account("whole")
        transfer(t1, t2, size=300_000)
        account = lab.account("whole")
        copies = probe.wire.settle(account["sent_packets"] - before["sent_packets"])
        assert account["lost"] == 0
        assert account["sent_packets"] == account["delivered"], "none was segmented"
        return max(len(data) for data in copies)

    lab.mirror("whole", "--source", "t1:from", "--output", "probe", "--normal-io")
    assert longest_copy() > 10_000
    lab.ctl("del-mirror", "br0", "whole")
    lab.mirror("whole", "--source", "t1:from", "--output", "probe", "--gso-packets", "keep")
    assert longest_copy() > 10_000
    lab.mirror("wire-size", "--source", "other:from", "--output", "probe")
    assert longest_copy() > 10_000
    lab.ctl("del-mirror", "br0", "whole")
    lab.ctl("set-mirror", "br0", "wire-size", "--source", "t1:from")
    probe.wire.clear()
    transfer(t1, t2, size=300_000)
    assert max(len(data) for data in probe.wire.settle(lab.account("wire-size")["sent_packets"])) <= 1514
