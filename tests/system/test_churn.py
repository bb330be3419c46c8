# SPDX-License-Identifier: Apache-2.0
"""Devices come and go: sessions survive it and arm themselves again."""
from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import pytest

from net import BROADCAST, frame, mac, open_tap, run
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


@pytest.mark.parametrize("victim", ["t1", "t3"], ids=["source", "destination"])
def test_device_recreated_a_hundred_times(lab: Lab, victim: str) -> None:
    hosts = {name: lab.host(name) for name in ("t1", "t2", "t3")}
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    for n in range(100):
        hosts[victim].unplug()
        if n % 10 == 0:
            lab.wait_state("s", "waiting")
        hosts[victim].plug()
        lab.wait_state("s", "active")
        hosts["t3"].wire.clear()
        hosts["t1"].wire.send(frame(mac(1), BROADCAST, bytes([n])))
        assert hosts["t3"].wire.wait(1) == [frame(mac(1), BROADCAST, bytes([n]))], f"round {n}"
    counters = lab.account("s")
    assert counters["delivered"] == 100


def test_port_row_deleted_and_added_again(lab: Lab) -> None:
    t1, t3 = lab.host("t1"), lab.host("t3")
    lab.host("t2")
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    for n in range(20):
        victim = ("t1", "t3")[n % 2]
        lab.ctl("del-port", "br0", victim)
        assert lab.state("s") == "waiting"
        lab.ctl("add-port", "br0", victim)
        assert lab.state("s") == "active"
        t3.wire.clear()
        t1.wire.send(frame(mac(1), BROADCAST, bytes([n])))
        assert t3.wire.wait(1) == [frame(mac(1), BROADCAST, bytes([n]))], f"round {n}"


def test_port_before_its_device(lab: Lab) -> None:
    lab.ctl("add-port", "br0", "later")
    port = lab.port("later")
    assert port["state"] == "waiting"
    assert port["reason"] == "no device later"
    t1 = lab.host("t1")
    later = lab.net.host("later")
    lab.wait_port("later", "active")
    t1.wire.send(frame(mac(1), BROADCAST, b"hello"))
    assert later.wire.wait(1) == [frame(mac(1), BROADCAST, b"hello")]


def test_renamed_away_and_back(lab: Lab) -> None:
    t1, t2 = lab.host("t1"), lab.host("t2")
    run("ip", "-n", lab.net.switch, "link", "set", "t2", "down")
    run("ip", "-n", lab.net.switch, "link", "set", "t2", "name", "other")
    lab.wait_port("t2", "waiting")
    run("ip", "-n", lab.net.switch, "link", "set", "other", "name", "t2")
    run("ip", "-n", lab.net.switch, "link", "set", "t2", "up")
    lab.wait_port("t2", "active")
    t1.wire.send(frame(mac(1), BROADCAST, b"back"))
    assert t2.wire.wait(1) == [frame(mac(1), BROADCAST, b"back")]


def test_link_down_and_up(lab: Lab) -> None:
    t1, t2 = lab.host("t1"), lab.host("t2")
    lab.mirror("s", "--source", "t1:from", "--output", "t2")
    for n in range(10):
        t2.ip("link", "set", "eth0", "down")
        assert "down" in lab.wait_port("t2", "down")["reason"]
        lab.wait_state("s", "waiting")
        t2.ip("link", "set", "eth0", "up")
        lab.wait_port("t2", "active")
        lab.wait_state("s", "active")
        t2.wire.settle()
        t2.wire.clear()
        t1.wire.send(frame(mac(1), BROADCAST, bytes([n])))
        assert t2.wire.wait(1) == [frame(mac(1), BROADCAST, bytes([n]))]


def test_copies_to_a_device_without_a_link_are_lost(lab: Lab) -> None:
    """Where there is a queueing discipline, the kernel takes such a frame without an error, and drops it."""
    t1, t2 = lab.host("t1"), lab.host("t2")
    lab.net.switch_run("ip", "tuntap", "add", "dev", "sensor", "mode", "tap")
    lab.net.switch_run("ip", "link", "set", "sensor", "up")
    lab.ctl("add-port", "br0", "sensor")
    lab.mirror("s", "--source", "t1:from", "--output", "sensor")
    lab.wait_state("s", "waiting")

    def send(count: int) -> None:
        t2.wire.send(frame(mac(2), BROADCAST, b"here"))
        for _ in range(count):
            t1.wire.send(frame(mac(1), mac(2), b"to t2"))
        t2.wire.settle(count)
        t2.wire.clear()

    for reader in range(3):
        send(10)
        counters = lab.account("s")
        assert counters["lost_by"] == {"link_down": 10 * (reader + 1)}, counters
        queue = open_tap(lab.net.switch, "sensor")
        lab.wait_state("s", "active")
        send(10)
        assert lab.account("s")["delivered"] == 10 * (reader + 1)
        read = [os.read(queue, 2048) for _ in range(10)]
        assert all(copy == frame(mac(1), mac(2), b"to t2") for copy in read), read
        os.close(queue)
        lab.wait_state("s", "waiting")


def test_mtu_changes_at_run_time(lab: Lab) -> None:
    hosts = [lab.host("t1", "10.95.0.1"), lab.host("t2", "10.95.0.2")]
    for mtu, payload in ((9000, 8972), (1500, 1472), (576, 548), (68, 40), (9000, 8972)):  # 68: the least veth and IPv4 allow
        for host in hosts:
            run("ip", "-n", lab.net.switch, "link", "set", host.name, "mtu", mtu)
            host.ip("link", "set", "eth0", "mtu", mtu)
        hosts[0].run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", "-M", "do", "-s", payload, "10.95.0.2")
