# SPDX-License-Identifier: Apache-2.0
"""Every command of ovs-vsctl(8), unmodified: compared with what Open vSwitch answers, and seen in frames where it matters."""
from __future__ import annotations

import json
import os
import pathlib
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import openvswitch
from lab import PATIENCE_S, Daemon, wait_until
from net import BROADCAST, Net, frame, mac, stop
from switch import Lab

pytestmark = openvswitch.needed


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.vsctl = lambda *args: lab.daemon.ovs("ovs-vsctl", *args).stdout.strip()
        lab.refused = lambda *args: lab.daemon.ovs("ovs-vsctl", *args, check=False)
        yield lab


BR0 = "add-br br0 -- set bridge br0 datapath_type=netdev\n"  # there is no kernel module; ours does not mind

# Both sides start empty, with the devices p1 to p4. What is refused here and works there is in the tests further down.
SESSIONS = {
    "bridges": BR0 + """
        init
        show
        list-br
        add-br br1 -- set bridge br1 datapath_type=netdev
        ~list-br
        add-br br0
        --may-exist add-br br0
        --may-exist add-br br0 br1 5
        br-exists br0
        br-exists nobr
        br-to-vlan br0
        br-to-parent br0
        br-to-parent nobr
        br-set-external-id br0 k v
        br-set-external-id br0 l w
        br-get-external-id br0
        br-get-external-id br0 k
        br-get-external-id br0 nokey
        br-set-external-id br0 k
        br-get-external-id br0
        get-fail-mode br0
        set-fail-mode br0 secure
        get-fail-mode br0
        set-fail-mode br0 bogus
        set-fail-mode br0 standalone
        ~show
        del-fail-mode br0
        get-fail-mode br0
        set-fail-mode nobr secure
        set bridge br0 other_config:hwaddr=02:00:00:00:77:01
        get interface br0 mac_in_use
        get bridge br0 datapath_id
        set bridge br0 other_config:datapath-id=00000000000000aa
        get bridge br0 datapath_id
        get interface br0 ofport error type admin_state link_state
        del-br nobr
        --if-exists del-br nobr
        del-br br1
        list-br
        del-br br0 -- add-br br0 -- set bridge br0 datapath_type=netdev
        list-br
        --if-exists del-br br0
        list-br
        get Open_vSwitch . bridges
    """,
    "fake bridges": BR0 + """
        add-br br5 br0 5
        add-br br6 br0 4096
        add-br br6 nobr 6
        add-br br6 br0 5
        --may-exist add-br br5 br0 5
        --may-exist add-br br5 br0 6
        --may-exist add-br br5
        list-br
        --real list-br
        --fake list-br
        br-to-vlan br5
        br-to-parent br5
        get port br5 tag fake_bridge
        get interface br5 type ofport error
        br-set-external-id br5 k v
        br-get-external-id br5
        br-get-external-id br5 k
        br-set-external-id br5 k
        add-port br5 p4
        get port p4 tag
        list-ports br5
        list-ports br0
        list-ifaces br5
        list-ifaces br0
        port-to-br p4
        iface-to-br p4
        ~show
        set-controller br5 tcp:127.0.0.1:1
        get-controller br5
        set-fail-mode br5 secure
        get-fail-mode br5
        del-port br0 p4
        del-port br5 p4
        del-br br5
        list-br
        list-ports br0
    """,
    "ports": BR0 + """
        add-port br0 p1
        add-port br0 p1
        --may-exist add-port br0 p1
        add-port br0 p2 tag=10
        add-port br0 p3 trunks=10,20 vlan_mode=trunk -- set Interface p3 ofport_request=33
        get Interface p1 ofport error
        get Interface p3 ofport error
        list-ports br0
        list-ifaces br0
        port-to-br p1
        port-to-br br0
        port-to-br nop
        iface-to-br p1
        iface-to-br br0
        iface-to-br nop
        ~show
        add-port br0 br0
        add-port nobr p4
        add-port br0 p4 notacolumn=5
        add-port br0 p4 tag=4096
        list-ports br0
        add-port br0 int0 -- set Interface int0 type=internal mac=\\"02:00:00:00:55:01\\"
        get Interface int0 type mac_in_use error
        add-port br0 gone
        get Interface gone ofport error
        ~show
        list-ports br0
        del-port gone
        add-br br1 -- set bridge br1 datapath_type=netdev
        add-port br1 p1
        --may-exist add-port br1 p1
        del-port br1 p1
        --with-iface del-port br0 p1
        list-ports br0
        del-port nop
        del-port br0 nop
        --if-exists del-port nop
        --if-exists del-port br0 nop
        del-port br0
        del-port br0 p2
        del-port p3 -- add-port br0 p3 tag=9 -- set interface p3 ofport_request=34
        get interface p3 ofport
        get port p3 tag
        list-ports br0
        set interface p3 mtu_request=1400
        get interface p3 mtu
        add-port br0 pa0 -- set interface pa0 type=patch options:peer=pb0 -- add-port br1 pb0 -- set interface pb0 type=patch options:peer=pa0
        get interface pa0 error
        get interface pb0 error
        emer-reset
        ~list-br
        list-ports br0
    """,
    "controllers, managers, keys": BR0 + """
        get-controller br0
        set-controller br0 tcp:127.0.0.1:1 ptcp:16654:127.0.0.1
        get-controller br0
        ~show
        --inactivity-probe=5000 set-controller br0 tcp:127.0.0.1:1
        get controller br0 inactivity_probe target
        del-controller br0
        get-controller br0
        del-controller br0
        set-controller nobr tcp:127.0.0.1:1
        get-manager
        set-manager punix:/nonexistent/a.sock tcp:127.0.0.1:1
        get-manager
        ~show
        --inactivity-probe=30000 set-manager tcp:127.0.0.1:1
        get-manager
        get manager tcp:127.0.0.1:1 inactivity_probe
        del-manager
        get-manager
        get-ssl
        set-ssl /nonexistent/a /nonexistent/b /nonexistent/c
        get-ssl
        --bootstrap set-ssl /nonexistent/d /nonexistent/e /nonexistent/f
        get-ssl
        get ssl . bootstrap_ca_cert
        del-ssl
        get-ssl
        set-controller br0 tcp:127.0.0.1:1 -- set-fail-mode br0 secure -- set-manager tcp:127.0.0.1:1
        emer-reset
        show
        add-aa-mapping br0 1 2
        get-aa-mapping br0
        del-aa-mapping br0 1 2
        get-aa-mapping br0
    """,
    "mirrors": BR0 + """
        add-port br0 p1 -- add-port br0 p2 -- add-port br0 p3
        -- --id=@p get port p2 -- --id=@m create mirror name=m select_all=true output_port=@p -- set bridge br0 mirrors=@m
        --columns=name,select_all,select_src_port,select_dst_port,select_vlan,snaplen,output_vlan list mirror m
        -- --id=@a get port p1 -- --id=@b get port p3 -- --id=@m create mirror name=n select-src-port=@a select-dst-port=@a select-vlan=10,20 output-port=@b -- add bridge br0 mirrors @m
        ~--bare --columns=name find mirror select_vlan{>=}10
        ~--bare --columns=name find mirror select_vlan=10,20
        ~--bare --columns=name list mirror
        -- --id=@p get port p2 -- --id=@m create mirror name=m select_all=true output_port=@nosuch -- set bridge br0 mirrors=@m
        -- --id=@m get mirror n -- remove bridge br0 mirrors @m
        --bare --columns=name list mirror
        set mirror m select_vlan=4096
        set mirror m snaplen=13
        set mirror m nocolumn=1
        destroy mirror m
        --bare --columns=name list mirror
        del-port p2
        get mirror m output_port
        -- --id=@m create mirror name=m -- add bridge br0 mirrors @m
        set mirror m select_all=false
        clear bridge br0 mirrors
        list mirror
        create mirror name=unreferenced
        list mirror
    """,
    "records": BR0 + """
        add-port br0 p1
        set port p1 tag=5000
        set port p1 tag=abc
        set port p1 tag=1,2
        set port p1 tag
        set port p1 trunks=1,2,3,1
        set port p1 trunks=5-9
        set port p1 vlan_mode=bogus
        set port p1 name=foo
        set port p1 nocolumn=5
        set port nop tag=5
        --if-exists set port nop tag=5
        set nosuchtable p1 a=b
        set interface p1 ofport_request=70000
        get port p1 trunks
        add port p1 trunks 30 40
        remove port p1 trunks 5,6
        get port p1 trunks
        clear port p1 trunks
        get port p1 trunks
        clear port p1 name
        --if-exists clear port nop trunks
        remove port p1 tag 5
        add port p1 tag 7
        remove port p1 name p1
        get port p1 tag
        set port p1 other_config:a=b other_config:c="d e" external_ids:x=y external_ids:é=\\"ü:1\\"
        get port p1 other_config
        get port p1 other_config:a external_ids:x
        get port p1 external_ids
        get port p1 other_config:nokey
        -- --if-exists get port p1 other_config:nokey
        -- --if-exists get port nop tag
        get port nop tag
        get port p1 nocolumn
        get port
        add port p1 other_config e=f a=changed
        get port p1 other_config
        remove port p1 other_config a c=otherwise
        get port p1 other_config
        --columns=name,tag,other_config list port p1
        -f json --columns=name,tag,other_config list port p1
        --format=csv --columns=name,tag list port p1
        --format=html --columns=name,tag list port p1
        --format=table --columns=name,tag list port p1
        --format=list --data=json --no-headings --columns=name,tag,other_config list port p1
        -d bare --columns=name,tag,other_config list port p1
        -d json --columns=name,tag,trunks,other_config find port name=p1
        --bare --columns=name,tag list port p1
        --columns=nocolumn list port
        list port nop
        --if-exists list port nop
        list nosuchtable
        --no-headings --columns=name find port tag=7
        --columns=name find port tag!=7
        --columns=name find port external_ids:x=y
        --columns=name find port external_ids:x!=y
        --columns=name find interface type=internal
        ~--bare --columns=name find interface ofport>=1
        --bare --columns=name find interface ofport<65534
        ~--bare --columns=name find port trunks{=}[]
        --bare --columns=name find port name{in}p1
        create qos type=linux-htb other_config:max-rate=10 queues:0=@q -- --id=@q create queue dscp=3
        -- --id=@q create queue dscp=3 -- create qos type=linux-htb other_config:max-rate=10 queues:0=@q
        get qos . type
        --bare --columns=type,other_config list qos
        --bare --columns=dscp list queue
        create mirror nocolumn=1
        create queue dscp=64
        destroy queue 11111111-1111-1111-1111-111111111111
        --if-exists destroy queue 11111111-1111-1111-1111-111111111111
        destroy bridge br0
        --all destroy qos
        --all destroy queue
        list qos
        list controller
        list flow_table
        comment hello world
        -- comment hello -- get bridge br0 name
        --oneline get bridge br0 name -- get port p1 tag external_ids:x
        --no-wait add-port br0 p2
        list-ports br0
        -t 5 wait-until interface p2 ofport>0
        -t 5 wait-until bridge br0
        -- --id=@x get port p1 -- get bridge br0 name
        get port p1 @x
        frob
        --nooption
        show extra
        --timeout=0 show
        --db=unix:/nonexistent list-br
        set open_vswitch . external_ids:system-id=abc
        get open_vswitch . external_ids
        set-fail-mode br0 secure -- set port p1 tag=4096
        get-fail-mode br0
    """,
    "nothing there": BR0 + """
        add-port br0 gone
        --columns=admin_state,duplex,error,ifindex,link_resets,link_speed,link_state,mac_in_use,mtu,ofport,statistics list interface gone
    """,
    "patch ports": BR0 + """
        add-br br1 -- set bridge br1 datapath_type=netdev
        add-port br0 pa -- set interface pa type=patch
        get interface pa ofport error
        set interface pa options:peer=pb
        get interface pa error
        add-port br1 pb -- set interface pb type=patch options:peer=pa
        get interface pa error
        get interface pb error
        set interface pb options:peer=elsewhere
        get interface pa error
        get interface pb error
        set interface pa options:peer=pa
        get interface pa ofport error
    """,
    "datapath ids": BR0 + """
        set bridge br0 other_config:hwaddr=02:00:00:00:77:01
        set bridge br0 other_config:datapath-id=zzzzzzzzzzzzzzzz
        get bridge br0 datapath_id
        set bridge br0 other_config:datapath-id=0x5
        get bridge br0 datapath_id
        set bridge br0 other_config:datapath-id=0000000000000000
        get bridge br0 datapath_id
        set bridge br0 other_config:datapath-id=ABCDEF0123456789
        get bridge br0 datapath_id
    """,
    "dangling references": BR0 + """
        create port name=lonely
        --columns=name list port
    """,
}


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> Iterator[Any]:
    """Open vSwitch and ours, each in a namespace with the devices p1 to p4."""
    with openvswitch.OpenVswitch(tmp_path) as theirs, Net() as net:
        daemon = Daemon(tmp_path, namespace=net.switch)
        try:
            daemon.start()
            for namespace in (theirs.net.switch, net.switch):
                openvswitch.make_devices(namespace)
            yield theirs, daemon
            daemon.end()
        finally:
            if daemon.runs():
                daemon.kill9()


