# SPDX-License-Identifier: Apache-2.0
"""Rates, samples that can be repeated, sources by description, and the end of sessions."""
from __future__ import annotations

import datetime
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import RpcError, wait_until
from net import BROADCAST, Host, frame, mac
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


@pytest.fixture
def three(lab: Lab) -> list[Host]:
    """t1 and t2 talk, t3 gets the copies."""
    return [lab.host(f"t{n}") for n in (1, 2, 3)]


def numbered(count: int) -> list[Any]:
    return [frame(mac(1), mac(2), b"%05d" % n) for n in range(count)]


def copies(three: list[Host], count: int) -> list[bytes]:
    """Sends so many frames from t1; those of them that t3 gets as copies."""
    t1, t2, t3 = three
    t2.wire.send(frame(mac(2), BROADCAST, b"here I am"))  # what goes to it goes to no other production port
    t1.wire.expect(1)
    t1.wire.clear()
    for host in (t2, t3):
        host.wire.settle()
        host.wire.clear()
    t1.wire.send(*numbered(count))
    assert t2.wire.settle(count) == numbered(count), "production sees every frame"
    return t3.wire.settle()


def session(lab: Lab, name: str = "s") -> dict[str, Any]:
    return lab.rpc("mirror.get", bridge="br0", name=name)


def transact(lab: Lab, *operations: Any) -> None:
    done = lab.daemon.ovs("ovsdb-client", "transact", f"unix:{lab.daemon.socket}", json.dumps(["Open_vSwitch", *operations]))
    results = json.loads(done.stdout)
    assert len(results) == len(operations) and all(result and "error" not in result for result in results), done.stdout
    assert all(result.get("count") != 0 for result in results), f"no such row: {done.stdout}"


def update_mirror(lab: Lab, **columns: Any) -> None:
    transact(lab, {"op": "update", "table": "Mirror", "where": [["name", "==", "s"]], "row": columns})


# ---- rates

def by_ctl(lab: Lab, packets: int) -> None:
    lab.ctl("set-mirror", "br0", "s", "--rate", str(packets))


def by_api(lab: Lab, packets: int) -> None:
    lab.rpc("mirror.set", bridge="br0", name="s", rate={"packets": packets})


def by_ovsdb_client(lab: Lab, packets: int) -> None:
    update_mirror(lab, rate_packets=packets)


@pytest.mark.parametrize("limit", [by_ctl, by_api, by_ovsdb_client])
def test_copies_over_the_rate_are_left_out_and_counted(lab: Lab, three: list[Host], limit: Callable[[Lab, int], None]) -> None:
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    limit(lab, 50)
    start = time.monotonic()
    got = copies(three, 200)
    most = 5 + 50 * (time.monotonic() - start) + 1
    assert 5 <= len(got) <= most, "a tenth of a second's worth, and what the time until the last one allows"
    assert got[:5] == numbered(5)
    account = lab.account("s")
    assert (account["matched"], account["delivered"], account["lost"]) == (200, len(got), 0)
    assert account["rate_limited"] == 200 - len(got)
    assert session(lab)["rate"] == {"packets": 50, "bits": None}
    shown = lab.ctl("show-mirror", "br0", "s").stdout
    assert "50 packets per second" in shown and f"{200 - len(got)} copies left out" in shown
    lab.ctl("set-mirror", "br0", "s", "--rate", "none")
    assert len(copies(three, 200)) == 200


