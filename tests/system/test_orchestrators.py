# SPDX-License-Identifier: Apache-2.0
"""What programs that know Open vSwitch only through its tools ask of it, in the order in which they ask.

Where Debian packages the program (the ifupdown script, ovs-docker, the library that neutron uses) it is run as it is; the other
sequences were read from the sources named beside them. None of these programs expects a word on standard error.
"""
from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lab import found, wait_until
from net import BROADCAST, frame, mac
from switch import Lab

pytestmark = pytest.mark.skipif(not shutil.which("ovs-vsctl"), reason="needs openvswitch-switch")

VM = "5cb4b5e4-34a4-4a63-9d56-d1e2e4ff0b3d"
INTERFACE_ID = "a2a8f0d4-7a0c-4f3e-8ab0-3a9e9a9f3a54"


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        def vsctl(*args: str) -> Any:
            done = lab.daemon.ovs("ovs-vsctl", *args)
            assert done.stderr == ""
            return done.stdout.removesuffix("\n")

        lab.vsctl = vsctl
        yield lab


def in_the_switch(lab: Lab, *command: Any, path: pathlib.Path | None = None, check: bool = True, **environment: Any) -> Any:
    """Runs a program in the switch's namespace; what is in the directory `path` is found first."""
    environment = {**os.environ, "OVS_RUNDIR": str(lab.daemon.rundir), **environment}
    if path:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    return lab.net.switch_run(*command, env=environment, check=check)


