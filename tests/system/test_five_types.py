# SPDX-License-Identifier: Apache-2.0
"""The five kinds of session of VMware, between two hosts with a routed network between them, made with vswitch-ctl, with the
session API, and with ovs-vsctl.

    near: t1 t2 p1, vswitchd --- 10.81.0.0/24, fd81::/64 --- router --- 10.83.0.0/24, fd83::/64 --- vswitchd, probes: far

    SPAN                 near: t1 to p1
    L3 source            near: t1 to the far host's address, ERSPAN
    L3 destination       far: a tunnel port, whose frames go to the probe `analyzer`
    RSPAN source         near: t1 into VLAN 900, which leaves by a tunnel, since there is no wire between the hosts
    RSPAN destination    far: from VLAN 900 to the probe `sensor`
"""
from __future__ import annotations

import contextlib
import pathlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import l3
import pytest
from lab import wait_until
from net import BROADCAST, Host, frame, run
from switch import Lab

NEAR = {4: "10.81.0.1", 6: "fd81::1"}
FAR = {4: "10.83.0.1", 6: "fd83::1"}
PREFIX = {4: ("10.81.0.0/24", "10.83.0.0/24"), 6: ("fd81::/64", "fd83::/64")}


def router_of(address: str) -> str:
    """The router's address beside a host's."""
    return address[:-1] + "254" if "." in address else address[:-1] + "fe"


@pytest.fixture
def hosts(tmp_path: pathlib.Path) -> Iterator[tuple[Lab, Lab]]:
    with contextlib.ExitStack() as closing:
        for side in ("near", "far"):
            (tmp_path / side).mkdir()
        near, far = (closing.enter_context(Lab(tmp_path / side)) for side in ("near", "far"))
        near.router = router = f"{near.net.uid}-rt"
        near.net.add_namespace(router)
        for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            run("ip", "netns", "exec", router, "sysctl", "-qw", setting)
        for lab, device, address, other in ((near, "side1", NEAR, 1), (far, "side2", FAR, 0)):
            l3.join(lab.net.switch, "phy", router, device, mtu=1600)
            for version, length in ((4, 24), (6, 64)):
                l3.set_address(lab.net.switch, "phy", address[version], length)
                l3.set_address(router, device, router_of(address[version]), length)
                run("ip", "-n", lab.net.switch, f"-{version}", "route", "add", PREFIX[version][other], "via", router_of(address[version]))
        near.t1, near.t2, near.p1 = (near.host(name, port_options=("--tag", "10")) for name in ("t1", "t2", "p1"))
        near.ctl("set-port", "br0", "--tag", "10")
        far.ctl("set-port", "br0", "--tag", "20")
        far.sensor = far.host("sensor", port_options=("--tag", "20"))
        far.analyzer = far.host("analyzer")  # a trunk: sees the VLAN
        yield near, far


# The wide-area wire of the RSPAN VLAN, and the far end of the L3 session.

def ports_by_ctl(near: Lab, far: Lab, version: int) -> None:
    near.ctl("add-port", "br0", "wan", "--type", "gre", "--trunks", "900", "--option", f"remote_ip={FAR[version]}", "--option", "key=1")
    far.ctl("add-port", "br0", "wan", "--type", "gre", "--trunks", "900", "--option", f"remote_ip={NEAR[version]}", "--option", "key=1")
    far.ctl("add-port", "br0", "er0", "--type", "erspan", "--trunks", "10", "--option", f"remote_ip={NEAR[version]}", "--option", "key=99")


def ports_by_ovs_vsctl(near: Lab, far: Lab, version: int) -> None:
    for lab, remote in ((near, FAR), (far, NEAR)):
        lab.daemon.ovs("ovs-vsctl", "add-port", "br0", "wan", "trunks=900", "--", "set", "interface", "wan", "type=gre",
                       f"options:remote_ip={remote[version]}", "options:key=1")
    far.daemon.ovs("ovs-vsctl", "add-port", "br0", "er0", "trunks=10", "--", "set", "interface", "er0", "type=erspan",
                   f"options:remote_ip={NEAR[version]}", "options:key=99", "options:erspan_ver=1")


def sessions_by_ctl(near: Lab, far: Lab, version: int) -> None:
    near.ctl("add-mirror", "br0", "span", "--source", "t1", "--output", "p1")
    near.ctl("add-mirror", "br0", "rsrc", "--source", "t1", "--output-vlan", "900")
    near.ctl("add-mirror", "br0", "l3src", "--source", "t1", "--endpoint", FAR[version], "--encap", "erspan2", "--session-id", "99")
    far.ctl("add-mirror", "br0", "rdst", "--source-vlan", "900", "--output", "sensor")
    far.ctl("add-mirror", "br0", "l3dst", "--source", "er0:from", "--output", "analyzer")


