# SPDX-License-Identifier: Apache-2.0
"""Operator commands: stock ovs-appctl asks a switch with hosts behind it."""
from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from lab import FAST_PATH, found, wait_until
from net import BROADCAST, Host, mac
from switch import Lab

DROP_MAC = "02:00:00:00:00:77"


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1 = lab.host("t1", "10.95.0.11")
        lab.t2 = lab.host("t2", "10.95.0.12")
        lab.t3 = lab.host("t3", port_options=("--tag", "10"))
        lab.appctl = lambda *args: lab.daemon.ovs("ovs-appctl", *args).stdout
        yield lab


def mac_of(host: Host) -> bytes:
    return bytes.fromhex(host.mac.replace(":", ""))


def refused(lab: Lab, *args: str) -> Any:
    done = lab.daemon.ovs("ovs-appctl", *args, check=False)
    assert done.returncode == 2, done.stdout
    return done.stderr.splitlines()[0]


def fdb(lab: Lab) -> list[Any]:
    """port, VLAN, MAC and age of each line."""
    lines = lab.appctl("fdb/show", "br0").splitlines()
    assert lines[0] == " port  VLAN  MAC                Age"
    return [line.split() for line in lines[1:]]


def test_addresses_are_learned_pinned_and_forgotten(lab: Lab) -> None:
    lab.t1.ping("10.95.0.12")
    ports = {host.mac: lab.port(host.name)["ofport"] for host in (lab.t1, lab.t2)}
    learned = {address: (port, vlan) for port, vlan, address, _ in fdb(lab)}
    for address, port in ports.items():
        assert learned[address] == (str(port), "0")

    lab.appctl("fdb/add", "br0", "t2", "10", DROP_MAC)
    assert fdb(lab)[0] == [str(lab.port("t2")["ofport"]), "10", DROP_MAC, "static"]
    assert lab.appctl("fdb/add", "br0", str(lab.port("t1")["ofport"]), "10", DROP_MAC) == (
        f"Overriding already existing static entry on {lab.port('t2')['ofport']}\n")
    assert lab.appctl("fdb/flush", "br0") == "table successfully flushed\n"
    assert [entry[3] for entry in fdb(lab)] == ["static"]
    stats = lab.appctl("fdb/stats-show", "br0")
    assert "Current/maximum MAC entries in the table: 1/8192\n" in stats
    assert "Current static MAC entries in the table : 1\n" in stats
    assert re.search(r"learned MAC entries     : [2-9]", stats)
    lab.appctl("fdb/del", "br0", "10", DROP_MAC)
    assert fdb(lab) == []
    assert lab.appctl("fdb/stats-clear") == "statistics successfully cleared\n"
    assert "Total number of learned MAC entries     : 0\n" in lab.appctl("fdb/stats-show", "br0")


def test_a_pinned_address_gets_its_frames(lab: Lab) -> None:
    """An address nobody has sent from: pinned to t2, its frames go there alone."""
    lab.appctl("fdb/add", "br0", "t2", "0", DROP_MAC)
    frame = bytes.fromhex(DROP_MAC.replace(":", "")) + mac(1) + b"\x88\xb5" + bytes(46)
    lab.t1.wire.send(frame)
    lab.t2.wire.expect(1, match=lambda one: one == frame)
    assert not lab.t3.wire.settle(match=lambda one: one == frame)
    assert re.search(r"Datapath actions: \d+\n", lab.appctl("ofproto/trace", "br0", f"in_port=t1,dl_dst={DROP_MAC}"))


@pytest.mark.parametrize("args, sentence", [
    (["fdb/show", "nosuch"], "no such bridge"),
    (["fdb/flush", "nosuch"], "no such bridge"),
    (["fdb/show"], '"fdb/show" command requires at least 1 arguments'),
    (["fdb/del", "br0", "0", DROP_MAC], "could not find static mac entry"),
    (["fdb/add", "br0", "t1", "0", "zz"], "bad MAC address"),
    (["fdb/add", "br0", "t1", "4096", DROP_MAC], 'bad VLAN "4096": give a number from 0 to 4095'),
    (["fdb/add", "br0", "t9", "0", DROP_MAC], "bridge br0 has no port t9"),
    (["mdb/show", "br0"], "multicast snooping is disabled"),
    (["bridge/dump-flows", "nosuch"], "Unknown bridge"),
    (["mirror/show", "br0", "nosuch"], "bridge br0 has no session nosuch; mirror/list shows them"),
    (["ofproto/trace", "nosuch", "in_port=1"], "nosuch: unknown bridge"),
    (["ofproto/trace", "br0", "bogus=1"], "Bad openflow flow syntax: bogus=1: unknown field bogus"),
    (["ofproto/trace", "br0", "in_port=t9"], "bridge br0 has no port t9"),
    (["ofproto/trace", "br0", "dl_src=02:00:00:00:00:01"], "the flow needs in_port, the port on which the frame arrives"),
    (["ofproto/trace", "br0", "in_port=t1", "0102"], "the packet is shorter than an Ethernet header"),
    (["ofproto/trace", "br0", "in_port=t1", "01xx"], "Trailing garbage in packet data"),
    (["ovsdb-server/remove-remote", "punix:nosuch"], "no such remote"),
    (["ovsdb-server/add-remote", "pigeon:6640"], None),
    (["ovsdb-server/compact", "nosuch"], "no database by that name"),
    (["ovsdb-server/get-db-storage-status", "nosuch"], "Failed to find the database."),
])
def test_refusals(lab: Lab, args: list[str], sentence: str | None) -> None:
    said = refused(lab, *args)
    assert said == sentence if sentence else said


