# SPDX-License-Identifier: Apache-2.0
"""Nothing is accepted in silence: every column and key without effect says so, and so does a device that others use."""
from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import openvswitch
import pytest

from lab import ROOT, Daemon, found, wait_until
from net import BROADCAST, frame, mac, run
from switch import Lab

SCHEMA = json.loads((ROOT / "schemas" / "vswitch.ovsschema").read_text())
README = (ROOT / "schemas" / "README.md").read_text()
TABLES = ("Open_vSwitch", "Bridge", "Port", "Interface", "Mirror", "Mirror_Endpoint", "Manager")


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1 = lab.host("t1")
        yield lab


def what_is_honoured(table: str) -> dict[str, set[str]]:
    """Category -> columns, as schemas/README.md has them for a table."""
    section = README.split("## What is honoured")[1].split("\n## ")[0].split(f"**{table}**\n")[1].split("\n**")[0]
    categories = {}
    for item in re.split(r"\n- ", section)[1:]:
        name, text = re.sub(r"\s+", " ", item).split(":", 1)
        text = re.sub(r"\([^)]*\)", "", text)
        # What follows a semicolon is said of keys and values.
        text = text.split(";")[0] if name.startswith("No effect") else text
        words = {word.rstrip("*") for word in re.findall(r"[a-z0-9_]+\*?", text)}
        categories[name] = {column for column in SCHEMA["tables"][table]["columns"] for word in words
                            if column == word or (f"{word}*" in text and column.startswith(word))}
    return categories


@pytest.mark.parametrize("table", TABLES)
def test_the_document_has_every_column(table: str) -> None:
    section = README.split(f"**{table}**\n")[1].split("\n**")[0]
    if "every column except" in section or "all others" in section:
        return
    categories = what_is_honoured(table)
    named = set().union(*categories.values())
    assert set(SCHEMA["tables"][table]["columns"]) - named == set(), f"{table}: not in schemas/README.md"


def value_of(column: dict[str, Any], rows: list[Any]) -> Any:
    """A value of a column that is not its default, in the JSON of RFC 7047; rows to be inserted for what it refers to are added."""
    kind = column["type"] if isinstance(column["type"], dict) else {"key": column["type"]}

    def atom(base: Any) -> Any:
        base = base if isinstance(base, dict) else {"type": base}
        if "enum" in base:
            return base["enum"][1][-1]
        if base["type"] == "integer":
            return max(base.get("minInteger", 1), 1)
        if base["type"] == "boolean":
            return True
        if base["type"] == "uuid":
            table = base["refTable"]
            name = f"row{len(rows)}"
            columns = SCHEMA["tables"][table]["columns"]
            required = {other: value_of(definition, rows) for other, definition in columns.items() if "refTable" not in str(definition)
                        and isinstance(definition["type"], dict) and definition["type"].get("min") == 1}
            if "target" in columns:
                required["target"] = "tcp:192.0.2.9"
            rows.append({"op": "insert", "table": table, "row": required, "uuid-name": name})
            return ["named-uuid", name]
        return "x"

    key = atom(kind["key"])
    if "value" in kind:
        return ["map", [[key, atom(kind["value"])]]]
    return ["set", [key]] if kind.get("max", 1) != 1 else key


@pytest.mark.parametrize("table", ["Bridge", "Port", "Interface"])
def test_every_column_without_effect_says_so(lab: Lab, table: str) -> None:
    """Derived from the schema: those that the document calls so, each set to a value."""
    columns = {column for category, columns in what_is_honoured(table).items() if category.startswith("No effect") for column in columns}
    assert len(columns) > 2
    name = "br0" if table == "Bridge" else "t1"
    for column in sorted(columns):
        rows: list[Any] = []
        value = value_of(SCHEMA["tables"][table]["columns"][column], rows)
        update = {"op": "update", "table": table, "where": [["name", "==", name]], "row": {column: value}}
        result = transact(lab, *rows, update)
        assert result[-1] == {"count": 1}, (column, result)
        # ingress_policing_rate and _burst are one thing.
        key = "ingress_policing" if column.startswith("ingress") else column
        wait_until(lambda: any(one == key or one.startswith(f"{key}:") for one in status(lab, table, name)), f"{table}.{column} is named")
        shown = lab.ctl("show-br" if table == "Bridge" else "show-port", name).stdout
        assert key in found(r"notice +(.*)", shown)[1]
    assert all(key in (lab.daemon.log_text()) for key in columns if not key.startswith("ingress"))


