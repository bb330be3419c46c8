# SPDX-License-Identifier: Apache-2.0
"""Random scenarios for the comparison with Open vSwitch: settings, mirrors and frames from a seed.

`LEFT_OUT` names what the two do differently on purpose (docs/ovs-differences.md) or what Open vSwitch leaves to chance
(mirror-semantics); a scenario stays clear of it at the place that says `avoid(name)`. VSWITCH_INCLUDE="name, name" (or "all") makes
scenarios with it again. `NEVER_MADE` is more of the same, in settings, moments and frames that no scenario has.
"""
from __future__ import annotations

import os
import random
import struct
from collections.abc import Sequence
from typing import Any

from differential import Send, Vsctl, vsctl
from net import BROADCAST, mac

LEFT_OUT = {
    "cut copies over a patch": "Open vSwitch does not send them at all",
    "copies of copies": "a mirror of all ports copies in Open vSwitch what other mirrors send to their outputs as well",
    "patch mirrors": "patch ports trigger no mirrors in Open vSwitch, and do in vswitchd",
    "protected output": "`protected` keeps copies from an output port in Open vSwitch, not in vswitchd",
    "customer tag at access output": "a copy to an access port loses the customer's tag of a dot1q-tunnel frame in Open vSwitch",
    "VLAN of a known address": "Open vSwitch sends to a known address without checking that the port carries the frame's VLANs",
    "cvlans": "checked against the second tag in both directions by vswitchd, on the way in alone by Open vSwitch (vlan-limit 1)",
    "order of a flood": "which of several ports of a flood triggers an egress mirror first is not defined, and the copy shows which it was",
    "native port without VLAN": "is VLAN 0, but Open vSwitch sends VLAN 0 there only if trunks lists it",
    "second tag over a patch": "when the outer tag goes on the way to a patch port and a second one is behind it, the peer bridge of Open "
                               "vSwitch (vlan-limit 1) takes what is left for malformed and drops it",
    "customer tag in an output VLAN": "a dot1q-tunnel's frame with a customer's tag is not copied into an output VLAN by Open vSwitch",
    "tunnel in a tunnel": "a tunnel's frame that enters a second tunnel over a patch loses its customer's tag in Open vSwitch, and is "
                          "refused by vswitchd",
    "empty customer tag": "a customer's tag with VID 0 and PCP 0 is lost in a dot1q-tunnel of Open vSwitch, kept by vswitchd",
}
NEVER_MADE = {
    "learning in an output VLAN": "goes on in Open vSwitch unless flood_vlans has it, and ends by itself in vswitchd",
    "tunnels": "packets to an IP address leave by the host's IP stack in vswitchd, by a bridge's local port in Open vSwitch; "
               "test_tunnel_ports.py compares what is in them, with Open vSwitch and Linux at the other end",
    "dei": "Open vSwitch clears the DEI bit of the outer tag",
    "vlan-limit": "vswitchd has no such setting",
    "order of mirrors": "vswitchd goes by their names, Open vSwitch by slot: names are given in the order of creation",
    "ports made together": "get their numbers in Open vSwitch in the order of a hash: ofport_request settles it",
    "mirrors made together": "get their slots in Open vSwitch by chance: one transaction each",
    "32 mirrors": "Open vSwitch ignores more of them silently",
    "removed ports": "Open vSwitch forgets all addresses when it loses a port that a mirror selects",
    "dead links": "addresses behind a dead link are forgotten by vswitchd",
    "patch loops": "two bridges joined twice flood for ever; each switch has a limit of its own",
    "statistics of a mirror that stopped": "begin again in Open vSwitch, go on in vswitchd",
}
INCLUDED = {name.strip() for name in os.environ.get("VSWITCH_INCLUDE", "").split(",") if name.strip()}

