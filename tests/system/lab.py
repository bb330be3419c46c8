# SPDX-License-Identifier: Apache-2.0
"""What system tests work with: a daemon of the build under test, and JSON-RPC to it over its real sockets.

VSWITCH_BUILD names the build directory (default: build/release below the source root). With VSWITCH_FAST_PATH=off user space carries
every frame.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

from net import PATIENCE_S, threads

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VSWITCH_BUILD", ROOT / "build" / "release")).resolve()
FAST_PATH = os.environ.get("VSWITCH_FAST_PATH") != "off"  # every test must pass with it and without
# What a sanitizer takes of memory and time says nothing about the program, and it ends a program that runs out of memory.
SANITIZED = "VSWITCH_SANITIZE:STRING=\n" not in (BUILD / "CMakeCache.txt").read_text()
VSWITCHD = BUILD / "vswitchd"
VSWITCH_CTL = BUILD / "vswitch-ctl"

Result = TypeVar("Result")
Where = str | pathlib.Path | tuple[str, int]


def wait_until(condition: Callable[[], Result], what: str, timeout: float = PATIENCE_S) -> Result:
    """Calls condition() until it gives something true, and returns that; fails naming `what`."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.01)


def found(expression: str, text: str, flags: int = 0) -> re.Match[str]:
    """re.search(), and there has to be one."""
    match = re.search(expression, text, flags)
    assert match, f"no {expression} in:\n{text}"
    return match


class RpcError(Exception):
    """An error reply; .error is its error member."""

    def __init__(self, error: Any) -> None:
        super().__init__(json.dumps(error))
        self.error = error


class Rpc:
    """One connection to a control socket: a path, or an (address, port) pair."""

    def __init__(self, where: Where) -> None:
        family = socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(where if isinstance(where, tuple) else str(where))
        self.text = ""
        self.pending = b""
        self.last_id = 0
        self.notifications: list[Any] = []

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def receive(self) -> Any:
        """The next message, None at the end of the connection."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < deadline, f"no whole message within {PATIENCE_S} s: {self.text[:200]}"
            self.text = self.text.lstrip()
            if self.text:
                try:
                    message, end = json.JSONDecoder().raw_decode(self.text)
                    self.text = self.text[end:]
                    return message
                except ValueError:
                    pass
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self.pending += data
            try:
                self.text += self.pending.decode()
                self.pending = b""
            except UnicodeDecodeError:
                pass  # cut inside a character

    def call(self, method: str, params: Any = None, version: int = 2) -> Any:
        """The result of a request; notifications that come before it are kept in .notifications."""
        self.last_id += 1
        request = {"method": method, "params": params if params is not None else ({} if version == 2 else []),
                   "id": self.last_id}
        if version == 2:
            request["jsonrpc"] = "2.0"
        self.socket.sendall(json.dumps(request).encode())
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < deadline, f"{method} is not answered within {PATIENCE_S} s"
            message = self.receive()
            assert message is not None, f"the daemon hung up instead of answering {method}"
            if message.get("id") != self.last_id:
                self.notifications.append(message)
                continue
            if message.get("error") is not None:
                raise RpcError(message["error"])
            return message["result"]


class Daemon:
    """A vswitchd with a run directory, a database and a log of its own below `directory`.

    What it leaves in the log and its exit status are checked when the test ends: a sanitizer's report is a failure.
    """

    def __init__(self, directory: pathlib.Path, *args: str, env: dict[str, str] | None = None, namespace: str | None = None) -> None:
        self.directory = pathlib.Path(directory)
        self.rundir = self.directory / "run"
        self.database = self.directory / "conf.db"
        self.log = self.directory / "vswitchd.log"
        self.args = args
        self.env = env or {}
        self.confine = "strict"  # a system call that the filter does not know ends the daemon, and fails the test
        self.inside = ["ip", "netns", "exec", namespace] if namespace else []  # which replaces itself by the daemon
        self.started: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> pathlib.Path:
        return self.rundir / "db.sock"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self.started, "it has never been started"
        return self.started

    @property
    def pid(self) -> int:
        return self.process.pid

    def runs(self) -> bool:
        return self.started is not None and self.started.poll() is None

    def forwarding_threads(self) -> dict[str, str]:
        """Those through which frames and copies go; none while it does not run."""
        return threads(self.pid, "worker", "mirror") if self.runs() else {}

    def command(self, *extra: str) -> list[str]:
        fast_path = [] if FAST_PATH else ["--no-kernel-fast-path"]
        return [*self.inside, str(VSWITCHD), "--confine", self.confine, "--rundir", str(self.rundir), "--db", str(self.database),
                *fast_path, *self.args, *extra]

    def spawn(self, *extra: str) -> None:
        """Starts it without waiting."""
        with self.log.open("ab") as log:
            self.started = subprocess.Popen(self.command(*extra), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **self.env})

    def start(self, *extra: str) -> Self:
        """Starts it and returns when it serves."""
        self.spawn(*extra)
        wait_until(self.serves, f"the daemon serves\n{self.log_text()}")
        return self

    def serves(self) -> bool:
        status = self.process.poll()
        assert status is None, f"the daemon ended with status {status}\n{self.log_text()}"
        try:
            with Rpc(self.socket) as rpc:
                return bool(rpc.call("system.info"))  # answered when the settings of the database are in the datapath
        except OSError:
            return False

    def listens(self) -> bool:
        try:
            self.connect().close()
            return True
        except OSError:
            return False

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(PATIENCE_S)
        self.check_log()
        return status

    def kill9(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def restart(self) -> Self:
        assert self.stop() == 0, self.log_text()
        return self.start()

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def check_log(self) -> None:
        text = self.log_text()
        for word in ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:"):
            assert word not in text, text

    def rpc(self, method: str, params: Any = None, version: int = 2) -> Any:
        """One request over a connection of its own."""
        with Rpc(self.socket) as rpc:
            return rpc.call(method, params, version)

    def connect(self) -> Rpc:
        return Rpc(self.socket)

    def ctl(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """vswitch-ctl; returns the CompletedProcess. With check, a failure fails the test."""
        done = subprocess.run([str(VSWITCH_CTL), "--rundir", str(self.rundir), *args], text=True, capture_output=True,
                              timeout=PATIENCE_S)
        assert not check or done.returncode == 0, f"vswitch-ctl {' '.join(args)}: {done.stderr}"
        return done

    def ovs(self, program: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """An unmodified client of Open vSwitch, such as ovs-appctl; returns the CompletedProcess."""
        assert shutil.which(program), f"{program} is not installed (Debian: openvswitch-switch)"
        done = subprocess.run([program, *args], text=True, capture_output=True, timeout=PATIENCE_S,
                              env={**os.environ, "OVS_RUNDIR": str(self.rundir)})
        assert not check or done.returncode == 0, f"{program} {' '.join(args)}: {done.stderr}"
        return done

    def end(self) -> None:
        """For the end of a test: whatever state it is in, it is gone afterwards."""
        if not self.runs():
            return
        status = self.stop()
        assert status == 0, f"exit status {status}\n{self.log_text()}"