def stand_in(directory: pathlib.Path, name: str, script: Any) -> Any:
    """A program that takes the place of one that a test cannot have."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)
    return directory


# libvirt, src/util/virnetdevopenvswitch.c: AddPort with its ConstructVlans. "trunk" is its abbreviation of "trunks".
# Some versions begin with the removal of a port of this name, in the same transaction.
LIBVIRT_NOW = ["--", "--may-exist", "add-port"]
LIBVIRT_THEN = ["--", "--if-exists", "del-port", "vnet0", "--", "add-port"]


def libvirt_add_port(lab: Lab, interface: str, *vlans: Any, begin: list[str] = LIBVIRT_NOW) -> None:
    lab.vsctl("--timeout=5", *begin, "br0", interface, *vlans,
              "--", "set", "Interface", interface, 'external-ids:attached-mac="52:54:00:8c:3a:11"',
              "--", "set", "Interface", interface, f'external-ids:iface-id="{INTERFACE_ID}"',
              "--", "set", "Interface", interface, f'external-ids:vm-id="{VM}"',
              "--", "set", "Interface", interface, "external-ids:iface-status=active")


@pytest.mark.parametrize("begin", [LIBVIRT_NOW, LIBVIRT_THEN], ids=["now", "then"])
@pytest.mark.parametrize("vlans, wire", [((), None), (("tag=42",), 42), (("vlan_mode=native-untagged", "tag=42", "trunk=42,43"), 42),
                                         (("vlan_mode=native-tagged", "tag=42", "trunk=42,43"), 42)],
                         ids=["none", "access", "native-untagged", "native-tagged"])
def test_libvirt_plugs_a_machine_in(lab: Lab, vlans: Any, wire: int | None, begin: list[str]) -> None:
    trunk = lab.host("trunk")
    vnet0 = lab.net.host("vnet0")
    libvirt_add_port(lab, "vnet0", *vlans, begin=begin)
    ofport = lab.vsctl("get", "Interface", "vnet0", "ofport")
    libvirt_add_port(lab, "vnet0", *vlans, begin=begin)  # as when a machine starts again
    assert lab.vsctl("get", "Interface", "vnet0", "ofport") == ofport
    ids = lab.vsctl("get", "Interface", "vnet0", "external_ids")
    assert ids == f'{{attached-mac="52:54:00:8c:3a:11", iface-id="{INTERFACE_ID}", iface-status=active, vm-id="{VM}"}}'
    vnet0.wire.send(frame(mac(1), BROADCAST, b"hello"))
    assert trunk.wire.settle(1) == [frame(mac(1), BROADCAST, b"hello", vlan=wire)]
    assert lab.vsctl("--timeout=5", "iface-to-br", "vnet0") == "br0"  # InterfaceGetMaster
    assert lab.vsctl("--timeout=5", "get", "Interface", "vnet0", "name") == "vnet0"  # GetVhostuserIfname
    assert lab.vsctl("--timeout=5", "--no-headings", "--columns=name", "find", "Interface", "options:vhost-server-path=/tmp/none") == ""
    lab.vsctl("--timeout=5", "--", "--if-exists", "del-port", "vnet0")  # RemovePort
    lab.vsctl("--timeout=5", "--", "--if-exists", "del-port", "vnet0")
    assert lab.daemon.ovs("ovs-vsctl", "--timeout=5", "iface-to-br", "vnet0", check=False).returncode == 1
    assert lab.vsctl("list-ports", "br0") == "trunk"


def test_libvirt_reads_statistics(lab: Lab) -> None:
    """InterfaceStats: virsh domifstat."""
    def statistics(interface: str) -> Any:
        text = lab.vsctl("--timeout=5", "--if-exists", "--format=list", "--data=json", "--no-headings", "--columns=statistics", "list",
                         "Interface", interface)
        return dict(json.loads(text)[1]) if text else None

    lab.host("other")
    vnet0 = lab.net.host("vnet0")
    libvirt_add_port(lab, "vnet0")
    vnet0.wire.send(*[frame(mac(1), BROADCAST, b"x" * 86)] * 7)
    wait_until(lambda: statistics("vnet0").get("rx_packets", 0) >= 7, "frames of the machine are counted")
    seen = statistics("vnet0")
    assert seen["rx_bytes"] >= 700
    assert {"rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"} <= set(seen)
    assert all(isinstance(value, int) for value in seen.values())
    assert statistics("nosuch") is None


def test_libvirt_moves_a_machine_between_vlans_and_hosts(lab: Lab) -> None:
    """UpdateVlan, GetMigrateData, SetMigrateData."""
    trunk = lab.host("trunk")
    vnet0 = lab.net.host("vnet0")
    libvirt_add_port(lab, "vnet0", "tag=42")
    clear = [word for column in ("tag", "trunk", "vlan_mode") for word in ("--", "--if-exists", "clear", "Port", "vnet0", column)]
    moves: list[tuple[list[str], int | None]] = [
        (["--", "--if-exists", "set", "Port", "vnet0", "tag=43"], 43),
        (["--", "--if-exists", "set", "Port", "vnet0", "vlan_mode=native-untagged", "tag=44", "trunk=44,45"], 44),
        ([], None)]
    for options, vlan in moves:
        lab.vsctl("--timeout=5", *clear, *options)
        trunk.wire.clear()
        vnet0.wire.send(frame(mac(1), BROADCAST, b"moved"))
        assert trunk.wire.settle(1) == [frame(mac(1), BROADCAST, b"moved", vlan=vlan)]
    assert lab.vsctl("--timeout=5", "--if-exists", "get", "Interface", "vnet0", "external_ids:PortData") == ""
    lab.vsctl("--timeout=5", "set", "Interface", "vnet0", "external_ids:PortData=\"a state\"")
    assert lab.vsctl("--timeout=5", "--if-exists", "get", "Interface", "vnet0", "external_ids:PortData") == '"a state"'


def test_libvirt_sets_bandwidth_and_takes_it_back(lab: Lab) -> None:
    """InterfaceSetQos and ClearQos. The rows are kept for it; the limits have no effect (schemas/README.md)."""
    lab.net.host("vnet0")
    libvirt_add_port(lab, "vnet0")
    ids = (f'external-ids:vm-id="{VM}"', 'external-ids:ifname="vnet0"')
    limits = ("other_config:min-rate=8000000", "other_config:burst=8388608", "other_config:max-rate=16000000")

    def find(table: str) -> Any:
        return lab.vsctl("--timeout=5", "--no-heading", "--columns=_uuid", "find", table, *ids)

    assert find("queue") == "" and find("qos") == ""
    lab.vsctl("--timeout=5", "set", "port", "vnet0", "qos=@qos1", *ids, "--", "--id=@qos1", "create", "qos", "type=linux-htb", *limits,
              "queues:0=@queue0", *ids, "--", "--id=@queue0", "create", "queue", *limits, *ids)
    queue, qos = find("queue"), find("qos")
    assert re.fullmatch("[-0-9a-f]{36}", queue) and re.fullmatch("[-0-9a-f]{36}", qos)
    lab.vsctl("--timeout=5", "set", "queue", queue, "other_config:min-rate=9000000", *ids)
    lab.vsctl("--timeout=5", "set", "qos", qos, "other_config:min-rate=9000000", *ids)
    lab.vsctl("--timeout=5", "set", "Interface", "vnet0", "ingress_policing_rate=1024", "ingress_policing_burst=2048")
    lab.vsctl("--timeout=5", "remove", "port", "vnet0", "qos", qos)
    lab.vsctl("--timeout=5", "destroy", "qos", qos)
    lab.vsctl("--timeout=5", "destroy", "queue", queue)
    lab.vsctl("--timeout=5", "set", "Interface", "vnet0", "ingress_policing_rate=0", "ingress_policing_burst=0")
    assert find("queue") == "" and find("qos") == ""


IFUPDOWN = pathlib.Path("/usr/share/openvswitch/scripts/ifupdown.sh")


@pytest.mark.skipif(not IFUPDOWN.exists(), reason="needs openvswitch-switch")
def test_ifupdown(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Debian's /etc/network/if-pre-up.d/openvswitch and if-post-down.d, called as ifup and ifdown call them for /etc/network/interfaces:

        auto ovsbr                        allow-ovsbr t1             allow-ovsbr vlan7              allow-ovsbr patch0
        iface ovsbr inet manual           iface t1 inet manual       iface vlan7 inet static        iface patch0 inet manual
            ovs_type OVSBridge                ovs_type OVSPort           ovs_type OVSIntPort            ovs_type OVSPatchPort
            ovs_ports t1 vlan7 patch0         ovs_bridge ovsbr           ovs_bridge ovsbr               ovs_bridge ovsbr
            ovs_extra set bridge ...          ovs_options tag=5          ovs_options tag=7              ovs_patch_peer patch1

    ifup itself and the service manager are stand-ins: they would act on the machine.
    """
    t1 = lab.net.host("t1")
    interfaces = {
        "ovsbr": {"TYPE": "OVSBridge", "PORTS": "t1 vlan7 patch0", "EXTRA": "set bridge ${IFACE} other-config:hwaddr=02:00:00:00:00:77"},
        "t1": {"TYPE": "OVSPort", "BRIDGE": "ovsbr", "OPTIONS": "tag=5"},
        "vlan7": {"TYPE": "OVSIntPort", "BRIDGE": "ovsbr", "OPTIONS": "tag=7"},
        "patch0": {"TYPE": "OVSPatchPort", "BRIDGE": "ovsbr", "PATCH_PEER": "patch1"},
        "patch1": {"TYPE": "OVSPatchPort", "BRIDGE": "br0", "PATCH_PEER": "patch0"},
    }
    programs = stand_in(tmp_path / "bin", "systemctl", "exit 0")  # it is active
    stand_in(programs, "service", "exit 1")
    for name, mode in (("ifup", "start"), ("ifdown", "stop")):
        cases = "".join(f"{interface}) {' '.join(f'IF_OVS_{key}={chr(39)}{value}{chr(39)}' for key, value in settings.items())} "
                        f"IFACE={interface} MODE={mode} {IFUPDOWN} || exit 1 ;;\n" for interface, settings in interfaces.items())
        # The script's own variables are those of the interface that it was called for.
        stand_in(programs, name, f"unset IF_OVS_TYPE IF_OVS_PORTS IF_OVS_EXTRA IF_OVS_OPTIONS IF_OVS_BRIDGE IF_OVS_PATCH_PEER\n"
                 f"for interface; do case $interface in\n--allow=*) ;;\n{cases}*) exit 9;; esac; done")

    def run(program: str, *names: Any) -> None:
        done = in_the_switch(lab, program, *names, path=programs)
        assert done.stdout == "" and done.stderr == "", done

    run("ifup", "ovsbr")
    run("ifup", "ovsbr", "t1")  # once more
    run("ifup", "patch1")
    assert lab.vsctl("list-ports", "ovsbr").split() == ["patch0", "t1", "vlan7"]
    assert lab.vsctl("get", "interface", "ovsbr", "mac_in_use") == '"02:00:00:00:00:77"'
    assert lab.vsctl("get", "interface", "vlan7", "type", "error") == "internal\n[]"
    in_the_switch(lab, "ip", "addr", "add", "10.95.7.1/24", "dev", "vlan7")  # what ifup does after the script
    on_br0 = lab.host("onbr0")
    t1.wire.send(frame(mac(1), BROADCAST, b"in 5"))
    assert on_br0.wire.settle(1) == [frame(mac(1), BROADCAST, b"in 5", vlan=5)], "through the patch ports"
    run("ifdown", "patch1")
    run("ifdown", "t1")
    assert lab.vsctl("list-ports", "ovsbr").split() == ["patch0", "vlan7"]
    run("ifdown", "ovsbr")
    assert lab.vsctl("list-br") == "br0"
    assert in_the_switch(lab, "ip", "link", "show", "vlan7", check=False).returncode != 0
    run("ifdown", "ovsbr")