@pytest.mark.parametrize("session", SESSIONS)
def test_answers_are_those_of_open_vswitch(pair: Any, session: str) -> None:
    theirs, ours = pair
    found = openvswitch.differences(SESSIONS[session], theirs.rundir, ours.rundir, "ovs-vsctl")
    assert not found, f"\n{found}"


def test_the_comparison_sees_a_difference(pair: Any) -> None:
    theirs, ours = pair
    assert openvswitch.client(ours.rundir, "ovs-vsctl", "add-br", "only-ours").returncode == 0
    found = openvswitch.differences("list-br\nbr-exists only-ours\nget-manager", theirs.rundir, ours.rundir, "ovs-vsctl")
    assert found.count("Open vSwitch:") == 2, found


def plug(lab: Lab, name: str, *options: str, bridge: str = "br0") -> Any:
    """A host whose port ovs-vsctl adds."""
    host = lab.net.host(name)
    lab.vsctl("add-port", bridge, name, *options)
    return host


def mirror_row(lab: Lab, name: str) -> dict[Any, Any]:
    """The columns of a mirror that ovs-vsctl does not know."""
    query = ["Open_vSwitch", {"op": "select", "table": "Mirror", "where": [["name", "==", name]], "columns": ["status", "enabled"]}]
    row = json.loads(lab.daemon.ovs("ovsdb-client", "query", json.dumps(query)).stdout)[0]["rows"][0]
    return {"status": dict(row["status"][1]), "enabled": row["enabled"]}