def test_a_rate_in_bits_is_kept_over_time(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    lab.mirror("s", "--source", "t1:from", "--output", "t3", "--rate", "4mbit")
    start = time.monotonic()
    for n in range(200):  # 1.6 Mbit at 8 Mbit/s and more
        t1.wire.send(frame(mac(1), BROADCAST, bytes(986)))
        time.sleep(0.0005)
    spent = time.monotonic() - start
    bits = 8 * 1000 * lab.account("s")["delivered"]
    burst = 8 * 65536  # the longest super-frame
    assert min(1.6e6, burst + 4e6 * spent) * 0.9 <= bits <= burst + 4e6 * (time.monotonic() - start) + 8000


def test_a_seed_makes_a_sample_repeatable(lab: Lab, three: list[Host]) -> None:
    lab.mirror("s", "--source", "t1:from", "--output", "t3", "--sample", "4")

    def sampled(seed: int) -> list[bytes]:
        lab.daemon.ovs("ovs-vsctl", "--timeout=10", "set", "open_vswitch", ".", f"other_config:mirror-sample-seed={seed}")
        return copies(three, 100)

    first = sampled(11)
    assert 5 < len(first) < 60
    assert sampled(12) != first
    assert sampled(11) == first


# ---- sources by description

def test_a_glob_binds_when_a_port_appears_and_again_when_it_returns(lab: Lab) -> None:
    probe = lab.host("probe")
    lab.mirror("s", "--source", "vnet*:from", "--output", "probe")
    assert session(lab)["state"] == "waiting"
    assert session(lab)["reason"] == "source: no port matches glob:vnet*"
    one = lab.host("vnet1")
    assert session(lab)["state"] == "active" and session(lab)["bound_sources"] == {"glob:vnet*": ["vnet1"]}
    lab.host("other").wire.send(frame(mac(9), BROADCAST, b"not of vnet*"))
    sent = frame(mac(1), BROADCAST, b"first life")
    one.wire.send(sent)
    assert [data for data in probe.wire.settle(1) if data == sent] == [sent]
    assert lab.account("s")["matched"] == 1
    two = lab.host("vnet2")
    two.unplug()
    lab.wait_state("s", "degraded")
    assert session(lab)["reason"] == "source: port vnet2 has no device"
    lab.ctl("del-port", "br0", "vnet1")
    lab.wait_state("s", "waiting")
    two.plug()
    lab.wait_state("s", "active")
    probe.wire.clear()
    two.wire.send(frame(mac(2), BROADCAST, b"second life"))
    assert probe.wire.settle(1) == [frame(mac(2), BROADCAST, b"second life")]
    lab.ctl("del-port", "br0", "vnet2")
    lab.wait_state("s", "waiting")
    assert "glob:vnet* -> no port" in lab.ctl("show-mirror", "br0", "s").stdout


def test_a_pattern_never_selects_the_sessions_own_destination(lab: Lab, three: list[Host]) -> None:
    lab.mirror("s", "--source", "t*", "--output", "t3")
    assert session(lab)["bound_sources"] == {"glob:t*": ["t1", "t2"]}
    assert len(copies(three, 3)) == 3
    assert [entry["name"] for entry in lab.rpc("mirror.who", port="t1")["sessions"]] == ["s"]
    assert {entry["role"] for entry in lab.rpc("mirror.who", port="t3")["sessions"]} == {"destination"}


@pytest.mark.parametrize("source, key, value", [("iface-id=vm-7:from", "iface-id", "vm-7"),
                                                ("mac=52:54:00:AA:00:07:from", "attached-mac", "52:54:00:aa:00:07")])
def test_identifiers_of_interfaces_bind_while_they_are_there(lab: Lab, three: list[Host], source: str, key: str, value: Any) -> None:
    lab.mirror("s", "--source", source, "--output", "t3")
    assert session(lab)["state"] == "waiting"
    set_id = ["ovs-vsctl", "--timeout=10", "set", "interface", "t1", f'external_ids:{key}="{value}"']
    lab.daemon.ovs(*set_id)
    assert session(lab)["state"] == "active"
    assert len(copies(three, 3)) == 3
    lab.daemon.ovs("ovs-vsctl", "--timeout=10", "remove", "interface", "t1", "external_ids", key)
    assert session(lab)["state"] == "waiting"
    assert copies(three, 3) == []


def test_patterns_of_an_ovsdb_client_and_wrong_ones(lab: Lab, three: list[Host]) -> None:
    lab.mirror("s", "--source", "t2:to", "--output", "t3")
    update_mirror(lab, source_ports=["map", []], source_patterns=["map", [["glob:t[1]", "from"]]])
    assert len(copies(three, 2)) == 2
    update_mirror(lab, source_patterns=["map", [["t1", "from"]]])
    assert session(lab)["state"] == "error"
    assert "it must begin with glob:, iface-id: or mac:" in session(lab)["reason"]
    assert len(copies(three, 2)) == 2, "it goes on as before"
    with pytest.raises(RpcError, match="one of name, glob, iface_id and mac"):
        lab.rpc("mirror.set", bridge="br0", name="s", sources={"ports": [{"name": "t1", "glob": "t*"}]})


# ---- the end

def test_a_session_ends_after_its_time_and_says_so(lab: Lab, three: list[Host]) -> None:
    with lab.daemon.connect() as watcher:
        watcher.call("subscribe", {"topics": ["mirror.state"]})
        start = time.time()
        lab.mirror("s", "--source", "t1:from", "--output", "t3", "--expires", "1s")
        assert session(lab)["state"] == "active"
        assert len(copies(three, 2)) == 2
        lab.wait_state("s", "expired")
        assert 1 <= time.time() - start < 2.5
        told = [watcher.receive()["params"]["state"] for _ in range(2)]
        while told[-1] != "expired":
            told.append(watcher.receive()["params"]["state"])
    ended = session(lab)
    assert ended["reason"].startswith("it expired at 20")
    assert ended["counters"]["delivered"] == 2, "the account stays"
    assert copies(three, 2) == []
    three[0].wire.send(frame(mac(1), BROADCAST, b"flood"))
    assert three[2].wire.settle(1) == [frame(mac(1), BROADCAST, b"flood")], "the destination carries its own traffic again"
    assert lab.account("s")["matched"] == 2
    assert "expired" in lab.ctl("list-mirrors", "br0").stdout
    lab.daemon.restart()
    assert session(lab)["state"] == "expired"
    lab.ctl("enable-mirror", "br0", "s")
    assert session(lab)["state"] == "active" and session(lab)["expires"] is None


def ends_by_ctl(lab: Lab, count: int) -> None:
    lab.ctl("set-mirror", "br0", "s", "--expires", f"{count}packets")


def ends_by_api(lab: Lab, count: int) -> None:
    lab.rpc("mirror.set", bridge="br0", name="s", expires={"packets": count})


def ends_by_ovsdb_client(lab: Lab, count: int) -> None:
    update_mirror(lab, expires_packets=count, expires_at=["set", []])


@pytest.mark.parametrize("end", [ends_by_ctl, ends_by_api, ends_by_ovsdb_client])
def test_a_session_ends_after_exactly_so_many_packets_and_stays_ended(lab: Lab, three: list[Host], end: Callable[[Lab, int], None]) -> None:
    lab.mirror("s", "--source", "t1:from", "--output", "t3")
    end(lab, 7)
    assert copies(three, 100) == numbered(7), "and not one of those that the worker had in hand"
    lab.wait_state("s", "expired")
    account = lab.account("s")
    assert (account["matched"], account["delivered"], account["tx_packets"]) == (7, 7, 7)
    assert session(lab)["reason"] == "quota used up: 7 packets"
    lab.daemon.kill9()
    lab.daemon.start()
    assert session(lab)["state"] == "expired", "a restart is no new life"
    end(lab, 3)
    assert session(lab)["state"] == "active"
    assert copies(three, 100) == numbered(3)
    lab.wait_state("s", "expired")
    assert lab.account("s")["matched"] == 3


def test_bytes_are_never_exceeded(lab: Lab, three: list[Host]) -> None:
    t1, t2, t3 = three
    lab.mirror("s", "--source", "t1:from", "--output", "t3", "--expires", "3kb")
    for size in (986, 986, 1500 - 14):  # 1000, 1000 and 1500 bytes
        t1.wire.send(frame(mac(1), BROADCAST, bytes(size)))
    lab.wait_state("s", "expired")
    assert lab.account("s")["delivered_bytes"] == 2000
    assert session(lab)["expires"]["bytes"] == 3000


def test_a_session_ends_with_its_connection(lab: Lab, three: list[Host]) -> None:
    asked = dict(bridge="br0", sources={"ports": ["t1"]}, destination={"ports": ["t3"]}, expires={"connection": True})
    connection = lab.daemon.connect()
    connection.call("mirror.add", {"name": "s", **asked})
    assert session(lab)["state"] == "active"
    connection.close()
    lab.wait_state("s", "expired")
    assert session(lab)["reason"] == "the connection it was bound to has ended"
    assert session(lab)["counters"]["lost"] == 0

    connection = lab.daemon.connect()
    connection.call("mirror.set", {"bridge": "br0", "name": "s", "expires": {"connection": True}})
    assert session(lab)["state"] == "active"
    lab.daemon.kill9()
    lab.daemon.start()
    assert session(lab)["state"] == "expired"
    connection.close()
    refused = lab.ctl("set-mirror", "br0", "s", "--expires", "connection", check=False)
    assert refused.returncode == 2 and "the connection of this tool ends at once" in refused.stderr


def test_who_made_a_session_and_when(lab: Lab, three: list[Host]) -> None:
    lab.mirror("s", "--source", "t1", "--output", "t3")
    origin = session(lab)["origin"]
    assert (origin["owner"], origin["peer_uid"]) == ("root", os.getuid())
    made = datetime.datetime.fromisoformat(origin["created"].replace("Z", "+00:00")).timestamp()
    assert abs(made - time.time()) < 60
    lab.daemon.restart()
    assert session(lab)["origin"] == origin
    lab.daemon.ovs("ovs-vsctl", "--timeout=10", "--", "--id=@m", "create", "mirror", "name=o", "select_all=true",
                   "--", "add", "bridge", "br0", "mirrors", "@m")
    assert session(lab, "o")["origin"] is None


def test_there_is_an_end_to_the_number_of_sessions(lab: Lab, three: list[Host]) -> None:
    rows = [{"op": "insert", "table": "Mirror", "uuid-name": f"m{n}", "row": {"name": f"m{n}", "enabled": False}} for n in range(4096)]
    names = ["set", [["named-uuid", f"m{n}"] for n in range(4096)]]
    with lab.daemon.connect() as rpc:
        attach = {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]], "mutations": [["mirrors", "insert", names]]}
        results = rpc.call("transact", ["Open_vSwitch", *rows, attach], version=1)
        assert len(results) == len(rows) + 1 and not any("error" in result for result in results)
    refused = lab.ctl("add-mirror", "br0", "s", "--source", "t1", "--output", "t3", check=False)
    assert refused.returncode == 1
    assert "bridge br0: limit of 4096 sessions per bridge reached; delete one first" in refused.stderr
    transact(lab, {"op": "insert", "table": "Mirror", "uuid-name": "one", "row": {"name": "s", "select_all": True}},
             {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
              "mutations": [["mirrors", "insert", ["set", [["named-uuid", "one"]]]]]})
    wait_until(lambda: session(lab)["state"] == "error", "the row says so")
    assert "limit of 4096 sessions" in session(lab)["reason"]
