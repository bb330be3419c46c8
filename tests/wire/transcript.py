# SPDX-License-Identifier: Apache-2.0
"""Transcripts of OVSDB sessions: what clients and server said, one message a line, and when two such messages say the same.

A line is [connection, ">" from or "<" to the client, message], or [connection, "x"] where the client hung up. What differs from run to run
stands as a placeholder: "<uuid 3>", one for every UUID but zero, consistently; "<ms>", a duration; "<schema>", the schema of the switch.
"""
from __future__ import annotations

import json
import pathlib
import re
import uuid
from collections.abc import Iterator
from typing import Any

ZERO = "00000000-0000-0000-0000-000000000000"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
PLACEHOLDER = re.compile(r"<(?:uuid \d+|ms)>")
SCHEMA = "<schema>"

# What a switch writes into the rows, and a bare ovsdb-server, by which the transcripts are recorded, does not. The transcripts that look
# at these tables say nothing about these columns, nor about _version, which changes with them.
FILLED = {
    "Open_vSwitch": {"cur_cfg", "datapath_types", "dpdk_initialized", "dpdk_version", "iface_types", "statistics", "system_type",
                     "system_version"},
    "Bridge": {"datapath_id", "datapath_version", "rstp_status", "status"},
    "Port": {"rstp_statistics", "rstp_status", "statistics", "status"},
    "Interface": {"admin_state", "duplex", "error", "ifindex", "lacp_current", "link_resets", "link_speed", "link_state", "mac_in_use",
                  "mtu", "ofport", "statistics", "status"},
    "Mirror": {"statistics", "status"},
}


def load(path: pathlib.Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines() if not line.startswith("#")]


