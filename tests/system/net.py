# SPDX-License-Identifier: Apache-2.0
"""Network namespaces with hosts in them, and wires to put frames on and take frames off.

Every Net has a namespace for the switch and one per host, joined by veth: inside the switch's namespace the device is called like
the host, inside the host's it is eth0. Names on this machine are unique to the process, so tests can run beside each other.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import pathlib
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_STATISTICS = 6
PACKET_AUXDATA = 8
PACKET_IGNORE_OUTGOING = 23
TP_STATUS_VLAN_VALID = 1 << 4
TP_STATUS_VLAN_TPID_VALID = 1 << 6
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
PATIENCE_S = 30  # only a failing test waits this long

Result = TypeVar("Result")
Match = Callable[[bytes], bool]

_counter = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)
_forwarders: list[Callable[[], dict[str, str]]] = []  # of the switches that run: their forwarding threads, see threads()


def run(*args: object, check: bool = True, timeout: float = 30, **options: Any) -> subprocess.CompletedProcess[str]:
    """subprocess.run with captured text; a failure shows what the command said."""
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def open_tap(namespace: str, name: str) -> int:
    """The file of a tap's other end, which its link lasts as long as; makes the device if it is not there."""
    def attach() -> int:
        queue = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(queue, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
        return queue

    return in_namespace(namespace, attach)


def in_namespace(namespace: str, function: Callable[[], Result]) -> Result:
    """The result of function(), called by a thread inside the namespace; a socket made there stays there."""
    result: list[Result] = []
    failure: list[Exception] = []

    def enter() -> None:
        with open(f"/run/netns/{namespace}") as handle:
            if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                failure.append(OSError(ctypes.get_errno(), f"setns {namespace}"))
                return
        try:
            result.append(function())
        except Exception as error:  # handed to the caller below
            failure.append(error)

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), f"{function} does not return in {namespace}"
    if failure:
        raise failure[0]
    return result[0]


def threads(pid: int, *names: str) -> dict[str, str]:
    """The threads of these names: whether each is asleep, and how often it has gone to sleep until now.

    A thread that polls its ports is woken in the moment in which a frame comes, so while it sleeps it has nothing in hand. If it has
    not been awake between two looks either, whatever it was given before is done with.
    """
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):  # it has ended
            if (task / "comm").read_text().strip() in names:
                state = (task / "stat").read_text().rpartition(")")[2].split()[0]
                found[task.name] = f"{state} {(task / 'status').read_text().partition('voluntary_ctxt_switches:')[2]}"
    return found


@contextlib.contextmanager
def watched(forwarder: Callable[[], dict[str, str]]) -> Iterator[None]:
    """Wire.settle() waits for these threads as well: forwarder() gives what threads() says of them."""
    _forwarders.append(forwarder)
    try:
        yield
    finally:
        _forwarders.remove(forwarder)


def backlog() -> set[int]:
    """The processors whose softirq has packets to deliver (Linux 5.14)."""
    lines = pathlib.Path("/proc/net/softnet_stat").read_text().splitlines()
    return {number for number, line in enumerate(lines) if int(line.split()[11], 16)}


def wait_delivered(deadline: float) -> None:
    """Returns when what devices were given before has been delivered: each processor was seen without a backlog."""
    busy = backlog()
    while busy:
        assert time.monotonic() < deadline, f"processors {busy} deliver without end"
        time.sleep(0.0002)
        busy &= backlog()


def wait_forwarded() -> None:
    """Returns when all that was sent before has been through every switch that is watched, and been delivered behind it."""
    deadline = time.monotonic() + PATIENCE_S
    wait_delivered(deadline)
    before: list[dict[str, str]] = []
    while True:
        now = [forwarder() for forwarder in _forwarders]
        if now == before and all(state.startswith("S") for one in now for state in one.values()):
            break
        assert time.monotonic() < deadline, f"frames do not stop coming: {now}"
        before = now
        time.sleep(0.0005)
    wait_delivered(deadline)


