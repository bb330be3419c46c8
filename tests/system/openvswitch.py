# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch itself, to compare with: its ovsdb-server serves a database with our schema, its ovs-vswitchd switches in user space."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shlex
import subprocess
import time
from typing import Any

import pytest

from lab import PATIENCE_S, ROOT, Rpc, wait_until
from net import Net, run, stop, threads, watched

OVSDB_SERVER = pathlib.Path("/usr/sbin/ovsdb-server")
OVS_VSWITCHD = pathlib.Path("/usr/lib/openvswitch-switch/ovs-vswitchd")
SCHEMA = ROOT / "schemas" / "vswitch.ovsschema"
DEVICES = ("p1", "p2", "p3", "p4")
needed = pytest.mark.skipif(not OVSDB_SERVER.exists() or not OVS_VSWITCHD.exists(),
                            reason="needs the openvswitch-common and -switch packages")


def client(rundir: pathlib.Path | str, program: str, *args: object, namespace: str | None = None, timeout: float = 30,
           **options: Any) -> subprocess.CompletedProcess[str]:
    """An unmodified client run to its end; the CompletedProcess. In the given namespace, or where we are."""
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    environment = {**os.environ, "OVS_RUNDIR": str(rundir), **options.pop("env", {})}
    return subprocess.run([*inside, program, *map(str, args)], env=environment, text=True, capture_output=True, timeout=timeout,
                          **options)


class OpenVswitch(contextlib.AbstractContextManager):
    """Debian's Open vSwitch in a namespace of its own; with switch=False its database server only."""

    def __init__(self, directory: pathlib.Path, switch: bool = True) -> None:
        self.rundir = pathlib.Path(directory) / "ovs"
        self.rundir.mkdir()
        self.closing = contextlib.ExitStack()
        try:
            self.net = self.closing.enter_context(Net())
            database = self.rundir / "conf.db"
            subprocess.check_call(["ovsdb-tool", "create", str(database), str(SCHEMA)], timeout=PATIENCE_S)
            self.spawn(OVSDB_SERVER, f"--remote=punix:{self.socket}", database)
            wait_until(self.serves, "ovsdb-server serves")
            # As its start script (ovs-ctl) does.
            self.vsctl("--no-wait", "init", "--", "set", "Open_vSwitch", ".", "ovs_version=3.1.0", "db_version=8.3.1")
            if switch:
                process = self.spawn(OVS_VSWITCHD, "--disable-system", f"unix:{self.socket}")
                # Its main thread polls the ports.
                self.closing.enter_context(watched(lambda: threads(process.pid, OVS_VSWITCHD.name)))
        except BaseException:
            self.closing.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.closing.close()

    @property
    def socket(self) -> pathlib.Path:
        return self.rundir / "db.sock"

    def serves(self) -> bool:
        with contextlib.suppress(OSError), Rpc(self.socket) as rpc:
            return bool(rpc.call("echo", [], version=1) == [])
        return False

    def spawn(self, program: pathlib.Path, *args: object) -> subprocess.Popen[bytes]:
        command = ["ip", "netns", "exec", self.net.switch, str(program), "--no-chdir", "-vconsole:off", "-vsyslog:off", "--pidfile",
                   *map(str, args)]
        process = subprocess.Popen(command, env={**os.environ, "OVS_RUNDIR": str(self.rundir)}, stdin=subprocess.DEVNULL)
        self.closing.callback(stop, process)
        return process

    def vsctl(self, *args: str) -> str:
        done = client(self.rundir, "ovs-vsctl", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout


def make_devices(namespace: str) -> None:
    """p1 to p4, so that ports have something to open."""
    for device in DEVICES:
        run("ip", "-n", namespace, "link", "add", device, "type", "veth", "peer", "name", f"{device}x")
        for end in (device, f"{device}x"):
            run("ip", "-n", namespace, "link", "set", end, "up")


def neutral(text: str) -> str:
    """The text without what differs from run to run."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z\|\d+\|", "TIME|", text)
    text = re.sub(r"timed out after \d+ ms", "timed out after N ms", text)
    return re.sub(r"/\S*/(ovs|run)/", "RUNDIR/", text)


def differences(commands: str, theirs: pathlib.Path, ours: pathlib.Path, program: str, theirs_in: str | None = None,
                ours_in: str | None = None) -> str:
    """Runs every command line against both run directories: the ways in which ours answers otherwise.

    A command that begins with `~` prints in an order that is nobody's promise (hashes of random UUIDs): lines are compared as a set.
    Open vSwitch writes some columns (Interface.error) after it has answered: what only reads is asked again before it counts.
    """
    found = []
    for line in filter(None, map(str.strip, commands.splitlines())):
        free_order = line.startswith("~")
        args = shlex.split(line.lstrip("~ "))

        def answer(rundir: pathlib.Path, namespace: str | None) -> tuple[int, str | list[str], str]:
            done = client(rundir, program, *args, namespace=namespace)
            out, err = neutral(done.stdout), neutral(done.stderr)
            return done.returncode, sorted(out.splitlines()) if free_order else out, err

        expected, got = answer(theirs, theirs_in), answer(ours, ours_in)
        deadline = time.monotonic() + 3
        while expected != got and {"get", "list", "find"} & set(args) and "--" not in args and time.monotonic() < deadline:
            time.sleep(0.1)
            expected = answer(theirs, theirs_in)
        if expected != got:
            found.append(f"{program} {line}\n  Open vSwitch: {expected}\n  vswitchd:     {got}")
    return "\n".join(found)
