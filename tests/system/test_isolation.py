# SPDX-License-Identifier: Apache-2.0
"""The host's stack stays away from ports: when others interfere, when several daemons run, and after one was killed."""
from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

import bpf
from bpf import needs_bpf
from lab import VSWITCH_CTL, VSWITCHD, Daemon, wait_until
from net import BROADCAST, Host, frame, in_namespace, mac, run, stop
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


def port_of_the_host(lab: Lab, name: str = "t1", port: bool = True) -> Host:
    """Its device has an address of the host, 10.95.0.1, which does not answer while it is isolated."""
    host = lab.host(name, "10.95.0.2") if port else lab.net.host(name, "10.95.0.2")
    run("ip", "-n", lab.net.switch, "addr", "add", "10.95.0.1/24", "dev", name)
    return host


def is_seen_by_the_host(host: Host) -> bool:
    host.ip("neigh", "flush", "all")
    return host.ping("10.95.0.1", check=False).returncode == 0


def tc(lab: Lab, *args: str) -> str:
    return lab.net.switch_run("tc", *args).stdout


def owners(lab: Lab, device: str, side: str = "ingress") -> list[int]:
    """The processes that keep the host's stack away from the device."""
    words = tc(lab, "filter", "show", "dev", device, side).replace("=", " ").split()
    return [int(words[i + 2]) for i, word in enumerate(words) if word == "vswitch" and words[i + 1] == "pid"]


def another(lab: Lab, directory: pathlib.Path) -> Daemon:
    directory.mkdir()
    return Daemon(directory, namespace=lab.net.switch).start()


@pytest.mark.parametrize("removed", ["qdisc del dev t1 clsact", "filter del dev t1 ingress", "filter del dev t1 egress"])
def test_what_somebody_removes_comes_back_and_the_log_says_so(lab: Lab, removed: str) -> None:
    t1, t2 = port_of_the_host(lab), lab.host("t2")
    tc(lab, *removed.split())
    mine = [lab.daemon.pid]
    wait_until(lambda: (owners(lab, "t1"), owners(lab, "t1", "egress")) == (mine, mine), "it is back, once on each side")
    assert not is_seen_by_the_host(t1)
    assert "t1: somebody removed what keeps the host's own stack away from the device; it is back" in lab.daemon.log_text()
    assert lab.port("t1")["reason"] == ""
    t1.wire.send(frame(mac(1), BROADCAST, b"goes on"))
    assert t2.wire.wait(1, match=lambda data: b"goes on" in data)
    lab.ctl("del-port", "t1")
    assert "clsact" not in tc(lab, "qdisc", "show", "dev", "t1")
    assert lab.daemon.log_text().count("somebody removed") == 1, "the switch itself is not somebody"


def test_while_it_cannot_come_back_the_port_says_so(lab: Lab) -> None:
    port_of_the_host(lab)
    # In one step for the daemon: it has no chance in between.
    os.kill(lab.daemon.pid, signal.SIGSTOP)
    tc(lab, "qdisc", "del", "dev", "t1", "clsact")
    tc(lab, "qdisc", "add", "dev", "t1", "ingress")
    os.kill(lab.daemon.pid, signal.SIGCONT)
    wait_until(lambda: "may still send on the device" in lab.port("t1")["reason"], "the port says it")
    assert lab.port("t1")["state"] == "active"
    assert "may still send" in lab.daemon.ovs("ovs-vsctl", "get", "interface", "t1", "status:warning").stdout
    tc(lab, "qdisc", "del", "dev", "t1", "ingress")
    wait_until(lambda: lab.port("t1")["reason"] == "", "all is well again")
    assert owners(lab, "t1", "egress") == [lab.daemon.pid]


def test_a_device_that_leaves_and_returns_is_isolated_again(lab: Lab) -> None:
    t1 = port_of_the_host(lab)
    lab.net.add_namespace(f"{lab.net.uid}-away")
    run("ip", "-n", lab.net.switch, "link", "set", "t1", "netns", f"{lab.net.uid}-away")
    lab.wait_port("t1", "waiting")
    run("ip", "-n", f"{lab.net.uid}-away", "link", "set", "t1", "netns", lab.net.switch)
    run("ip", "-n", lab.net.switch, "addr", "add", "10.95.0.1/24", "dev", "t1")
    run("ip", "-n", lab.net.switch, "link", "set", "t1", "up")
    lab.wait_port("t1", "active")
    assert owners(lab, "t1") == [lab.daemon.pid]
    assert not is_seen_by_the_host(t1)
    assert "somebody removed" not in lab.daemon.log_text()


