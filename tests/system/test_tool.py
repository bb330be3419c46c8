# SPDX-License-Identifier: Apache-2.0
"""vswitch-ctl as a process: closed and full outputs, and a daemon that goes away. tests/unit/ctl has what it says."""
from __future__ import annotations

import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator

import pytest
from lab import VSWITCH_CTL, wait_until
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


def tool(lab: Lab, line: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell in which $V is the tool."""
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], text=True, capture_output=True, timeout=30,
                          env={**os.environ, "V": str(VSWITCH_CTL), "VSWITCH_SOCKET": str(lab.daemon.socket)})


def test_output_that_cannot_be_written_is_no_success(lab: Lab) -> None:
    for command in ("show", "metrics", "list-br --json", "help", "help add-mirror", "show --watch --count 1"):
        done = tool(lab, f"$V {command} > /dev/full")
        assert done.returncode == 4 and "cannot write the output: No space left on device" in done.stderr, (command, done)


def test_what_is_printed_to_a_closed_output_does_not_go_to_the_daemon(lab: Lab) -> None:
    done = tool(lab, "$V show >&-")
    assert done.returncode == 4 and "cannot write the output: Bad file descriptor" in done.stderr
    for closed in ("<&-", "2>&-", "<&- >&- 2>&-"):
        tool(lab, f"$V show {closed}; $V add-br nothing/ {closed}")
    assert "not JSON" not in lab.daemon.log_text() and "parse" not in lab.daemon.log_text()
    assert tool(lab, "$V list-br <&-").stdout.count("br0") == 1


def test_a_reader_that_has_read_enough_ends_the_tool_quietly(lab: Lab) -> None:
    """A pipe is closed long before all is written: by the signal, as any other tool."""
    done = tool(lab, "for i in {1..50}; do $V metrics | head -1 || echo ended by $(($? - 128)); done")
    assert done.stderr == "" and done.stdout.count("# HELP vswitch_up") == 50
    assert set(done.stdout.splitlines()) <= {"# HELP vswitch_up 1: the daemon answers.", f"ended by {int(signal.SIGPIPE)}"}


def test_a_watched_table_waits_for_the_next_daemon(lab: Lab, tmp_path: pathlib.Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("w") as to, err.open("w") as errors:
        watching = subprocess.Popen([str(VSWITCH_CTL), "--rundir", str(lab.daemon.rundir), "show", "--watch", "--interval", "0.05"],
                                    stdout=to, stderr=errors)
    try:
        wait_until(lambda: out.read_text().count("bridge br0") > 1, "it refreshes")
        lab.daemon.kill9()
        wait_until(lambda: "waiting for the next one" in err.read_text(), "it says that the daemon is gone")
        assert watching.poll() is None
        lab.daemon.start()
        lab.ctl("add-br", "br7")
        wait_until(lambda: "bridge br7" in out.read_text(), "it shows what the next daemon has")
        assert err.read_text().count("waiting for the next one") == 1, "said once"
    finally:
        watching.terminate()  # a shell's job in the background ignores SIGINT
        assert watching.wait(10) == -signal.SIGTERM
