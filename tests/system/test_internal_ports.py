# SPDX-License-Identifier: Apache-2.0
"""Internal ports belong to the host: they outlive the daemon, and go where the host takes them."""
from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Iterator

import openvswitch
import pytest

from lab import Daemon, wait_until
from net import BROADCAST, Net, Wire, frame, mac, run
from openvswitch import OpenVswitch
from switch import Lab


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.vsctl = lambda *args: lab.daemon.ovs("ovs-vsctl", *args).stdout.strip()
        yield lab


def ip(lab: Lab, *args: object, check: bool = True) -> str:
    return run("ip", "-n", lab.net.switch, *args, check=check).stdout


def devices(lab: Lab) -> set[str]:
    return {line.split()[0].partition("@")[0] for line in ip(lab, "-br", "link").splitlines()}


def internal(lab: Lab, name: str, *options: str, bridge: str = "br0") -> None:
    lab.ctl("add-port", bridge, name, "--type", "internal", *options)


def container(lab: Lab) -> str:
    """A network namespace."""
    name = f"{lab.net.uid}-c"
    lab.net.add_namespace(name)
    return name


def wire(lab: Lab, device: str, namespace: str | None = None) -> Wire:
    one = Wire(namespace or lab.net.switch, device)
    lab.net.closing.callback(one.close)
    return one


def stop_and_start(lab: Lab, how: str, while_down: Callable[[], object] = lambda: None) -> None:
    if how == "KILL":
        lab.daemon.kill9()
    else:
        assert lab.daemon.stop() == 0
    while_down()
    lab.daemon.start()


@pytest.mark.parametrize("how", ["TERM", "KILL"])
def test_they_outlive_the_daemon_with_all_that_the_host_gave_them(lab: Lab, how: str) -> None:
    t1 = lab.host("t1", "10.95.0.2")
    lab.host("t2")
    internal(lab, "mir0")
    lab.mirror("m", "--source", "t1", "--output", "mir0")
    for command in ("addr add 10.95.0.1/24 dev br0", "addr add 10.96.0.1/24 dev mir0", "link set br0 up address 02:00:00:00:00:77",
                    "link set mir0 up", "route add default via 10.95.0.2", "route add 10.97.0.0/16 via 10.95.0.2"):
        ip(lab, *command.split())
    capture = wire(lab, "mir0")  # who reads a device keeps reading it
    shown = ("-o addr show br0", "-o addr show mir0", "route")
    before = [ip(lab, *command.split()) for command in shown]
    down: list[str] = []
    stop_and_start(lab, how, lambda: down.append(ip(lab, "-br", "addr", "show", "br0")))
    assert "10.95.0.1/24" in down[0], "also while no daemon runs"
    lab.wait_state("m", "active")
    assert [ip(lab, *command.split()) for command in shown] == before
    assert lab.port("br0")["mac"] == "02:00:00:00:00:77", "the host has chosen it"
    assert "10.95.0.1" in t1.ping("10.95.0.1").stdout
    t1.wire.send(frame(mac(1), BROADCAST, b"after"))
    assert capture.wait(1, match=lambda data: data.startswith(BROADCAST) and b"after" in data)
    assert "br0: taken over" in lab.daemon.log_text()


def test_exit_cleanup_takes_them_along(lab: Lab) -> None:
    lab.net.switch_run("ip", "tuntap", "add", "theirs", "mode", "tap")
    for name in ("i0", "theirs"):
        internal(lab, name)
    lab.daemon.ovs("ovs-appctl", "exit")
    assert lab.daemon.wait() == 0
    assert devices(lab) == {"lo", "br0", "i0", "theirs"}
    lab.daemon.start()
    lab.daemon.ovs("ovs-appctl", "exit", "--cleanup")
    assert lab.daemon.wait() == 0
    assert devices(lab) == {"lo", "theirs"}, "what somebody else has made stays"


@pytest.mark.parametrize("how", ["TERM", "KILL"])
def test_those_whose_rows_go_while_no_daemon_runs_are_removed_at_the_start(lab: Lab, tmp_path: pathlib.Path, how: str) -> None:
    rows = lab.daemon.database.read_bytes()
    lab.net.switch_run("ip", "tuntap", "add", "theirs", "mode", "tap")
    for name in ("i0", "i1", "theirs"):
        internal(lab, name)
    other = Daemon(tmp_path / "other", namespace=lab.net.switch)
    other.directory.mkdir()
    other.start()
    other.ctl("add-br", "br9")
    other.kill9()  # it will come back
    stop_and_start(lab, how, lambda: lab.daemon.database.write_bytes(rows))
    assert devices(lab) == {"lo", "br0", "theirs", "br9"}
    other.start()
    assert other.ctl("show").stdout.count("br9") and "br9: taken over" in other.log_text()
    other.end()


