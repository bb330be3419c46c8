#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Finds type names that two files define: a violation of the one-definition rule that no compiler or linker reports.

Usage: check_types.py SOURCE_ROOT FOLDER... Types in unnamed namespaces and in functions are local to their file and may
share names. Exit status 0 if each name is defined once, 1 with one line per name that is not. Needs universal-ctags.
"""
import collections
import json
import pathlib
import subprocess
import sys

KINDS = {"class", "struct", "union", "enum", "typedef"}


def type_tags(root: pathlib.Path, folders: list[str]) -> list[dict[str, str]]:
    """Every definition of a type: its name, scope, pattern and path, as ctags reports them."""
    command = ["ctags", "--languages=C++", "--langmap=C++:.cc.h", "--kinds-C++=csugt", "--output-format=json",
               "--fields=+Zsk", "--recurse", "-f", "-", *folders]
    listing = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, timeout=120).stdout
    return [tag for tag in map(json.loads, listing.splitlines()) if tag.get("kind") in KINDS]


def duplicates(tags: list[dict[str, str]]) -> dict[str, set[str]]:
    places: dict[str, set[str]] = collections.defaultdict(set)
    for tag in tags:
        name = f'{tag.get("scope", "")}::{tag["name"]}'
        is_local = "__anon" in name or tag.get("scopeKind") == "function"
        if not is_local and "<" not in tag.get("pattern", "").split("{")[0].split(":")[0]:  # no specialization
            places[name].add(tag["path"])
    return {name: files for name, files in places.items() if len(files) > 1}


def main() -> int:
    root, folders = pathlib.Path(sys.argv[1]), sys.argv[2:]
    tags = type_tags(root, folders)
    if not tags:
        print("types: no definitions found, nothing was checked")
        return 1
    found = duplicates(tags)
    for name, files in sorted(found.items()):
        print(f"{name} is defined in {', '.join(sorted(files))}: give one of them another name or namespace")
    print(f"types: {len(tags)} definitions, {len(found)} names defined twice")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
