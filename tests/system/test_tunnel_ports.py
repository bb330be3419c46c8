# SPDX-License-Identifier: Apache-2.0
"""The other end of a tunnel: Open vSwitch's, Linux's, and tunnel ports of our own."""
from __future__ import annotations

import pathlib
import socket
import struct
from collections.abc import Iterator
from typing import Any

import l3
import openvswitch
import pytest
from lab import found, wait_until
from net import BROADCAST, Host, Wire, frame, in_namespace, mac, run
from switch import Lab

FRAMES = [frame(mac(1), mac(50), b"untagged" * 10), frame(mac(1), mac(50), b"tagged" * 9, vlan=100, pcp=5),
          frame(mac(1), mac(50), bytes(range(250)) * 6)]
NEAR, GATEWAY = l3.NEAR, l3.GATEWAY


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


class Peer(openvswitch.OpenVswitch):
    """Open vSwitch across a wire from the lab: `phy` has the wire and the addresses, `far` is a host on its bridge br1."""

    def __init__(self, directory: pathlib.Path, lab: Lab) -> None:
        super().__init__(directory)
        try:
            inside = self.net.switch
            l3.join(lab.net.switch, "under", inside, "wire", mtu=1600)
            # The wire's addresses are those of the bridge's local port: the stack must not answer on the wire for them.
            run("ip", "netns", "exec", inside, "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
            self.vsctl("add-br", "phy", "--", "set", "bridge", "phy", "datapath_type=netdev", "other_config:hwaddr=02:00:00:00:81:02",
                       "--", "add-port", "phy", "wire", "--", "add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev")
            l3.enable_ipv6(inside, "phy")
            run("ip", "-n", inside, "link", "set", "phy", "up")
            for version, length in ((4, 24), (6, 64)):
                l3.set_address(lab.net.switch, "under", NEAR[version], length)
                l3.set_address(inside, "phy", GATEWAY[version], length)
            self.far = Host(self.net, "far")
            self.far2 = Host(self.net, "far2")
            self.vsctl("add-port", "br1", "far", "--", "add-port", "br1", "far2")
            wait_until(lambda: GATEWAY[6] in self.appctl("ovs/route/show"), "Open vSwitch knows its addresses")
        except BaseException:
            self.closing.close()
            raise

    def appctl(self, *args: str) -> Any:
        return openvswitch.client(self.rundir, "ovs-appctl", *args).stdout

    def tunnel(self, name: str, kind: str, remote: Any, **options: Any) -> None:
        """A port of br1; tunnels do not talk to each other, or several between two bridges were a loop."""
        self.vsctl("add-port", "br1", name, "--", "set", "port", name, "protected=true", "--", "set", "interface", name, f"type={kind}",
                   f"options:remote_ip={remote}", *(f"options:{key}={value}" for key, value in options.items()))
        assert self.vsctl("get", "interface", name, "error").strip() == "[]"

    def received(self, port: Any) -> int:
        text = openvswitch.client(self.rundir, "ovs-ofctl", "dump-ports", "br1", port).stdout
        return int(found(r"rx pkts=(\d+)", text)[1])


@pytest.fixture
def peer(lab: Lab, tmp_path: pathlib.Path) -> Iterator[Peer]:
    with Peer(tmp_path, lab) as peer:
        yield peer


# What both ends call it: name, our --encap, its settings; type and options of Open vSwitch's port. In two groups, because a
# userspace Open vSwitch that has a GRE port does not receive ERSPAN.
GROUPS: list[list[tuple[str, str, dict[str, Any], str, dict[str, Any]]]] = [
    [("bare", "gre", {}, "gre", {}),
     ("key", "gre", {"key": 0x12345678}, "gre", {"key": 0x12345678}),
     ("vx", "vxlan", {"key": 10}, "vxlan", {"key": 10}),
     ("gv", "geneve", {"key": 0xABCDEF}, "geneve", {"key": 0xABCDEF})],
    [("er1", "erspan2", {"session_id": 8, "index": 0x77}, "erspan", {"key": 8, "erspan_ver": 1, "erspan_idx": "0x99"}),
     ("er2", "erspan3", {"session_id": 9}, "erspan", {"key": 9, "erspan_ver": 2, "erspan_hwid": 3, "erspan_dir": 1})]]


def warm_up(sender: Host, receivers: Any) -> None:
    """Sends frames of no account until each receiver has got as many as it should of one: Open vSwitch loses the first, for want of
    an address, and looks at a new configuration a little later."""
    tries = iter(range(256))

    def all_got_it() -> bool:
        data = frame(mac(50), BROADCAST, b"warming up" * 6 + bytes([next(tries)]))
        sender.wire.send(data)
        return all(len(receiver.wire.wait(count, timeout=0.3, match=lambda one: one == data)) >= count for receiver, count in receivers)

    wait_until(all_got_it, "frames arrive at all", timeout=10)
    for receiver, _ in receivers:
        receiver.wire.settle()
        receiver.wire.clear()


def test_open_vswitch_receives_our_copies(lab: Lab, peer: Peer) -> None:
    t1 = lab.host("t1", mtu=1600)
    for group in GROUPS:
        expected = {}
        for version in (4, 6):
            for name, encap, settings, kind, options in group:
                port = f"{name}{version}"
                peer.tunnel(port, kind, NEAR[version], **options)
                lab.rpc("mirror.add", bridge="br0", name=port, sources={"ports": [{"name": "t1", "direction": "from"}]},
                        destination={"endpoints": [{"ip": GATEWAY[version], "encap": encap, **settings}]})
                lab.wait_state(port, "active")
                expected[port] = len(FRAMES)
        peer.tunnel("wrong", group[0][3], NEAR[4], key=999)
        expected["wrong"] = 0
        for port in expected:
            expected[port] += peer.received(port)
        warm_up(peer.far, [(peer.far2, 1)])  # then br1 knows where its address is
        peer.far.wire.clear()
        for number, data in enumerate(FRAMES, 1):
            t1.wire.send(data)
            peer.far.wire.expect((len(expected) - 1) * number)
        got = peer.far.wire.settle()
        assert len(got) == (len(expected) - 1) * len(FRAMES)
        # Open vSwitch counts what its cache forwarded when it gets round to it.
        wait_until(lambda: {port: peer.received(port) for port in expected} == expected, f"each tunnel has received {expected}")
        for number, one in enumerate(got):
            l3.assert_frame(one, FRAMES[number // (len(expected) - 1)], "what Open vSwitch delivers")
        for port in expected:
            peer.vsctl("del-port", "br1", port)
            if port != "wrong":
                lab.ctl("del-mirror", "br0", port)


def test_tunnels_between_open_vswitch_and_us_carry_frames_both_ways(lab: Lab, peer: Peer) -> None:
    t1 = lab.host("t1", mtu=1600)
    for group in GROUPS:
        ports = []
        for version in (4, 6):
            for name, _, _, kind, options in group:
                ports.append(f"{name}{version}")
                peer.tunnel(ports[-1], kind, NEAR[version], **options)
                # By the same unmodified client.
                lab.daemon.ovs("ovs-vsctl", "add-port", "br0", ports[-1], "--", "set", "port", ports[-1], "protected=true", "--",
                               "set", "interface", ports[-1], f"type={kind}", f"options:remote_ip={GATEWAY[version]}",
                               *(f"options:{key}={value}" for key, value in options.items()))
        for port in ports:
            wait_until(lambda: lab.daemon.ovs("ovs-vsctl", "get", "interface", port, "status:state").stdout == "up\n", port)
            assert lab.daemon.ovs("ovs-vsctl", "get", "interface", port, "status:tunnel_egress_iface").stdout == "under\n"
        warm_up(peer.far, [(t1, len(ports))])
        before = {port: lab.port(port)["counters"] for port in ports}
        for sender, receiver, who in ((peer.far, t1, "we deliver"), (t1, peer.far, "Open vSwitch delivers")):
            for data in (BROADCAST + data[6:] for data in FRAMES):
                receiver.wire.clear()
                sender.wire.send(data)
                got = receiver.wire.settle(len(ports))
                assert len(got) == len(ports), f"{len(got)} of {ports}: {who}"
                for one in got:
                    l3.assert_frame(one, data, f"what {who}")
        for port in ports:
            counters = lab.port(port)["counters"]
            assert [counters[key] - before[port][key] for key in ("rx_packets", "tx_packets")] == [len(FRAMES)] * 2, port
            peer.vsctl("del-port", "br1", port)
            lab.ctl("del-port", "br0", port)


def test_mirrors_of_open_vswitch_reach_a_port_of_ours(lab: Lab, peer: Peer) -> None:
    """Two of its hosts talk; a mirror of its brings that here, where a SPAN session hands it to a probe."""
    probe = lab.host("probe")
    tunnels: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("er1", "erspan", {"key": 8, "erspan_ver": 1}),
        ("er2", "erspan", {"key": 9, "erspan_ver": 2}),
        ("gre0", "gre", {"key": 10}), ("vx0", "vxlan", {"key": 11}), ("gv0", "geneve", {"key": 12}))
    for number, (name, kind, options) in enumerate(tunnels):
        peer.tunnel(name, kind, NEAR[4], **options)
        lab.ctl("add-port", "br0", name, "--type", kind, "--option", f"remote_ip={GATEWAY[4]}",
                *(word for key, value in options.items() for word in ("--option", f"{key}={value}")))
        lab.ctl("add-mirror", "br0", f"dst-{name}", "--source", f"{name}:from", "--output", "probe")
        lab.wait_state(f"dst-{name}", "active")
        peer.vsctl("--", "--id=@far", "get", "port", "far", "--", "--id=@out", "get", "port", name, "--", "--id=@m", "create", "mirror",
                   f"name=m-{name}", "select_src_port=@far", "select_dst_port=@far", "output_port=@out", "--", "set", "bridge", "br1",
                   "mirrors=@m")
        # Addresses of their own each time: a flow that is under way keeps the mirrors it began with, in Open vSwitch.
        one, other = mac(60 + number), mac(70 + number)
        peer.far.wire.send(frame(one, BROADCAST))
        peer.far2.wire.send(frame(other, BROADCAST))
        warm_up(peer.far, [(probe, 1), (peer.far2, 1)])
        before = lab.account(f"dst-{name}")["delivered"]
        there = frame(one, other, b"there" * 12 + bytes([number]))
        back = frame(other, one, b"back" * 15 + bytes([number]), vlan=30)
        for count, (sender, data) in enumerate(((peer.far, there), (peer.far2, back)), 1):
            sender.wire.send(data)
            probe.wire.expect(count)
        assert probe.wire.settle() == [there, back], name
        assert lab.account(f"dst-{name}")["delivered"] == before + 2
        peer.vsctl("clear", "bridge", "br1", "mirrors", "--", "del-port", "br1", name)
        lab.ctl("del-mirror", "br0", f"dst-{name}")
        lab.ctl("del-port", "br0", name)  # two tunnels between two bridges are a loop


def test_no_key_and_key_zero_are_one_tunnel_as_in_open_vswitch(lab: Lab, peer: Peer) -> None:
    """A packet without a key has key 0, says Open vSwitch."""
    t1 = lab.host("t1")
    peer.tunnel("zero", "gre", NEAR[4], key=0)
    peer.tunnel("none", "gre", NEAR[6])
    lab.mirror("none", "--source", "t1:from", "--endpoint", GATEWAY[4])
    lab.mirror("zero", "--source", "t1:from", "--endpoint", GATEWAY[6], "--key", "0")
    for name in ("none", "zero"):
        lab.wait_state(name, "active")
    t1.wire.send(FRAMES[0])
    peer.far.wire.expect(2)
    assert (peer.received("zero"), peer.received("none")) == (1, 1), "Open vSwitch takes both"
    for name in ("none", "zero"):
        lab.ctl("del-mirror", "br0", name)
    lab.ctl("add-port", "br0", "bare", "--type", "gre", "--option", f"remote_ip={GATEWAY[4]}", "--protected")
    lab.ctl("add-port", "br0", "zeroed", "--type", "gre", "--option", f"remote_ip={GATEWAY[6]}", "--option", "key=0", "--protected")
    warm_up(peer.far, [(t1, 2)])  # so do we


def test_options_on_the_wire(lab: Lab) -> None:
    """What the options of Open vSwitch's manual page do to packets, as tshark reads them."""
    lab.under = l3.underlay(lab.net, mtu=1600)
    t1 = lab.host("t1")
    common = {"ip.ttl": 64, "ip.dsfield.dscp": 0, "ip.flags.df": 1, "ip.src": NEAR[4]}
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("gre", {}, {"gre.flags_and_version": 0x0000, "gre.proto": 0x6558}),
        ("gre", {"key": "0x1234"}, {"gre.flags_and_version": 0x2000, "gre.key": 0x1234}),
        ("gre", {"csum": "true", "seq": "true", "ttl": 99, "tos": 0xB8, "df_default": "false"},
         {"gre.flags_and_version": 0x9000, "gre.checksum.status": 1, "gre.sequence_number": 0, "ip.ttl": 99, "ip.dsfield.dscp": 46,
          "ip.flags.df": 0}),
        ("gre", {"out_key": 5, "in_key": 5, "local_ip": NEAR[4]}, {"gre.key": 5}),
        ("erspan", {"key": 1023, "erspan_ver": 1, "erspan_idx": "fffff"},
         {"erspan.version": 1, "erspan.spanid": 1023, "erspan.index": 0xFFFFF, "erspan.encap": 0, "gre.sequence_number": 0}),
        ("erspan", {"key": 7, "erspan_ver": 2, "erspan_dir": 1, "erspan_hwid": "3f"},
         {"erspan.version": 2, "erspan.spanid": 7, "erspan.direction": 1, "erspan.hw": 0x3F, "erspan.gra": 0, "erspan.o": 0,
          "gre.proto": 0x22EB}),
        ("erspan", {}, {"erspan.version": 1, "erspan.spanid": 0, "erspan.index": 0}),
        ("vxlan", {"key": 0xFFFFFF}, {"udp.dstport": 4789, "vxlan.vni": 0xFFFFFF, "vxlan.flags": 0x0800}),
        ("vxlan", {"dst_port": 4790}, {"udp.dstport": 4790, "vxlan.vni": 0}),
        ("geneve", {"key": 0xFFFFFF}, {"udp.dstport": 6081, "geneve.vni": 0xFFFFFF, "geneve.proto_type": 0x6558, "geneve.flags": 0}),
        ("geneve", {"dst_port": 6082}, {"udp.dstport": 6082, "geneve.vni": 0})]
    for number, (kind, options, _) in enumerate(cases, 1):
        words = [word for key, value in {"remote_ip": l3.far(4, number), **options}.items() for word in ("--option", f"{key}={value}")]
        lab.ctl("add-port", "br0", f"tun{number}", "--type", kind, "--protected", *words)
        wait_until(lambda: lab.daemon.ovs("ovs-vsctl", "get", "interface", f"tun{number}", "status:state").stdout == "up\n", kind)
    t1.wire.send(BROADCAST + FRAMES[0][6:])
    copies = lab.under.wire.settle(len(cases), match=l3.is_copy)
    packets = {packet["ip.dst"]: packet for packet in l3.tshark(copies, "-d", "udp.port==4790,vxlan", "-d", "udp.port==6082,geneve")}
    wrong = []
    for number, (kind, options, fields) in enumerate(cases, 1):
        packet = packets[l3.far(4, number)]
        for name, value in (common | fields).items():
            got = packet[name] if isinstance(value, str) else packet.number(name)
            if got != value:
                wrong.append(f"{kind} {options}: {name} is {got}, not {value}")
        l3.assert_frame(packet.inner, BROADCAST + FRAMES[0][6:], f"{kind} {options}")
    assert not wrong, "\n".join(wrong)


def ip_frame(version: int, tos: int, ttl: int, vlan: int | None = None) -> bytes:
    """A broadcast frame with an IP packet of a protocol for experiments."""
    if version == 4:
        header = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 40, 0, 0, ttl, 253, 0, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]))
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    else:
        header = struct.pack("!IHBB16s16s", 6 << 28 | tos << 20, 20, 253, ttl, bytes([0x20, 1, 0xD, 0xB8] + [1] * 12),
                             bytes([0x20, 1, 0xD, 0xB8] + [2] * 12))
    return frame(mac(1), BROADCAST, header + bytes(20), vlan=vlan, ether_type=0x0800 if version == 4 else 0x86DD)


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def outer_tos_and_ttl(packet: bytes) -> tuple[int, int]:
    if packet[12:14] == b"\x08\x00":
        return packet[15], packet[22]
    return (packet[14] << 4 | packet[15] >> 4) & 0xFF, packet[21]


