#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Records the transcripts: unmodified clients talk to Debian's ovsdb-server, which serves our schema, through a proxy that takes notes.

Usage (as root): tests/wire/record.py [NAME...]. To be run for another session, or if a column that stock clients know changes; what it
writes is checked in. tests/system/test_wire.py says the clients' part to vswitchd and compares.
"""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

from net import PATIENCE_S  # noqa: E402
from openvswitch import OpenVswitch  # noqa: E402
from transcript import Neutral  # noqa: E402

import ovs.db.idl  # noqa: E402
import ovs.poller  # noqa: E402


class Messages:
    """JSON texts out of a stream."""

    def __init__(self) -> None:
        self.bytes = b""
        self.text = ""

    def feed(self, data: bytes) -> Iterator[Any]:
        self.bytes += data
        with contextlib.suppress(UnicodeDecodeError):  # cut inside of a character
            self.text += self.bytes.decode()
            self.bytes = b""
        with contextlib.suppress(ValueError):
            while self.text.strip():
                message, end = json.JSONDecoder().raw_decode(self.text.lstrip())
                self.text = self.text.lstrip()[end:]
                yield message


class Proxy(contextlib.AbstractContextManager):
    """Listens in a run directory of its own and passes everything on; .lines is what was said, in one order that led to it."""

    def __init__(self, directory: pathlib.Path, server: pathlib.Path) -> None:
        self.rundir = pathlib.Path(directory) / "proxy"
        self.rundir.mkdir()
        self.server = server
        self.lines: list[Any] = []
        self.neutral = Neutral()
        self.peers: dict[socket.socket, Any] = {}  # socket -> (the other end, its connection, ">" or "<", Messages)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.rundir / "db.sock"))
        self.listener.listen()
        self.stopping = False
        self.connections = 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.stopping = True
        self.thread.join(PATIENCE_S)
        for peer in [*self.peers, self.listener]:
            peer.close()

    def accept(self) -> None:
        client, _ = self.listener.accept()
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.connect(str(self.server))
        self.peers[client] = (server, self.connections, ">", Messages())
        self.peers[server] = (client, self.connections, "<", Messages())
        self.connections += 1

    def run(self) -> None:
        while not self.stopping:
            for ready in select.select([self.listener, *self.peers], [], [], 0.05)[0]:
                if ready is self.listener:
                    self.accept()
                elif ready in self.peers:
                    self.pass_on(ready)

    def pass_on(self, ready: Any) -> None:
        other, connection, direction, messages = self.peers[ready]
        try:
            data = ready.recv(1 << 20)
            self.lines += [[connection, direction, self.neutral(message)] for message in messages.feed(data)]
            if data:
                return other.sendall(data)
        except ConnectionError:
            pass
        if direction == ">":
            self.lines.append([connection, "x"])
        for end in (ready, other):
            del self.peers[end]
            end.close()

    def settle(self) -> None:
        """Waits until nobody has said anything for a while."""
        seen = -1
        while seen != len(self.lines):
            seen = len(self.lines)
            time.sleep(0.3)


class Clients:
    """The programs and libraries whose sessions are recorded."""

    def __init__(self, proxy: Proxy, closing: contextlib.ExitStack) -> None:
        self.proxy = proxy
        self.closing = closing
        self.environment = {**os.environ, "OVS_RUNDIR": str(proxy.rundir)}

    def run(self, program: str, *args: str) -> None:
        subprocess.run([program, *map(str, args)], env=self.environment, capture_output=True, timeout=30)
        self.proxy.settle()

    def vsctl(self, line: str) -> None:
        self.run("ovs-vsctl", "--no-wait", *line.split())

    def transact(self, *operations: Any) -> None:
        self.run("ovsdb-client", "transact", json.dumps(["Open_vSwitch", *operations]))

    def start(self, *args: str) -> Callable[[], None]:
        """ovsdb-client that runs on; returns what ends it."""
        process = subprocess.Popen(["ovsdb-client", *args], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def end() -> None:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_S)
                self.proxy.settle()

        self.closing.callback(end)
        self.proxy.settle()
        return end

    def idl(self, schema: Any, lock: Any = None, conditions: Any = None, **tables: Any) -> tuple[Any, ...]:
        """A replica in Python; returns it and what makes it work for a while."""
        helper = ovs.db.idl.SchemaHelper(schema_json=schema)
        for table, columns in tables.items():
            helper.register_columns(table, columns)
        replica = ovs.db.idl.Idl(f"unix:{self.proxy.rundir}/db.sock", helper)
        replica.set_lock(lock)
        for table, condition in (conditions or {}).items():
            replica.cond_change(table, condition)
        self.closing.callback(replica.close)

        def work() -> None:
            quiet = 0
            while quiet < 3:
                before = len(self.proxy.lines)
                replica.run()
                poller = ovs.poller.Poller()
                replica.wait(poller)
                poller.timer_wait(100)
                poller.block()
                quiet = quiet + 1 if len(self.proxy.lines) == before else 0

        work()
        return replica, work


def ports_and_bridges(clients: Clients) -> None:
    for line in ("add-br br0", "add-port br0 p1 tag=5 -- set Interface p1 type=internal", "--may-exist add-port br0 p1",
                 "add-port br0 p2 trunks=10,20 vlan_mode=native-untagged", "add-port br0 p1", "list-ports br0", "port-to-br p2",
                 "set Port p1 tag=4095", "set Port p1 tag=6 other_config:a=b", "remove Port p2 trunks 20 -- clear Port p1 other_config",
                 "set Port p2 name=p9", "show", "get Port p1 tag other_config", "set Bridge br0 external_ids:k=v flood_vlans=7,8",
                 "br-set-external-id br0 k", "add-bond br0 bond0 p3 p4", "del-port br0 p2", "del-port p1 -- del-port bond0", "list-br",
                 "del-br br0 -- add-br br0", "--if-exists del-br nosuch", "del-br br0", "show"):
        clients.vsctl(line)


def mirrors(clients: Clients) -> None:
    for line in ("add-br br0 -- add-port br0 t1 -- add-port br0 t2 -- add-port br0 probe",
                 "--id=@m create Mirror name=span0 select_all=true -- --id=@p get Port probe -- add Bridge br0 mirrors @m "
                 "-- set Mirror span0 output_port=@p",
                 "list Mirror span0",
                 "--id=@t get Port t1 -- set Mirror span0 select_all=false select_src_port=@t select_dst_port=@t snaplen=100",
                 "set Mirror span0 snaplen=13", "set Mirror span0 output_vlan=0", "set Mirror span0 select_vlan=10,20 external_ids:a=b",
                 "create Mirror name=unreferenced", "destroy Mirror span0", "find Mirror name=span0",
                 "del-port probe", "get Mirror span0 output_port name", "remove Bridge br0 mirrors span0", "clear Bridge br0 mirrors",
                 "list Mirror"):
        clients.vsctl(line)


def one_shot_commands(clients: Clients) -> None:
    for command in (["list-dbs"], ["get-schema"], ["get-schema-version"], ["get-schema-cksum", "_Server"], ["list-tables"],
                    ["list-columns", "_Server"], ["wait", "Open_vSwitch", "connected"], ["dump", "Open_vSwitch", "Queue", "dscp"],
                    ["query", '["Open_vSwitch",{"op":"delete","table":"Queue","where":[]}]'], ["dump", "Open_vSwitch", "Queue"],
                    ["dump", "nosuch"], ["dump", "_Server", "Database", "name", "model", "connected", "leader"]):
        if command[0] == "dump" and command[-1] == "Queue":
            clients.transact({"op": "insert", "table": "Queue",
                              "row": {"dscp": 9, "external_ids": ["map", [["a", "\u00e9\"\\"], ["b", ""]]]}})
        clients.run("ovsdb-client", *command)


def operations(clients: Clients) -> None:
    queue: dict[str, Any] = {"op": "insert", "table": "Queue"}
    every: dict[str, Any] = {"table": "Queue", "where": []}
    transactions: tuple[list[dict[str, Any]], ...] = (
        [{**queue, "row": {"dscp": 5}}, {**queue, "row": {"dscp": 6, "external_ids": ["map", [["k", "v"]]]}, "uuid-name": "q"},
         {"op": "insert", "table": "QoS", "row": {"type": "linux-htb", "queues": ["map", [[1, ["named-uuid", "q"]]]]}}],
        [{"op": "select", **every}], [{"op": "select", "table": "QoS", "where": [["type", "==", "linux-htb"]]}],
        [{"op": "select", **every, "columns": ["dscp", "external_ids"]}],
        [{"op": "mutate", **every, "mutations": [["dscp", "+=", 1], ["external_ids", "insert", ["map", [["k", "w"], ["l", "x"]]]]]}],
        [{"op": "select", **every, "columns": ["external_ids", "_uuid"]}],
        [{"op": "update", **every, "row": {"dscp": 64}}], [{"op": "update", **every, "row": {"dscp": "x"}}],
        [{"op": "update", **every, "row": {"nocolumn": 1}}], [{"op": "frob"}], [{"op": "delete", "table": "Nosuch", "where": []}],
        [{**queue, "row": {}}, {"op": "abort"}, {"op": "comment", "comment": "not reached"}],
        [{"op": "comment", "comment": "nothing"}, {"op": "assert", "lock": "nobodys"}],
        [{"op": "delete", "table": "Queue", "where": [["external_ids", "includes", ["map", [["k", "v"]]]]]}],
        [{"op": "insert", "table": "Port", "row": {"name": "p", "interfaces": ["uuid", "01234567-89ab-4def-8123-456789abcdef"]}},
         {"op": "insert", "table": "Open_vSwitch", "row": {}}],
        [{"op": "insert", "table": "QoS",
          "row": {"type": "q", "queues": ["map", [[0, ["uuid", "01234567-89ab-4def-8123-456789abcdef"]]]]}}],
        [{**queue, "row": {"dscp": 1}, "uuid-name": "q"}, {**queue, "row": {"dscp": 2}, "uuid-name": "q"}],
        [{"op": "wait", **every, "columns": ["dscp"], "until": "==", "rows": [{"dscp": 60}], "timeout": 20}],
        [{"op": "wait", **every, "columns": ["dscp"], "until": "!=", "rows": [{"dscp": 60}], "timeout": 0},
         {"op": "commit", "durable": True}])
    for transaction in transactions:
        clients.transact(*transaction)


def monitors(clients: Clients) -> None:
    columns = "dscp,external_ids"
    for kind in (["monitor", "Open_vSwitch", "Queue", columns], ["monitor", "Open_vSwitch", "Queue"],
                 ["monitor", "Open_vSwitch", "Queue", "dscp,!initial,!delete", "QoS", "type"],
                 ["monitor-cond", "Open_vSwitch", '[["dscp",">",6]]', "Queue", columns],
                 ["monitor-cond-since", "Open_vSwitch", '[["dscp","==",7],["dscp","==",9]]', "Queue", columns],
                 ["monitor", "Open_vSwitch", "Bridge", "name,ports,mirrors", "Port", "name,tag,trunks", "Mirror",
                  "name,select_src_port,output_port"],
                 ["monitor", "Open_vSwitch", "Queue", "nocolumn"], ["monitor", "_Server", "ALL"]):
        clients.start(*kind)
    queue = {"table": "Queue"}
    for operation in ({"op": "insert", **queue, "row": {"dscp": 7}},
                      {"op": "insert", **queue, "row": {"external_ids": ["map", [["a", "b"]]]}},
                      {"op": "update", **queue, "where": [["dscp", "==", 7]], "row": {"dscp": 9}},
                      {"op": "mutate", **queue, "where": [["dscp", "==", 9]],
                       "mutations": [["external_ids", "insert", ["map", [["a", "b"], ["c", "d"]]]]]},
                      {"op": "mutate", **queue, "where": [["dscp", "==", 9]],
                       "mutations": [["external_ids", "delete", ["set", ["a"]]], ["dscp", "-=", 3]]},
                      {"op": "update", **queue, "where": [["dscp", "==", 6]], "row": {"dscp": 6}},
                      {"op": "delete", **queue, "where": [["dscp", "==", 6]]}):
        clients.transact(operation)
    for line in ("add-br br0 -- add-port br0 t1 tag=3 -- add-port br0 t2 trunks=4,5",
                 "--id=@m create Mirror name=m output_vlan=9 -- --id=@t get Port t1 -- set Mirror m select_src_port=@t "
                 "-- set Bridge br0 mirrors=@m",
                 "set Port t2 trunks=5,6 tag=7", "del-port t1", "del-br br0"):
        clients.vsctl(line)


def locks(clients: Clients) -> None:
    first = clients.start("lock", "mine")
    second = clients.start("lock", "mine")
    thief = clients.start("steal", "mine")
    other = clients.start("lock", "other")
    thief()
    first()
    other()
    second()
    clients.run("ovsdb-client", "--timeout=1", "lock", "not an id")


def waits(clients: Clients) -> None:
    """Two transactions that wait, one for what another client brings about, one in vain."""
    wait = {"op": "wait", "table": "Queue", "where": [], "columns": ["dscp"], "until": "==", "rows": [{"dscp": 11}]}
    answer = {"op": "mutate", "table": "Queue", "where": [], "mutations": [["dscp", "+=", 1]]}
    clients.start("transact", json.dumps(["Open_vSwitch", {**wait, "timeout": 60000}, answer]))
    clients.start("transact", json.dumps(["Open_vSwitch", {**wait, "timeout": 700, "rows": [{"dscp": 50}]}]))
    time.sleep(1)
    clients.transact({"op": "insert", "table": "Queue", "row": {"dscp": 10}})
    clients.transact({"op": "update", "table": "Queue", "where": [], "row": {"dscp": 11}})
    clients.transact({"op": "select", "table": "Queue", "where": [], "columns": ["dscp"]})


def python_replica(clients: Clients) -> None:
    schema = json.loads((HERE.parents[1] / "schemas" / "vswitch.ovsschema").read_text())
    one, one_works = clients.idl(schema, lock="leader", Queue=["dscp", "external_ids"], QoS=["type", "queues"])
    other, other_works = clients.idl(schema, conditions={"Queue": [["dscp", ">", 5]]}, Queue=["dscp"], QoS=["type"])

    def commit(replica: Any, change: Any) -> None:
        transaction = ovs.db.idl.Transaction(replica)
        transaction.add_comment("a transcript")
        change(transaction)
        deadline = time.monotonic() + PATIENCE_S
        while transaction.commit() == ovs.db.idl.Transaction.INCOMPLETE:
            assert time.monotonic() < deadline, "no answer to the transaction"
            replica.run()
            time.sleep(0.01)
        one_works()
        other_works()

    def rows(replica: Any, table: str) -> list[Any]:
        return list(replica.tables[table].rows.values())

    def insert(transaction: Any) -> None:
        queue = transaction.insert(one.tables["Queue"])
        queue.dscp = 7
        qos = transaction.insert(one.tables["QoS"])
        qos.type = "linux-hfsc"
        qos.queues = {1: queue}

    def verified(transaction: Any) -> None:
        queue = rows(one, "Queue")[0]
        queue.verify("dscp")
        queue.dscp = 8
        queue.setkey("external_ids", "k", "v")

    def too_late(transaction: Any) -> None:  # the other one has not seen it yet: its transaction has to be tried again
        queue = rows(other, "Queue")[0]
        queue.verify("dscp")
        stale = queue.dscp
        queue.dscp = 9
        change = {"op": "update", "table": "Queue", "where": [], "row": {"dscp": 10}}
        subprocess.run(["ovsdb-client", "transact", json.dumps(["Open_vSwitch", change])], env=clients.environment, capture_output=True,
                       check=True, timeout=30)
        assert stale == [8]

    commit(one, insert)
    commit(one, verified)
    commit(other, too_late)
    other.cond_change("Queue", [["dscp", "<", 5]])
    other_works()
    commit(one, lambda transaction: rows(one, "Queue")[0].delkey("external_ids", "k"))
    commit(one, lambda transaction: setattr(rows(one, "Queue")[0], "dscp", 4))
    other.cond_change("Queue", [True])
    other_works()
    other.set_lock("leader")
    other_works()
    one.set_lock(None)
    one_works()
    other_works()
    commit(other, lambda transaction: rows(other, "QoS")[0].delete())


SESSIONS = {
    "ovs-vsctl-ports": ports_and_bridges,
    "ovs-vsctl-mirrors": mirrors,
    "ovsdb-client-commands": one_shot_commands,
    "ovsdb-client-transact": operations,
    "ovsdb-client-monitor": monitors,
    "ovsdb-client-lock": locks,
    "ovsdb-client-wait": waits,
    "python-idl": python_replica,
}


def record(name: str) -> None:
    directory = pathlib.Path(tempfile.mkdtemp())
    try:
        with OpenVswitch(directory, switch=False) as server, Proxy(directory, server.socket) as proxy:
            with contextlib.ExitStack() as closing:
                SESSIONS[name](Clients(proxy, closing))
                proxy.settle()
            lines = list(proxy.lines)
    finally:
        shutil.rmtree(directory)
    text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False, sort_keys=True) + "\n" for line in lines)
    (HERE / f"{name}.jsonl").write_text(text)
    print(f"{name}: {len(lines)} lines")


if __name__ == "__main__":
    for each in sys.argv[1:] or SESSIONS:
        record(each)
