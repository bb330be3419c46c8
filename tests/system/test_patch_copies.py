# SPDX-License-Identifier: Apache-2.0
"""Copies that leave by a patch port: frames of the peer's bridge, and copies in the account of their session."""
from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from net import BROADCAST, frame, mac
from switch import Lab

PAYLOAD = b"over the patch"


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    """t1 and t2 on br0; probe and second on br1, joined by to-br1 and to-br0."""
    with Lab(tmp_path) as lab:
        lab.ctl("add-br", "br1")
        for name in ("t1", "t2"):
            setattr(lab, name, lab.host(name))
        for name in ("probe", "second"):
            setattr(lab, name, lab.host(name, bridge="br1"))
        lab.daemon.ovs("ovs-vsctl", "add-port", "br0", "to-br1", "--", "set", "interface", "to-br1", "type=patch", "options:peer=to-br0",
                       "--", "add-port", "br1", "to-br0", "--", "set", "interface", "to-br0", "type=patch", "options:peer=to-br1")
        for name in ("br0", "br1"):  # the hosts alone: no local port among those of a flood
            lab.ctl("set-port", name, "--tag", "4000")
        yield lab


def hello(n: int, payload: bytes = PAYLOAD) -> bytes:
    return frame(mac(n), BROADCAST, payload)


def test_a_patch_port_as_destination(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1:from", "--output", "to-br1")
    lab.wait_state("s", "active")
    lab.t1.wire.send(hello(1))
    assert lab.probe.wire.settle(1) == lab.second.wire.settle(1) == [hello(1)], "the peer floods it, and nothing but copies crosses"
    assert lab.t2.wire.settle(1) == [hello(1)]
    account = lab.account("s")
    assert (account["matched"], account["delivered"], account["tx_packets"]) == (2, 2, 1), "one for each port, one frame"
    entries = {(entry["mac"], entry["port"]) for entry in lab.rpc("fdb.list", bridge="br1")["entries"]}
    assert (mac(1).hex(":"), "to-br0") in entries
    # An answer goes to where the copies come from, and the reserved end refuses it.
    lab.probe.wire.send(frame(mac(9), mac(1), PAYLOAD))
    assert not lab.t1.wire.settle()
    # Known behind probe: to nobody else.
    lab.t1.wire.send(frame(mac(1), mac(9), PAYLOAD))
    assert len(lab.probe.wire.settle(2)) == 2 and len(lab.second.wire.settle()) == 1
    assert lab.account("s")["delivered"] == 3


def test_what_gets_nowhere_is_lost_for_a_reason(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1:from", "--output", "to-br1")
    for name in ("probe", "second"):
        lab.ctl("set-port", name, "--tag", "20")
    lab.t1.wire.send(hello(1))
    lab.t2.wire.expect(1)
    assert lab.account("s")["lost_by"] == {"no_recipient": 1}
    lab.ctl("set-port", "to-br0", "--trunks", "7")
    lab.t1.wire.send(hello(1))
    lab.t2.wire.expect(2)
    assert lab.account("s")["lost_by"] == {"no_recipient": 1, "vlan_not_admitted": 1}
    lab.ctl("del-port", "br1", "to-br0")
    lab.wait_state("s", "waiting")
    assert lab.rpc("mirror.get", bridge="br0", name="s")["reason"] == "destination: patch port to-br1 has no peer that points back"
    lab.t1.wire.send(hello(1))
    lab.t2.wire.expect(3)
    assert lab.account("s")["lost_by"] == {"no_recipient": 1, "vlan_not_admitted": 1, "patch_unconnected": 1}
    assert "no peer" in lab.ctl("explain", "br0", "--in-port", "t1", "--frame", hello(1).hex()).stdout


def test_into_a_vlan_over_the_patch_to_a_session_there(lab: Lab) -> None:
    for name in ("t1", "t2"):
        lab.ctl("set-port", name, "--tag", "10")
    lab.mirror("near", "--source", "t1:from", "--output-vlan", "900", "--output", "to-br1")
    lab.mirror("far", "--source-vlan", "900", "--output", "probe", bridge="br1")
    lab.wait_state("near", "active")
    lab.wait_state("far", "active", bridge="br1")
    sent = [hello(1, PAYLOAD + bytes([n])) for n in range(50)]
    lab.t1.wire.send(*sent)
    assert lab.probe.wire.settle(50) == sent, "without the tag, in order, and none of the frames that crossed in VLAN 10"
    near, far = lab.account("near"), lab.account("far", bridge="br1")
    assert near["matched"] == near["delivered"] == 50, "by the port second, which is a trunk"
    assert far["matched"] == far["delivered"] == 50
    copies = [data for data in lab.second.wire.settle(100) if data[12:16] == bytes.fromhex("81000384")]
    assert len(copies) == 50
    entry = lab.rpc("fdb.list", bridge="br1")["entries"][0]
    assert entry["vlan"] == 10, "nothing is learned in VLAN 900 of br1 either, where a session ends it"
    assert lab.rpc("mirror.get", bridge="br0", name="near")["notice"] == ""


def test_a_rate_holds_behind_the_patch(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1:from", "--output", "to-br1", "--rate", "10")
    lab.mirror("far", "--source", "to-br0:from", "--output", "probe", bridge="br1")
    for n in range(40):
        lab.t1.wire.send(hello(1, bytes([n])))
    lab.t2.wire.expect(40)
    account, far = lab.account("s"), lab.account("far", bridge="br1")
    assert account["matched"] == 40 and 1 <= account["delivered"] < 40, "second alone gets them as frames"
    assert account["rate_limited"] == 40 - account["delivered"]
    assert len(lab.probe.wire.settle()) == far["matched"] == far["delivered"] == account["delivered"] == account["tx_packets"]


def test_patches_in_a_ring_end(lab: Lab) -> None:
    lab.mirror("there", "--source", "t1:from", "--source", "to-br1:from", "--output", "to-br1", "--normal-io")
    lab.mirror("back", "--source", "to-br0:from", "--output", "to-br0", "--normal-io", bridge="br1")
    lab.wait_state("there", "active")
    lab.t1.wire.send(hello(1))
    assert len(lab.probe.wire.settle(3)) == 3
    assert len(lab.t2.wire.settle(3)) == 3
    for name, bridge in (("there", "br0"), ("back", "br1")):
        account = lab.account(name, bridge=bridge)
        assert account["delivered"] == account["matched"] > 0