@pytest.mark.parametrize("kind", ["gre", "vxlan", "geneve"])
@pytest.mark.parametrize("inherits", [True, False])
def test_ttl_tos_and_ecn_are_those_of_open_vswitch(lab: Lab, peer: Peer, kind: str, inherits: bool) -> None:
    """The IP header of a tunnel's packet, for each frame the same as Open vSwitch makes with the same options."""
    t1 = lab.host("t1", mtu=1600)
    # Not the same: a packet of TTL 0 leaves with TTL 1, because the host sends none of 0.
    frames = [ip_frame(version, tos, ttl, vlan) for version in (4, 6) for vlan in (None, 7)
              for tos, ttl in ((0, 64), (0xB8, 1), (0x01, 255), (0x02, 9), (0x03, 10), (0xFF, 33))]
    frames += [frame(mac(1), BROADCAST, b"no IP" * 12)]
    options = {"tos": "inherit", "ttl": "inherit"} if inherits else {"tos": "0x48", "ttl": "17"}
    for version in (4, 6):
        peer.tunnel(f"g{version}", kind, NEAR[version], **options)
        words = [word for key, value in {"remote_ip": GATEWAY[version], **options}.items() for word in ("--option", f"{key}={value}")]
        lab.ctl("add-port", "br0", f"g{version}", "--type", kind, "--protected", *words)
        lab.wait_port(f"g{version}", "active")
    warm_up(peer.far, [(t1, 2)])
    warm_up(t1, [(peer.far, 2)])
    under = in_namespace(lab.net.switch, lambda: Wire(lab.net.switch, "under"))
    lab.net.closing.callback(under.close)

    def header_of(sender: Host, data: bytes) -> list[tuple[int, int]]:
        under.clear()
        sender.wire.send(data)
        return sorted(outer_tos_and_ttl(one) for one in under.wait(2, match=lambda one: one.endswith(data)))

    def sent_by_us(data: bytes) -> list[tuple[int, int]]:
        # A capture on `under` sees what leaves only at the other end.
        wire.clear()
        t1.wire.send(data)
        return sorted(outer_tos_and_ttl(one) for one in wire.wait(2, match=lambda one: one.endswith(data)))

    wire = in_namespace(peer.net.switch, lambda: Wire(peer.net.switch, "wire"))
    peer.net.closing.callback(wire.close)
    wrong = []
    for data in frames:
        theirs, ours = header_of(peer.far, data), sent_by_us(data)
        if theirs != ours or len(ours) != 2:
            wrong.append(f"{data[:24].hex()}: Open vSwitch {theirs}, here {ours}")
    assert not wrong, "(TOS, TTL) of the packets:\n" + "\n".join(wrong)