def test_a_removed_port_is_gone_and_its_name_is_free_at_once(lab: Lab) -> None:
    for _ in range(5):
        internal(lab, "i0")
        lab.ctl("del-port", "i0")
        ip(lab, "tuntap", "add", "i0", "mode", "tap")
        ip(lab, "link", "del", "i0")
    for _ in range(5):
        lab.vsctl("add-br", "br1")
        assert lab.vsctl("get", "interface", "br1", "error") == "[]"
        lab.vsctl("del-br", "br1")
        assert "br1" not in devices(lab)
    assert "another program" not in lab.daemon.log_text()


def test_a_row_that_moves_keeps_the_device(lab: Lab) -> None:
    """To another bridge, in one transaction."""
    lab.ctl("add-br", "br1")
    internal(lab, "i0")
    ip(lab, "addr", "add", "10.95.0.1/24", "dev", "i0")
    lab.vsctl("del-port", "br0", "i0", "--", "add-port", "br1", "i0", "--", "set", "interface", "i0", "type=internal")
    assert "10.95.0.1/24" in ip(lab, "addr", "show", "i0")


def test_a_tap_that_was_there_is_used_and_given_back(lab: Lab) -> None:
    t1 = lab.host("t1", "10.95.0.2")
    ip(lab, "tuntap", "add", "theirs", "mode", "tap")
    ip(lab, "link", "set", "theirs", "up", "address", "02:00:00:00:00:33")
    ip(lab, "addr", "add", "10.95.0.1/24", "dev", "theirs")
    internal(lab, "theirs")
    assert lab.port("theirs")["mac"] == "02:00:00:00:00:33"
    t1.ping("10.95.0.1")
    lab.daemon.restart()
    t1.ping("10.95.0.1")
    lab.ctl("del-port", "theirs")
    shown = ip(lab, "addr", "show", "theirs")
    assert "10.95.0.1/24" in shown and "alias" not in shown
    offloads = lab.net.switch_run("ethtool", "-k", "theirs").stdout
    assert "tx-checksumming: off" in offloads and "tcp-segmentation-offload: off" in offloads, "the next program may not expect it"
    internal(lab, "theirs")  # nobody has it open any more
    t1.ping("10.95.0.1")


def test_a_tap_that_another_program_has_open_is_an_error_that_says_so(lab: Lab, tmp_path: pathlib.Path) -> None:
    other = Daemon(tmp_path / "other", namespace=lab.net.switch)
    other.directory.mkdir()
    other.start()
    try:
        other.ctl("add-br", "br9")
        ip(lab, "addr", "add", "10.95.9.1/24", "dev", "br9")
        internal(lab, "br9")
        assert "another program has the tap open" in lab.port("br9")["reason"]
        assert "another program has the tap open" in lab.vsctl("get", "interface", "br9", "error")
        lab.ctl("del-port", "br9")
        lab.daemon.restart()
        assert "10.95.9.1/24" in ip(lab, "addr", "show", "br9"), "it is the other's"
        assert other.rpc("port.get", {"name": "br9"})["reason"].startswith("no host uses it")
    finally:
        other.end()


@pytest.mark.parametrize("how", ["tun", "multi_queue", "veth"])
def test_a_device_that_cannot_be_an_internal_port_says_why(lab: Lab, how: str) -> None:
    if how == "veth":
        ip(lab, "link", "add", "x0", "type", "veth", "peer", "name", "x1")
    elif how == "tun":
        ip(lab, "tuntap", "add", "x0", "mode", "tun")
    else:
        ip(lab, "tuntap", "add", "x0", "mode", "tap", "multi_queue")
    lab.ctl("add-port", "br0", "x0", "--type", "internal", check=False)
    assert lab.port("x0")["reason"] == "cannot open the internal port x0: the device with this name is not a tap with a single queue"
    lab.ctl("del-port", "x0")
    assert "x0" in devices(lab)


