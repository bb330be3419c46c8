# SPDX-License-Identifier: Apache-2.0
"""Every command of ovsdb-client(1), unmodified: its output is that of an ovsdb-server that serves our schema."""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import openvswitch
from lab import PATIENCE_S, Daemon, wait_until
from net import stop, threads

pytestmark = openvswitch.needed

ORIGINAL_SCHEMA = pathlib.Path("/usr/share/openvswitch/vswitch.ovsschema")
Q = "22222222-2222-2222-2222-222222222222"

# `$` stands for `transact ["Open_vSwitch",`; a line that begins with `~` prints in an order that is nobody's promise.
SESSIONS = {
    "schema": f"""
        list-dbs
        get-schema
        get-schema Open_vSwitch
        get-schema-version
        get-schema-version Open_vSwitch
        get-schema-version _Server
        get-schema-version nosuch
        get-schema-cksum
        ~list-tables
        ~list-tables Open_vSwitch
        list-tables _Server
        ~-f csv list-columns
        ~-f csv list-columns Mirror
        ~-f csv list-columns Open_vSwitch Port
        ~-f csv list-columns _Server
        get-schema unix:/nonexistent
        frob
        wait Open_vSwitch added
        wait Open_vSwitch connected
        wait Open_vSwitch frob
        wait nosuch removed
        needs-conversion {openvswitch.SCHEMA}
        needs-conversion {ORIGINAL_SCHEMA}
    """,
    "operations": f"""
        ${{"op":"insert","table":"Queue","row":{{"dscp":5,"external_ids":["map",[["a","b"]]]}}}},{{"op":"insert","table":"QoS","row":{{"type":"linux-htb"}}}}]
        ${{"op":"select","table":"Queue","where":[],"columns":["dscp","external_ids"]}}]
        query ["Open_vSwitch",{{"op":"select","table":"Queue","where":[]}}]
        query ["Open_vSwitch",{{"op":"delete","table":"Queue","where":[]}}]
        query ["Open_vSwitch",{{"op":"delete","table":"Queue","where":[]}},{{"op":"commit","durable":true}}]
        ${{"op":"select","table":"Queue","where":[],"columns":["dscp"]}}]
        transact ["nosuch",{{"op":"delete","table":"Queue","where":[]}}]
        ${{"op":"delete","table":"Nosuch","where":[]}}]
        ${{"op":"frob"}}]
        ${{"op":"insert","table":"Queue","row":{{"dscp":64}}}}]
        ${{"op":"insert","table":"Queue","row":{{"nocol":64}}}}]
        ${{"op":"insert","table":"Queue","row":{{"dscp":"x"}}}}]
        ${{"op":"insert","table":"Queue","row":{{"dscp":1.5}}}}]
        ${{"op":"insert","table":"Queue","row":{{"dscp":["set",[1,2]]}}}}]
        ${{"op":"insert","table":"Queue","row":{{"external_ids":["map",[["a","b"],["a","c"]]]}}}}]
        ${{"op":"insert","table":"Mirror","row":{{"name":"unreferenced"}}}}]
        ${{"op":"insert","table":"Mirror","row":{{"name":"x","output_port":["uuid","{Q}"]}}}}]
        ${{"op":"insert","table":"QoS","row":{{"type":"q","queues":["map",[[0,["uuid","{Q}"]]]]}}}}]
        ${{"op":"insert","table":"QoS","row":{{"type":"q","queues":["map",[[0,["named-uuid","q"]]]]}}}},{{"op":"insert","table":"Queue","uuid-name":"q","row":{{"dscp":8}}}}]
        ${{"op":"insert","table":"QoS","row":{{"type":"q","queues":["map",[[0,["named-uuid","nope"]]]]}}}}]
        ${{"op":"insert","table":"Queue","uuid-name":"q","row":{{}}}},{{"op":"insert","table":"Queue","uuid-name":"q","row":{{}}}}]
        ${{"op":"insert","table":"Queue","uuid":"{Q}","row":{{"dscp":9}}}}]
        ${{"op":"insert","table":"Queue","uuid":"{Q}","row":{{"dscp":9}}}}]
        ${{"op":"select","table":"Queue","where":[["dscp","==",9]]}}]
        ${{"op":"select","table":"Queue","where":[["_uuid","==",["uuid","{Q}"]]],"columns":["dscp","_uuid"]}}]
        ${{"op":"select","table":"Queue","where":[["dscp",">",8]],"columns":["dscp"]}}]
        ${{"op":"select","table":"Queue","where":[["dscp","frob",8]]}}]
        ${{"op":"select","table":"Queue","where":[["nocol","==",8]]}}]
        ${{"op":"select","table":"Queue","where":[["dscp","=="]]}}]
        ${{"op":"select","table":"Queue","where":[["external_ids","includes",["map",[["a","b"]]]]],"columns":["dscp"]}}]
        ${{"op":"select","table":"Queue","where":[["external_ids","excludes",["map",[["a","b"]]]],["dscp","<",9]],"columns":["dscp"]}}]
        ${{"op":"select","table":"Queue","where":[false]}}]
        ${{"op":"update","table":"Queue","where":[["dscp","==",9]],"row":{{"dscp":10}}}}]
        ${{"op":"update","table":"Queue","where":[["dscp","==",10]],"row":{{"_uuid":["uuid","{Q}"]}}}}]
        ${{"op":"mutate","table":"Queue","where":[["dscp","==",10]],"mutations":[["dscp","+=",1]]}}]
        ${{"op":"mutate","table":"Queue","where":[["dscp","==",11]],"mutations":[["dscp","*=",100]]}}]
        ${{"op":"mutate","table":"Queue","where":[["dscp","==",11]],"mutations":[["dscp","/=",0]]}}]
        ${{"op":"mutate","table":"Queue","where":[["dscp","==",11]],"mutations":[["dscp","%=",4]]}}]
        ${{"op":"mutate","table":"Queue","where":[["dscp","==",3]],"mutations":[["nocol","+=",4]]}}]
        ${{"op":"mutate","table":"Queue","where":[["dscp","==",3]],"mutations":[["external_ids","insert",["map",[["x","y"]]]],["external_ids","delete",["set",["zz"]]]]}}]
        ${{"op":"wait","table":"Queue","where":[["dscp","==",3]],"columns":["dscp"],"until":"==","rows":[{{"dscp":12}}],"timeout":0}}]
        ${{"op":"wait","table":"Queue","where":[["dscp","==",3]],"columns":["dscp"],"until":"!=","rows":[{{"dscp":12}}],"timeout":0}}]
        ${{"op":"wait","table":"Queue","where":[["dscp","==",3]],"columns":["dscp"],"until":"==","rows":[{{"dscp":12}}],"timeout":50}}]
        ${{"op":"insert","table":"Queue","row":{{"dscp":1}}}},{{"op":"abort"}}]
        ${{"op":"comment","comment":"hello"}}]
        ${{"op":"comment"}}]
        ${{"op":"assert","lock":"l"}}]
        ${{"op":"commit","durable":true}}]
        transact ["Open_vSwitch"]
        transact []
        transact {{}}
        transact [5
        ${5}]
        ${{"op":"insert","table":"Queue","row":{{}},"extra":1}}]
        ${{"op":"delete","table":"Queue"}}]
        ${{"op":"delete","table":"Queue","where":[["dscp","==",3]]}}]
        ${{"op":"insert","table":"Open_vSwitch","row":{{}}}}]
        ${{"op":"insert","table":"SSL","row":{{"private_key":"a","certificate":"b","ca_cert":"c"}}}}]
        ${{"op":"insert","table":"Bridge","row":{{"name":"x"}}}},{{"op":"insert","table":"Bridge","row":{{"name":"x"}}}}]
        ${{"op":"update","table":"Bridge","where":[],"row":{{"name":"x"}}}}]
        transact ["_Server",{{"op":"select","table":"Database","where":[["name","==","Open_vSwitch"]],"columns":["name","model","connected","leader","cid","sid","index"]}}]
        transact ["_Server",{{"op":"delete","table":"Database","where":[]}}]
        transact ["_Server",{{"op":"insert","table":"Database","row":{{"name":"x","model":"standalone"}}}}]
        ${{"op":"select","table":"Queue","where":[["dscp","<",8]],"columns":["dscp","external_ids"]}}]
    """,
    "contents": f"""
        ${{"op":"insert","table":"Queue","row":{{"dscp":5,"external_ids":["map",[["a","b"],["c","é \\\\"quoted\\\\""]]]}}}},{{"op":"insert","table":"Queue","uuid":"{Q}","row":{{}}}}]
        dump Queue
        ~-f csv dump Open_vSwitch Queue
        dump Open_vSwitch Queue dscp
        -f csv dump Open_vSwitch Queue dscp external_ids
        -f json dump Open_vSwitch Queue dscp external_ids
        --pretty -f json dump Open_vSwitch Queue dscp
        -f list dump Open_vSwitch Queue dscp external_ids
        -f html --no-headings dump Open_vSwitch Queue dscp external_ids
        -f table -d json dump Open_vSwitch Queue dscp external_ids
        --bare dump Open_vSwitch Queue dscp external_ids
        dump Open_vSwitch Nosuch
        dump Open_vSwitch Queue nocolumn
        dump _Server Database name model connected leader
        dump nosuch
        -t 1 monitor Open_vSwitch Queue nocolumn
        -t 1 monitor Open_vSwitch Queue dscp,dscp
        -t 1 monitor nosuch ALL
        -t 1 monitor-cond Open_vSwitch frob Queue
        lock
        lock unix:/nonexistent l
    """,
    "reserved database": """
        get-schema _Server
        get-schema-cksum _Server
    """,
    "types in words": """
        ${"op":"select","table":"Queue","where":[["external_ids","<",8]]}]
    """,
    "dangling references": """
        ${"op":"insert","table":"Port","row":{"name":"unreferenced, and without an interface"}}]
    """,
}


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Iterator[openvswitch.OpenVswitch]:
    """An ovsdb-server with our schema."""
    with openvswitch.OpenVswitch(tmp_path, switch=False) as server:
        yield server