@pytest.mark.parametrize("version", [4, 6])
def test_congestion_on_the_way_through_a_tunnel_is_passed_on(lab: Lab, version: int) -> None:
    """RFC 6040: a packet whose sender knows ECN gets the mark; one whose sender does not is dropped and counted."""
    lab.under = l3.underlay(lab.net)
    t1 = lab.host("t1")
    lab.ctl("add-port", "br0", "gre0", "--type", "gre" if version == 4 else "ip6gre", "--option", f"remote_ip={GATEWAY[version]}")
    lab.wait_port("gre0", "active")
    near = found(r"link/ether (\S+)", run("ip", "-n", lab.net.switch, "-o", "link", "show", "under").stdout)[1]
    ethernet = bytes.fromhex(f"{near}{lab.under.mac}".replace(":", "")) + (b"\x08\x00" if version == 4 else b"\x86\xdd")

    def arrives(outer_tos: int, inner: bytes) -> None:
        outer = bytearray(packet(version, 47, GATEWAY[version], NEAR[version], bytes.fromhex("00006558") + inner))
        if version == 4:
            outer[1] = outer_tos
            outer[10:12] = struct.pack("!H", checksum(bytes(outer[:20])))
        else:
            outer[0:2] = struct.pack("!H", 0x6000 | outer_tos << 4)
        lab.under.wire.send(ethernet + bytes(outer))

    for inner_version in (4, 6):
        for vlan in (None, 7):
            for before, after in ((0x02, 0x03), (0xB9, 0xBB), (0x03, 0x03)):
                arrives(0x03, ip_frame(inner_version, before, 64, vlan))
                wanted = ip_frame(inner_version, after, 64, vlan)
                l3.assert_frame(t1.wire.expect(1, match=lambda one: mac(1) in one)[0], wanted, f"TOS {before:#x} inside")
                t1.wire.clear()
    unmarked = ip_frame(4, 0x02, 64)
    arrives(0x02, unmarked)
    l3.assert_frame(t1.wire.expect(1, match=lambda one: mac(1) in one)[0], unmarked, "no congestion")
    t1.wire.clear()
    arrives(0x03, ip_frame(4, 0xB8, 64))
    wait_until(lambda: found(r"1  congestion_mark ", lab.daemon.ovs("ovs-appctl", "drop/show").stdout), "the loss is counted")
    plain = frame(mac(1), BROADCAST, b"no IP" * 12)
    arrives(0x03, plain)
    assert t1.wire.expect(1, match=lambda one: mac(1) in one) == [plain], "no IP inside"


