# SPDX-License-Identifier: Apache-2.0
"""What the host puts on the switch's end of a port is honoured: queueing disciplines, filters, nftables chains, captures."""
from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import bpf
from bpf import needs_bpf
from lab import Daemon, found, wait_until
from net import frame, mac
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1 = lab.host("t1", "10.97.0.1")
        lab.t2 = lab.host("t2", "10.97.0.2")
        yield lab


def tc(lab: Lab, *args: object) -> str:
    return lab.net.switch_run("tc", *args).stdout


def wait_egress(lab: Lab, port: str, egress: str | None) -> None:
    wait_until(lambda: lab.port(port)["egress"] == egress, f"{port} says that {egress} is on the way out, not {lab.port(port)['egress']}")


def qdisc_of(lab: Lab, device: str) -> dict[str, Any]:
    """The root, with its counters."""
    return next(one for one in json.loads(tc(lab, "-s", "-j", "qdisc", "show", "dev", device)) if one.get("root"))


def send_many(lab: Lab, count: int = 290, rounds: int = 1, length: int = 60) -> None:
    """From t1 to t2, each round as one burst that the switch finds waiting."""
    lab.t2.wire.send(frame(mac(1), mac(2), b"learn"))
    lab.t1.wire.settle(1)
    for _ in range(rounds):
        os.kill(lab.daemon.pid, signal.SIGSTOP)
        try:
            lab.t1.wire.send(*[frame(mac(2), mac(1), number.to_bytes(2) + b"x" * (length - 16)) for number in range(count)])
        finally:
            os.kill(lab.daemon.pid, signal.SIGCONT)
        lab.t2.wire.settle()


def counter(lab: Lab, port: str, name: str) -> int:
    return int(lab.port(port)["counters"][name])


def test_a_queueing_discipline_gets_what_the_switch_sends(lab: Lab) -> None:
    """On a port that has sent by AF_XDP before, and from the moment on in which it is there."""
    send_many(lab, rounds=70)
    assert lab.port("t2")["egress"] is None
    tc(lab, "qdisc", "add", "dev", "t2", "root", "handle", "5:", "htb", "default", "1")
    tc(lab, "class", "add", "dev", "t2", "parent", "5:", "classid", "5:1", "htb", "rate", "1gbit", "burst", "1m")
    wait_egress(lab, "t2", "qdisc htb")
    before = qdisc_of(lab, "t2")["packets"]
    lab.t2.wire.clear()
    send_many(lab)
    assert len(lab.t2.wire.take()) == 290
    assert qdisc_of(lab, "t2")["packets"] - before == 290
    assert "qdisc htb" in lab.ctl("show-port", "t2").stdout
    assert lab.daemon.ovs("ovs-vsctl", "get", "interface", "t2", "status:egress").stdout.strip() == '"qdisc htb"'
    tc(lab, "qdisc", "del", "dev", "t2", "root")
    wait_egress(lab, "t2", None)
    assert "egress" not in lab.ctl("show-port", "t2").stdout


def test_what_it_drops_is_counted_where_the_port_is_shown(lab: Lab) -> None:
    tc(lab, "qdisc", "add", "dev", "t2", "root", "handle", "5:", "tbf", "rate", "1mbit", "burst", "3000", "limit", "10000")
    wait_egress(lab, "t2", "qdisc tbf")
    lab.t2.wire.send(frame(mac(1), mac(2), b"learn"))
    lab.t1.wire.settle(1)
    sent, dropped = counter(lab, "t2", "tx_packets"), counter(lab, "t2", "tx_dropped")
    lab.t1.wire.send(*[frame(mac(2), mac(1), b"x" * 1000) for _ in range(200)])
    wait_until(lambda: counter(lab, "t2", "tx_packets") + counter(lab, "t2", "tx_dropped") == sent + dropped + 200, "each is accounted for")
    lost = counter(lab, "t2", "tx_dropped") - dropped
    assert lost > 100
    assert qdisc_of(lab, "t2")["drops"] >= lost, "what sendmmsg(2) stopped at is tried twice"
    assert lab.drops("no_buffers") >= lost


def test_tcp_through_it_is_whole_and_not_faster(lab: Lab) -> None:
    """Segments that the device would have cut, tags, and a rate that a busy machine can only make smaller."""
    tc(lab, "qdisc", "add", "dev", "t2", "root", "handle", "5:", "htb", "default", "1")
    tc(lab, "class", "add", "dev", "t2", "parent", "5:", "classid", "5:1", "htb", "rate", "100mbit", "burst", "15k")
    wait_egress(lab, "t2", "qdisc htb")
    server = lab.t2.popen("iperf3", "-s", "-1", stdout=subprocess.PIPE)
    wait_until(lambda: "5201" in lab.t2.run("ss", "-ltn").stdout, "it listens")
    done = json.loads(lab.t1.run("iperf3", "-c", "10.97.0.2", "-n", "10M", "-J", timeout=60).stdout)
    server.communicate(timeout=30)
    assert done["end"]["sum_sent"]["bytes"] >= 10 << 20
    assert done["end"]["sum_received"]["bits_per_second"] < 110e6


def test_copies_pass_the_queueing_discipline_of_their_destination(lab: Lab) -> None:
    lab.daemon.ovs("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:xdp-copies=true")
    sensor = lab.host("sensor")
    lab.mirror("m", "--source", "t1:from", "--output", "sensor")
    send_many(lab, rounds=70)
    tc(lab, "qdisc", "add", "dev", "sensor", "root", "handle", "5:", "htb", "default", "1")
    tc(lab, "class", "add", "dev", "sensor", "parent", "5:", "classid", "5:1", "htb", "rate", "1gbit", "burst", "1m")
    wait_egress(lab, "sensor", "qdisc htb")
    lab.account("m")
    sensor.wire.settle()
    sensor.wire.clear()
    before = qdisc_of(lab, "sensor")["packets"]
    send_many(lab)
    lab.account("m")
    assert len(sensor.wire.settle(290)) == 290
    assert qdisc_of(lab, "sensor")["packets"] - before == 290


