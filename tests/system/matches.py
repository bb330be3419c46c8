# SPDX-License-Identifier: Apache-2.0
"""Random flow matches and random frames over few values, so that they meet often."""
from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from random import Random
from typing import Any

MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02", "01:00:5e:00:00:05", "00:00:00:00:00:00")
IPV4 = ("10.0.0.1", "10.0.1.1", "10.1.2.3", "192.0.2.9", "0.0.0.0")
IPV6 = ("2001:db8::1", "2001:db8:0:1::1", "fe80::2", "ff02::1:ff00:1", "::")
PORTS = (0, 22, 80, 81, 443, 8080, 65535)
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "sctp": 132}
SHORTHANDS: dict[str, tuple[int | None, int | None]] = {
    "ip": (0x0800, None), "ip4": (0x0800, None), "ipv4": (0x0800, None),
    "arp": (0x0806, None), "rarp": (0x8035, None),
    "ipv6": (0x86DD, None), "ip6": (0x86DD, None), "icmp6": (0x86DD, 58), "tcp6": (0x86DD, 6), "udp6": (0x86DD, 17),
    "sctp6": (0x86DD, 132), "mpls": (0x8847, None), "mplsm": (0x8848, None), "eth": (None, None),
    **{name: (0x0800, number) for name, number in PROTOCOLS.items()}}
FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns")


def one_of(random: Random, *ways: Callable[[int], str]) -> Callable[[int], str]:
    return random.choice(ways)


def masked(random: Random, values: Any, masks: Any) -> str:
    value = str(random.choice(values))
    return f"{value}/{random.choice(masks)}" if random.random() < 0.4 else value


def mac(random: Random) -> str:
    return masked(random, MACS, ("01:00:00:00:00:00", "ff:ff:ff:00:00:00", "00:00:00:00:00:03", "ff:ff:ff:ff:ff:ff", "0:0:0:0:0:0"))


def ipv4(random: Random) -> str:
    return masked(random, IPV4, ("8", "16", "24", "31", "32", "0", "255.0.0.255", "0.255.0.0"))


def ipv6(random: Random) -> str:
    return masked(random, IPV6, ("10", "32", "48", "64", "128", "0", "ffff::ff", "::ffff"))


def port(random: Random) -> str:
    return masked(random, [one_of(random, str, hex)(number) for number in PORTS], ("0xfff0", "1", "0xffff", "0", "0x8000"))


def number(least: int, most: int, mask: bool = False) -> Callable[[Random], str]:
    def choose(random: Random) -> str:
        value = random.choice((least, least + 1, random.randint(least, most), most))
        text = one_of(random, str, hex)(value)
        return f"{text}/{hex(random.randint(0, most))}" if mask and random.random() < 0.4 else text
    return choose


def chosen(*values: Any) -> Callable[[Random], str]:
    return lambda random: str(random.choice(values))


def tcp_flags(random: Random) -> str:
    some = random.sample(FLAGS, random.randint(1, 3))
    return random.choice((lambda: "".join(random.choice("+-") + flag for flag in some), lambda: "|".join(some),
                          lambda: hex(random.randint(0, 0xFFF)), lambda: f"{random.randint(0, 63)}/{hex(random.randint(0, 63))}"))()


def vlan_vid(random: Random) -> str:
    return random.choice((lambda: "0", lambda: hex(0x1000 | random.choice((0, 5, 10))), lambda: "0x1000/0x1000",
                          lambda: f"0x1001/0x1{random.randint(0, 0xfff):03x}"))()


# What a field needs: an EtherType and a protocol, one of several; by the names ovs-fields(7) has for it.
ANY_IP: list[tuple[int, int | None]] = [(0x0800, None), (0x86DD, None)]
ARP: list[tuple[int, int | None]] = [(0x0806, None), (0x8035, None)]


def over_ip(protocol: int) -> list[Any]:
    return [(0x0800, protocol), (0x86DD, protocol)]