class Wire:
    """Raw frames on a device: what arrives there is kept, tags in place, until take() or clear()."""

    def __init__(self, namespace: str, device: str) -> None:
        def open_socket() -> socket.socket:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            sock.bind((device, ETH_P_ALL))
            sock.setblocking(False)
            return sock

        self.device = device
        self.statistics = in_namespace(namespace, lambda: open("/proc/thread-self/net/dev"))
        self.had = self.received()  # of what the device has counted; frames before this socket are nobody's
        self.lost = 0  # of these, frames that the socket had no room for, as settle() learns
        self.sock = in_namespace(namespace, open_socket)
        self.frames: list[bytes] = []

    def close(self) -> None:
        self.sock.close()
        self.statistics.close()

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self.sock.send(bytes(frame))

    def received(self) -> int:
        """Frames that the device has counted; 0 once it is gone."""
        self.statistics.seek(0)
        lines = (line.split(":") for line in self.statistics.readlines()[2:])
        return next((int(counts.split()[1]) for name, counts in lines if name.strip() == self.device), 0)

    def _read(self) -> None:
        for _ in range(100_000):  # more than the socket holds: in a storm there would be no end
            try:
                data, ancillary, _, _ = self.sock.recvmsg(70000, 256)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENETDOWN:  # told once each time the device goes down
                    raise
                continue
            for level, kind, value in ancillary:
                if level == SOL_PACKET and kind == PACKET_AUXDATA:
                    status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", value[:20])
                    if status & TP_STATUS_VLAN_VALID:
                        tpid = tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100
                        data = data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
            self.had += 1
            self.frames.append(data)

    def wait(self, count: int, timeout: float = 5.0, match: Match = lambda frame: True) -> list[bytes]:
        """Waits until `count` matching frames have come (or the time is over) and returns the matching ones."""
        deadline = time.monotonic() + timeout
        while True:
            self._read()
            matching = [frame for frame in self.frames if match(frame)]
            left = deadline - time.monotonic()
            if len(matching) >= count or left <= 0:
                return matching
            select.select([self.sock], [], [], min(left, 0.2))

    def expect(self, count: int, timeout: float = 5.0, match: Match = lambda frame: True) -> list[bytes]:
        """wait(), and so many have to come."""
        matching = self.wait(count, timeout, match)
        assert len(matching) >= count, f"{len(matching)} of {count} frames on {self.device} within {timeout} s"
        return matching

    def settle(self, count: int = 0, match: Match = lambda frame: True) -> list[bytes]:
        """Waits for `count` matching frames (or 5 s), then until nothing is under way any more: shows that nothing else comes.

        No sleep stands for that: the switches have nothing in hand, and the socket has had what the device has counted.
        """
        self.wait(count, match=match)
        deadline = time.monotonic() + PATIENCE_S
        came = -1
        while came != len(self.frames):
            came = len(self.frames)
            wait_forwarded()
            self._catch_up()
            assert time.monotonic() < deadline, f"frames do not stop coming: {len(self.frames)} on {self.device}"
        return [frame for frame in self.frames if match(frame)]

    def _catch_up(self) -> None:
        """Reads what the device has counted. What does not come within 0.3 s, the kernel has thrown away in between."""
        deadline = time.monotonic() + 0.3
        while True:
            self._read()
            _, drops = struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self.had += drops
            self.lost += drops
            left = self.received() - self.had
            if left <= 0:
                return
            if time.monotonic() > deadline:
                self.had += left
                return
            select.select([self.sock], [], [], 0.01)

    def take(self) -> list[bytes]:
        """All that has arrived and was not taken before."""
        self._read()
        frames, self.frames = self.frames, []
        return frames

    def clear(self) -> None:
        self.take()