def test_a_filter_of_somebody_else_gets_what_the_switch_sends(lab: Lab) -> None:
    """Its clsact and the one of the host isolation are the same."""
    lab.net.switch_run("ip", "link", "add", "aside", "up", "type", "veth", "peer", "name", "aside1")
    lab.net.switch_run("ip", "link", "set", "aside1", "up")
    assert lab.port("t2")["egress"] is None, "the filter of the host isolation is none"
    tc(lab, "filter", "add", "dev", "t2", "egress", "protocol", "all", "u32", "match", "u32", "0", "0",
       "action", "mirred", "egress", "redirect", "dev", "aside")
    wait_egress(lab, "t2", "filter u32")
    lab.t2.wire.clear()
    send_many(lab, count=20)
    assert lab.t2.wire.take() == []
    assert int(lab.net.switch_run("cat", "/sys/class/net/aside/statistics/tx_packets").stdout) >= 20
    tc(lab, "filter", "del", "dev", "t2", "egress", "pref", "49152")
    wait_egress(lab, "t2", None)
    send_many(lab, count=20)
    assert len(lab.t2.wire.take()) == 20


@needs_bpf
def test_a_tcx_program_gets_what_the_switch_sends(lab: Lab) -> None:
    before = lab.drops("no_buffers")
    with bpf.tcx_program(lab.net, "t2", "egress", bpf.TCX_DROP):
        wait_egress(lab, "t2", "tcx program")
        assert lab.port("t1")["egress"] is None, "of this device alone"
        lab.t2.wire.clear()
        send_many(lab, count=20)
        assert lab.t2.wire.take() == []
        assert lab.drops("no_buffers") == before + 20
    wait_egress(lab, "t2", None)
    send_many(lab, count=20)
    assert len(lab.t2.wire.take()) == 20
    assert lab.drops("no_buffers") == before + 20


@pytest.mark.skipif(not shutil.which("nft"), reason="needs nftables")
def test_an_nftables_chain_gets_what_the_switch_sends(lab: Lab) -> None:
    send_many(lab, rounds=70)
    lab.net.switch_run("nft", "add table netdev lab; add chain netdev lab out { type filter hook egress device t2 priority 0; };"
                              "add rule netdev lab out ether type 0x88b5 counter")
    wait_egress(lab, "t2", "nftables chain")
    assert lab.port("t1")["egress"] is None
    send_many(lab)
    counted = found(r"counter packets (\d+)", lab.net.switch_run("nft", "list", "chain", "netdev", "lab", "out").stdout)
    assert counted[1] == "290"
    lab.net.switch_run("nft", "delete table netdev lab")
    wait_egress(lab, "t2", None)


class Tcpdump:
    def __init__(self, lab: Lab, directory: pathlib.Path, *args: str) -> None:
        self.file = directory / "capture"
        with self.file.open("wb") as out:
            self.process = subprocess.Popen(["ip", "netns", "exec", lab.net.switch, "tcpdump", "-nn", "-l", *args], stdout=out,
                                            stderr=subprocess.DEVNULL)
        lab.net.closing.callback(self.end)

    def lines(self) -> list[str]:
        return self.file.read_text().splitlines()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="needs tcpdump")
@pytest.mark.parametrize("args", [["-i", "t1"], ["-i", "t1", "-p"], ["-i", "any"]])
def test_a_capture_on_the_switchs_end_shows_both_directions(lab: Lab, tmp_path: pathlib.Path, args: list[str]) -> None:
    capture = Tcpdump(lab, tmp_path, *args, "icmp")
    wait_egress(lab, "t1", "capture")
    assert (lab.port("t2")["egress"] == "capture") == ("any" in args)
    lab.t1.ping("10.97.0.2", count=3)
    wait_until(lambda: sum(" t1 " in f" {line} " or "any" not in args for line in capture.lines()) >= 6, f"six lines in {capture.lines()}")
    on_t1 = [line for line in capture.lines() if "any" not in args or " t1 " in line]
    assert [len(re.findall(kind, "\n".join(on_t1))) for kind in ("echo request", "echo reply")] == [3, 3]
    capture.end()
    wait_egress(lab, "t1", None)


def test_sockets_of_switches_are_no_captures(lab: Lab, make_daemon: Callable[..., Daemon]) -> None:
    """Neither ours, in any state of their rings, nor those of another daemon on the same device."""
    lab.daemon.ovs("ovs-vsctl", "set", "open_vswitch", ".", "other_config:kernel-fast-path=false")  # their rings would stay empty

    def has_grown() -> bool:
        send_many(lab)
        return int(lab.rpc("system.stats")["memory"]["receive_bytes"]) > 2 << 20

    wait_until(has_grown, "the ring of a port has grown")
    assert lab.port("t1")["egress"] is None
    other = make_daemon(namespace=lab.net.switch).start()
    other.ctl("add-br", "other")
    other.ctl("add-port", "other", "t1")
    wait_until(lambda: other.rpc("port.get", {"name": "t1"})["state"] == "active", "it is a port of both")
    # A change, upon which packet sockets are looked at as well.
    tc(lab, "qdisc", "add", "dev", "t2", "root", "handle", "5:", "tbf", "rate", "1gbit", "burst", "1m", "limit", "1m")
    wait_egress(lab, "t2", "qdisc tbf")
    assert lab.port("t1")["egress"] is None
    assert other.rpc("port.get", {"name": "t1"})["egress"] is None
