# SPDX-License-Identifier: Apache-2.0
"""An ordinary user runs the switch in a user namespace of his own, with hosts in network namespaces below it."""
from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from lab import VSWITCH_CTL, VSWITCHD

NOBODY = 65534
# What the user does. Names of network namespaces are in a /run of his own.
SCRIPT = r"""
set -eu
mount -t tmpfs none /run
mkdir /run/netns /run/sw
export OVS_RUNDIR=/run/sw
trap 'kill $pid; wait $pid' EXIT
"$VSWITCHD" --rundir /run/sw --db /run/sw/conf.db --log-file "$DIRECTORY/log" & pid=$!
for try in $(seq 300); do test -S /run/sw/db.sock && break; sleep 0.1; done
ctl() { "$VSWITCH_CTL" --rundir /run/sw "$@"; }

for n in 1 2 3; do
  ip netns add h$n
  ip link add t$n up type veth peer name eth0 netns h$n
  ip -n h$n addr add 10.98.0.$n/24 dev eth0
  ip -n h$n link set eth0 up
done
ctl add-br br0
for n in 1 2 3; do ctl add-port br0 t$n; done
ctl add-mirror br0 m --source t1 --output t3
ip link set br0 up
ip addr add 10.98.0.9/24 dev br0
ip netns exec h1 ping -n -q -c 3 -i 0.2 -W 5 10.98.0.2
ping -n -q -c 1 -W 5 10.98.0.1
ovs-vsctl -t 10 wait-until mirror m 'statistics:tx_packets>=8'
ctl add-mirror br0 er --source t2:from --endpoint 10.98.0.2 --encap erspan2 --session-id 5
ctl add-port br0 er1 --type erspan --option remote_ip=10.98.0.3 --option key=7
ip netns exec h1 ping -n -q -c 1 -W 5 10.98.0.2
ovs-vsctl -t 10 wait-until mirror er 'statistics:tx_packets>=1'
ctl list-ports br0
ovs-vsctl show
ovs-appctl fdb/show br0
ctl show-mirror br0 m
"""


def limit(name: str) -> int:
    return int(pathlib.Path("/proc/sys/net/core", name).read_text())


@pytest.fixture
def directory() -> Iterator[pathlib.Path]:
    made = pathlib.Path(tempfile.mkdtemp(prefix="vswitch-rootless-"))
    os.chown(made, NOBODY, NOBODY)
    try:
        yield made
    finally:
        shutil.rmtree(made)


@pytest.mark.skipif(not shutil.which("ovs-vsctl"), reason="needs openvswitch-switch")
def test_an_ordinary_user_has_a_switch_with_a_session(directory: pathlib.Path) -> None:
    programs = {}
    for name, program in (("VSWITCHD", VSWITCHD), ("VSWITCH_CTL", VSWITCH_CTL)):
        programs[name] = str(shutil.copy(program, directory))  # the build directory may be closed to others
    tun = directory / "tun"
    os.mknod(tun, 0o020666, os.makedev(10, 200))
    os.chmod(tun, 0o666)  # as udev makes it
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "unshare", "-Urnm", "sh", "-c", SCRIPT]
    done = subprocess.run(["unshare", "-m", "sh", "-c", f'mount --bind {tun} /dev/net/tun && exec "$@"', "sh", *user], text=True,
                          capture_output=True, timeout=120, env={**os.environ, **programs, "DIRECTORY": str(directory)})
    log = (directory / "log").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + log
    assert "3 packets transmitted, 3 received" in done.stdout
    assert "1 packets transmitted, 1 received" in done.stdout, "the host, by the local port"
    assert "error" not in done.stdout, done.stdout
    assert ("raise them to" in log) == (min(map(limit, ("rmem_max", "wmem_max"))) < 2 << 20), "what is less than with privileges is said"
