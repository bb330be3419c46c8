# SPDX-License-Identifier: Apache-2.0
"""The commands of stock ovs-appctl, one by one, beside a real ovs-vswitchd."""
from __future__ import annotations

import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import Any

import openvswitch
import pytest
from lab import wait_until
from switch import Lab

pytestmark = openvswitch.needed


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        openvswitch.make_devices(lab.net.switch)
        yield lab


@pytest.fixture
def ovs(tmp_path: pathlib.Path) -> Iterator[openvswitch.OpenVswitch]:
    with openvswitch.OpenVswitch(tmp_path) as ovs:
        openvswitch.make_devices(ovs.net.switch)
        yield ovs


def set_up(lab: Lab, ovs: openvswitch.OpenVswitch) -> None:
    """The same bridge for both, by the same client."""
    ports = [word for number in (1, 2) for word in (
        "--", "add-port", "br0", f"p{number}", "--", "set", "interface", f"p{number}", f"ofport_request={number}")]
    ovs.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", *ports)
    lab.daemon.ovs("ovs-vsctl", "--may-exist", "add-br", "br0", *ports)


def commands(text: str) -> dict[str, str]:
    """Names and usage as list-commands prints them."""
    lines = text.splitlines()
    assert lines[0] == "The available commands are:"
    return {words[0]: words[1] if len(words) > 1 else "" for words in (line.split(None, 1) for line in lines[1:])}


def asked(rundir: Any, *args: str) -> tuple[int, str, str]:
    done = openvswitch.client(rundir, "ovs-appctl", *args)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("program", ["ovs-vswitchd", "ovsdb-server"])
def test_every_command_of_open_vswitch_is_there(lab: Lab, ovs: openvswitch.OpenVswitch, program: str) -> None:
    theirs = commands(asked(ovs.rundir, "-t", program, "list-commands")[1])
    ours = commands(asked(lab.daemon.rundir, "-t", program, "list-commands")[1])
    assert len(theirs) > 20
    assert not set(theirs) - set(ours), "commands that are missing"
    # Arguments that make sense for one of several databases are optional here.
    optional = {"exit", "ovsdb-server/compact", "ovsdb-server/set-active-ovsdb-server"}
    assert {name: usage for name, usage in theirs.items() if ours[name] != usage and name not in optional} == {}
    # dpctl's own list is a part of it.
    if program == "ovs-vswitchd":
        listed = [asked(rundir, "dpctl/list-commands")[1].splitlines() for rundir in (ovs.rundir, lab.daemon.rundir)]
        assert sorted(listed[0]) == sorted(listed[1])


def test_every_command_answers_or_says_why_not(lab: Lab, ovs: openvswitch.OpenVswitch) -> None:
    """With the arguments that Open vSwitch requires, no command is an internal error or silent about a refusal."""
    set_up(lab, ovs)
    skipped = {"exit"}
    for name, usage in commands(asked(ovs.rundir, "list-commands")[1]).items():
        if name in skipped:
            continue
        for words in range(0, 5):
            code, out, err = asked(lab.daemon.rundir, name, *["br0", "p1", "1", "1"][:words])
            assert code in (0, 2), (name, usage, err)
            assert "internal error" not in err and "not a valid command" not in err, (name, err)
            assert code == 0 or len(err.splitlines()[0]) > 3, (name, words)
            assert code == 0 or out == "", (name, words)
    assert lab.daemon.serves()


# The same answer, to the byte, from both.
SAME = """
    autoattach/show-isid
    autoattach/show-isid br0
    autoattach/statistics
    autoattach/status
    bfd/show
    bfd/show p1
    bfd/set-forwarding p1 true
    bond/list
    bond/show
    bond/show p1
    bond/migrate p1 1 p2
    bond/disable-member p1 p2
    bond/enable-member p1 p2
    bond/set-active-member p1 p2
    bridge/reconnect
    bridge/reconnect br0
    bridge/reconnect nope
    cfm/show
    cfm/show p1
    cfm/set-fault p1 true
    coverage/read-counter nope
    dpctl/dump-dps
    dpctl/dump-conntrack
    dpctl/flush-conntrack
    dpctl/ct-get-nconns
    dpctl/ct-stats-show
    dpctl/cache-get-size
    dpctl/dump-flows nope
    dpctl/del-flows
    dpctl/get-flow ufid:00000000-0000-0000-0000-000000000000
    dpif-netdev/bond-show
    dpif/dump-flows nope
    lacp/show
    lacp/show p1
    lacp/show-stats
    mdb/flush
    mdb/flush br0
    mdb/show br0
    ofproto/list
    qos/show p1
    qos/show nope
    revalidator/wait
    revalidator/purge
    rstp/show
    rstp/show br0
    rstp/tcn br0
    stp/show
    stp/show br0
    stp/show nope
    stp/tcn br0
    vlog/set nope
    vlog/disable-rate-limit
    vlog/disable-rate-limit nope
    vlog/enable-rate-limit
    vlog/set ANY:syslog:off
"""


