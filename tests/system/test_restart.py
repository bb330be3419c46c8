# SPDX-License-Identifier: Apache-2.0
"""The daemon dies or ends: everything comes back, nothing is left behind."""
from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from lab import Daemon, wait_until
from net import BROADCAST, frame, mac, run
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


def test_kill_9_and_restart_with_everything_back(lab: Lab) -> None:
    t1, t3 = lab.host("t1"), lab.host("t3")
    lab.host("t2", port_options=("--tag", "7"))
    lab.mirror("s", "--source", "t1:from", "--output", "t3", "--description", "for the auditors")
    lab.mirror("off", "--source", "t1", "--output", "t3", "--disabled")

    def settings() -> tuple[Any, ...]:
        ports = {port["name"]: (port["ofport"], port["tag"], port["mac"]) for port in lab.rpc("port.list")["ports"]}
        mirrors = [{key: mirror[key] for key in ("name", "uuid", "sources", "destination", "enabled", "description", "state")}
                   for mirror in lab.rpc("mirror.list")["mirrors"]]
        return ports, mirrors

    before = settings()
    for n in range(3):
        lab.daemon.kill9()
        lab.daemon.start()
        assert settings() == before
        t3.wire.settle()
        t3.wire.clear()
        t1.wire.send(frame(mac(1), BROADCAST, bytes([n])))
        assert t3.wire.wait(1) == [frame(mac(1), BROADCAST, bytes([n]))]


def test_the_database_is_served_while_its_settings_are_being_applied(lab: Lab) -> None:
    """cur_cfg and the session API wait for the switch; who only reads or writes rows does not."""
    batch = "\n".join(f"link add p{n} up type veth peer name q{n}\nlink set q{n} up" for n in range(200))
    run("ip", "-n", lab.net.switch, "-batch", "-", input=batch, timeout=60)
    lab.daemon.ovs("ovs-vsctl", *(word for n in range(200) for word in ("--", "add-port", "br0", f"p{n}")))
    assert lab.daemon.stop() == 0
    forget = ["Open_vSwitch", {"op": "update", "table": "Open_vSwitch", "where": [], "row": {"cur_cfg": 0, "next_cfg": 7}}]
    run("ovsdb-tool", "transact", lab.daemon.database, json.dumps(forget))
    select = {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["cur_cfg"]}
    lab.daemon.spawn()
    wait_until(lab.daemon.listens, "somebody listens")
    with lab.daemon.connect() as early, lab.daemon.connect() as late:
        assert early.call("transact", ["Open_vSwitch", select], version=1) == [{"rows": [{"cur_cfg": 0}]}]
        assert not list(lab.daemon.rundir.glob("*.ctl")), "operators ask when there is something to tell"
        states = {port["name"]: port["state"] for port in late.call("port.list", {"bridge": "br0"})["ports"]}
        assert {states[f"p{n}"] for n in range(200)} == {"active"}
        assert early.call("transact", ["Open_vSwitch", select], version=1) == [{"rows": [{"cur_cfg": 7}]}]


def test_every_change_that_was_answered_survives_kill_9(lab: Lab) -> None:
    for n in range(30):
        lab.mirror(f"s{n}", "--source", "t1", "--output", "t2")
        if n % 10 == 9:
            lab.daemon.kill9()
            lab.daemon.start()
            assert len(lab.rpc("mirror.list", bridge="br0")["mirrors"]) == n + 1


def test_a_second_daemon_is_refused_and_says_why(lab: Lab, tmp_path: pathlib.Path) -> None:
    second = Daemon(tmp_path, namespace=lab.net.switch)  # same run directory and database
    second.log = tmp_path / "second.log"
    second.spawn()
    assert second.process.wait(10) == 1
    assert str(lab.daemon.pid) in second.log_text()
    other_rundir = Daemon(tmp_path, namespace=lab.net.switch)
    other_rundir.rundir = tmp_path / "elsewhere"
    other_rundir.log = tmp_path / "third.log"
    other_rundir.spawn()
    assert other_rundir.process.wait(10) == 1
    assert "conf.db" in other_rundir.log_text()
    assert lab.rpc("bridge.list")["bridges"][0]["name"] == "br0", "the first one goes on"


