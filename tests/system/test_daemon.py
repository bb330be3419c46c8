# SPDX-License-Identifier: Apache-2.0
"""The life of the daemon: start, one per run directory, background, service manager, the end in order and the other ends."""
from __future__ import annotations

import contextlib
import grp
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from lab import PATIENCE_S, VSWITCHD, Daemon, Rpc, RpcError, wait_until, Where


NAMES = ("ovs-vswitchd", "ovsdb-server")  # it stands for both


def files_of(daemon: Daemon) -> list[Any]:
    """What its run directory contains while it runs."""
    return sorted(["db.sock", "db-ro.sock", *(file for name in NAMES for file in (f"{name}.pid", f"{name}.{daemon.pid}.ctl"))])


def files_in(directory: pathlib.Path) -> list[Any]:
    return sorted(path.name for path in directory.iterdir())


def run(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(VSWITCHD), *map(str, args)], text=True, capture_output=True, timeout=PATIENCE_S)


def test_version_and_help_are_in_order_wrong_usage_is_status_2() -> None:
    assert run("--version").stdout.startswith("vswitchd ")
    help_text = run("--help").stdout
    for option in ("--rundir", "--db", "--remote", "--group", "--log-file", "--log-level", "--detach", "--workers"):
        assert option in help_text
    assert "{" not in help_text.replace("TEXT:{", ""), "what the parser calls the value of a flag"
    for wrong in (["--nonsense"], ["stray"], ["--remote", "pssl:70000"], ["--log-level", "loud"], ["--workers", "x"]):
        done = run(*wrong)
        assert done.returncode == 2, wrong
        assert done.stderr


