# SPDX-License-Identifier: Apache-2.0
"""What an operator does with the tool alone, without Debian's openvswitch-switch."""
from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest

from lab import Daemon, wait_until
from net import BROADCAST, frame, mac
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1, lab.t2 = lab.host("t1"), lab.host("t2")
        yield lab


def test_settings(daemon: Daemon) -> None:
    assert daemon.ctl("show-config").stdout == "no settings: all have their defaults\n"
    said = daemon.ctl("set-config", "worker-threads=3", "mirror-session-kib=9999999", "no-such-key=1").stdout
    assert "take effect when vswitchd restarts" in said
    assert 'mirror-session-kib="9999999" is not used: give a number from 64 to 1048576' in said
    assert "other_config:no-such-key has no effect here" in said
    assert daemon.ctl("set-config", "no-such-key=", "mirror-session-kib=100", "worker-threads=").stdout == ""
    assert daemon.ctl("show-config").stdout == "mirror-session-kib=100\n"
    assert daemon.ovs("ovs-vsctl", "get", "open_vswitch", ".", "other_config").stdout == '{mirror-session-kib="100"}\n'
    assert "is not KEY=VALUE" in daemon.ctl("set-config", "worker-threads", check=False).stderr


def test_the_log(daemon: Daemon) -> None:
    daemon.ctl("set-log", "dbg", "control")
    daemon.rpc("echo")
    wait_until(lambda: "|control|DBG|" in daemon.log_text(), "it tells more")
    assert "control" in daemon.ctl("list-log").stdout
    daemon.ctl("set-log", "warn")
    assert {line.split()[1] for line in daemon.ctl("list-log").stdout.splitlines()[1:]} == {"warn"}
    assert "no area nosuch" in daemon.ctl("set-log", "dbg", "nosuch", check=False).stderr


def test_a_backup_starts_a_daemon(daemon: Daemon, make_daemon: Callable[..., Daemon]) -> None:
    daemon.ctl("add-br", "br0")
    for number in range(50):
        daemon.ctl("set-br", "br0", "--mac-aging-time", str(100 + number))
    before = daemon.database.stat().st_size
    daemon.ctl("compact")
    assert daemon.database.stat().st_size < before
    other = make_daemon()
    other.database.write_text(daemon.ctl("backup").stdout)
    other.start()
    assert other.rpc("bridge.get", {"name": "br0"})["mac_aging_time"] == 149


def test_transient_ports_go_when_a_host_boots(lab: Lab) -> None:
    """As with ovs-ctl: VM B does not get what VM A has left behind."""
    lab.ctl("set-port", "t1", "--transient")
    lab.daemon.ovs("ovs-vsctl", "set", "port", "t2", "other_config:transient=true")
    lab.host("t3")
    assert "transient     yes" in lab.ctl("show-port", "t2").stdout
    lab.daemon.restart()
    assert {port["name"] for port in lab.rpc("port.list")["ports"]} == {"br0", "t1", "t2", "t3"}, "an ordinary start keeps them"
    lab.daemon.args = (*lab.daemon.args, "--delete-transient-ports")
    lab.daemon.restart()
    assert {port["name"] for port in lab.rpc("port.list")["ports"]} == {"br0", "t3"}
    assert "port t1 is transient and is removed" in lab.daemon.log_text()
    lab.ctl("add-port", "br0", "t1", "--transient")
    assert lab.ctl("del-transient-ports").stdout == "t1\n"
    assert lab.ctl("del-transient-ports").stdout == ""


def test_counters_start_from_zero_and_balance(lab: Lab) -> None:
    lab.mirror("span0", "--source", "t1:from", "--output", "t2", "--normal-io")
    lab.mirror("other", "--source", "t1:from", "--output-vlan", "7")

    def send(count: int) -> None:
        for _ in range(count):
            lab.t1.wire.send(frame(mac(1), BROADCAST, b"count me"))

    send(5)
    wait_until(lambda: [lab.account(name)["tx_packets"] for name in ("span0", "other")] == [5, 5], "both sessions have counted them")
    assert lab.ctl("mirror-stats", "br0", "span0", "--reset").stdout == ""
    assert lab.account("span0")["matched"] == 0
    assert lab.account("other")["tx_packets"] == 5, "another session is left alone"
    assert lab.daemon.ovs("ovs-vsctl", "get", "mirror", "span0", "statistics:tx_packets").stdout == "0\n", "in its row, too"
    send(3)
    wait_until(lambda: lab.account("span0")["delivered"] == 3, "the next ones count from there")
    account = lab.account("span0")
    assert (account["matched"], account["delivered"], account["tx_packets"]) == (3, 3, 3)
    assert lab.daemon.ovs("ovs-appctl", "mirror/reset").stdout == "statistics successfully cleared\n"
    assert lab.account("span0")["matched"] == lab.account("other")["matched"] == 0
    assert "has no session nope" in lab.daemon.ovs("ovs-appctl", "mirror/reset", "br0", "nope", check=False).stderr


def test_the_account_of_a_changed_endpoint_goes_on(lab: Lab) -> None:
    lab.mirror("er0", "--source", "t1:from", "--endpoint", "127.0.0.9", "--encap", "erspan2")
    lab.wait_state("er0", "active")
    lab.t1.wire.send(frame(mac(1), BROADCAST, b"before"))
    wait_until(lambda: lab.account("er0")["matched"] == 1, "it is copied")
    lab.ctl("set-mirror", "br0", "er0", "--encap", "erspan3", "--ttl", "9")
    lab.wait_state("er0", "active")
    lab.t1.wire.send(frame(mac(1), BROADCAST, b"after"))
    wait_until(lambda: lab.account("er0")["matched"] == 2, "the next one, too")
    [one] = lab.rpc("mirror.get", bridge="br0", name="er0")["destinations"]
    assert one["counters"]["matched"] == 2
    lab.ctl("set-mirror", "br0", "er0", "--endpoint", "127.0.0.10")
    destinations = lab.rpc("mirror.get", bridge="br0", name="er0")["destinations"]
    assert sum(one["counters"]["matched"] for one in destinations) == 2
    assert "former endpoints" in [one["name"] for one in destinations]