def tc(lab: Lab, device: str) -> Any:
    return lab.net.switch_run("tc", "qdisc", "show", "dev", device).stdout + lab.net.switch_run(
        "tc", "filter", "show", "dev", device, "ingress").stdout


def test_in_order_the_end_leaves_nothing_behind(lab: Lab) -> None:
    before = lab.net.switch_run("ip", "-o", "link").stdout.count("\n")
    host = lab.net.host("t1", "10.95.0.2")
    run("ip", "-n", lab.net.switch, "addr", "add", "10.95.0.1/24", "dev", "t1")
    untouched = tc(lab, "t1")
    host.ping("10.95.0.1")
    lab.ctl("add-port", "br0", "t1")
    assert tc(lab, "t1") != untouched
    assert host.ping("10.95.0.1", check=False).returncode != 0, "the host's stack does not see the device any more"
    assert lab.daemon.stop() == 0
    assert tc(lab, "t1") == untouched
    host.ping("10.95.0.1")
    assert "promiscuity 0" in lab.net.switch_run("ip", "-d", "link", "show", "t1").stdout
    assert lab.net.switch_run("ip", "-o", "link").stdout.count("\n") == before + 1, "with t1; br0 is the host's"
    assert sorted(path.name for path in lab.daemon.rundir.iterdir()) == []


def test_a_removed_port_is_the_hosts_again(lab: Lab) -> None:
    host = lab.net.host("t1", "10.95.0.2")
    run("ip", "-n", lab.net.switch, "addr", "add", "10.95.0.1/24", "dev", "t1")
    untouched = tc(lab, "t1")
    lab.ctl("add-port", "br0", "t1")
    lab.ctl("del-port", "br0", "t1")
    assert tc(lab, "t1") == untouched
    host.ping("10.95.0.1")


def test_what_a_crash_left_is_cleaned_at_the_next_start(lab: Lab) -> None:
    host = lab.net.host("t1", "10.95.0.2")
    run("ip", "-n", lab.net.switch, "addr", "add", "10.95.0.1/24", "dev", "t1")
    untouched = tc(lab, "t1")
    lab.ctl("add-port", "br0", "t1")
    lab.daemon.kill9()
    lab.daemon.database.unlink()  # the next daemon knows nothing of the port
    lab.daemon.start()
    assert tc(lab, "t1") == untouched
    host.ping("10.95.0.1")


def test_the_account_goes_on_over_a_restart(lab: Lab) -> None:
    """Of a session to a port and of one to two, also of one whose port is away; deleted and reset ones do not come back."""
    t1, t2 = lab.host("t1"), lab.host("t2")
    lab.host("t3")
    lab.host("t4")
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    lab.mirror("gone", "--source", "t1:from", "--output", "t4")
    lab.mirror("reset", "--source", "t2:from", "--output", "t4")

    def send(first: int) -> None:
        for n in range(first, first + 5):
            t1.wire.send(frame(mac(1), BROADCAST, bytes([n])))
            t2.wire.send(frame(mac(2), BROADCAST, bytes([n])))
        t2.wire.wait(first + 5)

    send(0)
    before = lab.account("s")
    assert (before["matched"], before["delivered"], before["tx_packets"]) == (5, 5, 5)
    assert lab.account("reset")["matched"] == 5
    assert lab.daemon.stop() == 0
    lab.daemon.start()
    assert lab.account("s") == before
    send(5)
    assert lab.account("s")["delivered"] == 10
    lab.ctl("mirror-stats", "br0", "reset", "--reset")
    lab.ctl("del-mirror", "br0", "gone")
    saved = lab.daemon.database.with_name(lab.daemon.database.name + ".accounts")
    wait_until(lambda: '"delivered":10' in saved.read_text(), "a reset is saved soon, with the others")

    lab.daemon.kill9()
    lab.daemon.start()
    assert lab.account("s")["delivered"] == 10
    assert lab.account("reset")["matched"] == 0
    lab.mirror("gone", "--source", "t1:from", "--output", "t4")
    assert lab.account("gone")["matched"] == 0, "a new session of an old name"

    lab.daemon.kill9()
    saved.write_text("{")
    lab.daemon.start()
    assert lab.account("s")["matched"] == 0
    assert "begin at zero" in lab.daemon.log_text()
