#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over every source of the product, with clang's thread-safety analysis (see .clang-tidy).

Usage: check_cxx.py SOURCE_ROOT BUILD_DIRECTORY. The build directory has been configured for clang and without
precompiled headers, so that a source that leans on what others include does not pass. A source that passed is checked
again only when it, a header of ours that it includes, or the rules have changed: what passed is noted below the build
directory. Exit status 0 if every source passes, 1 with what clang-tidy says of those that do not.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys

from check_includes import Tree

TIDY = "clang-tidy-14"
SECONDS = 600  # for one source on a busy machine


def closure(files: dict[str, set[str]], source: str) -> list[str]:
    """The source and every file of ours that it includes, directly or not."""
    found, waiting = {source}, [source]
    while waiting:
        more = files.get(waiting.pop(), set()) - found
        found |= more
        waiting += more
    return sorted(found)


def fingerprint(root: pathlib.Path, files: list[str], rules: str) -> str:
    digest = hashlib.sha256(rules.encode())
    for name in files:
        digest.update(name.encode() + b"\0" + (root / name).read_bytes())
    return digest.hexdigest()


def tidy(root: pathlib.Path, build: pathlib.Path, source: str) -> str:
    """What clang-tidy has to say; empty if nothing."""
    run = subprocess.run([TIDY, "-p", str(build), "--quiet", source], cwd=root, capture_output=True, text=True,
                         timeout=SECONDS)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def main() -> int:
    root, build = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    commands = {pathlib.Path(entry["file"]): entry["command"]
                for entry in json.loads((build / "compile_commands.json").read_text())}
    version = subprocess.run([TIDY, "--version"], check=True, capture_output=True, text=True).stdout
    rules = (root / ".clang-tidy").read_text() + version
    files = Tree(root).files
    sources = [name for name in sorted(files) if name.endswith(".cc")]
    if not sources:
        print("clang-tidy: no sources found, nothing was checked")
        return 1
    passed = build / "tidied"
    passed.mkdir(exist_ok=True)
    marks = {name: passed / fingerprint(root, closure(files, name), rules + commands[root / name]) for name in sources}
    waiting = [name for name in sources if not marks[name].exists()]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, said in zip(waiting, pool.map(lambda one: tidy(root, build, one), waiting)):
            if said:
                bad += 1
                print(said)
            else:
                marks[name].touch()
    print(f"clang-tidy: {len(sources)} sources, {len(waiting)} of them new or changed, {bad} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
