# SPDX-License-Identifier: Apache-2.0
"""A long TCP transfer with default offloads, mirrored over ERSPAN: the stream put together again from the copies."""
from __future__ import annotations

import hashlib
import os
import pathlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import l3
import pytest
from net import PACKET_STATISTICS, SOL_PACKET, in_namespace, wait_forwarded
from switch import Lab

PORT = 5001
UNDERLAY_MTU = 1600  # carries whole copies: 1514 and 36 of IP, GRE and ERSPAN
SO_RCVBUFFORCE = 33
SO_MAX_PACING_RATE = 47

# Bytes and bytes per second, tried one after the other until the machine keeps up.
ATTEMPTS = [(200 << 20, 80 << 20), (200 << 20, 30 << 20), (40 << 20, 10 << 20)]


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.under = l3.underlay(lab.net, mtu=UNDERLAY_MTU)
        lab.t1, lab.t2 = lab.host("t1", "10.95.0.11"), lab.host("t2", "10.95.0.12")
        for host in (lab.under, lab.t1, lab.t2):
            host.wire.close()  # nobody looks, and it costs
        yield lab


class Capture:
    """Packets on the probe's device, all of them: they wait in the socket, which has room for the whole transfer."""

    def __init__(self, lab: Lab) -> None:
        def open_socket() -> Any:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, (1 << 30) - 1)
            sock.bind(("eth0", 0x0800))
            sock.setblocking(False)
            return sock

        self.sock = in_namespace(lab.under.namespace, open_socket)
        lab.net.closing.callback(self.sock.close)

    def packets(self) -> Iterator[Any]:
        """All that have come once nothing is under way any more."""
        wait_forwarded()
        while True:
            try:
                yield self.sock.recv(70000)
            except BlockingIOError:
                return

    def close(self) -> Any:
        """How many packets there was no room for."""
        _, drops = struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.sock.close()
        return drops


def transfer(lab: Lab, blob: bytes, rate: int) -> None:
    """t1 sends the blob to t2, which gets it whole."""
    received = hashlib.sha256()
    listener = in_namespace(lab.t2.namespace, lambda: socket.create_server(("10.95.0.12", PORT)))
    with listener:
        listener.settimeout(20)

        def receive() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(20)
                while data := sock.recv(1 << 20):
                    received.update(data)

        thread = threading.Thread(target=receive, daemon=True)
        thread.start()
        with in_namespace(lab.t1.namespace, lambda: socket.create_connection(("10.95.0.12", PORT), 20)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, rate)
            sock.sendall(blob)
        thread.join(60)
        assert not thread.is_alive(), "the transfer ends"
    assert received.digest() == hashlib.sha256(blob).digest(), "production"


def ones_complement(data: bytes) -> Any:
    """The Internet checksum's sum: 16-bit words modulo 65535; 0 if they include a right checksum."""
    return int.from_bytes(data if len(data) % 2 == 0 else data + b"\0") % 65535


