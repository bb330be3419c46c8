# SPDX-License-Identifier: Apache-2.0
"""The same commands and frames to a real Open vSwitch and to vswitchd: whatever they do differently fails, unless it is on purpose.

    VSWITCH_SCENARIOS=400 VSWITCH_SEED=1000 ./dev test system release -k random     # 400 random scenarios, seeds 1000, 1001, ...
    VSWITCH_SCENARIOS=1 VSWITCH_SEED=1296 VSWITCH_SHRINK=1 ./dev test system release -k random    # the least of it that still differs

What is different on purpose is named, with the reason, in `scenarios.LEFT_OUT` and `NEVER_MADE`.
"""
from __future__ import annotations

import itertools
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

import scenarios
from differential import Difference, Pair, Send, Side, Vsctl, decode, shrink, vsctl
from net import BROADCAST, mac
from scenarios import NEARLY_RESERVED, RESERVED, Generator, mirror, tagged

SCENARIOS = int(os.environ.get("VSWITCH_SCENARIOS", 40))
FIRST_SEED = int(os.environ.get("VSWITCH_SEED", 1))
FRAMES = 20

pytestmark = pytest.mark.skipif(not shutil.which("ovs-vswitchd"), reason="needs the package openvswitch-switch")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("differential"))
    yield pair
    pair.end()


_serial = itertools.count(1)


def address(value: Any) -> Any:
    return mac(value) if isinstance(value, int) else bytes.fromhex(value) if isinstance(value, str) else value


def send(port: Any, src: Any, dst: Any, *tags: Any, **how: Any) -> Any:
    """Addresses are numbers (of `mac`), hexadecimal or bytes; a tag is a VID, (VID, PCP) or (VID, PCP, TPID)."""
    return Send(port, tagged(address(src), address(dst), [header(tag) for tag in tags], next(_serial), **how))


def header(tag: Any) -> tuple[Any, ...]:
    tag = tag if isinstance(tag, tuple) else (tag,)
    vid, pcp, tpid = tag + (0, 0x8100)[len(tag) - 1:]
    return tpid, vid, pcp


def bridge(name: str = "br0", **ports: Any) -> Any:
    """A bridge with ports; what follows a name are its Port's settings."""
    commands = [f"add-br {name}", f"set bridge {name} datapath_type=netdev"]
    for port, settings in ports.items():
        commands.append(f"add-port {name} {port}")
        commands += [f"set port {port} {setting}" for setting in settings.split()]
    return vsctl(*commands)


def patch(here: str = "br0", there: str = "br1") -> Any:
    commands = []
    for one, other in ((here, there), (there, here)):
        commands += [f"add-port {one} to-{other}", f"set interface to-{other} type=patch options:peer=to-{one}"]
    return vsctl(*commands)


def everybody(*ports: Any, tags: Any = ()) -> list[Any]:
    """A broadcast from each port: addresses are learned (mac(n) on the nth), and floods are seen."""
    return [send(port, n, BROADCAST, *tags) for n, port in enumerate(ports, 1)]


THREE = [bridge(p1="", p2="", p3="")]
FOUR = [bridge(p1="", p2="", p3="", p4="")]
KNOWN = everybody("p1", "p2", "p3")
ALL_MODES = bridge(p1="", p2="tag=10", p3="vlan_mode=native-tagged tag=10", p4="vlan_mode=native-untagged tag=10",
                   p5="trunks=0,10,20", p6="vlan_mode=access tag=20")


def frames_of_all_kinds(port: Any, n: int) -> list[Any]:
    kinds = [(), (0,), ((0, 5),), (10,), ((10, 3),), ((10, 3, 0x88A8),), (20,), (10, 20), ((10, 2, 0x88A8), (20, 6)), (0, 20),
             ((0, 4, 0x88A8), 10), (4095,)]
    return [send(port, n, BROADCAST, *tags) for tags in kinds]


