# SPDX-License-Identifier: Apache-2.0
"""The log and the events tell the story: who changed what, states with reasons, losses, refusals, over restarts."""
from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import threading
from collections.abc import Iterator

import pytest

from lab import VSWITCH_CTL, RpcError, wait_until
from net import PATIENCE_S, mac
from switch import Lab

TOOL = r"root \(pid \d+, vswitch-ctl\)"


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1 = lab.host("t1", "10.95.0.11")
        lab.t2 = lab.host("t2", "10.95.0.12")
        lab.vsctl = lambda *args: lab.daemon.ovs("ovs-vsctl", "--timeout=10", *args).stdout
        yield lab


def said(lab: Lab, pattern: str) -> int:
    """How often the log has it."""
    return len(re.findall(pattern, lab.daemon.log_text()))


def events(lab: Lab, *options: str) -> list[str]:
    """Lines of vswitch-ctl events without their times."""
    return [line.split("  ", 1)[1] for line in lab.ctl("events", *options).stdout.splitlines() if line[0] != "("]


def test_every_change_of_a_session_is_said_with_who_made_it(lab: Lab) -> None:
    assert said(lab, rf"bridge\|INFO\|br0: added by {TOOL}") == 1
    assert said(lab, rf"port\|INFO\|br0/t1: added by {TOOL}") == 1
    lab.mirror("s", "--source", "t1", "--output", "t2", "--normal-io")
    assert said(lab, rf"mirror\|INFO\|br0/s: added by {TOOL}: destination_ports t2, .*normal_io true, .*source_ports:t1 both") == 1
    assert said(lab, r"mirror\|INFO\|br0/s: active\n") == 1
    lab.ctl("set-mirror", "br0", "s", "--snaplen", "96")
    assert said(lab, rf"mirror\|INFO\|br0/s: changed by {TOOL}: snaplen none -> 96\n") == 1
    lab.vsctl("set", "bridge", "br0", "other_config:mac-table-size=99")
    assert said(lab, r"bridge\|INFO\|br0: changed by root \(pid \d+, ovs-vsctl\): other_config:mac-table-size none -> 99\n") == 1
    lab.vsctl("clear", "bridge", "br0", "mirrors")
    assert said(lab, r"mirror\|INFO\|br0/s: removed by root \(pid \d+, ovs-vsctl\)\n") == 1
    assert not said(lab, r"expires_at|ofport|vswitchd:"), "what the switch writes is no change of settings"


