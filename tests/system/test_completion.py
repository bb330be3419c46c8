# SPDX-License-Identifier: Apache-2.0
"""Completion in real shells: the scripts of ctl/completion ask the tool, which asks the daemon."""
from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from lab import PATIENCE_S, ROOT, VSWITCH_CTL
from net import run
from switch import Lab

SCRIPTS = ROOT / "ctl" / "completion"


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.host("t1")
        lab.host("t2")
        run("ip", "-n", lab.net.switch, "link", "add", "free0", "type", "veth", "peer", "name", "free1")
        lab.mirror("span0", "--source", "t1", "--output", "t2")
        yield lab


def in_shell(lab: Lab, *command: str) -> list[str]:
    """What a shell prints, in the namespace of the switch and with the tool in PATH."""
    environment = {**os.environ, "OVS_RUNDIR": str(lab.daemon.rundir), "PATH": f"{VSWITCH_CTL.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["ip", "netns", "exec", lab.net.switch, *command], text=True, capture_output=True, timeout=PATIENCE_S,
                          env=environment)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.split())


def bash(lab: Lab, *words: str) -> list[str]:
    line = " ".join(f"'{word}'" for word in ("vswitch-ctl", *words))
    return in_shell(lab, "bash", "-c", f'source {SCRIPTS}/vswitch-ctl.bash; COMP_WORDS=({line}); COMP_CWORD={len(words)}; '
                    '_vswitch_ctl; printf "%s\\n" "${COMPREPLY[@]}"')


def test_bash_offers_commands_options_and_names(lab: Lab) -> None:
    assert bash(lab, "add-") == ["add-br", "add-mirror", "add-port"]
    assert bash(lab, "add-mirror", "br0", "x", "--enc") == ["--encap"]
    assert bash(lab, "show-mirror", "br0", "") == ["span0"]
    assert bash(lab, "add-mirror", "br0", "x", "--source", "t") == ["t1", "t2"]
    assert bash(lab, "explain", "br0", "--pcap", "/etc/host") == sorted(map(str, pathlib.Path("/etc").glob("host*")))


def test_bash_offers_devices_that_are_no_ports(lab: Lab) -> None:
    assert bash(lab, "add-port", "br0", "") == ["free0", "free1"]


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
def test_fish_offers_them_too(lab: Lab) -> None:
    def fish(line: str) -> list[str]:
        return in_shell(lab, "fish", "--no-config", "-c", f"source {SCRIPTS}/vswitch-ctl.fish; complete -C '{line}' | cut -f1")

    assert fish("vswitch-ctl add-") == ["add-br", "add-mirror", "add-port"]
    assert fish("vswitch-ctl show-mirror br0 ") == ["span0"]
    assert fish("vswitch-ctl add-mirror br0 x --enc") == ["--encap"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_zsh_offers_them_too(lab: Lab) -> None:
    def zsh(*words: str) -> list[str]:
        """_describe is where zsh's own part begins: it is replaced by one that prints."""
        line = " ".join(f"'{word}'" for word in ("vswitch-ctl", *words))
        return in_shell(lab, "zsh", "-f", "-c", f"words=({line}); CURRENT=$#words; _describe() {{ print -rl -- ${{candidates%%:*}} }}; "
                        f"body() {{ {(SCRIPTS / '_vswitch-ctl').read_text()} }}; body")

    assert zsh("add-") == ["add-br", "add-mirror", "add-port"]
    assert zsh("show-mirror", "br0", "") == ["span0"]
    assert zsh("add-mirror", "br0", "x", "--enc") == ["--encap"]