@pytest.mark.parametrize("session", SESSIONS)
def test_answers_are_those_of_ovsdb_server(server: openvswitch.OpenVswitch, daemon: Daemon, session: str) -> None:
    server.vsctl("--no-wait", "init")
    daemon.ovs("ovs-vsctl", "--no-wait", "init")
    lines = []
    for line in map(str.strip, SESSIONS[session].splitlines()):
        if line.startswith("$"):
            line = "transact " + '["Open_vSwitch",' + line[1:]
        if line.startswith(("transact ", "query ")):
            command, operations = line.split(" ", 1)
            line = f"{command} '{operations}'"
        lines.append(line)
    found = openvswitch.differences("\n".join(lines), server.rundir, daemon.rundir, "ovsdb-client")
    assert not found, f"\n{found}"


class Watcher:
    """ovsdb-client that runs on, such as a monitor; lines() are what it has printed."""

    def __init__(self, rundir: pathlib.Path, directory: pathlib.Path, *args: str) -> None:
        self.output = directory / f"watch{len(list(directory.iterdir()))}"
        with self.output.open("w") as out:
            self.process = subprocess.Popen(["ovsdb-client", "--timeout=60", *args], stdout=out, stderr=subprocess.STDOUT,
                                            env={**os.environ, "OVS_RUNDIR": str(rundir)})

    def lines(self) -> Any:
        return openvswitch.neutral(self.output.read_text()).splitlines()

    def wait(self, count: int) -> Any:
        wait_until(lambda: len(self.lines()) >= count, f"{count} lines of {self.process.args!r}, there are {self.lines()}")
        return self.lines()

    def has_begun(self, rundir: pathlib.Path) -> bool:
        """It sleeps while the server answers somebody else, so the server owes it no answer."""
        before = threads(self.process.pid, "ovsdb-client")
        openvswitch.client(rundir, "ovsdb-client", "list-dbs")
        return bool(before) and before == threads(self.process.pid, "ovsdb-client") and all(one.startswith("S") for one in before.values())

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)