def test_the_same_answers(lab: Lab, ovs: openvswitch.OpenVswitch) -> None:
    set_up(lab, ovs)
    assert not openvswitch.differences(SAME, ovs.rundir, lab.daemon.rundir, "ovs-appctl")


def test_no_flow_is_cached(lab: Lab, ovs: openvswitch.OpenVswitch) -> None:
    """As Open vSwitch answers while it has none, with every option; the words of bond/list and the like are in SAME."""
    set_up(lab, ovs)
    for options in ("", "-m", "--names", "type=all", "filter=tcp", "netdev@ovs-netdev"):
        assert asked(lab.daemon.rundir, *shlex.split(f"dpctl/dump-flows {options}")) == (0, "", ""), options
    assert asked(lab.daemon.rundir, "dpif/dump-flows", "-m", "br0") == (0, "", "")
    shown = asked(lab.daemon.rundir, "upcall/show")[1]
    theirs = asked(ovs.rundir, "upcall/show")[1]
    assert [line.split(":")[0] for line in shown.splitlines()[:4]] == [line.split(":")[0] for line in theirs.splitlines()[:4]]


def test_list_tunnels(lab: Lab, ovs: openvswitch.OpenVswitch) -> None:
    set_up(lab, ovs)
    tunnels: list[tuple[str, list[str]]] = [
        ("gre", []), ("gre", ["key=5", "ttl=inherit", "tos=inherit"]), ("vxlan", ["key=16777215", "local_ip=10.0.0.1"]),
        ("gre", ["tos=0x48", "ttl=9", "csum=true", "key=77"]), ("vxlan", ["df_default=false", "remote_ip=fd00::9"]),
        ("geneve", ["key=9"])]
    for number, (kind, options) in enumerate(tunnels):
        settings = [f"options:{option}" for option in (f"remote_ip=10.0.0.{number + 9}", *options)]
        command = ["add-port", "br0", f"g{number}", "--", "set", "interface", f"g{number}", f"type={kind}", *settings]
        ovs.vsctl(*command)
        lab.daemon.ovs("ovs-vsctl", *command)

    def lines(rundir: Any) -> list[str]:
        """Without the number in the datapath: Open vSwitch has one device for all tunnels of a kind."""
        text = asked(rundir, "ofproto/list-tunnels")[1]
        return sorted(re.sub(r"port[ =]\d+", "port", text).splitlines())

    wait_until(lambda: len(lines(ovs.rundir)) == len(tunnels), "all tunnels of Open vSwitch")
    assert lines(lab.daemon.rundir) == lines(ovs.rundir)


FLOWS = (
    "tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_dst=80,nw_ttl=64",
    "tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1,tp_dst=80,tcp_flags=0x12,nw_ttl=3,nw_tos=184,nw_ecn=1",
    "udp,dl_vlan=10,dl_vlan_pcp=3,nw_src=10.0.0.1,udp_dst=53,nw_ttl=64",
    "sctp,nw_src=10.0.0.1,sctp_dst=53,nw_ttl=64",
    "icmp,nw_src=10.0.0.1,icmp_type=8,icmp_code=0,nw_ttl=64",
    "ip,nw_proto=89,nw_ttl=1",
    "tcp,nw_frag=later,nw_ttl=9",
    "tcp6,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::2,tp_dst=443,nw_ttl=64,ipv6_label=0x12345",
    "udp6,ipv6_src=fe80::1,udp_dst=53,nw_ttl=64,nw_tos=40",
    "icmp6,ipv6_src=fe80::1,icmpv6_type=128,icmpv6_code=0,nw_ttl=64",
    "icmp6,ipv6_src=fe80::1,ipv6_dst=ff02::1:ff00:2,icmpv6_type=135,icmpv6_code=0,nd_target=fe80::2,nd_sll=02:00:00:00:00:01,nw_ttl=255",
    "arp,arp_op=1,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_sha=02:00:00:00:00:01",
    "rarp,arp_op=3,arp_sha=02:00:00:00:00:01",
    "dl_type=0x88b5",
    "dl_vlan=4,dl_type=0x88cc",
)


