# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch's own Python client library (python3-openvswitch): a replica of the database that is kept up to date, and written to."""
from __future__ import annotations

import contextlib
import json
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import PATIENCE_S, Daemon
from net import BROADCAST, frame, mac
from switch import Lab

idl = pytest.importorskip("ovs.db.idl", reason="needs python3-openvswitch and Debian's python3")
poller = pytest.importorskip("ovs.poller")


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


class Client(contextlib.AbstractContextManager):
    """A replica of the given tables and columns (None: all of everything)."""

    def __init__(self, daemon: Daemon, lock: str | None = None, schema: Any = None, conditions: Any = None, **tables: Any) -> None:
        helper = idl.SchemaHelper(schema_json=daemon.rpc("get_schema", ["Open_vSwitch"], version=1))
        for table, columns in tables.items():
            helper.register_columns(table, columns)
        if not tables:
            helper.register_all()
        self.idl = idl.Idl(f"unix:{daemon.socket}", helper)
        self.idl.set_lock(lock)
        for table, condition in (conditions or {}).items():
            self.idl.cond_change(table, condition)
        self.wait(lambda: self.idl.state == idl.Idl.IDL_S_MONITORING, "the first contents")

    def __exit__(self, *_: object) -> None:
        self.idl.close()

    def run(self) -> None:
        self.idl.run()

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.idl.run()
            result = condition()
            if result:
                return result
            assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
            block = poller.Poller()
            self.idl.wait(block)
            block.timer_wait(100)
            block.block()

    def rows(self, table: str) -> list[Any]:
        return list(self.idl.tables[table].rows.values())

    def row(self, table: str, name: str) -> Any:
        return next((row for row in self.rows(table) if row.name == name), None)

    def transaction(self) -> Any:
        return idl.Transaction(self.idl)


def finished(transaction: Any) -> Any:
    """The status of a transaction once it has one: commit_block(), which would wait for ever."""
    deadline = time.monotonic() + PATIENCE_S
    while (status := transaction.commit()) == idl.Transaction.INCOMPLETE:
        assert time.monotonic() < deadline, f"no answer within {PATIENCE_S} s"
        transaction.idl.run()
        block = poller.Poller()
        transaction.idl.wait(block)
        transaction.wait(block)
        block.timer_wait(100)
        block.block()
    return status


def committed(transaction: Any) -> None:
    status = finished(transaction)
    said = f"{idl.Transaction.status_to_string(status)}: {transaction.get_error()}"
    assert status in (idl.Transaction.SUCCESS, idl.Transaction.UNCHANGED), said


def test_statistics_of_interfaces_and_mirrors_are_seen_to_grow(lab: Lab) -> None:
    t1, t2 = lab.host("t1"), lab.host("t2")
    lab.host("t3")
    lab.mirror("span0", "--source", "t1:from", "--output", "t3")
    t2.wire.settle()
    with Client(lab.daemon, Interface=["name", "statistics"], Mirror=["name", "statistics"]) as client:
        before = dict(client.row("Interface", "t1").statistics)
        for round in (1, 2):
            t1.wire.send(*[frame(mac(1), BROADCAST, b"x" * 86)] * 10)
            client.wait(lambda: client.row("Mirror", "span0").statistics.get("tx_packets") == 10 * round, "copies are counted")
            client.wait(lambda: client.row("Interface", "t1").statistics["rx_packets"] >= before.get("rx_packets", 0) + 10 * round,
                        "frames from t1 are counted")
        assert client.row("Mirror", "span0").statistics["tx_bytes"] == 20 * 100
        assert client.row("Interface", "t3").statistics["tx_packets"] >= 20
        assert client.row("Interface", "t2").statistics["tx_bytes"] >= 2000


