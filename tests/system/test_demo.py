# SPDX-License-Identifier: Apache-2.0
"""The README's first command, as it stands."""
import os
import subprocess

from lab import BUILD, ROOT


def test_demo_shows_all_four_frames():
    done = subprocess.run([ROOT / "tests" / "demo" / "demo"], capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, "VSWITCH_BUILD": str(BUILD)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ICMP echo request") >= 2 and done.stdout.count("ICMP echo reply") >= 2
    assert "span0" in done.stdout and "active" in done.stdout
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert "demot1" not in left