def test_endpoints_of_sessions_inherit_ttl_and_dscp(lab: Lab) -> None:
    """ECN is not inherited: a copy takes no part in the conversation that it copies."""
    lab.under = l3.underlay(lab.net)
    t1 = lab.host("t1")
    lab.mirror("er0", "--source", "t1:from", "--endpoint", l3.far(4, 1), "--encap", "erspan2", "--ttl", "inherit", "--dscp", "inherit")
    lab.wait_state("er0", "active")
    shown = lab.ctl("show-mirror", "br0", "er0").stdout
    assert ", ttl inherit, dscp inherit" in shown

    def header_of(data: bytes) -> tuple[int, int]:
        t1.wire.send(data)
        got = outer_tos_and_ttl(lab.under.wire.expect(1, match=l3.is_copy)[0])
        lab.under.wire.clear()
        return got

    assert header_of(ip_frame(4, 0xB9, 7)) == (0xB8, 7)
    told = lab.ctl("explain", "br0", "--in-port", "t1", "--frame", ip_frame(4, 0xB9, 7).hex()).stdout
    assert "has TTL 7, DSCP 46 and ECN 0" in told
    assert header_of(ip_frame(6, 0x2B, 8, vlan=5)) == (0x28, 8)
    assert header_of(frame(mac(1), BROADCAST, b"no IP" * 12)) == (0, 64)
    lab.ctl("set-mirror", "br0", "er0", "--ttl", "9")
    assert header_of(ip_frame(4, 0xB9, 7)) == (0xB8, 9)
    lab.ctl("set-mirror", "br0", "er0", "--dscp", "none")
    assert header_of(ip_frame(4, 0xB9, 7)) == (0, 9)