# What it needs, and how to choose a value.
FIELDS: dict[str, tuple[list[tuple[int, int | None]], Callable[[Random], str]]] = {
    "dl_src": ([], mac), "eth_dst": ([], mac),
    "dl_type": ([], chosen("0x0800", "0x0806", "0x86dd", "0x8100", "0x88b5", "0x05ff", "34525")),
    "dl_vlan": ([], chosen(0, 5, 10, "0xa", 4095, "0xffff")), "vlan_vid": ([], vlan_vid),
    "dl_vlan_pcp": ([], number(0, 7)), "vlan_pcp": ([], number(0, 7)),
    "vlan_tci": ([], chosen(0, "0x1005", "0x1000/0x1000", "0/0x1000", "0/0xe000", "0xb00a/0xffff", "0x100a/0x1fff", "0/0xfff")),
    "nw_src": (ANY_IP[:1] + ARP, ipv4), "ip_dst": (ANY_IP[:1] + ARP, ipv4),
    "ipv6_src": (ANY_IP[1:], ipv6), "ipv6_dst": (ANY_IP[1:], ipv6), "ipv6_label": (ANY_IP[1:], number(0, 0xFFFFF, mask=True)),
    "nw_proto": (ANY_IP + ARP, chosen(0, 1, 6, 17, 44, 58, 132)), "nw_tos": (ANY_IP, chosen(0, 184, 252)),
    "ip_dscp": (ANY_IP, number(0, 63)), "nw_ecn": (ANY_IP, number(0, 3)), "nw_ttl": (ANY_IP, chosen(0, 1, 64, 255)),
    "ip_frag": (ANY_IP, chosen("no", "yes", "first", "later", "not_later", "FIRST")),
    "tp_src": (sum((over_ip(n) for n in (6, 17, 132)), [(0x0800, 1), (0x86DD, 58)]), port),
    "tp_dst": (sum((over_ip(n) for n in (6, 17, 132)), [(0x0800, 1), (0x86DD, 58)]), port),
    "tcp_src": (over_ip(6), port), "tcp_dst": (over_ip(6), port), "tcp_flags": (over_ip(6), tcp_flags),
    "udp_src": (over_ip(17), port), "udp_dst": (over_ip(17), port),
    "sctp_src": (over_ip(132), port), "sctp_dst": (over_ip(132), port),
    "icmp_type": ([(0x0800, 1)], chosen(0, 3, 8)), "icmp_code": ([(0x0800, 1)], chosen(0, 1)),
    "icmpv6_type": ([(0x86DD, 58)], chosen(0, 1, 128, 135, 136)), "icmpv6_code": ([(0x86DD, 58)], chosen(0, 1)),
    "arp_op": (ARP, chosen(0, 1, 2, 255)), "arp_spa": (ARP, ipv4), "arp_tpa": (ARP, ipv4), "arp_sha": (ARP, mac), "arp_tha": (ARP, mac),
    "nd_target": ([(0x86DD, 58)], ipv6), "nd_sll": ([(0x86DD, 58)], mac), "nd_tll": ([(0x86DD, 58)], mac),
}
# Types of ICMPv6 that have the field.
NEIGHBOUR = {"nd_target": (135, 136), "nd_sll": (135,), "nd_tll": (136,)}
BAD_VALUES = ("65536", "-1", "x", "10.0.0", "10.0.0.1/33", "::/129", "02:00:00:00:00", "1/2/3", "maybe", "+syn+foo",
              "0x1000000000", "1.2.3.4/24/8")


def no_op(value: Any) -> bool:
    """A mask of no bits: the field may have any value, so it needs nothing."""
    return value.endswith(("/0", "/0x0", "/0:0:0:0:0:0")) or value == "*"


def meets_prerequisites(shorthand: str, fields: dict[str, str]) -> bool:
    """Whether each field has the company that ovs-fields(7) asks for."""
    dl_type, protocol = SHORTHANDS[shorthand]
    if "dl_type" in fields and dl_type is None:
        dl_type = int(fields["dl_type"], 0)
    if "nw_proto" in fields and protocol is None:
        protocol = int(fields["nw_proto"], 0)
    later = fields.get("ip_frag", "").lower() == "later"
    for name, value in fields.items():
        needs = FIELDS[name][0]
        if no_op(value) or not needs:
            continue
        if not any(dl_type == want_type and want_protocol in (None, protocol) for want_type, want_protocol in needs):
            return False
        if later and name.split("_")[0] in ("tp", "tcp", "udp", "sctp") and protocol in (6, 17, 132):
            return False
        if name in NEIGHBOUR and (int(fields.get("icmpv6_type", "0")) not in NEIGHBOUR[name]
                                  or int(fields.get("icmpv6_code", "0")) != 0):
            return False
    return True


