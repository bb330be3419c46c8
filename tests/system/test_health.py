# SPDX-License-Identifier: Apache-2.0
"""check and metrics: what a person, Nagios and Prometheus see of a switch with traffic and with trouble."""
from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest

from lab import FAST_PATH, wait_until
from net import BROADCAST, mac
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1 = lab.host("t1", "10.95.0.11")
        lab.t2 = lab.host("t2", "10.95.0.12")
        lab.t3 = lab.host("t3")
        lab.mirror("s", "--source", "t1:from", "--output", "t3")
        yield lab


def check(lab: Lab, *options: str) -> tuple[int, list[str]]:
    done = lab.ctl("check", *options, check=False)
    return done.returncode, done.stdout.splitlines()


def value(metrics: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", metrics, re.MULTILINE)
    assert found, f"no {series} in\n{metrics}"
    return float(found[1])


def test_a_switch_that_is_well(lab: Lab) -> None:
    status, lines = check(lab)
    assert status == 0, lines
    assert lines[0] == "ok: 1 session active; 3 ports active, 1 down; 0 copies lost in the last minute"
    assert "note: port br0/br0: down: no host uses it (ip link set br0 up)" in lines
    assert FAST_PATH != any(line.startswith("note: fast path: off: ") for line in lines)
    status, lines = check(lab, "--nagios")
    assert status == 0
    assert re.fullmatch(r"VSWITCH OK - 1 session active[^|]* \| sessions_active=1 .*lost=0", lines[0])


def test_trouble_is_the_exit_status_and_the_first_line(lab: Lab) -> None:
    lab.net.switch_run("ip", "link", "set", "t3", "down")
    lab.wait_state("s", "waiting")
    status, lines = check(lab)
    assert status == 1
    assert re.match("warning: (port br0/t3: down|session br0/s: waiting): ", lines[0])
    assert any(line.startswith("warning: session br0/s: waiting: ") for line in lines[1:])
    lab.ctl("add-port", "br0", "x1", "--type", "vxlan", "--option", "remote_ip=10.95.0.77", "--option", "key=5")
    lab.daemon.ovs("ovs-vsctl", "--timeout=10", "set", "interface", "x1", "options:remote_ip=nowhere")
    lab.wait_port("x1", "error")
    status, lines = check(lab, "--nagios")
    assert status == 2
    assert lines[0].startswith("VSWITCH CRITICAL - port br0/x1: error: ")
    assert lab.daemon.stop() == 0
    status, lines = check(lab, "--nagios")
    assert status == 3
    assert lines[0].startswith("VSWITCH UNKNOWN - no daemon answers on ")


def test_losses_are_a_warning_for_a_minute(lab: Lab) -> None:
    lab.net.switch_run("ip", "link", "set", "t3", "mtu", "1000")
    lab.t1.wire.send(mac(9) + mac(1) + b"\x88\xb5" + bytes(1400))
    wait_until(lambda: check(lab)[0] == 1, "the loss is a warning")
    assert "warning: session br0/s: 1 copy lost in the last minute: too_big 1" in check(lab)[1]


def test_isolation_that_is_lost_is_a_warning(lab: Lab) -> None:
    os.kill(lab.daemon.pid, signal.SIGSTOP)  # in one step for the daemon, which puts back what goes alone
    lab.net.switch_run("tc", "qdisc", "del", "dev", "t1", "clsact")
    lab.net.switch_run("tc", "qdisc", "add", "dev", "t1", "ingress")
    os.kill(lab.daemon.pid, signal.SIGCONT)

    def warns() -> bool:
        status, lines = check(lab)
        return status == 1 and re.fullmatch("warning: port br0/t1: .*may still send on the device.*", lines[1]) is not None

    wait_until(warns, "the check warns")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
def test_promtool_accepts_the_metrics(lab: Lab) -> None:
    lab.daemon.ovs("ovs-vsctl", "--timeout=10", "--", "--id=@m", "create", "mirror", r'name="a \"b\" \\ c"', "--", "add", "bridge", "br0",
                   "mirrors", "@m")
    lab.t1.ping("10.95.0.12")
    metrics = lab.ctl("metrics").stdout
    done = subprocess.run(["promtool", "check", "metrics"], input=metrics, text=True, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), metrics
    assert lab.daemon.stop() == 0
    without = lab.ctl("metrics", check=False)
    assert without.returncode == 3
    done = subprocess.run(["promtool", "check", "metrics"], input=without.stdout, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert value(without.stdout, "vswitch_up") == 0


def test_metrics_count_what_happens(lab: Lab) -> None:
    before = lab.ctl("metrics").stdout
    for n in range(5):
        lab.t1.wire.send(BROADCAST + mac(1) + b"\x88\xb5" + n.to_bytes(2, "big") * 30)
    assert lab.account("s")["delivered"] == 5
    after = lab.ctl("metrics").stdout
    for series, grown in (('vswitch_mirror_matched_total{bridge="br0",session="s"}', 5),
                          ('vswitch_mirror_delivered_total{bridge="br0",session="s"}', 5),
                          ('vswitch_mirror_lost_total{bridge="br0",session="s"}', 0),
                          ('vswitch_port_rx_packets_total{bridge="br0",port="t1"}', 5),
                          ('vswitch_port_tx_copies_total{bridge="br0",port="t3"}', 5)):
        assert value(after, series) - value(before, series) == grown, series
    assert value(after, 'vswitch_mirror_destination_delivered_total{bridge="br0",session="s",destination="t3"}') == 5
    assert value(after, 'vswitch_mirror_state{bridge="br0",session="s",state="active"}') == 1
    assert value(after, 'vswitch_port_state{bridge="br0",port="br0",state="down"}') == 1
    assert value(after, "vswitch_fast_path_on") == FAST_PATH
    assert value(after, "vswitch_process_resident_memory_bytes") > 1e6
    assert value(after, 'vswitch_thread_cpu_seconds_total{kind="worker",number="0"}') >= 0