def test_the_canonical_mirror_copies_until_it_is_cleared(lab: Lab) -> None:
    t1, t2, probe = plug(lab, "t1"), plug(lab, "t2"), plug(lab, "probe")
    uuid = lab.vsctl("--", "--id=@p", "get", "port", "probe", "--", "--id=@m", "create", "mirror", "name=span", "select_all=true",
                     "output_port=@p", "--", "set", "bridge", "br0", "mirrors=@m")
    assert lab.vsctl("get", "mirror", "span", "_uuid") == uuid
    sent = [frame(mac(1), BROADCAST, bytes([n])) for n in range(5)]
    t1.wire.send(*sent)
    assert t2.wire.settle(5) == sent and probe.wire.settle(5) == sent, "once each"
    lab.vsctl("-t", "10", "wait-until", "mirror", "span", "statistics:tx_packets=5")
    assert lab.vsctl("get", "mirror", "span", "statistics:tx_bytes") == str(sum(map(len, sent)))
    assert mirror_row(lab, "span")["status"]["state"] == "active"
    lab.vsctl("clear", "bridge", "br0", "mirrors")
    assert lab.vsctl("list", "mirror") == ""
    probe.wire.clear()
    t2.wire.clear()
    t1.wire.send(*sent)
    assert t2.wire.settle(5) == sent
    assert probe.wire.settle(5) == sent, "an ordinary port again: it sees the broadcasts, once"