def masks_icmp(shorthand: str, fields: dict[str, str]) -> bool:
    """Type or code of ICMP, by the names of ports, under a mask."""
    protocol = SHORTHANDS[shorthand][1] or int(fields.get("nw_proto", "0"), 0)
    return protocol in (1, 58) and any("/" in fields.get(name, "") for name in ("tp_src", "tp_dst"))


# Fields that stand in the same place: two of them in one match are at odds, or one says it all.
SAME_PLACE = [{"dl_vlan", "vlan_vid", "vlan_tci", "dl_vlan_pcp", "vlan_pcp"}, {"nw_proto", "arp_op"}, {"nw_src", "arp_spa"},
              {"ip_dst", "arp_tpa"}, {"tp_src", "tcp_src", "udp_src", "sctp_src", "icmp_type", "icmpv6_type"},
              {"tp_dst", "tcp_dst", "udp_dst", "sctp_dst", "icmp_code", "icmpv6_code"}, {"nw_tos", "ip_dscp"},
              {"arp_sha", "nd_sll"}, {"arp_tha", "nd_tll"}]


def place(name: str) -> Any:
    return next((at for at, names in enumerate(SAME_PLACE) if name in names), name)


def fits(shorthand: str, name: str) -> bool:
    """Whether the field may stand behind the shorthand without another word."""
    dl_type, protocol = SHORTHANDS[shorthand]
    if name == "dl_type":
        return dl_type is None
    if name == "nw_proto":
        return dl_type is not None and protocol is None
    needs = FIELDS[name][0]
    return not needs or any(dl_type == want_type and want_protocol in (None, protocol) for want_type, want_protocol in needs)


def random_match(random: Random, faulty: bool = False) -> tuple[Any, ...]:
    """A match as (text, shorthand, fields); `faulty` ones may lack prerequisites or have values that are none."""
    shorthand = random.choice(list(SHORTHANDS))
    fields: dict[str, str] = {}
    places: set[Any] = set()
    for name in random.sample(list(FIELDS), len(FIELDS)):
        if len(fields) >= random.choice((1, 2, 3, 4)):
            break
        if place(name) in places or not (fits(shorthand, name) or (faulty and random.random() < 0.1)):
            continue
        if name in ("dl_type", "nw_proto") and not fits(shorthand, name):
            continue  # says something else than the shorthand
        fields[name] = FIELDS[name][1](random)
        if faulty and random.random() < 0.1:
            fields[name] = random.choice(BAD_VALUES)
        places.add(place(name))
    for name in NEIGHBOUR:
        if name in fields and not faulty:
            fields["icmpv6_type"] = str(random.choice(NEIGHBOUR[name]))
            fields.pop("tp_src", None), fields.pop("icmpv6_code", None), fields.pop("tp_dst", None)
    items = [shorthand] * (shorthand != "eth" or not fields) + [f"{name}={value}" for name, value in fields.items()]
    random.shuffle(items)
    return ",".join(items), shorthand, fields


def mac_bytes(text: str) -> bytes:
    return bytes(int(part, 16) for part in text.split(":"))


def ipv4_bytes(random: Random) -> bytes:
    return bytes(int(part) for part in random.choice(IPV4).split("."))


def ipv6_bytes(random: Random) -> Any:

    return socket.inet_pton(socket.AF_INET6, random.choice(IPV6))


