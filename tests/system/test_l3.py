# SPDX-License-Identifier: Apache-2.0
"""Sessions whose copies go to IP endpoints: too long copies, ways that change and fail, loops, several destinations, refusals."""
from __future__ import annotations

import contextlib
import itertools
import json
import os
import pathlib
import random
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import l3
import pytest
from lab import RpcError, wait_until
from net import BROADCAST, frame, in_namespace, mac, run
from switch import Lab

IP_HEADER = {4: 20, 6: 40}
SEED = int(os.environ.get("VSWITCH_SEED", time.time_ns() % 10**6))


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


@pytest.fixture
def net4and6(lab: Lab) -> Lab:
    """t1 and t2 on the bridge; endpoints behind `under`, a device that is no port."""
    lab.under = l3.underlay(lab.net)
    lab.t1, lab.t2 = lab.host("t1"), lab.host("t2")
    return lab


def switch_ip(lab: Lab, *args: object, version: int = 4) -> None:
    run("ip", "-n", lab.net.switch, *(["-6"] if version == 6 else []), *args)


def receiver(lab: Lab, address: str, udp_port: int | None = None) -> socket.socket:
    """A socket of the probe's IP stack, which reassembles, and verifies checksums: GRE, or a UDP port."""
    def open_socket() -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM) if udp_port else socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_GRE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((address, udp_port or 0))
        sock.settimeout(5)
        return sock

    version = 6 if ":" in address else 4
    l3.set_address(lab.under.namespace, "eth0", address, 128 if version == 6 else 32)
    sock = in_namespace(lab.under.namespace, open_socket)
    lab.net.closing.callback(sock.close)
    return sock


