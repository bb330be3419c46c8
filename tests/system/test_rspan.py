# SPDX-License-Identifier: Apache-2.0
"""Remote mirroring over a VLAN: two switches joined by a trunk. One puts copies into VLAN 900, the other takes them out for a probe."""
from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from lab import wait_until
from net import BROADCAST, Host, frame, mac, run
from switch import Lab

RSPAN = "900"
PAYLOAD = b"the frame as it was"


def mac_of(host: Host) -> bytes:
    return bytes.fromhex(host.mac.replace(":", ""))


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> Iterator[tuple[Lab, Lab]]:
    with contextlib.ExitStack() as closing:
        labs = []
        for side in ("near", "far"):
            (tmp_path / side).mkdir()
            labs.append(closing.enter_context(Lab(tmp_path / side)))
        near, far = labs
        run("ip", "-n", near.net.switch, "link", "add", "uplink", "type", "veth", "peer", "name", "uplink", "netns", far.net.switch)
        for lab in labs:
            run("ip", "-n", lab.net.switch, "link", "set", "uplink", "up")
        for lab in labs:
            lab.ctl("add-port", "br0", "uplink", "--trunks", RSPAN)
            lab.wait_port("uplink", "active")
        # A port without settings carries every VLAN, 900 too: here only the trunk does.
        near.t1 = near.host("t1", port_options=("--tag", "10"))
        near.t2 = near.host("t2", port_options=("--tag", "10"))
        far.probe = far.host("probe")
        far.other = far.host("other", port_options=("--tag", "20"))
        for lab in labs:
            lab.ctl("set-port", "br0", "--tag", "10")
        yield near, far


def source_by_ctl(near: Lab, *options: str) -> None:
    near.ctl("add-mirror", "br0", "rspan0", "--source", "t1", "--output-vlan", RSPAN, *options)


def source_by_api(near: Lab, keep_vlan: bool = False) -> None:
    near.rpc("mirror.add", bridge="br0", name="rspan0", sources={"ports": ["t1"]}, destination={"vlan": int(RSPAN), "keep_vlan": keep_vlan})


def source_by_ovs_vsctl(near: Lab) -> None:
    near.daemon.ovs("ovs-vsctl", "--", "--id=@p", "get", "port", "t1", "--", "--id=@m", "create", "mirror", "name=rspan0",
                    "select_src_port=@p", "select_dst_port=@p", f"output_vlan={RSPAN}", "--", "set", "bridge", "br0", "mirrors=@m")


@pytest.mark.parametrize("make_source", [source_by_ctl, source_by_api, source_by_ovs_vsctl])
def test_what_a_host_sends_and_gets_arrives_at_the_far_probe_as_it_was(pair: tuple[Lab, Lab], make_source: Any) -> None:
    near, far = pair
    make_source(near)
    far.ctl("add-mirror", "br0", "rdst0", "--source-vlan", RSPAN, "--output", "probe")
    near.wait_state("rspan0", "active")
    far.wait_state("rdst0", "active")
    sent = frame(mac_of(near.t1), mac_of(near.t2), PAYLOAD)
    received = frame(mac_of(near.t2), mac_of(near.t1), PAYLOAD)
    hello = frame(mac_of(near.t1), BROADCAST, b"here I am")
    for number, (host, data) in enumerate([(near.t1, hello), (near.t2, received), (near.t1, sent)], 1):
        host.wire.send(data)
        far.probe.wire.expect(number)
    assert far.probe.wire.settle() == [hello, received, sent]
    assert not far.other.wire.settle(), "VLAN 900 goes nowhere else"
    near_account, far_account = near.account("rspan0"), far.account("rdst0")
    assert near_account["delivered"] == far_account["delivered"] == 3
    assert far.rpc("fdb.list", bridge="br0")["entries"] == [], "nothing is learned in the VLAN"


def test_the_original_tag_is_kept_inside(pair: tuple[Lab, Lab]) -> None:
    near, far = pair
    source_by_ctl(near, "--keep-vlan")
    far.ctl("add-mirror", "br0", "rdst0", "--source-vlan", RSPAN, "--output", "probe")
    near.t1.wire.send(frame(mac(1), BROADCAST, PAYLOAD))
    assert far.probe.wire.settle(1) == [frame(mac(1), BROADCAST, PAYLOAD, vlan=10)]
    far.ctl("set-mirror", "br0", "rdst0", "--output", "probe", "--no-strip-vlan")
    near.t1.wire.send(frame(mac(1), BROADCAST, PAYLOAD))
    inside = frame(mac(1), BROADCAST, PAYLOAD, vlan=10)
    assert far.probe.wire.settle(1)[-1] == inside[:12] + bytes.fromhex("81000384") + inside[12:]


def test_copies_leave_on_the_ports_named_only(pair: tuple[Lab, Lab]) -> None:
    near, far = pair
    near.host("also", port_options=("--trunks", RSPAN))
    near.ctl("add-mirror", "br0", "rspan0", "--source", "t1", "--output-vlan", RSPAN, "--output", "uplink")
    far.ctl("add-mirror", "br0", "rdst0", "--source-vlan", RSPAN, "--output", "probe")
    near.t1.wire.send(frame(mac(1), BROADCAST, PAYLOAD))
    assert far.probe.wire.settle(1) == [frame(mac(1), BROADCAST, PAYLOAD)]
    assert near.account("rspan0")["matched"] == 1
    shown = near.ctl("show-mirror", "br0", "rspan0").stdout
    assert f"vlan {RSPAN} on uplink" in shown


