# SPDX-License-Identifier: Apache-2.0
"""The host and the switch: internal ports let it in, isolation keeps it out of everything else."""
from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from net import BROADCAST, frame, mac, run
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


def test_the_host_takes_part_through_the_local_port(lab: Lab) -> None:
    t1, t2 = lab.host("t1", "10.95.0.2"), lab.host("t2", "10.95.0.3")
    run("ip", "-n", lab.net.switch, "addr", "add", "10.95.0.1/24", "dev", "br0")
    run("ip", "-n", lab.net.switch, "link", "set", "br0", "up")
    lab.net.switch_run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", "10.95.0.2")
    lab.mirror("s", "--source", "br0", "--output", "t2")
    t1.ping("10.95.0.1", count=2)
    seen = t2.wire.wait(4, match=lambda data: data[12:14] == b"\x08\x00" and data[23] == 1)
    assert len(seen) == 4


def test_further_internal_ports_come_and_go(lab: Lab) -> None:
    t1 = lab.host("t1", "10.95.0.2", port_options=("--tag", "30"))
    lab.ctl("add-port", "br0", "mgmt30", "--type", "internal", "--tag", "30")
    run("ip", "-n", lab.net.switch, "addr", "add", "10.95.0.1/24", "dev", "mgmt30")
    run("ip", "-n", lab.net.switch, "link", "set", "mgmt30", "up")
    t1.ping("10.95.0.1")
    lab.ctl("del-port", "br0", "mgmt30")
    assert lab.net.switch_run("ip", "link", "show", "mgmt30", check=False).returncode != 0
    run("ip", "-n", lab.net.switch, "link", "add", "mgmt30", "type", "veth", "peer", "name", "x")
    refused = lab.ctl("add-port", "br0", "mgmt30", "--type", "internal", check=False)
    port = lab.port("mgmt30")
    assert refused.returncode == 1 or port["state"] in ("waiting", "error"), "the name is taken by a device that is not ours"
    assert "mgmt30" in refused.stderr + port["reason"]


def test_the_hosts_stack_neither_answers_nor_chatters_on_a_port(lab: Lab) -> None:
    t1, t2 = lab.host("t1", "10.95.0.2"), lab.host("t2")
    for device in ("t1", "t2"):
        run("ip", "-n", lab.net.switch, "addr", "add", "10.95.0.9/24", "dev", device)
        lab.net.switch_run("sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=0")
    t2.wire.settle()
    t2.wire.clear()
    assert t1.ping("10.95.0.9", check=False).returncode != 0
    lab.net.switch_run("arping", "-c", "1", "-w", "1", "-I", "t2", "10.95.0.77", check=False)
    seen = t2.wire.settle(1)
    assert seen, "at least t1's question for the address"
    for data in seen:
        assert data[6:12] == bytes.fromhex(t1.mac.replace(":", "")), "only what t1 sent: " + data.hex()


def test_fdb_shows_and_forgets_addresses(lab: Lab) -> None:
    t1, t2 = lab.host("t1", port_options=("--tag", "5")), lab.host("t2", port_options=("--tag", "5"))
    t1.wire.send(frame(mac(1), BROADCAST))
    t2.wire.expect(1)
    entries = lab.rpc("fdb.list", bridge="br0")["entries"]
    assert [(entry["port"], entry["vlan"], entry["mac"]) for entry in entries] == [("t1", 5, "02:00:00:00:00:01")]
    assert "02:00:00:00:00:01" in lab.ctl("fdb", "br0").stdout
    lab.ctl("fdb", "br0", "--flush")
    assert lab.rpc("fdb.list", bridge="br0")["entries"] == []