def transact(lab: Lab, *operations: Any) -> Any:
    with lab.daemon.connect() as rpc:
        return rpc.call("transact", ["Open_vSwitch", *operations], version=1)


def status(lab: Lab, table: str, name: str) -> dict[str, str]:
    row = transact(lab, {"op": "select", "table": table, "where": [["name", "==", name]], "columns": ["status"]})[0]["rows"][0]
    return dict(row["status"][1])


@pytest.mark.parametrize("record, column, key, value", [
    ("bridge br0", "other_config", "stp-priority", "4096"),
    ("bridge br0", "other_config", "mcast-snooping-aging-time", "9"),
    ("bridge br0", "other_config", "mac-aging-time", "soon"),
    ("bridge br0", "other_config", "mac-table-size", "3"),
    ("bridge br0", "other_config", "forward-bpdu", "perhaps"),
    ("bridge br0", "other_config", "hwaddr", "zz"),
    ("bridge br0", "other_config", "mac-agingtime", "60"),
    ("port t1", "other_config", "rstp-path-cost", "7"),
    ("port t1", "other_config", "priority-tags", "sometimes"),
    ("interface t1", "other_config", "pmd-rxq-affinity", "0:1"),
    ("interface t1", "options", "n_rxq", "4"),
    ("interface t1", "options", "remote_ip", "192.0.2.1")])
def test_keys_without_effect(lab: Lab, record: str, column: str, key: str, value: str) -> None:
    """Keys of Open vSwitch, keys that nobody knows, and values of known keys that cannot be used."""
    lab.daemon.ovs("ovs-vsctl", "set", *record.split(), f"{column}:{key}={value}")
    said = lab.daemon.ovs("ovs-vsctl", "get", *record.split(), "status").stdout
    assert f'"{column}:{key}"=' in said
    assert f"{column}:{key}" in lab.daemon.log_text()
    lab.daemon.ovs("ovs-vsctl", "remove", *record.split(), column, key)
    assert key not in lab.daemon.ovs("ovs-vsctl", "get", *record.split(), "status").stdout


def test_good_values_say_nothing(lab: Lab) -> None:
    lab.daemon.ovs("ovs-vsctl", "set", "bridge", "br0", "other_config:mac-aging-time=60", "other_config:hwaddr=02:00:00:00:00:99",
                   "other_config:forward-bpdu=true", "other_config:mac-table-size=100", "other_config:disable-in-band=true",
                   "--", "set", "port", "t1", "other_config:priority-tags=always", "other_config:transient=true",
                   "--", "set", "interface", "t1", "external_ids:iface-id=vm7")
    for record in (("bridge", "br0"), ("port", "t1")):
        assert lab.daemon.ovs("ovs-vsctl", "get", *record, "status").stdout == "{}\n"
    assert "other_config" not in lab.daemon.ovs("ovs-vsctl", "get", "interface", "t1", "status").stdout


def test_keys_of_open_vswitch_itself(lab: Lab) -> None:
    lab.daemon.ovs("ovs-vsctl", "set", "open_vswitch", ".", "other_config:vlan-limit=2", "other_config:stats-update-interval=often")
    said = lab.ctl("stats").stdout
    assert "notice: Open_vSwitch other_config:vlan-limit has no effect here" in said
    assert 'other_config:stats-update-interval="often" is not used' in said
    assert "other_config:vlan-limit has no effect here" in lab.daemon.log_text()


def test_a_mirror_with_a_port_and_a_vlan_says_which_counts(lab: Lab) -> None:
    lab.host("t2")
    lab.daemon.ovs("ovs-vsctl", "--", "--id=@o", "get", "port", "t2", "--", "--id=@m", "create", "mirror", "name=m0", "select_all=true",
                   "output_port=@o", "output_vlan=9", "--", "add", "bridge", "br0", "mirrors", "@m")
    assert "output_vlan has no effect, because output_port is set" in lab.rpc("mirror.get", bridge="br0", name="m0")["notice"]
    wait_until(lambda: "output_vlan has no effect" in lab.daemon.log_text(), "the log tells")