def test_the_trunk_goes_and_comes_back(pair: tuple[Lab, Lab]) -> None:
    near, far = pair
    source_by_ctl(near)
    far.ctl("add-mirror", "br0", "rdst0", "--source-vlan", RSPAN, "--output", "probe")
    near.ctl("set-port", "uplink", "--trunks", "30")
    near.wait_state("rspan0", "waiting")
    assert near.rpc("mirror.get", bridge="br0", name="rspan0")["reason"] == f"destination: no working port carries VLAN {RSPAN}"
    near.ctl("set-port", "uplink", "--trunks", RSPAN)
    near.wait_state("rspan0", "active")
    near.t1.wire.send(frame(mac(1), BROADCAST, PAYLOAD))
    assert far.probe.wire.settle(1) == [frame(mac(1), BROADCAST, PAYLOAD)]


def test_what_else_is_in_the_vlan_is_counted_and_told(pair: tuple[Lab, Lab]) -> None:
    near, far = pair
    source_by_ctl(near)
    far.ctl("add-mirror", "br0", "rdst0", "--source-vlan", RSPAN, "--output", "probe")
    near.t1.wire.send(frame(mac(1), BROADCAST, PAYLOAD))
    assert len(far.probe.wire.settle(1)) == 1
    clean = near.rpc("mirror.get", bridge="br0", name="rspan0")
    assert (clean["notice"], clean["counters"]["foreign_frames"], clean["counters"]["delivered"]) == ("", 0, 1)
    assert "notice" not in near.ctl("show-mirror", "br0", "rspan0").stdout
    # A host whose port carries the VLAN, and frames of the VLAN that come over the trunk: nothing tells them from another switch's copies.
    stray = near.host("stray", port_options=("--trunks", RSPAN))
    for n in range(3):
        stray.wire.send(frame(mac(5), BROADCAST, b"stray", vlan=int(RSPAN)))
    assert len(far.probe.wire.settle(4)) == 4, "they travel along"
    told = near.rpc("mirror.get", bridge="br0", name="rspan0")
    assert told["counters"]["foreign_frames"] == told["counters"]["production_frames"] == 3
    assert told["notice"] == f"VLAN {RSPAN} carries frames that are not copies of this bridge's sessions; they travel along with the copies"
    assert (told["state"], told["reason"], told["since"]) == ("active", "", clean["since"]), "no fault of the session"
    shown = near.ctl("show-mirror", "br0", "rspan0").stdout
    assert told["notice"] in shown and "3 frames in the output VLAN" in shown
    assert far.account("rdst0")["delivered"] == 4
    # Clients of OVSDB find it in the row, as often as statistics are written.
    near.daemon.ovs("ovs-vsctl", "set", "open_vswitch", ".", "other_config:stats-update-interval=1000")

    def row() -> dict[Any, Any]:
        select = {"op": "select", "table": "Mirror", "where": [], "columns": ["status", "statistics"]}
        found, = near.daemon.rpc("transact", ["Open_vSwitch", select], version=1)[0]["rows"]
        return {**dict(found["status"][1]), **dict(found["statistics"][1])}

    wait_until(lambda: row().get("foreign_frames") == 3, "the number is in the row")
    assert row()["production_frames"] == 3, "its older name stays"
    assert row()["notice"] == told["notice"]
    assert (row()["state"], row()["since"]) == ("active", clean["since"])
    # In another VLAN nobody has come yet.
    near.ctl("set-mirror", "br0", "rspan0", "--output-vlan", "901")
    moved = near.rpc("mirror.get", bridge="br0", name="rspan0")
    assert (moved["notice"], moved["counters"]["foreign_frames"]) == ("", 0)


def test_cut_and_sampled_copies(pair: tuple[Lab, Lab]) -> None:
    near, far = pair
    source_by_ctl(near, "--snaplen", "22")
    far.ctl("add-mirror", "br0", "rdst0", "--source-vlan", RSPAN, "--output", "probe")
    near.t1.wire.send(frame(mac(1), BROADCAST, PAYLOAD))
    assert far.probe.wire.settle(1) == [frame(mac(1), BROADCAST, PAYLOAD)[:18]], "22 bytes with the tag that was taken off"
    near.ctl("set-mirror", "br0", "rspan0", "--snaplen", "none", "--sample", "3")
    before = near.account("rspan0")
    for number in range(300):
        near.t1.wire.send(frame(mac(1), BROADCAST, number.to_bytes(2, "big") + PAYLOAD))
    near.t2.wire.settle(300)
    account = near.account("rspan0")
    assert account["matched"] - before["matched"] == 300
    assert 60 < account["delivered"] - before["delivered"] < 140
    assert account["sampled_out"] == account["matched"] - account["delivered"]