def sessions_by_api(near: Lab, far: Lab, version: int) -> None:
    def add(lab: Lab, name: str, sources: Any, destination: Any) -> None:
        lab.rpc("mirror.add", bridge="br0", name=name, sources=sources, destination=destination)

    add(near, "span", {"ports": ["t1"]}, {"ports": ["p1"]})
    add(near, "rsrc", {"ports": ["t1"]}, {"vlan": 900})
    add(near, "l3src", {"ports": ["t1"]}, {"endpoints": [{"ip": FAR[version], "encap": "erspan3", "session_id": 99}]})
    add(far, "rdst", {"vlans": [900]}, {"ports": ["sensor"]})
    add(far, "l3dst", {"ports": [{"name": "er0", "direction": "from"}]}, {"ports": ["analyzer"]})


def sessions_by_ovs_vsctl(near: Lab, far: Lab, version: int) -> None:
    """The far end of an RSPAN VLAN cannot ask for strip_vlan here: the probe is an access port, which gets frames without a tag."""
    near.daemon.ovs("ovs-vsctl", "add-port", "br0", "er0", "--", "set", "interface", "er0", "type=erspan",
                    f"options:remote_ip={FAR[version]}", "options:key=99", "options:erspan_ver=2")

    def add(lab: Lab, name: str, *columns: str, ports: Iterable[str] = ()) -> None:
        ids = [word for port in ports for word in ("--", f"--id=@{port}", "get", "port", port)]
        lab.daemon.ovs("ovs-vsctl", *ids, "--", "--id=@m", "create", "mirror", f"name={name}", *columns, "--", "add", "bridge", "br0",
                       "mirrors", "@m")

    t1 = ("select_src_port=@t1", "select_dst_port=@t1")
    add(near, "span", *t1, "output_port=@p1", ports=("t1", "p1"))
    add(near, "rsrc", *t1, "output_vlan=900", ports=("t1",))
    add(near, "l3src", *t1, "output_port=@er0", ports=("t1", "er0"))
    add(far, "rdst", "select_all=true", "select_vlan=900", "output_port=@sensor", ports=("sensor",))
    add(far, "l3dst", "select_src_port=@er0", "output_port=@analyzer", ports=("er0", "analyzer"))


def mac_of(host: Host) -> bytes:
    return bytes.fromhex(host.mac.replace(":", ""))


@pytest.mark.parametrize("ports, sessions, version", [(ports_by_ctl, sessions_by_ctl, 4), (ports_by_ctl, sessions_by_ctl, 6),
                                                      (ports_by_ctl, sessions_by_api, 4), (ports_by_ctl, sessions_by_api, 6),
                                                      (ports_by_ovs_vsctl, sessions_by_ovs_vsctl, 4),
                                                      (ports_by_ovs_vsctl, sessions_by_ovs_vsctl, 6)])
def test_all_five_across_a_routed_network(hosts: tuple[Lab, Lab], ports: Callable[[Lab, Lab, int], None],
                                          sessions: Callable[[Lab, Lab, int], None], version: int) -> None:
    near, far = hosts
    ports(near, far, version)
    sessions(near, far, version)
    for lab, names in ((near, ("span", "rsrc", "l3src")), (far, ("rdst", "l3dst"))):
        for name in names:
            lab.wait_state(name, "active")

    def reached() -> bool:
        return all(lab.daemon.ovs("ovs-vsctl", "get", "interface", port, "status:state").stdout == "up\n"
                   for lab, port in ((near, "wan"), (far, "wan"), (far, "er0")))

    wait_until(reached, "all tunnels have a way")
    hello = frame(mac_of(near.t1), BROADCAST, b"here I am")
    reply = frame(mac_of(near.t2), mac_of(near.t1), b"received by t1 " * 4)
    whole = frame(mac_of(near.t1), mac_of(near.t2), struct.pack("!750H", *range(750)))
    sent = [hello, reply, whole]
    probes = {"span": near.p1, "rdst": far.sensor, "l3dst": far.analyzer}
    for number, (host, data) in enumerate(zip((near.t1, near.t2, near.t1), sent), 1):
        host.wire.send(data)
        for probe in probes.values():
            probe.wire.expect(number)

    def in_vlan(vlan: int) -> list[Any]:
        tag = bytes.fromhex("8100") + vlan.to_bytes(2, "big")
        return [data[:12] + tag + data[12:] for data in sent]

    # The session that leads to a trunk brings the VLAN along.
    expected = {"span": sent, "rdst": sent, "l3dst": in_vlan(10)}
    for name, probe in probes.items():
        got = probe.wire.settle()
        assert got == expected[name], f"{name}: {[data.hex()[:60] for data in got]}"
    for lab, names in ((near, ("span", "rsrc", "l3src")), (far, ("rdst", "l3dst"))):
        for name in names:
            account = lab.account(name)
            assert (account["delivered"], account["lost"]) == (3, 0), (name, account)