def test_a_mirror_follows_what_is_set_in_its_row(lab: Lab) -> None:
    t1, t2, probe = plug(lab, "t1"), plug(lab, "t2"), plug(lab, "probe")
    lab.vsctl("--", "--id=@s", "get", "port", "t1", "--", "--id=@o", "get", "port", "probe", "--", "--id=@m", "create", "mirror",
              "name=span", "select_src_port=@s", "output_port=@o", "--", "add", "bridge", "br0", "mirrors", "@m")

    def copies_are(*expected: Any) -> None:
        probe.wire.settle()  # what comes from before
        for host in (t1, probe):
            host.wire.clear()
        t1.wire.send(frame(mac(1), mac(2), b"from t1"))
        t2.wire.send(frame(mac(2), mac(1), b"to t1"))
        t1.wire.expect(1)
        assert sorted(data[14:] for data in probe.wire.settle(len(expected))) == list(expected)

    t1.wire.send(frame(mac(1), BROADCAST))
    t2.wire.expect(1)
    t2.wire.send(frame(mac(2), BROADCAST))
    t1.wire.expect(1)
    copies_are(b"from t1")
    lab.vsctl("clear", "mirror", "span", "select_src_port", "--", "set", "mirror", "span",
              "select_dst_port=" + lab.vsctl("get", "port", "t1", "_uuid"))
    copies_are(b"to t1")
    lab.vsctl("set", "mirror", "span", "select_all=true")
    copies_are(b"from t1", b"to t1")
    assert mirror_row(lab, "span")["enabled"] == ["set", []], "what ovs-vsctl does not know stays at its default"
    lab.vsctl("set", "mirror", "span", "select_vlan=7")
    copies_are()
    lab.vsctl("remove", "mirror", "span", "select_vlan", "7")
    copies_are(b"from t1", b"to t1")
    lab.vsctl("del-port", "probe")
    assert lab.vsctl("get", "mirror", "span", "output_port") == "[]"