TAGS = (10, 20, 30)
OUTPUT_VLANS = (60, 70)
TUNNEL_TAGS = (40, 50)  # not those of access ports: see "VLAN of a known address"
TRUNKS = (0, 10, 20, 30, 40, 50, 4095)
PAYLOAD_BYTES = bytes(range(256)) * 6
RESERVED = [bytes.fromhex(text) for text in (
    "0180c2000000", "0180c2000001", "0180c200000e", "0180c200000f", "00e02b000000", "00e02b000004", "00e02b000006", "01000ccccccc",
    "01000ccccccd", "01000ccdcdcd", "01000c000000", "01000cccccc0", "01000cccccc7")]
NEARLY_RESERVED = [bytes.fromhex(text) for text in (
    "0180c2000010", "0180c2000021", "00e02b000001", "01000ccccccb", "01000cccccc8", "01000ccccccf", "01000ccdcdce", "01000c000001")]


def avoid(name: str) -> bool:
    assert name in LEFT_OUT, name
    return name not in INCLUDED and "all" not in INCLUDED


def tagged(src: Any, dst: Any, tags: Any = (), serial: int = 0, length: int = 60, ether_type: int | None = None,
           inner_dei: bool = False) -> Any:
    """A frame of `length` bytes (or as short as its headers allow). `tags`: (TPID, VID, PCP). The type tells frames apart."""
    header = dst + src
    for n, (tpid, vid, pcp) in enumerate(tags):
        header += struct.pack("!HH", tpid, pcp << 13 | (0x1000 if n and inner_dei else 0) | vid)
    header += struct.pack("!H", ether_type if ether_type is not None else 0xA000 + serial % 0x1000)
    least = 20 if tags else 14  # the kernel drops a tagged frame with less than two bytes behind its type
    return (header + struct.pack("!H", serial & 0xffff) + PAYLOAD_BYTES)[:max(length, len(header), least)]


def mirror(bridge: str, name: str, output: Any = None, src: Any = (), dst: Any = (), *settings: Any) -> Vsctl:
    """Adds a mirror to a bridge, in one transaction as ovs-vsctl's manual shows it."""
    ids = {port: f"@{port}" for port in sorted({*src, *dst, *([output] if output else [])})}
    words = [f"name={name}", *settings]
    for column, ports in (("select_src_port", src), ("select_dst_port", dst)):
        if ports:
            words.append(f"{column}={','.join(ids[port] for port in ports)}")
    if output:
        words.append(f"output_port={ids[output]}")
    return vsctl(*[f"--id={ids[port]} get port {port}" for port in ids],
                 f"--id=@m create mirror {' '.join(words)}", f"add bridge {bridge} mirrors @m")


