# SPDX-License-Identifier: Apache-2.0
"""What stands behind an IP network: a way there from the switch's namespace, and tshark to say what came."""
from __future__ import annotations

import struct
import tempfile
import xml.etree.ElementTree
from typing import Any

from net import Net, run
from switch import Lab

# The network beside the switch, and the far one, which lies behind a router (or a probe that plays one).
NEAR = {4: "10.81.0.1", 6: "fd81::1"}
GATEWAY = {4: "10.81.0.2", 6: "fd81::2"}
FAR = {4: "10.82", 6: "fd82:"}  # 10.82.0.0/16 and fd82::/32


def far(version: int, number: int) -> Any:
    """An address in the far network; number from 1 to 65534."""
    return f"10.82.{number >> 8}.{number & 255}" if version == 4 else f"fd82::{number:x}"


def enable_ipv6(namespace: str, device: str) -> None:
    """Net disables it so that nobody chatters; the addresses that tests give take its place."""
    for setting in ("accept_dad=0", "router_solicitations=0", "disable_ipv6=0"):
        run("ip", "netns", "exec", namespace, "sysctl", "-qw", f"net.ipv6.conf.{device}.{setting}")


def set_address(namespace: str, device: str, address: str, length: int) -> None:
    options = ["nodad"] if ":" in address else []
    run("ip", "-n", namespace, "addr", "add", f"{address}/{length}", "dev", device, *options)


def join(near: str, near_device: str, far_namespace: str, far_device: str, mtu: int = 1500) -> None:
    """A veth between two namespaces, both ends up, IPv6 without chatter."""
    run("ip", "-n", near, "link", "add", near_device, "mtu", mtu, "type", "veth", "peer", "name", far_device, "mtu", mtu,
        "netns", far_namespace)
    for namespace, device in ((near, near_device), (far_namespace, far_device)):
        enable_ipv6(namespace, device)
        run("ip", "-n", namespace, "link", "set", "dev", device, "up")


def underlay(net: Net, mtu: int = 1500, name: str = "under") -> Any:
    """A probe beside the switch, which is the gateway to the far network and takes all that is sent there."""
    probe = net.host(name, mtu=mtu)
    for namespace, device, side in ((net.switch, name, NEAR), (probe.namespace, "eth0", GATEWAY)):
        enable_ipv6(namespace, device)
        set_address(namespace, device, side[4], 24)
        set_address(namespace, device, side[6], 64)
    run("ip", "-n", net.switch, "route", "add", f"{FAR[4]}.0.0/16", "via", GATEWAY[4])
    run("ip", "-n", net.switch, "-6", "route", "add", f"{FAR[6]}:/32", "via", GATEWAY[6])
    return probe


def is_copy(data: bytes) -> bool:
    """GRE or VXLAN, whole or in fragments, over IPv4 or IPv6: what a probe beside the switch gets besides ARP and the like."""
    if data[12:14] == b"\x08\x00":
        return data[23] in (47, 17)
    return data[12:14] == b"\x86\xdd" and data[20] in (47, 17, 44)


class Packet:
    """What tshark says of one packet: the fields by name, in order; the values as it shows them."""

    def __init__(self, data: bytes, element: Any) -> None:
        self.data = data
        self.fields: dict[Any, Any] = {}
        self.layers = []
        ethernet = []
        for proto in element.iter("proto"):
            self.layers.append(proto.get("name"))
            if proto.get("name") == "eth":
                ethernet.append(int(proto.get("pos")))
        for field in element.iter("field"):
            self.fields.setdefault(field.get("name"), []).append(field.get("show"))
        self.inner_at = ethernet[1] if len(ethernet) > 1 else None

    def __getitem__(self, name: str) -> Any:
        """The first of the name, which is the outer one; None if there is none."""
        return self.fields.get(name, [None])[0]

    def number(self, name: str) -> Any:
        value = self[name]
        return int(value, 0) if value else None

    @property
    def inner(self) -> Any:
        """The frame inside, to the packet's end, wherever tshark found it to begin."""
        return None if self.inner_at is None else self.data[self.inner_at:]

    @property
    def expert(self) -> Any:
        return self.fields.get("_ws.expert.message", [])


def tshark(frames: Any, *options: str) -> list[Any]:
    """Frames as decoded by tshark, an independent reading of every bit: a Packet each."""
    # Timestamps are of no use here: each packet gets its number in seconds.
    with tempfile.NamedTemporaryFile(suffix=".pcap") as capture:
        capture.write(struct.pack("=IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number, data in enumerate(frames):
            capture.write(struct.pack("=IIII", number, 0, len(data), len(data)) + data)
        capture.flush()
        text = run("tshark", "-n", "-r", capture.name, "-T", "pdml", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
                   "-o", "tcp.check_checksum:TRUE", *options, timeout=120).stdout
    elements = list(xml.etree.ElementTree.fromstring(text).iter("packet"))
    assert len(elements) == len(frames), "tshark has read all packets"
    return [Packet(data, element) for data, element in zip(frames, elements)]


def decoded(data: bytes) -> Any:
    """One frame as text for people, to compare."""
    packet = tshark([data])[0]
    return f"{len(data)} bytes {data.hex()}\n" + "\n".join(
        f"  {name} = {', '.join(map(str, values))}" for name, values in packet.fields.items()
        if name.split(".")[0] in ("eth", "vlan", "ip", "ipv6", "data", "tcp", "udp"))


def assert_frame(got: Any, expected: Any, what: str) -> None:
    """Whole frames compared; a difference is shown decoded."""
    assert got == expected, f"{what}\nexpected {decoded(expected)}\ngot {decoded(got) if got else got}"


def gaps(numbers: Any) -> list[Any]:
    """Sequence numbers that are missing between the first and the last of a list without repetitions."""
    assert len(set(numbers)) == len(numbers), f"a sequence number came twice: {numbers}"
    return sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers))


def endpoint_state(lab: Lab, mirror: str, number: int = 0, bridge: str = "br0") -> Any:
    return lab.rpc("mirror.get", bridge=bridge, name=mirror)["destination"]["endpoints"][number]