# Linux


@pytest.fixture(params=[4, 6])
def linux(lab: Lab, request: pytest.FixtureRequest) -> Lab:
    """Linux's own vxlan device `vx` in the probe's namespace: VNI 77."""
    version = lab.version = request.param
    lab.under = l3.underlay(lab.net, mtu=1700)
    lab.t1 = lab.host("t1", "10.95.0.11", mtu=1600)
    lab.under.ip("link", "add", "vx", "mtu", 1600, "type", "vxlan", "id", 77, "local", GATEWAY[version], "remote", NEAR[version],
                 "dstport", 4789)
    lab.under.ip("link", "set", "vx", "up")
    lab.vx = Wire(lab.under.namespace, "vx")
    lab.net.closing.callback(lab.vx.close)
    return lab


def test_linux_vxlan_receives_our_copies(linux: Lab) -> None:
    """The kernel verifies the UDP checksum, without which it takes nothing over IPv6."""
    for name, vni in (("m", 77), ("other", 78)):
        linux.mirror(name, "--source", "t1:from", "--endpoint", GATEWAY[linux.version], "--encap", "vxlan", "--key", str(vni))
        linux.wait_state(name, "active")
    odd = frame(mac(1), mac(50), b"an odd number of octets")
    linux.t1.wire.send(*FRAMES, odd)
    got = linux.vx.settle(len(FRAMES) + 1)
    assert len(got) == len(FRAMES) + 1
    for one, data in zip(got, [*FRAMES, odd]):
        l3.assert_frame(one, data, "what Linux takes out")
    assert linux.account("m")["lost"] == 0