def big(length: int = 1514) -> bytes:
    """A frame of so many octets, without a repetition in it."""
    return frame(mac(1), BROADCAST, b"".join(struct.pack("!H", n) for n in range(length // 2)))[:length]


SMALL = frame(mac(1), BROADCAST, b"small enough for any way" * 2)


# Too long copies


def test_copies_that_are_too_long_are_cut_and_marked_or_sent_in_fragments_or_dropped_and_counted(net4and6: Lab) -> None:
    lab = net4and6
    headers = {"erspan1": 4, "erspan2": 16, "erspan3": 20, "gre": 4, "vxlan": 16}
    number, sessions = 0, []
    for version in (4, 6):
        for encap in headers:
            for policy in ("cut", "drop"):
                number += 1
                name = f"{policy}{number}"
                ip = l3.far(version, number)
                lab.rpc("mirror.add", bridge="br0", name=name, sources={"ports": ["t1"]}, mtu_policy=policy,
                        destination={"endpoints": [{"ip": ip, "encap": encap}]})
                sessions.append((name, ip, encap, policy, version))
    receivers = []
    for version in (4, 6):
        for encap in ("gre", "erspan3", "vxlan"):
            number += 1
            ip = l3.far(version, number)
            lab.rpc("mirror.add", bridge="br0", name=f"fragment{number}", sources={"ports": ["t1"]}, mtu_policy="fragment",
                    destination={"endpoints": [{"ip": ip, "encap": encap}]})
            receivers.append((f"fragment{number}", version, encap, receiver(lab, ip, 4789 if encap == "vxlan" else None)))
    wait_until(lambda: {m["state"] for m in lab.rpc("mirror.list")["mirrors"]} == {"active"}, "all are active")
    fits = {encap: big(1500 - 20 - length) for encap, length in headers.items()}  # to the octet, over IPv4
    sent = [big(), SMALL, *fits.values()]
    for number, data in enumerate(sent, 1):
        lab.t1.wire.send(data)
        lab.t2.wire.expect(number)
    for name, *_ in [*sessions, *receivers]:
        lab.account(name)
    packets: dict[Any, Any] = {}
    for packet in l3.tshark(lab.under.wire.settle(len(sent) * len(sessions) // 2, match=l3.is_copy)):
        packets.setdefault(packet["ip.dst"] or packet["ipv6.dst"], []).append(packet)
    for name, ip, encap, policy, version in sessions:
        room = 1500 - IP_HEADER[version] - headers[encap]
        expected = [data[:room] for data in sent if policy == "cut" or len(data) <= room]
        got = packets[ip]
        assert [len(packet.inner) for packet in got] == [len(data) for data in expected], (name, encap, version)
        for packet, data in zip(got, expected):
            l3.assert_frame(packet.inner, data, f"{name} {encap} over IPv{version}")
            assert len(packet.data) - 14 == packet.number("ip.len" if version == 4 else "ipv6.plen") + (0 if version == 4 else 40) <= 1500
        if encap in ("erspan2", "erspan3"):
            cut = [int(len(data) > room) for data in sent if policy == "cut" or len(data) <= room]
            assert [packet.number("erspan.truncated") for packet in got] == cut, (name, encap, version)
            numbers = [packet.number("gre.sequence_number") for packet in got]
            assert numbers == [n for n, data in enumerate(sent) if policy == "cut" or len(data) <= room], "a lost copy leaves a gap"
        account = lab.account(name)
        too_big = len(sent) - len(expected)
        truncated = sum(len(data) > room for data in sent) if policy == "cut" else 0
        assert account["truncated"] == truncated
        notice = lab.rpc("mirror.get", bridge="br0", name=name)["notice"]
        assert notice.startswith("copies are longer than the MTU of the path") == (truncated != 0), (name, notice)
        assert account["delivered"] == len(expected) and account["lost_by"] == ({"too_big": too_big} if too_big else {}), (name, account)
    for name, version, encap, sock in receivers:
        skip = {"gre": 4, "erspan3": 20, "vxlan": 8}[encap] + (20 if version == 4 and encap != "vxlan" else 0)
        for data in sent:
            l3.assert_frame(sock.recv(70000)[skip:], data, f"{name} {encap} over IPv{version}, reassembled")
        assert lab.account(name)["delivered"] == len(sent)
    fragments = [packet for ip, of_ip in packets.items() for packet in of_ip
                 if packet["ip.flags.mf"] == "1" or packet["ipv6.fraghdr.more"] == "1"]
    assert fragments and all(len(packet.data) <= 1514 for packet in fragments)


def test_the_mtu_of_the_way_is_followed(net4and6: Lab) -> None:
    """A device's, and that of a route."""
    lab = net4and6
    lab.mirror("m", "--source", "t1", "--endpoint", l3.far(4, 1), "--encap", "erspan2")
    lab.wait_state("m", "active")
    got = []
    changes: list[tuple[tuple[object, ...], int]] = [
        ((), 1500), (("link", "set", "under", "mtu", 1300), 1300), (("link", "set", "under", "mtu", 1500), 1500),
        (("route", "replace", "10.82.0.0/16", "via", l3.GATEWAY[4], "mtu", 1200), 1200)]
    for change, mtu in changes:
        if change:
            switch_ip(lab, *change)
        wait_until(lambda: l3.endpoint_state(lab, "m")["mtu"] == mtu, f"the endpoint has MTU {mtu}")
        lab.t1.wire.send(big())
        got.append(mtu)
        lab.under.wire.expect(len(got), match=l3.is_copy)
        assert f"MTU {mtu}" in lab.ctl("show-mirror", "br0", "m").stdout
    packets = l3.tshark(lab.under.wire.settle(match=l3.is_copy))
    assert [(packet.number("ip.len"), packet.number("erspan.truncated")) for packet in packets] == [(mtu, 1) for mtu in got]


# Ways that change


class Walk:
    """Frames through one ERSPAN session, one at a time, and what became of each."""

    def __init__(self, lab: Lab, version: int) -> None:
        self.lab, self.version = lab, version
        self.sent = 0
        self.lost: dict[Any, Any] = {}
        self.arrived: list[Any] = []
        self.ip = l3.far(version, 1)
        lab.mirror("w", "--source", "t1", "--endpoint", self.ip, "--encap", "erspan2")

    def state(self) -> tuple[Any, ...]:
        mirror = self.lab.rpc("mirror.get", bridge="br0", name="w")
        return mirror["state"], mirror["reason"]

    def wait(self, state: str, words: str = "") -> None:
        wait_until(lambda: self.state()[0] == state and words in self.state()[1], f"{state} with '{words}', now {self.state()}")

    def send(self) -> bytes:
        self.sent += 1
        data = frame(mac(1), BROADCAST, struct.pack("!I", self.sent) * 20)
        self.lab.t1.wire.send(data)
        self.lab.t2.wire.expect(self.sent)
        return data

    def arrives(self, source: str | None = None, gateway: str | None = None) -> None:
        """A frame whose copy has to come."""
        data = self.send()
        got = self.lab.under.wire.wait(len(self.arrived) + 1, match=l3.is_copy)[len(self.arrived):]
        assert len(got) == 1, f"{len(got)} packets; {self.state()}"
        self.arrived.append({"packet": got[0], "inner": data, "source": source, "gateway": gateway})
        self.check()

    def is_lost(self, reason: str) -> None:
        """One frame, of which no copy leaves, counted under the reason."""
        self.send()
        self.lost[reason] = self.lost.get(reason, 0) + 1
        self.check()

    def check(self) -> None:
        account = self.lab.account("w")
        assert account["matched"] == self.sent
        assert account["lost_by"] == self.lost
        assert account["delivered"] == len(self.arrived)

    def finish(self) -> None:
        numbers = []
        for packet, arrived in zip(l3.tshark([one["packet"] for one in self.arrived]), self.arrived):
            l3.assert_frame(packet.inner, arrived["inner"], "the copy")
            assert arrived["source"] in (None, packet["ip.src"] or packet["ipv6.src"])
            assert arrived["gateway"] in (None, packet["eth.dst"])
            numbers.append(packet.number("gre.sequence_number"))
        assert numbers[0] == 0 and numbers == sorted(numbers)
        assert len(l3.gaps(numbers)) == sum(self.lost.values()), f"involuntary losses are gaps: {numbers}, lost {self.lost}"
        assert len(self.lab.under.wire.settle(match=l3.is_copy)) == len(self.arrived)


@pytest.mark.parametrize("version", [4, 6])
def test_the_way_changes_and_fails_and_comes_back(net4and6: Lab, version: int) -> None:
    lab = net4and6
    prefix = "10.82.0.0/16" if version == 4 else "fd82::/32"
    gateway, nobody, other = (f"{l3.GATEWAY[version][:-1]}{last}" for last in ("2", "77", "3"))
    second = f"{l3.NEAR[version][:-1]}9"
    walk = Walk(lab, version)
    walk.wait("active")
    walk.arrives(source=l3.NEAR[version], gateway=lab.under.mac)
    production = len(lab.t2.wire.frames)

    switch_ip(lab, "route", "del", prefix, version=version)
    walk.wait("waiting", f"no route to {walk.ip}")
    walk.is_lost("no_route")
    walk.is_lost("no_route")
    switch_ip(lab, "route", "add", prefix, "via", gateway, version=version)
    walk.wait("active")
    walk.arrives()

    switch_ip(lab, "route", "add", "unreachable", f"{walk.ip}/{32 if version == 4 else 128}", version=version)
    walk.wait("waiting", "no route")
    walk.is_lost("no_route")
    switch_ip(lab, "route", "del", "unreachable", f"{walk.ip}/{32 if version == 4 else 128}", version=version)
    walk.wait("active")
    walk.arrives()

    switch_ip(lab, "route", "replace", prefix, "via", nobody, "dev", "under", version=version)
    walk.wait("waiting", f"{nobody} does not answer on under")
    walk.is_lost("no_neighbour")

    # Another gateway, which is another hardware address.
    switch_ip(lab, "neigh", "replace", other, "lladdr", "02:00:00:00:07:07", "dev", "under", "nud", "permanent", version=version)
    switch_ip(lab, "route", "replace", prefix, "via", other, "dev", "under", version=version)
    walk.wait("active")
    walk.arrives(gateway="02:00:00:00:07:07")
    switch_ip(lab, "route", "replace", prefix, "via", gateway, "dev", "under", version=version)
    walk.wait("active")
    walk.arrives(gateway=lab.under.mac)

    # Another source address.
    l3.set_address(lab.net.switch, "under", second, 24 if version == 4 else 64)
    switch_ip(lab, "route", "replace", prefix, "via", gateway, "dev", "under", "src", second, version=version)
    wait_until(lambda: l3.endpoint_state(lab, "w")["source"] == second, "the endpoint is told of the address")
    walk.arrives(source=second)

    # The cable, then the device.
    lab.under.ip("link", "set", "eth0", "down")
    walk.wait("waiting", "device under on the path to")
    walk.is_lost("link_down")
    lab.under.ip("link", "set", "eth0", "up")
    if version == 6:
        l3.set_address(lab.under.namespace, "eth0", gateway, 64)  # IPv6 addresses go with the link
    walk.wait("active")
    walk.arrives()
    switch_ip(lab, "link", "set", "under", "down")
    walk.wait("waiting")
    reason = walk.state()[1]
    walk.is_lost("no_route" if "no route" in reason else "link_down")
    switch_ip(lab, "link", "set", "under", "up")
    if version == 6:
        l3.set_address(lab.net.switch, "under", l3.NEAR[6], 64)
        switch_ip(lab, "route", "replace", prefix, "via", gateway, version=6)
    else:
        switch_ip(lab, "route", "replace", prefix, "via", gateway)
    walk.wait("active")
    walk.arrives()
    walk.finish()
    assert len(lab.t2.wire.settle()) == walk.sent >= production, "production has not noticed"
    assert lab.ctl("mirror-stats", "br0", "w").stdout.count("no_route") == 1


def test_a_gateway_that_dies_is_noticed_and_costs_no_more_than_the_account_says(net4and6: Lab) -> None:
    lab = net4and6
    for setting in ("base_reachable_time_ms=300", "delay_first_probe_time=1", "retrans_time_ms=150", "ucast_solicit=1", "mcast_solicit=1"):
        lab.net.switch_run("sysctl", "-qw", f"net.ipv4.neigh.under.{setting}")
    lab.mirror("w", "--source", "t1", "--endpoint", l3.far(4, 1), "--encap", "erspan2")
    lab.wait_state("w", "active")

    sent = 0

    def send(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            lab.t1.wire.send(SMALL)
            time.sleep(0.02)
        sent += count

    def account() -> dict[str, Any]:
        lab.t2.wire.expect(sent)  # then all have been through the switch
        return lab.account("w")

    def send_until(state: str) -> None:
        deadline = time.monotonic() + 20
        while lab.state("w") != state:
            assert time.monotonic() < deadline, f"never {state}"
            send(1)
        send(1)

    send_until("active")
    lab.under.ip("link", "set", "eth0", "arp", "off")  # deaf, not dead: what still comes is seen
    send_until("waiting")
    assert "10.81.0.2 does not answer on under" in lab.rpc("mirror.get", bridge="br0", name="w")["reason"]
    send(5)
    assert account()["lost_by"]["no_neighbour"] >= 5
    lab.under.ip("link", "set", "eth0", "arp", "on")
    send_until("active")
    counters = account()
    numbers = [packet.number("gre.sequence_number") for packet in l3.tshark(lab.under.wire.settle(match=l3.is_copy))]
    assert set(counters["lost_by"]) == {"no_neighbour"} and counters["matched"] == sent
    assert len(numbers) == counters["delivered"]
    assert len(l3.gaps([*numbers, sent])) == counters["lost"]


def test_a_source_address_that_comes_later(net4and6: Lab) -> None:
    lab = net4and6
    wanted = "10.81.0.44"
    lab.mirror("m", "--source", "t1", "--endpoint", l3.far(4, 1), "--local-ip", wanted)
    lab.wait_state("m", "waiting")
    assert f"from {wanted}" in lab.rpc("mirror.get", bridge="br0", name="m")["reason"]
    l3.set_address(lab.net.switch, "under", wanted, 24)
    lab.wait_state("m", "active")
    lab.t1.wire.send(SMALL)
    assert [packet["ip.src"] for packet in l3.tshark(lab.under.wire.settle(1, match=l3.is_copy))] == [wanted]
    switch_ip(lab, "addr", "del", f"{wanted}/24", "dev", "under")
    lab.wait_state("m", "waiting")
    lab.t1.wire.send(SMALL)
    lab.t2.wire.expect(2)
    assert lab.account("m")["lost_by"] == {"no_route": 1}


# Loops


@pytest.fixture(params=[4, 6])
def looped(lab: Lab, request: pytest.FixtureRequest) -> Lab:
    """The host's address is on the bridge, and the way to the endpoints leads through a port that is watched."""
    version = lab.version = request.param
    lab.uplink, lab.t1 = lab.host("uplink"), lab.host("t1")
    for namespace, device, side in ((lab.net.switch, "br0", l3.NEAR), (lab.uplink.namespace, "eth0", l3.GATEWAY)):
        l3.enable_ipv6(namespace, device)
        run("ip", "-n", namespace, "link", "set", device, "up")
        l3.set_address(namespace, device, side[version], 24 if version == 4 else 64)
    prefix = "10.82.0.0/16" if version == 4 else "fd82::/32"
    switch_ip(lab, "route", "add", prefix, "via", l3.GATEWAY[version], version=version)
    lab.uplink.ip("route", "add", "blackhole", prefix)  # no answers
    return lab


def copies_of(lab: Lab, encap: str, policy: str, data: bytes, *marks: Any) -> tuple[Any, ...]:
    """Packets that the frame made and that have one of the marks in them, and how many the session knew to be its own."""
    lab.mirror("loop", "--source", "all", "--endpoint", l3.far(lab.version, 1), "--encap", encap, "--mtu-policy", policy)
    lab.wait_state("loop", "active")
    lab.t1.wire.send(data)
    copies = lab.uplink.wire.settle(2 if policy == "fragment" else 1,
                                    match=lambda copy: l3.is_copy(copy) and any(mark in copy for mark in marks))
    own = lab.rpc("mirror.stats", bridge="br0", name="loop")["mirrors"][0]["counters"]["lost_by"].get("own_copy", 0)
    lab.ctl("del-mirror", "br0", "loop")  # ends a storm as well
    lab.uplink.wire.clear()
    return copies, own


def layers(copies: Any) -> list[Any]:
    return [":".join(packet.layers[2:]) for packet in l3.tshark(copies[:4])]


def test_copies_that_pass_the_ports_they_are_made_at_are_not_copied_again(looped: Lab) -> None:
    kinds = [("gre", "cut"), ("erspan3", "cut"), ("vxlan", "cut"), ("gre", "fragment"), ("vxlan", "fragment")]
    found = []
    for number, (encap, policy) in enumerate(kinds):
        start, end = bytes([0x61 + number]) * 30, bytes([0x41 + number]) * 30  # one in each of two fragments
        copies, own = copies_of(looped, encap, policy, frame(mac(1), mac(99), start + bytes(1440) + end), start, end)
        expected = 2 if policy == "fragment" else 1
        if len(copies) != expected or own < expected:
            found.append(f"{encap}, {policy}: one frame made {len(copies)} packets instead of {expected}: {layers(copies)}; own_copy {own}")
    assert not found, "\n".join(found)


def test_copies_through_a_tunnel_port_are_not_copied_again(looped: Lab) -> None:
    """The session of a stock client: everything, into a port that is a tunnel."""
    lab = looped
    lab.ctl("add-port", "br0", "gre0", "--type", "gre", "--option", f"remote_ip={l3.far(lab.version, 1)}")
    wait_until(lambda: lab.daemon.ovs("ovs-vsctl", "get", "interface", "gre0", "status:state").stdout == "up\n", "the tunnel is up")
    lab.daemon.ovs("ovs-vsctl", "--", "--id=@o", "get", "port", "gre0", "--", "--id=@m", "create", "mirror", "name=loop", "select_all=true",
                   "output_port=@o", "--", "set", "bridge", "br0", "mirrors=@m")
    lab.wait_state("loop", "active")
    lab.uplink.wire.clear()
    lab.t1.wire.send(frame(mac(1), mac(99), b"through a port" * 9))
    copies = lab.uplink.wire.settle(1, match=lambda copy: l3.is_copy(copy) and b"through a port" in copy)
    account = lab.rpc("mirror.stats", bridge="br0", name="loop")["mirrors"][0]["counters"]
    lab.ctl("del-mirror", "br0", "loop")
    assert len(copies) == 1, f"one frame made {len(copies)} packets: {layers(copies)}; {account}"
    assert account["lost_by"].get("own_copy", 0) >= 1


def test_copies_over_a_patch_through_a_tunnel_port_are_not_copied_again(looped: Lab) -> None:
    """br-tun has a tunnel whose packets leave by br0, where everything is copied over the patch into br-tun."""
    lab = looped
    lab.ctl("add-br", "br-tun", "--flood-vlans", "0")  # what it learned would keep some of them from the tunnel
    lab.ctl("add-port", "br-tun", "gre0", "--type", "gre", "--option", f"remote_ip={l3.far(lab.version, 1)}")
    wait_until(lambda: lab.daemon.ovs("ovs-vsctl", "get", "interface", "gre0", "status:state").stdout == "up\n", "the tunnel is up")
    lab.daemon.ovs("ovs-vsctl", "add-port", "br0", "to-tun", "--", "set", "interface", "to-tun", "type=patch", "options:peer=to-br0",
                   "--", "add-port", "br-tun", "to-br0", "--", "set", "interface", "to-br0", "type=patch", "options:peer=to-tun")
    lab.mirror("loop", "--source", "all", "--output", "to-tun")
    lab.wait_state("loop", "active")
    lab.uplink.wire.clear()
    lab.t1.wire.send(frame(mac(1), mac(99), b"over a patch" * 9))
    copies = lab.uplink.wire.settle(1, match=lambda copy: l3.is_copy(copy) and b"over a patch" in copy)
    account = lab.rpc("mirror.stats", bridge="br0", name="loop")["mirrors"][0]["counters"]
    lab.ctl("del-mirror", "br0", "loop")
    assert len(copies) == 1, f"one frame made {len(copies)} packets: {layers(copies)}; {account}"
    assert account["lost_by"].get("own_copy", 0) >= 1


def test_answers_that_quote_copies_are_not_copied(looped: Lab) -> None:
    """A host that does not want them says so in ICMP, which has the copy's beginning in it: copied, it would be answered again."""
    version, uplink = looped.version, looped.uplink
    uplink.ip("route", "del", "blackhole", "10.82.0.0/16" if version == 4 else "fd82::/32")
    l3.set_address(uplink.namespace, "eth0", l3.far(version, 1), 32 if version == 4 else 128)
    uplink.sysctl("net.ipv4.icmp_ratelimit=0" if version == 4 else "net.ipv6.icmp.ratelimit=0")
    for encap in ("gre", "vxlan"):
        copies, _ = copies_of(looped, encap, "cut", frame(mac(1), mac(99), b"unwanted" * 9), b"unwanted")
        assert len(copies) == 1, f"{encap}: one frame made {len(copies)} packets: {layers(copies)}"


@pytest.mark.parametrize("version", [4, 6])
def test_a_host_s_own_tunnel_to_an_endpoint_s_address_is_copied(net4and6: Lab, version: int) -> None:
    """It is not a copy of ours: it comes from another address."""
    lab, remote = net4and6, l3.far(version, 1)
    for encap in ("gre", "vxlan"):
        lab.mirror(encap, "--source", "t1:from", "--endpoint", remote, "--encap", encap)
        lab.wait_state(encap, "active")
    if version == 4:
        def ip(protocol: int, payload: bytes) -> bytes:
            return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, socket.inet_aton("10.95.0.7"),
                               socket.inet_aton(remote)) + payload
    else:
        def ip(protocol: int, payload: bytes) -> bytes:
            return struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, 64, socket.inet_pton(socket.AF_INET6, "fd95::7"),
                               socket.inet_pton(socket.AF_INET6, remote)) + payload
    ether_type = 0x0800 if version == 4 else 0x86DD
    sent = [frame(mac(1), mac(99), ip(47, bytes.fromhex("00006558") + SMALL), ether_type=ether_type),
            frame(mac(1), mac(99), ip(17, struct.pack("!HHHHQ", 50000, 4789, 16 + len(SMALL), 0, 8 << 56) + SMALL), ether_type=ether_type)]
    lab.t1.wire.send(*sent)
    inners = sorted(packet.inner for packet in l3.tshark(lab.under.wire.settle(4, match=l3.is_copy)) if packet.inner)
    assert {name: lab.account(name)["lost_by"] for name in ("gre", "vxlan")} == {"gre": {}, "vxlan": {}}
    assert inners == sorted(2 * sent)


# Several destinations


def endpoint_rows(lab: Lab) -> dict[Any, Any]:
    rows = lab.daemon.rpc("transact", ["Open_vSwitch", {"op": "select", "table": "Mirror_Endpoint", "where": []}], version=1)[0]["rows"]
    return {row["remote_ip"]: row for row in rows}


def test_several_endpoints_and_a_port_get_a_copy_each(net4and6: Lab) -> None:
    lab = net4and6
    probe = lab.host("probe")
    lab.rpc("mirror.add", bridge="br0", name="m", sources={"ports": [{"name": "t1", "direction": "from"}]},
            destination={"ports": ["probe"], "endpoints": [{"ip": l3.far(4, 1), "encap": "erspan2", "session_id": 5},
                                                           {"ip": l3.far(6, 2), "encap": "vxlan", "key": 6},
                                                           {"ip": l3.far(4, 1), "encap": "gre", "key": 7}]})
    lab.wait_state("m", "active")
    lab.t1.wire.send(SMALL)
    packets = l3.tshark(lab.under.wire.settle(3, match=l3.is_copy))
    assert sorted((packet["erspan.spanid"] or packet["vxlan.vni"] or packet["gre.key"]) for packet in packets) == ["0x00000007", "5", "6"]
    assert [packet.inner for packet in packets] == [SMALL] * 3 == [*probe.wire.settle(1)] * 3
    account = lab.account("m")
    assert (account["tx_packets"], account["matched"], account["delivered"]) == (1, 4, 4)

    # One way fails: the session goes on with the others, and says so.
    switch_ip(lab, "route", "del", "fd82::/32", version=6)
    lab.wait_state("m", "degraded")
    assert "no route to fd82::2" in lab.rpc("mirror.get", bridge="br0", name="m")["reason"]
    lab.t1.wire.send(SMALL)
    probe.wire.expect(2)
    lab.under.wire.settle(5, match=l3.is_copy)
    account = lab.account("m")
    assert (account["matched"], account["delivered"], account["lost_by"]) == (8, 7, {"no_route": 1})
    destinations = lab.rpc("mirror.stats", bridge="br0", name="m")["mirrors"][0]["destinations"]
    counters = [destination["counters"] for destination in destinations]
    assert sorted((one["matched"], one["delivered"], one["lost"]) for one in counters) == [(2, 1, 1), (2, 2, 0), (2, 2, 0), (2, 2, 0)]
    assert [one["lost_by"] for one in counters if one["lost"]] == [{"no_route": 1}]
    names = [destination["name"] for destination in destinations]
    assert "probe" in names and len(set(names)) == 4, names
    shown = lab.ctl("show-mirror", "br0", "m").stdout
    assert all(name in shown for name in names) and "no_route" in shown


def test_endpoints_that_stay_go_on_counting(net4and6: Lab) -> None:
    lab = net4and6
    one, two, three = (l3.far(4, n) for n in (1, 2, 3))
    lab.mirror("m", "--source", "t1", "--endpoint", one, "--endpoint", two, "--encap", "erspan2")
    lab.wait_state("m", "active")
    rows = endpoint_rows(lab)
    for n in range(3):
        lab.t1.wire.send(SMALL)
        lab.t2.wire.expect(n + 1)
    wait_until(lambda: lab.account("m")["delivered"] == 6, "the copies are sent")
    lab.ctl("set-mirror", "br0", "m", "--endpoint", one, "--endpoint", three, "--encap", "erspan2")
    lab.wait_state("m", "active")
    assert endpoint_rows(lab)[one]["_uuid"] == rows[one]["_uuid"] and two not in endpoint_rows(lab)
    lab.t1.wire.send(SMALL)
    numbers: dict[Any, Any] = {}
    for packet in l3.tshark(lab.under.wire.settle(8, match=l3.is_copy)):
        numbers.setdefault(packet["ip.dst"], []).append(packet.number("gre.sequence_number"))
    assert numbers == {one: [0, 1, 2, 3], two: [0, 1, 2], three: [0]}
    account = lab.account("m")
    assert account["delivered"] in (8, 5), "what is left of the session's destinations, or all it ever had"
    assert account["tx_packets"] == 4


# Refusals, restarts, explanations

BAD = [({"ip": "224.0.0.5"}, "224.0.0.5 is not a unicast address"),
       ({"ip": "ff02::1"}, "ff02::1 is not a unicast address"),
       ({"ip": "255.255.255.255"}, "255.255.255.255 is not a unicast address"),
       ({"ip": "0.0.0.0"}, "0.0.0.0 is not a host address"),
       ({"ip": "300.1.1.1"}, "not an IPv4 or IPv6 address"),
       ({"ip": "10.1"}, "not an IPv4 or IPv6 address"),
       ({"ip": "fe80::1"}, "link-local and needs a device"),
       ({"ip": "fe80::1%nodevice"}, "fe80::1%nodevice"),
       ({"ip": "::ffff:10.82.0.1"}, "IPv4"),
       ({"ip": "10.82.0.1", "local_ip": "fd81::1"}, "both IPv4 or both IPv6"),
       ({"ip": "10.82.0.1", "local_ip": "224.0.0.5"}, "local_ip"),
       ({"ip": "10.82.0.1", "encap": "erspan2", "key": 5}, "key is for gre, vxlan and geneve"),
       ({"ip": "10.82.0.1", "encap": "vxlan", "key": 1 << 24}, "16777215"),
       ({"ip": "10.82.0.1", "encap": "erspan2", "session_id": 1024}, "1023"),
       ({"ip": "10.82.0.1", "encap": "erspan2", "cos": 8}, "7"),
       ({"ip": "10.82.0.1", "encap": "erspan3", "hwid": 64}, "63"),
       ({"ip": "10.82.0.1", "encap": "erspan2", "index": 1 << 20}, "1048575"),
       ({"ip": "10.82.0.1", "ttl": 0}, "255"),
       ({"ip": "10.82.0.1", "dscp": 64}, "63"),
       ({"ip": "10.82.0.1", "encap": "gre", "session_id": 5}, "session_id"),
       ({"ip": "10.82.0.1", "encap": "erspan1", "session_id": 5}, "session_id"),
       ({"ip": "10.82.0.1", "encap": "vxlan", "cos": 5}, "cos"),
       ({"ip": "10.82.0.1", "encap": "gre", "dst_port": 99}, "dst_port"),
       ({"ip": "10.82.0.1", "encap": "erspan2", "timestamp": "100ns"}, "timestamp"),
       ({"ip": "10.82.0.1", "encap": "erspan2", "hwid": 3}, "hwid")]


def test_bad_endpoints_are_refused_and_change_nothing(net4and6: Lab) -> None:
    lab = net4and6
    lab.mirror("m", "--source", "t1:from", "--endpoint", l3.far(4, 9), "--encap", "erspan2", "--session-id", "77")
    lab.wait_state("m", "active")

    def everything() -> tuple[Any, ...]:
        mirrors = lab.rpc("mirror.list")["mirrors"]
        return json.dumps(mirrors, sort_keys=True), endpoint_rows(lab).keys()

    before = everything()
    taken = []
    for endpoint, words in BAD:
        destination = {"endpoints": [{"ip": l3.far(4, 10)}, endpoint]}
        ways: list[tuple[str, dict[str, Any]]] = [("mirror.add", {"name": "bad", "sources": {"ports": ["t1"]}}),
                                                  ("mirror.set", {"name": "m"})]
        for method, more in ways:
            try:
                lab.rpc(method, bridge="br0", destination=destination, **more)
                taken.append(f"{method} {endpoint} is taken")
            except RpcError as error:
                if words not in error.error["message"]:
                    taken.append(f"{method} {endpoint}: '{words}' is not in '{error.error['message']}'")
                if everything() != before:
                    taken.append(f"{method} {endpoint} changed something")
                continue
            with contextlib.suppress(RpcError):
                lab.rpc("mirror.del", bridge="br0", name="bad")
            lab.rpc("mirror.set", bridge="br0", name="m",
                    destination={"endpoints": [{"ip": l3.far(4, 9), "encap": "erspan2", "session_id": 77}]})
            lab.wait_state("m", "active")
            before = everything()
    lab.t1.wire.send(SMALL)
    packets = l3.tshark(lab.under.wire.settle(1, match=l3.is_copy))
    assert [(packet["ip.dst"], packet["erspan.spanid"], packet.inner) for packet in packets] == [(l3.far(4, 9), "77", SMALL)]
    assert not taken, "\n".join(taken)


def test_the_tool_names_its_own_options(net4and6: Lab) -> None:
    for option, value in (("--session-id", "1024"), ("--ttl", "0"), ("--key", "-1"), ("--index", "x"), ("--encap", "gue")):
        done = net4and6.ctl("add-mirror", "br0", "m", "--source", "t1", "--endpoint", "10.82.0.1", option, value, check=False)
        assert done.returncode == 2 and option in done.stderr and "destination.endpoints" not in done.stderr, done.stderr
    assert net4and6.rpc("mirror.list")["mirrors"] == []


def test_a_bad_row_of_a_stock_client_is_an_error_with_a_reason_and_the_session_goes_on(net4and6: Lab) -> None:
    """Mirror_Endpoint rows by OVSDB: nothing in between could refuse them."""
    lab = net4and6
    lab.mirror("m", "--source", "t1:from", "--endpoint", l3.far(4, 9), "--encap", "gre", "--key", "77")
    lab.wait_state("m", "active")
    where = [["remote_ip", "==", l3.far(4, 9)]]
    lab.daemon.rpc("transact", ["Open_vSwitch", {"op": "update", "table": "Mirror_Endpoint", "where": where,
                                                 "row": {"remote_ip": "nonsense"}}], version=1)
    wait_until(lambda: lab.state("m") in ("error", "waiting", "degraded"), "the session tells of it")
    assert 'remote_ip "nonsense" is not an IPv4 or IPv6 address' in lab.rpc("mirror.get", bridge="br0", name="m")["reason"]


def test_a_restart_keeps_everything(net4and6: Lab) -> None:
    lab = net4and6
    lab.mirror("m", "--source", "t1:from", "--endpoint", l3.far(4, 1), "--endpoint", l3.far(6, 2), "--encap", "erspan3",
               "--session-id", "55", "--hwid", "7", "--timestamp", "100ns", "--subheader", "--ttl", "33", "--dscp", "10", "--mtu-policy",
               "drop",
               "--gso-packets", "segment", "--snaplen", "40")
    lab.ctl("add-port", "br0", "gre0", "--type", "gre", "--option", f"remote_ip={l3.far(4, 3)}", "--option", "key=9")
    lab.wait_state("m", "active")

    def settings() -> tuple[Any, ...]:
        mirror = lab.rpc("mirror.get", bridge="br0", name="m")
        return {key: value for key, value in mirror.items() if key not in ("counters", "since")}, lab.port("gre0")["type"]

    before = settings()
    lab.daemon.restart()
    lab.wait_state("m", "active")
    assert settings() == before
    lab.t1.wire.send(SMALL)
    packets = l3.tshark(lab.under.wire.settle(2, match=lambda data: l3.is_copy(data) and b"\x22\xeb" in data[34:60]))
    assert sorted((packet["ip.dst"] or packet["ipv6.dst"], packet["erspan.spanid"], packet.inner) for packet in packets) == [
        (l3.far(4, 1), "55", SMALL[:40]), (l3.far(6, 2), "55", SMALL[:40])]


def test_explain_shows_the_copy_and_where_it_is_lost(net4and6: Lab) -> None:
    lab = net4and6
    lab.mirror("m", "--source", "t1:from", "--endpoint", l3.far(4, 1), "--encap", "erspan2")
    lab.wait_state("m", "active")
    explained = lab.rpc("mirror.explain", bridge="br0", in_port="t1", frame=SMALL.hex())
    copies = [(copy["session"], copy["port"], copy["frame"]) for copy in explained["copies"]]
    assert copies == [("m", f"{l3.far(4, 1)} (erspan2)", SMALL.hex())]
    switch_ip(lab, "route", "del", "10.82.0.0/16")
    lab.wait_state("m", "waiting")
    explained = lab.rpc("mirror.explain", bridge="br0", in_port="t1", frame=SMALL.hex())
    assert explained["copies"] == []
    assert any("no route to the endpoint" in line for line in explained["trace"]), explained["trace"]
    assert lab.account("m")["matched"] == 0, "explaining counts nothing"
    assert "m" in lab.ctl("who", "t1").stdout


def test_explain_says_what_becomes_of_too_long_copies(net4and6: Lab) -> None:
    """Before each frame is sent: what explain says is what comes, to the octet."""
    lab = net4and6
    chance = random.Random(SEED)
    headers = {"erspan1": 4, "erspan2": 16, "gre": 4, "vxlan": 16}
    sessions = {}
    for number, (version, encap, policy) in enumerate(itertools.product((4, 6), headers, ("cut", "drop", "fragment")), 1):
        ip = l3.far(version, number)
        snaplen = chance.choice((None, None, 1000, 1450, 1480))
        lab.rpc("mirror.add", bridge="br0", name=f"s{number}", sources={"ports": ["t1"]}, mtu_policy=policy, snaplen=snaplen,
                destination={"endpoints": [{"ip": ip, "encap": encap}]})
        sessions[f"s{number}"] = (ip, policy, 1500 - IP_HEADER[version] - headers[encap], snaplen or 65535)
    wait_until(lambda: {m["state"] for m in lab.rpc("mirror.list")["mirrors"]} == {"active"}, "all are active")
    rooms = {room for _, _, room, _ in sessions.values()}
    lengths = [60, 1514, *(room + more for room in rooms for more in (0, 1))]
    frames = [big(length) for length in lengths] + [frame(mac(1), BROADCAST, bytes(length), vlan=7) for length in (100, 1460, 1500)]
    said: dict[str, list[str]] = {name: [] for name in sessions}
    fragments = lost = cut = 0
    for number, data in enumerate(frames, 1):
        explained = lab.rpc("mirror.explain", bridge="br0", in_port="t1", frame=data.hex())
        for copy in explained["copies"]:
            said[copy["session"]].append(copy["frame"])
        for name, (_, policy, room, snaplen) in sessions.items():
            length = min(len(data), snaplen)
            lines = [line for line in explained["trace"] if f"copy of {name} " in line]
            if length <= room:
                assert lines == [], (name, len(data))
                continue
            line, = lines
            assert f"{length} bytes" in line and f"{room} bytes" in line, line
            cut += "is truncated from" in line
            lost += "is lost on the path" in line
            fragments += "is sent in fragments" in line
        lab.t1.wire.send(data)
        lab.t2.wire.expect(number)
    for name in sessions:
        lab.account(name)
    packets: dict[Any, Any] = {}
    for packet in l3.tshark(lab.under.wire.settle(2, match=l3.is_copy)):
        packets.setdefault(packet["ip.dst"] or packet["ipv6.dst"], []).append(packet)
    accounts = {name: lab.account(name) for name in sessions}
    assert cut == sum(account["truncated"] for account in accounts.values()) > 0
    assert lost == sum(account["lost_by"].get("too_big", 0) for account in accounts.values()) > 0
    first = [packet for of_ip in packets.values() for packet in of_ip
             if (packet["ip.flags.mf"] == "1" and packet["ip.frag_offset"] == "0")
             or (packet["ipv6.fraghdr.more"] == "1" and packet.number("ipv6.fraghdr.offset") == 0)]
    assert fragments == len(first) > 0
    for name, (ip, policy, _, _) in sessions.items():
        assert accounts[name]["delivered"] == len(said[name])
        if policy != "fragment":
            assert [packet.inner.hex() for packet in packets[ip]] == said[name], (name, policy)


def test_explain_says_what_becomes_of_frames_too_long_for_a_tunnel_port(net4and6: Lab) -> None:
    lab = net4and6
    for number, (name, option) in enumerate((("whole", "df_default=true"), ("pieces", "df_default=false")), 1):
        lab.ctl("add-port", "br0", name, "--type", "gre", "--option", f"remote_ip={l3.far(4, number)}", "--option", option)
        lab.wait_port(name, "active")
    room = 1500 - 20 - 4
    for length in (room, room + 1):
        explained = lab.rpc("mirror.explain", bridge="br0", in_port="t1", frame=big(length).hex())
        before = lab.drops("too_big")
        lab.t1.wire.send(big(length))
        lab.t2.wire.expect(1, match=lambda data: data == big(length))
        lab.under.wire.wait(2, match=l3.is_copy)  # one from each port, or two fragments from one
        lab.under.wire.clear()
        drops = lab.drops("too_big") - before
        ports = [output["port"] for output in explained["outputs"]]
        assert drops == int(length > room) == int("whole" not in ports), (length, explained)
        assert "pieces" in ports
        lines = "\n".join(explained["trace"])
        assert ("the frame is lost at whole" in lines) == (length > room) == ("to pieces is sent in fragments" in lines), lines