def test_trace_is_about_the_frame_that_was_asked_for(lab: Lab, ovs: openvswitch.OpenVswitch) -> None:
    """The line "Flow:" says which frame is explained: for every field, that of Open vSwitch."""
    set_up(lab, ovs)

    def explained(rundir: Any, port: str, flow: str) -> str:
        code, out, err = asked(rundir, "ofproto/trace", "br0", f"in_port={port},dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,{flow}")
        assert code == 0, f"{flow}: {err}"
        return out.splitlines()[0]

    wrong = []
    for flow in FLOWS:
        for port in ("1", "p2", "LOCAL", "local", "65534"):
            theirs, ours = explained(ovs.rundir, port, flow), explained(lab.daemon.rundir, port, flow)
            if theirs != ours:
                wrong.append(f"{port} {flow}\n  Open vSwitch: {theirs}\n  vswitchd:     {ours}")
    assert not wrong, "\n".join(wrong)
    # A session with a filter sees the same frame.
    lab.mirror("web", "--source", "p1:from", "--output", "p2", "--normal-io", "--filter", "tcp,tp_dst=80")
    for flow, verdict in ((FLOWS[0], "selected: from p1"), (FLOWS[2], "no copy: ")):
        assert verdict in asked(lab.daemon.rundir, "ofproto/trace", "br0", f"in_port=p1,{flow}")[1].split("session web: ")[1]


# As dpctl/dump-flows prints them, with and without names and masks.
DATAPATH_FLOWS = (
    "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x88b5)",
    "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0xb9,ttl=33,frag=no),"
    "tcp(src=1025,dst=80),tcp_flags(syn|ack)",
    "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x8100),vlan(vid=7,pcp=5),encap(eth_type(0x0800),"
    "ipv4(src=10.0.0.1/0.0.0.0,dst=10.0.0.2/255.255.255.0,proto=17,tos=0/0,ttl=64/0,frag=no),udp(src=53,dst=1025))",
    "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=later)",
    "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=1,tos=0,ttl=64,frag=no),"
    "icmp(type=8,code=0)",
    "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0x12345,proto=6,tclass=0x2e,"
    "hlimit=9,frag=no),tcp(src=1025,dst=443)",
    "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0,proto=58,tclass=0,"
    "hlimit=255,frag=no),icmpv6(type=135,code=0),nd(target=fe80::2,sll=02:00:00:00:00:01,tll=00:00:00:00:00:00)",
    "eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=02:00:00:00:00:01,"
    "tha=00:00:00:00:00:00)",
)


def test_trace_takes_flows_of_the_datapath(lab: Lab, ovs: openvswitch.OpenVswitch) -> None:
    """The same frame as in Open vSwitch, and the same steps as for the flow of a bridge."""
    set_up(lab, ovs)

    def traced(rundir: Any, *args: str) -> str:
        code, out, err = asked(rundir, "ofproto/trace", *args)
        assert code == 0, (args, err)
        return out

    number = next(line.split()[1].rstrip(":") for line in asked(lab.daemon.rundir, "dpctl/show")[1].splitlines()
                  if line.startswith("  port ") and line.split()[2] == "p2")
    wrong = []
    for flow in DATAPATH_FLOWS:
        theirs = traced(ovs.rundir, "ovs-netdev", f"in_port(p2),{flow}").splitlines()[0]
        for args in (["ovs-netdev", f"in_port(p2),{flow}"], [f"recirc_id(0),in_port({number}),packet_type(ns=0,id=0),{flow}"],
                     ["netdev@ovs-netdev", f"recirc_id(0),in_port({number}),{flow}, packets:5, bytes:300, used:0.1s, actions:2",
                      "-generate"],
                     [f"ufid:6f2c1b94-0000-0000-0000-000000000000, skb_priority(0/0),ct_state(0/0),in_port(p2),{flow}"]):
            ours = traced(lab.daemon.rundir, *args)
            if theirs != ours.splitlines()[0]:
                wrong.append(f"{args}\n  Open vSwitch: {theirs}\n  vswitchd:     {ours.splitlines()[0]}")
            assert 'bridge("br0")' in ours and " 0. priority 0\n    NORMAL\n" in ours
    assert not wrong, "\n".join(wrong)
    of_bridge = traced(lab.daemon.rundir, "br0", "in_port=p2,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,dl_type=0x88b5")
    assert traced(lab.daemon.rundir, f"in_port(p2),{DATAPATH_FLOWS[0]}") == of_bridge
    packet = "ffffffffffff02000000000a88b5" + "00" * 46
    assert traced(lab.daemon.rundir, "in_port(p2)", packet) == traced(lab.daemon.rundir, "br0", "in_port=p2", packet)