def tunnel_to_linux(linux: Lab) -> None:
    linux.under.ip("addr", "add", "10.95.0.12/24", "dev", "vx")
    linux.ctl("add-port", "br0", "vx0", "--type", "vxlan", "--option", f"remote_ip={GATEWAY[linux.version]}", "--option", "key=77")
    wait_until(lambda: linux.daemon.ovs("ovs-vsctl", "get", "interface", "vx0", "status:state").stdout == "up\n", "the tunnel is up")


def test_ping_through_a_tunnel_to_linux(linux: Lab) -> None:
    tunnel_to_linux(linux)
    linux.t1.ping("10.95.0.12", count=2)
    linux.t1.run("ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", "1472", "10.95.0.12")


def test_tcp_through_a_tunnel_to_linux(linux: Lab) -> None:
    """With the offloads of both ends: unfinished checksums and super-frames."""
    tunnel_to_linux(linux)
    blob = bytes(range(256)) * 4000
    with in_namespace(linux.under.namespace, lambda: socket.create_server(("10.95.0.12", 7))) as listener:
        with in_namespace(linux.t1.namespace, lambda: socket.create_connection(("10.95.0.12", 7), 3)) as client:
            server, _ = listener.accept()
            with server:
                for source, sink in ((client, server), (server, client)):
                    sink.settimeout(5)
                    for at in range(0, len(blob), 64000):  # as much at a time as fits the buffers: both ends are ours
                        part = blob[at:at + 64000]
                        source.sendall(part)
                        got = b""
                        while len(got) < len(part):
                            got += sink.recv(65536)
                        assert got == part


# Our own


def packet(version: int, protocol: int, source: str, destination: str, payload: bytes) -> Any:
    """An IP packet of bytes; checksums of IPv4 headers are the kernel's affair."""
    if version == 4:
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, socket.inet_aton(source),
                           socket.inet_aton(destination)) + payload
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, 64, socket.inet_pton(socket.AF_INET6, source),
                       socket.inet_pton(socket.AF_INET6, destination)) + payload


def test_only_what_belongs_to_the_tunnel_is_taken(lab: Lab) -> None:
    """Every ERSPAN type is taken by session; another key, session, sender, version or a broken packet is not."""
    lab.under = l3.underlay(lab.net)
    t1 = lab.host("t1")
    for name, kind, options in (("gre0", "gre", ["key=7"]), ("er0", "erspan", ["key=5"])):
        words = [word for option in (f"remote_ip={GATEWAY[4]}", *options) for word in ("--option", option)]
        lab.ctl("add-port", "br0", name, "--type", kind, "--protected", *words)
        lab.wait_port(name, "active")

    def open_raw() -> Any:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        lab.net.closing.callback(sock.close)
        return sock

    raw = in_namespace(lab.under.namespace, open_raw)
    run("ip", "-n", lab.under.namespace, "addr", "add", "10.81.0.66/24", "dev", "eth0")
    inner = iter(frame(mac(1), BROADCAST, b"inner" * 10 + bytes([n])) for n in range(100))
    header2 = bytes.fromhex("1064c005 00000000".replace(" ", ""))
    header3 = bytes.fromhex("20640005 01020304 00008001".replace(" ", ""))
    good: list[bytes] = []
    bad: list[bytes] = []

    def send(into: Any, head: Any, source: str = GATEWAY[4], protocol: int = 47, data: bytes | None = None) -> None:
        data = data or next(inner)
        into.append(data)
        raw.sendto(packet(4, protocol, source, NEAR[4], bytes.fromhex(head.replace(" ", "")) + data), (NEAR[4], 0))

    send(good, "20006558 00000007")                         # GRE with the key
    send(good, "30006558 00000007 00000001")                # and a sequence number that nobody waits for
    send(good, "000088be")                                  # type I has no session
    send(good, "100088be 00000001" + header2.hex())         # type II
    send(good, "100022eb 00000001" + header3[:11].hex() + "00")          # type III
    send(good, "100022eb 00000001" + header3.hex() + "0c000000 00000000")  # with a subheader
    send(bad, "20006558 00000008")                          # another key
    send(bad, "00006558")                                   # no key
    send(bad, "40006558 00000000 00000007")                 # routing, which is history
    send(bad, "20016558 00000007")                          # version 1
    send(bad, "20000800 00000007")                          # IPv4 inside
    send(bad, "a0006558 12340000 00000007")                 # a wrong checksum
    send(bad, "100088be 00000001" + "1064c006 00000000")    # another session
    send(bad, "100088be 00000001" + "7064c005 00000000")    # a version there is not
    send(bad, "100022eb 00000001" + "1064c005 00000000 00000000")  # type II where III is said
    send(bad, "20006558 00000007", source="10.81.0.66")     # another sender
    send(bad, "20006558 00000007", data=bytes(13))          # less than an Ethernet header
    send(bad, "20006558 00", data=b"\0")                    # cut in the key
    last = frame(mac(1), BROADCAST, b"the last" * 9)
    good.append(last)
    send([], "20006558 00000007", data=last)
    got = t1.wire.settle(len(good))
    assert sorted(data for data in got if data in good) == sorted(good)  # two ports: any order
    assert len(got) == len(good), f"taken: {[data for data in got if data not in good]}"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", ["gre", "vxlan"])
