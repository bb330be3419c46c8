# SPDX-License-Identifier: Apache-2.0
"""Programs in the kernel, as others attach them to devices: bpf(2) without a library."""
from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
from collections.abc import Iterator

import pytest

from net import Net, in_namespace

PROG_LOAD, LINK_CREATE = 5, 28  # commands of bpf(2)
SCHED_CLS, XDP = 3, 6           # types of programs
TCX = {"ingress": 46, "egress": 47}
TCX_NEXT, TCX_PASS, TCX_DROP = -1, 0, 2
XDP_PASS = 2

needs_bpf = pytest.mark.skipif(platform.machine() != "x86_64", reason="knows the number of bpf(2) of this machine only")


def bpf(command: int, attributes: bytes) -> int:
    """The descriptor that the command returns."""
    result = ctypes.CDLL(None, use_errno=True).syscall(321, command, ctypes.create_string_buffer(attributes, 120), 120)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


def load(kind: int, verdict: int) -> int:
    """The descriptor of a program that has the same answer for every frame."""
    code = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xb7, 0, 0, verdict, 0x95, 0, 0, 0))  # return verdict
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    return bpf(PROG_LOAD, struct.pack("=IIQQ", kind, 2, ctypes.addressof(code), ctypes.addressof(licence)))


@contextlib.contextmanager
def tcx_program(net: Net, device: str, side: str, verdict: int) -> Iterator[None]:
    """A tcx program at a device of the switch's namespace, as long as its link is held open."""
    index = int(net.switch_run("ip", "-o", "link", "show", device).stdout.split(":")[0])
    program = load(SCHED_CLS, verdict)
    try:
        link = in_namespace(net.switch, lambda: bpf(LINK_CREATE, struct.pack("=IIII", program, index, TCX[side], 0)))
    finally:
        os.close(program)
    try:
        yield
    finally:
        os.close(link)
