# SPDX-License-Identifier: Apache-2.0
"""explain --next: the next frame that comes and fits, explained; who gives up, goes or asks for nonsense leaves nothing behind."""
from __future__ import annotations

import json
import pathlib
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import VSWITCH_CTL, wait_until
from net import BROADCAST, Wire, frame, mac, stop
from switch import Lab

PATIENCE_S = 20


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        for name in ("t1", "t2", "probe"):
            setattr(lab, name, lab.host(name))
        lab.mirror("span0", "--source", "t1:from", "--output", "probe", "--sample", "3", "--rate", "1000")
        yield lab


class Asking:
    """vswitch-ctl explain in the background."""

    def __init__(self, lab: Lab, *options: str) -> None:
        self.process = subprocess.Popen([str(VSWITCH_CTL), "--rundir", str(lab.daemon.rundir), *options], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lab.net.closing.callback(stop, self.process)

    def answer(self) -> tuple[int, str, str]:
        """(exit status, standard output, standard error)"""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


def udp(port: Any, payload: bytes = b"x" * 30) -> bytes:
    ip = bytes.fromhex("4500") + (28 + len(payload)).to_bytes(2, "big") + bytes.fromhex("00010000401100000a0000010a000002")
    header = struct.pack("!HHHH", 1234, port, 8 + len(payload), 0)
    return frame(mac(1), BROADCAST, ip + header + payload, ether_type=0x0800)


def send_until_answered(wire: Wire, data: list[bytes], asking: Asking) -> tuple[int, str, str]:
    """A frame that comes before the request is not the next one."""
    deadline = time.monotonic() + PATIENCE_S
    while asking.process.poll() is None and time.monotonic() < deadline:
        wire.send(*data)
        time.sleep(0.02)
    return asking.answer()


def test_the_next_frame_that_fits_and_no_other(lab: Lab) -> None:
    asking = Asking(lab, "explain", "br0", "--next", "--port", "t1", "--match", "udp,tp_dst=80")
    status, out, err = send_until_answered(lab.t1.wire, [udp(81), udp(80), udp(82)], asking)
    assert (status, err) == (0, ""), err
    assert out.startswith(f"a frame of {len(udp(80))} bytes came on t1: {udp(80).hex()}\n"), out
    assert "arrives on t1" in out and "copy of span0" in out
    assert "selected: from t1; then sampled: 1 in 3; then limited to 1000 packets per second; at this moment " in out


def test_any_port_and_what_is_not_copied(lab: Lab) -> None:
    asking = Asking(lab, "--json", "explain", "br0", "--next", "--match", "dl_vlan=7")
    frames = [frame(mac(2), BROADCAST, b"no"), frame(mac(2), BROADCAST, b"yes", vlan=7, pcp=5)]
    status, out, err = send_until_answered(lab.t2.wire, frames, asking)
    assert status == 0, err
    result = json.loads(out)
    assert result["in_port"] == "t2" and result["frame"] == frame(mac(2), BROADCAST, b"yes", vlan=7, pcp=5).hex()
    assert result["mirrors"] == [{"session": "span0", "copied": False, "reason": "the frame touches none of its source ports", "then": []}]


def test_nobody_comes(lab: Lab) -> None:
    begin = time.monotonic()
    status, _, err = Asking(lab, "--timeout", "0.5", "explain", "br0", "--next", "--port", "t1", "--wait", "1.5").answer()
    assert status == 1 and "no frame arrived on port t1 within 1.5 seconds" in err, err
    assert 1.4 < time.monotonic() - begin < 10, "it waits longer than --timeout, which is for the daemon"
    for options, says in ((("--match", "tpc"), "tpc"), (("--port", "nowhere"), "no port nowhere")):
        status, _, err = Asking(lab, "explain", "br0", "--next", *options).answer()
        assert status == 1 and says in err, err


def test_eight_may_wait_and_who_goes_makes_room(lab: Lab) -> None:
    askings = []
    for _ in range(8):  # one after the other: the probe below would take a place before one that is late
        asking = lab.daemon.connect()
        asking.socket.sendall(json.dumps({"jsonrpc": "2.0", "id": 100, "method": "mirror.explain",
                                          "params": {"bridge": "br0", "next": {"match": "dl_vlan=9", "wait": 60}}}).encode())
        asking.call("system.info")  # requests of one connection are taken in their order
        askings.append(asking)

    def refused() -> bool:
        status, _, err = Asking(lab, "explain", "br0", "--next", "--match", "dl_vlan=9", "--wait", "0.01").answer()
        return status == 1 and "too many pending" in err

    wait_until(refused, "a ninth is turned away")
    askings[0].close()
    wait_until(lambda: not refused(), "the place of one that went is free")
    lab.t1.wire.send(frame(mac(1), BROADCAST, b"for all", vlan=9))
    for asking in askings[1:]:
        assert asking.receive()["result"]["frame"] == frame(mac(1), BROADCAST, b"for all", vlan=9).hex()
        asking.close()


def test_under_load_every_asker_gets_a_frame_and_production_goes_on(lab: Lab) -> None:
    sent = 0
    finished = threading.Event()

    def load() -> None:
        nonlocal sent
        while not finished.is_set():
            lab.t1.wire.send(*[frame(mac(1), mac(2), sent.to_bytes(4, "big") + bytes(60)) for _ in range(16)])
            sent += 16
            time.sleep(0.001)

    lab.t2.wire.send(frame(mac(2), BROADCAST, b"here"))
    lab.t1.wire.expect(1)
    thread = threading.Thread(target=load)
    thread.start()
    try:
        for n in range(40):
            result = lab.rpc("mirror.explain", bridge="br0", in_port="t1", next={"wait": 10})
            assert result["in_port"] == "t1" and [output["port"] for output in result["outputs"]] == ["t2"], n
    finally:
        finished.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert len([data for data in lab.t2.wire.settle(sent) if data[:6] == mac(2)]) == sent
    lab.account("span0")