def bare(data: bytes) -> bytes:
    return data[:12] + data[16:] if data[12:14] == b"\x81\x00" else data


@pytest.mark.parametrize("version, header", [(4, 20), (6, 40)])
def test_a_smaller_mtu_behind_the_router_is_learned(hosts: tuple[Lab, Lab], version: int, header: Any) -> None:
    """The router says so by ICMP; from then on copies fit, and say that they are cut."""
    near, far = hosts
    far.ctl("add-port", "br0", "er0", "--type", "erspan", "--option", f"remote_ip={NEAR[version]}", "--option", "key=4")
    far.ctl("add-mirror", "br0", "d", "--source", "er0:from", "--output", "analyzer")
    run("ip", "-n", near.router, "link", "set", "side2", "mtu", 1400)
    near.ctl("add-mirror", "br0", "m", "--source", "t1:from", "--endpoint", FAR[version], "--encap", "erspan2", "--session-id", "4")
    near.wait_state("m", "active")
    assert l3.endpoint_state(near, "m")["mtu"] == 1600
    data = frame(mac_of(near.t1), BROADCAST, struct.pack("!743H", *range(743)))

    def learned() -> bool:
        near.t1.wire.send(data)
        return l3.endpoint_state(near, "m")["mtu"] == 1400

    wait_until(learned, "1400 is known", timeout=5)
    far.analyzer.wire.settle()
    far.analyzer.wire.clear()
    lost = near.account("m")["lost"]
    near.t1.wire.send(data)
    room = 1400 - header - 16 - 4  # 4: the tag of VLAN 10
    assert [bare(one) for one in far.analyzer.wire.settle(1)] == [data[:room]]
    assert near.account("m")["lost"] == lost


def test_another_way_is_taken(hosts: tuple[Lab, Lab]) -> None:
    """The route changes to a second router, whose cable then goes."""
    near, far = hosts
    near.ctl("add-mirror", "br0", "m", "--source", "t1:from", "--endpoint", FAR[4], "--encap", "erspan2", "--session-id", "99")
    far.ctl("add-port", "br0", "er0", "--type", "erspan", "--option", f"remote_ip={NEAR[4]}", "--option", "key=99")
    far.ctl("add-mirror", "br0", "d", "--source", "er0:from", "--output", "analyzer")
    second = f"{near.net.uid}-rt2"
    near.net.add_namespace(second)
    run("ip", "netns", "exec", second, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for lab, device, mine, its in ((near, "a", "10.84.0.1", "10.84.0.254"), (far, "b", "10.85.0.1", "10.85.0.254")):
        l3.join(lab.net.switch, "phy2", second, device, mtu=1600)
        l3.set_address(lab.net.switch, "phy2", mine, 24)
        l3.set_address(second, device, its, 24)
    run("ip", "-n", second, "route", "add", f"{FAR[4]}/32", "via", "10.85.0.1")
    run("ip", "netns", "exec", far.net.switch, "sysctl", "-qw", "net.ipv4.conf.phy2.rp_filter=0", "net.ipv4.conf.all.rp_filter=0")
    for lab, name in ((near, "m"), (far, "d")):
        lab.wait_state(name, "active")
    data = [frame(mac_of(near.t1), BROADCAST, bytes([number]) * 60) for number in range(3)]
    near.t1.wire.send(data[0])
    far.analyzer.wire.expect(1)
    run("ip", "-n", near.net.switch, "route", "replace", PREFIX[4][1], "via", "10.84.0.254", "src", NEAR[4])
    wait_until(lambda: l3.endpoint_state(near, "m")["device"] == "phy2", "the other way is taken")
    near.wait_state("m", "active")
    near.t1.wire.send(data[1])
    far.analyzer.wire.expect(2)
    run("ip", "-n", near.net.switch, "link", "set", "phy2", "down")
    near.wait_state("m", "waiting")
    near.t1.wire.send(data[2])
    near.t2.wire.expect(3)
    assert [bare(one) for one in far.analyzer.wire.settle()] == data[:2]
    account = near.account("m")
    assert (account["matched"], account["delivered"], account["lost"]) == (3, 2, 1)