class Host:
    """A namespace that stands for a lab VM."""

    def __init__(self, net: Net, name: str, address: str | None = None, mtu: int | None = None, attach: bool = True) -> None:
        self.net = net
        self.name = name
        self.namespace = f"{net.uid}-{name}"
        self.address = address
        self.mtu = mtu
        self.wire: Wire  # open from plug() to unplug(), so that no frame passes unseen
        run("ip", "netns", "add", self.namespace)
        net.namespaces.append(self.namespace)
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        # No chatter of its own: router solicitations and MLD reports would be frames nobody sent.
        self.sysctl("net.ipv6.conf.all.disable_ipv6=1")
        self.sysctl("net.ipv6.conf.default.disable_ipv6=1")
        if attach:
            self.plug()

    def sysctl(self, setting: str) -> None:
        self.run("sysctl", "-qw", setting)

    def plug(self) -> None:
        """The cable: a device called like the host at the switch, eth0 here."""
        options = ["mtu", str(self.mtu)] if self.mtu else []
        run("ip", "-n", self.net.switch, "link", "add", self.name, *options, "type", "veth",
            "peer", "name", "eth0", *options, "netns", self.namespace)
        if self.address:
            self.ip("addr", "add", f"{self.address}/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")
        run("ip", "-n", self.net.switch, "link", "set", self.name, "up")
        # The kernel drops what is sent before it has noticed the carrier, which may be after the switch has.
        deadline = time.monotonic() + 5
        while "qdisc noop " in self.ip("-o", "link", "show", "eth0").stdout:
            assert time.monotonic() < deadline, f"{self.name} has no carrier"
            time.sleep(0.001)
        self.wire = Wire(self.namespace, "eth0")
        self.net.closing.callback(self.wire.close)

    def unplug(self) -> None:
        self.wire.close()
        run("ip", "-n", self.net.switch, "link", "del", self.name)

    @property
    def mac(self) -> str:
        return self.run("cat", "/sys/class/net/eth0/address").stdout.strip()

    def ip(self, *args: object) -> subprocess.CompletedProcess[str]:
        return run("ip", "-n", self.namespace, *args)

    def run(self, *args: object, **options: Any) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", self.namespace, *args, **options)

    def popen(self, *args: object, **options: Any) -> subprocess.Popen[Any]:
        process = subprocess.Popen(["ip", "netns", "exec", self.namespace, *map(str, args)], **options)
        self.net.closing.callback(stop, process)
        return process

    def ping(self, address: str, count: int = 1, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("ping", "-n", "-c", count, "-i", "0.2", "-W", "2", address, check=check)


def stop(process: subprocess.Popen[Any]) -> None:
    """Ends a process, by force if it has to be."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE_S)


class Net(contextlib.AbstractContextManager):
    """The namespaces of one test. Leaving the context removes all of them, also after a failure."""

    def __init__(self) -> None:
        self.uid = f"vs{os.getpid():x}{next(_counter)}"
        self.switch = f"{self.uid}-sw"
        self.namespaces: list[str] = []
        self.closing = contextlib.ExitStack()
        self.add_namespace(self.switch)

    def add_namespace(self, name: str) -> None:
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        for scope in ("all", "default"):
            run("ip", "netns", "exec", name, "sysctl", "-qw", f"net.ipv6.conf.{scope}.disable_ipv6=1")

    def host(self, name: str, address: str | None = None, **options: Any) -> Host:
        return Host(self, name, address, **options)

    def switch_run(self, *args: object, **options: Any) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", self.switch, *args, **options)

    def __exit__(self, *_: object) -> None:
        try:
            self.closing.close()
        finally:
            for namespace in reversed(self.namespaces):
                run("ip", "netns", "del", namespace, check=False)


def mac(number: int) -> bytes:
    return bytes([2, 0, 0, 0, number >> 8, number & 255])


BROADCAST = b"\xff" * 6


def frame(src: bytes, dst: bytes, payload: bytes = b"", vlan: int | None = None, pcp: int = 0, tpid: int = 0x8100,
          ether_type: int = 0x88B5) -> bytes:
    """An Ethernet frame of bytes; src and dst are 6 bytes."""
    tag = struct.pack("!HH", tpid, pcp << 13 | vlan) if vlan is not None else b""
    return dst + src + tag + struct.pack("!H", ether_type) + payload
