# SPDX-License-Identifier: Apache-2.0
"""The lines that documents and --help show can be pasted, together and in their order."""
from __future__ import annotations

import pathlib
import re
import shlex
from collections.abc import Iterator

import pytest

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