def test_in_a_container_it_goes_on(lab: Lab) -> None:
    t1, t2 = lab.host("t1", "10.95.0.2"), lab.host("t2")
    internal(lab, "c1")
    lab.mirror("from", "--source", "c1:from", "--output", "t2")
    ofport = lab.vsctl("get", "interface", "c1", "ofport")
    inside = container(lab)
    ip(lab, "link", "set", "c1", "netns", inside)
    run("ip", "-n", inside, "link", "set", "c1", "name", "eth0")
    run("ip", "-n", inside, "addr", "add", "10.95.0.9/24", "dev", "eth0")
    run("ip", "-n", inside, "link", "set", "eth0", "up")
    lab.wait_port("c1", "active")
    run("ip", "netns", "exec", inside, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", "10.95.0.2")
    t1.ping("10.95.0.9")
    assert t2.wire.wait(2, match=lambda data: data[12:14] == b"\x08\x00"), "the session goes on"
    assert "c1" not in devices(lab), "no second one"
    assert lab.vsctl("get", "interface", "c1", "ofport", "error").split() == [ofport, "[]"]
    assert lab.vsctl("get", "interface", "c1", "status:device") == '"eth0 in another network namespace"'
    assert re.search(r"ifindex +\d+ \(eth0 in another network namespace\)", lab.ctl("show-port", "c1").stdout)
    address = run("ip", "-n", inside, "-o", "link", "show", "eth0").stdout
    assert lab.vsctl("get", "interface", "c1", "mac_in_use").strip('"') in address
    # What happens inside is seen.
    run("ip", "-n", inside, "link", "set", "eth0", "down")
    lab.wait_port("c1", "down")
    run("ip", "-n", inside, "link", "set", "eth0", "up", "mtu", "1400")
    lab.wait_port("c1", "active")
    wait_until(lambda: lab.port("c1")["mtu"] == 1400, "its MTU is known")
    # And it comes home.
    run("ip", "-n", inside, "link", "set", "eth0", "netns", lab.net.switch)
    ip(lab, "link", "set", "eth0", "name", "c1")
    ip(lab, "addr", "add", "10.95.0.9/24", "dev", "c1")
    ip(lab, "link", "set", "c1", "up")
    assert lab.wait_port("c1", "active")["device"] is None
    t1.ping("10.95.0.9")
    assert lab.vsctl("get", "interface", "c1", "ofport", "error").split() == [ofport, "[]"]
    lab.daemon.restart()
    t1.ping("10.95.0.9")


def test_as_a_destination_in_a_container(lab: Lab) -> None:
    t1 = lab.host("t1")
    internal(lab, "c1")
    lab.mirror("to", "--source", "t1", "--output", "c1")
    inside = container(lab)
    ip(lab, "link", "set", "c1", "netns", inside)
    run("ip", "-n", inside, "link", "set", "c1", "up")
    lab.wait_state("to", "active")
    capture = wire(lab, "c1", inside)
    t1.wire.send(frame(mac(1), BROADCAST, b"copied"))
    assert capture.wait(1) == [frame(mac(1), BROADCAST, b"copied")]


def test_when_its_container_ends_it_is_made_again(lab: Lab) -> None:
    internal(lab, "c1")
    inside = container(lab)
    ip(lab, "link", "set", "c1", "netns", inside)
    wait_until(lambda: "c1" not in devices(lab), "it has left")
    assert lab.vsctl("get", "interface", "c1", "error") == "[]"
    run("ip", "netns", "del", inside)
    wait_until(lambda: "c1" in devices(lab), "it is made again")
    assert lab.wait_port("c1", "down")["reason"] == "no host uses it (ip link set c1 up)"


def test_in_a_container_it_does_not_outlive_the_daemon(lab: Lab) -> None:
    """Nobody could take it over there; so there is room for the next one."""
    internal(lab, "c1")
    inside = container(lab)
    for how in ("KILL", "TERM"):
        ip(lab, "link", "set", "c1", "netns", inside)
        wait_until(lambda: "another network" in lab.vsctl("get", "interface", "c1", "status"), "the daemon knows it")
        stop_and_start(lab, how)
        assert "c1" not in run("ip", "-n", inside, "link").stdout
        assert "c1" in devices(lab)
    ip(lab, "link", "set", "c1", "netns", inside)
    lab.ctl("del-port", "c1")
    wait_until(lambda: "c1" not in run("ip", "-n", inside, "link").stdout, "it goes with its row, there too")


def test_renamed_it_goes_on(lab: Lab) -> None:
    t1 = lab.host("t1", "10.95.0.2")
    internal(lab, "i0")
    ip(lab, "link", "set", "i0", "name", "other0")
    ip(lab, "addr", "add", "10.95.0.1/24", "dev", "other0")
    ip(lab, "link", "set", "other0", "up")
    port = lab.wait_port("i0", "active")
    assert port["reason"] == "the device is called other0 now"
    assert lab.vsctl("get", "interface", "i0", "status:device", "error").split() == ["other0", "[]"]
    t1.ping("10.95.0.1")
    lab.daemon.restart()
    assert {"other0"} == devices(lab) & {"i0", "other0"}, "taken over under its new name"
    t1.ping("10.95.0.1")
    lab.ctl("del-port", "i0")
    assert "other0" not in devices(lab)


def mtus(lab: Lab, *names: str) -> list[int]:
    return [int(re.findall(r" mtu (\d+) ", ip(lab, "link", "show", name))[0]) for name in names]


def test_the_mtu_follows_the_other_ports(lab: Lab) -> None:
    t1, t2 = lab.host("t1", "10.95.0.2", mtu=2000), lab.host("t2", "10.95.0.3", mtu=2000)
    assert mtus(lab, "br0") == [2000]
    ip(lab, "addr", "add", "10.95.0.1/24", "dev", "br0")
    ip(lab, "link", "set", "br0", "up")
    t1.ping("10.95.0.1")
    ip(lab, "link", "set", "t2", "mtu", "1400")
    t2.ip("link", "set", "eth0", "mtu", "1400")
    wait_until(lambda: mtus(lab, "br0") == [1400], "it follows")
    wait_until(lambda: lab.port("br0")["mtu"] == 1400, "the row says so")
    assert "message too long, mtu=1400" in lab.net.switch_run(
        "ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", "1472", "10.95.0.3", check=False).stderr, "no black hole"
    ip(lab, "link", "set", "br0", "mtu", "1300")
    lab.daemon.restart()
    assert mtus(lab, "br0") == [1300], "the host may have a smaller one, also over a restart"
    ip(lab, "link", "set", "br0", "mtu", "1600")
    wait_until(lambda: mtus(lab, "br0") == [1400], "but no larger one")
    internal(lab, "i0", "--mtu", "1350")
    wait_until(lambda: mtus(lab, "br0", "i0") == [1350, 1350], "one with a request counts")
    lab.ctl("set-port", "i0", "--mtu", "none")
    wait_until(lambda: mtus(lab, "br0", "i0") == [1400, 1400], "without it, it follows")


@openvswitch.needed
def test_the_mtu_is_that_of_open_vswitch(lab: Lab, tmp_path: pathlib.Path) -> None:
    """After each step, of all that are internal."""
    with OpenVswitch(tmp_path) as theirs:
        def each(act: Callable[[Net, Callable[..., str]], object]) -> None:
            for net, vsctl in ((theirs.net, theirs.vsctl), (lab.net, lab.vsctl)):
                act(net, vsctl)

        def seen(net: Net) -> dict[str, str]:
            lines = run("ip", "-n", net.switch, "-o", "link").stdout.splitlines()
            mtu = {line.split(": ")[1].partition("@")[0]: line.partition(" mtu ")[2].split()[0] for line in lines}
            return {name: mtu[name] for name in sorted(mtu) if name in ("br0", "i0", "i1")}

        def link(*args: str) -> None:
            each(lambda net, _: run("ip", "-n", net.switch, "link", *args))

        def rows(*args: str) -> None:
            each(lambda _, vsctl: vsctl(*args))

        def are(**expected: int) -> None:
            wanted = {name: str(mtu) for name, mtu in expected.items()}
            for whose, net in (("Open vSwitch", theirs.net), ("vswitch", lab.net)):
                wait_until(lambda: seen(net) == wanted, f"{whose}: {wanted}, not {seen(net)}", timeout=10)  # noqa: B023

        theirs.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
        for port in ("p1", "p2"):
            link("add", port, "mtu", "2000", "type", "veth", "peer", "name", f"{port}x", "mtu", "2000")
        link("set", "br0", "mtu", "1600")
        are(br0=1600)
        rows("add-port", "br0", "p1", "--", "add-port", "br0", "p2")
        are(br0=2000)
        link("set", "p2", "mtu", "1400")
        are(br0=1400)
        link("set", "br0", "mtu", "1300")
        rows("add-port", "br0", "i0", "--", "set", "interface", "i0", "type=internal", "mtu_request=1350")
        are(br0=1350, i0=1350)
        link("set", "i0", "mtu", "1360")
        are(br0=1350, i0=1350)
        rows("add-port", "br0", "i1", "--", "set", "interface", "i1", "type=tap")
        are(br0=1350, i0=1350, i1=1350)
        link("set", "i1", "mtu", "1200")
        rows("add-port", "br0", "v1", "--", "set", "interface", "v1", "type=vxlan", "options:remote_ip=192.0.2.1")
        are(br0=1350, i0=1350, i1=1200)
        rows("del-port", "i0")
        rows("del-port", "p1")
        rows("del-port", "p2")
        are(br0=1500, i1=1500)
