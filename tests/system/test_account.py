# SPDX-License-Identifier: Apache-2.0
"""The account of every session and destination under load, while the way of the copies is broken in every manner there is.

VSWITCH_SEED is the order of the faults; a failure prints it, and what was done when.
"""
from __future__ import annotations

import itertools
import json
import os
import pathlib
import random
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import l3
import pytest
from net import BROADCAST, PATIENCE_S, frame, mac, open_tap, run
from switch import Lab

SEED = int(os.environ.get("VSWITCH_SEED", time.time_ns() % 10**6))
ROUNDS = int(os.environ.get("VSWITCH_ROUNDS", 40))  # faults
FAR = {"one": l3.far(4, 7), "two": l3.far(4, 8)}  # endpoints
PARTS = ("delivered", "lost", "duplicate", "sampled_out", "rate_limited", "queued")
HELD_BY_HOST = 212992 // 768  # packets: net.ipv4.neigh.default.unres_qlen_bytes, by the least that one takes
NO_LOSS = {"duplicate", "sampled_out", "rate_limited"}


def deaf_tap(lab: Lab, name: str) -> None:
    """A tap device whose other end is held open and never read."""
    lab.net.closing.callback(os.close, open_tap(lab.net.switch, name))
    run("ip", "-n", lab.net.switch, "link", "set", name, "up")


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.under = l3.underlay(lab.net)
        for name in ("t1", "t2", "d1", "d2", "d3"):
            setattr(lab, name, lab.host(name))
        deaf_tap(lab, "deaf")
        lab.ctl("add-port", "br0", "deaf")
        lab.mirror("to_port", "--source", "t1:from", "--output", "d1")
        lab.mirror("to_two", "--source", "t1:from", "--output", "d1", "--output", "d2")  # the first is a duplicate
        lab.mirror("to_deaf", "--source", "t1:from", "--output", "deaf")
        lab.mirror("to_vlan", "--source", "t1:from", "--output-vlan", "900", "--output", "d3")
        lab.mirror("er_one", "--source", "t1:from", "--endpoint", FAR["one"], "--encap", "erspan2", "--session-id", "1")
        lab.mirror("er_two", "--source", "t1:from", "--endpoint", FAR["two"], "--encap", "erspan2", "--session-id", "2",
                   "--mtu-policy", "drop")
        for name in SESSIONS:
            lab.wait_state(name, "active")
        yield lab


SESSIONS = ("to_port", "to_two", "to_deaf", "to_vlan", "er_one", "er_two")


def check(mirror: dict[str, Any]) -> None:
    """What has to hold at any moment, of the session and of each destination."""
    for name, counters in [(mirror["name"], mirror["counters"]),
                           *[(f"{mirror['name']} {one['name']}", one["counters"]) for one in mirror["destinations"]]]:
        assert counters["matched"] == sum(counters[part] for part in PARTS), (name, counters)
        assert all(counters[part] >= 0 for part in PARTS), (name, counters)
        assert counters["lost"] == sum(counters["lost_by"].values()), (name, counters)
        assert not NO_LOSS & set(counters["lost_by"]) and "none" not in counters["lost_by"], (name, counters)
    for key in ("matched", *PARTS):
        assert mirror["counters"][key] == sum(one["counters"][key] for one in mirror["destinations"]), (mirror["name"], key)


def check_growth(before: Any, now: Any) -> None:
    for key in ("matched", *PARTS[:-1]):
        assert now["counters"][key] >= before["counters"][key], (now["name"], key)


