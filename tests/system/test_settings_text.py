# SPDX-License-Identifier: Apache-2.0
"""Settings as text: export and apply with the real tool and daemon, put and revisions beside stock clients."""
from __future__ import annotations

import json
import pathlib
import re
import subprocess
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import ROOT, RpcError, wait_until
from net import BROADCAST, frame, mac
from switch import Lab

ONLY = "only OVSDB clients have it, and database.backup"


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        for name in ("t1", "t2", "probe"):
            setattr(lab, name, lab.host(name))
        yield lab


def document(lab: Lab) -> Any:
    return json.loads(lab.ctl("export").stdout)


def apply(lab: Lab, path: pathlib.Path, *options: str) -> subprocess.CompletedProcess[str]:
    return lab.ctl("apply", "-f", str(path), *options, check=False)


def write(path: pathlib.Path, text: Any) -> pathlib.Path:
    path.write_text(json.dumps(text))
    return path


def set_up(lab: Lab) -> None:
    lab.ctl("set-port", "t1", "--tag", "10", "--external-id", "iface-id=one")
    lab.ctl("add-port", "br0", "i1", "--type", "internal", "--mtu", "1400")
    lab.ctl("add-port", "br0", "er1", "--type", "erspan", "--option", "remote_ip=10.95.30.42", "--option", "key=5")
    lab.ctl("set-br", "br0", "--mac-aging-time", "60")
    lab.ctl("set-config", "mirror-cpu-share=30")
    lab.mirror("web", "--source", "t1", "--source", "t2:from", "--output", "probe", "--filter", "tcp,tp_dst=80", "--snaplen", "128")
    lab.mirror("far", "--source", "vnet*", "--endpoint", "10.95.30.43", "--encap", "erspan2", "--session-id", "5", "--rate", "5mbit")
    lab.mirror("rspan", "--source-vlan", "900", "--output", "t9", "--expires", "1000packets")


def test_there_and_back(lab: Lab, tmp_path: pathlib.Path) -> None:
    set_up(lab)
    site = tmp_path / "site.json"
    done = lab.ctl("export", "-f", str(site))
    assert (done.stdout, done.stderr) == ("", "")
    assert json.loads(site.read_text())["bridges"]["br0"]["ports"]["t1"] == {"tag": 10, "external_ids": {"iface-id": "one"}}
    assert apply(lab, site, "--prune").stdout == "nothing to do\n"
    lab.daemon.stop()
    lab.daemon.start()
    assert lab.ctl("export").stdout == site.read_text(), "after a restart"
    lab.ctl("del-br", "br0")
    lab.ctl("set-config", "mirror-cpu-share=")
    told = apply(lab, site)
    assert told.returncode == 0, told.stderr
    assert "+ bridge br0: mac_aging_time 60\n" in told.stdout
    assert "+ port br0/t1: external_ids.iface-id one, tag 10\n" in told.stdout
    assert "~ config: mirror-cpu-share default -> 30\n" in told.stdout
    assert lab.ctl("export").stdout == site.read_text()
    assert apply(lab, site).stdout == "nothing to do\n"
    lab.wait_state("web", "active")


def test_the_same_document_on_another_host(lab: Lab, tmp_path: pathlib.Path) -> None:
    set_up(lab)
    site = tmp_path / "site.json"
    lab.ctl("export", "-f", str(site))
    (tmp_path / "other").mkdir()
    with Lab(tmp_path / "other") as other:
        told = apply(other, site)
        assert "+ port br0/t1: external_ids.iface-id one, tag 10 (waiting: no device t1)\n" in told.stdout
        assert other.ctl("export").stdout == site.read_text()
        other.net.host("t1")
        other.wait_port("t1", "active")
        assert apply(other, site).stdout == "nothing to do\n"


def test_the_documents_of_the_page(lab: Lab, tmp_path: pathlib.Path) -> None:
    """The first is what export prints, to the letter."""
    page = (ROOT / "docs" / "settings-as-text.md").read_text()
    whole, sessions = (textwrap.dedent(text) for text in re.findall(r'^(    \{(?:\n      "bridges"|"version").*?\n)$', page, re.M | re.S))
    site = tmp_path / "site.json"
    site.write_text(whole)
    assert apply(lab, site).returncode == 0
    assert lab.ctl("export").stdout == whole
    site.write_text(sessions)
    assert apply(lab, site, "--prune", "--bridge", "br0").stdout.startswith("- mirror br0/web\n+ mirror br0/ids: ")
    assert document(lab)["bridges"]["br0"]["settings"] == {"mac_aging_time": 60}


