# SPDX-License-Identifier: Apache-2.0
"""Filters of sessions: in real namespaces by each way in, and beside Open vSwitch's own parser and classifier.

`VSWITCH_SEED` and `VSWITCH_SCENARIOS` choose other random matches and more frames.
"""
from __future__ import annotations

import json
import os
import pathlib
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest

import matches
import openvswitch
from lab import RpcError
from net import BROADCAST, frame, mac
from switch import Lab

SEED = int(os.environ.get("VSWITCH_SEED", "4"))
FRAMES = int(os.environ.get("VSWITCH_SCENARIOS", "100"))
MATCHES = 240  # Open vSwitch has 254 tables


def ipv4(protocol: int, data: bytes) -> Any:
    length = 20 + len(data)
    return bytes([0x45, 0, length >> 8, length & 255, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]) + data


def tcp(port: Any) -> Any:
    return ipv4(6, (1024).to_bytes(2, "big") + port.to_bytes(2, "big") + bytes(8) + b"\x50\x02" + bytes(6))


def to_all(packet: bytes, ether_type: int = 0x0800, **tag: Any) -> bytes:
    return frame(mac(1), BROADCAST, packet, ether_type=ether_type, **tag)


WEB, SSH = to_all(tcp(80)), to_all(tcp(22))
DNS = to_all(ipv4(17, b"\x04\x00\x00\x35\x00\x0c\x00\x00data"))
ASK = to_all(bytes([0, 1, 8, 0, 6, 4, 0, 1]) + bytes(20), ether_type=0x0806)


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        for name in ("t1", "t2", "probe"):
            setattr(lab, name, lab.host(name))
        yield lab


def copied(lab: Lab, *frames: Any) -> Any:
    """Which of the frames from t1 the probe gets."""
    lab.probe.wire.clear()
    lab.t2.wire.clear()
    lab.t1.wire.send(*frames)
    lab.t2.wire.expect(len(frames))
    assert len(lab.t2.wire.frames) == len(frames), "a filter has no say in production traffic"
    return lab.probe.wire.settle()


