# SPDX-License-Identifier: Apache-2.0
"""A switch in a namespace of its own with lab hosts behind it: what most system tests start from."""
import contextlib

from lab import Daemon, wait_until
from net import Net


class Lab(contextlib.AbstractContextManager):
    """`vswitchd` in the switch's namespace, one bridge br0, and hosts that are ports of it by their names."""

    def __init__(self, directory, bridge="br0"):
        self.net = Net()
        try:
            self.daemon = Daemon(directory, namespace=self.net.switch)
            self.daemon.start()
            self.ctl("add-br", bridge)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        try:
            if hasattr(self, "daemon"):
                self.daemon.end()
        finally:
            if hasattr(self, "daemon") and self.daemon.process and self.daemon.process.poll() is None:
                self.daemon.process.kill()
            self.net.__exit__()

    def ctl(self, *args, **options):
        return self.daemon.ctl(*args, **options)

    def rpc(self, method, **params):
        return self.daemon.rpc(method, params)

    def host(self, name, address=None, bridge="br0", port_options=(), **options):
        host = self.net.host(name, address, **options)
        self.ctl("add-port", bridge, name, *port_options)
        return host

    def mirror(self, name, *options, bridge="br0"):
        self.ctl("add-mirror", bridge, name, *options)

    def state(self, mirror, bridge="br0"):
        return self.rpc("mirror.get", bridge=bridge, name=mirror)["state"]

    def wait_state(self, mirror, state, bridge="br0"):
        wait_until(lambda: self.state(mirror, bridge) == state, f"mirror {mirror} is {state}")

    def port(self, name):
        return self.rpc("port.get", name=name)

    def wait_port(self, name, state):
        wait_until(lambda: self.port(name)["state"] == state, f"port {name} is {state}")
        return self.port(name)

    def drops(self, reason):
        """Frames (or copies, with copy_ in front) lost for a reason, over all ports."""
        return {drop["reason"]: drop["count"] for drop in self.rpc("system.stats")["drops"]}.get(reason, 0)

    def account(self, mirror, bridge="br0"):
        """The session's counters once no copy is under way, after checking that they add up."""
        def counters():
            return self.rpc("mirror.stats", bridge=bridge, name=mirror)["mirrors"][0]["counters"]

        wait_until(lambda: counters()["queued"] == 0, "no copy is queued")
        settled = counters()
        assert settled["lost"] == sum(settled["lost_by"].values()), settled
        parts = ("delivered", "lost", "duplicate", "sampled_out", "rate_limited")
        assert settled["matched"] == sum(settled[part] for part in parts), settled
        return settled
