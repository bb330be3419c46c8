# SPDX-License-Identifier: Apache-2.0
"""vswitch-ctl on a terminal: tables fit its width, whatever the names are. tests/unit/ctl/table_test.cc has what is cut."""
from __future__ import annotations

import fcntl
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import termios
import time
import unicodedata
from collections.abc import Iterator

import pytest

from lab import PATIENCE_S, VSWITCH_CTL
from switch import Lab

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


def on_terminal(lab: Lab, columns: int, *args: str, **environment: str) -> list[str]:
    """The lines that a terminal of this width gets."""
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {"PATH": os.environ["PATH"], "TERM": "xterm", **environment}
    process = subprocess.Popen([str(VSWITCH_CTL), "--socket", str(lab.daemon.socket), *args], stdin=subprocess.DEVNULL,
                               stdout=terminal, stderr=subprocess.PIPE, env=env)
    os.close(terminal)
    text = b""
    deadline = time.monotonic() + PATIENCE_S
    try:
        while select.select([ours], [], [], max(0, deadline - time.monotonic()))[0]:
            text += os.read(ours, 1 << 16)
    except OSError:  # EIO: the tool has ended
        pass
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0, process.communicate()[1]
    return text.decode().replace("\r\n", "\n").splitlines()


def width(line: str) -> int:
    columns = 0
    for letter in COLOUR.sub("", line):
        if not unicodedata.combining(letter):
            columns += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
    return columns


def test_tables_fit_and_are_aligned_with_any_names(lab: Lab) -> None:
    names = ["eth0", "日本語", "e\u0301a\u0308o", "averylongname"]
    for name in names:
        lab.ctl("add-port", "br0", name)
    for number, name in enumerate(names[:3]):
        lab.ctl("add-port", "br0", "output" + str(number))
        lab.ctl("add-mirror", "br0", f"ミラー{number}-with-a-long-name", "--source", name, "--source", "averylongname:from",
                "--output", "output" + str(number))
    for command in (["list-ports"], ["list-mirrors"], ["mirror-stats"], ["list-br"], ["who", "averylongname"], ["list-log"]):
        piped = lab.ctl(*command).stdout.splitlines()
        assert "…" not in "".join(piped) and "\x1b" not in "".join(piped)
        for columns in (80, 100, 132):
            lines = on_terminal(lab, columns, *command)
            assert len(lines) == len(piped)
            assert max(map(width, lines)) <= columns, (command, columns, lines)
        assert on_terminal(lab, 500, *command, NO_COLOR="1") == piped
        assert on_terminal(lab, 80, *command, COLUMNS="500", NO_COLOR="1") == piped
    shown = on_terminal(lab, 80, "show")
    assert max(map(width, [line for line in shown if line.startswith("    ")])) <= 80, shown
    starts = {width(line[:line.index(" system ") + 1]) for line in on_terminal(lab, 80, "list-ports")[1:] if " system " in line}
    assert len(starts) == 1, starts


def test_states_have_colours_on_a_terminal(lab: Lab) -> None:
    lab.ctl("add-port", "br0", "nowhere")
    [line] = [line for line in on_terminal(lab, 80, "list-ports") if "nowhere" in line]
    assert "\x1b[33mwaiting" in line
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in "".join(on_terminal(lab, 80, "list-ports", **environment))
    assert "\x1b" not in "".join(on_terminal(lab, 80, "list-ports", "--color=never"))
    assert "\x1b" not in lab.ctl("list-ports").stdout
    assert "\x1b[33mwaiting" in lab.ctl("list-ports", "--color=always").stdout
    assert lab.ctl("list-ports", "--color", "sometimes", check=False).returncode == 2


def test_watch_shows_the_top_of_what_is_longer_than_the_screen(lab: Lab) -> None:
    for number in range(30):
        lab.ctl("add-port", "br0", f"p{number}")
    text = "\n".join(on_terminal(lab, 80, "list-ports", "--watch", "--count", "1"))
    assert text.startswith("\x1b[H\x1b[J") and "BRIDGE" in text
    lines = text.splitlines()
    assert len(lines) == 23 and re.fullmatch(r"\.\.\. \d+ more lines", lines[-1]), lines
    assert int(lines[-1].split()[1]) == 32 - 22  # a header, br0 and 30 ports; 22 are shown