def test_mirrors_of_ovs_vsctl_that_conflict_say_so(lab: Lab) -> None:
    """The session API refuses the second of the two; a row of an OVSDB client may ask for it."""
    for name in ("t2", "t3"):
        lab.host(name)
    lab.daemon.ovs("ovs-vsctl", "--", "--id=@1", "get", "port", "t1", "--", "--id=@2", "get", "port", "t2", "--", "--id=@3", "get",
                   "port", "t3", "--", "--id=@a", "create", "mirror", "name=a", "select_src_port=@1", "output_port=@2",
                   "--", "--id=@b", "create", "mirror", "name=b", "select_src_port=@2", "output_port=@3",
                   "--", "add", "bridge", "br0", "mirrors", "@a", "--", "add", "bridge", "br0", "mirrors", "@b")
    sentence = "port t2 carries only copies of session a, so session b would never see a frame from it"
    for name in ("a", "b"):
        assert sentence in lab.rpc("mirror.get", bridge="br0", name=name)["notice"]
        assert f'"mirror {name}"="{sentence}' in lab.daemon.ovs("ovs-vsctl", "get", "bridge", "br0", "status").stdout
        assert sentence in lab.ctl("show-mirror", "br0", name).stdout
    assert sentence in lab.daemon.log_text()
    lab.daemon.ovs("ovs-vsctl", "clear", "mirror", "b", "select_src_port")
    assert lab.daemon.ovs("ovs-vsctl", "get", "bridge", "br0", "status").stdout == "{}\n"
    assert lab.rpc("mirror.get", bridge="br0", name="a")["notice"] == ""


def test_a_port_of_another_bridge_is_named(lab: Lab) -> None:
    lab.ctl("add-br", "br1")
    lab.daemon.ovs("ovs-vsctl", "--", "--id=@o", "get", "port", "br1", "--", "--id=@p", "get", "port", "t1", "--", "--id=@m", "create",
                   "mirror", "name=m0", "select_src_port=@p", "output_port=@o", "--", "add", "bridge", "br0", "mirrors", "@m")
    state = lab.rpc("mirror.get", bridge="br0", name="m0")
    assert state["reason"] == "destination: no port br1 on br0 (it is a port of bridge br1)"
    assert f"br0/m0: waiting: {state['reason']}" in lab.daemon.log_text()


def test_columns_of_managers(lab: Lab) -> None:
    names = {column for category, columns in what_is_honoured("Manager").items() if category.startswith("No effect") for column in columns}
    assert names == {"connection_mode", "inactivity_probe", "max_backoff"}
    names |= {"other_config"}  # its keys but one
    row = {column: value_of(SCHEMA["tables"]["Manager"]["columns"][column], []) for column in names}
    row["max_backoff"] = 1000
    transact(lab, {"op": "insert", "table": "Manager", "row": {"target": "ptcp:0", **row}, "uuid-name": "m"},
             {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["manager_options", "insert", ["named-uuid", "m"]]]})
    select = {"op": "select", "table": "Manager", "where": [], "columns": ["status"]}
    wait_until(lambda: names <= set(dict(transact(lab, select)[0]["rows"][0]["status"][1])), "its status names them")
    assert "manager ptcp:0: inactivity_probe has no effect here" in lab.daemon.log_text()


# Devices that others use


def warning(lab: Lab, port: str) -> str:
    return lab.daemon.ovs("ovs-vsctl", "get", "interface", port, "status").stdout


def make_veth(lab: Lab, name: str) -> None:
    run("ip", "-n", lab.net.switch, "link", "add", name, "type", "veth", "peer", "name", f"{name}x")
    for end in (name, f"{name}x"):
        run("ip", "-n", lab.net.switch, "link", "set", end, "up")