def test_the_tunnel_that_names_the_local_address_gets_what_comes_there(lab: Lab, version: int, kind: str) -> None:
    """As in Open vSwitch: of two tunnels that differ in local_ip alone, one takes each packet."""
    lab.under = l3.underlay(lab.net)
    second = {4: "10.81.0.21", 6: "fd81::21"}[version]
    l3.set_address(lab.net.switch, "under", second, {4: 24, 6: 64}[version])
    hosts = {}
    for name, tag in (("any", 11), ("named", 12), ("other", 13)):
        hosts[name] = lab.host(f"{name}h", port_options=("--tag", str(tag)))

    def tunnel(name: str, tag: Any, *options: str) -> None:
        words = [word for option in (f"remote_ip={GATEWAY[version]}", *options) for word in ("--option", option)]
        lab.ctl("add-port", "br0", name, "--type", kind, "--tag", str(tag), *words)
        wait_until(lambda: lab.daemon.ovs("ovs-vsctl", "get", "interface", name, "status:state").stdout == "up\n", name)

    def open_sender() -> Any:
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM) if kind == "vxlan" else socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_GRE)
        sock.bind((GATEWAY[version], 0))
        return sock

    sender = in_namespace(lab.under.namespace, open_sender)
    lab.net.closing.callback(sender.close)
    count = 0

    def arrives(to: Any, key: int = 5) -> list[Any]:
        """At which hosts a packet that comes to the address arrives."""
        nonlocal count
        count += 1
        data = frame(mac(1), BROADCAST, b"packet %4d" % count)
        head = struct.pack("!BxxxI", 8, key << 8) if kind == "vxlan" else struct.pack("!HHI", 0x2000, 0x6558, key)
        sender.sendto(head + data, (to, 4789 if kind == "vxlan" else 0))
        for host in hosts.values():
            host.wire.settle()
        return [name for name, host in hosts.items() for got in host.wire.frames if got == data]

    tunnel("any", 11, "key=5")
    assert arrives(NEAR[version]) == arrives(second) == ["any"]
    tunnel("named", 12, "key=5", f"local_ip={second}")
    tunnel("other", 13, "key=6", f"local_ip={NEAR[version]}")
    assert arrives(NEAR[version]) == ["any"], "a tunnel with another key has nothing to do with it"
    assert arrives(second) == ["named"]
    assert arrives(NEAR[version], key=6) == ["other"] and arrives(second, key=6) == []
    lab.ctl("del-port", "br0", "named")
    assert arrives(second) == ["any"]


def test_a_second_tunnel_with_the_same_ends_is_refused(lab: Lab) -> None:
    """Both would take every packet, and the bridge had each frame twice. The one that works goes on."""
    lab.under = l3.underlay(lab.net)
    ends = {"gre": ("7", ()), "erspan": ("7", ("--option", "erspan_ver=2")), "vxlan": ("0", ())}
    wrong = []
    for kind, (key, more) in ends.items():
        remote = ("--type", kind, "--option", f"remote_ip={GATEWAY[4]}")
        # Names in no order: it is age that counts. The switch may not look at names, nor at random UUIDs.
        for first, second in ((f"{kind}5", f"{kind}1"), (f"{kind}5", f"{kind}9"), (f"{kind}5", f"{kind}2")):
            lab.ctl("add-port", "br0", first, *remote, "--option", f"key={key}", "--may-exist")
            done = lab.ctl("add-port", "br0", second, *remote, "--option", f"key={key}", *more, check=False)
            if done.returncode != 1 or first not in done.stderr:
                wrong.append(f"add-port {second}: exit {done.returncode}, says {done.stdout}{done.stderr}")
            error = lab.daemon.ovs("ovs-vsctl", "get", "interface", first, "error").stdout.strip()
            if error != "[]":
                wrong.append(f"{first}, which was there before {second}: {error}")
            lab.ctl("del-port", "br0", second, check=False)
        lab.ctl("add-port", "br0", f"{kind}8", *remote, "--option", "key=8")  # another key is another tunnel
    remote = ("--type", "gre", "--option", f"remote_ip={l3.far(4, 1)}")
    lab.ctl("add-port", "br0", "none", *remote)
    done = lab.ctl("add-port", "br0", "zero", *remote, "--option", "key=0", check=False)
    if done.returncode != 1 or "none" not in done.stderr:
        wrong.append(f"key=0 beside no key, which are one: exit {done.returncode}, says {done.stdout}{done.stderr}")
    # A stock client is told where it looks.
    lab.daemon.ovs("ovs-vsctl", "add-port", "br0", "stock", "--", "set", "interface", "stock", "type=gre",
                   f"options:remote_ip={l3.far(4, 1)}")
    if "none" not in lab.daemon.ovs("ovs-vsctl", "get", "interface", "stock", "error").stdout:
        wrong.append("Interface.error of the second port a stock client made")
    if lab.daemon.ovs("ovs-vsctl", "get", "interface", "none", "error").stdout.strip() != "[]":
        wrong.append("Interface.error of the first port after a stock client made the second")
    assert not wrong, "\n".join(wrong)