def test_a_bridge_ports_and_a_mirror_made_and_removed(lab: Lab) -> None:
    t1, t2, probe = (lab.net.host(name) for name in ("t1", "t2", "probe"))
    with Client(lab.daemon) as client:
        change = client.transaction()
        system = client.rows("Open_vSwitch")[0]
        bridge = change.insert(client.idl.tables["Bridge"])
        bridge.name = "bridge"
        ports = {}
        for name in ("bridge", "t1", "t2", "probe"):
            interface = change.insert(client.idl.tables["Interface"])
            interface.name = name
            interface.type = "internal" if name == "bridge" else ""
            ports[name] = change.insert(client.idl.tables["Port"])
            ports[name].name = name
            ports[name].interfaces = [interface]
            bridge.addvalue("ports", ports[name])
        mirror = change.insert(client.idl.tables["Mirror"])
        mirror.name = "span0"
        mirror.select_src_port = [ports["t1"]]
        mirror.output_port = ports["probe"]
        bridge.mirrors = [mirror]
        system.addvalue("bridges", bridge)
        system.increment("next_cfg")
        committed(change)
        assert change.get_increment_new_value() >= 1
        assert client.row("Bridge", "bridge").uuid == change.get_insert_uuid(bridge.uuid)
        client.wait(lambda: client.rows("Open_vSwitch")[0].cur_cfg >= change.get_increment_new_value(), "the switch has followed")
        assert sorted(port.name for port in client.row("Bridge", "bridge").ports) == ["bridge", "probe", "t1", "t2"]
        assert client.row("Interface", "t1").ofport[0] > 0 and client.row("Interface", "bridge").ofport == [65534]
        t1.wire.send(frame(mac(1), BROADCAST, b"copied"))
        assert len(t2.wire.settle(1)) == 1 and len(probe.wire.settle(1)) == 1

        change = client.transaction()
        client.row("Bridge", "bridge").delvalue("mirrors", client.row("Mirror", "span0"))
        client.row("Port", "t1").tag = 7
        committed(change)
        assert client.row("Mirror", "span0") is None, "what nobody refers to is gone"
        change = client.transaction()
        system = client.rows("Open_vSwitch")[0]
        system.bridges = [bridge for bridge in system.bridges if bridge.name != "bridge"]
        committed(change)
        assert client.row("Bridge", "bridge") is None and client.row("Interface", "t1") is None
    assert lab.net.switch_run("ip", "link", "show", "bridge", check=False).returncode != 0


def test_what_is_refused_and_what_came_too_late(lab: Lab) -> None:
    lab.host("t1")
    with Client(lab.daemon, Port=["name", "tag"], Bridge=["name", "external_ids"]) as one, \
            Client(lab.daemon, Port=["name", "tag"], Bridge=["name", "external_ids"]) as other:
        change = one.transaction()
        port = one.row("Port", "t1")
        port.verify("tag")
        port.tag = 5
        late = other.transaction()
        port = other.row("Port", "t1")
        port.verify("tag")
        port.tag = 6
        committed(change)
        assert finished(late) == idl.Transaction.TRY_AGAIN
        other.wait(lambda: other.row("Port", "t1").tag == [5], "the other's change")
        change = other.transaction()
        other.row("Bridge", "br0").setkey("external_ids", "k", "v")
        committed(change)
        one.wait(lambda: one.row("Bridge", "br0").external_ids == {"k": "v"}, "a key of a map")
        change = one.transaction()
        one.row("Bridge", "br0").delkey("external_ids", "k")
        committed(change)
        other.wait(lambda: other.row("Bridge", "br0").external_ids == {}, "a key that is gone")
        change = one.transaction()
        for name in ("twin", "twin"):  # unreferenced, they would be gone; the index is looked at after that
            change.insert(one.idl.tables["Bridge"]).name = name
        committed(change)
        change = one.transaction()
        one.row("Port", "t1").tag = 5
        one.row("Port", "t1").addvalue("tag", 6)  # two values where one is allowed
        assert finished(change) == idl.Transaction.ERROR
        assert json.loads(change.get_error())["error"] == "constraint violation"


