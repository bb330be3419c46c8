#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Wireshark's door to vswitch: bridges, ports and mirror sessions as interfaces to capture from, here or on another host by ssh.

An extcap program (man 4 extcap): Wireshark asks it for interfaces and their options, and starts it with a fifo, into which `vswitch-ctl
capture` then writes. Wireshark ends it by SIGTERM, which vswitch-ctl, being this process by then, takes for the end of the capture.
"""
from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import urllib.parse
from typing import Any

CTL = os.environ.get("VSWITCH_CTL", "vswitch-ctl")
SSH = "vswitch-ssh"
LIST_TIMEOUT_S = 3  # Wireshark waits for the list before it shows itself


def ask(*command: str) -> Any:
    """What vswitch-ctl says, or None: without a daemon there is nothing to list."""
    try:
        done = subprocess.run([CTL, "--json", "--timeout", "2", *command], capture_output=True, text=True, timeout=LIST_TIMEOUT_S)
        return json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None


def value_of(bridge: str, kind: str = "", name: str = "") -> str:
    """The name by which Wireshark calls an interface; parse() is its inverse."""
    return "/".join(urllib.parse.quote(part, safe="") for part in ("vswitch", bridge, kind, name) if part)


def parse(value: str) -> tuple[str, str, str]:
    """Bridge, kind (port, session or nothing) and name."""
    parts = [urllib.parse.unquote(part) for part in value.split("/")]
    if parts[0] != "vswitch" or len(parts) not in (2, 4):
        raise SystemExit(f"vswitch-extcap: there is no interface {value}: --extcap-interfaces lists them")
    return (parts[1], parts[2], parts[3]) if len(parts) == 4 else (parts[1], "", "")


def sentence(**members: str) -> str:
    """{key=value}...: braces would end a value."""
    return "".join(f"{{{key}={value.replace('{', '(').replace('}', ')')}}}" for key, value in members.items())


def print_interfaces() -> None:
    print("extcap " + sentence(version="1.0", help="https://www.wireshark.org/docs/man-pages/extcap.html", display="vswitch"))
    for bridge in (ask("list-br") or {"bridges": []})["bridges"]:
        name = bridge["name"]
        print("interface " + sentence(value=value_of(name), display=f"vswitch bridge {name}, all ports"))
    for port in (ask("list-ports") or {"ports": []})["ports"]:
        bridge, name = port["bridge"], port["name"]
        print("interface " + sentence(value=value_of(bridge, "port", name), display=f"vswitch port {name} on {bridge}"))
    for session in (ask("list-mirrors") or {"mirrors": []})["mirrors"]:
        if not session["destination"].get("capture"):
            bridge, name = session["bridge"], session["name"]
            print("interface " + sentence(value=value_of(bridge, "session", name), display=f"vswitch session {name} on {bridge}"))
    print("interface " + sentence(value=SSH, display="vswitch on another host, by ssh"))


def print_config(interface: str) -> None:
    """The options, which come back as --direction and so on."""
    arguments: list[dict[str, str]] = []
    values: list[str] = []
    if interface == SSH:
        arguments += [{"call": "--remote-host", "display": "Host", "type": "string", "tooltip": "[user@]host", "required": "true"},
                      {"call": "--remote-bridge", "display": "Bridge", "type": "string", "default": "br0"},
                      {"call": "--remote-source", "display": "Ports", "type": "string",
                       "tooltip": "separated by commas; empty: all ports of the bridge"},
                      {"call": "--remote-command", "display": "Command there", "type": "string", "default": "vswitch-ctl"}]
    elif parse(interface)[1] == "port":
        arguments.append({"call": "--direction", "display": "Direction", "type": "selector"})
        for direction, display in (("both", "both"), ("from", "what its host sends"), ("to", "what it is sent")):
            values.append("value " + sentence(arg="0", value=direction, display=display, default=str(direction == "both").lower()))
    if interface == SSH or parse(interface)[1] != "session":  # which has its own
        arguments.append({"call": "--match", "display": "Match in the switch", "type": "string", "tooltip": "such as tcp,tp_dst=80"})
    for number, argument in enumerate(arguments):
        print("arg " + sentence(number=str(number), **argument))
    for value in values:
        print(value)


def of_session(bridge: str, name: str) -> list[str]:
    """The arguments of a capture that selects what the session selects."""
    session = ask("show-mirror", bridge, name)
    if session is None:
        raise SystemExit(f"vswitch-extcap: bridge {bridge} has no session {name}, or no daemon answers")
    arguments: list[str] = []
    for port in session["sources"]["ports"]:
        kinds = {"name": "", "glob": "", "iface_id": "iface-id=", "mac": "mac="}
        source = next(prefix + port[kind] for kind, prefix in kinds.items() if kind in port)
        arguments += ["--source", f"{source}:{port['direction']}" if "mac" not in port else source]
    if session["sources"]["vlans"]:
        arguments += ["--source-vlan", ",".join(map(str, session["sources"]["vlans"]))]
    for option in ("filter", "skip"):
        for match in session[option] or []:
            arguments += ["--" + option, match]
    return arguments


def capture_command(options: argparse.Namespace) -> list[str]:
    common = ["-w", "-"]
    if options.match:
        common += ["--filter", options.match]
    if options.extcap_capture_filter:
        common += ["--bpf", options.extcap_capture_filter]
    if options.extcap_interface == SSH:
        if not options.remote_host or options.remote_host.startswith("-"):
            raise SystemExit("vswitch-extcap: give the host to capture on: --remote-host [user@]host")
        sources = [word for port in options.remote_source.split(",") if port for word in ("--source", port)]
        there = [options.remote_command, "capture", options.remote_bridge, *sources, *common]
        return ["ssh", "-oBatchMode=yes", options.remote_host, "--", shlex.join(there)]
    bridge, kind, name = parse(options.extcap_interface)
    if kind == "":
        selection = []
    elif kind == "port":
        selection = ["--source", f"{name}:{options.direction}"]
    else:
        selection = of_session(bridge, name)
    return [CTL, "capture", bridge, *selection, *common]


def check_filter(text: str) -> None:
    """Prints what is wrong with a capture filter; nothing: it is right."""
    try:
        done = subprocess.run(["tcpdump", "-y", "EN10MB", "-d", "--", text], capture_output=True, text=True, timeout=LIST_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode != 0:
        print(done.stderr.strip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    for action in ("--extcap-interfaces", "--extcap-dlts", "--extcap-config", "--capture"):
        parser.add_argument(action, action="store_true")
    for option in ("--extcap-version", "--extcap-interface", "--extcap-capture-filter", "--fifo", "--match", "--remote-host"):
        parser.add_argument(option, default="")
    parser.add_argument("--direction", choices=["both", "from", "to"], default="both")
    parser.add_argument("--remote-bridge", default="br0")
    parser.add_argument("--remote-source", default="")
    parser.add_argument("--remote-command", default="vswitch-ctl")
    options, _ = parser.parse_known_args()
    if options.extcap_interfaces:
        print_interfaces()
    elif options.extcap_dlts:
        print("dlt " + sentence(number="1", name="EN10MB", display="Ethernet"))
    elif options.extcap_config:
        print_config(options.extcap_interface)
    elif options.capture:
        command = capture_command(options)
        if not options.fifo:
            raise SystemExit("vswitch-extcap: --capture needs --fifo FILE")
        fifo = os.open(options.fifo, os.O_WRONLY)
        os.dup2(fifo, sys.stdout.fileno())
        os.close(fifo)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            raise SystemExit(f"vswitch-extcap: cannot run {command[0]}: {error.strerror}") from error
    elif options.extcap_capture_filter:
        check_filter(options.extcap_capture_filter)
    else:
        parser.error("it is for Wireshark to call: man 4 extcap")


if __name__ == "__main__":
    main()