def set_xdp(lab: Lab, device: str, program: int) -> None:
    """Attaches an XDP program (generic mode) to a device of the switch's namespace, or removes it: -1."""
    index = int(lab.net.switch_run("ip", "-o", "link", "show", device).stdout.split(":")[0])
    attributes = struct.pack("=HHi", 8, 1, program) + struct.pack("=HHI", 8, 3, 2)  # IFLA_XDP_FD, IFLA_XDP_FLAGS: SKB_MODE
    body = struct.pack("=BxHiII", 0, 0, index, 0, 0) + struct.pack("=HH", 4 + len(attributes), 43 | 1 << 15) + attributes  # IFLA_XDP

    def request() -> bytes:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
            netlink.send(struct.pack("=IHHII", 16 + len(body), 19, 5, 1, 0) + body)  # RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK
            return netlink.recv(4096)

    assert struct.unpack_from("=i", in_namespace(lab.net.switch, request), 16) == (0,)


@needs_bpf
def test_an_xdp_program_is_noticed_while_it_is_there(lab: Lab) -> None:
    lab.host("t1")
    program = bpf.load(bpf.XDP, bpf.XDP_PASS)
    try:
        set_xdp(lab, "t1", program)
    finally:
        os.close(program)
    wait_until(lambda: "an XDP program on the device comes before the switch" in lab.port("t1")["reason"], "the port says it")
    assert lab.port("t1")["state"] == "active"
    set_xdp(lab, "t1", -1)
    wait_until(lambda: lab.port("t1")["reason"] == "", "it is gone")


@needs_bpf
@pytest.mark.parametrize("sides", [["ingress"], ["egress"], ["ingress", "egress"]])
def test_a_tcx_program_is_noticed_while_it_is_there(lab: Lab, sides: list[str]) -> None:
    """It runs before the filters of the switch, and a frame that it passes skips them."""
    t1 = port_of_the_host(lab)
    assert lab.port("t1")["reason"] == ""
    with contextlib.ExitStack() as programs:
        for side in sides:
            programs.enter_context(bpf.tcx_program(lab.net, "t1", side, bpf.TCX_PASS))
        wait_until(lambda: "attached by tcx" in lab.port("t1")["reason"], "the port says it")
        assert lab.port("t1")["state"] == "active"
        assert is_seen_by_the_host(t1) == (len(sides) == 2), "it takes both to talk to the host"
    wait_until(lambda: lab.port("t1")["reason"] == "", "it is gone")
    assert not is_seen_by_the_host(t1)