RULES = {
    "an output port neither sends nor accepts other traffic": [
        *THREE, *KNOWN, mirror("br0", "m", "p3", ["p1"]), send("p3", 3, BROADCAST), send("p3", 3, 1), send("p1", 1, 3), send("p2", 2, 3),
        send("p2", 2, BROADCAST), send("p1", 1, 2), send("p2", 2, 1)],
    "from, to and both": [
        *FOUR, *KNOWN, mirror("br0", "m1", "p4", ["p1"]), send("p1", 1, 2), send("p2", 2, 1), send("p2", 2, 3),
        vsctl("clear bridge br0 mirrors"), mirror("br0", "m2", "p4", [], ["p1"]), send("p1", 1, 2), send("p2", 2, 1), send("p2", 2, 3),
        vsctl("clear bridge br0 mirrors"), mirror("br0", "m3", "p4", ["p1"], ["p1"]), send("p1", 1, 2), send("p2", 2, 1), send("p2", 2, 3)],
    "into a VLAN": [
        bridge(p1="tag=10", p2="", p3="tag=900", p4="trunks=20,900", p5="vlan_mode=native-untagged tag=900", p6="tag=20"),
        vsctl("set bridge br0 flood_vlans=900"), mirror("br0", "m", None, ["p1", "p2", "p3"], [], "output_vlan=900"),
        *frames_of_all_kinds("p1", 1), *frames_of_all_kinds("p2", 2), *frames_of_all_kinds("p3", 3), send("p2", 2, BROADCAST, 900),
        send("p2", 2, BROADCAST, (20, 3)), send("p1", 1, "0180c2000000"), vsctl("set bridge br0 other_config:forward-bpdu=true"),
        send("p1", 1, "0180c2000000")],
    "into a VLAN what a port gets": [
        bridge(p1="tag=10", p2="", p3="tag=900", p4="trunks=10,900"), vsctl("set bridge br0 flood_vlans=900"),
        mirror("br0", "m", None, [], ["p1"], "output_vlan=900"), send("p2", 2, BROADCAST, (10, 5)), send("p4", 4, BROADCAST, (10, 2)),
        send("p2", 2, BROADCAST)],
    "a port wins over a VLAN": [
        bridge(p1="", p2="", p3="tag=900", p4=""), mirror("br0", "m", "p4", ["p1"], [], "output_vlan=900"), send("p1", 1, BROADCAST),
        vsctl("clear mirror m output_port", "set bridge br0 flood_vlans=900"), send("p1", 1, BROADCAST)],
    "two mirrors into one VLAN, one into another, one to a port": [
        bridge(p1="tag=10", p2="", p3="tag=900", p4="tag=901", p5=""), vsctl("set bridge br0 flood_vlans=900,901"),
        mirror("br0", "m1", None, ["p1"], [], "output_vlan=900"), mirror("br0", "m2", None, ["p1"], [], "output_vlan=900"),
        mirror("br0", "m3", None, ["p1"], [], "output_vlan=901"), mirror("br0", "m4", "p5", ["p1"]), *frames_of_all_kinds("p1", 1)],
    "a reserved output carries no VLAN of another mirror": [
        bridge(p1="", p2="", p3="tag=900", p4=""), vsctl("set bridge br0 flood_vlans=900"),
        mirror("br0", "m1", None, ["p1"], [], "output_vlan=900"), mirror("br0", "m2", "p4", ["p2"]), send("p1", 1, BROADCAST),
        send("p2", 2, BROADCAST)],
    "a mirror that watches where a VLAN's copies leave": [
        bridge(p1="tag=10", p2="trunks=900", p3="", p4=""), vsctl("set bridge br0 flood_vlans=900"),
        mirror("br0", "m1", None, ["p1"], [], "output_vlan=900"), mirror("br0", "m2", "p4", [], ["p2"]), send("p1", 1, BROADCAST)],
    "cut copies": [
        *[step for snaplen in (14, 15, 17, 18, 40, 59, 60, 64, 65535) for step in (
            bridge(p1="", p2="", p3="tag=10"), mirror("br0", "m", "p3", ["p1"], [], f"snaplen={snaplen}"), send("p1", 1, BROADCAST),
            send("p1", 1, BROADCAST, (10, 3)), send("p1", 1, BROADCAST, 10, 20), vsctl("del-br br0"))],
        *[step for snaplen in (14, 18, 22, 40) for step in (
            bridge(p1="", p2="", p3=""), mirror("br0", "m", "p3", ["p1"], [], f"snaplen={snaplen}"), send("p1", 1, BROADCAST),
            send("p1", 1, BROADCAST, (10, 3)), send("p1", 1, BROADCAST, 10, 20), vsctl("del-br br0"))]],
    "cut copies in a VLAN": [
        bridge(p1="tag=10", p2="", p3="tag=900"), vsctl("set bridge br0 flood_vlans=900"),
        mirror("br0", "m", None, ["p1"], [], "output_vlan=900 snaplen=30"), send("p1", 1, BROADCAST)],
    "frames refused for their VLAN are not copied": [
        bridge(p1="tag=10", p2="", p3="trunks=20"), mirror("br0", "m", "p2", [], [], "select_all=true"), *frames_of_all_kinds("p1", 1),
        *frames_of_all_kinds("p3", 3)],
    "frames dropped after that are copied": [
        *THREE, mirror("br0", "m", "p3", ["p1"]), send("p1", 1, "0180c2000000"), send("p2", 2, 1), send("p1", 1, 1), send("p2", 2, 1),
        send("p1", 1, 2)],
    "forward-bpdu": [
        bridge(p1="", p2=""), vsctl("set bridge br0 other_config:forward-bpdu=true"),
        *[send("p1", 1, dst) for dst in RESERVED], send("p2", 2, 1)],
    "reserved addresses are not forwarded, and who sends them is not learned": [
        *THREE, *[send("p1", 10 + n, dst) for n, dst in enumerate(RESERVED + NEARLY_RESERVED)],
        *[send("p2", 2, 10 + n) for n in range(len(RESERVED + NEARLY_RESERVED))]],
    "an address known on a port that became an output is not flooded": [
        *THREE, *KNOWN, mirror("br0", "m", "p3", ["p1"]), send("p1", 1, 3), vsctl("clear bridge br0 mirrors"), send("p1", 1, 3)],
    "one copy of a frame, whatever the reasons": [
        *FOUR, *KNOWN, mirror("br0", "m", "p4", ["p1", "p2", "p3"], ["p1", "p2", "p3"]), send("p1", 1, BROADCAST), send("p1", 1, 2),
        send("p2", 2, 9)],
    "two mirrors to one output: one copy, and the first counts": [
        *FOUR, mirror("br0", "m1", "p4", ["p1"]), mirror("br0", "m2", "p4", ["p1", "p2"]), *KNOWN, send("p1", 1, 2)],
    "two mirrors to two outputs": [
        bridge(p1="", p2="", p3="", p4="", p5=""), mirror("br0", "m1", "p4", ["p1"]), mirror("br0", "m2", "p5", ["p1", "p2"], ["p1"]),
        *KNOWN, send("p1", 1, 2), send("p2", 2, 1)],
    "the output port's VLAN mode shapes the copy, and its VLANs do not matter": [
        bridge(p1="", p2="tag=30", p3="trunks=99", p4="vlan_mode=native-untagged tag=10", p5="vlan_mode=native-tagged tag=20"),
        *[step for n, output in enumerate(("p2", "p3", "p4", "p5")) for step in (
            vsctl("clear bridge br0 mirrors"), mirror("br0", f"m{n}", output, ["p1"]), *frames_of_all_kinds("p1", 1))]],
    "what a copy of a delivered frame looks like follows from how it left": [
        ALL_MODES, *[step for n, source in enumerate(("p2", "p3", "p4", "p6")) for step in (
            vsctl("clear bridge br0 mirrors"), mirror("br0", f"m{n}", "p5", [], [source]), *frames_of_all_kinds("p1", 1))]],
    "select_vlan goes by the VLAN on the bridge": [
        bridge(p1="", p2="tag=10", p3="tag=20", p4=""), mirror("br0", "m", "p4", [], [], "select_all=true", "select_vlan=0,10"),
        *frames_of_all_kinds("p1", 1), send("p2", 2, BROADCAST), send("p3", 3, BROADCAST), send("p2", 2, BROADCAST, (0, 5))],
    "select_vlan alone selects nothing": [
        *THREE, mirror("br0", "m", "p3", [], [], "select_vlan=0,10"), send("p1", 1, BROADCAST), send("p1", 1, BROADCAST, 10)],
    "a mirror of the mirror": [
        bridge(p1="", p2="", p3="", p4="", p5=""), mirror("br0", "m1", "p4", ["p1"]), mirror("br0", "m2", "p5", ["p4"], ["p4"]), *KNOWN,
        send("p4", 4, BROADCAST), send("p1", 1, 2), send("p2", 2, 1)],
    "mirrors of each other's output end": [
        bridge(p1="", p2="", p3="", p4=""), mirror("br0", "m1", "p3", ["p1"], ["p4"]), mirror("br0", "m2", "p4", [], ["p3"]),
        send("p1", 1, BROADCAST), send("p2", 2, BROADCAST), send("p2", 2, 1)],
    "a mirror of its own output": [
        *THREE, mirror("br0", "m", "p3", ["p1", "p3"], ["p3"]), *KNOWN, send("p1", 1, 2), send("p2", 2, 1)],
    "an output port on another bridge stays ordinary": [
        *THREE, bridge("br1", p4="", p5=""), mirror("br0", "m", "p4", ["p1"]), *KNOWN, *everybody("p4", "p5")],
    "sources on another bridge are not": [
        *THREE, bridge("br1", p4="", p5=""), mirror("br0", "m", "p3", ["p1", "p4"], ["p5"]), *KNOWN, *everybody("p4", "p5")],
    "a mirror that selects nothing reserves its output": [
        *THREE, mirror("br0", "m", "p3"), *KNOWN, send("p1", 1, 3)],
    "a mirror without output": [
        *THREE, mirror("br0", "m", None, ["p1"]), *KNOWN],
    "fail_mode secure copies and does not forward": [
        *THREE, vsctl("set-fail-mode br0 secure"), mirror("br0", "m", "p3", ["p1"]), *KNOWN, send("p1", 1, "0180c2000000"),
        send("p2", 2, 1),
        vsctl("del-fail-mode br0"), *KNOWN],
    "protected ports": [
        bridge(p1="protected=true", p2="protected=true", p3="", p4=""), mirror("br0", "m", "p4", [], ["p2"]), *KNOWN, send("p1", 1, 2),
        send("p3", 3, 2), send("p2", 2, 1), send("p2", 2, 3)],
    "protection ends at a patch": [
        bridge(p1="", p2=""), bridge("br1", p3="protected=true", p4=""), patch(),
        vsctl("set port to-br1 protected=true", "set port p1 protected=true"),
        *everybody("p1", "p2", "p3", "p4"), send("p2", 2, 3), send("p3", 3, 2)],
    "flood_vlans": [
        *THREE, vsctl("set bridge br0 flood_vlans=10"), *KNOWN, *everybody("p1", "p2", "p3", tags=[10]), send("p1", 1, 2),
        send("p1", 1, 2, 10),
        vsctl("clear bridge br0 flood_vlans"), send("p1", 1, 2), *everybody("p1", "p2", tags=[10]), send("p1", 1, 2, 10)],
    "learning": [
        *THREE, *KNOWN, send("p2", 1, BROADCAST), send("p3", 3, 1), send("p1", 1, 3), send("p3", 3, 1), send("p1", bytes(6), 3),
        send("p3", 3, bytes(6)), send("p1", "030000000009", 3), send("p3", 3, "030000000009"), send("p1", 1, 3, 10), send("p3", 3, 1, 10),
        send("p3", 3, 1, 20), send("p2", 3, 3), send("p1", 1, 3)],
    "a port's settings and its addresses": [
        *THREE, *KNOWN, vsctl("set port p1 protected=true"), send("p2", 2, 1), send("p2", 2, 3), *KNOWN, vsctl("set port p1 tag=10"),
        vsctl("clear port p1 tag"), send("p2", 2, 1), send("p2", 2, 3), *KNOWN, vsctl("set port p2 trunks=0,10"), send("p1", 1, 2),
        send("p1", 1, 3), *KNOWN, vsctl("set port p3 external_ids:a=b"), send("p1", 1, 3)],
    "the table is full": [
        *THREE, vsctl("set bridge br0 other_config:mac-table-size=10"), send("p2", 2, BROADCAST),
        *[send("p1", 20 + n, 2) for n in range(12)], *[send("p3", 3, 20 + n) for n in range(12)], send("p3", 3, 2)],
    "a patch": [
        *THREE, bridge("br1", p4="tag=10", p5=""), patch(), *KNOWN, *everybody("p4", "p5"), send("p1", 1, 5, 10), send("p5", 5, 1),
        send("p4", 4, 1), send("p1", 1, 2), *[send("p1", 1, BROADCAST, tag) for tag in (0, 10, (10, 3), (0, 3), (10, 3, 0x88A8))]],
    "a patch with VLAN settings at both ends": [
        bridge(p1="", p2="tag=10"), bridge("br1", p3="", p4="tag=20"), patch(),
        vsctl("set port to-br1 tag=10", "set port to-br0 vlan_mode=native-tagged tag=20"), *everybody("p1", "p2", "p3", "p4"),
        *[send(port, n, BROADCAST, tag) for n, port in ((1, "p1"), (3, "p3")) for tag in (0, 10, (10, 3), 20, (20, 5, 0x88A8), (0, 3))]],
    "mirrors on both sides of a patch": [
        *THREE, bridge("br1", p4="", p5="", p6=""), patch(), mirror("br0", "m1", "p3", ["p1"]), mirror("br1", "m2", "p6", [], ["p4"]),
        *KNOWN,
        *everybody("p4", "p5"), send("p1", 1, 4, 10), send("p1", 1, BROADCAST, (10, 3))],
    "a patch port as output": [
        *THREE, bridge("br1", p4="", p5=""), patch(), mirror("br0", "m", "to-br1", ["p1"]), *KNOWN, *everybody("p4", "p5"),
        send("p1", 1, 5),
        send("p1", 1, 9), send("p2", 2, 5), send("p1", 1, 4, 10), send("p5", 5, 1), send("p1", 1, "0180c2000000")],
    "a patch port as output, with VLAN settings at both ends": [
        bridge(p1="", p2="tag=10"), bridge("br1", p3="", p4="tag=20", p5="tag=10"), patch(),
        vsctl("set port to-br1 vlan_mode=native-untagged tag=10", "set port to-br0 trunks=0,20"),
        mirror("br0", "m", "to-br1", ["p1", "p2"]),
        *[send("p1", 1, BROADCAST, tag) for tag in (0, 10, (10, 3), 20, (20, 5, 0x88A8), (0, 3))], send("p2", 2, BROADCAST)],
    "mirrors of what comes over a patch as copies": [
        *THREE, bridge("br1", p4="", p5="", p6=""), patch(), mirror("br0", "m1", "to-br1", ["p1"], ["p1"]),
        mirror("br1", "m2", "p6", [], ["p4"]), *KNOWN, *everybody("p4", "p5"), send("p1", 1, 2), send("p2", 2, 1), send("p1", 1, 4, 10)],
    "two mirrors over one patch": [
        *THREE, bridge("br1", p4="", p5=""), patch(), mirror("br0", "m1", "to-br1", ["p1"]), mirror("br0", "m2", "to-br1", ["p1", "p2"]),
        *KNOWN, send("p1", 1, 2)],
    "into a VLAN over a patch": [
        bridge(p1="tag=10", p2="tag=10"), bridge("br1", p3="tag=900", p4="tag=20", p5="trunks=20,900"), patch(),
        vsctl("set bridge br0 flood_vlans=900", "set bridge br1 flood_vlans=900"),
        mirror("br0", "m", None, ["p1"], [], "output_vlan=900"), *everybody("p1", "p2", "p3", "p4"), send("p1", 1, 2),
        send("p1", 1, BROADCAST),
        send("p1", 1, 3), mirror("br1", "m2", "p5", [], ["p3"]), send("p1", 1, BROADCAST)],
    "copies teach behind a patch": [
        bridge(p1="tag=10", p2="tag=10"), bridge("br1", p3="tag=900", p4="tag=900"), patch(), vsctl("set bridge br0 flood_vlans=900"),
        mirror("br0", "m", None, ["p1"], [], "output_vlan=900"), send("p1", 1, BROADCAST), send("p3", 3, 1), send("p3", 3, BROADCAST),
        send("p1", 1, 3), send("p1", 3, BROADCAST), send("p4", 4, 3)],
    "a patch that nobody answers": [
        *THREE, vsctl("add-port br0 nowhere", "set interface nowhere type=patch options:peer=nothere"), *KNOWN,
        bridge("br1", p4="", p5=""), vsctl("add-port br1 nothere", "set interface nothere type=patch options:peer=elsewhere"), *KNOWN,
        *everybody("p4", "p5")],
    "all VLAN modes": [ALL_MODES, *frames_of_all_kinds("p1", 1), *frames_of_all_kinds("p5", 5), *frames_of_all_kinds("p2", 2),
                       *frames_of_all_kinds("p3", 3), *frames_of_all_kinds("p4", 4)],
    "priority tags": [
        bridge(p1="", p2="other_config:priority-tags=if-nonzero", p3="other_config:priority-tags=always",
               p4="tag=10 other_config:priority-tags=if-nonzero", p5="tag=10 other_config:priority-tags=always", p6="tag=10"),
        *frames_of_all_kinds("p1", 1), *frames_of_all_kinds("p6", 6)],
    "tunnel ports": [
        bridge(p1="", p2="vlan_mode=dot1q-tunnel tag=40", p3="vlan_mode=dot1q-tunnel tag=40 other_config:qinq-ethtype=802.1q",
               p4="vlan_mode=native-untagged tag=40", p5="trunks=40"),
        *[send(port, n, BROADCAST, *tags) for n, port in ((2, "p2"), (3, "p3"))
          for tags in ((), (10,), ((10, 3),), ((0, 3),), (10, 20), ((10, 3, 0x88A8),))],
        *[send("p1", 1, dst, *tags) for dst in (BROADCAST, 2, 3) for tags in ((40,), (40, 10), ((40, 1, 0x88A8), (10, 3)), (10,), ())]],
    "copies of tunnelled frames": [
        bridge(p1="", p2="vlan_mode=dot1q-tunnel tag=40", p3="vlan_mode=native-untagged tag=40", p4="", p5="trunks=99"),
        *[step for n, output in enumerate(("p3", "p4", "p5")) for step in (
            vsctl("clear bridge br0 mirrors"), mirror("br0", f"m{n}", output, ["p2"], ["p2"]), send("p2", 2, BROADCAST, 10),
            send("p2", 2, BROADCAST), send("p1", 1, BROADCAST, (40, 3), (10, 5)), send("p1", 1, 2, (40, 3), (10, 5)),
            send("p2", 2, 1, 10, 20))]],
    "0x9100 is payload, and so is a length": [
        bridge(p1="", p2="", p3="tag=10"), send("p1", 1, BROADCAST, ether_type=0x9100), send("p1", 1, BROADCAST, 10, ether_type=0x9100),
        send("p1", 1, BROADCAST, ether_type=46), send("p1", 1, BROADCAST, 10, ether_type=42), send("p1", 1, BROADCAST, ether_type=0)],
    "from the shortest to the longest frame": [
        bridge(p1="", p2="tag=10", p3="", p4="vlan_mode=native-tagged tag=10"), mirror("br0", "m", "p3", ["p1", "p2"]),
        *[send(port, n, BROADCAST, length=length) for n, port in ((1, "p1"), (2, "p2"))
          for length in (14, 15, 16, 17, 59, 60, 61, 1499, 1500, 1510, 1511, 1513, 1514)],
        *[send("p1", 1, BROADCAST, tag, length=length) for tag in (10, (10, 3, 0x88A8)) for length in (20, 21, 63, 64, 1513, 1514)]],
    "the local port": [
        *THREE, *KNOWN, send("br0", 9, BROADCAST), send("p1", 1, 9), send("br0", 9, 1, 10), mirror("br0", "m1", "p3", ["br0"], ["br0"]),
        send("br0", 9, 1), send("p1", 1, 9), send("p1", 1, BROADCAST), send("p1", 1, 2), vsctl("clear bridge br0 mirrors"),
        mirror("br0", "m2", "br0", ["p1"]), send("p1", 1, 2), send("p2", 2, BROADCAST), send("br0", 9, BROADCAST), send("p1", 1, 9)],
    "a local port in a VLAN": [
        *THREE, vsctl("set port br0 tag=10"), *everybody("p1", "p2", tags=[10]), *everybody("p1", "p2"), send("br0", 9, 1),
        send("p1", 1, 9, 10)],
    "all ports include later ones": [
        *THREE, mirror("br0", "m", "p3", [], [], "select_all=true"), *KNOWN, vsctl("add-port br0 p4"), send("p4", 4, BROADCAST),
        send("p1", 1, 4)],
    "an output port that goes, and comes back": [
        *THREE, mirror("br0", "m", "p3", ["p1"]), *KNOWN, vsctl("del-port br0 p3"), vsctl("get mirror m output_port select_src_port"),
        *KNOWN[:2],
        vsctl("add-port br0 p3"), vsctl("get mirror m output_port"), *KNOWN,
        vsctl("clear bridge br0 mirrors")],  # NEVER_MADE: statistics of a mirror that stopped
    "a source that goes, and comes back": [
        *THREE, mirror("br0", "m", "p3", ["p1"]), *KNOWN, vsctl("del-port br0 p1"), vsctl("get mirror m select_src_port"), KNOWN[1],
        vsctl("add-port br0 p1"), vsctl("get mirror m select_src_port"), *KNOWN[:2], send("p1", 1, 2)],
    "changes of a mirror": [
        *FOUR, *KNOWN, mirror("br0", "m", "p4", ["p1"]), send("p1", 1, 2), vsctl("--id=@p get port p2", "set mirror m select_src_port=@p"),
        send("p1", 1, 2), send("p2", 2, 1), vsctl("--id=@p get port p3", "set mirror m output_port=@p"), send("p2", 2, 1), send("p4", 4, 1),
        vsctl("set mirror m select_vlan=10"), send("p2", 2, 1), send("p2", 2, BROADCAST, 10), vsctl("set mirror m select_all=true"),
        send("p1", 1, BROADCAST, 10), vsctl("clear mirror m select_vlan", "clear mirror m select_src_port"), send("p1", 1, 2),
        vsctl("clear mirror m output_port"), send("p1", 1, 2), send("p1", 1, BROADCAST), vsctl("clear bridge br0 mirrors"),
        send("p1", 1, 2)],
    "a native port carries its VLAN, listed or not": [
        bridge(p1="vlan_mode=native-untagged tag=10 trunks=20", p2="", p3="vlan_mode=native-tagged tag=10 trunks=20"),
        send("p1", 1, BROADCAST, 10), send("p3", 3, BROADCAST, 10), send("p2", 2, BROADCAST, 10)],
    "priority tags over a patch": [
        bridge(p1=""), bridge("br1", p3="other_config:priority-tags=always"), patch(), vsctl("set port to-br1 tag=30"),
        send("p1", 1, BROADCAST, (30, 4))],
    "priority tags of egress copies": [
        bridge(p1="", p2="tag=30", p3="other_config:priority-tags=always"), mirror("br0", "m", "p3", [], ["p2"]),
        send("p1", 1, BROADCAST, (30, 7))],
    "a port changes bridges": [
        *THREE, bridge("br1", p4=""), *KNOWN, vsctl("del-port p2", "add-port br1 p2"), send("p2", 2, BROADCAST), send("p1", 1, BROADCAST),
        send("p4", 4, 2), send("p4", 4, BROADCAST)],
    "a bridge in a VLAN of another": [
        *THREE, vsctl("add-br br1 br0 10"), vsctl("list-br"), vsctl("br-to-vlan br1"), vsctl("br-to-parent br1"), vsctl("add-port br1 p4"),
        vsctl("list-ports br0"), vsctl("list-ports br1"), vsctl("get port p4 tag"), *everybody("p1", "p4"), send("p1", 1, BROADCAST, 10),
        send("br1", 9, BROADCAST), send("p4", 4, 9)],
    "what the clients say": [
        bridge(p1=""), vsctl("add-port br0 p2"),
        vsctl("add-port br0 p3 tag=10 trunks=1,2", "set interface p3 ofport_request=77"),
        mirror("br0", "m", "p3", ["p1"], [], "select_vlan=7"), vsctl("show"),
        *map(vsctl, (
            "add-br br0", "--may-exist add-br br0", "del-br nosuch", "--if-exists del-br nosuch", "br-exists br0", "br-exists nosuch",
            "list-br", "list-ports br0", "list-ports nosuch", "list-ifaces br0", "port-to-br p1", "port-to-br nosuch", "iface-to-br p2",
            "add-port br0 p1", "--may-exist add-port br0 p1", "add-port nosuch p4", "del-port nosuch", "--if-exists del-port nosuch",
            "add-port br0 nodevice", "show", "get interface nodevice ofport error", "del-port br0 nodevice",
            "get interface nodevice ofport",
            "set port p1 tag=5000", "set port p1 tag=-1", "set port p1 tag=abc", "set port p1 tag=1,2", "set port p1 vlan_mode=other",
            "set port p1 nosuch=1", "set nosuch p1 tag=1", "set port nosuch tag=1", "set port p1 trunks=1,4096", "set port p1 trunks=1-3",
            "get port p1 tag", "get port p1 nosuch", "get port p1 other_config:nosuch", "--if-exists get port p1 other_config:nosuch",
            "set port p1 name=p9", "set bridge br0 name=br9", "set bridge br0 flood_vlans=4096", "set bridge br0 fail_mode=other",
            "get-fail-mode br0", "set-fail-mode br0 standalone", "get-fail-mode br0", "del-fail-mode br0",
            "br-set-external-id br0 key value",
            "br-get-external-id br0", "br-get-external-id br0 key", "br-set-external-id br0 key", "br-to-vlan br0", "br-to-parent br0",
            "get bridge br0 mirrors", "--bare --columns=name find mirror select_vlan=7",
            "--columns=name,select_all,select_vlan list mirror m",
            "--columns=_uuid,select_src_port,select_dst_port,output_port list mirror", "--format=json --columns=name,snaplen list mirror",
            "--format=csv --columns=name,output_vlan list mirror", "set mirror m snaplen=13", "set mirror m snaplen=65536",
            "set mirror m select_vlan=4096", "set mirror m output_vlan=0", "set mirror m output_vlan=4096", "set mirror m select_all=maybe",
            "set mirror m select_src_port=p1", "set mirror m nosuch=1", "get mirror nosuch name", "remove bridge br0 mirrors m",
            "destroy mirror m", "get mirror m name", "create mirror name=alone", "list mirror alone", "wait-until bridge br0 fail_mode=[]",
            "get interface p1 ofport link_state admin_state", "get interface p3 ofport", "get interface br0 ofport type",
            "set interface p1 ofport_request=0",
            "nosuch-command", "add-br", "list-ports br0 br1", "--no-wait get bridge br0 name", "clear bridge br0 mirrors", "list mirror m",
            "emer-reset", "get port p1 tag", "del-port br1 p1", "del-port br0 p1", "list-ports br0", "del-br br0", "list-br")),
        vsctl("get bridge nosuch name")],
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(both: Pair, rule: str) -> None:
    both.run(RULES[rule])


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SCENARIOS))
def test_random(both: Pair, seed: int) -> None:
    steps = Generator(seed).scenario(FRAMES)
    try:
        both.run(steps)
    except Difference as difference:
        if os.environ.get("VSWITCH_SHRINK"):
            difference = shrink(both, steps, difference)
        raise AssertionError(f"seed {seed}: {difference}") from None


