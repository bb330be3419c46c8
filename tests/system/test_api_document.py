# SPDX-License-Identifier: Apache-2.0
"""Every line of docs/api-in-ten-minutes.md is run, in its order, and prints what the page says.

Of a JSON answer the page has some members, and those must be the same; what Python prints is compared as a whole.
"""
from __future__ import annotations

import doctest
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from lab import VSWITCH_CTL
from switch import Lab

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "clients" / "python"))
PAGE = (ROOT / "docs" / "api-in-ten-minutes.md").read_text()
SOCKET = "/run/vswitch/db.sock"


@pytest.fixture
def lab(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Six devices, and no bridge yet: the page makes it."""
    with Lab(tmp_path) as lab:
        lab.ctl("del-br", "br0")
        for name in ("t1", "t2", "t3", "t4", "t5", "uplink"):
            lab.net.host(name)
        monkeypatch.setenv("VSWITCH_SOCKET", str(lab.daemon.socket))
        monkeypatch.setenv("PATH", f"{VSWITCH_CTL.parent}:{os.environ['PATH']}")
        yield lab


def has(whole: Any, part: Any) -> bool:
    """Whether every member of `part` is in `whole`; lists have the same length."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and has(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(has, whole, part))
    return bool(whole == part) and type(whole) is type(part)


def values(text: str) -> list[Any]:
    """JSON values one behind the other."""
    found = []
    while text := text.lstrip():
        value, end = json.JSONDecoder().raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def run_shell(block: str, socket: pathlib.Path, before: list[str]) -> int:
    """Runs what follows `$ ` (and goes on behind `> `), and compares with what is below it. The number of commands.

    before: the assignments of the page so far.
    """
    commands = re.findall(r"^\$ (.*(?:\n> .*)*)\n((?:(?!\$ ).*\n)*)", block, re.M)
    assert block == "".join(f"$ {command}\n{shown}" for command, shown in commands), "no line is left out"
    for command, shown in commands:
        text = command.replace("\n> ", "\n").replace(SOCKET, str(socket))
        if re.fullmatch(r"\w+=\S+", text):
            before.append(text)
            continue
        done = subprocess.run(["bash", "-c", "\n".join([*before, text])], text=True, capture_output=True, timeout=30)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        got, expected = values(done.stdout), values(shown)
        assert len(got) == len(expected) and all(map(has, got, expected)), f"{command}\nprints {done.stdout}\nand not {shown}"
    return len(commands)


def run_python(block: str, names: dict[str, Any]) -> int:
    test = doctest.DocTestParser().get_doctest(block, names, "api-in-ten-minutes.md", None, 0)
    complaints: list[str] = []
    # The page has the module of an exception, as an interpreter prints it.
    doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=complaints.append, clear_globs=False)
    names.update(test.globs)
    assert not complaints, "".join(complaints)
    return len(test.examples)


def run_page(page: str, lab: Lab) -> tuple[int, int]:
    """The numbers of commands and of Python statements."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) == page.count("\n```") / 2
    names: dict[str, Any] = {}
    before: list[str] = []
    commands = statements = 0
    for language, text in blocks:
        if language == "sh":
            commands += run_shell(text, lab.daemon.socket, before)
            if "add-port" in text:
                for name in ("t1", "t2", "t3", "t4", "t5", "uplink"):
                    lab.wait_port(name, "active")
        else:
            assert language == "python"
            statements += run_python(text, names)
    return commands, statements


def test_every_line_of_the_page(lab: Lab) -> None:
    commands, statements = run_page(PAGE, lab)
    assert commands >= 12 and statements >= 25


@pytest.mark.parametrize("right, wrong, complaint", [
    ('"state": "disabled"', '"state": "active"', "and not"),
    ('"method": "mirror.set"', '"method": "mirror.put"', "mirror.put"),
    ('>>> switch.mirror.list()\n', '>>> switch.mirror.ls()\n', "has no attribute 'ls'"),
    ("['tcp,tp_dst=80']", "['tcp']", "Got:"),
    ('{"id": 8, "result": {"removed": true}}', '', "prints"),
])
def test_a_wrong_line_is_seen(lab: Lab, right: str, wrong: str, complaint: str) -> None:
    """The test of the test's eyes."""
    assert right in PAGE
    with pytest.raises(AssertionError, match=re.escape(complaint)):
        run_page(PAGE.replace(right, wrong), lab)