@pytest.fixture
def watch(tmp_path: pathlib.Path) -> Iterator[Callable[..., Watcher]]:
    watchers = []

    def start(rundir: pathlib.Path, *args: str) -> Any:
        watchers.append(Watcher(rundir, tmp_path, *args))
        return watchers[-1]

    with contextlib.ExitStack() as closing:
        yield start
        for watcher in watchers:
            closing.callback(stop, watcher.process)


MONITORS = {
    "monitor": ["-f", "csv", "monitor", "Open_vSwitch", "Queue", "dscp,external_ids"],
    "all columns": ["-f", "csv", "monitor", "Open_vSwitch", "Queue"],
    "no initial, no delete": ["-f", "csv", "monitor", "Open_vSwitch", "Queue", "dscp,!initial,!delete"],
    "cond": ["-f", "csv", "monitor-cond", "Open_vSwitch", '[["dscp","==",7],["dscp","==",9]]', "Queue", "dscp"],
    "cond false": ["-f", "csv", "monitor-cond", "Open_vSwitch", "[false]", "Queue", "dscp"],
    "cond-since": ["-f", "csv", "monitor-cond-since", "Open_vSwitch", '[["dscp",">",6]]', "Queue", "dscp"],
    "cond-since id": ["-f", "csv", "monitor-cond-since", "Open_vSwitch", Q, '[["dscp",">",6]]', "Queue", "dscp"],
    "json": ["-f", "json", "monitor", "Open_vSwitch", "Queue", "dscp"],
}


