# SPDX-License-Identifier: Apache-2.0
"""vswitch-ctl add-mirror --record and dump-record: what a session keeps in memory, and what tshark reads of it."""
from __future__ import annotations

import json
import pathlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import PATIENCE_S, VSWITCH_CTL, RpcError, found, wait_until
from net import BROADCAST, frame, mac, run
from switch import Lab
from test_capture import found_frames, numbered, packets


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1 = lab.host("t1", "10.95.0.1")
        lab.t2 = lab.host("t2", "10.95.0.2")
        lab.t2.wire.send(frame(mac(2), BROADCAST, b"here I am"))
        lab.t1.wire.expect(1)
        yield lab


def recording(lab: Lab, name: str = "box") -> dict[str, Any]:
    held = lab.rpc("mirror.get", bridge="br0", name=name)["recording"]
    assert isinstance(held, dict)
    return held


def dump(lab: Lab, path: pathlib.Path, *args: str, name: str = "box") -> str:
    """What it says."""
    return lab.ctl("dump-record", "br0", name, "-w", str(path), *args).stderr


def send(lab: Lab, count: int, size: int = 60) -> None:
    """From t1 to t2, and all of them are recorded."""
    before = lab.account("box")["matched"]
    lab.t1.wire.send(*[bytes(frame(mac(1), mac(2), b"%05d" % n + b"x" * (size - 5))) for n in range(count)])
    lab.t2.wire.settle(count)
    lab.t2.wire.clear()
    wait_until(lambda: (account := lab.account("box"))["matched"] == before + count and account["queued"] == 0,
               "all are recorded")