def test_containerlab(lab: Lab) -> None:
    """containerlab, nodes/ovs/ovs.go (kind ovs-bridge): it works through github.com/digitalocean/go-openvswitch, ovs/vswitch.go.

    It reads what a command prints to both outputs. Before that it asks the kernel for a device called like the bridge, and accepts
    the types bridge and openvswitch only (links/endpoint_bridge.go): ours is a tap device, as in Open vSwitch without kernel module.
    """
    lab.net.host("srl1-eth1")
    lab.net.host("srl2-eth1")
    assert lab.vsctl("list-br").split("\n") == ["br0"]
    for port in ("srl1-eth1", "srl2-eth1", "srl2-eth1"):
        assert lab.vsctl("--may-exist", "add-port", "br0", port) == ""
    assert lab.vsctl("list-ports", "br0").split("\n") == ["srl1-eth1", "srl2-eth1"]
    assert lab.vsctl("port-to-br", "srl1-eth1") == "br0"
    assert json.loads(lab.vsctl("--format=json", "get", "bridge", "br0", "protocols")) == []
    lab.vsctl("set", "bridge", "br0", "protocols=OpenFlow10,OpenFlow13")
    assert lab.vsctl("get", "bridge", "br0", "protocols") == "[OpenFlow10, OpenFlow13]"
    for port in ("srl1-eth1", "srl2-eth1", "srl2-eth1"):
        lab.vsctl("--if-exists", "del-port", "br0", port)
    lab.vsctl("--may-exist", "add-br", "br0")
    lab.vsctl("--if-exists", "del-br", "br0")
    lab.vsctl("--if-exists", "del-br", "br0")
    assert lab.vsctl("list-br") == ""