def test_monitors_tell_what_those_of_ovsdb_server_tell(server: openvswitch.OpenVswitch, daemon: Daemon,
                                                       watch: Callable[..., Watcher]) -> None:
    changes = [
        {"op": "insert", "table": "Queue", "row": {"dscp": 7}},
        {"op": "insert", "table": "Queue", "row": {"dscp": 8}},
        {"op": "update", "table": "Queue", "where": [["dscp", "==", 8]], "row": {"dscp": 9, "external_ids": ["map", [["a", "b"]]]}},
        {"op": "mutate", "table": "Queue", "where": [["dscp", "==", 9]], "mutations": [["external_ids", "insert", ["map", [["c", "d"]]]]]},
        {"op": "update", "table": "Queue", "where": [["dscp", "==", 7]], "row": {"dscp": 6}},
        {"op": "delete", "table": "Queue", "where": [["dscp", "==", 9]]},
        {"op": "insert", "table": "Queue", "row": {"dscp": 7}},  # the end: seen by all but one
    ]
    said = []
    for rundir in (server.rundir, daemon.rundir):
        openvswitch.client(rundir, "ovs-vsctl", "--no-wait", "create", "Queue", "dscp=7")
        watchers = {name: watch(rundir, *args) for name, args in MONITORS.items()}
        for name, watcher in watchers.items():  # not all of them print something then
            wait_until(lambda: watcher.has_begun(rundir), f"{name} has begun")
        for name, watcher in watchers.items():
            if name not in ("cond false", "no initial, no delete"):
                watcher.wait(1)
        for operation in changes:
            done = openvswitch.client(rundir, "ovsdb-client", "transact", json.dumps(["Open_vSwitch", operation]))
            assert json.loads(done.stdout) and "error" not in done.stdout, done
        for name, watcher in watchers.items():
            if name not in ("cond false",):
                wait_until(lambda: len(watcher.lines()) > 2 and "7" in watcher.lines()[-1], f"{name} has seen the end: {watcher.lines()}")
        said.append({name: watcher.lines() for name, watcher in watchers.items()})
    for name, lines in said[0].items():
        assert said[1][name] == lines, name
    assert said[1]["cond false"] == []