def test_a_dump_has_ports_directions_times_and_statistics(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.pcapng"
    before = time.time()
    said = lab.ctl("add-mirror", "br0", "box", "--source", "t1", "--record", "4MB,5min").stdout
    assert "a recorder of 4 MB and 5 min  active" in said, said
    lab.t1.wire.send(*numbered(3))
    lab.t2.wire.expect(3)
    lab.t2.wire.send(*numbered(2, 2, 1))
    lab.t1.wire.expect(2)
    wait_until(lambda: lab.account("box")["delivered"] == 5, "all are recorded")
    held = recording(lab)
    assert (held["frames"], held["evicted"]) == (5, 0) and held["bytes"] == lab.account("box")["delivered_bytes"]
    assert 3_900_000 < held["capacity"] <= 4_000_000
    shown = lab.ctl("show-mirror", "br0", "box").stdout
    assert re.search(rf"^recorded +5 frames \({held['bytes']} bytes\), from \S+Z to \S+Z$", shown, re.MULTILINE), shown
    assert "a recorder of 4 MB and 5 min" in lab.ctl("list-mirrors").stdout
    said = dump(lab, path)
    assert "5 recorded frames" in said and "0 lost" in said, said
    rows = packets(path, "frame.interface_name", "frame.packet_flags_direction", "frame.time_epoch", "data.data")
    assert [(row[0], int(row[1], 16)) for row in rows] == [("t1", 1)] * 3 + [("t1", 2)] * 2
    assert all(before - 1 < float(row[2]) < time.time() + 1 for row in rows)
    assert any(not row[2].endswith("000") for row in rows), "nanoseconds"
    assert [bytes.fromhex(row[3])[:5] for row in rows] == [b"%05d" % n for n in (0, 1, 2, 0, 1)]
    about = run("capinfos", path).stdout
    assert found(r"Number of packets: *(\d+)", about)[1] == "5"
    assert found(r"Number of stat entries = (\d+)", about)[1] == "1"
    assert "nanoseconds" in about and "Name = t1" in about
    assert b"session box: 5 recorded frames" in path.read_bytes()
    assert recording(lab)["frames"] == 5, "a dump takes nothing away"
    assert "5 recorded frames are written for root" in lab.daemon.log_text()


def test_the_last_frames_are_kept_and_the_account_closes(lab: Lab, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.pcapng"
    lab.mirror("box", "--source", "t1:from", "--record", "1MB")
    for _ in range(3):
        send(lab, 500, 1400)
    account, held = lab.account("box"), recording(lab)
    assert account["matched"] == 1500 == account["delivered"] + account["lost"]
    assert held["frames"] + held["evicted"] == account["delivered"]
    assert 500 < held["frames"] < 720 and held["evicted"] > 0, held
    said = dump(lab, path)
    assert f"{held['frames']} recorded frames" in said and f"{held['evicted']} had made room before" in said, said
    if account["lost"] == 0:
        numbers = [int(bytes.fromhex(row[0])[:5]) for row in packets(path, "data.data")]
        assert numbers == [n % 500 for n in range(1500 - len(numbers), 1500)], "the last ones, without a gap"
    assert found_frames(path) == held["frames"]
    row = lab.rpc("mirror.stats", bridge="br0", name="box")["mirrors"][0]
    assert row["counters"]["lost_by"] == account["lost_by"], "what makes room is no loss"
    assert [one["name"] for one in row["destinations"]] == ["record"]


def test_frames_become_too_old(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.mirror("box", "--source", "t1:from", "--record", "4s")
    assert recording(lab)["capacity"] > 60_000_000, "without a size it has 64 MB"
    send(lab, 5)
    time.sleep(2)
    send(lab, 3)
    wait_until(lambda: recording(lab)["frames"] == 3, "five are too old")
    assert dump(lab, tmp_path / "a").startswith("3 recorded frames")
    wait_until(lambda: recording(lab)["frames"] == 0, "all are too old")
    assert recording(lab)["evicted"] == 8 and recording(lab)["oldest"] is None
    assert dump(lab, tmp_path / "a").startswith("0 recorded frames")


def test_clear_forgets_what_is_in_the_file(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.mirror("box", "--source", "t1:from", "--record", "2MB")
    send(lab, 7)
    assert "7 recorded frames" in dump(lab, tmp_path / "a", "--clear")
    wait_until(lambda: recording(lab)["frames"] == 0, "they are forgotten")
    assert recording(lab)["evicted"] == 0
    send(lab, 2)
    done = lab.ctl("dump-record", "br0", "box", "-w", "/dev/full", "--clear", check=False)
    assert done.returncode == 4 and "No space left" in done.stderr, done.stderr
    assert recording(lab)["frames"] == 2, "they are in no file"
    printed = lab.ctl("dump-record", "br0", "box", "--bpf", "ether src 02:00:00:00:00:01")
    assert printed.stdout.count("ethertype") == 2, printed.stdout
    assert "1 recorded frame" not in dump(lab, tmp_path / "b", "--bpf", "arp")
    assert found_frames(tmp_path / "b") == 0


def test_settings_change_and_the_ring_stays(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.mirror("box", "--source", "t1:from", "--record", "2MB")
    send(lab, 7)
    lab.ctl("set-mirror", "br0", "box", "--snaplen", "40", "--filter", "ip", "--record", "2MB,1h")
    lab.ctl("disable-mirror", "br0", "box")
    assert recording(lab)["frames"] == 7, "a session that is off still holds its frames"
    lab.ctl("enable-mirror", "br0", "box")
    assert dump(lab, tmp_path / "a").startswith("7 recorded frames")
    lab.ctl("set-mirror", "br0", "box", "--filter", "none", "--record", "3MB")
    assert recording(lab)["frames"] == 0, "another size begins with nothing"
    send(lab, 3)
    assert packets_of(lab, tmp_path) == [["74", "40"]] * 3
    lab.ctl("set-mirror", "br0", "box", "--output", "t2", "--normal-io")
    session = lab.rpc("mirror.get", bridge="br0", name="box")
    assert session["recording"] is None and session["destination"]["record_bytes"] is None
    assert session["destination"]["ports"] == ["t2"]
    refused = lab.ctl("dump-record", "br0", "box", "-w", str(tmp_path / "none"), check=False)
    assert refused.returncode == 1 and "does not record" in refused.stderr, refused.stderr
    assert not (tmp_path / "none").exists()
    lab.ctl("set-mirror", "br0", "box", "--record", "5min")
    assert recording(lab)["frames"] == 0
    lab.daemon.restart()
    assert recording(lab)["frames"] == 0, "it goes on after a restart, with nothing"


def packets_of(lab: Lab, tmp_path: pathlib.Path) -> list[list[str]]:
    dump(lab, tmp_path / "p")
    return packets(tmp_path / "p", "frame.len", "frame.cap_len")


def test_bad_sizes_name_the_limit_and_change_nothing(lab: Lab, tmp_path: pathlib.Path) -> None:
    def refused(*args: str, status: int = 2) -> str:
        done = lab.ctl("add-mirror", "br0", "s", "--source", "t1", *args, check=False)
        assert done.returncode == status, done
        return done.stderr

    assert "1000000" in refused("--record", "10kB")
    assert "500000000" in refused("--record", "2GB")
    assert "86400" in refused("--record", "2d")
    for wrong in ("big", "64MB,32MB", "5min,64MB,1h", "none", ""):
        assert "64MB,5min" in refused("--record", wrong), wrong
    assert "no other destination" in refused("--record", "4MB", "--output", "t2", status=1)
    lab.mirror("box", "--source", "t1", "--record", "400MB")
    said = refused("--record", "200MB", status=1)
    assert "limit of all is 500000000" in said and "400000000" in said, said
    assert [one["name"] for one in lab.rpc("mirror.list")["mirrors"]] == ["box"]
    document = {"version": 1, "bridges": {"br0": {"mirrors": {"more": {
        "sources": {"ports": ["t1"]}, "destination": {"record_bytes": 200_000_000}}}}}}
    with pytest.raises(RpcError, match="limit of all is 500000000"):
        lab.rpc("system.apply", document=document)
    # What an OVSDB client writes is not refused, so its session has a state.
    row = json.dumps(["Open_vSwitch", {"op": "insert", "table": "Mirror", "uuid-name": "m",
                                       "row": {"name": "more", "select_all": True, "record_bytes": 200_000_000}},
                      {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
                       "mutations": [["mirrors", "insert", ["set", [["named-uuid", "m"]]]]]}])
    lab.daemon.ovs("ovsdb-client", "transact", f"unix:{lab.daemon.socket}", row)
    wait_until(lambda: lab.rpc("mirror.get", bridge="br0", name="more")["state"] == "error", "it has no recorder")
    session = lab.rpc("mirror.get", bridge="br0", name="more")
    assert "the limit is 500000000" in session["reason"] and session["recording"] is None, session["reason"]
    done = lab.ctl("dump-record", "br0", "more", "-w", str(tmp_path / "x"), check=False)
    assert done.returncode == 1 and "no recorder" in done.stderr, done.stderr
    lab.ctl("del-mirror", "br0", "box")
    wait_until(lambda: lab.rpc("mirror.get", bridge="br0", name="more")["state"] == "active", "now there is room")


def test_export_and_apply_have_it(lab: Lab) -> None:
    lab.mirror("box", "--source", "t1", "--record", "4MB,5min")
    text = lab.ctl("export").stdout
    assert json.loads(text)["bridges"]["br0"]["mirrors"]["box"]["destination"] == {
        "record_bytes": 4_000_000, "record_seconds": 300}
    file = lab.daemon.directory / "settings.json"
    file.write_text(text)
    assert "box" not in lab.ctl("apply", "-f", str(file)).stdout, "nothing to do"
    lab.ctl("del-mirror", "br0", "box")
    lab.ctl("apply", "-f", str(file))
    assert recording(lab)["frames"] == 0
    assert "records into the memory" in lab.ctl("export-mirrors", "br0", "box", check=False).stderr


def test_production_goes_on_while_dumps_are_not_read(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.mirror("box", "--source", "t1:from", "--record", "100MB")
    for _ in range(20):
        send(lab, 500, 1400)
    held = recording(lab)
    stuck = []
    for _ in range(4):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with lab.daemon.connect() as rpc:
            answer = ask_with(rpc, theirs, bridge="br0", name="box")
        theirs.close()
        assert answer["result"]["recording"]["frames"] == held["frames"]
        stuck.append(ours)
    refused = lab.ctl("dump-record", "br0", "box", "-w", str(tmp_path / "e"), check=False)
    assert refused.returncode == 1 and "limit of 4 dumps" in refused.stderr, refused.stderr
    start = time.monotonic()
    send(lab, 500, 1400)
    assert lab.rpc("system.info") and time.monotonic() - start < 10
    for one in stuck:
        one.close()
    wait_until(lambda: lab.ctl("dump-record", "br0", "box", "-w", str(tmp_path / "f"), check=False).returncode == 0, "they have gone")
    assert found_frames(tmp_path / "f") == recording(lab)["frames"]
    with lab.daemon.connect() as rpc:
        assert "needs a socket" in ask_with(rpc, None, bridge="br0", name="box")["error"]["message"]


def ask_with(rpc: Any, passed: socket.socket | None, **params: Any) -> Any:
    text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "mirror.dump_record", "params": params}).encode()
    if passed is None:
        rpc.socket.sendall(text)
    else:
        socket.send_fds(rpc.socket, [text], [passed.fileno()])
    return rpc.receive()


def test_dumps_while_frames_come(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.mirror("box", "--source", "t1:from", "--record", "3MB")
    going = threading.Event()
    going.set()
    sent = 0

    def traffic() -> None:
        nonlocal sent
        while going.is_set():
            lab.t1.wire.send(*[bytes(frame(mac(1), mac(2), b"x" * 1000))] * 200)
            sent += 200
            time.sleep(0.005)

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        wait_until(lambda: recording(lab)["evicted"] > 1000, "it has been full")
        for n in range(5):
            path = tmp_path / f"{n}"
            said = dump(lab, path)
            frames = int(found(r"^(\d+) recorded frames", said)[1])
            assert frames > 1000 and found_frames(path) == frames, said
            times = [int(row[0].replace(".", "")) for row in packets(path, "frame.time_epoch")]
            assert times == sorted(times), "in the order in which they were received"
    finally:
        going.clear()
        thread.join()
    wait_until(lambda: lab.account("box")["queued"] == 0, "all are recorded")
    account, held = lab.account("box"), recording(lab)
    assert account["matched"] + lab.drops("receive_overrun") == sent, account
    assert account["matched"] == account["delivered"] + account["lost"]
    assert held["frames"] + held["evicted"] == account["delivered"]


def test_the_end_of_the_daemon_or_of_the_reader(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.mirror("box", "--source", "t1:from", "--record", "64MB")
    for _ in range(10):
        send(lab, 1000, 1400)
    command = [str(VSWITCH_CTL), "--rundir", str(lab.daemon.rundir), "dump-record", "br0", "box", "-w", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        reader.stdout.read(100_000)
        reader.stdout.close()
        assert reader.wait(PATIENCE_S) == 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as slow:
        assert slow.stdout is not None and slow.stderr is not None
        slow.stdout.read(100_000)
        lab.daemon.restart()
        slow.stdout.read()
        assert slow.wait(PATIENCE_S) == 3, slow.stderr.read()
    assert recording(lab)["frames"] == 0
    for _ in range(10):
        send(lab, 1000, 1400)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as slow:
        assert slow.stdout is not None and slow.stderr is not None
        slow.stdout.read(100_000)
        lab.ctl("del-mirror", "br0", "box")
        slow.stdout.read()
        assert slow.wait(PATIENCE_S) == 4
        assert b"the session has ended" in slow.stderr.read()
