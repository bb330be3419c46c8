# SPDX-License-Identifier: Apache-2.0
"""The system journal: what a daemon says to it that systemd has started. The journal is one of the test's."""
from __future__ import annotations

import os
import pathlib
import re
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from lab import PATIENCE_S, Daemon, Rpc, found, wait_until

Entry = dict[str, str]

# The daemon finds the directory $0 where the socket of the journal is, and nothing else of /run.
IN_PLACE_OF_THE_JOURNAL = ('mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && '
                           'mount --bind "$0" /run/systemd/journal && exec "$@"')


class Journal:
    """A socket as systemd-journald has one, in a directory of its own."""

    def __init__(self, directory: pathlib.Path, listens: bool = True) -> None:
        self.directory = directory / "journal"
        self.directory.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.entries: list[Entry] = []
        if listens:
            self.socket.bind(str(self.directory / "socket"))

    def read(self, wait_s: float = 0) -> bool:
        """What has come; false if nothing has within this time."""
        before = len(self.entries)
        while select.select([self.socket], [], [], wait_s if len(self.entries) == before else 0)[0]:
            lines = self.socket.recv(1 << 18).decode().splitlines()
            entry = dict(line.split("=", 1) for line in lines)
            assert len(entry) == len(lines), f"a field twice: {lines}"
            self.entries.append(entry)
        return len(self.entries) > before

    def wait_for(self, **fields: str) -> Entry:
        """The first entry whose fields match these expressions."""
        def matching() -> Entry | None:
            self.read()
            for entry in self.entries:
                if all(re.search(expression, entry.get(name, "")) for name, expression in fields.items()):
                    return entry
            return None
        entry = wait_until(matching, f"the journal has {fields}")
        assert entry is not None
        return entry


class Service(Daemon):
    """As systemd starts it: standard error is a stream to the journal, and JOURNAL_STREAM says so."""

    def __init__(self, directory: pathlib.Path, journal: Journal, *args: str) -> None:
        super().__init__(directory, *args)
        self.inside = ["unshare", "--mount", "sh", "-c", IN_PLACE_OF_THE_JOURNAL, str(journal.directory)]
        self.stream, self.for_daemon = socket.socketpair()
        self.for_daemon_is_told = True

    def spawn(self, *extra: str) -> None:
        status = os.fstat(self.for_daemon.fileno())
        told = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"} if self.for_daemon_is_told else {}
        self.started = subprocess.Popen(self.command(*extra), stdin=subprocess.DEVNULL, stdout=self.for_daemon.fileno(),
                                        stderr=self.for_daemon.fileno(), env={**os.environ, **told})
        self.for_daemon.close()

    def streamed(self) -> str:
        """What has come from standard output and standard error."""
        text = b""
        while select.select([self.stream], [], [], 0)[0] and (data := self.stream.recv(1 << 16)):
            text += data
        return text.decode()