def test_what_cannot_be_had_is_status_1_with_the_reason(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("--rundir", tmp_path / "file" / "run", "--db", tmp_path / "conf.db")
    assert done.returncode == 1
    assert "cannot make the run directory" in done.stderr
    done = run("--rundir", tmp_path / "run", "--db", tmp_path / "conf.db", "--group", "no-such-group")
    assert done.returncode == 1
    assert 'no group "no-such-group"' in done.stderr
    assert files_in(tmp_path / "run") == []


def test_run_directory_is_made_and_its_files_have_their_names_and_modes(daemon: Daemon) -> None:
    assert files_in(daemon.rundir) == files_of(daemon)
    for name in NAMES:
        assert (daemon.rundir / f"{name}.pid").read_text() == f"{daemon.pid}\n"
    for name in ("db.sock", *(f"{name}.{daemon.pid}.ctl" for name in NAMES)):
        assert stat.S_IMODE((daemon.rundir / name).stat().st_mode) == 0o660
    assert stat.S_IMODE((daemon.rundir / "db-ro.sock").stat().st_mode) == 0o666


def test_group_owns_the_sockets(make_daemon: Callable[..., Daemon]) -> None:
    group = grp.getgrnam("daemon")
    daemon = make_daemon("--group", "daemon").start()
    assert daemon.socket.stat().st_gid == group.gr_gid


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_order_and_nothing_stays(daemon: Daemon, end: signal.Signals) -> None:
    with daemon.connect() as rpc:
        assert rpc.call("echo", [1], version=1) == [1]
        daemon.process.send_signal(end)
        assert rpc.receive() is None
    assert daemon.wait() == 0
    assert files_in(daemon.rundir) == []


@pytest.mark.parametrize("args", [["exit"], ["exit", "--cleanup"]])
def test_exit_is_answered_and_then_obeyed(daemon: Daemon, args: list[str]) -> None:
    assert daemon.ovs("ovs-appctl", *args).stdout == ""
    assert daemon.wait() == 0
    assert files_in(daemon.rundir) == []


def test_a_client_that_does_not_read_does_not_keep_it_from_ending(daemon: Daemon) -> None:
    with daemon.connect() as rpc:
        request = json.dumps({"method": "echo", "params": ["x" * 300000], "id": 1}).encode()
        for _ in range(3):  # more than the kernel takes, less than makes the daemon stop reading
            rpc.socket.sendall(request)
        assert daemon.stop() == 0


def test_stock_ovs_appctl(daemon: Daemon) -> None:
    assert daemon.ovs("ovs-appctl", "version").stdout.startswith("vswitchd ")
    assert daemon.ovs("ovs-appctl", "-t", "ovs-vswitchd", "version").stdout.startswith("vswitchd ")
    commands = daemon.ovs("ovs-appctl", "list-commands").stdout
    assert commands.startswith("The available commands are:\n")
    for command in ("coverage/show", "exit ", "memory/show", "vlog/list", "vlog/reopen", "vlog/set"):
        assert f"  {command}" in commands
    assert "resident-kib:" in daemon.ovs("ovs-appctl", "memory/show").stdout
    assert "operator_requests" in daemon.ovs("ovs-appctl", "coverage/show").stdout


@pytest.mark.parametrize("args, text", [
    (["fdb/paint"], '"fdb/paint" is not a valid command (use "list-commands" to see a list of valid commands)'),
    (["version", "x"], '"version" command takes at most 0 arguments'),
    (["coverage/read-counter"], '"coverage/read-counter" command requires at least 1 arguments'),
    (["vlog/set", "nosuch:dbg"], 'no destination, level, or module "nosuch"'),
    (["vlog/reopen"], "Logging to file not configured"),
])
def test_operator_errors_have_the_texts_that_scripts_know(daemon: Daemon, args: list[str], text: str) -> None:
    done = daemon.ovs("ovs-appctl", *args, check=False)
    assert done.returncode == 2
    assert done.stderr == f"{text}\novs-appctl: ovs-vswitchd: server returned an error\n"


def test_log_levels_change_at_run_time_and_the_file_is_reopened(make_daemon: Callable[..., Daemon], tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    daemon = make_daemon("--log-file", str(log), "--log-level", "warn").start()
    assert "WARN" in daemon.ovs("ovs-appctl", "vlog/list").stdout
    assert log.read_text() == ""
    daemon.ovs("ovs-appctl", "vlog/set", "control:file:dbg")
    daemon.rpc("echo")
    assert "|control|DBG|" in log.read_text()
    for number, reopen in enumerate((lambda: daemon.ovs("ovs-appctl", "vlog/reopen"),
                                     lambda: daemon.process.send_signal(signal.SIGHUP))):
        log.rename(tmp_path / f"log.{number}")
        reopen()
        wait_until(lambda: log.exists() and (daemon.rpc("echo"), log.read_text())[1], "a new log file with lines")


def test_a_second_daemon_is_refused_and_says_who_is_first(daemon: Daemon) -> None:
    for extra in (list[str](), ["--detach"]):
        second = subprocess.run(daemon.command(*extra), text=True, capture_output=True, timeout=PATIENCE_S)
        assert second.returncode == 1
        assert f"already running on this run directory (pid {daemon.pid})" in second.stderr
    assert daemon.serves()
    assert daemon.ovs("ovs-appctl", "version").returncode == 0


def test_a_second_daemon_on_the_same_database_is_refused(daemon: Daemon, make_daemon: Callable[..., Daemon]) -> None:
    second = make_daemon()
    second.database = daemon.database
    done = subprocess.run(second.command(), text=True, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert str(daemon.database) in done.stderr and "in use" in done.stderr
    assert files_in(second.rundir) == []
    assert daemon.serves()


def test_killed_it_leaves_files_that_the_next_one_replaces(daemon: Daemon) -> None:
    first = daemon.pid
    daemon.kill9()
    assert f"ovs-vswitchd.{first}.ctl" in files_in(daemon.rundir)
    assert daemon.ovs("ovs-appctl", "version", check=False).returncode != 0
    daemon.start()
    assert files_in(daemon.rundir) == files_of(daemon)
    for name in NAMES:
        assert daemon.ovs("ovs-appctl", "-t", name, "version").returncode == 0


def test_detach_returns_when_the_daemon_serves(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    done = subprocess.run(daemon.command("--detach"), text=True, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    pid = int((daemon.rundir / "ovs-vswitchd.pid").read_text())
    try:
        assert daemon.rpc("echo", ["at once"], version=1) == ["at once"]  # no waiting needed
        assert os.getsid(pid) == pid
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
        assert os.readlink(f"/proc/{pid}/fd/2") == str(daemon.rundir / "vswitchd.log")
        daemon.ovs("ovs-appctl", "exit")
        wait_until(lambda: files_in(daemon.rundir) == ["vswitchd.log"], "the daemon in the background has ended")
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        raise


def test_detach_fails_with_the_reason_when_the_daemon_does(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon("--remote", "ptcp:1:203.0.113.77")  # an address nobody here has
    done = subprocess.run(daemon.command("--detach"), text=True, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert "cannot listen on tcp:203.0.113.77:1" in done.stderr
    assert files_in(daemon.rundir) == ["vswitchd.log"]
    assert "cannot listen on tcp:203.0.113.77:1" in (daemon.rundir / "vswitchd.log").read_text()


def test_detached_it_logs_to_its_run_directory_or_where_it_is_told(make_daemon: Callable[..., Daemon], tmp_path: pathlib.Path) -> None:
    for extra, log in ((list[str](), None), (["--log-file", str(tmp_path / "named.log")], tmp_path / "named.log")):
        daemon = make_daemon()
        log = log or daemon.rundir / "vswitchd.log"
        done = subprocess.run(daemon.command("--detach", *extra), text=True, capture_output=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        try:
            assert f"serves {daemon.socket}" in log.read_text()
            before = len(log.read_text())
            daemon.ovs("ovs-appctl", "vlog/set", "control:file:dbg")
            daemon.rpc("echo")
            assert "|control|DBG|" in log.read_text()[before:], "a line of the time after the start"
        finally:
            daemon.ovs("ovs-appctl", "exit")
        wait_until(lambda: not daemon.socket.exists(), "the daemon in the background has ended")
        assert "ends: operator command exit" in log.read_text()


def test_directories_are_not_for_others_to_write_even_with_umask_0(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    daemon.inside = ["sh", "-c", 'umask 0; exec "$@"', "sh"]
    daemon.database = daemon.directory / "var" / "lib" / "conf.db"
    daemon.start()
    for made in (daemon.rundir, daemon.database.parent, daemon.database.parent.parent):
        assert stat.S_IMODE(made.stat().st_mode) == 0o755, made
    for file in daemon.database.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o022 == 0, file


@pytest.mark.parametrize("abstract", [False, True])
def test_service_manager_hears_of_ready_and_of_the_end(make_daemon: Callable[..., Daemon], tmp_path: pathlib.Path, abstract: Any) -> None:
    name = f"@vswitch-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE_S)
        manager.bind("\0" + name[1:] if abstract else name)
        daemon = make_daemon(env={"NOTIFY_SOCKET": name})
        daemon.spawn()
        message = manager.recv(4096).decode()
        assert "READY=1" in message.splitlines()
        assert f"MAINPID={daemon.pid}" in message.splitlines()
        assert daemon.serves(), "ready means that clients are served"
        assert manager.recv(4096) == b"STATUS=0 bridges, 0 ports, 0 mirror sessions"
        daemon.process.send_signal(signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1"
        assert daemon.wait() == 0


def test_a_watchdog_hears_from_it_in_time_and_what_the_switch_has(make_daemon: Callable[..., Daemon], tmp_path: pathlib.Path) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE_S)
        manager.bind(name)
        daemon = make_daemon(env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"})
        daemon.spawn()
        assert "READY=1" in manager.recv(4096).decode().splitlines()
        daemon.ctl("add-br", "br0")

        def hears_of_the_bridge() -> bool:
            return manager.recv(4096) == b"WATCHDOG=1\nSTATUS=1 bridge, 1 port, 0 mirror sessions"

        wait_until(hears_of_the_bridge, "the status follows")
        last = time.monotonic()
        for _ in range(5):
            manager.recv(4096)
        assert 0.6 < time.monotonic() - last < PATIENCE_S, "five times 200 ms"


def test_further_remotes(make_daemon: Callable[..., Daemon], tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    extra = tmp_path / "extra.sock"
    daemon = make_daemon("--remote", f"ptcp:{port}", "--remote", f"punix:{extra}", "--remote", "punix:inside.sock").start()
    places: list[Where] = [("127.0.0.1", port), extra, daemon.rundir / "inside.sock"]
    for where in places:
        with Rpc(where) as rpc:
            assert rpc.call("echo", [7], version=1) == [7]
    done = daemon.ovs("ovsdb-client", "-t", "5", "list-dbs", f"tcp:127.0.0.1:{port}", check=False)
    assert done.returncode in (0, 1)  # connected either way; what it lists is the database's test
    daemon.stop()
    assert not extra.exists() and files_in(daemon.rundir) == []


def test_active_remote_is_connected_to_when_it_comes(make_daemon: Callable[..., Daemon], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "manager.sock"
    make_daemon("--remote", f"unix:{path}").start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as manager:
        manager.bind(str(path))
        manager.listen()
        manager.settimeout(PATIENCE_S)
        client, _ = manager.accept()
        with client:
            client.sendall(b'{"method":"echo","params":[],"id":"hello"}')
            assert json.loads(client.recv(4096))["id"] == "hello"


def test_open_files_limit_is_raised_to_the_hard_one(daemon: Daemon) -> None:
    with open(f"/proc/{daemon.pid}/limits", encoding="ascii") as limits:
        soft, hard = next(line for line in limits if line.startswith("Max open files")).split()[3:5]
    assert soft == hard


def test_bad_requests_are_answered_each_in_its_dialect(daemon: Daemon) -> None:
    with daemon.connect() as rpc:
        with pytest.raises(RpcError) as refused:
            rpc.call("no.such.method")
        assert refused.value.error["code"] == -32601
        with pytest.raises(RpcError) as refused:
            rpc.call("no_such_method", version=1)
        assert refused.value.error == "unknown method"
    with daemon.connect() as rpc:
        rpc.socket.sendall(b"hello?")
        assert rpc.receive()["error"]["code"] == -32700
        assert rpc.receive() is None
    with daemon.connect() as rpc:
        rpc.socket.sendall(b"{}")
        assert rpc.receive()["error"]["code"] == -32600
        assert rpc.receive() is None
    with daemon.connect() as rpc:
        rpc.call("echo", [], version=1)
        rpc.socket.sendall(b'{"method":"transact","id":1}')
        assert rpc.receive() is None
    assert daemon.serves()