@pytest.mark.parametrize("args, sentence", [
    (["ovs-netdev", "in_port(p9),eth_type(0x88b5)"], "the datapath has no port p9: dpctl/show lists its ports"),
    (["in_port(77),eth_type(0x88b5)"], "the datapath has no port 77"),
    (["system@nope", "in_port(p1),eth_type(0x88b5)"], "system@nope: unknown datapath"),
    (["eth_type(0x88b5)"], "the flow needs in_port()"),
    (["in_port(p1),bogus(1)"], "Bad datapath flow syntax: bogus"),
    (["in_port(p1),tcp(flags=1)"], "tcp has no such field"),
    (["in_port(p1),eth(src=02:00:00:00:00:01"], "parenthesis"),
    (["in_port(p1),eth_type(0x88a8),vlan(vid=7,pcp=0),encap(eth_type(0x0800))"], "as a packet in hexadecimal"),
    (["in_port(p1),eth_type(0x8100),vlan(vid=7,pcp=0),encap(eth_type(0x8100),vlan(vid=8,pcp=0))"], "as a packet in hexadecimal"),
    (["in_port(p1),tcp(dst=80)"], "tp_dst"), (["br0"], "give a bridge and a flow")])
def test_flows_of_the_datapath_that_are_no_frame(lab: Lab, args: list[str], sentence: str) -> None:
    lab.daemon.ovs("ovs-vsctl", "--may-exist", "add-br", "br0", "--", "add-port", "br0", "p1")
    code, _, err = asked(lab.daemon.rundir, "ofproto/trace", *args)
    assert code != 0 and sentence in err, err


def test_trace_of_a_packet_and_its_options(lab: Lab, ovs: openvswitch.OpenVswitch) -> None:
    set_up(lab, ovs)
    packet = "ffffffffffff02000000000a080045000028000000004006000a0a0000010a00000200010050" + "00" * 8 + "50020000" + "00" * 4
    texts = []
    for rundir in (ovs.rundir, lab.daemon.rundir):
        for options in ("", "--ct-next trk,new"):
            code, out, err = asked(rundir, "ofproto/trace", "br0", "in_port=1", packet, *options.split())
            assert code == 0, err
            texts.append(out.splitlines()[0])
    assert len(set(texts)) == 1 and "tp_dst=80" in texts[0]
    ours = lab.daemon.rundir
    assert "whole packet" in asked(ours, "ofproto/trace", "br0", "in_port=1", "--l7", "00")[2]


def test_log_destinations_have_levels_of_their_own(lab: Lab) -> None:
    """ovs-ctl and others turn the console or syslog off: that does not silence the file."""
    def levels() -> list[str]:
        lines = lab.daemon.ovs("ovs-appctl", "vlog/list").stdout.splitlines()[2:]
        return next(line.split()[1:] for line in lines if line.split()[0] == "daemon")

    assert levels() == ["INFO", "OFF", "INFO"]
    lab.daemon.ovs("ovs-appctl", "vlog/set", "syslog:off")
    lab.daemon.ovs("ovs-appctl", "vlog/set", "console:off")
    assert levels() == ["OFF", "OFF", "INFO"]
    lab.daemon.ovs("ovs-appctl", "vlog/set", "daemon:file:dbg")
    assert levels() == ["OFF", "OFF", "DBG"]
    for spec in ("syslog:info", "FACILITY:daemon"):
        assert "there is no syslog" in lab.daemon.ovs("ovs-appctl", "vlog/set", spec, check=False).stderr
    assert "vlog/list-pattern" in lab.daemon.ovs("ovs-appctl", "vlog/set", "PATTERN:file:%m", check=False).stderr
    assert "FILE     none" in lab.daemon.ovs("ovs-appctl", "vlog/list-pattern").stdout
