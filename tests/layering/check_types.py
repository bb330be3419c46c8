#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Finds names that two files define and may not share.

Types: two of a name are a violation of the one-definition rule that no compiler or linker reports. Those in unnamed
namespaces and in functions are local to their file.

Names of unnamed namespaces in sources: the release preset compiles each folder as one source (VSWITCH_UNITY), so no other
file of the folder may define the name at namespace scope. The datapath is not compiled so, nor is any main.cc.

Usage: check_types.py SOURCE_ROOT FOLDER... Exit status 0 if each name is defined once, 1 with one line per name that is
not. Needs universal-ctags.
"""
import collections
import json
import pathlib
import subprocess
import sys

TYPES = {"class", "struct", "union", "enum", "typedef"}
KINDS = TYPES | {"function", "variable"}
UNIQUE_IN_FOLDER = {"schemas", "switchd", "ctl"}  # the rooms of VSWITCH_UNITY


def definitions(root: pathlib.Path, folders: list[str]) -> list[dict[str, str]]:
    """Every definition: its name, scope, pattern and path, as ctags reports them."""
    command = ["ctags", "--languages=C++", "--langmap=C++:.cc.h", "--kinds-C++=csugtfv", "--output-format=json",
               "--fields=+Zsk", "--recurse", "-f", "-", *folders]
    listing = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, timeout=120).stdout
    return [tag for tag in map(json.loads, listing.splitlines()) if tag.get("kind") in KINDS]


def duplicates(tags: list[dict[str, str]]) -> dict[str, set[str]]:
    places: dict[str, set[str]] = collections.defaultdict(set)
    for tag in tags:
        if tag["kind"] not in TYPES:
            continue
        name = f'{tag.get("scope", "")}::{tag["name"]}'
        is_local = "__anon" in name or tag.get("scopeKind") == "function"
        if not is_local and "<" not in tag.get("pattern", "").split("{")[0].split(":")[0]:  # no specialization
            places[name].add(tag["path"])
    return {name: files for name, files in places.items() if len(files) > 1}


def clashes(tags: list[dict[str, str]]) -> dict[str, set[str]]:
    """Names of unnamed namespaces that another file of the folder defines too, for itself or for all."""
    places: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    unnamed: set[tuple[str, str]] = set()
    for tag in tags:
        path = pathlib.PurePath(tag["path"])
        if tag.get("scopeKind") != "namespace" or path.parts[0] not in UNIQUE_IN_FOLDER or path.name == "main.cc":
            continue
        name = (str(path.parent), tag["name"])
        places[name].add(tag["path"])
        if path.suffix == ".cc" and tag["scope"].split("::")[-1].startswith("__anon"):
            unnamed.add(name)
    return {f"{folder}: {name}": files for (folder, name), files in places.items()
            if (folder, name) in unnamed and len(files) > 1}


def main() -> int:
    root, folders = pathlib.Path(sys.argv[1]), sys.argv[2:]
    tags = definitions(root, folders)
    if not tags:
        print("types: no definitions found, nothing was checked")
        return 1
    found, shared = duplicates(tags), clashes(tags)
    for name, files in sorted(found.items()):
        print(f"{name} is defined in {', '.join(sorted(files))}: give one of them another name or namespace")
    for name, files in sorted(shared.items()):
        print(f"{name} is defined in {', '.join(sorted(files))}, which are compiled as one source: rename one of them, or "
              "share it in a header of the folder")
    types = sum(tag["kind"] in TYPES for tag in tags)
    print(f"types: {types} definitions, {len(found)} names defined twice; {len(shared)} names of unnamed namespaces shared")
    return 1 if found or shared else 0


if __name__ == "__main__":
    sys.exit(main())
