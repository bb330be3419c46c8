# SPDX-License-Identifier: Apache-2.0
"""Client of vswitch, the software switch: its session API with types, over the daemon's control socket.

    import vswitch

    with vswitch.connect() as switch:
        switch.mirror.add(bridge="br0", name="span0", sources={"ports": ["t1"]}, destination={"ports": ["t2"]})
"""
from .client import Event, LostEvent, RestoredEvent, Subscription, Switch, connect
from .connection import DEFAULT_TIMEOUT, socket_path
from .errors import (Changed, Conflict, ConnectionLost, Error, Exists, Invalid, NoDaemon, NotFound, ProtocolError, ReadOnly,
                     Refusal, Refused, TimedOut, Unavailable, Unsupported)

__all__ = ["DEFAULT_TIMEOUT", "Changed", "Conflict", "ConnectionLost", "Error", "Event", "Exists", "Invalid", "LostEvent",
           "NoDaemon", "NotFound", "ProtocolError", "ReadOnly", "Refusal", "Refused", "RestoredEvent", "Subscription", "Switch",
           "TimedOut", "Unavailable", "Unsupported", "connect", "socket_path"]
