#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the Markdown documents wrap at 100 columns.

Usage: check_documents.py SOURCE_ROOT. Exit status 0 if every line fits, 1 with one line per violation.

Code (fenced, or indented by four columns after a blank line) may be wider, and so may a line that has no space to
break at, such as a long link. Tables may not: one that does not fit reads better as a list or as several tables.
"""
import pathlib
import re
import subprocess
import sys

MAX_COLUMNS = 100
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
LIST_ITEM = re.compile(r"^ *(?:[-*+]|\d+[.)]) +")
# What may stand in front of a word that cannot be broken: indent, list mark, label of a link's address.
PREFIX = re.compile(r"^ *(?:(?:[-*+]|\d+[.)]) +)?(?:\[[^\]]+\]: +)?")


def prose(lines: list[str]) -> list[tuple[int, str]]:
    """The lines outside of code, numbered from 1."""
    found = []
    fence = ""
    code_indent = 4
    indented_code = False
    after_blank = True
    for number, line in enumerate(lines, 1):
        mark = FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and line.strip() == mark[1]:
                fence = ""
            continue
        if mark:
            fence = mark[1]
            continue
        if not line.strip():
            after_blank = True
            continue
        indent = len(line) - len(line.lstrip(" "))
        indented_code = indent >= code_indent and (after_blank or indented_code)
        if not indented_code:
            found.append((number, line))
            if item := LIST_ITEM.match(line):
                code_indent = len(item[0]) + 4
            elif after_blank and indent == 0:
                code_indent = 4
        after_blank = False
    return found


def too_wide(line: str) -> bool:
    return len(line) > MAX_COLUMNS and " " in PREFIX.sub("", line, count=1).strip()


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "*.md"], check=True, capture_output=True, text=True)
    documents = [name for name in listed.stdout.split("\0") if name and (root / name).is_file()]
    if not documents:
        print("documents: none found, nothing was checked")
        return 1
    violations = 0
    for name in documents:
        for number, line in prose((root / name).read_text(encoding="utf-8").splitlines()):
            if too_wide(line):
                print(f"{name}:{number}: {len(line)} columns, at most {MAX_COLUMNS}; a table becomes a list or several")
                violations += 1
    print(f"documents: {len(documents)} checked, {violations} lines too wide")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
