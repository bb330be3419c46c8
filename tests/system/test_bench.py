# SPDX-License-Identifier: Apache-2.0
"""The forwarding benchmark still works: its load, its counts and its report, with little of each. Not how fast anything is."""
from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from lab import BUILD, FAST_PATH, ROOT, SANITIZED

OURS, BRIDGE, TRIVIAL = "vswitchd", "Linux bridge", "trivial forwarder"
SPINNING, BOTH, XDP_COPIES = "vswitchd, spinning", "vswitchd, both cores", "vswitchd, xdp-copies"
USER_SPACE, AT_ONCE, SHORTER = "vswitchd, user space", "vswitchd, at once", "vswitchd, 30 us"
KEPT = "vswitchd, GSO packets kept"
ROWS = {  # one of each section
    ("rates", "64 bytes, 1 flow, 1 pair"): [OURS, USER_SPACE, BRIDGE, TRIVIAL],
    ("copies", "100,000 frames/s"): [OURS, USER_SPACE, BRIDGE],
    ("mirrors", "64 bytes, 1 session"): [OURS, XDP_COPIES, BRIDGE, TRIVIAL],
    ("encapsulated", "64 bytes, 1 session"): [OURS, USER_SPACE],
    ("tcp", "1 stream there, 1 session"): [OURS, KEPT, USER_SPACE, BRIDGE],
    ("tcp", "1 stream there"): [OURS, USER_SPACE, BRIDGE, TRIVIAL],
    ("latency", "no session"): [OURS, USER_SPACE, AT_ONCE, SPINNING, BRIDGE, TRIVIAL],
    ("loss", "1 session at 25 %"): [OURS, USER_SPACE, XDP_COPIES, BOTH, BRIDGE, TRIVIAL],
    ("gathering", "100,000 frames/s"): [USER_SPACE, SHORTER, AT_ONCE],
    **({("flows", "10,000 flows"): [OURS]} if FAST_PATH else {}),
    ("growth", "100 addresses on either side"): [OURS, BRIDGE],
    ("growth", "2 senders on 2 cores, 2 pairs of ports, 64 bytes"): [OURS, USER_SPACE, BRIDGE],
    ("growth", "2 workers, 2 pairs of ports, 64 bytes"): [OURS],
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    """A run of one short round with the peers that need nothing installed. Longer than a TCP that has lost its first segments waits."""
    where = tmp_path_factory.mktemp("bench")
    only = [f"--only={section}: {name}" for section, name in ROWS]
    sides = [f"--sides={side}" for side in (OURS, BRIDGE, TRIVIAL)]
    done = subprocess.run(["/usr/bin/python3", ROOT / "tests" / "bench" / "forwarding.py", "--quick", "--polite", "--rounds=1",
                           "--seconds=0.6", *only, *sides, f"--json={where}/found.json", f"--svg={where}/found.svg"],
                          env={**os.environ, "VSWITCH_BUILD": str(BUILD)}, text=True, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {**json.loads((where / "found.json").read_text()), "text": done.stdout, "svg": (where / "found.svg").read_text()}


def test_every_step_of_the_walk_is_measured() -> None:
    done = subprocess.run([BUILD / "tests" / "bench_micro", "--benchmark_min_time=0.001", "--benchmark_format=json"], text=True,
                          capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)["benchmarks"]
    assert len(measured) > 20
    assert all(one["iterations"] > 0 and "error_message" not in one for one in measured)


def rows(found: dict[str, Any], section: str, name: str) -> dict[Any, Any]:
    return {row["metric"]: row["values"] for row in found["rows"] if (row["section"], row["name"]) == (section, name)}


@pytest.mark.parametrize("section,name", ROWS)
def test_every_section_measures(found: dict[str, Any], section: str, name: str) -> None:
    measured = rows(found, section, name)
    assert measured, found["text"]
    for metric, values in measured.items():
        if metric in ("% lost", "lost"):
            continue  # nothing lost is what one hopes for
        for side in values:
            assert all(value > 0 for value in values[side].values()), (metric, side, values)
    sides = {side for values in measured.values() for side in values}
    assert sides == set(ROWS[section, name])


def test_nothing_failed(found: dict[str, Any]) -> None:
    """Every count agreed, every prime came through."""
    assert found["failures"] == []


@pytest.mark.skipif(SANITIZED, reason="memory and time of a build with sanitizers are not the program's")
def test_counts_agree(found: dict[str, Any]) -> None:
    """Nothing comes out that was not sent, and at a quarter of capacity every copy is delivered."""
    rates = rows(found, "rates", "64 bytes, 1 flow, 1 pair")
    assert set(rates["all processors"]) == {OURS, USER_SPACE, BRIDGE, TRIVIAL}
    for side in (OURS, BRIDGE, TRIVIAL):
        assert rates["frames/s"][side]["0"] <= 1.2 * rates["offered/s"][side]["0"]
    mirrored = rows(found, "mirrors", "64 bytes, 1 session")
    for side in (BRIDGE, TRIVIAL):  # which copy before they take the next frame
        assert mirrored["copies/s"][side]["0"] == pytest.approx(mirrored["production/s"][side]["0"], rel=0.2)
    assert rows(found, "loss", "1 session at 25 %")["copies delivered"][OURS]["0"] > 0.5


def test_report(found: dict[str, Any]) -> None:
    assert "against the trivial forwarder" in found["text"] and "not measured" in found["text"]
    assert found["goals"]
    assert {goal["verdict"] for goal in found["goals"]} <= {"met", "missed", "not measured"}
    assert found["svg"].startswith("<svg") and found["svg"].rstrip().endswith("</svg>") and "vswitchd" in found["svg"]
