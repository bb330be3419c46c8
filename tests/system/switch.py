# SPDX-License-Identifier: Apache-2.0
"""A switch in a namespace of its own with lab hosts behind it: what most system tests start from."""
import contextlib
import time

from lab import Daemon
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
        if hasattr(self, "daemon"):
            self.daemon.stop()
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

    def wait_state(self, mirror, state, timeout=5.0, bridge="br0"):
        deadline = time.monotonic() + timeout
        while (seen := self.state(mirror, bridge)) != state:
            assert time.monotonic() < deadline, f"mirror {mirror} is {seen}, not {state}"
            time.sleep(0.02)

    def account(self, mirror, bridge="br0"):
        """The session's counters once no copy is under way, after checking that they add up."""
        deadline = time.monotonic() + 5
        while True:
            stats = self.rpc("mirror.stats", bridge=bridge, name=mirror)
            counters = stats.get("counters", stats)
            if counters.get("queued", 0) == 0 or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        causes = sum(value for key, value in counters.items() if key.startswith("lost_"))
        assert counters["lost"] == causes, counters
        assert counters["matched"] == counters["delivered"] + counters["lost"] + counters.get("duplicate", 0), counters
        return counters