def test_two_daemons_leave_each_others_alone(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Also on a device that both have, and also over a crash of one."""
    t1 = port_of_the_host(lab)
    other = another(lab, tmp_path / "other")
    try:
        other.ctl("add-br", "br9")
        other.ctl("add-port", "br9", "t1")
        both = sorted([lab.daemon.pid, other.pid])
        assert sorted(owners(lab, "t1")) == both
        tc(lab, "qdisc", "del", "dev", "t1", "clsact")
        wait_until(lambda: sorted(owners(lab, "t1")) == both, "each brings back its own")
        other.kill9()
        other.start()
        assert sorted(owners(lab, "t1")) == sorted([lab.daemon.pid, other.pid])
        other.ctl("del-port", "t1")
        assert owners(lab, "t1") == owners(lab, "t1", "egress") == [lab.daemon.pid]
        other.ctl("add-port", "br9", "t1")
    finally:
        other.end()
    assert owners(lab, "t1") == owners(lab, "t1", "egress") == [lab.daemon.pid]
    assert not is_seen_by_the_host(t1)


def in_namespaces_of_its_own(lab: Lab, directory: pathlib.Path, rundir: pathlib.Path) -> subprocess.Popen[bytes]:
    """As in a container with the host's network: other processes, and another directory behind the path of the run directory."""
    rundir.mkdir(exist_ok=True)
    files = f"--db {directory}/container.db --log-file {directory}/container.log"
    script = f"mount -t tmpfs none {rundir} && exec {VSWITCHD} --rundir {rundir} {files}"
    return subprocess.Popen(["ip", "netns", "exec", lab.net.switch, "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
                             script], stdin=subprocess.DEVNULL)


def inside(container: subprocess.Popen[bytes]) -> int:
    """The daemon's pid, as seen from here."""
    children = pathlib.Path(f"/proc/{container.pid}/task/{container.pid}/children")
    wait_until(lambda: children.read_text(), "it has started")
    return int(children.read_text())


def test_a_daemon_in_a_container_is_told_from_one_that_was_killed(lab: Lab, tmp_path: pathlib.Path) -> None:
    t1 = port_of_the_host(lab, port=False)
    container = in_namespaces_of_its_own(lab, tmp_path, lab.daemon.rundir)
    try:
        pid = inside(container)
        contained = Daemon(tmp_path / "contained")
        contained.rundir = pathlib.Path(f"/proc/{pid}/root{lab.daemon.rundir}")
        wait_until(lambda: contained.rundir.stat().st_dev != lab.daemon.rundir.stat().st_dev, "it has a directory of its own")
        wait_until(contained.listens, "it serves")
        contained.ctl("add-br", "br9")
        contained.ctl("add-port", "br9", "t1")
        lab.daemon.restart()  # of a run directory with the same path
        assert len(owners(lab, "t1")) == 1, "it lives"
        assert "br9" in lab.net.switch_run("ip", "-br", "link").stdout, "its internal port too"
        assert not is_seen_by_the_host(t1)
        os.kill(pid, signal.SIGKILL)
        container.wait(30)
        assert len(owners(lab, "t1")) == 1
        lab.daemon.restart()
        assert owners(lab, "t1") == [], "its pid means nothing here, and yet it has ended"
        assert is_seen_by_the_host(t1)
        assert "device t1 returned to the host's stack" in lab.daemon.log_text()
    finally:
        stop(container)


def test_isolation_that_cannot_be_set_up_is_said_by_the_port(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.host("t1")
    without = Daemon(tmp_path / "without", namespace=lab.net.switch)
    without.directory.mkdir()
    without.inside += ["setpriv", "--bounding-set", "-bpf,-sys_admin", "--inh-caps", "-bpf,-sys_admin"]
    without.start()
    try:
        without.ctl("add-br", "br9")
        added = without.ctl("add-port", "br9", "t1")
        port = without.rpc("port.get", {"name": "t1"})
        assert (port["state"], "bpf(2) refused" in port["reason"]) == ("active", True), port
        assert "bpf(2) refused" in without.ctl("show-port", "t1").stdout + added.stdout
        assert "bpf(2) refused" in without.ovs("ovs-vsctl", "get", "interface", "t1", "status:warning").stdout
        assert without.log_text().count("bpf(2) refused") == 1
    finally:
        without.end()


def test_devices_are_released_without_a_daemon(lab: Lab, tmp_path: pathlib.Path) -> None:
    t1 = port_of_the_host(lab)
    other = another(lab, tmp_path / "other")
    try:
        other.ctl("add-br", "br9")
        lab.net.host("t2")
        other.ctl("add-port", "br9", "t2")
        ip = ("ip", "-br", "link", "show", "type", "tun")

        def released(*options: str) -> subprocess.CompletedProcess[str]:
            return lab.net.switch_run(VSWITCH_CTL, "--rundir", lab.daemon.rundir, "release-devices", *options, check=False)

        refused = released("--cleanup")
        assert refused.returncode == 1 and f"pid {lab.daemon.pid}" in refused.stderr, refused
        assert owners(lab, "t1") == [lab.daemon.pid]
        lab.daemon.kill9()
        assert not is_seen_by_the_host(t1)
        done = released()
        assert done.returncode == 0
        assert "device t1 returned to the host's stack" in done.stdout
        assert f"device t2 stays a port: process {other.pid}" in done.stdout and "lives" in done.stdout
        assert is_seen_by_the_host(t1)
        assert owners(lab, "t2") == [other.pid]
        assert lab.net.switch_run(*ip).stdout.count("\n") == 2, "br0 waits for the next daemon"
        assert "device br0 removed" in released("--cleanup").stdout
        left = lab.net.switch_run(*ip).stdout
        assert left.count("\n") == 1 and "br9" in left, "the other's stays"
        again = released("--cleanup").stdout
        assert "br0" not in again and "t1" not in again
    finally:
        other.end()
    assert "no device is held" in lab.net.switch_run(VSWITCH_CTL, "--rundir", tmp_path / "none", "release-devices").stdout
    assert not (tmp_path / "none").exists()
    lab.daemon.start()
    assert owners(lab, "t1") == [lab.daemon.pid]
