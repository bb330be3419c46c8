#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes vswitch/api.py, the typed methods of the session API, from schemas/control.openrpc.json.

Usage: generate.py [--check]. With --check nothing is written: exit status 1 if the file is out of date.

Every object of the document becomes a TypedDict, every enumeration a Literal, and every method `noun.verb` a function
`verb` of the class of its noun, whose parameters go by name. A parameter that is not given is not sent: null means
something else. A word of Python gets an underscore behind it (mirror.del_, mirror.import_).
"""
from __future__ import annotations

import json
import keyword
import pathlib
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "schemas" / "control.openrpc.json"
OUTPUT = HERE / "vswitch" / "api.py"
BY_HAND = {"subscribe", "unsubscribe"}  # client.Subscription
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
WIDTH = 120

HEAD = '''# SPDX-License-Identifier: Apache-2.0
"""The session API with types. Written by generate.py from schemas/control.openrpc.json: do not edit."""
# flake8: noqa: E501
from __future__ import annotations

from typing import Any, Final, List, Literal, NotRequired, Protocol, TypedDict, cast


class Unset:
    """The type of UNSET: a parameter that is not sent. None would be sent, as null."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


class Caller(Protocol):
    """What sends a request and returns its result."""

    def call(self, method: str, params: dict[str, Any], /) -> Any: ...


def given(**params: Any) -> dict[str, Any]:
    """Those that are to be sent."""
    return {name: value for name, value in params.items() if not isinstance(value, Unset)}
