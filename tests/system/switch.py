# SPDX-License-Identifier: Apache-2.0
"""A switch in a namespace of its own with lab hosts behind it: what most system tests start from."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any

from lab import FAST_PATH, Daemon, wait_until
from net import Host, Net, Wire, watched

TAKEN_AFTER_S = 0.02  # a worker has taken what the kernel handed it


class Lab(contextlib.AbstractContextManager):
    """`vswitchd` in the switch's namespace, one bridge br0, and hosts that are ports of it by their names."""

    # What fixtures add: hosts by their names, and tools that have the switch's run directory.
    t1: Host
    t2: Host
    t3: Host
    t4: Host
    t5: Host
    d1: Host
    d2: Host
    d3: Host
    one: Host
    two: Host
    other: Host
    second: Host
    probe: Host
    under: Host
    uplink: Host
    nic: Host
    p1: Host
    sensor: Host
    analyzer: Host
    vx: Wire
    router: str  # a namespace
    version: int  # of IP
    refused: Callable[..., subprocess.CompletedProcess[str]]
    vsctl: Callable[..., str]
    appctl: Callable[..., str]

    def __init__(self, directory: pathlib.Path, bridge: str = "br0") -> None:
        self.net = Net()
        try:
            self.daemon = Daemon(directory, namespace=self.net.switch)
            self.net.closing.enter_context(watched(self.daemon.forwarding_threads))
            self.daemon.start()
            self.ctl("add-br", bridge)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            if hasattr(self, "daemon"):
                self.daemon.end()
        finally:
            try:
                if hasattr(self, "daemon") and self.daemon.runs():
                    self.daemon.kill9()
            finally:
                self.net.__exit__()

    def ctl(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.daemon.ctl(*args, check=check)

    def rpc(self, method: str, **params: Any) -> Any:
        return self.daemon.rpc(method, params)

    def host(self, name: str, address: str | None = None, bridge: str = "br0", port_options: Iterable[str] = (), **options: Any) -> Host:
        host = self.net.host(name, address, **options)
        self.ctl("add-port", bridge, name, *port_options)
        return host

    def mirror(self, name: str, *options: str, bridge: str = "br0") -> None:
        self.ctl("add-mirror", bridge, name, *options)

    def state(self, mirror: str, bridge: str = "br0") -> str:
        return self.rpc("mirror.get", bridge=bridge, name=mirror)["state"]

    def wait_state(self, mirror: str, state: str, bridge: str = "br0") -> None:
        wait_until(lambda: self.state(mirror, bridge) == state, f"mirror {mirror} is {state}")

    def port(self, name: str) -> dict[str, Any]:
        return self.rpc("port.get", name=name)

    def wait_port(self, name: str, state: str) -> dict[str, Any]:
        wait_until(lambda: self.port(name)["state"] == state, f"port {name} is {state}")
        return self.port(name)

    def drops(self, reason: str) -> int:
        """Frames (or copies, with copy_ in front) lost for a reason, over all ports."""
        return {drop["reason"]: drop["count"] for drop in self.rpc("system.stats")["drops"]}.get(reason, 0)

    def account(self, mirror: str, bridge: str = "br0") -> dict[str, Any]:
        """The session's counters once no copy is under way, after checking that they add up.

        A frame that the kernel has forwarded is counted when a worker takes it from its copy tap, a moment after it has
        arrived: there, two readings that are the same say that none is under way.
        """
        def counters() -> dict[str, Any]:
            return self.rpc("mirror.stats", bridge=bridge, name=mirror)["mirrors"][0]["counters"]

        settled: dict[str, Any] = {}

        def is_settled() -> bool:  # of one reading: another frame may come between two
            before = dict(settled)
            settled.update(counters())
            if settled["queued"] == 0 and before != settled and FAST_PATH:
                time.sleep(TAKEN_AFTER_S)
            return settled["queued"] == 0 and (before == settled or not FAST_PATH)

        wait_until(is_settled, "no copy is queued")
        assert settled["lost"] == sum(settled["lost_by"].values()), settled
        parts = ("delivered", "lost", "duplicate", "sampled_out", "rate_limited")
        assert settled["matched"] == sum(settled[part] for part in parts), settled
        return settled