def test_ansible(lab: Lab) -> None:
    """Ansible's collection openvswitch.openvswitch, plugins/modules: each task reads the state, acts, and finds nothing to do next time."""
    def vsctl(command: str, check: bool = True) -> str:
        done = lab.daemon.ovs("ovs-vsctl", "-t", "5", *command.split(" "), check=check)
        return done.stdout

    def bridge(name: str) -> Any:  # openvswitch_bridge: map_config_to_obj
        if name not in vsctl("list-br").splitlines():
            return None
        ids = dict(line.split("=") for line in vsctl(f"br-get-external-id {name}").splitlines() if line)
        return {"parent": vsctl(f"br-to-parent {name}").strip(), "vlan": vsctl(f"br-to-vlan {name}").strip(),
                "fail_mode": vsctl(f"get-fail-mode {name}").strip() or None, "external_ids": ids}

    def port(name: str) -> Any:  # openvswitch_port
        if name not in vsctl("list-ports br-ex").splitlines():
            return None
        return vsctl(f"get Port {name} tag").strip(), vsctl(f"get Port {name} external_ids").strip()

    def column(table: str, record: Any, name: str) -> Any:  # openvswitch_db
        return found(rf"^{name}(\s+):(\s+)(.*)$", vsctl(f"list {table} {record}"), re.M)[3]

    assert bridge("br-ex") is None
    vsctl("add-br br-ex -- set bridge br-ex datapath_type=netdev")
    vsctl("set-fail-mode br-ex standalone")
    vsctl("br-set-external-id br-ex bridge-id br-ex")
    vsctl("br-set-external-id br-ex owner me")
    assert bridge("br-ex") == {"parent": "br-ex", "vlan": "0", "fail_mode": "standalone",
                               "external_ids": {"bridge-id": "br-ex", "owner": "me"}}
    vsctl("add-br br-int br-ex 405")
    assert bridge("br-int") == {"parent": "br-ex", "vlan": "405", "fail_mode": "standalone", "external_ids": {}}

    lab.net.host("eth2")
    assert port("eth2") is None
    vsctl("add-port br-ex eth2 tag=10 -- set Interface eth2 ofport_request=6")
    vsctl("set port eth2 external_ids:iface-id=eth2")
    assert port("eth2") == ("10", "{iface-id=eth2}")
    vsctl("set port eth2 tag=11")
    vsctl("remove port eth2 external_ids iface-id")
    assert port("eth2") == ("11", "{}")
    vsctl("del-port br-ex eth2")
    assert port("eth2") is None

    assert column("open_vswitch", ".", "other_config") == "{}"
    vsctl("set open_vswitch . other_config:max-idle=50000")
    assert column("open_vswitch", ".", "other_config") == '{max-idle="50000"}'
    assert vsctl("get open_vswitch . other_config:max-idle") == '"50000"\n'
    vsctl("remove open_vswitch . other_config max-idle=50000")
    vsctl("remove open_vswitch . other_config max-idle")
    assert column("open_vswitch", ".", "other_config") == "{}"
    vsctl("set bridge br-ex stp_enable=true")
    assert column("bridge", "br-ex", "stp_enable") == "true"
    vsctl("del-br br-int")
    vsctl("del-br br-ex")
    assert bridge("br-ex") is None
    assert "no bridge named br-ex" in lab.daemon.ovs("ovs-vsctl", "-t", "5", "set-fail-mode", "br-ex", "secure", check=False).stderr