@pytest.fixture
def journal(tmp_path: pathlib.Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.socket.close()


@pytest.fixture
def make_service(tmp_path: pathlib.Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(journal: Journal, *args: str) -> Service:
        made.append(Service(tmp_path, journal, *args))
        return made[-1]

    yield make
    for service in made:
        service.end()
        service.stream.close()


def test_lines_are_entries_with_fields(journal: Journal, make_service: Callable[..., Service]) -> None:
    service = make_service(journal).start()
    service.ctl("add-br", "br0")
    service.ctl("add-port", "br0", "nowhere")
    assert service.ctl("add-port", "br9", "nowhere", check=False).returncode == 1
    service.ctl("add-port", "br0", "away")
    service.ctl("add-mirror", "br0", "s", "--source", "nowhere", "--output", "away")
    serves = journal.wait_for(MESSAGE="^vswitchd .* serves ")
    assert serves == {"MESSAGE": serves["MESSAGE"], "PRIORITY": "6", "SYSLOG_IDENTIFIER": "vswitchd",
                      "VSWITCH_MODULE": "daemon"}
    added = journal.wait_for(VSWITCH_EVENT="mirror.change", MESSAGE="added by")
    assert added.pop("MESSAGE").startswith("br0/s: added by root (pid ")
    assert re.fullmatch(r"root \(pid \d+, vswitch-ctl\)", added.pop("VSWITCH_CLIENT"))
    assert added == {"PRIORITY": "6", "SYSLOG_IDENTIFIER": "vswitchd", "VSWITCH_MODULE": "mirror", "VSWITCH_BRIDGE": "br0",
                     "VSWITCH_EVENT": "mirror.change", "VSWITCH_SESSION": "s", "VSWITCH_USER": "root"}
    waits = journal.wait_for(VSWITCH_EVENT="mirror.state")
    assert (waits["PRIORITY"], waits["VSWITCH_STATE"], waits["VSWITCH_SESSION"]) == ("4", "waiting", "s")
    assert journal.wait_for(VSWITCH_EVENT="port.change", MESSAGE="nowhere")["VSWITCH_PORT"] == "nowhere"
    assert journal.wait_for(VSWITCH_EVENT="bridge.change")["VSWITCH_BRIDGE"] == "br0"
    assert journal.wait_for(VSWITCH_EVENT="system.refused")["VSWITCH_USER"] == "root"
    assert service.stop() == 0
    assert journal.read() or journal.entries
    assert journal.entries[-1]["MESSAGE"].startswith("ends: "), "what it says last has come before its end"
    assert service.streamed() == ""


def test_the_journal_beside_a_log_file(journal: Journal, make_service: Callable[..., Service]) -> None:
    service = make_service(journal)
    service.start("--log-file", str(service.log))
    service.ctl("add-br", "br0")
    entry = journal.wait_for(VSWITCH_EVENT="bridge.change")
    assert f"|bridge|INFO|{entry['MESSAGE']}\n" in service.log_text()
    service.ctl("set-log", "off", "--destination", "console")
    service.ctl("add-br", "br1")
    wait_until(lambda: "|bridge|INFO|br1: added" in service.log_text(), "the file has it")
    assert service.stop() == 0
    journal.read()
    assert not [entry for entry in journal.entries if "br1" in entry["MESSAGE"]], "the console is the journal"


def test_without_a_journal_the_stream_has_priorities(tmp_path: pathlib.Path, make_service: Callable[..., Service]) -> None:
    service = make_service(Journal(tmp_path, listens=False)).start()
    assert service.stop() == 0
    lines = service.streamed().splitlines()
    assert any(line.startswith("<6>vswitchd ") for line in lines), lines
    assert all(re.match("<[3467]>[^|]*$", line) for line in lines), lines
    assert lines[-1].startswith("<6>ends: ")


def test_an_error_at_the_start_is_one(journal: Journal, make_service: Callable[..., Service]) -> None:
    service = make_service(journal)
    service.spawn("--log-file", str(service.directory))
    assert service.process.wait(PATIENCE_S) == 1
    journal.read()
    [entry] = [entry for entry in journal.entries if entry["PRIORITY"] == "3"]
    assert entry["MESSAGE"].startswith("cannot open the log file ")


def test_standard_error_that_is_no_journal_has_plain_lines(journal: Journal, make_service: Callable[..., Service]) -> None:
    service = make_service(journal)
    service.for_daemon_is_told = False
    service.start()
    assert service.stop() == 0
    assert "|daemon|INFO|ends: " in service.streamed()
    assert not journal.read()


def test_a_journal_that_does_not_read_stops_nothing_and_losses_are_said(journal: Journal,
                                                                        make_service: Callable[..., Service]) -> None:
    requests = 8000
    service = make_service(journal).start()
    service.ovs("ovs-appctl", "vlog/disable-rate-limit")
    service.ctl("set-log", "dbg", "unixctl")
    longest = 0.0
    with Rpc(service.rundir / f"ovs-vswitchd.{service.pid}.ctl") as rpc:
        for number in range(requests):
            before = time.monotonic()
            rpc.call("version", [], version=1)
            longest = max(longest, time.monotonic() - before)
    assert longest < PATIENCE_S / 4, "an answer waited for the journal"
    assert service.rpc("system.info")
    while journal.read(wait_s=1):
        pass
    lost = sum(int(found(r"^(\d+) lines before this one were lost", entry["MESSAGE"])[1])
               for entry in journal.entries if entry["VSWITCH_MODULE"] == "log")
    said = [entry for entry in journal.entries if " version " in entry["MESSAGE"]]
    assert lost > 0
    assert len(said) + lost == requests, (len(said), lost)
    assert all(entry["PRIORITY"] == "7" for entry in said)