def test_the_datapath_and_its_ports(lab: Lab) -> None:
    lab.t1.ping("10.95.0.12")
    shown = lab.appctl("dpif/show").splitlines()
    assert re.fullmatch(r"netdev@ovs-netdev: hit:[1-9]\d* missed:0", shown[0])
    assert shown[1] == "  br0:"
    assert re.fullmatch(r"    br0 65534/\d+: \(tap\)", shown[2])
    assert re.fullmatch(rf"    t1 {lab.port('t1')['ofport']}/\d+: \(system\)", shown[3])
    statistics = lab.appctl("dpctl/show", "-s")
    assert re.search(r"  port \d+: t1\n    RX packets:[1-9]\d* errors:0 dropped:0 overruns:0 frame:0\n    TX packets:[1-9]", statistics)
    assert re.fullmatch(r"n_packets=[1-9]\d*, n_bytes=[1-9]\d*, priority=0,actions=NORMAL\n", lab.appctl("bridge/dump-flows", "br0"))
    lab.ctl("set-br", "br0", "--fail-mode", "secure")
    assert lab.appctl("bridge/dump-flows", "br0") == ""
    assert lab.appctl("ofproto/list") == "br0\n"
    workers = lab.appctl("worker/show")
    assert all(re.search(rf"  ports:.* {port}\b", workers) for port in ("t1", "t2", "t3"))


def test_sessions_and_losses(lab: Lab) -> None:
    lab.mirror("span0", "--source", "t1:from", "--output", "t2", "--normal-io")
    lab.t1.wire.send(BROADCAST + mac_of(lab.t1) + b"\x88\xb5" + bytes(46))
    wait_until(lambda: lab.account("span0")["delivered"] > 0, "it is copied")
    assert lab.appctl("mirror/list") == lab.appctl("mirror/list", "br0") == "br0 span0: t1:from -> t2 normal-io, active\n"
    shown = lab.appctl("mirror/show", "br0", "span0")
    for line in ("br0 span0:", "  sources: t1:from", "  destination: t2", "  normal I/O: yes", "  state: active", "  lost: 0"):
        assert f"{line}\n" in shown
    lab.t1.wire.send(b"\x01\x80\xc2\x00\x00\x00" + mac_of(lab.t1) + b"\x88\xb5" + bytes(46))
    wait_until(lambda: re.search(r"[1-9]  reserved_multicast +link-local destination", lab.appctl("drop/show")), "the drop is counted")


def test_trace_tells_what_happens_and_changes_nothing(lab: Lab) -> None:
    lab.mirror("span0", "--source", "t1", "--output", "t2", "--normal-io")
    lab.appctl("fdb/flush")
    flow = f"in_port=t1,dl_src={DROP_MAC},dl_dst=ff:ff:ff:ff:ff:ff,dl_vlan=10,dl_vlan_pcp=3,ip,nw_dst=10.0.0.1"
    text = lab.appctl("ofproto/trace", "br0", flow)
    ofport = lab.port("t1")["ofport"]
    assert text.startswith(f"Flow: ip,in_port={ofport},dl_vlan=10,dl_vlan_pcp=3,vlan_tci1=0x0000,dl_src={DROP_MAC},"
                           "dl_dst=ff:ff:ff:ff:ff:ff,nw_src=0.0.0.0,nw_dst=10.0.0.1,nw_proto=0,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no\n\n"
                           'bridge("br0")\n-------------\n')
    numbers = {name: number for name, number in re.findall(r"    (\S+) \d+/(\d+):", lab.appctl("dpif/show"))}
    in_kernel, in_user_space = r"kernel\.", r"userspace slow path because:\n  - .+"
    ending = rf"\nThis flow is handled by the {in_kernel if FAST_PATH else in_user_space}\n$"
    actions = found(r"\nFinal flow: unchanged\nDatapath actions: (\S+)" + ending, text)[1]
    # The frame and its copy go to t2, tagged; t3 is an access port of VLAN 10; the bridge's own port is down.
    t2, t3 = numbers["t2"], numbers["t3"]
    assert actions == f"{t2},pop_vlan,{t3},push_vlan(vid=10,pcp=3),{t2}"
    assert "session span0: selected: from t1" in text
    whole = lab.appctl("ofproto/trace", "br0", "in_port=t1", "ffffffffffff02000000007708004500")
    assert whole.startswith(f"Flow: ip,in_port={ofport},vlan_tci=0x0000,dl_src={DROP_MAC},dl_dst=ff:ff:ff:ff:ff:ff,")
    assert DROP_MAC not in {address for _, _, address, _ in fdb(lab)}