def test_locks_are_given_stolen_and_queued_as_by_ovsdb_server(server: openvswitch.OpenVswitch, daemon: Daemon,
                                                              watch: Callable[..., Watcher]) -> None:
    def story(rundir: pathlib.Path) -> list[Any]:
        first = watch(rundir, "lock", "mine")
        first.wait(1)
        second = watch(rundir, "lock", "mine")
        second.wait(1)
        thief = watch(rundir, "steal", "mine")
        thief.wait(1)
        first.wait(3)
        thief.end()
        first.wait(5)
        first.end()
        second.wait(3)
        return [watcher.lines() for watcher in (first, second, thief)]

    told = story(daemon.rundir)
    assert told == story(server.rundir)
    first, second, thief = told
    assert first[:2] == ['{"locked":true}', "stolen"] and "locked" in first[3:]
    assert second[0] == '{"locked":false}' and "locked" in second[1:]
    assert thief[0] == '{"locked":true}'


def test_backup_is_restored_by_us_and_read_by_them(server: openvswitch.OpenVswitch, daemon: Daemon, tmp_path: pathlib.Path) -> None:
    for dscp in (5, 6):
        daemon.ovs("ovs-vsctl", "--no-wait", "create", "Queue", f"dscp={dscp}", 'external_ids:text="é"')
    daemon.ovs("ovs-vsctl", "--no-wait", "create", "QoS", "type=x", "queues:1=@q", "--", "--id=@q", "create", "Queue", "dscp=7")
    contents = daemon.ovs("ovsdb-client", "-f", "csv", "dump", "Open_vSwitch", "Queue").stdout
    backup = tmp_path / "backup"
    backup.write_text(daemon.ovs("ovsdb-client", "backup").stdout)
    assert subprocess.check_output(["ovsdb-tool", "db-version", str(backup)], text=True, timeout=PATIENCE_S) == "8.3.1\n"
    daemon.ovs("ovs-vsctl", "--no-wait", "--all", "destroy", "QoS", "--", "--all", "destroy", "Queue", "--", "create", "Queue", "dscp=9")
    for rundir in (daemon.rundir, server.rundir):
        with backup.open() as text:
            done = openvswitch.client(rundir, "ovsdb-client", "restore", stdin=text)
        assert done.returncode == 0, done.stderr
        restored = openvswitch.client(rundir, "ovsdb-client", "-f", "csv", "dump", "Open_vSwitch", "Queue").stdout

        def values(text: str) -> list[Any]:
            return sorted(line.split(",", 1)[1] for line in text.splitlines()[1:])

        assert values(restored) == values(contents)
    theirs = tmp_path / "theirs"
    theirs.write_text(openvswitch.client(server.rundir, "ovsdb-client", "backup").stdout)
    daemon.ovs("ovs-vsctl", "--no-wait", "--all", "destroy", "QoS", "--", "--all", "destroy", "Queue")
    with theirs.open() as text:
        done = openvswitch.client(daemon.rundir, "ovsdb-client", "restore", stdin=text)
    assert done.returncode == 0, done.stderr
    assert values(daemon.ovs("ovsdb-client", "-f", "csv", "dump", "Open_vSwitch", "Queue").stdout) == values(contents)


def test_conversion_is_refused_in_words(daemon: Daemon) -> None:
    done = daemon.ovs("ovsdb-client", "convert", str(ORIGINAL_SCHEMA), check=False)
    assert done.returncode == 1
    assert "not supported" in done.stderr and "cannot be converted by a client" in done.stderr
    assert daemon.ovs("ovsdb-client", "needs-conversion", str(openvswitch.SCHEMA)).stdout == "no\n"


def test_waiting_for_a_database_that_is_not_there_ends_with_the_timeout(daemon: Daemon) -> None:
    done = daemon.ovs("ovsdb-client", "-t", "1", "wait", "nosuch", "connected", check=False)
    assert done.returncode == -signal.SIGALRM
