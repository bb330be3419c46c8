# SPDX-License-Identifier: Apache-2.0
"""Messages out of a byte stream: JSON values one after the other, with or without white space between them.

Bytes may be cut anywhere, inside a character or an escape too. Each byte is looked at once, so that a message of many
megabytes in small pieces costs time in proportion to its length.
"""
from __future__ import annotations

import json
import re
from typing import Any

from .errors import ProtocolError

MAX_MESSAGE = 256 << 20  # bytes; the largest answers (every session of a big switch) have some ten megabytes

_OUTSIDE = re.compile(rb'["{}\[\]]')
_IN_STRING = re.compile(rb'["\\]')
_NOT_SPACE = re.compile(rb"[^ \t\r\n]")


class Decoder:
    """Feed it what was received; iterate over it for the messages that are whole."""

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._max = max_message
        self._bytes = bytearray()
        self._start = 0  # of the first message that was not returned yet
        self._at = 0  # everything before has been looked at
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> None:
        del self._bytes[:self._start]
        self._at -= self._start
        self._start = 0
        self._bytes += data

    def __iter__(self) -> Decoder:
        return self

    def __next__(self) -> dict[str, Any]:
        """The next message. StopIteration: none is whole yet. ProtocolError: this is no stream of JSON objects."""
        end = self._end()
        if end is None:
            if len(self._bytes) - self._start > self._max:
                raise ProtocolError(f"a message of more than {self._max} bytes: ask for less at once, of one bridge say")
            raise StopIteration
        text = bytes(self._bytes[self._start:end])
        self._start = self._at = end
        try:
            return dict(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"what answers does not speak JSON-RPC: {error}") from None

    def _end(self) -> int | None:
        """Where the first message ends, if it is whole."""
        while True:
            if self._depth == 0:
                first = _NOT_SPACE.search(self._bytes, self._at)
                if first is None:
                    self._start = self._at = len(self._bytes)
                    return None
                self._start = first.start()
                if first[0] != b"{":
                    raise ProtocolError(f"what answers does not speak JSON-RPC: {bytes(self._bytes[self._start:][:40])!r}")
                self._at, self._depth = first.end(), 1
            found = (_IN_STRING if self._in_string else _OUTSIDE).search(self._bytes, self._at)
            if found is None:
                self._at = len(self._bytes)
                return None
            mark = found[0]
            if mark == b"\\":
                if found.end() == len(self._bytes):  # what it escapes has not come yet
                    self._at = found.start()
                    return None
                self._at = found.end() + 1
                continue
            self._at = found.end()
            if mark == b'"':
                self._in_string = not self._in_string
                continue
            self._depth += 1 if mark in b"{[" else -1
            if self._depth == 0:
                return self._at
