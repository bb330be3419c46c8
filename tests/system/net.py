# SPDX-License-Identifier: Apache-2.0
"""Network namespaces with hosts in them, and wires to put frames on and take frames off.

Every Net has a namespace for the switch and one per host, joined by veth: inside the switch's namespace the device is called like
the host, inside the host's it is eth0. Names on this machine are unique to the process, so tests can run beside each other.
"""
import contextlib
import ctypes
import errno
import itertools
import os
import select
import socket
import struct
import subprocess
import threading
import time

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_IGNORE_OUTGOING = 23
TP_STATUS_VLAN_VALID = 1 << 4
TP_STATUS_VLAN_TPID_VALID = 1 << 6
CLONE_NEWNET = 0x40000000

_counter = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def run(*args, check=True, timeout=30, **options):
    """subprocess.run with captured text; a failure shows what the command said."""
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def in_namespace(namespace, function):
    """The result of function(), called by a thread inside the namespace; a socket made there stays there."""
    result = []

    def enter():
        with open(f"/run/netns/{namespace}") as handle:
            if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                result.append(OSError(ctypes.get_errno(), f"setns {namespace}"))
                return
        try:
            result.append(function())
        except Exception as error:  # handed to the caller below
            result.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


class Wire:
    """Raw frames on a device: what arrives there is kept, tags in place, until take() or expect()."""

    def __init__(self, namespace, device):
        def open_socket():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            sock.bind((device, ETH_P_ALL))
            sock.setblocking(False)
            return sock

        self.sock = in_namespace(namespace, open_socket)
        self.frames = []

    def close(self):
        self.sock.close()

    def send(self, *frames):
        for frame in frames:
            self.sock.send(bytes(frame))

    def _read(self):
        while True:
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
            self.frames.append(data)

    def wait(self, count, timeout=5.0, match=lambda frame: True):
        """Waits until `count` matching frames have come (or the time is over) and returns the matching ones."""
        deadline = time.monotonic() + timeout
        while True:
            self._read()
            matching = [frame for frame in self.frames if match(frame)]
            left = deadline - time.monotonic()
            if len(matching) >= count or left <= 0:
                return matching
            select.select([self.sock], [], [], min(left, 0.2))

    def settle(self, count=0, quiet=0.3, match=lambda frame: True):
        """Waits for `count` matching frames, then until nothing has come for `quiet` seconds: to show that nothing more comes."""
        self.wait(count, match=match)
        while True:
            before = len(self.frames)
            select.select([self.sock], [], [], quiet)
            self._read()
            if len(self.frames) == before:
                return [frame for frame in self.frames if match(frame)]

    def take(self):
        """All that has arrived and was not taken before."""
        self._read()
        frames, self.frames = self.frames, []
        return frames

    def clear(self):
        self.take()


class Host:
    """A namespace that stands for a lab VM."""

    def __init__(self, net, name, address=None, mtu=None, attach=True):
        self.net = net
        self.name = name
        self.namespace = f"{net.uid}-{name}"
        self.address = address
        self.mtu = mtu
        self.wire = None  # open from plug() to unplug(), so that no frame passes unseen
        run("ip", "netns", "add", self.namespace)
        net.namespaces.append(self.namespace)
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        # No chatter of its own: router solicitations and MLD reports would be frames nobody sent.
        self.sysctl("net.ipv6.conf.all.disable_ipv6=1")
        self.sysctl("net.ipv6.conf.default.disable_ipv6=1")
        if attach:
            self.plug()

    def sysctl(self, setting):
        self.run("sysctl", "-qw", setting)

    def plug(self):
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

    def unplug(self):
        self.wire.close()
        run("ip", "-n", self.net.switch, "link", "del", self.name)

    @property
    def mac(self):
        return self.run("cat", "/sys/class/net/eth0/address").stdout.strip()

    def ip(self, *args):
        return run("ip", "-n", self.namespace, *args)

    def run(self, *args, **options):
        return run("ip", "netns", "exec", self.namespace, *args, **options)

    def popen(self, *args, **options):
        process = subprocess.Popen(["ip", "netns", "exec", self.namespace, *map(str, args)], **options)
        self.net.closing.callback(stop, process)
        return process

    def ping(self, address, count=1, check=True):
        return self.run("ping", "-n", "-c", count, "-i", "0.2", "-W", "2", address, check=check)


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Net(contextlib.AbstractContextManager):
    """The namespaces of one test. Leaving the context removes all of them, also after a failure."""

    def __init__(self):
        self.uid = f"vs{os.getpid():x}{next(_counter)}"
        self.switch = f"{self.uid}-sw"
        self.namespaces = []
        self.closing = contextlib.ExitStack()
        self.add_namespace(self.switch)

    def add_namespace(self, name):
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        for scope in ("all", "default"):
            run("ip", "netns", "exec", name, "sysctl", "-qw", f"net.ipv6.conf.{scope}.disable_ipv6=1")

    def host(self, name, address=None, **options):
        return Host(self, name, address, **options)

    def switch_run(self, *args, **options):
        return run("ip", "netns", "exec", self.switch, *args, **options)

    def __exit__(self, *_):
        self.closing.close()
        for namespace in reversed(self.namespaces):
            run("ip", "netns", "del", namespace, check=False)


def mac(number):
    return bytes([2, 0, 0, 0, number >> 8, number & 255])


BROADCAST = b"\xff" * 6


def frame(src, dst, payload=b"", vlan=None, pcp=0, tpid=0x8100, ether_type=0x88B5):
    """An Ethernet frame of bytes; src and dst are 6 bytes."""
    tag = struct.pack("!HH", tpid, pcp << 13 | vlan) if vlan is not None else b""
    return dst + src + tag + struct.pack("!H", ether_type) + payload
