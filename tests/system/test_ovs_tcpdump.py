# SPDX-License-Identifier: Apache-2.0
"""ovs-tcpdump as Debian ships it: it makes a device, a port and a mirror, captures, and takes all of them away when it is interrupted."""
from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from lab import PATIENCE_S, wait_until
from net import run
from switch import Lab

pytestmark = pytest.mark.skipif(not shutil.which("ovs-tcpdump"), reason="needs openvswitch-switch and python3-openvswitch")


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.host("t1", "10.95.0.11")
        lab.host("t2", "10.95.0.12")
        lab.host("t3", "10.95.0.13")
        lab.vsctl = lambda *args: lab.daemon.ovs("ovs-vsctl", *args).stdout.strip()
        yield lab


class Capture:
    """ovs-tcpdump in the switch's namespace, in a process group of its own: like at a terminal, an interrupt goes to all of it."""

    def __init__(self, lab: Lab, directory: pathlib.Path, *args: str) -> None:
        self.lab = lab
        self.output = directory / "capture"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(["ip", "netns", "exec", lab.net.switch, "ovs-tcpdump", *args], stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            env={**os.environ, "OVS_RUNDIR": str(lab.daemon.rundir), "PYTHONUNBUFFERED": "1"})
        lab.net.closing.callback(self.kill)
        wait_until(lambda: "listening on" in self.text(), f"it captures: {self.text()}", timeout=15)

    def text(self) -> Any:
        return self.output.read_bytes().decode(errors="replace")

    def wait(self, expression: str) -> None:
        wait_until(lambda: re.search(expression, self.text()), f"{expression} in {self.text()}", timeout=10)

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)


def host(lab: Lab, name: str) -> Any:
    return next(namespace for namespace in lab.net.namespaces if namespace.endswith(f"-{name}"))


def ping(lab: Lab) -> None:
    run("ip", "netns", "exec", host(lab, "t1"), "ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "10.95.0.12")


def nothing_is_left(lab: Lab, device: str) -> None:
    assert lab.vsctl("list", "mirror") == ""
    assert lab.vsctl("list-ports", "br0").split() == ["t1", "t2", "t3"]
    assert lab.net.switch_run("ip", "link", "show", device, check=False).returncode != 0
    ping(lab)


def test_what_it_sets_up_works_and_goes_with_an_interrupt(lab: Lab, tmp_path: pathlib.Path) -> None:
    capture = Capture(lab, tmp_path, "-i", "t1", "-n", "icmp")
    assert lab.vsctl("--bare", "--columns=name", "list", "mirror") == "m_t1"
    assert lab.vsctl("get", "mirror", "m_t1", "select_src_port") == f"[{lab.vsctl('get', 'port', 't1', '_uuid')}]"
    assert lab.vsctl("get", "mirror", "m_t1", "output_port") == lab.vsctl("get", "port", "mit1", "_uuid")
    assert lab.vsctl("get", "interface", "mit1", "error") == "[]"
    ping(lab)
    lab.vsctl("-t", "10", "wait-until", "mirror", "m_t1", "statistics:tx_packets>=6")
    capture.interrupt()
    nothing_is_left(lab, "mit1")


def test_it_captures_a_port_in_both_directions(lab: Lab, tmp_path: pathlib.Path) -> None:
    capture = Capture(lab, tmp_path, "-i", "t1", "-n", "-e", "icmp")
    ping(lab)
    for sequence in (1, 2, 3):
        capture.wait(f"10.95.0.11 > 10.95.0.12: ICMP echo request, id [0-9]+, seq {sequence},")
        capture.wait(f"10.95.0.12 > 10.95.0.11: ICMP echo reply, id [0-9]+, seq {sequence},")
    capture.interrupt()
    assert capture.text().count("ICMP echo request") == 3, "each frame once"
    nothing_is_left(lab, "mit1")


def test_the_whole_bridge_with_span(lab: Lab, tmp_path: pathlib.Path) -> None:
    capture = Capture(lab, tmp_path, "--span", "-i", "t3", "--mirror-to", "mspan", "-n", "icmp")
    assert lab.vsctl("get", "mirror", "m_t3", "select_all") == "true"
    ping(lab)  # between t1 and t2: t3 has no part in it
    capture.wait("10.95.0.12 > 10.95.0.11: ICMP echo reply, id [0-9]+, seq 3,")
    capture.interrupt()
    assert capture.text().count("ICMP echo request") == 3, "each frame once"
    assert lab.vsctl("list", "mirror") == "" and lab.vsctl("list-ports", "br0").split() == ["t1", "t2", "t3"]


def test_another_program_captures_to_a_device_that_is_there(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.net.switch_run("ip", "link", "add", "tome", "type", "veth", "peer", "name", "tomex")
    for device in ("tome", "tomex"):
        lab.net.switch_run("ip", "link", "set", device, "up")
    script = tmp_path / "mydump"
    script.write_text('#!/bin/sh\necho "called with $*"\nexec tcpdump "$@" 2>&1\n')
    script.chmod(0o755)
    old_path = os.environ["PATH"]
    os.environ["PATH"] = f"{tmp_path}:{old_path}"
    try:
        capture = Capture(lab, tmp_path, "--db-sock", f"unix:{lab.daemon.socket}", "--dump-cmd", "mydump", "--mirror-to", "tome",
                          "-i", "t2", "-n", "-c", "2", "icmp")
        capture.wait("called with -i tome -l -n -c 2 icmp")
        ping(lab)
        capture.process.wait(15)  # after two frames of its own accord
    finally:
        os.environ["PATH"] = old_path
    assert "2 packets captured" in capture.text()
    assert lab.vsctl("list", "mirror") == "" and lab.vsctl("list-ports", "br0").split() == ["t1", "t2", "t3"]
    assert lab.net.switch_run("ip", "link", "show", "tome").returncode == 0, "it was there before"


def test_a_port_that_is_not_there_changes_nothing(lab: Lab) -> None:
    before = lab.vsctl("show")
    done = lab.net.switch_run("ovs-tcpdump", "-i", "nosuch", check=False, env={**os.environ, "OVS_RUNDIR": str(lab.daemon.rundir)})
    assert done.returncode == 1 and "Port nosuch does not exist" in done.stdout
    assert lab.vsctl("show") == before
