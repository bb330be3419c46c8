# SPDX-License-Identifier: Apache-2.0
"""The Python client with a real daemon. tests/unit/clients has what needs none."""
from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator

import pytest
from switch import Lab

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "python"))

import vswitch  # noqa: E402


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.t1, lab.t2 = lab.host("t1"), lab.host("t2")
        yield lab


@pytest.fixture
def switch(lab: Lab) -> Iterator[vswitch.Switch]:
    with vswitch.connect(lab.daemon.socket, timeout=20) as switch:
        yield switch


def test_a_session_is_added_changed_and_removed(lab: Lab, switch: vswitch.Switch) -> None:
    lab.wait_port("t1", "active")
    lab.wait_port("t2", "active")
    added = switch.mirror.add(bridge="br0", name="镜像 1", sources={"ports": ["t1"]}, destination={"ports": ["t2"]},
                              normal_io=True, snaplen=96)
    assert (added["state"], added["snaplen"]) == ("active", 96)
    assert switch.mirror.get(bridge="br0", name="镜像 1")["uuid"] == added["uuid"]
    assert switch.mirror.set(bridge="br0", name="镜像 1", sample=7)["snaplen"] == 96, "what is not given stays"
    assert switch.mirror.set(bridge="br0", name="镜像 1", snaplen=None)["snaplen"] is None, "None clears it"
    assert [one["name"] for one in switch.mirror.list()["mirrors"]] == ["镜像 1"]
    assert switch.mirror.del_(bridge="br0", name="镜像 1")["removed"]
    assert lab.rpc("mirror.list")["mirrors"] == []


def test_a_refusal_changes_nothing_and_says_what_is_wrong(lab: Lab, switch: vswitch.Switch) -> None:
    with pytest.raises(vswitch.NotFound, match="br9") as caught:
        switch.mirror.add(bridge="br9", name="s", sources={"ports": ["t1"]}, destination={"ports": ["t2"]})
    assert caught.value.code == 1001 and caught.value.data["reason"] == "not_found"
    with pytest.raises(vswitch.Invalid) as invalid:
        switch.mirror.add(bridge="br0", name="s", sources={"ports": ["t1"]}, destination={"ports": ["t2"]}, snaplen=13)
    assert (invalid.value.field, invalid.value.value) == ("snaplen", 13)
    with pytest.raises(vswitch.Exists):
        switch.bridge.add(name="br0")
    with pytest.raises(vswitch.Refusal) as unknown:
        switch.call("mirror.nonsense")
    assert unknown.value.code == -32601
    assert switch.mirror.list()["mirrors"] == []


def test_every_method_that_reads_is_answered_as_typed(lab: Lab, switch: vswitch.Switch) -> None:
    switch.mirror.add(bridge="br0", name="s", sources={"ports": ["t1"]}, destination={"ports": ["t2"]})
    assert switch.bridge.list()["bridges"][0]["name"] == "br0"
    assert {port["name"] for port in switch.port.list(bridge="br0")["ports"]} >= {"t1", "t2"}
    assert switch.mirror.stats()["mirrors"][0]["counters"]["matched"] == 0
    assert switch.mirror.who(port="t1")["sessions"][0]["name"] == "s"
    explained = switch.mirror.explain(bridge="br0", in_port="t1", frame="ff" * 6 + "525400000001" + "0800")
    assert [one["session"] for one in explained["mirrors"] if one["copied"]] == ["s"]
    assert switch.fdb.list(bridge="br0")["entries"] == []
    assert switch.system.info()["api"] == vswitch.api.API_VERSION
    assert "vswitch_up" in switch.system.metrics()["text"]
    assert switch.system.events(limit=1)["last"] > 0
    assert switch.rpc.discover()["info"]["title"] == "vswitch session API", "a large answer"
    assert switch.system.check()["status"] in ("ok", "warning", "critical")


def test_a_subscription_survives_the_daemon(lab: Lab, switch: vswitch.Switch) -> None:
    """What is changed while nobody listens is told afterwards, between the events that say so."""
    with switch.subscribe(["mirror.change", "mirror.state"]) as events:
        assert events.snapshot == {"mirrors": []}
        switch.mirror.add(bridge="br0", name="one", sources={"ports": ["t1"]}, destination={"ports": ["t2"]})
        first = events.wait(20)
        assert first is not None and first["topic"] == "mirror.change"
        assert (first["action"], first["name"]) == ("added", "one") and "pid" in first["by"]
        lab.daemon.kill9()
        while (event := events.wait(20)) is not None and event["topic"] != "connection.lost":
            pass
        assert event is not None
        with pytest.raises((vswitch.ConnectionLost, vswitch.NoDaemon)):
            switch.mirror.list()
        with pytest.raises(vswitch.NoDaemon, match="is vswitchd running"):
            switch.mirror.list()
        lab.daemon.start()
        switch.mirror.add(bridge="br0", name="two", sources={"ports": ["t2"]}, destination={"ports": ["t1"]})
        restored = events.wait(20)
        assert restored is not None and restored["topic"] == "connection.restored" and restored["left_out"] == 0
        seen: list[tuple[str, str]] = []
        while not seen or seen[-1] != ("mirror.change", "two"):
            event = events.wait(20)
            assert event is not None, f"only {seen}"
            assert event["topic"] in ("mirror.change", "mirror.state")
            seen.append((event["topic"], str(event.get("name"))))
        assert seen.count(("mirror.change", "two")) == 1


def test_a_session_ends_with_its_connection(lab: Lab, switch: vswitch.Switch) -> None:
    with vswitch.connect(lab.daemon.socket) as own:
        own.mirror.add(bridge="br0", name="s", sources={"ports": ["t1"]}, destination={"ports": ["t2"]}, expires={"connection": True})
    lab.wait_state("s", "expired")
    with pytest.raises(vswitch.NotFound):
        switch.mirror.get(bridge="br0", name="t")


def test_waiting_for_a_frame(lab: Lab, switch: vswitch.Switch) -> None:
    switch.timeout = 5
    with pytest.raises(vswitch.Refusal, match="0.2"):
        switch.mirror.explain(bridge="br0", next={"wait": 0.2, "match": "tcp,tp_dst=1"})