class Generator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.modes: dict[Any, Any] = {}      # port: its VLAN mode, and "protected", "priority-tags"
        self.vids: dict[Any, Any] = {}       # port: VIDs that it is likely to accept
        self.ports = {"br0": ["br0"]}
        self.lossless: set[Any] = set()  # ports that send the headers of the bridge's VLAN as they are
        self.steps: list[Any] = []

    def chance(self, probability: Any) -> bool:
        return self.random.random() < probability

    def some(self, items: Any, most: int) -> list[Any]:
        return sorted(self.random.sample(list(items), self.random.randint(1, min(most, len(items)))))

    def scenario(self, frames: int = 20) -> list[Vsctl | Send]:
        self.joined = self.chance(0.35)
        self.with_tunnels = self.chance(0.35)
        self.settings()
        if self.chance(0.8):
            for bridge in self.ports:
                self.mirrors(bridge)
        self.look()
        if self.chance(0.4):
            self.send(range(frames // 2))
            self.change()
            self.send(range(frames // 2, frames))
        else:
            self.send(range(frames))
        return self.steps

    def change(self) -> None:
        """Other mirrors, other settings of some ports, a port that was away: what was learned must be kept or forgotten alike."""
        self.steps.append(vsctl(*[f"clear bridge {bridge} mirrors" for bridge in self.ports]))
        for bridge, ports in self.ports.items():
            commands = []
            for port in self.some(ports, 2):
                if self.chance(0.4):
                    commands += [f"clear port {port} tag trunks vlan_mode other_config", *self.vlan_settings(port)]
                if self.chance(0.3):
                    now = "protected" not in self.modes[port]
                    self.modes[port] = self.modes[port].replace(" protected", "") + (" protected" if now else "")
                    commands.append(f"set port {port} protected={'true' if now else 'false'}")
            if self.chance(0.2):
                commands.append(f"set bridge {bridge} flood_vlans={self.random.choice(TAGS)}")
            if commands:
                self.steps.append(vsctl(*commands))
            removable = [port for port in ports if port != bridge]
            if self.chance(0.2):
                port = self.random.choice(removable)
                self.steps += [vsctl(f"del-port {port}"), vsctl(f"add-port {bridge} {port}")]
                self.modes[port], self.vids[port] = "default", [0, *TAGS]
                self.lossless.add(port)
        if self.chance(0.7):
            for bridge in self.ports:
                self.mirrors(bridge)

    def settings(self) -> None:
        names = [f"p{n}" for n in range(1, 7)]
        self.random.shuffle(names)
        if self.joined:
            split = self.random.randint(2, 4)
            self.ports = {"br0": ["br0", *names[:-split]], "br1": ["br1", *names[-split:]]}
        else:
            self.ports["br0"] += names[:self.random.randint(4, 6)]
        commands = []
        for bridge, ports in self.ports.items():
            commands += [f"add-br {bridge}", f"set bridge {bridge} datapath_type=netdev"]
            for port in ports:
                if port != bridge:
                    commands += [f"add-port {bridge} {port}", f"set interface {port} ofport_request={self.random.randint(1, 9)}{port[1]}"]
            if self.chance(0.2):
                commands.append(f"set bridge {bridge} flood_vlans={','.join(map(str, self.some((0, *TAGS), 2)))}")
            if self.chance(0.3):
                commands.append(f"set bridge {bridge} other_config:forward-bpdu=true")
            if self.chance(0.05):
                commands.append(f"set bridge {bridge} fail_mode=secure")
        if self.joined:
            for here, there in (("br0", "br1"), ("br1", "br0")):
                patch = f"to-{there}"
                commands.append(f"add-port {here} {patch} -- set interface {patch} type=patch options:peer=to-{here} ofport_request=7")
        self.steps.append(vsctl(*[part for command in commands for part in command.split(" -- ")]))
        commands = []
        protecting = self.chance(0.3)
        for bridge, ports in self.ports.items():
            for port in ports + ([f"to-br{1 - int(bridge[2])}"] if self.joined else []):
                if port == bridge and self.chance(0.6):
                    mode = "trunk"
                    self.lossless.add(port)
                    self.modes[port], self.vids[port] = mode, [0, *TAGS]
                else:
                    commands += self.vlan_settings(port)
                if protecting and self.chance(0.5):
                    commands.append(f"set port {port} protected=true")
                    self.modes[port] += " protected"
        if commands:
            self.steps.append(vsctl(*commands))

    def vlan_settings(self, port: Any) -> list[Any]:
        modes = ["default", "trunk", "trunks", "access", "access", "plain access", "native-tagged", "native-untagged"]
        if self.with_tunnels and not (port.startswith("to-") and avoid("tunnel in a tunnel")):
            modes += ["dot1q-tunnel"] * 3
        mode = self.random.choice(modes)
        tag = self.random.choice(TAGS) if self.chance(0.92) else self.random.choice((0, 4095))
        settings = []
        trunks = self.some(TRUNKS, 4)
        vids: Sequence[int] = [0]
        if mode == "trunk":  # the tag means nothing
            settings += ["vlan_mode=trunk", f"tag={tag}"]
            vids = TRUNKS
        elif mode == "default":
            vids = [0, *TAGS]
        elif mode == "trunks":
            settings.append(f"trunks={','.join(map(str, trunks))}")
            vids = trunks
        elif mode == "plain access":  # trunks mean nothing
            settings += [f"tag={tag}", f"trunks={','.join(map(str, trunks))}"] if self.chance(0.3) else [f"tag={tag}"]
        elif mode == "access":
            settings += ["vlan_mode=access", f"tag={tag}"]
        elif mode.startswith("native"):
            settings.append(f"vlan_mode={mode}")
            native = 0
            if self.chance(0.9):
                settings.append(f"tag={tag}")
                native = tag
            vids = [0, native, *TAGS]
            if self.chance(0.5):
                if not native and avoid("native port without VLAN"):
                    trunks = sorted({*trunks, 0})
                settings.append(f"trunks={','.join(map(str, trunks))}")
                vids = [0, native, *trunks]
        elif mode == "dot1q-tunnel":
            settings += ["vlan_mode=dot1q-tunnel", f"tag={self.random.choice(TUNNEL_TAGS if avoid('VLAN of a known address') else TAGS)}"]
            if self.chance(0.3):
                settings.append("other_config:qinq-ethtype=802.1q")
            if not avoid("cvlans") and self.chance(0.5):
                settings.append("cvlans=0,10,20")
            vids = [0, *TAGS]
        (self.lossless.add if mode in ("default", "trunk", "trunks", "native-tagged") else self.lossless.discard)(port)
        if self.chance(0.15):
            settings.append(f"other_config:priority-tags={self.random.choice(('never', 'if-nonzero', 'always'))}")
            self.lossless.discard(port)
            mode += " priority-tags"
        if "protected" in self.modes.get(port, ""):
            mode += " protected"
        self.modes[port], self.vids[port] = mode, list(vids)
        return [f"set port {port} {setting}" for setting in settings]

    def mirrors(self, bridge: str) -> None:
        for _ in range(100):
            mirrors = self.some_mirrors(bridge)
            if self.order_is_defined(mirrors):
                break
        else:
            return
        if any("output_vlan" in setting for one in mirrors for setting in one["settings"]):  # see "learning in an output VLAN"
            self.steps.append(vsctl(f"set bridge {bridge} flood_vlans={','.join(map(str, OUTPUT_VLANS))}"))
        for n, one in enumerate(mirrors):
            self.steps.append(mirror(bridge, f"{bridge}m{n}", one["output"], one["src"], one["dst"], *one["settings"]))

    def some_mirrors(self, bridge: str) -> Any:
        ports = self.ports[bridge]

        def usable(port: Any) -> bool:
            return (not ("protected" in self.modes[port] and avoid("protected output"))
                    and not ("access" in self.modes[port] and self.with_tunnels and avoid("customer tag at access output")))

        patch = f"to-br{1 - int(bridge[2])}"
        possible = [port for port in ports if usable(port)]
        if not possible:
            return []
        outputs = self.some(possible, 2)
        mirrors = []
        # A mirror of all ports: see "copies of copies".
        everything = not (self.joined and avoid("patch mirrors")) and self.chance(0.3)
        for n in range(self.random.randint(1, 4)):
            one = {"src": [], "dst": [], "settings": [], "output": self.random.choice(outputs)}
            if everything and (n == 0 or not avoid("copies of copies")):
                one["settings"].append("select_all=true")
            if not one["settings"] or self.chance(0.2):
                if self.chance(0.7):
                    one["src"] = self.some(ports, 3)
                if self.chance(0.7):
                    one["dst"] = self.some(ports, 3 if self.chance(0.5) else 1)
            alone = not everything or (n == 0 and self.chance(0.3))
            if alone and self.chance(0.35):
                one["settings"].append(f"select_vlan={','.join(map(str, self.some((0, *TAGS, *TUNNEL_TAGS), 3)))}")
                if everything:
                    return [one]
            if self.chance(0.03):
                one["output"] = None
            elif self.joined and self.chance(0.04):
                one["output"] = self.random.choice(self.ports["br1" if bridge == "br0" else "br0"])
            # Addresses are forgotten when flood_vlans changes, so it is set before the first frame or not at all.
            into_a_vlan = (not any(isinstance(step, Send) for step in self.steps)
                           and not (self.with_tunnels and avoid("customer tag in an output VLAN"))
                           and not (any("protected" in mode for mode in self.modes.values()) and avoid("protected output")))
            if into_a_vlan and self.chance(0.15):
                one["output"] = None
                one["settings"].append(f"output_vlan={self.random.choice(OUTPUT_VLANS)}")
            elif self.joined and one["output"] in ports and self.chance(0.2) and usable(patch):
                one["output"] = patch
            over_patch = self.joined and one["output"] in (None, patch)
            if self.chance(0.15) and not (over_patch and avoid("cut copies over a patch")):
                one["settings"].append(f"snaplen={self.random.choice((14, 18, 20, 42, 60, 100, 65535))}")
            mirrors.append(one)
        return mirrors

    def order_is_defined(self, mirrors: Any) -> bool:
        """Whether it is the same whatever port of a flood comes first: see "order of a flood"."""
        if not avoid("order of a flood"):
            return True
        triggers = {port for one in mirrors for port in one["dst"]}
        if len(triggers) <= 1:
            return True
        outputs = [one["output"] for one in mirrors if one["dst"]]
        return triggers <= self.lossless and len(set(outputs)) == len(outputs)

    def look(self) -> None:
        """What the clients print."""
        ports = [port for ports in self.ports.values() for port in ports]
        self.steps.append(vsctl("list-br", *[f"list-ports {bridge}" for bridge in self.ports],
                                *[f"get interface {port} ofport error" for port in ports],
                                *[f"get port {port} vlan_mode tag trunks other_config" for port in ports]))

    def send(self, serials: Any) -> None:
        ports = [port for ports in self.ports.values() for port in ports]
        homes = {port: mac(n + 1) for n, port in enumerate(ports)}
        for serial in serials:
            port = self.random.choice(ports)
            self.steps.append(Send(port, self.frame(port, homes, serial)))

    def frame(self, port: Any, homes: Any, serial: Any) -> bytes:
        pick = self.random.random()
        if pick < 0.8:
            src = homes[port]
        elif pick < 0.95:
            src = self.random.choice(list(homes.values()))
        else:
            src = self.random.choice((bytes(6), bytes.fromhex("030000000001"), BROADCAST))
        pick = self.random.random()
        if pick < 0.5:
            dst = self.random.choice(list(homes.values()))
        elif pick < 0.62:
            dst = mac(self.random.randint(100, 102))
        elif pick < 0.8:
            dst = BROADCAST
        elif pick < 0.86:
            dst = bytes.fromhex("01005e000001")
        elif pick < 0.93:
            dst = self.random.choice(RESERVED)
        elif pick < 0.97:
            dst = self.random.choice(NEARLY_RESERVED)
        else:
            dst = src if self.chance(0.7) else bytes(6)
        pick = self.random.random()
        if pick < 0.5:
            length = self.random.randint(14, 64)
        elif pick < 0.95:
            length = self.random.randint(64, 300)
        else:
            length = self.random.choice((1510, 1513, 1514))
        tags = []
        vid = self.random.choice(self.vids[port]) if self.chance(0.85) else self.random.choice((0, *TRUNKS, 7))
        if vid or self.chance(0.25):
            tags.append((self.tpid(), vid, self.pcp() or int(vid == 0 and self.with_tunnels and avoid("empty customer tag"))))
        if tags and self.chance(0.25) and not (self.joined and avoid("second tag over a patch")):
            tags.append((self.tpid(), self.random.choice((0, *TRUNKS)), self.pcp()))
        ether_type = 0x9100 if self.chance(0.03) else None
        if not tags and length >= 60 and self.chance(0.05):
            ether_type = length - 14  # 802.3: a length
        data = tagged(src, dst, tags, serial, length, ether_type, inner_dei=self.chance(0.3))
        return data

    def tpid(self) -> int:
        return 0x88A8 if self.chance(0.2) else 0x8100

    def pcp(self) -> int:
        return self.random.randint(1, 7) if self.chance(0.4) else 0
