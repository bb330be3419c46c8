# SPDX-License-Identifier: Apache-2.0
"""What a port's row says: numbers that stay, errors that name their cause, the device as it is."""
from __future__ import annotations

import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import RpcError
from net import run
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


def ofports(lab: Lab) -> dict[Any, Any]:
    return {port["name"]: port["ofport"] for port in lab.rpc("port.list", bridge="br0")["ports"]}


def test_ofport_stays_while_others_come_and_go_and_over_restarts(lab: Lab) -> None:
    for name in ("t1", "t2", "t3"):
        lab.host(name)
    before = ofports(lab)
    assert sorted(before[name] for name in ("t1", "t2", "t3")) == [1, 2, 3]
    lab.ctl("del-port", "br0", "t2")
    lab.host("t4")
    assert ofports(lab)["t4"] == 2, "the lowest that is free"
    lab.rpc("port.set", name="t3", ofport_request=77)
    assert ofports(lab)["t3"] == 77
    now = ofports(lab)
    lab.daemon.restart()
    assert ofports(lab) == now
    lab.daemon.kill9()
    lab.daemon.start()
    assert ofports(lab) == now


def test_a_device_that_is_not_there_is_an_error_a_stock_client_prints(lab: Lab) -> None:
    added = lab.daemon.ovs("ovs-vsctl", "add-port", "br0", "nodev")
    assert "could not open network device nodev (No such device)" in added.stderr
    assert lab.daemon.ovs("ovs-vsctl", "get", "Interface", "nodev", "ofport").stdout.strip() == "-1"
    lab.net.host("nodev")
    lab.wait_port("nodev", "active")
    assert lab.daemon.ovs("ovs-vsctl", "get", "Interface", "nodev", "ofport").stdout.strip() == "1"
    assert lab.daemon.ovs("ovs-vsctl", "get", "Interface", "nodev", "error").stdout.strip() == "[]"


def test_types_that_are_not_there_yet_are_refused_where_the_user_looks(lab: Lab) -> None:
    with pytest.raises(RpcError) as refused:
        lab.rpc("port.add", bridge="br0", name="ge0", type="stt")
    assert "stt" in str(refused.value)
    added = lab.daemon.ovs("ovs-vsctl", "add-port", "br0", "ge0", "--", "set", "Interface", "ge0", "type=stt")
    assert "Error detected while setting up 'ge0': interface type stt is not supported" in added.stderr
    assert lab.port("ge0")["state"] == "error"


@pytest.mark.parametrize("name, reason", [("lo", "loopback"), ("a-name-of-16-byt", "15 bytes"), ("a/b", "'/'")])
def test_a_name_no_port_can_have_is_an_error(lab: Lab, name: str, reason: str) -> None:
    with pytest.raises(RpcError) as refused:
        lab.rpc("port.add", bridge="br0", name=name)
    assert reason in str(refused.value)
    added = lab.daemon.ovs("ovs-vsctl", "add-port", "br0", name, "--", "set", "Interface", name, "ofport_request=9")
    assert f"Error detected while setting up '{name}'" in added.stderr and reason in added.stderr
    assert lab.daemon.ovs("ovs-vsctl", "get", "Interface", name, "ofport").stdout.strip() == "-1"
    assert lab.port(name)["state"] == "error"


def test_a_device_that_is_not_ethernet_is_an_error(lab: Lab) -> None:
    lab.net.switch_run("ip", "tuntap", "add", "ip0", "mode", "tun")
    added = lab.rpc("port.add", bridge="br0", name="ip0")
    assert (added["state"], added["reason"]) == ("error", "ip0 is not an Ethernet device and cannot be a port")


def ifindex_of_a_new_device(lab: Lab) -> int:
    lab.net.switch_run("ip", "tuntap", "add", "count0", "mode", "tap")
    ifindex = lab.net.switch_run("ip", "-o", "link", "show", "count0").stdout.split(":")[0]
    lab.net.switch_run("ip", "link", "del", "count0")
    return int(ifindex)


def test_an_internal_port_that_becomes_a_patch_is_one_at_once(lab: Lab) -> None:
    lab.daemon.ovs("ovs-vsctl", "add-br", "br1", "--", "add-port", "br1", "i1", "--",
                   "set", "Interface", "i1", "type=patch", "options:peer=i0")
    lab.rpc("port.add", bridge="br0", name="i0", type="internal")
    lab.wait_port("i0", "down")
    lab.daemon.ovs("ovs-vsctl", "set", "Interface", "i0", "type=patch", "options:peer=i1")
    assert (lab.port("i0")["state"], lab.port("i0")["reason"]) == ("active", "")
    assert lab.port("i1")["state"] == "active"
    assert "i0" not in lab.net.switch_run("ip", "-br", "link").stdout


def test_a_device_that_cannot_be_made_is_not_tried_without_end(lab: Lab) -> None:
    before = ifindex_of_a_new_device(lab)
    lab.daemon.ovs("ovs-vsctl", "add-port", "br0", "i0", "--", "set", "Interface", "i0", "type=internal", r'mac="01:00:00:00:00:01"')
    assert "cannot set the address" in lab.port("i0")["reason"]
    time.sleep(1)  # a rate needs a time
    assert ifindex_of_a_new_device(lab) - before < 5
    lab.daemon.ovs("ovs-vsctl", "set", "Interface", "i0", r'mac="02:00:00:00:00:01"')
    lab.wait_port("i0", "down")


