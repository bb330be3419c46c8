# SPDX-License-Identifier: Apache-2.0
"""vswitch-ctl capture: what tshark and capinfos read in its files, what it says was lost, and how it ends."""
from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import FAST_PATH, PATIENCE_S, ROOT, VSWITCH_CTL, RpcError, found, wait_until
from net import BROADCAST, frame, mac, run, stop
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1 = lab.host("t1", "10.95.0.1")
        lab.t2 = lab.host("t2", "10.95.0.2")
        lab.t2.wire.send(frame(mac(2), BROADCAST, b"here I am"))
        lab.t1.wire.expect(1)
        yield lab


class Capture:
    """vswitch-ctl capture on br0, from when its session is there."""

    def __init__(self, lab: Lab, *args: str, stdout: Any = subprocess.DEVNULL) -> None:
        self.lab = lab
        self.process = subprocess.Popen([str(VSWITCH_CTL), "--rundir", str(lab.daemon.rundir), "capture", "br0", *args],
                                        stdout=stdout, stderr=subprocess.PIPE, text=True)
        lab.net.closing.callback(self.kill)
        wait_until(lambda: self.process.poll() is not None or self.sessions(), "the session is there")

    def sessions(self) -> list[dict[str, Any]]:
        return [one for one in self.lab.rpc("mirror.list")["mirrors"] if one["destination"]["capture"]]

    def account(self) -> dict[str, Any]:
        return self.lab.account(self.sessions()[0]["name"])

    def end(self, number: int = signal.SIGINT) -> str:
        """What it says at the end."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self, status: int = 0) -> str:
        _, said = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == status, said
        assert not self.sessions(), "the session ends with the program"
        return said

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)


def packets(path: pathlib.Path, *fields: str) -> list[list[str]]:
    """The fields of every frame in a file, as tshark reads them."""
    options = [word for field in fields for word in ("-e", field)]
    text = run("tshark", "-n", "-r", path, "-T", "fields", *options).stdout
    return [line.split("\t") for line in text.splitlines()]


def numbered(count: int, source: int = 1, destination: int = 2) -> list[bytes]:
    return [bytes(frame(mac(source), mac(destination), b"%05d" % n)) for n in range(count)]


def test_a_file_has_ports_directions_times_and_statistics(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.pcapng"
    before = time.time()
    capture = Capture(lab, "--source", "t1", "-w", str(path))
    lab.t1.wire.send(*numbered(3))
    lab.t2.wire.expect(3)
    lab.t2.wire.send(*numbered(2, 2, 1))
    lab.t1.wire.expect(2)
    wait_until(lambda: capture.account()["delivered"] == 5, "all are delivered")
    [session] = capture.sessions()
    assert session["state"] == "active" and session["expires"]["connection"] is True
    assert "a capture" in lab.ctl("list-mirrors").stdout
    assert session["name"] in lab.ctl("who", "t1").stdout
    assert "5 frames captured" in (said := capture.end()) and "0 lost" in said, said
    rows = packets(path, "frame.interface_name", "frame.packet_flags_direction", "frame.time_epoch", "frame.len", "data.data")
    assert [(row[0], int(row[1], 16)) for row in rows] == [("t1", 1)] * 3 + [("t1", 2)] * 2
    assert all(before - 1 < float(row[2]) < time.time() + 1 for row in rows)
    assert any(not row[2].endswith("000") for row in rows), "nanoseconds"
    assert [bytes.fromhex(row[4])[:5] for row in rows] == [b"%05d" % n for n in (0, 1, 2, 0, 1)]
    about = run("capinfos", path).stdout
    assert found(r"Number of packets: *(\d+)", about)[1] == "5"
    assert found(r"Number of stat entries = (\d+)", about)[1] == "1"
    assert "nanoseconds" in about and "Name = t1" in about
    assert b"5 frames captured" in path.read_bytes(), "the statistics have a comment"


def test_production_stays_in_the_kernel_while_a_capture_reads(lab: Lab, tmp_path: pathlib.Path) -> None:
    if not FAST_PATH:
        pytest.skip("user space carries everything")
    path = tmp_path / "a.pcapng"
    capture = Capture(lab, "--source", "t1:from", "-w", str(path))
    frames = [bytes(frame(mac(1), mac(2), b"x" * 60))] * 500
    lab.t1.wire.send(*frames)
    lab.t2.wire.settle(500)
    why = lab.rpc("mirror.explain", bridge="br0", in_port="t1", frame=frames[0].hex())
    assert [one["session"] for one in why["copies"]] == [capture.sessions()[0]["name"]]
    assert why["fast_path"]["carried"] is True, why["fast_path"]
    account = capture.account()
    assert account["matched"] == 500 == account["delivered"] + account["lost"]
    capture.end()
    assert len(packets(path, "frame.len")) == account["delivered"]


def test_count_filters_and_snaplen(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.pcapng"
    capture = Capture(lab, "-s", "t1", "--bpf", "udp port 53", "-c", "2", "--snaplen", "40", "-w", str(path))
    for port in (53, 80, 53, 53):
        lab.t1.run("bash", "-c", f"printf '%0100d' 7 > /dev/udp/10.95.0.2/{port}", check=False)
    said = capture.wait()
    assert "2 frames captured" in said and "did not fit --bpf" in said, said
    rows = packets(path, "frame.len", "frame.cap_len", "udp.dstport")
    assert [row[:2] for row in rows] == [["142", "40"]] * 2
    assert all(row[2] == "53" for row in rows)


def test_filter_is_the_session_s(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.pcapng"
    capture = Capture(lab, "--source", "t1:rx", "--filter", "udp,tp_dst=53", "--name", "span-dns", "-w", str(path))
    assert [one["name"] for one in capture.sessions()] == ["span-dns"]
    for port in (53, 80):
        lab.t1.run("bash", "-c", f"echo hello > /dev/udp/10.95.0.2/{port}", check=False)
    wait_until(lambda: capture.account()["delivered"] == 1, "one fits")
    capture.end(signal.SIGTERM)
    assert packets(path, "udp.dstport") == [["53"]]


def test_duration_and_standard_output(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as out:
        start = time.monotonic()
        capture = Capture(lab, "--duration", "1s", "-w", "-", stdout=out)
        lab.t1.wire.send(*numbered(4))
        capture.wait()
    assert 0.9 < time.monotonic() - start < 15
    assert len(packets(path, "frame.len")) == 4


def test_without_a_file_tcpdump_prints(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as out:
        capture = Capture(lab, "--source", "t1", "-c", "3", stdout=out)
        lab.t1.wire.send(*numbered(3))
        capture.wait()
    lines = [line for line in path.read_text().splitlines() if not line.startswith("\t")]
    assert len(lines) == 3 and all("ethertype" in line for line in lines), lines


def test_rotation_keeps_the_last_files(lab: Lab, tmp_path: pathlib.Path) -> None:
    capture = Capture(lab, "--source", "t1", "-w", str(tmp_path / "r.pcapng"), "--rotate", "100kb", "--files", "2")
    refused = lab.ctl("capture", "br0", "-w", "x", "--rotate", "1kb", check=False)
    assert refused.returncode == 2 and "65536" in refused.stderr
    for _ in range(4):
        lab.t1.wire.send(*[bytes(frame(mac(1), mac(2), b"x" * 1400))] * 100)
        lab.t2.wire.settle(100)
        lab.t2.wire.clear()
    account = capture.account()
    capture.end()
    assert account["delivered"] == 400
    files = sorted(tmp_path.glob("r_*.pcapng"))
    assert [file.name for file in files] == ["r_00005.pcapng", "r_00006.pcapng"]
    for file in files:
        assert file.stat().st_size <= 101_000
        assert "Number of stat entries = 1" in run("capinfos", file).stdout
    assert len(packets(files[0], "frame.len")) == found_frames(files[0])


def found_frames(path: pathlib.Path) -> int:
    return int(found(r"Number of packets: *(\d+)", run("capinfos", "-M", path).stdout)[1])


def test_a_killed_program_takes_its_session_along(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.pcapng"
    capture = Capture(lab, "--source", "t1", "-w", str(path))
    lab.t1.wire.send(*numbered(5))
    lab.t2.wire.settle(5)
    wait_until(lambda: path.stat().st_size > 400, "it has written them")
    capture.process.kill()
    wait_until(lambda: not capture.sessions(), "the session is gone")
    assert len(packets(path, "frame.len")) == 5, "what is written can be read"
    lab.t1.wire.send(*numbered(3))
    assert len(lab.t2.wire.settle(8)) == 8


def test_a_reader_that_stops_loses_by_name_and_harms_nobody(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.pcapng"
    t3 = lab.host("t3")
    lab.mirror("span0", "--source", "t1:from", "--output", "t3")
    capture = Capture(lab, "--source", "t1:from", "-w", str(path))
    capture.process.send_signal(signal.SIGSTOP)
    sent = 0
    big = [bytes(frame(mac(1), mac(2), b"x" * 1400))] * 1000
    while not lab.rpc("mirror.get", bridge="br0", name=capture.sessions()[0]["name"])["counters"]["lost_by"].get("reader_slow"):
        assert sent < 40_000, "8 MiB hold about 6000 such frames"
        lab.t1.wire.send(*big)
        sent += len(big)
        assert len(lab.t2.wire.settle(len(big))) == len(big), "production gets all"
        lab.t2.wire.clear()
        t3.wire.settle()
        t3.wire.clear()
    account = capture.account()
    assert account["matched"] == sent and set(account["lost_by"]) <= {"reader_slow", "session_budget", "queue_full"}
    other = lab.account("span0")
    assert other["matched"] == sent and "reader_slow" not in other["lost_by"]
    capture.process.send_signal(signal.SIGCONT)
    said = capture.end()
    assert "reader_slow" in said, said
    assert found_frames(path) == account["delivered"]
    assert b"reader_slow" in path.read_bytes(), "the file says what it lacks"


@pytest.mark.parametrize("megabytes", [int(os.environ.get("VSWITCH_CAPTURE_MB", "200"))])
def test_nothing_is_lost_that_the_account_does_not_name(lab: Lab, tmp_path: pathlib.Path, megabytes: int) -> None:
    path = pathlib.Path("/dev/shm") / f"vswitch-{os.getpid()}-{megabytes}.pcapng"
    lab.net.closing.callback(lambda: path.unlink(missing_ok=True))
    capture = Capture(lab, "--source", "t1:from", "-w", str(path))
    size = 1400
    burst = [bytes(frame(mac(1), mac(2), b"x" * size))] * 1000
    sent = 0
    while sent * size < megabytes * 1_000_000:
        lab.t1.wire.send(*burst)
        sent += len(burst)
    account = capture.account()
    said = capture.end()
    assert account["matched"] + lab.drops("receive_overrun") == sent, account
    assert found_frames(path) == account["delivered"], said
    assert f"{account['delivered']} frames captured" in said and f"{account['lost']} lost" in said, said


def test_a_full_disk_ends_it_with_a_file_that_can_be_read(lab: Lab, tmp_path: pathlib.Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small)
    lab.net.closing.callback(lambda: run("umount", small))
    path = small / "a.pcapng"
    capture = Capture(lab, "--source", "t1", "-w", str(path))
    for _ in range(3):
        lab.t1.wire.send(*[bytes(frame(mac(1), mac(2), b"x" * 1400))] * 150)
    said = capture.wait(status=4)
    assert "No space left" in said, said
    assert found_frames(path) > 50


def test_the_end_of_the_daemon_ends_it(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.pcapng"
    capture = Capture(lab, "--source", "t1", "-w", str(path))
    lab.t1.wire.send(*numbered(5))
    lab.t2.wire.settle(5)
    wait_until(lambda: path.stat().st_size > 400, "it has written them")
    lab.daemon.restart()
    _, said = capture.process.communicate(timeout=PATIENCE_S)
    assert capture.process.returncode == 3, said
    assert found_frames(path) == 5
    assert not capture.sessions(), "none of it outlives the daemon"


def test_bad_requests_change_nothing(lab: Lab, tmp_path: pathlib.Path) -> None:
    def refused(**params: Any) -> str:
        with pytest.raises(RpcError) as caught:
            lab.rpc("mirror.add", bridge="br0", name="s", sources={"ports": ["t1"]}, **params)
        return str(caught.value.error["message"])

    assert "needs a socket" in refused(destination={"capture": True})
    assert "no other destination" in refused(destination={"capture": True, "ports": ["t2"]})
    assert lab.rpc("mirror.list")["mirrors"] == []
    for args, word in ((["--files", "2"], "--rotate"), (["--bpf", "tcp prt 80"], "syntax error"), (["--duration", "soon"], "10s"),
                       (["-w", str(tmp_path)], "directory"), (["-w", str(tmp_path / "a"), "--rotate", "big"], "100MB")):
        done = lab.ctl("capture", "br0", *args, check=False)
        assert done.returncode == 2 and word in done.stderr, done.stderr
    assert lab.ctl("capture", "br9", "-w", str(tmp_path / "b"), check=False).returncode == 1
    limit = [Capture(lab, "--name", f"span{n}", "-w", str(tmp_path / f"c{n}")) for n in range(16)]
    wait_until(lambda: len(limit[0].sessions()) == 16, "16 captures")
    done = lab.ctl("capture", "br0", "-w", str(tmp_path / "d"), check=False)
    assert done.returncode == 1 and "limit of 16 captures" in done.stderr, done.stderr
    for one in limit:
        one.kill()
    wait_until(lambda: not limit[0].sessions(), "all are gone")
    lab.mirror("span0", "--source", "t1", "--output", "t2")
    with pytest.raises(RpcError, match="unknown parameter"):
        lab.rpc("mirror.set", bridge="br0", name="span0", destination={"capture": True, "ports": []})
    assert re.search("t2", json.dumps(lab.rpc("mirror.get", bridge="br0", name="span0")["destination"]))


def test_the_end_of_whoever_reads_the_pipe_ends_it(lab: Lab) -> None:
    read, write = os.pipe()
    capture = Capture(lab, "-w", "-", stdout=write)
    os.close(write)
    os.close(read)
    capture.wait()  # although no frame comes


# ---- Wireshark

EXTCAP = ROOT / "ctl" / "extcap" / "vswitch_extcap.py"


def extcap(lab: Lab, *args: str, check: bool = True) -> str:
    """What the extcap program prints."""
    return run(EXTCAP, *args, check=check, env=extcap_environment(lab)).stdout


def extcap_environment(lab: Lab) -> dict[str, str]:
    return {**os.environ, "VSWITCH_CTL": str(VSWITCH_CTL), "OVS_RUNDIR": str(lab.daemon.rundir)}


def test_extcap_lists_bridges_ports_and_sessions(lab: Lab) -> None:
    lab.mirror("span 0", "--source", "t1", "--output", "t2", "--normal-io")
    text = extcap(lab, "--extcap-interfaces", "--extcap-version=4.0")
    values = re.findall(r"^interface \{value=([^}]*)\}\{display=[^}]+\}$", text, re.MULTILINE)
    assert {"vswitch/br0", "vswitch/br0/port/t1", "vswitch/br0/port/t2", "vswitch/br0/session/span%200", "vswitch-ssh"} <= set(values)
    assert re.match(r"extcap \{version=", text)
    assert extcap(lab, "--extcap-dlts", "--extcap-interface", "vswitch/br0") == "dlt {number=1}{name=EN10MB}{display=Ethernet}\n"
    assert "{call=--direction}" in extcap(lab, "--extcap-config", "--extcap-interface", "vswitch/br0/port/t1")
    assert "{call=--remote-host}" in extcap(lab, "--extcap-config", "--extcap-interface", "vswitch-ssh")
    check = ("--extcap-interface", "vswitch/br0", "--extcap-capture-filter")
    assert extcap(lab, *check, "tcp port 80") == ""
    assert "syntax error" in extcap(lab, *check, "tcp prt 80")


@pytest.mark.parametrize("interface", ["vswitch/br0/port/t1", "vswitch/br0/session/span0"])
def test_tshark_captures_by_extcap(lab: Lab, tmp_path: pathlib.Path, interface: str) -> None:
    lab.host("t3")
    lab.mirror("span0", "--source", "t1:from", "--output", "t3")
    folder = tmp_path / "extcap"
    folder.mkdir()
    (folder / "vswitch-extcap").symlink_to(EXTCAP)
    out = tmp_path / "out"
    with out.open("wb") as output:
        # tshark of Debian knows one folder only: for this one process, ours takes its place.
        place = found(r"Extcap path:\s*(\S+)", run("tshark", "-G", "folders").stdout)[1]
        tshark = subprocess.Popen(["unshare", "-m", "sh", "-ec", 'mount --bind "$1" "$2"; shift 2; exec "$@"', "-", folder, place,
                                   "tshark", "-n", "-l", "-i", interface, "-c", "3", "-T", "fields", "-e", "frame.interface_name",
                                   "-e", "frame.len"],
                                  stdout=output, stderr=subprocess.PIPE, text=True, env=extcap_environment(lab))
    lab.net.closing.callback(lambda: stop(tshark))

    def captures() -> list[Any]:
        return [one for one in lab.rpc("mirror.list")["mirrors"] if one["destination"]["capture"]]

    wait_until(lambda: tshark.poll() is not None or captures(), "it captures")
    lab.t1.wire.send(*numbered(3))
    _, said = tshark.communicate(timeout=PATIENCE_S)
    assert tshark.returncode == 0 and out.read_text() == "t1\t19\n" * 3, (said, out.read_text())
    wait_until(lambda: not captures(), "the session ends with tshark")


def test_extcap_by_ssh_runs_the_tool_there(lab: Lab, tmp_path: pathlib.Path) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "ssh").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$0.args"\nfor last; do :; done\nexec sh -c "exec $last"\n')
    (fake / "ssh").chmod(0o755)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    environment = extcap_environment(lab)
    program = subprocess.Popen([EXTCAP, "--capture", "--fifo", fifo, "--extcap-interface", "vswitch-ssh", "--remote-host", "root@there",
                                "--remote-source", "t1,t2:from", "--remote-command", str(VSWITCH_CTL),
                                "--extcap-capture-filter", "not arp"],
                               env={**environment, "PATH": f"{fake}:{environment['PATH']}"}, stderr=subprocess.DEVNULL)
    lab.net.closing.callback(lambda: stop(program))
    with fifo.open("rb") as reader:
        wait_until(lambda: any(one["state"] == "active" for one in lab.rpc("mirror.list")["mirrors"]), "it captures")
        lab.t1.wire.send(*numbered(2))
        lab.t2.wire.expect(2)
        wait_until(lambda: lab.rpc("mirror.list")["mirrors"][0]["counters"]["delivered"] >= 2, "they are captured")
        program.send_signal(signal.SIGTERM)  # as Wireshark does
        (tmp_path / "a.pcapng").write_bytes(reader.read())
    assert program.wait(PATIENCE_S) == 0
    assert len(packets(tmp_path / "a.pcapng", "frame.len")) == 2
    assert (fake / "ssh.args").read_text().splitlines()[1:3] == ["root@there", "--"]
    assert "--remote-host" in run(EXTCAP, "--capture", "--fifo", fifo, "--extcap-interface", "vswitch-ssh", check=False,
                                  env=environment).stderr
