# SPDX-License-Identifier: Apache-2.0
"""Every field of every encapsulation, in all combinations, as tshark reads it: an independent decoder.

All sessions see the same frames at once; each sends to an address of its own, by which its packets are told apart.
"""
from __future__ import annotations

import itertools
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import l3
import pytest
from lab import wait_until
from net import BROADCAST, frame, mac
from switch import Lab

SNAPLEN = 50
GRANULARITY = {"100us": (0, 100_000), "100ns": (1, 100), "ieee1588": (2, 1)}
SECOND_NS = 1_000_000_000

# What differs between sessions. Everything else is numbered, so that no two have the same values.
KINDS: list[dict[str, Any]] = [
    {"encap": "gre"},
    {"encap": "gre", "key": 0},
    {"encap": "gre", "key": 0xDEADBEEF},
    {"encap": "erspan1"},
    {"encap": "erspan2"},
    *({"encap": "erspan3", "timestamp": timestamp, "subheader": subheader}
      for timestamp in GRANULARITY for subheader in (False, True)),
    {"encap": "erspan3"},
    {"encap": "vxlan"},
    {"encap": "vxlan", "key": 0xABCDEF, "dst_port": 4790},
    {"encap": "geneve"},
    {"encap": "geneve", "key": 0xABCDEF, "dst_port": 6082}]
UDP = ("vxlan", "geneve")


