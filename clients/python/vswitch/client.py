# SPDX-License-Identifier: Apache-2.0
"""The blocking client: Switch for requests, Subscription for what happens."""
from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, cast

from . import api
from .connection import DEFAULT_TIMEOUT, Connection, socket_path
from .errors import ConnectionLost, Error, NoDaemon, ProtocolError, TimedOut

MAX_REPLAY = 10000  # events that the daemon keeps
RETRY_S = (0.1, 2.0)  # the first and the longest pause between two attempts to connect
EXPLAIN_WAIT_S = 10.0  # of mirror.explain, unless next.wait says otherwise


class LostEvent(TypedDict):
    """The subscription has lost its daemon, and tries to reach it again."""
    topic: Literal["connection.lost"]
    reason: str


class RestoredEvent(TypedDict):
    """The subscription has a daemon again. The events of the meantime follow, as far as the daemon has kept them."""
    topic: Literal["connection.restored"]
    # Numbers of events: the last one that was seen before, and the last one when the connection was restored.
    seen: int
    last: int
    # Events of the meantime that are lost: the daemon keeps the last 10,000.
    left_out: int
    # What subscribe() returned: the states of now.
    snapshot: api.SubscribeResultSnapshot


Event = api.Event | LostEvent | RestoredEvent


class Switch(api.Methods):
    """A switch: `switch.mirror.add(...)` calls mirror.add.

    One connection, made by connect() and again by the first call after it was lost; a lock makes it safe for threads,
    whose calls then wait for each other. A session that `expires` with its connection ends when this is closed or lost.
    """

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(self)
        self.path = path
        self.timeout = timeout  # seconds for an answer; may be changed at any time
        self._lock = threading.Lock()
        self._connection: Connection | None = Connection(path, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. A later call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def call(self, method: str, params: dict[str, Any] | None = None, /) -> Any:
        """The result of any method by its name. Refusal if the daemon says no; NoDaemon, ConnectionLost, TimedOut."""
        params = params or {}
        timeout = self.timeout
        if isinstance(waiting := params.get("next"), dict):  # answered when a frame has come
            timeout += float(waiting.get("wait", EXPLAIN_WAIT_S))
        with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = Connection(self.path, self.timeout)
            try:
                return self._connection.call(method, params, timeout)
            except (ProtocolError, KeyboardInterrupt):  # what comes next on this connection cannot be trusted
                self._connection.close()
                raise

    def subscribe(self, topics: Iterable[api.Topic] | None = None, *, reconnect: bool = True) -> Subscription:
        """What happens from now on, on a connection of its own. No topics: all of them."""
        return Subscription(self.path, self.timeout, None if topics is None else list(topics), reconnect)


class Subscription(Iterator[Event]):
    """An iterator over events. It ends when it is closed, by another thread too.

    snapshot: the states of sessions and ports at the start. If the daemon goes away there is a connection.lost event,
    and a connection.restored event once it is back, with the events of the meantime behind it. With reconnect=False,
    ConnectionLost is raised instead.
    """

    def __init__(self, path: str, timeout: float, topics: list[api.Topic] | None, reconnect: bool) -> None:
        self._path = path
        self._timeout = timeout
        self._params: dict[str, Any] = {} if topics is None else {"topics": topics}
        self._reconnect = reconnect
        self._closed = threading.Event()
        self._ready: list[Event] = []  # to be returned before what comes from the connection
        self._connection: Connection | None = Connection(path, timeout)
        answer = self._connection.call("subscribe", self._params, timeout)
        self.snapshot = cast(api.SubscribeResultSnapshot, answer.get("snapshot", {}))
        self.last = int(answer["last"])  # number of the last event seen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._closed.set()
        if self._connection is not None:
            self._connection.shut_down()

    def __next__(self) -> Event:
        event = self.wait(None)
        if event is None:
            raise StopIteration
        return event

    def wait(self, timeout: float | None) -> Event | None:
        """The next event. None: none came in `timeout` seconds, or the subscription is closed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = RETRY_S[0]
        while not self._closed.is_set():
            if self._ready:
                return self._seen(self._ready.pop(0))
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if self._connection is not None:
                try:
                    message = self._connection.notification(left)
                except ConnectionLost as error:
                    self._connection = None
                    if self._closed.is_set():
                        return None
                    if not self._reconnect:
                        raise
                    return {"topic": "connection.lost", "reason": str(error)}
                if message is None:
                    return None
                return self._seen(cast(Event, {**message["params"], "topic": message["method"]}))
            if not self._restore():
                if left == 0.0:
                    return None
                self._closed.wait(pause if left is None else min(pause, left))
                pause = min(2 * pause, RETRY_S[1])
        if self._connection is not None:
            self._connection.close()
        return None

    def _seen(self, event: Event) -> Event:
        number = cast(dict[str, Any], event).get("number")
        if number is not None:
            self.last = max(self.last, int(number))
        return event

    def _restore(self) -> bool:
        """Connects and subscribes again, and asks for what was missed."""
        connection = None
        try:
            connection = Connection(self._path, self._timeout)
            answer = connection.call("subscribe", self._params, self._timeout)
            if answer["last"] < self.last:  # the history of another database
                self.last = 0
            missed = connection.call("system.events", {**self._params, "after": self.last, "limit": MAX_REPLAY}, self._timeout)
        except (NoDaemon, ConnectionLost, TimedOut):
            if connection is not None:
                connection.close()
            return False
        except Error:
            if connection is not None:
                connection.close()
            raise
        restored: RestoredEvent = {"topic": "connection.restored", "seen": self.last, "last": answer["last"],
                                   "left_out": missed["left_out"], "snapshot": answer.get("snapshot", {})}
        self._ready = [restored, *(one for one in missed["events"] if one["number"] <= answer["last"])]
        self._connection = connection
        return True


def connect(path: str | os.PathLike[str] | None = None, *, rundir: str | os.PathLike[str] | None = None,
            timeout: float = DEFAULT_TIMEOUT) -> Switch:
    """Connects to a daemon by its control socket; NoDaemon if none answers.

    Without `path`: VSWITCH_SOCKET, then `rundir`, OVS_RUNDIR and /run/vswitch with db.sock in it, as vswitch-ctl does.
    `timeout`: seconds for each answer.
    """
    return Switch(socket_path(path, rundir), timeout)