LXC_HOOK = """
bridge=br0
case $3 in
  up) ovs-vsctl --may-exist add-br $bridge; ovs-vsctl --if-exists del-port $bridge $5; ovs-vsctl --may-exist add-port $bridge $5 $6 ;;
  down) ovs-vsctl --if-exists del-port ${bridge} $5 ;;
esac
"""


def test_lxc_hooks(lab: Lab, tmp_path: pathlib.Path) -> None:
    """lxc.container.conf(5), lxc.net.[i].script.up and .down: called with container, "net", "up", "veth" and the device.

    LXC's own attachment (src/lxc/network.c, lxc_ovs_attach_bridge and lxc_ovs_delete_port) is the same two commands.
    """
    hooks = stand_in(tmp_path / "bin", "hook", LXC_HOOK)
    web, db = lab.net.host("vethWEB"), lab.net.host("vethDB")
    for device in ("vethWEB", "vethDB"):
        assert in_the_switch(lab, "hook", device, "net", "up", "veth", device, "tag=30", path=hooks).stderr == ""
    web.wire.send(frame(mac(1), BROADCAST, b"hello"))
    assert [data[14:] for data in db.wire.settle(1)] == [b"hello"]
    web.unplug()  # the kernel removes the device with the container, before the hook
    assert in_the_switch(lab, "hook", "web", "net", "down", "veth", "vethWEB", path=hooks).stderr == ""
    assert lab.vsctl("list-ports", "br0") == "vethDB"
    web.plug()  # it starts again
    assert in_the_switch(lab, "hook", "web", "net", "up", "veth", "vethWEB", "tag=30", path=hooks).stderr == ""
    db.wire.clear()
    web.wire.send(frame(mac(1), BROADCAST, b"again"))
    assert [data[14:] for data in db.wire.settle(1)] == [b"again"]


