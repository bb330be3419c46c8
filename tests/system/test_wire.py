# SPDX-License-Identifier: Apache-2.0
"""Recorded sessions of unmodified clients with Debian's ovsdb-server: given the clients' part, vswitchd answers with the server's.

tests/wire/record.py writes the transcripts, tests/wire/transcript.py says what counts as the same. Compared are whole messages, in the
order in which each client gets them: every value and its type, errors with their details, which UUID stands where. Left out, because the
server that was recorded has no switch behind it: columns that a switch fills in (transcript.FILLED), commands that wait for it (all
ovs-vsctl are --no-wait).
"""
from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lab import ROOT, Daemon, Rpc
from net import Net

sys.path.insert(0, str(ROOT / "tests" / "wire"))

import transcript  # noqa: E402

TRANSCRIPTS = sorted((ROOT / "tests" / "wire").glob("*.jsonl"))


@pytest.fixture
def daemon(tmp_path: pathlib.Path) -> Iterator[Daemon]:
    """In a namespace of its own, as bridges make devices."""
    with Net() as net:
        daemon = Daemon(tmp_path, namespace=net.switch)
        try:
            daemon.start()
            row = {"ovs_version": "3.1.0", "db_version": "8.3.1"}  # as in the database that was recorded
            daemon.rpc("transact", ["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": row}], version=1)
            yield daemon
            daemon.end()
        finally:
            if daemon.runs():
                daemon.kill9()


def receive(rpc: Rpc) -> Any:
    """The next message that is not only about columns which a switch fills."""
    while True:
        message = rpc.receive()
        assert message is not None, "the daemon hung up"
        message = transcript.comparable(message)
        if message is not None:
            return message


def hang_up(rpc: Rpc) -> None:
    """After making sure that nothing more has come than the transcript has."""
    rpc.socket.sendall(b'{"method":"echo","params":[],"id":"the end"}')
    message = receive(rpc)
    assert message == {"id": "the end", "result": []}, f"more than Open vSwitch says: {json.dumps(message)}"
    rpc.close()


def replay(lines: list[Any], daemon: Daemon) -> None:
    """Says the clients' part; fails with the first answer that is another one."""
    assert any(direction == "<" for _, direction, *_ in lines), "the transcript has an answer"
    connections: dict[Any, Any] = {}
    bound: dict[Any, Any] = {}
    for number, (connection, direction, *message) in enumerate(lines, 1):
        if direction == "x":
            hang_up(connections.pop(connection))
            continue
        if connection not in connections:
            connections[connection] = Rpc(daemon.socket)
        rpc = connections[connection]
        if direction == ">":
            rpc.socket.sendall(json.dumps(transcript.resolve(message[0], bound)).encode())
            continue
        expected = transcript.comparable(message[0])
        if expected is None:
            continue
        actual = receive(rpc)
        found = next(transcript.unify(expected, actual, bound), None)
        assert found is not None, f"line {number}\nOpen vSwitch: {json.dumps(expected)}\nvswitchd:     {json.dumps(actual)}\nwith {bound}"
        bound = found
    for rpc in connections.values():
        hang_up(rpc)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_session_goes_as_with_ovsdb_server(path: pathlib.Path, daemon: Daemon) -> None:
    replay(transcript.load(path), daemon)


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) >= 8


A, B = "0aaaaaaa-0000-4000-8000-00000000000a", "0bbbbbbb-0000-4000-8000-00000000000b"


@pytest.mark.parametrize("expected, actual, same", [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
    ({"a": 1}, {"a": 1, "b": 2}, False),
    (1, True, False),
    (1, 1.0, False),
    ([1, 2], [2, 1], False),
    (["set", [1, 2]], ["set", [2, 1]], True),
    (["set", [1, 2]], ["set", [2, 2]], False),
    (["map", [["a", 1], ["b", 2]]], ["map", [["b", 2], ["a", 1]]], True),
    ({"rows": [{"a": 1}, {"a": 2}]}, {"rows": [{"a": 2}, {"a": 1}]}, True),
    ({"rows": [{"a": 1}]}, {"rows": [{"a": 1}, {"a": 1}]}, False),
    (["<uuid 1>", "<uuid 1>"], [A, A], True),
    (["<uuid 1>", "<uuid 1>"], [A, B], False),
    (["<uuid 1>", "<uuid 2>"], [A, A], False),
    ("<uuid 1>", transcript.ZERO, False),
    ("row <uuid 1> is gone", f"row {A} is gone", True),
    ("after <ms> ms", "after 20 ms", True),
    ([{"<uuid 1>": 1, "<uuid 2>": 1}, "<uuid 2>", ["set", ["<uuid 1>", "<uuid 2>"]]], [{A: 1, B: 1}, A, ["set", [A, B]]], True),
    ([{"<uuid 1>": 1, "<uuid 2>": 2}, "<uuid 2>"], [{A: 1, B: 2}, A], False),
])
def test_the_comparison_sees_what_differs(expected: Any, actual: Any, same: bool) -> None:
    assert any(True for _ in transcript.unify(expected, actual, {})) == same


def test_columns_of_the_switch_are_left_out_and_nothing_else() -> None:
    def update(kind: str, **columns: Any) -> Any:
        return transcript.comparable({"id": None, "method": "update2", "params": ["m", {"Interface": {A: {kind: columns}}}]})

    assert update("modify", ofport=1, link_state="up") is None
    assert update("modify", ofport=1, name="x")["params"][1] == {"Interface": {A: {"modify": {"name": "x"}}}}
    assert update("insert", ofport=1)["params"][1] == {"Interface": {A: {"insert": {}}}}
    assert transcript.comparable({"id": 1, "result": [{"rows": []}], "error": None}) == {"id": 1, "result": [{"rows": []}]}