def test_a_lock_is_handed_on(daemon: Daemon) -> None:
    with Client(daemon, lock="leader", Queue=["dscp"]) as second:  # alone: gets it
        second.wait(lambda: second.idl.has_lock, "the lock")
        with Client(daemon, lock="leader", Queue=["dscp"]) as other:
            other.wait(lambda: other.idl.is_lock_contended, "the lock is taken")
            assert not other.idl.has_lock
            refused = other.transaction()
            refused.insert(other.idl.tables["Queue"]).dscp = 1
            assert finished(refused) == idl.Transaction.NOT_LOCKED
            allowed = second.transaction()
            allowed.insert(second.idl.tables["Queue"]).dscp = 2
            committed(allowed)
            second.idl.set_lock(None)
            second.run()
            other.wait(lambda: other.idl.has_lock, "the lock, free again")
            allowed = other.transaction()
            allowed.insert(other.idl.tables["Queue"]).dscp = 3
            committed(allowed)
    with Client(daemon, lock="leader", Queue=["dscp"]) as after:
        after.wait(lambda: after.idl.has_lock, "the lock of one who has gone")
        assert sorted(row.dscp[0] for row in after.rows("Queue")) == [2, 3]


def test_conditions_choose_the_rows_and_can_change(daemon: Daemon) -> None:
    def dscps(client: Client) -> list[Any]:
        return sorted(row.dscp[0] for row in client.rows("Queue"))

    with Client(daemon, Queue=["dscp"]) as writer, Client(daemon, conditions={"Queue": [["dscp", "==", 5]]}, Queue=["dscp"]) as client:
        change = writer.transaction()
        for dscp in (4, 5, 6, 7):
            change.insert(writer.idl.tables["Queue"]).dscp = dscp
        committed(change)
        client.wait(lambda: dscps(client) == [5], "the row asked for")
        client.idl.cond_change("Queue", [["dscp", ">", 5]])
        client.wait(lambda: dscps(client) == [6, 7], "other rows asked for")
        change = writer.transaction()
        next(row for row in writer.rows("Queue") if row.dscp == [4]).dscp = 40
        next(row for row in writer.rows("Queue") if row.dscp == [7]).dscp = 0
        committed(change)
        client.wait(lambda: dscps(client) == [6, 40], "rows that come and go with their values")
        client.idl.cond_change("Queue", [["dscp", "==", 0], ["dscp", "==", 5]])
        client.wait(lambda: dscps(client) == [0, 5], "either of two")
        client.idl.cond_change("Queue", [True])
        client.wait(lambda: dscps(client) == [0, 5, 6, 40], "all")
        client.idl.cond_change("Queue", [False])
        client.wait(lambda: dscps(client) == [], "none")
        assert dscps(writer) == [0, 5, 6, 40]


@pytest.mark.parametrize("end", ["SIGTERM", "kill -9"])
def test_it_comes_back_after_the_daemon_does(lab: Lab, end: str) -> None:
    lab.host("t1")
    with Client(lab.daemon, Open_vSwitch=["bridges", "cur_cfg"], Bridge=["name", "ports"], Port=["name", "tag"],
                Interface=["name", "ofport", "link_state"]) as client:
        before = {table: {row.uuid for row in client.rows(table)} for table in ("Bridge", "Port", "Interface")}
        ofport = client.row("Interface", "t1").ofport
        changes = client.idl.change_seqno
        if end == "SIGTERM":
            assert lab.daemon.stop() == 0
        else:
            lab.daemon.kill9()
        client.run()
        lab.daemon.start()
        client.wait(lambda: client.idl.change_seqno > changes, "it is connected again")
        assert {table: {row.uuid for row in client.rows(table)} for table in before} == before
        client.wait(lambda: client.row("Interface", "t1").link_state == ["up"], "the port works again")
        assert client.row("Interface", "t1").ofport == ofport
        change = client.transaction()
        client.row("Port", "t1").tag = 9
        committed(change)
    assert lab.port("t1")["tag"] == 9
