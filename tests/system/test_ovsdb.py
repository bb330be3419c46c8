# SPDX-License-Identifier: Apache-2.0
"""The database as unmodified Open vSwitch clients and tools meet it. No device is asked for: --no-wait, and no bridge's local port."""
from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from lab import PATIENCE_S, Daemon, Rpc, wait_until
from net import stop

pytestmark = pytest.mark.skipif(not shutil.which("ovsdb-client"), reason="needs the openvswitch-common and -switch packages")


def ovs(daemon: Daemon, program: str, *args: str, check: bool = True, **kwargs: Any) -> Any:
    done = subprocess.run([program, *args], env={**os.environ, "OVS_RUNDIR": str(daemon.rundir)}, text=True, capture_output=True,
                          timeout=PATIENCE_S, **kwargs)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def transact(daemon: Daemon, *operations: Any) -> Any:
    done = ovs(daemon, "ovsdb-client", "transact", json.dumps(["Open_vSwitch", *operations]))
    return json.loads(done.stdout)


def insert(table: str, row: Any) -> dict[Any, Any]:
    return {"op": "insert", "table": table, "row": row}


def queues(daemon: Daemon) -> list[Any]:
    rows = transact(daemon, {"op": "select", "table": "Queue", "where": [], "columns": ["dscp"]})[0]["rows"]
    return sorted(row["dscp"] for row in rows)


def test_ovsdb_client_reads_schema_and_contents(daemon: Daemon) -> None:
    assert ovs(daemon, "ovsdb-client", "list-dbs").stdout.split() == ["Open_vSwitch", "_Server"]
    assert ovs(daemon, "ovsdb-client", "get-schema-version").stdout.strip() == "8.3.1"
    assert len(ovs(daemon, "ovsdb-client", "list-tables").stdout.splitlines()) == 2 + 20
    assert "select_src_port" in ovs(daemon, "ovsdb-client", "list-columns", "Mirror").stdout
    transact(daemon, insert("QoS", {"type": "linux-htb", "external_ids": ["map", [["a", "b"]]]}))
    assert "linux-htb" in ovs(daemon, "ovsdb-client", "dump", "QoS", "type").stdout
    ovs(daemon, "ovsdb-client", "wait", "Open_vSwitch", "connected")
    refused = ovs(daemon, "ovsdb-client", "convert", "/usr/share/openvswitch/vswitch.ovsschema", check=False)
    assert refused.returncode == 1 and "not supported" in refused.stderr


def test_ovs_vsctl_creates_reads_and_destroys_rows(daemon: Daemon) -> None:
    def vsctl(*args: str) -> str:
        return ovs(daemon, "ovs-vsctl", "--no-wait", *args).stdout.strip()

    vsctl("init")
    row = vsctl("create", "QoS", "type=linux-hfsc", "other_config:max-rate=123", "queues:7=@q", "--", "--id=@q", "create", "Queue",
                "dscp=9").split()[0]
    assert vsctl("get", "QoS", row, "other_config:max-rate") == '"123"'
    vsctl("set", "QoS", row, "external_ids:owner=me", "--", "remove", "QoS", row, "other_config", "max-rate")
    assert vsctl("--columns=external_ids,other_config", "--bare", "find", "QoS", "type=linux-hfsc").split() == ["owner=me"]
    again = ovs(daemon, "ovs-vsctl", "--no-wait", "set", "Queue", vsctl("get", "QoS", row, "queues:7"), "dscp=64", check=False)
    assert again.returncode == 1
    assert "64 is not in the valid range 0 to 63 (inclusive)" in again.stderr
    vsctl("destroy", "QoS", row, "--", "--all", "destroy", "Queue")
    assert queues(daemon) == []


