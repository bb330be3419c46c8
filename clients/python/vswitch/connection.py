# SPDX-License-Identifier: Apache-2.0
"""One connection to the control socket: requests, answers and notifications, each with a deadline."""
from __future__ import annotations

import collections
import contextlib
import errno
import json
import os
import socket
import time
from typing import Any

from .errors import ConnectionLost, NoDaemon, TimedOut, refusal
from .framing import Decoder

DEFAULT_TIMEOUT = 30.0  # seconds, as vswitch-ctl


def socket_path(path: str | os.PathLike[str] | None = None, rundir: str | os.PathLike[str] | None = None) -> str:
    """The control socket: `path`, VSWITCH_SOCKET, `rundir`, OVS_RUNDIR, /run/vswitch, in this order, as vswitch-ctl."""
    if path is not None:
        return os.fspath(path)
    if named := os.environ.get("VSWITCH_SOCKET"):
        return named
    directory = os.fspath(rundir) if rundir is not None else os.environ.get("OVS_RUNDIR") or "/run/vswitch"
    return os.path.join(directory, "db.sock")


class Connection:
    """Not safe for threads. Errors: those of .errors."""

    def __init__(self, path: str, timeout: float) -> None:
        """Connects within `timeout` seconds. NoDaemon if nobody answers there."""
        self.path = path
        self.timeout = timeout
        self.notifications: collections.deque[dict[str, Any]] = collections.deque()
        self.closed = False
        self._decoder = Decoder()
        self._last_id = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            hint = "is vswitchd running? Name its socket with connect(path) or VSWITCH_SOCKET"
            if error.errno in (errno.EACCES, errno.EPERM):
                hint = "run as root, or join the group that owns the socket (vswitchd --group)"
            raise NoDaemon(f"no daemon answers on {path} ({error.strerror or error}): {hint}") from None

    def close(self) -> None:
        self.closed = True
        self._socket.close()

    def shut_down(self) -> None:
        """Ends the connection; another thread that waits for it wakes up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def call(self, method: str, params: dict[str, Any], timeout: float) -> Any:
        """The result of a request. Notifications that come before it are kept in .notifications."""
        self._last_id += 1
        deadline = time.monotonic() + timeout
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        text = json.dumps(request).encode()
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(text)
        except TimeoutError:
            self.close()  # half a request: nothing can follow it
            raise TimedOut(f"the daemon on {self.path} did not take {method} within {timeout:g} s") from None
        except OSError as error:
            raise self._lost(error) from None
        while True:
            message = self._receive(deadline)
            if message is None:
                raise TimedOut(f"the daemon on {self.path} took {method} but did not answer within {timeout:g} s:"
                               " the change may still take effect")
            # An error without an id answers a request that could not be read: it can only be ours.
            if message.get("id") == self._last_id or (message.get("id") is None and message.get("error") is not None):
                if message.get("error") is not None:
                    raise refusal(message["error"])
                return message.get("result")

    def notification(self, timeout: float | None) -> dict[str, Any] | None:
        """The next notification, as {"method", "params"}. None: none came in `timeout` seconds (None: wait for ever)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.notifications:
            if self._receive(deadline) is None:
                return None
        return self.notifications.popleft()

    def _receive(self, deadline: float | None) -> dict[str, Any] | None:
        """The next message; notifications are kept too. None: it is not here by the deadline."""
        while True:
            for message in self._decoder:
                if "method" in message:
                    self.notifications.append(message)
                return message
            left = None if deadline is None else deadline - time.monotonic()
            try:
                self._socket.settimeout(None if left is None else max(left, 0.0))  # 0: what is here already
                data = self._socket.recv(1 << 18)
            except (TimeoutError, BlockingIOError):
                return None
            except OSError as error:
                raise self._lost(error) from None
            if not data:
                raise self._lost(None)
            self._decoder.feed(data)

    def _lost(self, error: OSError | None) -> ConnectionLost:
        self.close()
        cause = f" ({error.strerror})" if error is not None and error.strerror else ""
        return ConnectionLost(f"the daemon on {self.path} closed the connection before it answered{cause}; its log says why")
