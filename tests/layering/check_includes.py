#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the #include "..." lines of the sources with the allowed edges between the rooms.

Usage: check_includes.py SOURCE_ROOT. Exit status 0 when every edge is allowed, 1 with one line per violation.
"""
import pathlib
import re
import sys

# A room may include itself and what stands behind it here. tests may include everything.
ALLOWED = {
    "schemas": set(),
    "datapath": set(),
    "switchd": {"schemas", "datapath"},
    "ctl": {"schemas"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def violations(root: pathlib.Path) -> list[str]:
    found = []
    for room, allowed in ALLOWED.items():
        for path in sorted((root / room).rglob("*")):
            if path.suffix not in (".h", ".cc"):
                continue
            for included in INCLUDE.findall(path.read_text()):
                target = included.split("/")[0]
                where = path.relative_to(root)
                if not (root / included).is_file():
                    found.append(f'{where}: "{included}" is not a path from the source root')
                elif target != room and target not in allowed:
                    found.append(f"{where}: {room} may not include {target} ({included})")
    return found


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    sources = [p for room in ALLOWED for p in (root / room).rglob("*.cc")]
    if len(sources) < len(ALLOWED):
        print("layering: no sources found, nothing was checked")
        return 1
    found = violations(root)
    for line in found:
        print(line)
    print(f"layering: {len(sources)} sources, {len(found)} forbidden includes")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