def test_vsctl_waits_until_a_condition_holds(daemon: Daemon) -> None:
    ovs(daemon, "ovs-vsctl", "--no-wait", "init")
    waiting = subprocess.Popen(["ovs-vsctl", "wait-until", "Open_vSwitch", ".", "external_ids:go=yes"],
                               env={**os.environ, "OVS_RUNDIR": str(daemon.rundir)})
    try:
        wait_until(lambda: "monitors:" in ovs(daemon, "ovs-appctl", "memory/show").stdout, "it has asked for the rows")
        # A change that is not the one: it has seen that when a client that came after it has.
        other = subprocess.Popen(["ovs-vsctl", "wait-until", "Open_vSwitch", ".", "external_ids:go=not-yet"],
                                 env={**os.environ, "OVS_RUNDIR": str(daemon.rundir)})
        try:
            ovs(daemon, "ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", "external_ids:go=not-yet")
            assert other.wait(PATIENCE_S) == 0
        finally:
            stop(other)
        assert waiting.poll() is None
        ovs(daemon, "ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", "external_ids:go=yes")
        assert waiting.wait(PATIENCE_S) == 0
    finally:
        stop(waiting)


def test_what_was_acknowledged_is_there_after_kill_9(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon().start()
    for dscp in range(5):
        assert "uuid" in transact(daemon, insert("Queue", {"dscp": dscp}))[0]
        daemon.kill9()
        daemon.start()
        assert queues(daemon) == list(range(dscp + 1))


def test_the_file_is_read_by_ovsdb_tool_and_ovsdb_server_and_theirs_by_us(make_daemon: Callable[..., Daemon],
                                                                          tmp_path: pathlib.Path) -> None:
    daemon = make_daemon().start()
    transact(daemon, insert("Queue", {"dscp": 11}), {"op": "comment", "comment": "a word to the log"})
    transact(daemon, {"op": "update", "table": "Queue", "where": [], "row": {"external_ids": ["map", [["k", "v\u00e9"], ["l", "w"]]]}})
    transact(daemon, {"op": "mutate", "table": "Queue", "where": [], "mutations": [["external_ids", "delete", ["set", ["l"]]]]})
    daemon.end()
    file = str(daemon.database)
    log = subprocess.check_output(["ovsdb-tool", "show-log", file], text=True, timeout=PATIENCE_S)
    assert "a word to the log" in log and "synced to byte" in log
    query = json.dumps(["Open_vSwitch", {"op": "select", "table": "Queue", "where": [], "columns": ["dscp", "external_ids"]}])
    expected = [{"rows": [{"dscp": 11, "external_ids": ["map", [["k", "v\u00e9"]]]}]}]
    assert json.loads(subprocess.check_output(["ovsdb-tool", "query", file, query], timeout=PATIENCE_S)) == expected
    change = json.dumps(["Open_vSwitch", {"op": "mutate", "table": "Queue", "where": [],
                                          "mutations": [["external_ids", "insert", ["map", [["from", "ovsdb-server"]]]]]}])
    command = ["/usr/sbin/ovsdb-server", "--no-chdir", f"--remote=punix:{tmp_path}/other.sock", f"--unixctl={tmp_path}/other.ctl",
               "-vconsole:off", file]
    other = subprocess.Popen(command)
    try:
        wait_until((tmp_path / "other.sock").exists, "ovsdb-server serves our file")
        reply = subprocess.check_output(["ovsdb-client", "transact", f"unix:{tmp_path}/other.sock", change], timeout=PATIENCE_S)
        assert json.loads(reply) == [{"count": 1}]
        refused = daemon.command()
        done = subprocess.run(refused, text=True, capture_output=True, timeout=PATIENCE_S)
        assert done.returncode == 1 and f"process {other.pid} holds the lock" in done.stderr
    finally:
        stop(other)
    subprocess.check_call(["ovsdb-tool", "compact", file], timeout=PATIENCE_S)
    daemon.start()
    rows = transact(daemon, {"op": "select", "table": "Queue", "where": [], "columns": ["external_ids"]})[0]["rows"]
    assert rows == [{"external_ids": ["map", [["from", "ovsdb-server"], ["k", "v\u00e9"]]]}]


def test_an_existing_installation_is_converted_and_kept(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    subprocess.check_call(["ovsdb-tool", "create", str(daemon.database), "/usr/share/openvswitch/vswitch.ovsschema"],
                          timeout=PATIENCE_S)
    subprocess.check_call(["ovsdb-tool", "transact", str(daemon.database), json.dumps(["Open_vSwitch", insert("Queue", {"dscp": 33})])],
                          stdout=subprocess.DEVNULL, timeout=PATIENCE_S)
    before = daemon.database.read_bytes()
    daemon.start()
    assert queues(daemon) == [33]
    assert daemon.database.with_name("conf.db.backup-8.3.1").read_bytes() == before
    assert "converted" in daemon.log_text()


def test_damage_is_refused_and_a_torn_tail_is_kept(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon().start()
    transact(daemon, insert("Queue", {"dscp": 7}))
    transact(daemon, insert("Queue", {"dscp": 44}))
    daemon.end()
    whole = daemon.database.read_bytes()

    last = bytearray(whole)  # complete, acknowledged, synced: a flipped bit in it is no torn tail
    last[whole.rindex(b'"dscp":44') + 8] ^= 1
    daemon.database.write_bytes(last)
    done = subprocess.run(daemon.command(), text=True, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert "SHA-1 does not match at byte" in done.stderr and "restore a backup" in done.stderr, done.stderr
    assert daemon.database.read_bytes() == last

    daemon.database.write_bytes(whole + b"OVSDB JSON 512 0123")
    daemon.start()
    assert queues(daemon) == [7, 44]
    kept, = daemon.directory.glob("conf.db.torn-*")
    assert kept.read_bytes() == b"OVSDB JSON 512 0123"
    assert kept.stat().st_mode == daemon.database.stat().st_mode
    assert str(kept) in daemon.log_text()


def test_backup_and_restore(daemon: Daemon, tmp_path: pathlib.Path) -> None:
    transact(daemon, insert("Queue", {"dscp": 5}), insert("Queue", {"dscp": 6}))
    backup = tmp_path / "backup"  # ovsdb-client wants to seek in it
    backup.write_text(ovs(daemon, "ovsdb-client", "backup").stdout)
    transact(daemon, {"op": "delete", "table": "Queue", "where": [["dscp", "==", 5]]}, insert("Queue", {"dscp": 40}))
    with backup.open() as text:
        ovs(daemon, "ovsdb-client", "restore", stdin=text)
    assert queues(daemon) == [5, 6]


def test_a_monitor_sees_the_changes_of_another_client(daemon: Daemon) -> None:
    with Rpc(daemon.socket) as client:
        assert client.call("monitor_cond", ["Open_vSwitch", ["m", 1], {"Queue": [{"columns": ["dscp"]}]}], version=1) == {}
        ovs(daemon, "ovs-vsctl", "--no-wait", "create", "Queue", "dscp=21")
        message = client.receive()
        assert message["method"] == "update2" and message["id"] is None
        (update,) = message["params"][1]["Queue"].values()
        assert update == {"insert": {"dscp": 21}}


def test_fifty_clients_increment_one_number(daemon: Daemon) -> None:
    ovs(daemon, "ovs-vsctl", "--no-wait", "init")
    mutation = {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]}
    start = transact(daemon, {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]})[0]["rows"][0]["next_cfg"]
    clients = [Rpc(daemon.socket) for _ in range(50)]
    request = json.dumps({"method": "transact", "params": ["Open_vSwitch", mutation], "id": 7}).encode()
    for client in clients:
        client.socket.sendall(request * 4)
    for client in clients:
        for _ in range(4):
            assert client.receive()["result"] == [{"count": 1}]
        client.close()
    rows = transact(daemon, {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]})[0]["rows"]
    assert rows[0]["next_cfg"] == start + 200