def test_the_scenarios_are_worth_running(both: Pair) -> None:
    """What seeds make: enough frames arrive, copies among them, in all VLAN modes."""
    modes, mirrors = set(), 0
    for seed in range(200):
        generator = Generator(seed)
        steps = generator.scenario(0)
        modes |= {mode.split()[0] for mode in generator.modes.values()}
        mirrors += sum("create" in command for step in steps if isinstance(step, Vsctl) for command in step.commands)
    assert {"default", "trunk", "trunks", "access", "native-tagged", "native-untagged", "dot1q-tunnel"} <= modes
    assert mirrors > 300
    results = both.run(Generator(1).scenario(60))
    assert sum(bool(arrived) for arrived in results) > 20


def test_what_is_left_out_is_left_out_by_something() -> None:
    """VSWITCH_INCLUDE brings it back; what no scenario makes has a list of its own, and names where it is compared instead."""
    source = pathlib.Path(scenarios.__file__).read_text()
    assert set(re.findall(r'''\bavoid\(["'](.+?)["']\)''', source)) == set(scenarios.LEFT_OUT)
    assert not set(scenarios.LEFT_OUT) & set(scenarios.NEVER_MADE)
    for test in re.findall(r"\btest_\w+\.py", " ".join(scenarios.NEVER_MADE.values())):
        assert (pathlib.Path(__file__).parent / test).exists(), test
    assert "test_tunnel_ports.py" in scenarios.NEVER_MADE["tunnels"]


