# SPDX-License-Identifier: Apache-2.0
"""SPAN sessions over real devices: what is copied where, and what the session says of it."""
from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from net import BROADCAST, Host, frame, mac
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


@pytest.fixture
def three(lab: Lab) -> list[Host]:
    """t1, t2 and t3, whose addresses (mac(1), mac(2), mac(3)) are known to the switch."""
    hosts = [lab.host(f"t{n}") for n in (1, 2, 3)]
    for n, host in enumerate(hosts, 1):
        host.wire.send(frame(mac(n), BROADCAST))
    for host in hosts:
        host.wire.expect(2)
        host.wire.settle()
        host.wire.clear()
    return hosts


def test_ping_is_seen_by_the_destination_in_both_directions(lab: Lab) -> None:
    t1 = lab.host("t1", "10.95.0.11")
    t2 = lab.host("t2", "10.95.0.12")
    lab.host("gw", "10.95.0.1")
    lab.mirror("span0", "--source", "t1", "--output", "t2", "--normal-io")
    t1.ping("10.95.0.1")  # ARP is done
    t2.wire.settle()
    t2.wire.clear()
    t1.ping("10.95.0.1", count=2)

    def icmp(data: bytes) -> bool:
        return data[12:14] == b"\x08\x00" and data[23] == 1

    seen = t2.wire.settle(4, match=icmp)
    assert [data[34] for data in seen] == [8, 0, 8, 0], "request, reply, request, reply"
    t2.ping("10.95.0.1")
    counters = lab.account("span0")
    assert counters["lost"] == 0
    assert counters["tx_packets"] >= 6


@pytest.mark.parametrize("direction, expected", [("from", [b"1"]), ("to", [b"2"]), ("both", [b"1", b"2"]),
                                                 ("ingress", [b"1"]), ("egress", [b"2"]), ("rx", [b"1"]), ("out", [b"2"])])
def test_direction(lab: Lab, three: list[Host], direction: str, expected: Any) -> None:
    t1, t2, t3 = three
    lab.mirror("s", "--source", f"t1:{direction}", "--output", "t3")
    t1.wire.send(frame(mac(1), mac(2), b"1"))
    t2.wire.expect(1)
    t2.wire.send(frame(mac(2), mac(1), b"2"))
    t1.wire.expect(1)
    assert [data[14:] for data in t3.wire.settle(len(expected))] == expected
    assert lab.account("s")["matched"] == len(expected)