def test_what_is_applied_copies(lab: Lab, tmp_path: pathlib.Path) -> None:
    site = write(tmp_path / "site.json", {"version": 1, "bridges": {"br0": {"mirrors": {"m": {
        "sources": {"ports": [{"name": "t1", "direction": "from"}]}, "destination": {"ports": ["probe"]}}}}}})
    assert apply(lab, site).stdout.splitlines() == [
        '+ mirror br0/m: destination.ports probe, sources.ports {"direction": "from", "name": "t1"}', "1 added, 0 changed, 0 removed"]
    sent = frame(mac(1), BROADCAST, b"seen")
    lab.t1.wire.send(sent)
    assert lab.probe.wire.settle(1) == [sent]


def test_a_dry_run_and_prune(lab: Lab, tmp_path: pathlib.Path) -> None:
    set_up(lab)
    text = document(lab)
    ports, mirrors = text["bridges"]["br0"]["ports"], text["bridges"]["br0"]["mirrors"]
    ports["t1"]["tag"] = 20
    ports["t9"] = {}
    del ports["i1"], mirrors["far"]
    mirrors["web"]["enabled"] = False
    site = write(tmp_path / "site.json", text)
    before = lab.ctl("export").stdout
    plan = apply(lab, site, "--dry-run", "--prune")
    assert plan.returncode == 5
    assert plan.stdout.splitlines() == [
        "- port br0/i1", "~ port br0/t1: tag 10 -> 20", "+ port br0/t9", "- mirror br0/far",
        "~ mirror br0/web: enabled default -> false", "1 to add, 2 to change, 2 to remove: a dry run, nothing was changed"]
    assert lab.ctl("export").stdout == before
    assert "- " not in apply(lab, site).stdout
    assert lab.port("i1")["type"] == "internal", "without --prune it stays"
    assert apply(lab, site, "--prune").stdout.splitlines() == ["- port br0/i1", "- mirror br0/far", "0 added, 0 changed, 2 removed"]
    assert document(lab) == text
    assert apply(lab, site, "--dry-run", "--prune").returncode == 0
    # A device that comes later is taken then, as after add-port.
    assert lab.port("t9")["state"] == "waiting"
    lab.net.host("t9")
    lab.wait_port("t9", "active")


@pytest.mark.parametrize("text, status, sentence", [
    ('{"version": 1, "bridges": {"br0": {"ports": {"t1": {"tag": 5000}}}}}', 2,
     "bridges.br0.ports.t1.tag must be an integer from 0 to 4095 or null, not 5000"),
    ('{"version": 1, "bridges": {"br0": {"ports": {"t2": {}, "t1": {"type": "internal"}}, "mirrors": {}}}}', 1,
     "bridges.br0.ports.t1: port t1 is of type system, not internal"),
    ('{"version": 1, "bridges": {"b8": {}, "br9": {"mirrors": {"m": {"sources": {"ports": ["t1"]}, "destination": {"ports": ["x"]}}}}}}', 1,
     "bridges.br9.mirrors.m: port t1 is on bridge br0, not on br9"),
    ('{"version": 1, "bridges": {"br0": {"ports": {"x": {}, "x": {}}}}}', 2, 'two members named "x"'),
    ('{"version": 1, "bridges": {', 2, "is not JSON: line 1, column 28"),
    ('{"version": 3, "bridges": {}}', 2, "version must be 1, not 3"),
])
def test_a_bad_document_changes_nothing(lab: Lab, tmp_path: pathlib.Path, text: str, status: int, sentence: str) -> None:
    before = lab.ctl("export").stdout
    site = tmp_path / "site.json"
    site.write_text(text)
    done = apply(lab, site)
    assert done.returncode == status, done
    assert sentence in done.stderr
    assert lab.ctl("export").stdout == before