def test_the_rows_have_the_statistics(both: Pair) -> None:
    both.run([*THREE, mirror("br0", "m", "p3", ["p1"]), *KNOWN, send("p1", 1, 2, length=100), send("p1", 1, 2, 10)], rows=True)


class Fake(Side):
    """A side that received what it is told."""

    def __init__(self, name: str, arrived: Any) -> None:
        self.name = name
        self.arrived = arrived

    def take(self) -> Any:
        arrived, self.arrived = self.arrived, {}
        return arrived


GOOD = send("p1", 1, 2, (10, 3), length=64).frame
BAD = GOOD[:40] + bytes([GOOD[40] ^ 1]) + GOOD[41:]


@pytest.mark.parametrize("ours, named", [
    ({"p2": [BAD]}, BAD), ({}, GOOD), ({"p2": [GOOD, GOOD]}, GOOD), ({"p3": [GOOD]}, GOOD), ({"p2": [GOOD], "br0": [GOOD]}, GOOD)],
    ids=["wrong byte", "missing", "twice", "misdirected", "extra"])
def test_the_comparison_sees(tmp_path: pathlib.Path, ours: Any, named: Any) -> None:
    pair = Pair(tmp_path)
    pair.sides = [Fake("Open vSwitch", {"p2": [GOOD]}), Fake("vswitchd", ours)]
    with pytest.raises(Difference) as difference:
        pair.received([*THREE, Send("p1", GOOD)])
    for part in ("ovs-vsctl add-br br0", decode(GOOD), named.hex()):
        assert part in str(difference.value)
    pair.sides = [Fake("Open vSwitch", {"p2": [GOOD]}), Fake("vswitchd", {"p2": [GOOD]})]
    assert pair.received([]) == {"p2": [GOOD]}


def addresses(side: Any, name: str) -> tuple[Any, ...]:
    """What `ovs-appctl fdb/show` prints, without ages: the order is by age in Open vSwitch, so it is not compared either."""
    done = side.client("ovs-appctl", "fdb/show", name)
    lines = done.stdout.splitlines()
    return str(done.returncode), "\n".join(lines[:1] + sorted(line[:30] for line in lines[1:])), done.stderr


@pytest.mark.parametrize("seed", range(1, 11))
def test_fdb_show(both: Pair, seed: int) -> None:
    steps = Generator(seed).scenario(FRAMES)
    both.run(steps)
    for name in ("br0", "nosuch"):
        both.both(f"fdb/show {name}", steps, lambda side, name=name: addresses(side, name))