def test_a_fake_bridge_is_its_vlan(lab: Lab) -> None:
    trunk = plug(lab, "trunk")
    lab.vsctl("add-br", "br5", "br0", "5")
    inside = plug(lab, "inside", bridge="br5")
    outside = plug(lab, "outside", "tag=6")
    inside.wire.send(frame(mac(1), BROADCAST, b"hello"))
    assert trunk.wire.settle(1) == [frame(mac(1), BROADCAST, b"hello", vlan=5)]
    trunk.wire.send(frame(mac(2), mac(1), b"answer", vlan=5))
    assert inside.wire.settle(1) == [frame(mac(2), mac(1), b"answer")]
    assert outside.wire.settle() == []
    assert "br5" in lab.net.switch_run("ip", "-o", "link", "show", "br5").stdout, "a device of this name, as for a bridge"
    lab.vsctl("del-br", "br5")
    assert lab.net.switch_run("ip", "link", "show", "br5", check=False).returncode != 0
    assert lab.vsctl("list-ports", "br0").split() == ["outside", "trunk"]


REFUSED = [
    (["add-bond", "br0", "bond0", "t1", "t2"], "t1", "bonds are not supported"),
    (["add-port", "br0", "x0", "--", "set", "interface", "x0", "type=nosuch"], "x0", "nosuch is not supported"),
]