def test_what_only_ovsdb_clients_have_is_named_and_kept(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.daemon.ovs("ovs-vsctl", "set", "bridge", "br0", "external_ids:a=b", "--",
                   "set", "interface", "t1", "ingress_policing_rate=1000", "--",
                   "add-bond", "br0", "bond0", "e1", "e2", "--",
                   "--id=@m", "create", "mirror", "name=empty", "--", "add", "bridge", "br0", "mirrors", "@m")
    site = tmp_path / "site.json"
    told = lab.ctl("export", "-f", str(site)).stderr.splitlines()
    assert f"vswitch-ctl: warning: bridges.br0: Bridge external_ids: {ONLY}" in told
    assert f"vswitch-ctl: warning: bridges.br0.ports.t1: Interface ingress_policing_rate: {ONLY}" in told
    assert "vswitch-ctl: warning: bridges.br0.ports.bond0: left out: it is a bond, or has no interface" in told
    assert any(line.startswith("vswitch-ctl: warning: bridges.br0.mirrors.empty: left out: session empty has no source") for line in told)
    done = apply(lab, site, "--prune")
    assert done.stdout == "nothing to do\n"
    assert "bridges.br0.ports.bond0: not pruned" in done.stderr
    assert "bond0" in lab.daemon.ovs("ovs-vsctl", "list-ports", "br0").stdout


def test_put_converges_and_revisions_see_every_client(lab: Lab) -> None:
    given: dict[str, Any] = {"bridge": "br0", "name": "m", "sources": {"ports": ["t1"]}, "destination": {"ports": ["probe"]}}
    made = lab.rpc("mirror.put", **given)
    assert (made["created"], made["changed"]) == (True, True)
    assert lab.rpc("mirror.put", **given)["changed"] is False
    read = lab.rpc("mirror.get", bridge="br0", name="m")["revision"]
    # What the switch itself writes, such as statistics, is no change.
    lab.t1.wire.send(frame(mac(1), BROADCAST, b"counted"))
    wait_until(lambda: lab.account("m")["matched"] == 1, "it is counted")
    assert lab.rpc("mirror.get", bridge="br0", name="m")["revision"] == read
    lab.daemon.stop()
    lab.daemon.start()
    assert lab.rpc("mirror.get", bridge="br0", name="m")["revision"] == read, "after a restart"
    lab.daemon.ovs("ovs-vsctl", "set", "mirror", "m", "snaplen=64")
    with pytest.raises(RpcError) as refused:
        lab.rpc("mirror.put", **given, if_revision=read)
    assert refused.value.error["code"] == 1008
    now = lab.rpc("mirror.get", bridge="br0", name="m")["revision"]
    assert refused.value.error["data"]["revision"] == now
    changed = lab.rpc("mirror.put", **given, if_revision=now)
    assert changed["changes"] == [{"member": "snaplen", "before": 64, "after": None}]
    port = lab.port("t1")["revision"]
    lab.daemon.ovs("ovs-vsctl", "set", "port", "t1", "tag=7")
    with pytest.raises(RpcError):
        lab.rpc("port.del", name="t1", if_revision=port)
    assert lab.rpc("port.put", bridge="br0", name="t1")["changes"] == [{"member": "tag", "before": 7, "after": None}]


def test_ten_thousand_items(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Ports without devices and disabled sessions: what it takes is the work on settings."""
    session: dict[str, Any] = {"enabled": False, "destination": {"ports": ["d"]}}
    bridges = {f"br{number}": {
        "ports": {f"p{number}x{i}": {"tag": i % 4000 + 1} for i in range(2500)},
        "mirrors": {f"m{i}": session | {"sources": {"ports": [f"p{number}x{i}"]}} for i in range(2500)}}
        for number in (1, 2)}
    site = write(tmp_path / "site.json", {"version": 1, "bridges": bridges})
    start = time.monotonic()
    assert apply(lab, site).stdout.endswith("10002 added, 0 changed, 0 removed\n")
    assert time.monotonic() - start < 60
    assert apply(lab, site).stdout == "nothing to do\n"
    assert {name: one for name, one in document(lab)["bridges"].items() if name != "br0"} == {
        name: one | {"settings": {}} for name, one in bridges.items()}
