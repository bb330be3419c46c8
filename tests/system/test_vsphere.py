# SPDX-License-Identifier: Apache-2.0
"""Sessions of vSphere, in and out, with the tool and the session API, and the copies they make."""
from __future__ import annotations

import json
import pathlib
import re
import shlex
from collections.abc import Iterator

import pytest

from lab import ROOT, RpcError
from net import BROADCAST, frame, mac
from switch import Lab

SPAN = {
    "key": "DVS-1", "name": "span", "enabled": True, "sessionType": "dvPortMirror",
    "sourcePortReceived": {"portKey": ["50"]},
    "destinationPort": {"portKey": ["51"]},
    "stripOriginalVlan": False, "normalTrafficAllowed": False, "samplingRate": 1, "netstack": "mirror",
}
RSPAN = {
    "key": "DVS-2", "name": "rspan", "enabled": True, "sessionType": "remoteMirrorSource",
    "sourcePortTransmitted": {"portKey": ["50"]},
    "destinationPort": {"uplinkPortName": ["uplink1"]},
    "encapsulationVlanId": 900, "stripOriginalVlan": True, "normalTrafficAllowed": True,
}
NAMES = ["--port", "50=t1", "--port", "51=probe", "--uplink", "uplink1=nic"]


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        for name in ("t1", "t2", "probe", "nic"):
            setattr(lab, name, lab.host(name))
        yield lab


def test_in_by_the_tool_and_out_again(lab: Lab, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "vspan.json"
    file.write_text(json.dumps({"vspanSession": [SPAN, RSPAN]}))
    assert "DVS-1" in lab.ctl("import-mirrors", "br0", str(file), *NAMES, "--dry-run").stdout
    assert lab.rpc("mirror.list")["mirrors"] == []
    told = lab.ctl("import-mirrors", "br0", str(file), *NAMES, "--strict").stdout
    assert "warning: span: netstack: kept, without effect" in told
    lab.wait_state("span", "active")
    lab.wait_state("rspan", "active")
    assert json.loads(lab.ctl("export-mirrors", "br0").stdout) == {"sessions": [RSPAN, SPAN], "warnings": []}
    assert lab.rpc("mirror.export", bridge="br0", name="span")["sessions"] == [SPAN]
    # What was printed goes in as it is, in another switch or after a restart.
    file.write_text(lab.ctl("export-mirrors", "br0").stdout)
    lab.ctl("import-mirrors", "br0", str(file), *NAMES)
    assert len(lab.rpc("mirror.list")["mirrors"]) == 2

    question = frame(mac(1), BROADCAST, b"from the source")
    answer = frame(mac(2), BROADCAST, b"to the source")
    lab.t1.wire.send(question)
    assert lab.probe.wire.settle(1) == [question]
    lab.t2.wire.send(answer)
    copy = frame(mac(2), BROADCAST, b"to the source", vlan=900)
    assert lab.nic.wire.wait(1, match=lambda seen: seen == copy) == [copy]
    assert lab.probe.wire.settle() == [question], "only what the port receives"


def test_a_refused_list_changes_nothing(lab: Lab) -> None:
    other = dict(SPAN, key="DVS-3", name="other", sourcePortReceived={"portKey": ["t2"]})
    with pytest.raises(RpcError) as refused:
        lab.rpc("mirror.import", bridge="br0", sessions=[SPAN, other], strict=True,
                ports={"50": "t1", "51": "probe"})
    assert refused.value.error["data"]["fault"] == "VspanDestPortConflict"
    assert refused.value.error["data"]["sessions"] == ["DVS-1", "DVS-3"]
    assert lab.rpc("mirror.list")["mirrors"] == []
    remove = [{"operation": "remove", "vspanSession": {"key": "DVS-1"}}]
    lab.rpc("mirror.import", bridge="br0", sessions=[SPAN], ports={"50": "t1", "51": "probe"})
    lab.rpc("mirror.import", bridge="br0", vspanConfigSpec=remove)
    assert lab.rpc("mirror.list")["mirrors"] == []


def test_what_is_not_exported_says_which_setting_it_is(lab: Lab) -> None:
    lab.mirror("end", "--source", "t1", "--output", "probe", "--expires", "10m")
    lab.mirror("far", "--source", "t1", "--endpoint", "192.0.2.1", "--encap", "erspan3", "--ttl", "3", "--hwid", "4")
    warnings = {one["session"]: one["sentence"] for one in lab.rpc("mirror.export", bridge="br0")["warnings"]}
    assert "it ends after a time, packets or bytes" in warnings["end"]
    assert "vSphere does not have: hwid, ttl" in warnings["far"]


def test_the_line_of_the_document(lab: Lab) -> None:
    """With what it printed as input, as the document's two lines together promise."""
    text = (ROOT / "docs" / "vsphere.md").read_text()
    into, out = re.findall(r"^    vswitch-ctl (.*-mirrors .*)$", text, re.M)
    words = [str(ROOT / word) if word.startswith("docs/") else word for word in shlex.split(into)]
    lab.host("eth0")
    assert "add" in lab.ctl(*words).stdout
    lab.wait_state("rspan source", "active")
    exported = json.loads(lab.ctl(*shlex.split(out.partition(">")[0])).stdout)
    assert exported == {"sessions": [json.loads((ROOT / "docs" / "vsphere" / "remoteMirrorSource.json").read_text())], "warnings": []}