@pytest.mark.parametrize("command, interface, reason", REFUSED, ids=["bond", "type"])
def test_what_the_switch_cannot_do_is_said_at_once_and_in_the_row(lab: Lab, command: list[str], interface: str, reason: str) -> None:
    lab.net.host("t1")
    lab.net.host("t2")
    done = lab.refused(*command)
    assert done.returncode == 0, "as Open vSwitch does when a device cannot be set up: the row is there, the reason is printed"
    assert f"ovs-vsctl: Error detected while setting up '{interface}': " in done.stderr and reason in done.stderr
    assert lab.vsctl("get", "interface", interface, "ofport") == "-1"
    assert reason in lab.vsctl("get", "interface", interface, "error")
    assert reason in lab.vsctl("show")
    port = command[2]
    lab.vsctl("del-port", port)
    assert "error" not in lab.vsctl("show")
    lab.vsctl("add-port", "br0", "t1")
    assert lab.vsctl("get", "interface", "t1", "error") == "[]"


def test_a_mirror_into_a_vlan(lab: Lab) -> None:
    t1, probe = plug(lab, "t1"), plug(lab, "probe", "tag=900")
    lab.vsctl("--", "--id=@p", "get", "port", "t1", "--", "--id=@m", "create", "mirror", "name=rspan", "select_src_port=@p",
              "output_vlan=900",
              "--", "set", "bridge", "br0", "mirrors=@m", "flood_vlans=900")
    assert mirror_row(lab, "rspan")["status"]["state"] == "active"
    t1.wire.send(frame(mac(1), BROADCAST, b"copy"))
    assert [data[14:] for data in probe.wire.settle(1)] == [b"copy"]


def test_a_missing_device_is_reported_and_taken_when_it_appears(lab: Lab) -> None:
    done = lab.refused("add-port", "br0", "late")
    assert done.returncode == 0
    assert done.stderr.startswith("ovs-vsctl: Error detected while setting up 'late': could not open network device late (No such device)."
                                  "  See ovs-vswitchd log for details.\n")
    t1 = plug(lab, "t1")
    late = lab.net.host("late")
    lab.vsctl("-t", "10", "wait-until", "interface", "late", "ofport>0")
    assert lab.vsctl("get", "interface", "late", "error") == "[]"
    t1.wire.send(frame(mac(1), BROADCAST, b"late"))
    assert [data[14:] for data in late.wire.settle(1)] == [b"late"]


def test_secure_fail_mode_without_a_controller_forwards_nothing(lab: Lab) -> None:
    t1, t2 = plug(lab, "t1"), plug(lab, "t2")
    for mode, seen in (("secure", 0), ("standalone", 1), ("secure", 0), (None, 1)):
        lab.vsctl(*(["set-fail-mode", "br0", mode] if mode else ["del-fail-mode", "br0"]))
        t2.wire.clear()
        t1.wire.send(frame(mac(1), BROADCAST, b"x"))
        assert len(t2.wire.settle(seen)) == seen, mode


def test_without_no_wait_a_command_returns_when_the_switch_has_followed(lab: Lab) -> None:
    def numbers() -> list[Any]:
        return [int(text) for text in lab.vsctl("get", "Open_vSwitch", ".", "next_cfg", "cur_cfg").split()]

    before = numbers()[0]
    lab.vsctl("--no-wait", "set", "bridge", "br0", "external_ids:a=b")
    assert numbers()[0] == before
    lab.vsctl("set", "bridge", "br0", "external_ids:a=c")
    assert numbers() == [before + 1, before + 1]
    lab.vsctl("show")
    assert numbers() == [before + 1, before + 1], "reading asks for nothing"