class Neutral:
    """Puts placeholders into the messages of one transcript."""

    def __init__(self) -> None:
        self.uuids = {ZERO: ZERO}
        self.names: dict[Any, Any] = {}

    def __call__(self, value: Any) -> Any:
        if is_schema(value):
            return SCHEMA
        if isinstance(value, dict):
            return {self(name): self(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self(element) for element in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        text = re.sub(UUID, lambda found: self.uuids.setdefault(found[0], f"<uuid {len(self.uuids)}>"), text)
        # Names for rows to come, which the client libraries make out of random UUIDs.
        text = re.sub(r"row[0-9a-f]{8}(_[0-9a-f]{4}){3}_[0-9a-f]{12}",
                      lambda found: self.names.setdefault(found[0], f"row_{len(self.names) + 1}"), text)
        text = re.sub(r"after \d+ ms", "after <ms> ms", text)
        return re.sub(r" \(invoked by [^)]*\)", "", text)  # in the comments of ovs-vsctl


def is_schema(value: Any) -> bool:
    """Of the switch, as an object or, in the table Database of _Server, as a text."""
    if isinstance(value, str) and value.startswith("{") and '"Open_vSwitch"' in value:
        value = json.loads(value)
    return isinstance(value, dict) and value.get("name") == "Open_vSwitch" and "Mirror" in value.get("tables", ())


def resolve(value: Any, bound: dict[str, str]) -> Any:
    """A message of the client with the UUIDs of this run in it; those the client made up are made up here."""
    if isinstance(value, dict):
        return {resolve(name, bound): resolve(member, bound) for name, member in value.items()}
    if isinstance(value, list):
        return [resolve(element, bound) for element in value]
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda found: bound.setdefault(found[0], str(uuid.uuid4())), value)
    return value


def unify(expected: Any, actual: Any, bound: dict[str, str]) -> Iterator[Any]:
    """Every way in which `actual` says what `expected` does, as the placeholders with their values.

    The order of members, of the elements of sets and maps, and of the rows of a selection is free (RFC 7047 sections 5.1 and 5.2.2).
    """
    if expected == SCHEMA:
        if is_schema(actual):
            yield bound
    elif type(expected) is not type(actual):  # True is 1 to Python, but not to a client
        return
    elif isinstance(expected, dict):
        yield from unify_members(list(expected.items()), actual, bound)
    elif isinstance(expected, list):
        if (len(expected) == len(actual) == 2 and expected[0] == actual[0] and expected[0] in ("set", "map")
                and isinstance(expected[1], list)):
            yield from unify_unordered(expected[1], actual[1], bound)
        elif len(expected) == len(actual):
            yield from unify_ordered(expected, actual, bound)
    elif isinstance(expected, str):
        yield from unify_text(expected, actual, bound)
    elif expected == actual:
        yield bound


def unify_ordered(expected: Any, actual: Any, bound: dict[str, str]) -> Iterator[Any]:
    if not expected:
        yield bound
        return
    for first in unify(expected[0], actual[0], bound):
        yield from unify_ordered(expected[1:], actual[1:], first)


def unify_unordered(expected: Any, actual: Any, bound: dict[str, str]) -> Iterator[Any]:
    if not expected and not actual:
        yield bound
    if not expected or len(expected) != len(actual):
        return
    for i, element in enumerate(actual):
        for first in unify(expected[0], element, bound):
            yield from unify_unordered(expected[1:], actual[:i] + actual[i + 1:], first)


def unify_members(expected: Any, actual: Any, bound: dict[str, str]) -> Iterator[Any]:
    if len(expected) != len(actual):
        return
    if not expected:
        yield bound
        return
    (name, member), *others = expected
    for other in actual:
        for first in unify_text(name, other, bound):
            rest = {key: value for key, value in actual.items() if key != other}
            pair = unify_unordered if name == "rows" and isinstance(member, list) and isinstance(actual[other], list) else unify
            for second in pair(member, actual[other], first):
                yield from unify_members(others, rest, second)


def unify_text(expected: Any, actual: Any, bound: dict[str, str]) -> Iterator[Any]:
    names, pattern, end = [], "", 0
    for found in PLACEHOLDER.finditer(expected):
        pattern += re.escape(expected[end:found.start()])
        end = found.end()
        if found[0] == "<ms>":
            pattern += r"\d+"
        elif found[0] in bound:
            pattern += re.escape(bound[found[0]])
        else:
            names.append(found[0])
            pattern += f"({UUID})"
    match = re.fullmatch(pattern + re.escape(expected[end:]), actual)
    if not match:
        return
    result = dict(bound)
    for name, value in zip(names, match.groups()):
        if value == ZERO or result.get(name, value) != value or (name not in result and value in result.values()):
            return
        result[name] = value
    yield result


def comparable(message: Any) -> Any:
    """A message of a server without what is left to it: members that are null, and columns that a switch fills.

    None for a notification that tells of such columns only.
    """
    if "method" not in message:
        reply = {name: value for name, value in message.items() if value is not None or name == "id"}
        if isinstance(reply.get("result"), dict):  # of monitor and monitor_cond
            reply["result"] = without_filled(reply["result"])
        elif isinstance(reply.get("result"), list) and len(reply["result"]) == 3 and isinstance(reply["result"][0], bool):
            # monitor_cond_since
            reply["result"] = [*reply["result"][:2], without_filled(reply["result"][2])]
        return reply
    if message["method"] in ("update", "update2", "update3"):
        updates = without_filled(message["params"][-1])
        return {**message, "params": [*message["params"][:-1], updates]} if updates else None
    return message


def without_filled(updates: Any) -> Any:
    left = {}
    for table, rows in updates.items():
        if table not in FILLED or not isinstance(rows, dict):
            left[table] = rows
            continue
        columns = FILLED[table] | {"_version"}
        rows = {uuid: without_columns(update, columns) for uuid, update in rows.items()}
        rows = {uuid: update for uuid, update in rows.items() if update}
        if rows:
            left[table] = rows
    return left


def without_columns(update: Any, columns: Any) -> Any:
    """None when nothing is left of a modification: a row that comes or goes stays one that does."""
    update = {kind: row and {column: datum for column, datum in row.items() if column not in columns} for kind, row in update.items()}
    modified = update.get("modify", update.get("old") if "new" in update else None)
    return None if modified == {} else update