def test_tunnels_that_cannot_be_are_refused_with_a_reason_for_stock_clients_too(lab: Lab) -> None:
    for name, settings, words in (("g1", ["type=gre"], "g1: gre type requires valid 'remote_ip' argument"),
                                  ("g2", ["type=gre", "options:remote_ip=flow"], "needs OpenFlow"),
                                  ("g3", ["type=gre", "options:remote_ip=10.81.0.2", "options:key=flow"], "needs OpenFlow"),
                                  ("g4", ["type=erspan", "options:remote_ip=10.81.0.2", "options:key=1024"], "1023"),
                                  ("g5", ["type=vxlan", "options:remote_ip=10.81.0.2", "options:key=16777216"], "16777215"),
                                  ("g6", ["type=gre", "options:remote_ip=10.81.0.2", "options:local_ip=fd81::1"], "both IPv4 or both IPv6"),
                                  ("g7", ["type=geneve", "options:remote_ip=10.81.0.2", "options:key=16777216"], "16777215"),
                                  ("g10", ["type=stt", "options:remote_ip=10.81.0.2"], "stt"),
                                  ("g8", ["type=gre", "options:remote_ip=10.81.0.2", "options:nonsense=1"], "nonsense"),
                                  ("g9", ["type=gre", "options:remote_ip=10.81.0.2", "options:tos=3"], "a multiple of 4")):
        done = lab.daemon.ovs("ovs-vsctl", "add-port", "br0", name, "--", "set", "interface", name, *settings)
        error = lab.daemon.ovs("ovs-vsctl", "get", "interface", name, "error").stdout
        assert words in error.replace('\\"', '"'), f"{settings}: {error}"
        assert name in done.stderr, "ovs-vsctl says so at once"


def test_frames_that_are_too_long_for_a_tunnel(lab: Lab) -> None:
    """Dropped and counted, unless df_default=false lets packets be fragmented."""
    lab.under = l3.underlay(lab.net)
    t1 = lab.host("t1")
    for name, options in (("gre0", ["key=1"]), ("gre1", ["key=2", "df_default=false"])):
        lab.ctl("add-port", "br0", name, "--type", "gre", "--protected", "--option", f"remote_ip={l3.far(4, 1)}",
                *(word for option in options for word in ("--option", option)))
        wait_until(lambda: lab.daemon.ovs("ovs-vsctl", "get", "interface", name, "status:state").stdout == "up\n", name)
    data = frame(mac(1), BROADCAST, bytes(1500))
    t1.wire.send(data)
    packets = l3.tshark(lab.under.wire.settle(2, match=l3.is_copy))
    assert [packet["ip.flags.mf"] for packet in packets] == ["1", "0"] and packets[1]["gre.key"] in (None, "0x00000002")
    counters = lab.port("gre0")["counters"]
    assert counters["tx_dropped"] == 1 and lab.port("gre1")["counters"]["tx_dropped"] == 0
    assert lab.drops("too_big") == 1


def test_explain_knows_that_a_tunnel_without_a_route_takes_no_frame(lab: Lab) -> None:
    t1 = lab.host("t1")
    lab.host("probe")
    lab.ctl("add-port", "br0", "gre0", "--type", "gre", "--option", "remote_ip=192.0.2.1")
    lab.mirror("s", "--source", "probe:from", "--output", "gre0", "--normal-io")
    data = frame(mac(1), BROADCAST)
    for port, what in (("t1", "the frame"), ("probe", "the copy of s")):
        answer = lab.rpc("mirror.explain", bridge="br0", in_port=port, frame=data.hex())
        assert "gre0" not in [output["port"] for output in answer["outputs"] + answer["copies"]], answer
        assert f"{what} is lost at gre0: the host has no route to the endpoint" in answer["trace"]
    t1.wire.send(data)
    wait_until(lambda: lab.drops("no_route") == 1, "the frame is lost, and counted")