def test_a_wait_in_vain_ends_with_the_timeout(lab: Lab) -> None:
    done = lab.refused("-t", "1", "wait-until", "interface", "nosuch", "ofport>0")
    assert done.returncode == -14 and "Alarm clock" in done.stderr


def test_many_at_once_all_get_through(lab: Lab) -> None:
    """Each add-port waits, with timeout 0, for the ports that it has read: those that come late are told `timed out` and try again."""
    environment = {**os.environ, "OVS_RUNDIR": str(lab.daemon.rundir)}
    names = [f"n{n}" for n in range(16)]
    running = [subprocess.Popen(["ovs-vsctl", "add-port", "br0", name, "--", "set", "interface", name, "type=internal"], env=environment)
               for name in names]
    for process in running:
        lab.net.closing.callback(stop, process)
    assert [process.wait(PATIENCE_S) for process in running] == [0] * len(names)
    assert lab.vsctl("list-ports", "br0").split() == sorted(names)
    numbers = [int(lab.vsctl("get", "interface", name, "ofport")) for name in names]
    assert min(numbers) > 0 and len(set(numbers)) == len(names)


class Relay(threading.Thread):
    """A socket before the daemon's; calls before_transact() before it hands on the first transaction, and keeps what passes."""

    def __init__(self, path: pathlib.Path, daemon: Daemon, before_transact: Any) -> None:
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.daemon_socket = socket.socket(socket.AF_UNIX)
        self.daemon_socket.connect(str(daemon.socket))
        self.before_transact = before_transact
        self.requests = self.replies = b""

    def run(self) -> None:
        client, _ = self.listener.accept()

        def back() -> None:
            while data := self.daemon_socket.recv(1 << 16):
                self.replies += data
                client.sendall(data)

        threading.Thread(target=back, daemon=True).start()
        while data := client.recv(1 << 16):
            if b'"method":"transact"' in data and self.before_transact:
                self.before_transact()
                self.before_transact = None
            self.requests += data
            self.daemon_socket.sendall(data)
        self.daemon_socket.shutdown(2)