def test_the_row_shows_the_device_as_it_is(lab: Lab) -> None:
    host = lab.host("t1")
    row = dict(line.split(":", 1) for line in lab.daemon.ovs("ovs-vsctl", "list", "Interface", "t1").stdout.splitlines())
    shown = {key.strip(): value.strip().strip('"') for key, value in row.items()}
    link = lab.net.switch_run("ip", "-o", "link", "show", "t1").stdout
    assert shown["ifindex"] == link.split(":")[0]
    assert shown["mac_in_use"] in link
    assert (shown["mtu"], shown["admin_state"], shown["link_state"]) == ("1500", "up", "up")
    lab.daemon.ovs("ovs-vsctl", "set", "Interface", "t1", "mtu_request=1400")
    assert "mtu 1400" in lab.net.switch_run("ip", "-o", "link", "show", "t1").stdout
    host.ip("link", "set", "eth0", "down")
    lab.wait_port("t1", "down")
    assert lab.daemon.ovs("ovs-vsctl", "get", "Interface", "t1", "link_state").stdout.strip() == "down"


def test_link_resets_do_not_fall_when_the_device_is_made_again(lab: Lab) -> None:
    host = lab.host("t1")

    def resets() -> int:
        return int(lab.daemon.ovs("ovs-vsctl", "get", "Interface", "t1", "link_resets").stdout)

    for state in ("down", "up"):
        host.ip("link", "set", "eth0", state)
        lab.wait_port("t1", {"down": "down", "up": "active"}[state])
    before = resets()
    assert before >= 2
    host.unplug()
    lab.wait_port("t1", "waiting")
    assert resets() == before
    host.plug()
    lab.wait_port("t1", "active")
    assert resets() >= before
    host.ip("link", "set", "eth0", "down")
    lab.wait_port("t1", "down")
    assert resets() > before


def test_more_ports_than_are_opened_at_once_and_some_that_cannot_be(lab: Lab) -> None:
    """Those that fail are tried once, and hold up no others."""
    batch = "\n".join(f"link add p{n} type veth peer name q{n}\nlink set p{n} up\nlink set q{n} up" for n in range(50))
    run("ip", "-n", lab.net.switch, "-batch", "-", input=batch)
    many = [word for n in range(50) for word in ("--", "add-port", "br0", f"p{n}")]
    none = [word for n in range(50) for word in ("--", "add-port", "br0", f"no{n}")]
    taps = [word for n in range(40) for word in ("--", "add-port", "br0", f"i{n}", "--", "set", "Interface", f"i{n}", "type=internal")]
    added = lab.daemon.ovs("ovs-vsctl", *none, *many, *taps)
    assert added.stderr.count("No such device") == 50
    states = {port["name"]: port["state"] for port in lab.rpc("port.list", bridge="br0")["ports"]}
    assert {states[f"p{n}"] for n in range(50)} == {"active"}
    assert {states[f"no{n}"] for n in range(50)} == {"waiting"}
    assert {states[f"i{n}"] for n in range(40)} == {"down"}


def test_a_stock_mirror_command_means_what_it_means_in_open_vswitch(lab: Lab) -> None:
    for name in ("t1", "t2", "t3"):
        lab.host(name)
    lab.daemon.ovs("ovs-vsctl", "--", "set", "Bridge", "br0", "mirrors=@m", "--", "--id=@t1", "get", "Port", "t1",
                   "--", "--id=@t3", "get", "Port", "t3", "--", "--id=@m", "create", "Mirror", "name=m0",
                   "select-dst-port=@t1", "select-src-port=@t1", "output-port=@t3")
    session = lab.rpc("mirror.get", bridge="br0", name="m0")
    assert session["sources"]["ports"] == [{"name": "t1", "direction": "both"}]
    assert session["destination"]["ports"] == ["t3"]
    assert (session["state"], session["normal_io"]) == ("active", False)
    lab.daemon.ovs("ovs-vsctl", "clear", "Bridge", "br0", "mirrors")
    assert lab.rpc("mirror.list", bridge="br0")["mirrors"] == []


def test_many_ports_and_sessions(lab: Lab) -> None:
    """A hundred ports and two hundred sessions of all of them, made at once and used."""
    count = 100
    batch = "\n".join(f"link add p{n} type veth peer name q{n}\nlink set p{n} up\nlink set q{n} up" for n in range(count))
    run("ip", "-n", lab.net.switch, "-batch", "-", input=batch)
    with lab.daemon.connect() as rpc:
        for n in range(count):
            rpc.call("port.add", {"bridge": "br0", "name": f"p{n}"})
        for n in range(200):
            rpc.call("mirror.add", {"bridge": "br0", "name": f"s{n}", "sources": {"ports": [f"p{n % (count - 1)}"]},
                                    "destination": {"ports": [f"p{count - 1}"]}})
        assert {port["state"] for port in rpc.call("port.list", {"bridge": "br0"})["ports"] if port["name"] != "br0"} == {"active"}
        assert {mirror["state"] for mirror in rpc.call("mirror.list", {"bridge": "br0"})["mirrors"]} == {"active"}
    lab.daemon.restart()
    assert len(lab.rpc("mirror.list", bridge="br0")["mirrors"]) == 200
    assert lab.state("s137") == "active"
