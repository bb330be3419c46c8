# SPDX-License-Identifier: Apache-2.0
"""Makes a manual page of a program's own --help and of prose: manual.py PROGRAM SECTION PROSE VERSION > PAGE

Synopsis, options and commands are what the program prints, so they are those of the program that is packaged. PROSE is a file
of sections in a small notation: "# TITLE" begins a section and "## TITLE" one below it, blank lines part paragraphs, "- TERM: TEXT" is
a list item, an indented line is shown as it stands, and `name` is printed bold. A section OPTIONS or COMMANDS that has no text
stands for what the program prints.
"""
from __future__ import annotations

import pathlib
import re
import subprocess
import sys


def help_of(program: str, *command: str) -> list[str]:
    return subprocess.run([program, *command, "--help"], text=True, capture_output=True, check=True).stdout.splitlines()


def escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def inline(text: str) -> str:
    """`name` in bold."""
    parts = re.split(r"`([^`]*)`", text)
    return "".join(f"\\fB{escaped(part)}\\fR" if odd % 2 else escaped(part) for odd, part in enumerate(parts))


def part(lines: list[str], title: str) -> list[str]:
    """The indented lines below "TITLE:"."""
    if f"{title}:" not in lines:
        return []
    start = lines.index(f"{title}:") + 1
    end = next((at for at in range(start, len(lines)) if not lines[at].startswith(" ")), len(lines))
    return lines[start:end]


def items(lines: list[str]) -> list[tuple[str, str]]:
    """Of the two columns that CLI11 prints: what, and what it means. A long "what" has its meaning on the next line."""
    found: list[tuple[str, str]] = []
    for line in lines:
        if not line.startswith("   "):
            what, _, meaning = line.strip().partition("  ")
            if not meaning and (match := re.match(r"(\S+ \S+?:?\S* in \[[^]]*\]) (.*)", what)):
                what, meaning = match.groups()
            found.append((what, meaning.strip()))
        else:
            what, meaning = found[-1]
            found[-1] = (what, f"{meaning} {line.strip()}".strip())
    return found


def what_people_read(what: str) -> str:
    """CLI11's names of types and of dependencies say nothing that the meaning does not."""
    what = re.sub(r" (Excludes|Needs): .*", "", what)
    what = re.sub(r"\b[A-Z]+:(INT in )?", "", what) if re.search(r"[A-Z]+:[{I]", what) else what
    return what.replace(" TEXT REQUIRED", "").replace(" REQUIRED", "").replace(" TEXT", "")


def option_lines(lines: list[str]) -> list[str]:
    page = []
    for what, meaning in items(lines):
        if meaning.startswith("the opposite of "):
            continue
        page += [".TP", "\\fB" + escaped(what_people_read(what)) + "\\fR", escaped(meaning)]
    return page


def command_lines(program: str) -> list[str]:
    page = []
    overview = help_of(program)
    groups = [line[:-1] for line in overview if line.endswith(":") and not line.startswith((" ", "Options"))]
    for name, _ in [item for group in groups for item in items(part(overview, group))]:
        lines = help_of(program, name)
        usage = next(line for line in lines if line.startswith("Usage: ")).removeprefix("Usage: ")
        page += [f".SS {escaped(usage.replace(' [OPTIONS]', ''))}", escaped(lines[0]) + "."]
        page += option_lines(part(lines, "Positionals"))
        page += option_lines([line for line in part(lines, "Options") if not line.strip().startswith("-h,--help")])
        examples = [line.removeprefix("Example: ").strip() for line in lines
                    if line.startswith("Example: ") or line.startswith("         vswitch-ctl ")]
        if examples:
            page += [".PP", "Example:", ".PP", ".nf", ".RS", *map(escaped, examples), ".RE", ".fi"]
    return page


def prose_lines(text: str, program: str) -> list[str]:
    page: list[str] = []
    verbatim = False
    for line in [*text.splitlines(), ""]:
        if verbatim and line and not line.startswith("    "):
            page += [".RE", ".fi"] if line.startswith("#") else [".RE", ".fi", ".PP"]
            verbatim = False
        if line.startswith("# "):
            page.append(f".SH {line[2:]}")
            if line in ("# OPTIONS", "# COMMANDS"):
                page += option_lines(part(help_of(program), "Options")) if line == "# OPTIONS" else command_lines(program)
        elif line.startswith("## "):
            page.append(f".SS {line[3:]}")
        elif line.startswith("    "):
            if not verbatim:
                page += [".PP", ".nf", ".RS"]
                verbatim = True
            page.append(escaped(line[4:]))
        elif line.startswith("- "):
            term, _, meaning = line[2:].partition(": ")
            page += [".TP", inline(term), inline(meaning)]
        elif line:
            page.append(inline(line))
        elif page and not verbatim and not page[-1].startswith((".SH", ".SS", ".PP")):
            page.append(".PP")
    while page and page[-1] == ".PP":
        page.pop()
    return page


def main() -> None:
    program, section, prose, version = sys.argv[1:]
    name = pathlib.Path(program).name
    head = ['.\\" Made by packaging/manual/manual.py of what the program prints.', f'.TH {name.upper()} {section} "" "vswitch {version}"']
    print("\n".join([*head, *prose_lines(pathlib.Path(prose).read_text(), program)]))


if __name__ == "__main__":
    main()
