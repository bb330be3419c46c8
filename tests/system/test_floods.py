# SPDX-License-Identifier: Apache-2.0
"""One bridge harms no other, and a port that was idle takes a burst."""
from __future__ import annotations

import contextlib
import os
import pathlib
import select
import signal
import socket
import struct
from collections.abc import Iterator

import pytest

from lab import wait_until
from net import BROADCAST, PATIENCE_S, frame, in_namespace, mac, run
from switch import Lab

SO_TIMESTAMPNS = 35
PORTS = 250
FLOODING = 8


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


@contextlib.contextmanager
def stopped(lab: Lab) -> Iterator[None]:
    """The switch finds all that is sent meanwhile waiting."""
    os.kill(lab.daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(lab.daemon.pid, signal.SIGCONT)


class Stamped:
    """Times at which frames arrive at a device, as the kernel says."""

    def __init__(self, lab: Lab, namespace: str, device: str) -> None:
        def open_socket() -> socket.socket:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            sock.bind((device, 0x88B5))
            return sock

        self.sock = in_namespace(namespace, open_socket)
        lab.net.closing.callback(self.sock.close)

    def expect(self, count: int) -> list[int]:
        times: list[int] = []
        while len(times) < count:
            assert select.select([self.sock], [], [], PATIENCE_S)[0], f"{len(times)} of {count} frames"
            _, ancillary, _, _ = self.sock.recvmsg(2000, 256)
            times += [seconds * 10**9 + ns for _, kind, value in ancillary if kind == SO_TIMESTAMPNS
                      for seconds, ns in [struct.unpack("qq", value)]]
        return times


def test_a_flood_on_one_bridge_lets_the_frames_of_another_through(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Eight ports of 250 flood while the worker looks away; what comes last, on another bridge, is among the first to leave."""
    lab.daemon.ovs("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:worker-threads=1")
    lab.daemon.restart()
    one, two = lab.host("one"), lab.host("two")
    hosts = f"{lab.net.uid}-hosts"
    lab.net.add_namespace(hosts)
    commands = tmp_path / "links"
    commands.write_text("".join(f"link add f{n} up type veth peer name f{n} netns {hosts}\n" for n in range(PORTS)))
    run("ip", "-n", lab.net.switch, "-batch", commands, timeout=120)
    commands.write_text("".join(f"link set f{n} up\n" for n in range(PORTS)))
    run("ip", "-n", hosts, "-batch", commands, timeout=120)
    added = [argument for n in range(PORTS) for argument in ("--", "add-port", "flooded", f"f{n}")]
    lab.daemon.ovs("ovs-vsctl", "add-br", "flooded", *added)
    wait_until(lambda: [port["state"] for port in lab.rpc("port.list", bridge="flooded")["ports"]].count("active") >= PORTS,
               "all ports are there")
    flood = Stamped(lab, hosts, f"f{PORTS - 1}")
    innocent = Stamped(lab, two.namespace, "eth0")

    def open_senders() -> list[socket.socket]:
        senders = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(FLOODING)]
        for number, sock in enumerate(senders):
            sock.bind((f"f{number}", 0))
        return senders

    senders = in_namespace(hosts, open_senders)
    with stopped(lab):
        for sock in senders:
            for _ in range(64):
                sock.send(frame(mac(9), BROADCAST, b"flood"))
        one.wire.send(frame(mac(1), mac(2), b"innocent"))
    arrived = innocent.expect(1)[0]
    before = sum(time < arrived for time in flood.expect(FLOODING * 64))
    for sock in senders:
        sock.close()
    assert before <= 8, f"{before} of {FLOODING * 64} broadcasts were sent to 250 ports first"
    assert lab.port("one")["counters"]["rx_dropped"] == 0


def test_the_first_burst_into_an_idle_port_arrives(lab: Lab) -> None:
    one, two = lab.host("one"), lab.host("two")
    two.wire.send(frame(mac(1), mac(2), b"learn"))
    one.wire.settle(1)
    with stopped(lab):
        one.wire.send(*[frame(mac(2), mac(1), number.to_bytes(2)) for number in range(1000)])
    assert len(two.wire.settle(1000)) == 1000
    assert lab.port("one")["counters"]["rx_dropped"] == 0
