# SPDX-License-Identifier: Apache-2.0
"""The lines that documents and --help show can be pasted, together and in their order."""
from __future__ import annotations

import concurrent.futures
import pathlib
import re
import shlex
import time
from collections.abc import Iterator

import pytest
from net import BROADCAST, frame, mac
from switch import Lab

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.ctl("del-br", "br0")
        yield lab


def paste(lab: Lab, line: str) -> None:
    program, *arguments = shlex.split(line, comments=True)
    assert program == "vswitch-ctl"
    lab.ctl(*[str(ROOT / word) if word.startswith("docs/") else word for word in arguments])


def test_lines_of_the_readme(lab: Lab) -> None:
    text = (ROOT / "README.md").read_text()
    about = text[text.index("## What it is"):text.index("## A tour")]
    lines = re.findall(r"^    (vswitch-ctl .*)$", about, re.M)
    assert len(lines) > 10
    for line in lines:
        paste(lab, line)
    names = {session["name"] for session in lab.rpc("mirror.list")["mirrors"]}
    assert names == {"first", "span0", "rspan0", "rdst0", "er0", "edst0", "web", "span"}


def blocks(document: str) -> list[str]:
    """The commands of a document: lines indented by four, with those that they continue in."""
    text = (ROOT / "docs" / document).read_text()
    return re.findall(r"^    ((?:vswitch-ctl|ovs-vsctl) (?:.*\\\n)*.*)$", text, re.M)


def test_lines_of_the_document_on_mirroring(lab: Lab) -> None:
    """All of it in one lab in which every port is there; what explains a frame is given one."""
    lab.ctl("add-br", "br0")
    hosts = {name: lab.host(name) for name in ("t1", "t2", "t3", "t4", "uplink")}
    ip = bytes.fromhex("4500002800004000400600000a0000010a000002")
    syn_to_80 = bytes.fromhex("c0000050000000010000000050020400") + bytes(4)
    request = frame(mac(1), BROADCAST, ip + syn_to_80, ether_type=0x0800)
    pasted = []
    for line in blocks("mirroring.md"):
        program, *arguments = shlex.split(line.replace("\\\n", ""), comments=True)
        if "--next" in arguments:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                asked = pool.submit(lab.ctl, *arguments)
                while not asked.done():
                    hosts["t1"].wire.send(request)
                    time.sleep(0.05)
            assert "span0    yes" in asked.result().stdout
        elif program == "vswitch-ctl":
            lab.ctl(*[request.hex() if word == "HEX" else word for word in arguments])
        else:
            lab.ctl("del-mirror", "br0", "span0")  # which this makes again, in the words of Open vSwitch
            assert lab.daemon.ovs(program, *arguments).returncode == 0
        pasted.append(arguments[0])
    assert pasted == ["add-mirror"] * 4 + ["add-port", "add-mirror", "--", "show-mirror", "explain", "explain", "who"]
    for name in ("span0", "rspan0", "rdst0"):
        lab.wait_state(name, "active")
    assert {session["name"] for session in lab.rpc("mirror.list")["mirrors"]} == {"span0", "rspan0", "rdst0", "er0", "edst0"}
    assert re.search(r"^MTU policy +truncate$", lab.ctl("show-mirror", "br0", "er0").stdout, re.M), "the word of the option"


def test_examples_of_help(lab: Lab) -> None:
    lab.ctl("add-br", "br0")
    for command in ("add-port", "set-port", "add-mirror", "set-mirror", "show-mirror", "show"):
        shown = lab.ctl("help", command).stdout
        examples = re.findall(rf"(?:Example: | {{9}})(vswitch-ctl {command}\b.*)$", shown, re.M)
        assert examples
        for line in examples:
            paste(lab, line)
    changed, = (one for one in lab.rpc("mirror.list")["mirrors"] if one["name"] == "er0")
    endpoint, = changed["destination"]["endpoints"]
    assert (endpoint["encap"], endpoint["session_id"]) == ("erspan3", 5)