def test_with_vswitch_ctl(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1", "--output", "probe", "--filter", "tcp,tp_dst=80", "--filter", "arp")
    assert copied(lab, WEB, SSH, DNS, ASK) == [WEB, ASK]
    assert lab.account("s")["matched"] == 2 and lab.account("s")["lost"] == 0
    lab.ctl("set-mirror", "br0", "s", "--filter", "tcp", "--skip", "tcp,tp_dst=22-25")
    assert copied(lab, WEB, SSH, DNS, ASK) == [WEB]
    shown = lab.ctl("show-mirror", "br0", "s").stdout
    assert re.search(r"^filter +tcp$", shown, re.M) and re.search(r"^skip +tcp,tp_dst=22-25$", shown, re.M)
    said = lab.ctl("explain", "br0", "--in-port", "t1", "--frame", SSH.hex()).stdout
    assert "a skip rule matches the frame (tcp,tp_dst=22-25): from t1" in said
    said = lab.ctl("explain", "br0", "--in-port", "t1", "--frame", DNS.hex()).stdout
    assert "none of its filters matches the frame: from t1" in said
    trace = lab.daemon.ovs("ovs-appctl", "ofproto/trace", "br0", "in_port=t1", SSH.hex()).stdout
    assert "session s: no copy: a skip rule matches the frame (tcp,tp_dst=22-25): from t1" in trace
    shown = lab.daemon.ovs("ovs-appctl", "mirror/show", "br0", "s").stdout
    assert "  filter: tcp\n  skip: tcp,tp_dst=22-25\n" in shown
    lab.ctl("set-mirror", "br0", "s", "--filter", "none", "--skip", "none")
    assert copied(lab, WEB, SSH, DNS, ASK) == [WEB, SSH, DNS, ASK]


def test_a_bad_match_is_refused_and_changes_nothing(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1", "--output", "probe", "--filter", "tcp,tp_dst=80")
    done = lab.ctl("set-mirror", "br0", "s", "--filter", "tp_dst=22", "--snaplen", "60", check=False)
    assert done.returncode == 1 and "'tp_dst=22': it needs a protocol with ports: add tcp" in done.stderr
    session = lab.rpc("mirror.get", bridge="br0", name="s")
    assert (session["filter"], session["snaplen"], session["state"]) == (["tcp,tp_dst=80"], None, "active")
    with pytest.raises(RpcError) as refusal:
        lab.rpc("mirror.set", bridge="br0", name="s", skip=["arp", "in_port=1"])
    assert refusal.value.error["code"] == -32602
    assert (refusal.value.error["data"]["field"], refusal.value.error["data"]["value"]) == ("skip", "in_port=1")
    assert copied(lab, WEB, SSH) == [WEB]


def test_with_the_session_api(lab: Lab) -> None:
    session = lab.rpc("mirror.add", bridge="br0", name="s", sources={"ports": ["t1"]}, destination={"ports": ["probe"]},
                      filter="udp", skip=None)
    assert (session["filter"], session["skip"]) == (["udp"], None)
    assert copied(lab, WEB, DNS) == [DNS]
    session = lab.rpc("mirror.set", bridge="br0", name="s", filter=["udp", "tcp"], skip=["tcp,tcp_dst=22"])
    assert (session["filter"], session["skip"]) == (["tcp", "udp"], ["tcp,tcp_dst=22"])
    assert copied(lab, WEB, SSH, DNS) == [WEB, DNS]
    assert lab.rpc("mirror.set", bridge="br0", name="s", filter=[], skip=[])["filter"] is None
    assert copied(lab, WEB, SSH, ASK) == [WEB, SSH, ASK]


def test_the_vlan_is_the_one_inside_the_bridge(lab: Lab) -> None:
    lab.ctl("set-port", "t1", "--tag", "10")
    lab.mirror("s", "--source", "t1", "--output", "probe", "--filter", "dl_vlan=10,tcp")
    tagged = to_all(tcp(80), vlan=10)
    lab.t1.wire.send(WEB, DNS)
    assert lab.probe.wire.settle(1) == [tagged]


def test_a_traced_flow_is_a_match(lab: Lab) -> None:
    """ofproto/trace makes a frame of all that the flow says: ports, protocols and tags select sessions."""
    for name, match in (("web", "tcp,tp_dst=80"), ("next", "tcp,tp_dst=81"), ("six", "udp6"), ("asks", "arp,arp_op=1"),
                        ("tagged", "dl_vlan=10,icmp,icmp_type=8")):
        lab.mirror(name, "--source", "t1", "--output", "probe", "--filter", match)

    def selected(flow: str) -> list[str]:
        said = lab.daemon.ovs("ovs-appctl", "ofproto/trace", "br0", flow).stdout
        verdicts = re.findall(r"-> session (\S+): (selected|no copy)", said)
        assert len(verdicts) == 5, said
        return [session for session, verdict in verdicts if verdict == "selected"]

    assert selected("in_port=t1,tcp,nw_dst=10.0.0.1,tp_dst=80") == ["web"]
    assert selected("in_port=t1,tcp,nw_dst=10.0.0.1,tp_dst=81") == ["next"]
    assert selected("tcp,tp_dst=80-90,nw_ttl=3,in_port=t1") == ["web"], "a range is its low end"
    assert selected("in_port=t1,udp,tp_dst=80") == []
    assert selected("in_port=t1,udp6,ipv6_dst=2001:db8::1") == ["six"]
    assert selected("in_port=t1,arp,arp_tpa=10.0.0.1") == ["asks"]
    assert selected("in_port=t1,dl_vlan=10,icmp,icmp_type=8") == ["tagged"]
    for flow, sentence in (("tp_dst=80", "'tp_dst=80': it needs a protocol with ports"),
                           ("tcp,tp_dst=70000", "'tp_dst=70000': tp_dst must be 0 to 65535"),
                           ("tcp6,ip_frag=later", "tcp6,ip_frag=later: a later fragment of IPv6 does not show protocol 6"),
                           ("dl_type=0x05dc", "dl_type=0x05dc: no frame has the EtherType 0x05dc")):
        done = lab.daemon.ovs("ovs-appctl", "ofproto/trace", "br0", f"in_port=t1,{flow}", check=False)
        assert done.returncode == 2 and done.stderr.startswith(f"Bad openflow flow syntax: {sentence}"), done.stderr


def set_rows(lab: Lab, column: Any, *texts: Any) -> None:
    """What an OVSDB client may write: any string."""
    operation = {"op": "update", "table": "Mirror", "where": [], "row": {column: ["set", list(texts)]}}
    result = lab.daemon.ovs("ovsdb-client", "transact", json.dumps(["Open_vSwitch", operation]))
    assert json.loads(result.stdout) == [{"count": 1}]


def test_rows_of_ovsdb_clients(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1", "--output", "probe")
    set_rows(lab, "filter", "tcp,tp_dst=80")
    assert copied(lab, WEB, SSH) == [WEB]
    set_rows(lab, "filter", "tcp,tp_dst=22", "port 80")
    lab.wait_state("s", "error")
    session = lab.rpc("mirror.get", bridge="br0", name="s")
    assert session["reason"].startswith("filter: 'port': unknown field or protocol 'port'")
    assert session["reason"].endswith("until then it goes on as before")
    assert "unknown field" in lab.daemon.ovs("ovsdb-client", "dump", "Mirror", "status").stdout
    assert copied(lab, WEB, SSH) == [WEB], "the session goes on as before"
    set_rows(lab, "filter", "tcp,tp_dst=22")
    lab.wait_state("s", "active")
    assert copied(lab, WEB, SSH) == [SSH]


def is_accepted_by_open_vswitch(text: str) -> bool:
    """Taken, and meant: what lacks its company is dropped by ovs-ofctl, which says so in its log."""
    done = openvswitch.client("/nonexistent", "ovs-ofctl", "parse-flow", f"{text},actions=drop", timeout=10)
    return done.returncode == 0 and "normalization changed" not in done.stderr


# Taken by ovs-ofctl for what is not meant (filter.h says why we refuse them).
STRICTER = ("", "tcp,tp_dst", "tcp,tp_dst=0x", "ip,nw_src=10.0.0.256", "dl_vlan=4096", "dl_vlan_pcp=8", "ip,ip_dscp=64", "ip,nw_ecn=4",
            "arp,arp_op=256", "vlan_vid=10",
            "vlan_tci=5", "ip,ipv6", "dl_vlan=1,dl_vlan=2", "ip,nw_src=010.0.0.1", "in_port=1", "ct_state=+trk", "tun_id=1", "reg0=1",
            "metadata=1", "pkt_mark=1", "mpls,mpls_label=3", "tcp_flags=+syn", "ip_frag=yes", "udp,tcp_dst=80")


def accepts(lab: Lab, text: str) -> bool:
    try:
        lab.rpc("mirror.set", bridge="br0", name="s", filter=[text])
        return True
    except RpcError as refusal:
        assert refusal.error["data"]["field"] == "filter", refusal
        return False


@openvswitch.needed
def test_takes_the_matches_that_open_vswitch_takes(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1", "--output", "probe")
    chance = random.Random(SEED)
    taken, different = 0, []
    for _ in range(400):
        text, shorthand, fields = matches.random_match(chance, faulty=True)
        # Some of what the manual asks for, ovs-ofctl does not check.
        try:
            meets = matches.meets_prerequisites(shorthand, fields)
        except ValueError:
            meets = True  # a number that is none
        theirs = is_accepted_by_open_vswitch(text) and meets
        taken += theirs
        if accepts(lab, text) != theirs:
            different.append(f"{text}: Open vSwitch {'takes' if theirs else 'refuses'} it")
    assert not different, "\n".join(different)
    assert 100 < taken < 350, f"{taken} of 400 taken: the matches prove little"
    for text in STRICTER:
        assert is_accepted_by_open_vswitch(text), text
        assert not accepts(lab, text), text


def their_matches(theirs: openvswitch.OpenVswitch, data: bytes) -> Any:
    """The numbers of the tables whose rule matches the frame."""
    trace = openvswitch.client(theirs.rundir, "ovs-appctl", "ofproto/trace", "br0", "in_port=1", data.hex())
    assert trace.returncode == 0, trace.stderr
    found = re.findall(r"^\s*(\d+)\. (.*)$", trace.stdout, re.M)
    assert len(found) == MATCHES + 1, trace.stdout
    return {int(table) for table, what in found if what != "No match."} - {0}


@openvswitch.needed
def test_matches_the_frames_that_open_vswitch_matches(lab: Lab, tmp_path: pathlib.Path) -> None:
    chance = random.Random(SEED)
    texts: list[Any] = []
    while len(texts) < MATCHES:
        text, shorthand, fields = matches.random_match(chance)
        if matches.masks_icmp(shorthand, fields):
            continue  # taken by ovs-ofctl, which then forgets the mask
        if matches.meets_prerequisites(shorthand, fields) and is_accepted_by_open_vswitch(text):
            texts.append(text)
    with openvswitch.OpenVswitch(tmp_path) as theirs:
        openvswitch.make_devices(theirs.net.switch)
        theirs.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev",
                     "--", "add-port", "br0", "p1", "--", "set", "interface", "p1", "ofport_request=1")
        flows = [f"table=0,actions={','.join(f'resubmit(,{n})' for n in range(1, MATCHES + 1))}"]
        flows += [f"table={n},{text},actions=note:00" for n, text in enumerate(texts, 1)]
        (tmp_path / "flows").write_text("\n".join(flows) + "\n")
        commands: list[list[object]] = [["add-flows", "br0", tmp_path / "flows"], ["set-frags", "br0", "nx-match"]]
        for command in commands:
            done = openvswitch.client(theirs.rundir, "ovs-ofctl", *command)
            assert done.returncode == 0, done.stderr
        for n, text in enumerate(texts, 1):
            lab.rpc("mirror.add", bridge="br0", name=f"m{n}", sources={"ports": [{"name": "t1", "direction": "from"}]},
                    destination={"ports": ["probe"]}, filter=text, normal_io=True)
        pairs = 0
        for _ in range(FRAMES):
            data = matches.random_frame(chance)
            answer = lab.rpc("mirror.explain", bridge="br0", in_port="t1", frame=data.hex())
            ours = {int(mirror["session"][1:]) for mirror in answer["mirrors"] if mirror["copied"]}
            expected = their_matches(theirs, data)
            wrong = [f"{texts[n - 1]}: {'only Open vSwitch' if n in expected else 'only ours'}" for n in ours ^ expected]
            assert not wrong, f"{data.hex()}\n" + "\n".join(wrong)
            pairs += len(expected)
    assert pairs > FRAMES * MATCHES / 50, f"{pairs} matches in all: the frames prove little"