class Load:
    """Frames into t1 as fast as this goes, of all lengths; how many there were is known in the end."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.wire = lab.t1.wire
        self.random = random.Random(seed)
        self.sent = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.stop.is_set():
            for _ in range(8):
                length = self.random.choice((60, 200, 590, 700, 1000, 1400, 1514))
                self.wire.send(frame(mac(1), BROADCAST, struct.pack("!I", self.sent) + bytes(length - 18)))
                self.sent += 1
            time.sleep(0.002)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


class Faults:
    """Each breaks something and says how to mend it."""

    def __init__(self, lab: Lab, chance: random.Random) -> None:
        self.lab, self.random = lab, chance

    def ip(self, *args: object) -> None:
        run("ip", "-n", self.lab.net.switch, *args)

    def device_down(self) -> Any:
        device = self.random.choice(("d1", "d2", "d3", "under"))
        self.ip("link", "set", device, "down")

        def mend() -> None:
            self.ip("link", "set", device, "up")
            if device == "under":  # routes and IPv6 addresses go with a device
                self.ip("route", "replace", f"{l3.FAR[4]}.0.0/16", "via", l3.GATEWAY[4])
        return mend

    def other_end_down(self) -> Any:
        host = self.random.choice((self.lab.d1, self.lab.d2, self.lab.d3, self.lab.under))
        host.ip("link", "set", "eth0", "down")
        return lambda: host.ip("link", "set", "eth0", "up")

    def device_gone(self) -> Any:
        host = self.random.choice((self.lab.d1, self.lab.d2, self.lab.d3))
        host.unplug()
        return host.plug

    def mtu(self) -> Any:
        device = self.random.choice(("d1", "d2", "d3", "under"))
        self.ip("link", "set", device, "mtu", self.random.choice((600, 900, 1200)))
        return lambda: self.ip("link", "set", device, "mtu", 1500)

    def route_gone(self) -> Any:
        self.ip("route", "del", f"{l3.FAR[4]}.0.0/16")
        return lambda: self.ip("route", "replace", f"{l3.FAR[4]}.0.0/16", "via", l3.GATEWAY[4])

    def route_forbidden(self) -> Any:
        self.ip("route", "add", "unreachable", FAR["one"])
        return lambda: self.ip("route", "del", "unreachable", FAR["one"])

    def neighbour_forgotten(self) -> Any:
        self.ip("neigh", "del", l3.GATEWAY[4], "dev", "under")
        return lambda: None

    def neighbour_silent(self) -> Any:
        self.lab.under.ip("link", "set", "eth0", "arp", "off")
        self.ip("neigh", "del", l3.GATEWAY[4], "dev", "under")
        return lambda: self.lab.under.ip("link", "set", "eth0", "arp", "on")

    def firewall(self) -> Any:
        script = ("add table inet vs; add chain inet vs out { type filter hook output priority 0; }; "
                  f"add rule inet vs out ip daddr {FAR['two']} drop")
        self.lab.net.switch_run("nft", script)
        return lambda: self.lab.net.switch_run("nft", "delete table inet vs")

    def limits(self) -> Any:
        name = self.random.choice(SESSIONS)
        change = self.random.choice((["--rate", "50"], ["--rate", "1mbit"], ["--sample", "3"], ["--snaplen", "100"]))
        self.lab.ctl("set-mirror", "br0", name, *change)
        return lambda: self.lab.ctl("set-mirror", "br0", name, "--rate", "none", "--sample", "1", "--snaplen", "none")

    def disabled(self) -> Any:
        name = self.random.choice(SESSIONS)
        self.lab.ctl("disable-mirror", "br0", name)
        return lambda: self.lab.ctl("enable-mirror", "br0", name)

    def all(self) -> list[Any]:
        return [self.device_down, self.other_end_down, self.device_gone, self.mtu, self.route_gone, self.route_forbidden,
                self.neighbour_forgotten, self.neighbour_silent, self.firewall, self.limits, self.disabled]


def tx_dropped(lab: Lab, device: str) -> int:
    link, = json.loads(lab.net.switch_run("ip", "-j", "-s", "link", "show", device).stdout)
    return int(link["stats64"]["tx"]["dropped"])


def sequence_numbers(lab: Lab, session: int) -> list[int]:
    """Of the packets that came, in order of arrival."""
    packets = [data for data in lab.under.wire.frames if l3.is_copy(data) and data[36:38] == b"\x88\xbe"]
    return [int.from_bytes(data[38:42], "big") for data in packets if int.from_bytes(data[44:46], "big") & 0x3FF == session]


def test_the_account_closes_whatever_breaks(lab: Lab) -> None:
    chance = random.Random(SEED)
    faults = Faults(lab, chance)
    done = [f"VSWITCH_SEED={SEED}"]
    looks = 0
    last: dict[str, Any] = {}

    def look(seconds: float) -> None:
        nonlocal looks
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            mirrors = lab.rpc("mirror.stats")["mirrors"]
            assert {mirror["name"] for mirror in mirrors} == set(SESSIONS)
            for mirror in mirrors:
                check(mirror)
                if mirror["name"] in last:
                    check_growth(last[mirror["name"]], mirror)
                last[mirror["name"]] = mirror
            looks += 1
            for host in (lab.under, lab.t2, lab.d1, lab.d2, lab.d3):
                if host.wire.sock.fileno() >= 0:
                    host.wire.wait(0, timeout=0)  # empties the socket

    load = Load(lab, SEED)
    try:
        order = [fault for _ in range(ROUNDS // len(faults.all()) + 1) for fault in chance.sample(faults.all(), len(faults.all()))]
        for fault in order[:ROUNDS]:
            done.append(fault.__name__)
            mend = fault()
            look(chance.uniform(0.05, 0.3) if fault != faults.neighbour_silent else 2)
            mend()
            look(chance.uniform(0.02, 0.1))
        for name in SESSIONS:
            lab.wait_state(name, "active")
    except Exception as failure:
        raise AssertionError(done) from failure
    finally:
        load.end()
    lab.under.wire.settle()
    # Once more without load, so that a loss at the end shows as a gap.
    final = frame(mac(1), BROADCAST, b"the last one")
    lab.t1.wire.send(final)
    lab.t2.wire.expect(1, match=lambda data: data == final)
    accounts = {name: lab.account(name) for name in SESSIONS}
    for mirror in lab.rpc("mirror.stats")["mirrors"]:
        check(mirror)
        assert mirror["counters"]["queued"] == 0, (mirror, done)
    print(f"{load.sent} frames, {ROUNDS} faults, {looks} looks")
    for name, account in accounts.items():
        print(name, {part: account[part] for part in ("matched", *PARTS)}, account["lost_by"])
    assert looks > ROUNDS
    for name, account in accounts.items():
        assert account["tx_packets"] <= load.sent + 1
        assert account["delivered"] > 0, (name, done)
    # A device that takes a frame and throws it away behind its queue tells nobody but the host's own statistics of it.
    link, = json.loads(lab.net.switch_run("ip", "-j", "-s", "link", "show", "deaf").stdout)
    thrown_away, held = tx_dropped(lab, "deaf"), link["txqlen"]
    # Its session reserves it, so it is sent copies only, and production frames while the session is disabled.
    most = load.sent + 1 if "disabled" in done else accounts["to_deaf"]["delivered"]
    assert accounts["to_deaf"]["delivered"] - held <= thrown_away <= most, (link, accounts["to_deaf"])
    # A receiver of ERSPAN knows exactly how many copies it has missed.
    lab.under.wire.settle()
    missing = {}
    for name, session in (("er_one", 1), ("er_two", 2)):
        numbers = sequence_numbers(lab, session)
        assert len(numbers) == len(set(numbers)), (name, done)
        # What the host held for a neighbour may be overtaken, when that is back, by what another processor sends.
        overtaken = sum(later < earlier for earlier, later in itertools.pairwise(numbers))
        assert overtaken <= HELD_BY_HOST * sum(fault.startswith("neighbour") for fault in done[1:]), (name, done)
        lost = accounts[name]["lost"] - accounts[name]["lost_by"].get("own_copy", 0)
        assert max(numbers) + 1 == accounts[name]["delivered"] + lost, (name, accounts[name], done)
        missing[name] = accounts[name]["delivered"] - len(numbers)
        assert missing[name] >= 0, (name, accounts[name], done)
    # What the host takes in the moment in which its neighbour goes, it holds until it gives up, and tells nobody: 0 to 70 packets
    # by a capture on `under`. Both sessions share the neighbour's queue. What left there and is missing here was lost on this side,
    # when the machine is busy (16,000 packets in one run): the peer's processor had no room for it in its backlog
    # (netdev_max_backlog), which the device counts, or the socket of this test had none.
    on_this_side = lab.under.wire.lost + tx_dropped(lab, "under")
    print(f"{missing} did not come, {on_this_side} of them lost on this side")
    assert sum(missing.values()) - on_this_side <= HELD_BY_HOST * done.count("neighbour_silent"), (missing, on_this_side, accounts, done)
