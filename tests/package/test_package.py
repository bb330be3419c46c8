# SPDX-License-Identifier: Apache-2.0
"""The Debian packages on a bare Debian 12 under its own systemd: install, serve, upgrade under traffic, purge."""
from __future__ import annotations

import os
import pathlib
import re
import subprocess
from collections.abc import Iterator

import pytest

from machine import ROOT, Machine, package, wait_until

NEEDED = 1 << 12 | 1 << 13 | 1 << 38 | 1 << 39  # CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_BPF
# Seen: 200 to 330 ms with a busy machine. The aim is 50; the verifier of the kernel takes 100 while nobody forwards.
MOST_MISSED_MS = 1000
LAB = """
for n in 1 2 3; do
  ip netns add h$n
  ip link add t$n up type veth peer name eth0 netns h$n
  ip -n h$n addr add 10.98.0.$n/24 dev eth0
  ip -n h$n link set eth0 up
done
"""


@pytest.fixture
def machine() -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with Machine() as machine:
        yield machine


def older(deb: pathlib.Path, version: str, directory: pathlib.Path) -> pathlib.Path:
    """The same package under a version before its own, as the one that is replaced."""
    tree = directory / "tree"
    subprocess.run(["dpkg-deb", "-R", str(deb), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.MULTILINE))
    made = directory / f"{deb.name.split('_')[0]}_{version}_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(tree), str(made)], check=True, capture_output=True)
    return made


def status_of(machine: Machine, pid: int) -> list[dict[str, str]]:
    text = machine.shell(f"for t in /proc/{pid}/task/*; do cat $t/status; echo; done")
    return [dict(re.findall(r"^(\w+):\t*(.*)$", one, flags=re.MULTILINE)) for one in text.strip().split("\n\n")]


def demonstration() -> tuple[str, str]:
    """The two scripts of the manual page."""
    text = (ROOT / "packaging/manual/vswitch-ctl.8.prose").read_text()
    section = text[text.index("# DEMONSTRATION"):text.index("# OPTIONS")]
    blocks = re.findall(r"(?:^    .*\n)+", section, flags=re.MULTILINE)
    assert len(blocks) == 2
    return blocks[0], blocks[1]