def test_all_with_a_direction_is_what_every_host_sends(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    lab.mirror("ids", "--source", "all:rx", "--to", "t3")
    t1.wire.send(frame(mac(1), mac(2), b"1"))
    t2.wire.expect(1)
    t2.wire.send(frame(mac(2), mac(1), b"2"))
    t1.wire.expect(1)
    assert [data[14:] for data in t3.wire.settle(2)] == [b"1", b"2"]
    assert "all:from -> t3" in lab.ctl("list-mirrors").stdout


def test_several_sources_give_one_copy_of_each_frame(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    t4 = lab.host("t4")
    lab.mirror("s", "--source", "t1", "--source", "t2", "--output", "t4")
    sent = [frame(mac(1), mac(2), b"12"), frame(mac(1), mac(3), b"13"), frame(mac(1), BROADCAST, b"1*")]
    t1.wire.send(*sent)
    assert sorted(t4.wire.settle(3)) == sorted(sent)
    t3.wire.send(frame(mac(3), mac(3)))  # a hairpin: neither from nor to a source
    t4.wire.clear()
    assert t4.wire.settle() == []


def test_destination_list_gets_a_copy_each(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    t4 = lab.host("t4")
    lab.mirror("s", "--source", "t1:from", "--output", "t3", "--output", "t4")
    sent = frame(mac(1), mac(2), b"x" * 50)
    t1.wire.send(sent)
    for host in (t2, t3, t4):
        assert host.wire.settle(1) == [sent], host.name
    counters = lab.account("s")
    assert (counters["tx_packets"], counters["matched"], counters["delivered"]) == (1, 2, 2)


def test_all_ports_includes_those_added_later(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    lab.mirror("s", "--source", "all", "--output", "t3")
    late = lab.host("late")
    late.wire.send(frame(mac(9), mac(2), b"late"))
    assert [data[14:] for data in t3.wire.settle(1)] == [b"late"]


def test_vlans_select_what_is_copied(lab: Lab) -> None:
    t1 = lab.host("t1", port_options=("--tag", "20"))
    trunk = lab.host("trunk")
    probe = lab.host("probe")
    lab.mirror("s", "--source", "all", "--source-vlan", "20", "--output", "probe")
    t1.wire.send(frame(mac(1), BROADCAST, b"in 20"))
    assert trunk.wire.settle(1) == [frame(mac(1), BROADCAST, b"in 20", vlan=20)]
    assert probe.wire.settle(1) == [frame(mac(1), BROADCAST, b"in 20", vlan=20)]
    probe.wire.clear()
    trunk.wire.send(frame(mac(2), BROADCAST, b"in 21", vlan=21))
    assert probe.wire.settle() == []


def test_without_normal_io_the_destination_carries_only_copies(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    t3.wire.send(frame(mac(3), BROADCAST, b"from t3"))
    assert t1.wire.settle() == [] and t2.wire.settle() == []
    t2.wire.send(frame(mac(2), BROADCAST, b"flood"))
    assert t1.wire.wait(1) and t3.wire.settle() == []
    t2.wire.send(frame(mac(2), mac(3), b"to t3"))
    assert t3.wire.settle() == []
    assert lab.drops("mirror_destination") == 1


def test_with_normal_io_the_destination_carries_its_own_traffic_too(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    lab.mirror("s", "--source", "t1:from", "--output", "t3", "--normal-io")
    t3.wire.send(frame(mac(3), mac(2), b"32"))
    assert [data[14:] for data in t2.wire.settle(1)] == [b"32"]
    t2.wire.send(frame(mac(2), mac(3), b"23"))
    t1.wire.send(frame(mac(1), mac(2), b"12"))
    assert sorted(data[14:] for data in t3.wire.settle(2)) == [b"12", b"23"]


def test_normal_io_is_switched_at_run_time(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    lab.ctl("set-mirror", "br0", "s", "--normal-io")
    t2.wire.send(frame(mac(2), mac(3), b"now"))
    assert [data[14:] for data in t3.wire.settle(1)] == [b"now"]


def test_changes_hold_for_flows_that_are_under_way(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    t4 = lab.host("t4")

    def copies_of(count: int = 20) -> Any:
        t1.wire.send(*[frame(mac(1), mac(2), bytes([n])) for n in range(count)])
        assert len(t2.wire.settle(count)) == count, "production sees every frame"
        copies = len(t3.wire.settle()), len(t4.wire.settle())
        for host in (t2, t3, t4):
            host.wire.clear()
        return copies

    assert copies_of() == (0, 0)
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    assert copies_of() == (20, 0)
    lab.ctl("disable-mirror", "br0", "s")
    assert lab.state("s") == "disabled"
    assert copies_of() == (0, 0)
    lab.ctl("enable-mirror", "br0", "s")
    assert copies_of() == (20, 0)
    lab.ctl("set-mirror", "br0", "s", "--output", "t4")
    assert copies_of() == (0, 20)
    lab.ctl("del-mirror", "br0", "s")
    assert copies_of() == (0, 0)


def test_changing_one_session_leaves_others_without_a_gap(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    lab.host("t4")
    lab.mirror("steady", "--source", "t1:from", "--output", "t3")
    for n in range(60):
        if n % 3 == 0:
            lab.mirror("busy", "--source", "t1", "--output", "t4")
        elif n % 3 == 1:
            lab.ctl("set-mirror", "br0", "busy", "--source", "t2")
        else:
            lab.ctl("del-mirror", "br0", "busy")
        t1.wire.send(*[frame(mac(1), mac(2), bytes([n, m])) for m in range(10)])
    assert len(t2.wire.wait(600)) == 600
    assert [data[14:] for data in t3.wire.wait(600)] == [bytes([n, m]) for n in range(60) for m in range(10)]
    assert lab.account("steady")["delivered"] == 600


def test_a_mirror_of_the_mirror_is_how_one_watches_it(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    t4 = lab.host("t4")
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    lab.mirror("watch", "--source", "t3:to", "--output", "t4")
    t1.wire.send(frame(mac(1), mac(2), b"watched"))
    assert t3.wire.settle(1) == t4.wire.settle(1) == [frame(mac(1), mac(2), b"watched")]


REFUSED = [
    (["add-mirror", "nobr", "x", "--source", "t1", "--output", "t3"], "nobr"),
    (["add-mirror", "br0", "s", "--source", "t2", "--output", "t3"], "s"),
    (["add-mirror", "br0", "x", "--source", "t3", "--output", "t3"], "t3"),
    (["set-mirror", "br0", "s", "--output", "t1"], "t1"),
    (["del-mirror", "br0", "nosuch"], "nosuch"),
    (["add-port", "br0", "t1"], "t1"),
    (["del-br", "nobr"], "nobr"),
]


@pytest.mark.parametrize("command, named", REFUSED, ids=lambda value: "-".join(value) if isinstance(value, list) else None)
def test_a_refused_change_says_why_and_leaves_the_working_session_alive(lab: Lab, three: list[Host], command: list[str],
                                                                        named: Any) -> None:
    t1, t2, t3 = three
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    before = lab.ctl("--json", "list-mirrors").stdout
    refused = lab.ctl(*command, check=False)
    assert refused.returncode == 1
    assert named in refused.stderr and refused.stdout == ""
    after = lab.ctl("--json", "list-mirrors").stdout
    assert after == before
    t1.wire.send(frame(mac(1), mac(2), b"still"))
    assert [data[14:] for data in t3.wire.settle(1)] == [b"still"]


def test_explain_agrees_with_what_happens(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    sent = frame(mac(1), mac(2), b"why")
    explained = lab.rpc("mirror.explain", bridge="br0", in_port="t1", frame=sent.hex())
    assert [verdict["session"] for verdict in explained["mirrors"] if verdict["copied"]] == ["s"]
    assert [(copy["port"], copy["frame"]) for copy in explained["copies"]] == [("t3", sent.hex())]
    assert [output["port"] for output in explained["outputs"]] == ["t2"]
    before = lab.account("s")["matched"]
    t1.wire.send(sent)
    assert t3.wire.settle(1) == [sent] and t2.wire.settle(1) == [sent]
    assert lab.account("s")["matched"] == before + 1, "explaining counts nothing"
    assert "s" in lab.ctl("who", "t1").stdout
