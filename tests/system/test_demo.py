# SPDX-License-Identifier: Apache-2.0
"""The README's first command, as it stands."""
from __future__ import annotations

import os
import subprocess

from lab import BUILD, ROOT

PREFIX = f"d{os.getpid():x}"  # beside another copy of this test


def test_demo_shows_all_four_frames() -> None:
    environment = {**os.environ, "VSWITCH_BUILD": str(BUILD), "LAB_PREFIX": PREFIX}
    try:
        done = subprocess.run([ROOT / "tests" / "demo" / "demo"], capture_output=True, text=True, timeout=120, check=False,
                              env=environment)
    except BaseException:  # it was killed, and could not take its lab down
        subprocess.run([ROOT / "tests" / "demo" / "lab", "down"], timeout=30, check=False, env=environment)
        raise
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ICMP echo request") >= 2 and done.stdout.count("ICMP echo reply") >= 2
    assert "span0" in done.stdout and "active" in done.stdout
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert PREFIX not in left