@pytest.mark.skipif(not shutil.which("ovs-docker"), reason="needs openvswitch-common")
def test_ovs_docker(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Docker is a stand-in that knows one process: a container is a process with a network of its own."""
    peer = lab.host("peer", "10.95.0.9", port_options=("--tag", "9"))
    container = subprocess.Popen(["unshare", "--net", "sleep", "120"])
    lab.net.closing.callback(container.wait)
    lab.net.closing.callback(container.kill)
    wait_until(lambda: os.readlink(f"/proc/{container.pid}/ns/net") != os.readlink("/proc/self/ns/net"), "a network of its own")
    programs = stand_in(tmp_path / "bin", "docker", f'[ "$1" = inspect ] && [ "$4" = c1 ] && echo {container.pid}')

    def ovs_docker(*args: str, check: bool = True) -> Any:
        return in_the_switch(lab, "ovs-docker", *args, path=programs, check=check)

    ovs_docker("add-port", "br0", "eth1", "c1", "--ipaddress=10.95.0.10/24", "--macaddress=02:00:00:00:00:10", "--mtu=1400")
    (port,) = set(lab.vsctl("list-ports", "br0").split()) - {"peer"}
    assert lab.vsctl("get", "interface", port, "external_ids") == "{container_id=c1, container_iface=eth1}"
    assert "Port already attached" in ovs_docker("add-port", "br0", "eth1", "c1", check=False).stderr
    assert peer.ping("10.95.0.10", check=False).returncode == 1
    ovs_docker("set-vlan", "br0", "eth1", "c1", "9")
    peer.ip("neigh", "flush", "dev", "eth0")  # which remembers that nobody answered
    peer.ping("10.95.0.10")
    ovs_docker("add-port", "br1", "eth2", "c1")
    ovs_docker("del-port", "br0", "eth1", "c1")
    assert lab.vsctl("list-ports", "br0") == "peer"
    ovs_docker("del-ports", "br1", "c1")
    assert lab.vsctl("list-br").split() == ["br0", "br1"] and lab.vsctl("list-ports", "br1") == ""
    assert not pathlib.Path(f"/run/netns/{container.pid}").exists()


# What neutron's Open vSwitch agent does through ovsdbapp (neutron/agent/common/ovs_lib.py): its integration bridge, a port of a
# machine, a patch to the physical bridge; and the events of neutron/agent/ovsdb/impl_idl.py.
NEUTRON = r"""
import sys
from ovsdbapp.backend.ovs_idl import connection, event, idlutils
from ovsdbapp.schema.open_vswitch import impl_idl

seen = []

class PortAdded(event.WaitEvent):
    def __init__(self):
        super().__init__((self.ROW_CREATE, self.ROW_UPDATE), "Interface", (("name", "=", "tap0"),), timeout=10)

    def match_fn(self, event, row, old):
        return super().match_fn(event, row, old) and bool(row.ofport) and row.ofport[0] > 0

idl = connection.OvsdbIdl.from_server("tcp:127.0.0.1:6640", "Open_vSwitch")
idl.notify_handler = event.RowEventHandler()
original = idl.notify
idl.notify = lambda kind, row, updates=None: (idl.notify_handler.notify(kind, row, updates), original(kind, row, updates))[1]
ovs = impl_idl.OvsdbIdl(connection.Connection(idl, timeout=10))
added = PortAdded()
idl.notify_handler.watch_event(added)
with ovs.transaction(check_error=True) as txn:
    txn.add(ovs.add_br("br-int", datapath_type="netdev"))
    txn.add(ovs.set_fail_mode("br-int", "standalone"))
    txn.add(ovs.db_set("Bridge", "br-int", ("other_config", {"mac-table-size": "50000"})))
with ovs.transaction(check_error=True) as txn:
    txn.add(ovs.add_port("br-int", "tap0"))
    txn.add(ovs.db_set("Interface", "tap0", ("external_ids", {"iface-id": "some-port", "attached-mac": "fa:16:3e:00:00:01"})))
    txn.add(ovs.db_set("Port", "tap0", ("tag", 3)))
    txn.add(ovs.add_port("br-int", "int-br-ex"))
    txn.add(ovs.db_set("Interface", "int-br-ex", ("type", "patch"), ("options", {"peer": "phy-br-ex"})))
assert added.wait(), "no event for the port"
assert ovs.list_br().execute(check_error=True) == ["br-int"], ovs.list_br().execute()
assert sorted(ovs.list_ports("br-int").execute(check_error=True)) == ["int-br-ex", "tap0"]
assert ovs.iface_to_br("tap0").execute(check_error=True) == "br-int"
assert ovs.br_exists("br-int").execute() and not ovs.br_exists("br-none").execute()
assert ovs.db_get("Port", "tap0", "tag").execute(check_error=True) == 3
assert ovs.db_get("Interface", "tap0", "ofport").execute(check_error=True) > 0
assert ovs.db_get("Bridge", "br-int", "datapath_id").execute(check_error=True)
(found,) = ovs.db_find("Interface", ("external_ids", "=", {"iface-id": "some-port", "attached-mac": "fa:16:3e:00:00:01"}),
                       columns=["name", "ofport", "error"]).execute(check_error=True)
assert found["name"] == "tap0" and found["error"] == [], found
listed = ovs.db_list("Port", ["tap0"], columns=["name", "tag"]).execute(check_error=True)
assert listed == [{"name": "tap0", "tag": 3}], listed
ovs.set_controller("br-int", ["tcp:127.0.0.1:6633"]).execute(check_error=True)
assert ovs.get_controller("br-int").execute(check_error=True) == ["tcp:127.0.0.1:6633"]
ovs.del_controller("br-int").execute(check_error=True)
try:
    ovs.db_add("Port", "tap0", "tag", 6).execute(check_error=True)
    refused = ""
except Exception as error:
    refused = str(error)
assert "constraint violation" in refused, refused
assert ovs.db_get("Port", "tap0", "tag").execute(check_error=True) == 3
ovs.db_clear("Port", "tap0", "tag").execute(check_error=True)
assert ovs.db_get("Port", "tap0", "tag").execute() == []
ovs.del_port("tap0", bridge="br-int").execute(check_error=True)
ovs.del_port("tap0", bridge="br-int", if_exists=True).execute(check_error=True)
ovs.del_br("br-int").execute(check_error=True)
assert ovs.list_br().execute() == []
print("all well")
"""


def test_neutron(lab: Lab) -> None:
    """ovsdbapp over the listener that neutron asks for."""
    pytest.importorskip("ovsdbapp", reason="needs python3-ovsdbapp")
    lab.vsctl("del-br", "br0")
    lab.net.host("tap0")
    # neutron/agent/ovsdb/native/helpers.py: enable_connection_uri
    lab.vsctl("--timeout=10", "--", "--id=@manager", "create", "Manager", 'target="ptcp:6640:127.0.0.1"', "--", "add", "Open_vSwitch", ".",
              "manager_options", "@manager")
    lab.vsctl("set", "Manager", "ptcp:6640:127.0.0.1", "inactivity_probe=10000")
    done = in_the_switch(lab, sys.executable, "-c", NEUTRON, check=False)
    assert done.returncode == 0 and done.stdout == "all well\n", done.stdout + done.stderr
    assert lab.vsctl("list-br") == ""