class Session:
    """One of the matrix: its settings, and what its packets have to look like."""

    def __init__(self, number: int, kind: dict[str, Any], version: int, snaplen: int | None, direction: str) -> None:
        self.name = f"s{number:03}"
        self.version = version
        self.snaplen = snaplen
        self.direction = direction
        self.endpoint: dict[str, Any] = {"ip": l3.far(version, number), **kind}
        self.encap = kind["encap"]
        if number % 3:
            self.endpoint.update(ttl=10 + number,  # tshark warns of a few only
                                 dscp=number % 64)
        if number % 5 == 0:
            self.endpoint["dont_fragment"] = False
        if self.encap in ("erspan2", "erspan3"):
            self.endpoint.update(session_id=1023 - number, index=0x12340 + number)
            if number % 2:
                self.endpoint["cos"] = number % 8
        if self.encap == "erspan3":
            self.endpoint["hwid"] = 63 - number % 64

    def settings(self) -> dict[Any, Any]:
        return {"bridge": "br0", "name": self.name, "sources": {"ports": [{"name": "t1", "direction": self.direction}]},
                "destination": {"endpoints": [self.endpoint]}, "snaplen": self.snaplen}

    def outer(self) -> dict[str, Any]:
        """Fields of the headers in front."""
        ttl, dscp = self.endpoint.get("ttl", 64), self.endpoint.get("dscp", 0)
        if self.version == 4:
            fields = {"eth.type": 0x0800, "ip.src": l3.NEAR[4], "ip.dst": self.endpoint["ip"], "ip.ttl": ttl, "ip.dsfield.dscp": dscp,
                      "ip.dsfield.ecn": 0, "ip.flags.df": int(self.endpoint.get("dont_fragment", True)), "ip.flags.mf": 0,
                      "ip.frag_offset": 0, "ip.checksum.status": 1, "ip.hdr_len": 20, "ip.proto": 17 if self.encap in UDP else 47}
        else:
            fields = {"eth.type": 0x86DD, "ipv6.src": l3.NEAR[6], "ipv6.dst": self.endpoint["ip"], "ipv6.hlim": ttl,
                      "ipv6.tclass.dscp": dscp, "ipv6.tclass.ecn": 0, "ipv6.nxt": 17 if self.encap in UDP else 47}
        if self.encap in UDP:
            # Zero is "none" with IPv4, and forbidden with IPv6 (RFC 8200, section 8.1), where it has to be right.
            vni = self.endpoint.get("key", 0)
            own = ({"vxlan.flags": 0x0800, "vxlan.vni": vni, "vxlan.reserved8": 0, "vxlan.gbp": 0} if self.encap == "vxlan" else
                   {"geneve.version": 0, "geneve.flags": 0, "geneve.proto_type": 0x6558, "geneve.vni": vni, "geneve.reserved": 0,
                    "geneve.options": None})
            return fields | own | {"udp.dstport": self.endpoint.get("dst_port", 4789 if self.encap == "vxlan" else 6081),
                                   "udp.checksum.status": 3 if self.version == 4 else 1, "gre.proto": None}
        key = self.endpoint.get("key") if self.encap == "gre" else None
        sequence = self.encap in ("erspan2", "erspan3")
        protocol = {"gre": 0x6558, "erspan3": 0x22EB}.get(self.encap, 0x88BE)
        return fields | {"gre.proto": protocol, "gre.flags_and_version": 0x2000 * (key is not None) | 0x1000 * sequence, "gre.key": key}

    def inner(self, sent: Any, position: int) -> tuple[Any, ...]:
        """Fields that tell of the copied frame, which was the session's `position`th, and the bytes of it that are to come."""
        whole = len(sent.bytes)
        copy = sent.bytes[:self.snaplen]
        if self.encap not in ("erspan2", "erspan3"):
            return {"erspan.version": None, "gre.sequence_number": None}, copy
        fields = {"gre.sequence_number": position, "erspan.vlan": sent.vlan or 0, "erspan.cos": self.endpoint.get("cos", sent.pcp),
                  "erspan.truncated": int(len(copy) < whole), "erspan.spanid": self.endpoint["session_id"],
                  "erspan.version.unknown": None}
        if self.encap == "erspan2":
            return fields | {"erspan.version": 1, "erspan.encap": 0 if sent.vlan is None else 3, "erspan.reserved": 0,
                             "erspan.index": self.endpoint["index"], "erspan.timestamp": None}, copy
        longest = 1514 + 4 * (sent.vlan is not None)
        bso = 1 if whole < 60 else 2 if whole > longest else 0
        granularity = self.endpoint.get("timestamp", "100us")
        subheader = self.endpoint.get("subheader", False) or granularity == "ieee1588"
        fields |= {"erspan.version": 2, "erspan.bso": bso, "erspan.sgt": 0, "erspan.p": 1, "erspan.ft": 0,
                   "erspan.hw": self.endpoint["hwid"], "erspan.direction": int(self.direction == "to"),
                   "erspan.gra": GRANULARITY[granularity][0], "erspan.o": int(subheader)}
        if granularity == "ieee1588":
            fields |= {"erspan.platid": 5, "erspan.pid5.switchid": 0, "erspan.pid5.port_index": self.endpoint["index"] & 0xFFFF}
        elif subheader:
            fields |= {"erspan.platid": 3, "erspan.pid3.rsvd1": 0, "erspan.pid3.port_index": self.endpoint["index"] & 0x3FFF}
        else:
            fields |= {"erspan.platid": None}
        return fields, copy

    def stamp_ns(self, packet: l3.Packet, near_ns: Any) -> int:
        """The time a packet carries, since 1970; without a subheader the one nearest to near_ns that it can mean."""
        granularity = self.endpoint.get("timestamp", "100us")
        unit = GRANULARITY[granularity][1]
        low = packet.number("erspan.timestamp") or 0
        if granularity == "ieee1588":
            return (packet.number("erspan.pid5.timestamp") or 0) * SECOND_NS + low
        if self.endpoint.get("subheader"):
            return ((packet.number("erspan.pid3.timestamp") or 0) << 32 | low) * unit
        wrap = 2 ** 32
        return ((near_ns // unit - low + wrap // 2) // wrap * wrap + low) * unit


class Sent:
    def __init__(self, src: int, dst: int, payload: bytes, **tag: Any) -> None:
        self.bytes = frame(mac(src), mac(dst), payload, **tag)
        self.vlan = tag.get("vlan")
        self.pcp = tag.get("pcp", 0)


def frames_between(src: int, dst: int) -> list[Any]:
    """Of all shapes that a field tells of; payloads that differ everywhere, so that no shifted byte looks right."""
    def payload(length: int, seed: int) -> bytes:
        return bytes((seed * 37 + 11 * i + i // 256) & 255 for i in range(length))

    inside = bytes.fromhex("81008123 88b5".replace(" ", ""))  # PCP 4, VLAN 291, behind another tag
    return [Sent(src, dst, payload(46, src + 1)),
            Sent(src, dst, payload(20, src + 2)),                               # shorter than Ethernet has them
            Sent(src, dst, payload(1500, src + 3)),
            Sent(src, dst, payload(1600, src + 4)),                             # longer
            Sent(src, dst, payload(46, src + 5), vlan=100, pcp=5),
            Sent(src, dst, payload(1500, src + 6), vlan=4094, pcp=7),           # 1518 octets are no giant with a tag
            Sent(src, dst, inside[2:] + payload(60, src + 7), vlan=7, pcp=2, tpid=0x88A8, ether_type=0x8100)]


def check(session: Session, sent: Any, packets: list[l3.Packet], started_ns: Any, ended_ns: Any, explain: Any = l3.decoded) -> Any:
    """What is wrong with the packets of one session, frames explained by explain()."""
    wrong = []

    def expect(what: str, got: Any, expected: Any) -> None:
        if got != expected:
            wrong.append(f"{session.name} {session.settings()}\n  {what}: expected {expected}, got {got}")

    expect("packets", len(packets), len(sent))
    stamps = []
    for position, (one, packet) in enumerate(zip(sent, packets)):
        fields, copy = session.inner(one, position)
        for name, value in (session.outer() | fields).items():
            got = packet.number(name) if isinstance(value, int) else packet[name]
            expect(f"frame {position}, {name}", got, value)
        expect(f"frame {position}, what tshark thinks of it", packet.expert, [])
        if packet.inner != copy:
            expect(f"frame {position}, the copy", packet.inner and explain(packet.inner), explain(copy))
        overhead = packet.inner_at - 14 - (20 if session.version == 4 else 40) if packet.inner_at else 0
        length = packet.number("ip.len") if session.version == 4 else packet.number("ipv6.plen")
        expect(f"frame {position}, length", length, overhead + len(copy) + (20 if session.version == 4 else 0))
        if session.encap == "erspan3":
            stamps.append(session.stamp_ns(packet, started_ns))
        if session.encap in UDP:
            expect(f"frame {position}, length of UDP", packet.number("udp.length"), 16 + len(copy))
            if not 49152 <= (packet.number("udp.srcport") or 0) <= 65535:
                expect(f"frame {position}, source port", packet.number("udp.srcport"), "49152 to 65535 (RFC 7348, RFC 8926)")
    expect("order of time stamps", stamps, sorted(stamps))
    outside = [stamp for stamp in stamps if not started_ns - SECOND_NS // 10 <= stamp <= ended_ns + SECOND_NS // 10]
    expect(f"time stamps outside {started_ns} to {ended_ns}", outside, [])
    return wrong


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.under = l3.underlay(lab.net, mtu=2500)
        lab.t1 = lab.host("t1", mtu=2000)
        lab.t2 = lab.host("t2", mtu=2000)
        yield lab


def test_every_field_in_all_combinations(lab: Lab) -> None:
    combinations = itertools.product(KINDS, (4, 6), (None, SNAPLEN), ("from", "to"))
    sessions = [Session(number, *combination) for number, combination in enumerate(combinations, 1)]
    with lab.daemon.connect() as rpc:
        for session in sessions:
            rpc.call("mirror.add", session.settings())
        wait_until(lambda: {m["state"] for m in rpc.call("mirror.list", {"bridge": "br0"})["mirrors"]} == {"active"}, "all are active")
    forth, back = frames_between(1, 2), frames_between(2, 1)
    started = time.time_ns()
    for host, peer, sent in ((lab.t1, lab.t2, forth), (lab.t2, lab.t1, back)):
        for number, one in enumerate(sent, 1):
            host.wire.send(one.bytes)
            peer.wire.expect(number)
    expected = len(sessions) // 2 * (len(forth) + len(back))
    packets = l3.tshark(lab.under.wire.settle(expected, match=l3.is_copy), "-d", "udp.port==4790,vxlan", "-d", "udp.port==6082,geneve")
    ended = time.time_ns()
    by_address: dict[Any, Any] = {}
    for packet in packets:
        by_address.setdefault(packet["ip.dst"] or packet["ipv6.dst"], []).append(packet)
    wrong = []
    for session in sessions:
        sent = forth if session.direction == "from" else back
        wrong += check(session, sent, by_address.pop(session.endpoint["ip"], []), started, ended)
    assert not wrong, f"{len(wrong)} differences, the first:\n" + "\n".join(wrong[:8])
    assert not by_address, "packets to addresses nobody named"
    counters = {m["name"]: m["counters"] for m in lab.rpc("mirror.stats")["mirrors"]}
    for session in sessions:
        sent = forth if session.direction == "from" else back
        of_session = counters[session.name]
        assert (of_session["matched"], of_session["delivered"], of_session["lost"]) == (len(sent), len(sent), 0), session.name
        assert of_session["delivered_bytes"] == sum(len(one.bytes[:session.snaplen]) for one in sent), "frames, without encapsulation"


def test_every_bit_of_the_headers_is_looked_at(lab: Lab) -> None:
    """What this file calls right has no bit to spare: each that is turned over is noticed."""
    kinds: list[dict[str, Any]] = [
        {"encap": "gre", "key": 0x5A5A5A5A}, {"encap": "erspan2"}, {"encap": "erspan3", "timestamp": "ieee1588"},
        {"encap": "erspan3", "timestamp": "100ns", "subheader": True}, {"encap": "vxlan", "key": 0x5A5A5A},
        {"encap": "geneve", "key": 0x5A5A5A}]
    # Time stamps may differ by up to a second, a source port is anybody's choice, and IPv4 has other ways to fail.
    free = {"erspan2": (), "gre": (), "erspan3": (*range(12, 16), *range(24, 28)), "vxlan": (0, 1), "geneve": (0, 1)}
    sent = Sent(1, 2, bytes(range(60)), vlan=100, pcp=5)
    sessions = [Session(3 * number, kind, 4, None, "from") for number, kind in enumerate(kinds, 1)]
    for session in sessions:
        lab.rpc("mirror.add", **session.settings())
        lab.wait_state(session.name, "active")
    started = time.time_ns()
    lab.t1.wire.send(sent.bytes)
    packets = {packet["ip.dst"]: packet for packet in l3.tshark(lab.under.wire.settle(len(kinds), match=l3.is_copy))}
    ended = time.time_ns()
    turned = []
    for session in sessions:
        packet = packets[session.endpoint["ip"]]
        assert check(session, [sent], [packet], started, ended, bytes.hex) == []
        for at in range(34, len(packet.data)):
            if at - 34 in free[session.encap]:
                continue
            for bit in range(8) if at < packet.inner_at else (at % 8,):
                data = bytearray(packet.data)
                data[at] ^= 1 << bit
                turned.append((session, at, bit, bytes(data)))
    unnoticed = [(session.settings(), at - 34, bit) for (session, at, bit, _), packet in
                 zip(turned, l3.tshark([data for *_, data in turned])) if not check(session, [sent], [packet], started, ended, bytes.hex)]
    assert len(turned) > 1000 and not unnoticed, unnoticed


def test_the_vlan_of_access_ports_and_of_tags_taken_off(lab: Lab) -> None:
    """The copy of what an access port's host sends shows its VLAN, as on a trunk; with strip_vlan ERSPAN alone tells of it."""
    access = lab.host("a1", port_options=("--tag", "10"))
    for number, (name, strip) in enumerate({"kept": False, "taken": True}.items()):
        for encap in ("erspan2", "erspan3"):
            lab.rpc("mirror.add", bridge="br0", name=f"{name}-{encap}", sources={"ports": ["a1", "t1"]},
                    destination={"strip_vlan": strip, "endpoints": [{"ip": l3.far(4, 1), "encap": encap, "session_id": number}]})
            lab.wait_state(f"{name}-{encap}", "active")
    untagged = frame(mac(3), BROADCAST, b"from an access port" * 3)
    tagged = frame(mac(1), mac(9), b"of a VLAN nobody else is in", vlan=30, pcp=6)
    native = frame(mac(1), mac(9), b"without a VLAN" * 4)
    access.wire.send(untagged)
    lab.t2.wire.expect(1)
    lab.t1.wire.send(tagged, native)
    packets = l3.tshark(lab.under.wire.settle(12, match=l3.is_copy))
    seen: dict[Any, Any] = {}
    for packet in packets:
        strip, version = packet.number("erspan.spanid"), packet.number("erspan.version")
        seen.setdefault((strip, version), []).append(
            (packet.number("erspan.vlan"), packet.number("erspan.cos"), packet.number("erspan.encap"), packet.inner))
    in_10 = frame(mac(3), BROADCAST, b"from an access port" * 3, vlan=10)
    en = {1: (0, 2, 3), 2: (None, None, None)}
    for version, (no_tag, removed, kept) in en.items():
        assert seen[0, version] == [(10, 0, kept, in_10), (30, 6, kept, tagged), (0, 0, no_tag, native)]
        assert seen[1, version] == [(10, 0, removed, untagged), (30, 6, removed, frame(mac(1), mac(9), tagged[18:])),
                                    (0, 0, no_tag, native)]


def test_one_session_of_both_directions_labels_each_copy(lab: Lab) -> None:
    lab.mirror("both", "--source", "t1", "--endpoint", l3.far(4, 1), "--encap", "erspan3")
    lab.wait_state("both", "active")
    sent = []
    for number in range(10):
        src, dst = (lab.t1, lab.t2) if number % 3 else (lab.t2, lab.t1)
        sent.append((int(src is lab.t2), frame(mac(1 + (src is lab.t2)), mac(2 - (src is lab.t2)), bytes([number]) * 60)))
        dst.wire.clear()
        src.wire.send(sent[-1][1])
        dst.wire.expect(1)
    packets = l3.tshark(lab.under.wire.settle(10, match=l3.is_copy))
    assert [(packet.number("erspan.direction"), packet.inner) for packet in packets] == sent
    assert [packet.number("gre.sequence_number") for packet in packets] == list(range(10))


def test_a_flow_keeps_its_vxlan_source_port_and_flows_differ(lab: Lab) -> None:
    lab.mirror("x", "--source", "t1:from", "--endpoint", l3.far(4, 1), "--encap", "vxlan", "--key", "77")
    lab.wait_state("x", "active")

    def udp(port: Any, length: int) -> bytes:
        header = bytes.fromhex("45000000 00004000 40110000 0a000001 0a000002".replace(" ", ""))
        return frame(mac(1), mac(2), header + port.to_bytes(2, "big") + bytes.fromhex("14e90000 0000") + bytes(length), ether_type=0x0800)

    lab.t1.wire.send(*(udp(port, length) for port in range(1000, 1016) for length in (20, 30)))
    packets = l3.tshark(lab.under.wire.settle(32, match=l3.is_copy))
    ports = [packet.number("udp.srcport") for packet in packets]
    assert ports[::2] == ports[1::2], "both packets of a flow"
    assert len(set(ports)) > 12, "hardly two flows share a port"


def test_settings_are_shown_as_given_and_the_rest_by_name(lab: Lab) -> None:
    """What one asks for is what one reads back, in the API and in the tool."""
    given = {"ip": l3.far(6, 5), "encap": "erspan3", "session_id": 99, "index": 1234, "cos": 3, "hwid": 17, "timestamp": "100ns",
             "subheader": True, "ttl": 9, "dscp": 46, "local_ip": l3.NEAR[6]}
    options = itertools.chain.from_iterable(
        [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)]) for name, value in given.items() if name != "ip")
    lab.mirror("asked", "--source", "t1", "--endpoint", given["ip"], *options)
    read = lab.rpc("mirror.get", bridge="br0", name="asked")["destination"]["endpoints"][0]
    assert {name: read[name] for name in given} == given
    shown = lab.ctl("show-mirror", "br0", "asked").stdout
    for word in ("fd82::5", "erspan3", "session_id 99", "index 1234", "cos 3", "hwid 17", "timestamp 100ns", "subheader", "ttl 9",
                 "dscp 46"):
        assert word in shown, f"{word} in\n{shown}"
