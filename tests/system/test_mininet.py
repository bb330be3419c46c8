# SPDX-License-Identifier: Apache-2.0
"""Mininet as Debian ships it, with the switches that it drives through ovs-vsctl."""
from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from switch import Lab

pytestmark = pytest.mark.skipif(not shutil.which("mn"), reason="needs the mininet package")

# Its hosts and switches are shells: they live in a process namespace that ends with mn. It raises kernel limits of the whole machine
# when it starts; a read-only /proc/sys keeps it from that, and it goes on with a warning.
INSIDE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
          'mount -o bind,ro /proc/sys /proc/sys && exec mn "$@"', "mn"]


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.vsctl = lambda *args: lab.daemon.ovs("ovs-vsctl", *args).stdout.strip()
        lab.vsctl("del-br", "br0")
        yield lab


def mn(lab: Lab, *args: str, commands: Any = None) -> str:
    done = subprocess.run(["ip", "netns", "exec", lab.net.switch, *INSIDE, *args], input=commands, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "OVS_RUNDIR": str(lab.daemon.rundir)})
    assert done.returncode == 0, done.stdout
    return done.stdout


def nothing_is_left(lab: Lab) -> None:
    assert lab.vsctl("list-br") == ""
    assert [line.split()[0] for line in lab.net.switch_run("ip", "-br", "link").stdout.splitlines()] == ["lo"]


@pytest.mark.parametrize("switch", ["ovsbr", "ovs,failMode=standalone,datapath=user", "ovs,failMode=standalone,datapath=user,batch=True"])
def test_everybody_reaches_everybody(lab: Lab, switch: Any) -> None:
    said = mn(lab, "--topo", "tree,2,2", "--switch", switch, "--controller", "none", "--test", "pingall")
    assert "Results: 0% dropped (12/12 received)" in said
    nothing_is_left(lab)


def test_commands_of_its_prompt(lab: Lab) -> None:
    """Links go down and come up, a mirror is made by ovs-vsctl, a switch is stopped and started again."""
    said = mn(lab, "--topo", "linear,3", "--switch", "ovsbr,datapath=user", "--controller", "none", commands="""
pingall
sh ovs-vsctl -- --id=@p get port s2-eth1 -- --id=@m create mirror name=m select_all=true output_port=@p -- set bridge s2 mirrors=@m
h1 ping -c 3 -i 0.2 h3
sh ovs-vsctl -t 10 wait-until mirror m 'statistics:tx_packets>=6'
sh ovs-vsctl --bare --columns=name list mirror
sh ovs-vsctl clear bridge s2 mirrors
link s1 s2 down
h1 ping -c 1 -W 1 h3
link s1 s2 up
sh ovs-vsctl -t 10 wait-until interface s1-eth2 link_state=up
pingall
switch s3 stop
sh ovs-vsctl list-br
switch s3 start
pingall
sh ovs-vsctl get bridge s1 datapath_id datapath_type fail_mode
sh ovs-vsctl get interface s2-eth2 ofport ofport_request
""")
    assert said.count("Results: 0% dropped (6/6 received)") == 3, said
    assert "3 packets transmitted, 3 received" in said and "1 packets transmitted, 0 received" in said, said
    assert re.search(r"^(mininet> )*m$", said, re.MULTILINE), said
    assert re.search(r"s1\ns2\n(?!s3)", said), said
    assert '"0000000000000001"\nnetdev\nstandalone\n' in said, said
    assert "2\n2\n" in said, "OpenFlow port numbers are those that it asked for"
    nothing_is_left(lab)


@pytest.mark.skipif(not shutil.which("iperf"), reason="needs iperf")
def test_limited_links_are_limited(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Between two switches as well. A busy machine can only make them slower."""
    topology = tmp_path / "topology.py"
    topology.write_text("""
from mininet.topo import Topo

class Between(Topo):
    def build(self):
        one, two = self.addSwitch('s1'), self.addSwitch('s2')
        self.addLink(self.addHost('h1'), one)
        self.addLink(self.addHost('h2'), two)
        self.addLink(one, two, bw=10)

topos = {'between': Between}
""")
    said = mn(lab, "--custom", str(topology), "--topo", "between", "--link", "tc", "--switch", "ovsbr,datapath=user",
              "--controller", "none",
              commands="pingall\nh1 iperf -s -p 5001 &\nh2 timeout 20 iperf -c h1 -t 2\nsh ovs-vsctl get interface s1-eth2 status:egress\n")
    assert "Results: 0% dropped (2/2 received)" in said
    assert '"qdisc htb"' in said
    rate = re.search(r"([\d.]+) Mbits/sec", said)
    assert rate and float(rate[1]) < 20, said
    nothing_is_left(lab)