def test_the_embedded_database_server(lab: Lab) -> None:
    assert lab.appctl("-t", "ovsdb-server", "ovsdb-server/list-dbs") == "Open_vSwitch\n_Server\n"
    for database in ("Open_vSwitch", "_Server"):
        assert lab.appctl("-t", "ovsdb-server", "ovsdb-server/get-db-storage-status", database) == "status: ok\n"
    remotes = lab.appctl("ovsdb-server/list-remotes").split()
    lab.appctl("ovsdb-server/add-remote", f"punix:{lab.daemon.rundir}/more.sock")
    assert set(lab.appctl("ovsdb-server/list-remotes").split()) - set(remotes) == {f"punix:{lab.daemon.rundir}/more.sock"}
    assert lab.daemon.ovs("ovs-vsctl", f"--db=unix:{lab.daemon.rundir}/more.sock", "list-br").stdout == "br0\n"
    lab.appctl("ovsdb-server/remove-remote", f"punix:{lab.daemon.rundir}/more.sock")
    assert lab.appctl("ovsdb-server/list-remotes").split() == remotes
    for number in range(20):
        lab.daemon.ovs("ovs-vsctl", "--no-wait", "br-set-external-id", "br0", "n", str(number))
    size = lab.daemon.database.stat().st_size
    lab.appctl("ovsdb-server/compact", "Open_vSwitch")
    assert lab.daemon.database.stat().st_size < size
    assert lab.daemon.ovs("ovs-vsctl", "br-get-external-id", "br0", "n").stdout == "19\n"
    with lab.daemon.connect() as client:
        assert client.call("echo", ["x"], version=1) == ["x"]
        lab.appctl("ovsdb-server/reconnect")
        assert client.receive() is None


def test_statistics_of_the_machine_when_they_are_asked_for(lab: Lab) -> None:
    def statistics() -> Any:
        text = lab.daemon.ovs("ovs-vsctl", "get", "Open_vSwitch", ".", "statistics").stdout
        return dict(re.findall(r'(\w+)="?([^"}]*?)"?(?:, (?=\w+=)|})', text))

    assert statistics() == {}
    lab.daemon.ovs("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:enable-statistics=true",
                   "other_config:stats-update-interval=1000")
    wait_until(statistics, "there are statistics")
    shown = statistics()
    assert shown.keys() == {"cpu", "load_average", "memory", "process_vswitchd", "file_systems"}
    assert int(shown["cpu"]) == os.cpu_count()
    assert all(abs(float(one) - now) < 5 for one, now in zip(shown["load_average"].split(","), os.getloadavg(), strict=True))
    total, used, cached, swap, swapped = map(int, shown["memory"].split(","))
    assert total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    assert total > used > cached > 0 and swap >= swapped >= 0
    virtual, resident, processor_ms, crashes, age_ms, running_ms = map(int, shown["process_vswitchd"].split(","))
    status = pathlib.Path(f"/proc/{lab.daemon.pid}/status").read_text()
    assert abs(resident - int(found(r"VmRSS:\s+(\d+)", status)[1])) < 4096 < resident < virtual
    assert crashes == 0 < processor_ms and 500 < age_ms == running_ms < 120_000
    name, size, taken = next(one for one in shown["file_systems"].split() if one.startswith("/,")).split(",")
    space = os.statvfs("/")
    assert int(size) == space.f_blocks * space.f_frsize // 1024
    assert abs(int(taken) - (space.f_blocks - space.f_bfree) * space.f_frsize // 1024) < 1 << 20
    wait_until(lambda: statistics()["process_vswitchd"] != shown["process_vswitchd"], "they are kept up to date")
    lab.daemon.ovs("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:enable-statistics=false")
    wait_until(lambda: statistics() == {}, "they go")