def test_states_come_with_their_reasons(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1", "--output", "t2")
    lab.net.switch_run("ip", "link", "set", "t2", "down")
    lab.wait_state("s", "waiting")
    wait_until(lambda: said(lab, r"port\|WARN\|br0/t2: down: the device is down"), "the port's state is in the log")
    assert said(lab, r"mirror\|WARN\|br0/s: waiting: .*t2")
    lab.net.switch_run("ip", "link", "set", "t2", "up")
    wait_until(lambda: said(lab, r"port\|INFO\|br0/t2: active\n"), "the port's state is in the log")
    lab.wait_state("s", "active")
    assert said(lab, r"mirror\|INFO\|br0/s: active\n") == 2


def test_refusals_are_said_whoever_is_refused(lab: Lab) -> None:
    lab.ctl("add-mirror", "br9", "s", "--source", "t1", "--output", "t2", check=False)
    assert said(lab, rf"settings\|WARN\|refused: mirror.add by {TOOL}: .*br9") == 1
    tagged = {"op": "update", "table": "Port", "where": [["name", "==", "t1"]], "row": {"tag": 5000}}
    answer = lab.daemon.rpc("transact", ["Open_vSwitch", tagged], version=1)
    assert answer[-1]["error"] == "constraint violation", answer
    assert said(lab, r"settings\|WARN\|refused: transact by root \(pid \d+, .*\): constraint violation: .*5000") == 1
    timed_out = {"op": "wait", "table": "Port", "where": [], "columns": ["name"], "until": "==", "rows": [], "timeout": 0}
    answer = lab.daemon.rpc("transact", ["Open_vSwitch", timed_out, tagged], version=1)
    assert answer[0]["error"] == "timed out", answer
    assert said(lab, r"refused: transact") == 1, "what a client expects and does not find is no refusal"
    with pytest.raises(RpcError):
        lab.rpc("port.set", name="t1", tag=5000)
    assert said(lab, r"refused: port.set by root \(pid \d+, .*\): .*5000") == 1


def test_losses_are_said_by_cause(lab: Lab) -> None:
    lab.net.switch_run("ip", "link", "set", "t2", "mtu", "1000")
    lab.mirror("s", "--source", "t1:from", "--output", "t2")
    lab.t1.wire.send(mac(9) + mac(1) + b"\x88\xb5" + bytes(1400))
    wait_until(lambda: lab.account("s")["lost_by"] == {"too_big": 1}, "the copy is lost")
    wait_until(lambda: said(lab, r"mirror\|WARN\|br0/s: 1 copy lost: too_big 1\n"), "the loss is in the log")
    assert "br0/s: 1 copy lost: too_big 1" in events(lab, "br0", "s", "--topic", "mirror.loss")


def test_events_outlive_the_daemon_and_go_on_counting(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1", "--output", "t2", "--normal-io")
    before = lab.rpc("system.events")
    assert before["trouble"] is None
    lab.daemon.restart()
    after = lab.rpc("system.events")
    assert after["events"][:before["last"]] == before["events"]
    assert [event["number"] for event in after["events"]] == list(range(1, after["last"] + 1))
    assert [(event["topic"], event["state"]) for event in after["events"][before["last"]:]] == [
        ("system.state", "ends"), ("system.state", "started")], "that everything works as before is no news"
    file = lab.daemon.database.with_name(lab.daemon.database.name + ".events")
    wait_until(lambda: f'"number":{after["last"]},' in file.read_text(), "the last event is in the file")
    lab.daemon.kill9()
    lab.daemon.start()
    assert lab.rpc("system.events")["last"] == after["last"] + 1
    lab.ctl("set-mirror", "br0", "s", "--snaplen", "96")
    assert re.fullmatch(rf"br0/s: changed by {TOOL}: snaplen none -> 96", events(lab, "--limit", "1")[-1])
    assert events(lab, "--since", "1h") == events(lab)
    assert events(lab, "--since", str(after["last"] + 1)) == events(lab)[-1:]


def test_a_damaged_file_of_events_harms_nothing(lab: Lab) -> None:
    assert lab.daemon.stop() == 0
    file = lab.daemon.database.with_name(lab.daemon.database.name + ".events")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b"\xff\x00 not JSON\n" + b'{"number": 10}\n' + lines[1] + lines[2][:30])
    lab.daemon.start()
    shown = lab.rpc("system.events")["events"]
    assert [event["number"] for event in shown] == [1, 2, 3]
    assert said(lab, r"events\|WARN\|3 damaged lines of .*conf.db.events are left out") == 1
    lab.mirror("s", "--source", "t1", "--output", "t2")
    lab.daemon.restart()
    assert any("br0/s: added by" in line for line in events(lab))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_a_full_disk_is_said_and_harms_nothing(lab: Lab, tmp_path: pathlib.Path) -> None:
    """The file of events is on a disk of its own, which is full; the switch goes on, says so, and catches up."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    try:
        assert lab.daemon.stop() == 0
        file = lab.daemon.database.with_name(lab.daemon.database.name + ".events")
        (disk / "events").write_bytes(file.read_bytes())
        file.unlink()
        file.symlink_to(disk / "events")
        lab.daemon.start()
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as out, pytest.raises(OSError):
            while True:
                out.write(bytes(1024))
        for n in range(64, 64 + 40):
            lab.rpc("bridge.set", name="br0", mac_table_size=n)
        wait_until(lambda: said(lab, r"events\|WARN\|events would not outlive the daemon: cannot write .*: No space left on device"),
                   "it is in the log")
        checked = lab.ctl("check", check=False)
        assert checked.returncode == 1
        assert "warning: events: cannot write " in checked.stdout
        assert "do not outlive the daemon" in lab.ctl("events").stdout
        last = lab.rpc("system.events")["last"]
        filler.unlink()
        lab.daemon.restart()
        shown = lab.rpc("system.events")["events"]
        assert [event["number"] for event in shown] == list(range(1, last + 3)), "nothing is missing"
    finally:
        if lab.daemon.runs():
            lab.daemon.stop()
        subprocess.run(["umount", disk], check=True)


def test_follow_shows_what_happens_and_survives_a_restart(lab: Lab) -> None:
    with subprocess.Popen([VSWITCH_CTL, "--rundir", lab.daemon.rundir, "--json", "events", "br0", "s", "--follow"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tool:
        seen: list[str] = []
        assert tool.stdout
        stream = tool.stdout

        def read() -> None:
            for line in stream:
                event = json.loads(line)
                seen.append(f"{event['topic']} {event.get('action', event.get('state'))}")

        reader = threading.Thread(target=read)
        reader.start()
        try:
            lab.mirror("s", "--source", "t1", "--output", "t2", "--normal-io")
            wait_until(lambda: seen == ["mirror.change added", "mirror.state active"], "the new session is seen")
            lab.daemon.restart()
            lab.ctl("disable-mirror", "br0", "s")
            wait_until(lambda: seen[2:] == ["mirror.change changed", "mirror.state disabled"], "it is seen after the restart")
        finally:
            tool.terminate()
            reader.join(PATIENCE_S)
    assert seen == ["mirror.change added", "mirror.state active", "mirror.change changed", "mirror.state disabled"]


def test_subscribers_get_the_states_of_now_and_then_every_change(lab: Lab) -> None:
    lab.mirror("s", "--source", "t1", "--output", "t2", "--normal-io")
    with lab.daemon.connect() as watcher:
        answer = watcher.call("subscribe")
        assert answer["snapshot"]["mirrors"] == [{"bridge": "br0", "name": "s", "state": "active", "reason": ""}]
        assert {port["name"] for port in answer["snapshot"]["ports"]} == {"br0", "t1", "t2"}
        lab.ctl("set-mirror", "br0", "s", "--snaplen", "96")
        told = watcher.receive()
        assert told["method"] == "mirror.change"
        assert told["params"]["number"] == answer["last"] + 1
        assert told["params"]["changes"] == [{"field": "snaplen", "before": None, "after": "96"}]
        assert told["params"]["time"] >= answer["time"]


def test_detached_what_libraries_say_is_in_the_log(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Without a terminal the log file is standard error, before and after it was rotated."""
    assert lab.daemon.stop() == 0
    log = tmp_path / "detached.log"
    done = subprocess.run(lab.daemon.command("--detach", "--log-file", str(log)), text=True, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    pid = int((lab.daemon.rundir / "ovs-vswitchd.pid").read_text())
    try:
        for number in range(2):
            for fd in (1, 2):
                assert os.readlink(f"/proc/{pid}/fd/{fd}") == str(log)
            with open(f"/proc/{pid}/fd/2", "a", encoding="ascii") as standard_error:
                standard_error.write("terminate called\n")
            assert log.read_text().endswith("terminate called\n")
            log.rename(tmp_path / f"rotated.{number}")
            lab.daemon.ovs("ovs-appctl", "vlog/reopen")
            wait_until(log.exists, "a new log file")
        assert "serves" in (tmp_path / "rotated.0").read_text()
    finally:
        lab.daemon.ovs("ovs-appctl", "exit")
        wait_until(lambda: not lab.daemon.socket.exists(), "the daemon in the background has ended")
