#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the #include "..." lines of the sources with the allowed edges between rooms and their folders.

Usage: check_includes.py SOURCE_ROOT [--edges]. Exit status 0 if every edge is allowed and nothing includes itself in a
circle, 1 with one line per violation. --edges prints the edges that there are, with the number of includes behind each.
"""
import argparse
import collections
import graphlib
import pathlib
import re
import sys

# What each folder may include besides itself. "switchd" alone stands for the files directly in the room.
# A line that is not here is forbidden; tests may include everything.
FRAMES = {"datapath/base", "datapath/frame", "datapath/flow"}
ALLOWED: dict[str, set[str]] = {
    "schemas": set(),
    "schemas/jsonrpc": {"schemas"},
    "schemas/ovsdb": {"schemas"},
    "wire": set(),
    "ctl": {"schemas", "schemas/jsonrpc", "schemas/ovsdb", "wire"},
    # datapath: frames
    "datapath/base": set(),
    "datapath/frame": {"datapath/base"},
    "datapath/flow": {"datapath/base", "datapath/frame"},
    "datapath/port": {"datapath/base", "datapath/frame"},
    "datapath/switching": {"datapath/base", "datapath/frame"},
    "datapath/mirror": FRAMES,
    "datapath/tunnel": {"datapath/base", "datapath/frame", "datapath/port", "datapath/mirror"},
    "datapath/snapshot": FRAMES | {"datapath/port", "datapath/switching", "datapath/mirror", "datapath/tunnel"},
    "datapath/pipeline": FRAMES | {"datapath/switching", "datapath/mirror", "datapath/tunnel", "datapath/snapshot"},
    "datapath/fastpath": FRAMES | {"datapath/port", "datapath/switching", "datapath/mirror", "datapath/snapshot",
                                   "datapath/pipeline"},
    "datapath/engine": FRAMES | {"datapath/port", "datapath/fastpath", "datapath/switching", "datapath/mirror", "datapath/tunnel",
                                 "datapath/snapshot", "datapath/pipeline"},
}
EVERY_SCHEMA = {"schemas", "schemas/jsonrpc", "schemas/ovsdb"}
ALLOWED |= {
    # switchd: the daemon
    "switchd/base": {"datapath/base", "schemas"},
    "switchd/db": EVERY_SCHEMA | {"switchd/base"},
    "switchd/netlink": {"switchd/base"} | FRAMES,
    "switchd/control": EVERY_SCHEMA | {"wire", "datapath/base", "switchd/base", "switchd/db"},
    "switchd/ovsdb_server": EVERY_SCHEMA | {"switchd/base", "switchd/db", "switchd/control"},
    "switchd/model": EVERY_SCHEMA | FRAMES | {"switchd/base", "switchd/db", "datapath/mirror", "datapath/switching",
                                              "datapath/tunnel", "datapath/snapshot", "datapath/port"},
}
EVERY_FRAME = {folder for folder in ALLOWED if folder.startswith("datapath/")}
ALLOWED["switchd/bridge"] = EVERY_SCHEMA | EVERY_FRAME | {"switchd/base", "switchd/db", "switchd/netlink",
                                                          "switchd/model"}
ALLOWED["switchd/history"] = EVERY_SCHEMA | {"datapath/base", "switchd/base", "switchd/db", "switchd/model"}
ALLOWED["switchd/api"] = EVERY_SCHEMA | FRAMES | {"switchd/base", "switchd/db", "switchd/control", "switchd/model",
                                                  "switchd/bridge", "switchd/history"}
ALLOWED["switchd/vsphere"] = EVERY_SCHEMA | {"switchd/base", "switchd/db", "switchd/model", "switchd/api"}
ALLOWED["switchd/document"] = EVERY_SCHEMA | {"switchd/base", "switchd/db", "switchd/control", "switchd/model", "switchd/bridge",
                                              "switchd/history", "switchd/api"}
ALLOWED["switchd/unixctl"] = ALLOWED["switchd/api"] | {"switchd/api"}
ALLOWED["switchd"] = EVERY_SCHEMA | {"wire", "datapath/base"} | {folder for folder in ALLOWED if folder.startswith("switchd/")}

ROOMS = sorted({folder.split("/")[0] for folder in ALLOWED})
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
Graph = dict[str, set[str]]


def circle_in(graph: Graph) -> list[str]:
    """The nodes of one circle, or nothing."""
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


class Tree:
    """The includes below a source root: between files, and between folders with their number."""

    def __init__(self, root: pathlib.Path) -> None:
        self.found: list[str] = []
        self.files: Graph = {}
        self.edges: collections.Counter[tuple[str, str]] = collections.Counter()
        self.sources = 0
        for room in ROOMS:
            for path in sorted((root / room).rglob("*")):
                if path.suffix in (".h", ".cc"):
                    self.read(root, path.relative_to(root))

    def read(self, root: pathlib.Path, path: pathlib.Path) -> None:
        self.sources += path.suffix == ".cc"
        folder = path.parent.as_posix()
        if folder not in ALLOWED:
            self.found.append(f"{path}: the folder {folder} has no line in {pathlib.Path(__file__).name}")
            return
        targets = self.files.setdefault(path.as_posix(), set())
        for included in INCLUDE.findall((root / path).read_text()):
            target = pathlib.PurePosixPath(included).parent.as_posix()
            if not (root / included).is_file():
                self.found.append(f'{path}: "{included}" is not a path from the source root')
                continue
            targets.add(included)
            if target == folder:
                continue
            self.edges[folder, target] += 1
            if target not in ALLOWED[folder]:
                self.found.append(f"{path}: {folder} may not include {target} ({included})")

    def folder_graph(self) -> Graph:
        graph: Graph = {}
        for folder, target in self.edges:
            graph.setdefault(folder, set()).add(target)
        return graph


def violations(tree: Tree) -> list[str]:
    found = list(tree.found)
    for what, graph in (("the list of allowed edges", ALLOWED), ("folders", tree.folder_graph()), ("files", tree.files)):
        if circle := circle_in(graph):
            found.append(f"a circle in {what}: {' -> '.join(reversed(circle))}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--edges", action="store_true", help="print the edges that there are")
    options = parser.parse_args()
    tree = Tree(options.root)
    if tree.sources < len(ROOMS):
        print("layering: no sources found, nothing was checked")
        return 1
    if options.edges:
        for (folder, target), count in sorted(tree.edges.items()):
            print(f"{folder} -> {target}  {count}")
    found = violations(tree)
    for line in found:
        print(line)
    print(f"layering: {tree.sources} sources, {len(tree.edges)} edges between folders, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