class Stream:
    """What the copies say that t1 has sent, and what is wrong with any of them."""

    def __init__(self, length: int) -> None:
        self.data = bytearray(length)
        self.covered: list[Any] = []  # (begin, end), in the order of arrival
        self.first: int | None = None  # sequence number of the first octet
        self.numbers: list[Any] = []  # of the ERSPAN session
        self.wrong: list[Any] = []
        self.longest = 0

    def add(self, packet: bytes) -> None:
        if packet[23] != 47:
            return
        total = int.from_bytes(packet[16:18])
        self.longest = max(self.longest, total)
        if total != len(packet) - 14 or total > UNDERLAY_MTU:
            self.wrong.append(f"length {total} of {len(packet)}")
        if ones_complement(packet[14:34]) != 0:
            self.wrong.append("outer IP checksum")
        flags, protocol, number, erspan = struct.unpack_from("!HHII", packet, 34)
        if (flags, protocol, erspan >> 28, erspan >> 10 & 1, erspan & 0x3FF) != (0x1000, 0x88BE, 1, 0, 321):
            self.wrong.append(f"headers {packet[34:50].hex()}")
        self.numbers.append(number)
        frame = packet[50:]
        if frame[12:14] != b"\x08\x00" or frame[23] != 6:
            return  # ARP
        ip_total = int.from_bytes(frame[16:18])
        if len(frame) > 1514 or ip_total != len(frame) - 14:
            self.wrong.append(f"a copied frame of {len(frame)}, IP length {ip_total}")
        if ones_complement(frame[14:34]) != 0:
            self.wrong.append("inner IP checksum")
        pseudo = frame[26:34] + struct.pack("!HH", 6, ip_total - 20)
        if ones_complement(pseudo + frame[34:14 + ip_total]) != 0:
            self.wrong.append("inner TCP checksum")
        if int.from_bytes(frame[36:38]) == PORT:
            self.add_segment(frame[34:])

    def add_segment(self, tcp: Any) -> None:
        sequence = int.from_bytes(tcp[4:8])
        if tcp[13] & 2:
            self.first = sequence + 1
            return
        payload = tcp[4 * (tcp[12] >> 4):]
        if self.first is None or not payload:
            return
        at = (sequence - self.first) % 2 ** 32
        end = at + len(payload)
        if end > len(self.data):
            self.wrong.append(f"octets {at} to {end} of {len(self.data)}")
            return
        self.data[at:end] = payload
        self.covered.append((at, end))

    def missing(self) -> Any:
        """Octets that no copy had."""
        count = reached = 0
        for begin, end in sorted(self.covered):
            count += max(0, begin - reached)
            reached = max(reached, end)
        return count + len(self.data) - reached


def test_the_stream_from_the_copies_is_the_one_that_was_sent(lab: Lab) -> None:
    lab.mirror("m", "--source", "t1", "--endpoint", l3.far(4, 1), "--encap", "erspan2", "--session-id", "321")
    lab.wait_state("m", "active")
    expected = 0  # the next number of the session
    before = lab.account("m")
    for length, rate in ATTEMPTS:
        blob = os.urandom(length)
        capture = Capture(lab)
        transfer(lab, blob, rate)
        lab.t1.ping("10.95.0.12")  # a number behind the last of the transfer
        stream = Stream(length)
        for packet in capture.packets():
            stream.add(packet)
        assert capture.close() == 0, "the capture has room for everything"
        after = lab.account("m")
        delivered, lost, sent = (after[key] - before[key] for key in ("delivered", "lost", "sent_packets"))
        before = after
        assert not stream.wrong, f"{len(stream.wrong)} packets, first {stream.wrong[:5]}"
        assert stream.longest == 1550, "whole copies, and no longer ones"
        # Packets and numbers account for everything, with loss or without.
        assert len(stream.numbers) == sent and stream.numbers == sorted(stream.numbers)
        assert stream.numbers[0] >= expected
        gaps = len(l3.gaps([expected - 1, *stream.numbers]))
        expected = stream.numbers[-1] + 1
        assert delivered > 100, "hardly a comparison"
        if lost == 0:
            assert gaps == 0
            assert stream.missing() == 0
            assert hashlib.sha256(stream.data).digest() == hashlib.sha256(blob).digest()
            assert sent > delivered, "super-frames were cut into segments"
            return
        # A copy that was lost whole is one number; of one that left in part it may be several.
        whole = set(after["lost_by"]) <= {"session_budget", "queue_full"}
        assert gaps == lost or (gaps > lost and not whole), f"{lost} lost and counted {after['lost_by']}, {gaps} numbers missing"
        print(f"{length} bytes at {rate} bytes/s: {lost} of {delivered + lost} copies lost {after['lost_by']}, {gaps} gaps")
    pytest.fail("copies are lost even at the lowest rate")