@pytest.mark.parametrize("kind", ["bridge", "bond"])
@pytest.mark.parametrize("who_is_first", ["they", "we"])
def test_a_device_of_a_linux_bridge_or_bond_is_noticed(lab: Lab, kind: str, who_is_first: str) -> None:
    lab.daemon.ovs("ovs-vsctl", "set", "open_vswitch", ".", "other_config:stats-update-interval=1000")
    make_veth(lab, "x1")
    made = ["ip", "-n", lab.net.switch, "link", "add", "lb0", "type", kind]
    if run(*made, check=False).returncode != 0:
        pytest.skip(f"this kernel has no {kind}")

    def enslave() -> None:
        if kind == "bond":
            run("ip", "-n", lab.net.switch, "link", "set", "x1", "down")
        run("ip", "-n", lab.net.switch, "link", "set", "x1", "master", "lb0")
        run("ip", "-n", lab.net.switch, "link", "set", "x1", "up")

    if who_is_first == "they":
        enslave()
        said = lab.ctl("add-port", "br0", "x1").stdout
    else:
        lab.ctl("add-port", "br0", "x1")
        assert "also a port" not in warning(lab, "x1")
        enslave()
        said = ""
    sentence = f"it is also a port of the Linux {kind} lb0: both forward its frames"
    wait_until(lambda: sentence in warning(lab, "x1"), "the status says so")
    assert said == "" or sentence in said
    assert sentence in lab.ctl("show-port", "x1").stdout
    assert "also a port of the Linux" in lab.ctl("show").stdout
    assert f"x1: {sentence}" in lab.daemon.log_text()
    run("ip", "-n", lab.net.switch, "link", "set", "x1", "nomaster")
    wait_until(lambda: "also a port" not in warning(lab, "x1"), "and that it is over")


def test_two_daemons_on_one_device_notice_each_other(lab: Lab, tmp_path: pathlib.Path) -> None:
    directory = tmp_path / "other"
    directory.mkdir()
    other = Daemon(directory, namespace=lab.net.switch)
    lab.daemon.ovs("ovs-vsctl", "set", "open_vswitch", ".", "other_config:stats-update-interval=1000")
    other.start()
    try:
        other.ctl("add-br", "br9")
        said = other.ctl("add-port", "br9", "t1").stdout
        assert f"it is also a port of vswitchd pid {lab.daemon.pid} (run directory " in said
        wait_until(lambda: f"also a port of vswitchd pid {other.pid} " in warning(lab, "t1"), "the first one notices, too")
    finally:
        other.end()
    wait_until(lambda: "also a port" not in warning(lab, "t1"), "it is over")


@openvswitch.needed
def test_a_device_of_an_open_vswitch_is_noticed(tmp_path: pathlib.Path) -> None:
    """One in user space leaves no trace on the device but its packet socket."""
    directory = tmp_path / "ours"
    directory.mkdir()
    with openvswitch.OpenVswitch(tmp_path) as ovs:
        run("ip", "-n", ovs.net.switch, "link", "add", "x2", "type", "veth", "peer", "name", "x2x")
        daemon = Daemon(directory, namespace=ovs.net.switch).start()
        try:
            daemon.ctl("add-br", "br9")
            daemon.ctl("add-port", "br9", "x2")
            daemon.ovs("ovs-vsctl", "set", "open_vswitch", ".", "other_config:stats-update-interval=1000")
            ovs.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "--", "add-port", "br0", "x2")
            wait_until(lambda: "also a port of Open vSwitch (ovs-vswitchd pid" in daemon.ovs(
                "ovs-vsctl", "get", "interface", "x2", "status").stdout, "it is noticed")
        finally:
            daemon.end()


# A bridge that the host does not use


def test_a_local_port_that_no_host_uses_loses_nothing(lab: Lab) -> None:
    t2 = lab.host("t2")
    for _ in range(5):
        lab.t1.wire.send(frame(mac(1), BROADCAST, b"to all"))
    t2.wire.expect(5)
    lab.t1.wire.settle()
    assert "no host uses it" in lab.ctl("show-port", "br0").stdout
    assert lab.drops("link_down") == 0
    assert lab.port("br0")["counters"]["tx_dropped"] == 0
    trace = lab.daemon.ovs("ovs-appctl", "ofproto/trace", "br0", "in_port=t1,dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff").stdout
    assert "not sent to br0: the host does not use it" in trace
    run("ip", "-n", lab.net.switch, "link", "set", "br0", "up")
    lab.wait_port("br0", "active")
    lab.t1.wire.send(frame(mac(1), BROADCAST, b"to all"))
    wait_until(lambda: lab.port("br0")["counters"]["tx_packets"] > 0, "then it gets them")