def test_from_install_to_purge(machine: Machine, tmp_path: pathlib.Path) -> None:
    before = machine.files()
    machine.install(older(package("vswitch"), "0.0.9", tmp_path))
    assert machine.run("systemctl", "is-active", "vswitch").stdout.strip() == "active", "the service has started"
    assert machine.run("systemctl", "is-enabled", "vswitch").stdout.strip() == "enabled"

    # What it may do.
    statuses = status_of(machine, machine.main_pid())
    assert len(statuses) >= 4
    uid = machine.run("id", "-u", "vswitch").stdout.strip()
    for status in statuses:
        assert set(status["Uid"].split()) == {uid}, status
        masks = [int(status[which], 16) for which in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")]
        assert masks == [NEEDED, NEEDED, NEEDED, 0, 0], status
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), status
    version = machine.run("vswitch-ctl", "version").stdout
    assert "runs as vswitch, capabilities net_admin, net_raw, perfmon, bpf, system calls filtered\n" in version
    assert "notice:" not in version
    stats = machine.run("vswitch-ctl", "--json", "stats").stdout
    assert '"off"' not in stats, "there is a fast path"

    # It is a switch, as the manual page shows.
    demo, removal = demonstration()
    assert "3 received" in machine.shell(demo)
    account = machine.run("vswitch-ctl", "mirror-stats").stdout
    delivered = re.search(r"span0\s+(\d+)\s+(\d+)\s+(\d+)", account)
    assert delivered and int(delivered[1]) >= 6 and delivered[3] == "0", account
    machine.shell(removal)
    wait_until(lambda: not re.search(r"\bt[123]\b", machine.run("ip", "-o", "link").stdout), "the kernel has taken the namespaces apart")

    # Upgrade under traffic: the port of the host keeps its address, sessions stay.
    machine.shell(LAB + """
      vswitch-ctl add-br br0
      for n in 1 2 3; do vswitch-ctl add-port br0 t$n; done
      vswitch-ctl add-mirror br0 span0 --source t1 --output t3
      ip link set br0 up
      ip addr add 10.98.0.9/24 dev br0
      ip netns exec h1 ping -q -c 3 -i 0.2 10.98.0.9""")
    old_pid = machine.main_pid()
    ping = machine.popen("sh", "-c", "exec ip netns exec h1 ping -D -i 0.002 -w 120 10.98.0.2 > /tmp/replies")
    ifindex = machine.shell("cat /sys/class/net/br0/ifindex")
    machine.install(package("vswitch"))
    assert machine.main_pid() != old_pid, "it was restarted"
    machine.shell("pkill -INT -x ping")
    ping.communicate(timeout=60)
    out = machine.shell("cat /tmp/replies")
    replies = re.findall(r"^\[([0-9.]+)\] .*icmp_seq=(\d+)", out, flags=re.MULTILINE)
    arrivals = [float(time) for time, _ in replies]
    assert len(arrivals) > 500, out[-500:]
    started = float(machine.run("stat", "-c", "%.Y", "/run/vswitch/db.sock").stdout)
    assert arrivals[0] < started < arrivals[-1], "the restart was under traffic"
    gap = max(later - earlier for earlier, later in zip(arrivals, arrivals[1:])) * 1000
    lost = int(replies[-1][1]) - int(replies[0][1]) + 1 - len(replies)
    print(f"during the upgrade: longest gap between replies {gap:.0f} ms, {lost} of {len(replies) + lost} lost")
    assert machine.shell("cat /sys/class/net/br0/ifindex") == ifindex
    assert "10.98.0.9/24" in machine.run("ip", "addr", "show", "br0").stdout
    machine.shell("ip netns exec h1 ping -q -c 3 -i 0.2 10.98.0.9")
    assert re.search(r"span0 .*active", machine.run("vswitch-ctl", "list-mirrors").stdout)
    copied = re.search(r"span0\s+(\d+)", machine.run("vswitch-ctl", "mirror-stats").stdout)
    assert copied and int(copied[1]) >= 2 * len(replies), "the account goes on: a request and a reply each"

    # Log and its rotation.
    machine.shell("test -s /var/log/vswitch/vswitchd.log")
    machine.run("systemctl", "reload", "vswitch")
    assert machine.run("systemctl", "is-active", "vswitch").stdout.strip() == "active"

    # Killed, it comes back by itself; told to, it ends.
    machine.shell(f"kill -9 {machine.main_pid()}")
    wait_until(lambda: "br0" in machine.run("vswitch-ctl", "list-br", check=False).stdout, "systemd has restarted it")
    machine.run("systemctl", "stop", "vswitch")
    assert "10.98.0.9/24" in machine.run("ip", "addr", "show", "br0").stdout, "it stays for the next start"
    machine.run("systemctl", "start", "vswitch")

    # Nothing of it stays.
    machine.run("apt-get", "-y", "-qq", "purge", "vswitch")
    assert machine.run("ip", "link", "show", "br0", check=False).returncode != 0, "the device of the internal port is gone"
    assert machine.run("getent", "passwd", "vswitch", check=False).stdout == ""
    machine.run("apt-get", "-y", "-qq", "autoremove", "--purge")
    machine.run("systemctl", "daemon-reload")
    left = {path for path in machine.files() - before if "vswitch" in path}
    assert not left, left
    assert "vswitch" not in machine.shell("ls -R /run; ip -o link; cat /etc/passwd /etc/group")
    assert gap < MOST_MISSED_MS, f"{gap:.0f} ms without a reply"


def test_in_place_of_open_vswitch(machine: Machine) -> None:
    machine.install(package("vswitch"), package("vswitch-ovs-compat"))
    for name in ("vswitch", "openvswitch-switch", "ovsdb-server", "ovs-vswitchd"):
        assert machine.run("systemctl", "is-active", name).stdout.strip() == "active", name
        assert machine.main_pid(f"{name}.service") == machine.main_pid(), name
    assert machine.run("pidof", "ovsdb-server", "ovs-vswitchd", check=False).stdout == "", "not Open vSwitch's own"
    # Clients look in /run/openvswitch, and the tool finds it as well.
    machine.shell("""
      ovs-vsctl add-br br7 -- set bridge br7 external_ids:who=tester
      test "$(vswitch-ctl list-br | tail -n 1 | cut -d' ' -f1)" = br7
      ovs-appctl version | grep -q vswitch
      ovs-appctl -t ovsdb-server version > /dev/null
      test "$(readlink -f /run/vswitch)" = /run/openvswitch""")
    machine.run("systemctl", "restart", "openvswitch-switch")
    assert machine.run("ovs-vsctl", "get", "bridge", "br7", "external_ids:who").stdout.strip() == "tester"
    machine.run("apt-get", "-y", "-qq", "purge", "vswitch-ovs-compat")
    assert machine.shell("ls /etc/systemd/system/*.service 2>/dev/null || true") == ""
    machine.run("systemctl", "daemon-reload")
    machine.run("vswitch-ctl", "list-br")


def test_units_are_in_order_and_hardened(machine: Machine) -> None:
    machine.install(package("vswitch"))
    verified = machine.run("systemd-analyze", "verify", "--man=no", "vswitch.service", check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    security = machine.run("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=30",
                           "/lib/systemd/system/vswitch.service", check=False)
    assert security.returncode == 0, security.stdout
    print(security.stdout.splitlines()[-1])