'''


def camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.replace(".", "_").split("_"))


def word(name: str) -> str:
    return name + "_" if keyword.iskeyword(name) else name


def sentence(text: str, indent: int) -> list[str]:
    """A docstring of one or several lines."""
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    lines = textwrap.wrap(text, WIDTH - indent - 3, break_on_hyphens=False)
    quotes = " " * indent + '"""'
    if text.endswith('"'):
        lines[-1] += " "
    if len(lines) == 1 and len(lines[0]) + indent + 6 <= WIDTH:
        return [f'{quotes}{lines[0]}"""']
    return [quotes + lines[0], *(" " * indent + line for line in lines[1:]), quotes]


def comment(text: str, indent: int) -> list[str]:
    return [" " * indent + "# " + line for line in textwrap.wrap(text, WIDTH - indent - 2, break_on_hyphens=False)]


class Types:
    """The types of the document in the order in which they were found."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.schemas: dict[str, Any] = document["components"]["schemas"]
        self.aliases: dict[str, str] = {}
        self.classes: dict[str, list[str]] = {}

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema with what it refers to in its place."""
        if "$ref" in schema:
            return self.resolve(self.schemas[schema["$ref"].rsplit("/", 1)[1]])
        for part in schema.get("allOf", ()):
            whole = self.resolve(part)
            schema = {**whole, **schema, "required": [*whole.get("required", []), *schema.get("required", [])]}
        return schema

    def of(self, schema: dict[str, Any], name: str) -> str:
        """The annotation of a value; `name` is that of its class, if it needs one."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
        schema = self.resolve(schema)
        if "enum" in schema:
            members = ", ".join(json.dumps(one) if one is not None else "None" for one in schema["enum"])
            literal = f"Literal[{members}]"
            if name not in self.schemas:
                return literal
            self.aliases[name] = literal
            return name
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        return " | ".join(self.one(kind, schema, name) for kind in kinds) or "Any"

    def one(self, kind: str, schema: dict[str, Any], name: str) -> str:
        if kind == "array":
            inner = name[:-1] if name.endswith("s") and not name.endswith("ss") and name not in self.schemas else name + "Item"
            return f"List[{self.of(schema.get('items', {}), inner)}]"
        if kind != "object":
            return PLAIN[kind]
        more = schema.get("additionalProperties", True)
        if "properties" in schema and not isinstance(more, dict):
            self.typed_dict(name, schema)
            return name
        return f"dict[str, {self.of(more, name) if isinstance(more, dict) else 'Any'}]"

    def typed_dict(self, name: str, schema: dict[str, Any], first: list[str] | None = None) -> None:
        if name in self.classes:
            return
        self.classes[name] = []  # it may contain itself
        lines = [f"class {name}(TypedDict):"]
        if "description" in schema:
            lines += [*sentence(schema["description"], 4), ""]
        lines += first or []
        for member, value in schema["properties"].items():
            annotation = self.of(value, name + camel(member))
            if member not in schema.get("required", ()):
                annotation = f"NotRequired[{annotation}]"
            lines += comment(value["description"], 4) if "description" in value else []
            lines.append(f"    {member}: {annotation}")
        if not schema["properties"] and not first:
            lines.append("    pass")
        self.classes[name] = lines

    def text(self) -> Iterator[str]:
        yield from (f"{name} = {value}" for name, value in self.aliases.items())
        for lines in self.classes.values():
            yield from ("", "", *lines)


def method_lines(method: dict[str, Any], types: Types) -> Iterator[str]:
    noun, verb = method["name"].split(".")
    params = method["params"]
    signature, sent, documented = ["self"], [], []
    if params:
        signature.append("*")
    for param in sorted(params, key=lambda one: not one.get("required", False)):
        name = word(param["name"])
        annotation = types.of(param["schema"], camel(noun) + camel(verb) + camel(param["name"]))
        signature.append(f"{name}: {annotation}" if param.get("required") else f"{name}: {annotation} | Unset = UNSET")
        sent.append(f"{param['name']}={name}" if name == param["name"] else f'**{{"{param["name"]}": {name}}}')
        described = types.resolve(param["schema"]).get("description")
        if described:
            documented += textwrap.wrap(f"{name}: {described}", WIDTH - 8, break_on_hyphens=False,
                                        initial_indent=" " * 8, subsequent_indent=" " * 12)
    result = types.of(method["result"]["schema"], camel(noun) + camel(verb) + "Result")
    yield ""
    yield f"    def {word(verb)}({', '.join(signature)}) -> {result}:"
    about = textwrap.wrap(f"{method['summary']} {method.get('description', '')}".strip(), WIDTH - 11, break_on_hyphens=False)
    if documented or len(about) > 1:
        yield from (f"{' ' * 8}{quote}{line}" for quote, line in zip(['"""', *[""] * len(about)], about))
        yield from ["", *(line.replace("\\", "\\\\") for line in documented)] if documented else []
        yield " " * 8 + '"""'
    else:
        yield f'{" " * 8}"""{about[0]}"""'
    yield f'        return cast({json.dumps(result)}, self._caller.call("{method["name"]}", given({", ".join(sent)})))'


def generate(document: dict[str, Any]) -> str:
    types = Types(document)
    for name, schema in document["components"]["schemas"].items():
        types.of({"$ref": f"#/components/schemas/{name}"}, name)
        assert "properties" in types.resolve(schema) or name not in types.classes
    nouns: dict[str, list[str]] = {}
    for method in document["methods"]:
        if method["name"] in BY_HAND:
            types.of(method["result"]["schema"], camel(method["name"]) + "Result")
        else:
            nouns.setdefault(method["name"].split(".")[0], []).extend(method_lines(method, types))
    events = []
    for notification in document["x-notifications"]:
        name = camel(notification["name"]) + "Event"
        schema = {**notification["schema"], "description": notification["summary"]}
        types.typed_dict(name, schema, [f'    topic: Literal["{notification["name"]}"]'])
        events.append(name)
    lines = [HEAD, "API_VERSION: Final = " + json.dumps(document["info"]["version"]), "", *types.text(), "", ""]
    lines += ["Event = " + " | ".join(events), ""]
    errors = {name: error["code"] for name, error in document["components"]["errors"].items()}
    lines += ["# Codes of error objects, by the name of their exception.", f"ERROR_CODES: Final = {json.dumps(errors)}"]
    for noun, methods in nouns.items():
        lines += ["", "", f"class {camel(noun)}Methods:", f'    """The methods {noun}.*: `switch.{noun}`."""', "",
                  "    def __init__(self, caller: Caller) -> None:", "        self._caller = caller", *methods]
    lines += ["", "", "class Methods:", '    """All methods, by their noun."""', "", "    def __init__(self, caller: Caller) -> None:"]
    lines += [f"        self.{noun} = {camel(noun)}Methods(caller)" for noun in nouns]
    return "\n".join(lines) + "\n"


def main() -> int:
    text = generate(json.loads(DOCUMENT.read_text(encoding="utf-8")))
    if sys.argv[1:] == ["--check"]:
        if OUTPUT.read_text(encoding="utf-8") == text:
            return 0
        print("clients/python/vswitch/api.py is out of date: clients/python/generate.py writes it", file=sys.stderr)
        return 1
    OUTPUT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