def test_the_loser_of_a_race_is_told_to_try_again_and_does(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.net.host("t1")
    lab.net.host("t2")
    relay = Relay(tmp_path / "relay", lab.daemon, lambda: lab.vsctl("add-port", "br0", "t2"))
    relay.start()
    lab.vsctl(f"--db=unix:{tmp_path}/relay", "add-port", "br0", "t1")
    relay.join(PATIENCE_S)
    assert not relay.is_alive(), "the client has hung up"
    assert lab.vsctl("list-ports", "br0").split() == ["t1", "t2"]
    assert relay.requests.count(b'"method":"transact"') == 2
    assert re.search(rb'"error":\s*"timed out"', relay.replies)


def test_a_manager_row_opens_a_listener_and_tells_who_is_there(lab: Lab) -> None:
    lab.vsctl("set-manager", "ptcp:16640:127.0.0.1")

    def over_tcp(*args: str) -> Any:
        return lab.net.switch_run("ovs-vsctl", "--db=tcp:127.0.0.1:16640", *args, check=False)

    assert over_tcp("list-br").stdout == "br0\n"
    assert over_tcp("-t", "10", "wait-until", "Manager", "ptcp:16640:127.0.0.1", "is_connected=true").returncode == 0
    wait_until(lambda: lab.vsctl("get", "Manager", "ptcp:16640:127.0.0.1", "is_connected") == "false", "nobody is connected")
    lab.vsctl("del-manager")
    assert over_tcp("list-br").returncode == 1


def test_a_manager_that_cannot_listen_says_why(lab: Lab) -> None:
    lab.vsctl("set-manager", "ptcp:16640:203.0.113.77")  # nobody here has this address
    assert lab.vsctl("get", "Manager", "ptcp:16640:203.0.113.77", "is_connected") == "false"
    assert "203.0.113.77" in lab.vsctl("get", "Manager", "ptcp:16640:203.0.113.77", "status:last_error")
    assert lab.vsctl("list-br") == "br0"


def test_a_manager_that_listens_is_called(lab: Lab) -> None:
    """`--db=ptcp:` waits for the switch to call: what a controller of many switches does."""
    lab.vsctl("set-manager", "tcp:127.0.0.1:16641")
    for _ in range(2):
        assert lab.net.switch_run("ovs-vsctl", "-t", "20", "--db=ptcp:16641:127.0.0.1", "list-br").stdout == "br0\n"
    lab.vsctl("del-manager")
    done = lab.net.switch_run("ovs-vsctl", "-t", "2", "--db=ptcp:16641:127.0.0.1", "list-br", check=False)
    assert done.returncode == -14, done


def test_retry_waits_for_the_daemon(lab: Lab) -> None:
    assert lab.daemon.stop() == 0
    environment = {**os.environ, "OVS_RUNDIR": str(lab.daemon.rundir)}
    assert lab.refused("list-br").returncode == 1
    waiting = subprocess.Popen(["ovs-vsctl", "--retry", "-t", "20", "list-br"], env=environment, stdout=subprocess.PIPE, text=True)
    lab.net.closing.callback(stop, waiting)
    lab.daemon.start()
    assert waiting.communicate(timeout=PATIENCE_S)[0] == "br0\n" and waiting.returncode == 0


CANNOT_BE_OPENED = {
    "bridge": ["add-br", "t1"],
    "asked for a number": ["add-port", "br0", "gone", "--", "set", "interface", "gone", "ofport_request=5"],
    "internal": ["add-port", "br0", "t1", "--", "set", "interface", "t1", "type=internal", "ofport_request=6"],
    "type": ["add-port", "br0", "t1", "--", "set", "interface", "t1", "type=nosuch", "ofport_request=7"],
}


@pytest.mark.parametrize("command", CANNOT_BE_OPENED.values(), ids=CANNOT_BE_OPENED)
def test_a_port_that_cannot_work_is_told_at_once(lab: Lab, command: list[str]) -> None:
    """ovs-vsctl looks at ofport: any other number than -1 is success to it, whatever stands in error."""
    lab.net.host("t1")
    interface = "gone" if "gone" in command else "t1"
    done = lab.refused(*command)
    assert f"Error detected while setting up '{interface}'" in done.stderr
    assert lab.vsctl("get", "interface", interface, "ofport") == "-1"
    assert lab.vsctl("get", "interface", interface, "error") != "[]"


def test_a_port_number_stays_with_who_has_it(lab: Lab) -> None:
    lab.vsctl("add-port", "br0", "first", "--", "set", "interface", "first", "type=internal", "ofport_request=77")
    for n in range(8):  # whose row comes first is chance
        lab.vsctl("add-port", "br0", f"n{n}", "--", "set", "interface", f"n{n}", "type=internal", "ofport_request=77")
        assert lab.vsctl("get", "interface", "first", "ofport") == "77"
        assert lab.vsctl("get", "interface", f"n{n}", "ofport") != "77"


def test_statistics_have_the_keys_that_open_vswitch_has(pair: Any) -> None:
    for daemon in pair:
        assert openvswitch.client(daemon.rundir, "ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "--",
                                  "add-port", "br0", "p1").returncode == 0

    def keys(daemon: Daemon) -> set[Any]:
        done = openvswitch.client(daemon.rundir, "ovs-vsctl", "--format=list", "--data=json", "--no-headings", "--columns=statistics",
                                  "list",
                                  "interface", "p1")
        return {key for key, _ in json.loads(done.stdout)[1]}

    theirs, ours = (wait_until(lambda: keys(daemon), "statistics") for daemon in pair)
    assert theirs - ours == set()