def transport(random: Random, protocol: int, type_of_icmp6: Any = None) -> Any:
    source, destination = (struct.pack("!H", random.choice(PORTS)) for _ in range(2))
    if protocol == 6:
        options = random.choice((0, 0, 4))
        offset = random.choice((5 + options // 4, 5 + options // 4, 4, 15))
        return source + destination + bytes(8) + struct.pack("!H", offset << 12 | random.choice((2, 18, 16, 0xFFF))) + bytes(6 + options)
    if protocol == 17:
        return source + destination + bytes(4) + b"payload"
    if protocol == 132:
        return source + destination + bytes(8)
    kind = random.choice((0, 1, 128, 135, 135, 136, 136)) if protocol == 58 else random.choice((0, 3, 8))
    data = bytes([kind, random.choice((0, 0, 1))]) + bytes(6)
    if protocol == 58:
        data += ipv6_bytes(random)
        for _ in range(random.choice((0, 1, 1, 2))):
            data += bytes([random.choice((1, 2, 14)), random.choice((1, 1, 1, 0, 2))]) + mac_bytes(random.choice(MACS))
    return data


def ipv4_packet(random: Random) -> Any:
    protocol = random.choice((1, 6, 6, 17, 132, 58, 2))
    options = random.choice((0, 0, 0, 4))
    data = transport(random, protocol)
    total = 20 + options + len(data) + random.choice((0, 0, 0, 0, 1, -4))
    return struct.pack("!BBHHHBBH", 0x45 + options // 4, random.choice((0, 184, 185, 255)), max(total, 0), 1,
                       random.choice((0, 0, 0, 0x4000, 0x2000, 0x2001, 1)), random.choice((0, 1, 64, 255)), protocol, 0) \
        + ipv4_bytes(random) + ipv4_bytes(random) + bytes(options) + data + bytes(random.choice((0, 0, 6)))


def ipv6_packet(random: Random) -> Any:
    protocol = random.choice((58, 58, 6, 6, 17, 132, 1, 59))
    data = transport(random, protocol)
    for _ in range(random.choice((0, 0, 0, 1, 2))):
        header = random.choice((0, 43, 44, 51, 60))
        length = random.choice((0, 0, 1, 9))
        if header == 44:
            data = struct.pack("!BBHI", protocol, 0, random.choice((0, 1, 6, 8, 9)), 1) + data
        elif header == 51:
            data = bytes([protocol, length]) + bytes((min(length, 1) + 2) * 4 - 2) + data
        else:
            data = bytes([protocol, length]) + bytes((min(length, 1) + 1) * 8 - 2) + data
        protocol = header
    first = 6 << 28 | random.choice((0, 184, 185)) << 20 | random.choice((0, 1, 0xFFFFF))
    length = len(data) + random.choice((0, 0, 0, 0, 1, -4))
    return struct.pack("!IHBB", first, max(length, 0), protocol, random.choice((0, 1, 64, 255))) \
        + ipv6_bytes(random) + ipv6_bytes(random) + data + bytes(random.choice((0, 0, 6)))


def arp_packet(random: Random) -> Any:
    kind = random.choice((bytes([0, 1, 8, 0, 6, 4]),) * 4 + (bytes([0, 6, 8, 0, 6, 4]),))
    return kind + struct.pack("!H", random.choice((0, 1, 2, 255, 257))) + mac_bytes(random.choice(MACS)) + ipv4_bytes(random) \
        + mac_bytes(random.choice(MACS)) + ipv4_bytes(random)


def random_frame(random: Random) -> Any:
    """A frame that is well formed most of the time, with up to two tags."""
    ether_type, packet = random.choice((
        lambda: (0x0800, ipv4_packet(random)), lambda: (0x0800, ipv4_packet(random)), lambda: (0x86DD, ipv6_packet(random)),
        lambda: (0x86DD, ipv6_packet(random)), lambda: (random.choice((0x0806, 0x8035)), arp_packet(random)),
        lambda: (random.choice((0x88B5, 0x8847, 0x8848, 30)), bytes(30)),
        lambda: (60, bytes([0xAA, 0xAA, 3, 0, 0, 0, 8, 0]) + ipv4_packet(random))))()
    tags = b"".join(struct.pack("!HH", random.choice((0x8100, 0x8100, 0x88A8)), random.choice((0, 5, 10, 0xA00A, 0xF00A, 0x1005)))
                    for _ in range(random.choice((0, 0, 1, 1, 2))))
    data = mac_bytes(random.choice(MACS)) + mac_bytes(random.choice(MACS[:2])) + tags + struct.pack("!H", ether_type) + packet
    if random.random() < 0.15:
        data = data[:random.randint(14, len(data))]
    return data
