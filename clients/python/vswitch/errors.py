# SPDX-License-Identifier: Apache-2.0
"""What can go wrong. Everything is an Error; what the daemon refuses is a Refusal with the reason as its class."""
from __future__ import annotations

from typing import Any

from .api import ERROR_CODES


class Error(Exception):
    """Any failure of a call. str() is a sentence for people."""


class NoDaemon(Error):
    """No daemon answers on the socket, or it may not be used. Nothing was asked."""


class ConnectionLost(Error):
    """The daemon went away before it answered. A change may have taken effect; the next call connects again."""


class TimedOut(Error):
    """No answer in time. A change may still take effect; a late answer is ignored."""


class ProtocolError(Error):
    """What answers does not speak JSON-RPC."""


class Refusal(Error):
    """The daemon refused the request, and nothing changed.

    code: of the error object. message: the sentence of the daemon. data: its data member, or None. field and value: the
    parameter that is at fault (such as "sources.ports[0].direction"; "" for the request as a whole) and what it was.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        about: dict[str, Any] = data if isinstance(data, dict) else {}
        self.field = str(about.get("field", ""))
        self.value = about.get("value")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.message, self.data)


class Invalid(Refusal):
    """A parameter is missing, unknown, of a wrong type or out of range."""


class NotFound(Refusal):
    """The bridge, port or session named does not exist."""


class Exists(Refusal):
    """The name is taken."""


class Conflict(Refusal):
    """The change contradicts another setting, which the sentence names."""


class Refused(Refusal):
    """The change is not possible for this object."""


class Unavailable(Refusal):
    """The daemon could not do it now: the database could not be written, say."""


class Unsupported(Refusal):
    """Part of the contract, but not supported yet."""


class ReadOnly(Refusal):
    """The request changes something, and the connection may only read."""


class Changed(Refusal):
    """The object has other settings than those of if_revision; data["revision"] is the present one."""


_CLASSES = {ERROR_CODES[kind.__name__]: kind
            for kind in (Invalid, NotFound, Exists, Conflict, Refused, Unavailable, Unsupported, ReadOnly, Changed)}


def refusal(error: Any) -> Refusal:
    """The exception for an error object of JSON-RPC."""
    if not isinstance(error, dict):
        return Refusal(0, str(error))
    code = error.get("code", 0)
    return _CLASSES.get(code, Refusal)(code, str(error.get("message", error)), error.get("data"))
