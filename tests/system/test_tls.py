# SPDX-License-Identifier: Apache-2.0
"""ssl: and pssl: remotes with the keys of ovs-pki and stock clients, and connections that may only read."""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import PATIENCE_S, VSWITCH_CTL, Daemon, Rpc, RpcError, found, wait_until

MIB = 1 << 20
ECHO_S = 0.5
MakeDaemon = Callable[..., Daemon]


class Keys:
    """The files of one name."""

    def __init__(self, directory: pathlib.Path, name: str, ca: pathlib.Path) -> None:
        self.key, self.certificate, self.ca = directory / f"{name}-privkey.pem", directory / f"{name}-cert.pem", ca

    @property
    def options(self) -> list[str]:
        """As vswitchd, vswitch-ctl and the clients of Open vSwitch take them."""
        return ["-p", str(self.key), "-c", str(self.certificate), "-C", str(self.ca)]

    def context(self, server: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Pki:
    """Both authorities of ovs-pki: "switch" signs for switches, "controller" for who connects to them."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.pki("init", "--force")

    def pki(self, *args: str) -> None:
        assert shutil.which("ovs-pki"), "ovs-pki is not installed (Debian: openvswitch-common)"
        subprocess.run(["ovs-pki", "-d", self.directory / "pki", "-l", self.directory / "log", "-u", *args], cwd=self.directory, check=True,
                       capture_output=True, timeout=PATIENCE_S)

    def ca(self, kind: str) -> pathlib.Path:
        return self.directory / "pki" / f"{kind}ca" / "cacert.pem"

    def certify(self, name: str, kind: str) -> Keys:
        self.pki("req+sign", name, kind)
        return Keys(self.directory, name, self.ca("controller" if kind == "switch" else "switch"))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Somebody else's, which looks the same."""
    return Pki(tmp_path_factory.mktemp("foreign"))


@pytest.fixture(scope="module")
def switch_keys(pki: Pki) -> Keys:
    return pki.certify("sw1", "switch")


@pytest.fixture(scope="module")
def anna(pki: Pki) -> Keys:
    return pki.certify("anna", "controller")


@pytest.fixture
def tls(make_daemon: MakeDaemon, switch_keys: Keys) -> Daemon:
    """A daemon that listens with TLS, with keys of the command line."""
    return make_daemon("--remote", "pssl:0", *switch_keys.options).start()


def port_of(daemon: Daemon, remote: str = "pssl:0") -> int:
    return int(found(rf"opened {remote} on port (\d+)", daemon.log_text())[1])


def connected(daemon: Daemon, port: int = 0) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port or port_of(daemon)), timeout=PATIENCE_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


class TlsRpc(Rpc):
    """One connection with TLS."""

    def __init__(self, daemon: Daemon, keys: Keys, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.socket = (context or keys.context()).wrap_socket(connected(daemon, port))
        self.text = ""
        self.pending = b""
        self.last_id = 0
        self.notifications: list[Any] = []


def vsctl(daemon: Daemon, keys: Keys | None, *args: str, check: bool = True, port: int = 0) -> subprocess.CompletedProcess[str]:
    return daemon.ovs("ovs-vsctl", f"--db=ssl:127.0.0.1:{port or port_of(daemon)}", "--timeout=10", *(keys.options if keys else []), *args,
                      check=check)


def manager(daemon: Daemon, target: str) -> dict[str, str]:
    """Its status."""
    select = {"op": "select", "table": "Manager", "where": [["target", "==", target]], "columns": ["status"]}
    rows = daemon.rpc("transact", ["Open_vSwitch", select], version=1)[0]["rows"]
    return dict(rows[0]["status"][1]) if rows else {}


def wait_manager(daemon: Daemon, target: str, **wanted: str) -> dict[str, str]:
    def status() -> dict[str, str]:
        has = manager(daemon, target)
        return has if all(value in has.get(key, "") for key, value in wanted.items()) else {}
    return wait_until(status, f"the status of {target} has {wanted}: {manager(daemon, target)}")


def ask(client: ssl.SSLSocket, text: str = "there?") -> None:
    client.sendall(json.dumps({"method": "echo", "id": 1, "params": [text]}).encode())
    answer = b""
    while not answer.endswith(b"}"):
        more = client.recv(1 << 16)
        assert more, "the daemon hung up"
        answer += more
    assert json.loads(answer)["result"] == [text]


@contextlib.contextmanager
def nobody_waits(daemon: Daemon) -> Iterator[None]:
    """Another client's echo is answered within ECHO_S as long as the block lasts."""
    done = threading.Event()
    slowest = [0.0]

    def probe() -> None:
        with daemon.connect() as rpc:
            while not done.is_set():
                begun = time.monotonic()
                rpc.call("echo", ["x"], version=1)
                slowest[0] = max(slowest[0], time.monotonic() - begun)
                time.sleep(0.01)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert slowest[0] < ECHO_S, slowest


def ctl(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(VSWITCH_CTL), *args], text=True, capture_output=True, timeout=PATIENCE_S)


# Stock clients, and ours

def test_stock_clients_drive_it(tls: Daemon, anna: Keys) -> None:
    vsctl(tls, anna, "add-br", "br0")
    assert vsctl(tls, anna, "list-br").stdout == "br0\n"
    done = tls.ovs("ovsdb-client", *anna.options, "dump", f"ssl:127.0.0.1:{port_of(tls)}", "Open_vSwitch", "Bridge", "name")
    assert "br0" in done.stdout


def test_our_tool_takes_it_and_the_history_has_the_name_in_the_certificate(tls: Daemon, anna: Keys) -> None:
    remote = ["--db", f"ssl:127.0.0.1:{port_of(tls)}"]
    done = ctl(*remote, *anna.options, "add-br", "br0")
    assert done.returncode == 0, done.stderr
    assert "br0: added by anna (ssl:127.0.0.1:" in tls.ctl("events").stdout
    assert "br0: added by anna (ssl:127.0.0.1:" in tls.log_text()
    done = ctl(*remote, "list-br")
    assert done.returncode == 3 and "no private key given" in done.stderr


def test_the_session_api_subscriptions_too(tls: Daemon, anna: Keys) -> None:
    with TlsRpc(tls, anna) as client:
        client.call("subscribe", {"topics": ["bridge.change"]})
        tls.ctl("add-br", "br0")
        message = client.receive()
        assert message["method"] == "bridge.change" and message["params"]["name"] == "br0"


# Who is refused

def test_who_has_no_certificate_or_a_foreign_one_is_refused_with_the_reason(tls: Daemon, anna: Keys, foreign: Pki, pki: Pki) -> None:
    mallory = foreign.certify("mallory", "controller")
    mallory.ca = anna.ca  # believes us
    assert vsctl(tls, mallory, "list-br", check=False).returncode != 0
    wait_until(lambda: "CN=mallory" in tls.log_text(), "the log says who was refused")
    assert f"must be valid and signed by a CA in {pki.ca('controller')}" in tls.log_text()
    done = ctl("--db", f"ssl:127.0.0.1:{port_of(tls)}", *mallory.options, "list-br")
    assert done.returncode == 3 and "unknown ca" in done.stderr, done.stderr

    nameless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nameless.check_hostname, nameless.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with TlsRpc(tls, anna, nameless) as client:
            client.call("bridge.add", {"name": "hacked"})
    wait_until(lambda: "shows no certificate" in tls.log_text(), "the log says why")

    with connected(tls) as clear:  # never in clear
        clear.sendall(b'{"method":"list_dbs","id":1,"params":[]}' * 10)
        with contextlib.suppress(ConnectionError):
            while more := clear.recv(4096):
                assert b"Open_vSwitch" not in more
    wait_until(lambda: "does not speak TLS" in tls.log_text(), "the log says why")
    assert tls.rpc("bridge.list") == {"bridges": []}


def test_a_switch_of_another_authority_is_refused_by_its_peers(tls: Daemon, anna: Keys, foreign: Pki) -> None:
    doubter = Keys(anna.key.parent, "anna", foreign.ca("switch"))
    done = ctl("--db", f"ssl:127.0.0.1:{port_of(tls)}", *doubter.options, "list-br")
    assert done.returncode == 3 and "CN=sw1" in done.stderr, done.stderr


def test_versions(tls: Daemon, anna: Keys) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = anna.context()
        context.minimum_version = context.maximum_version = version
        with TlsRpc(tls, anna, context) as client:
            assert client.call("echo", [7], version=1) == [7]
            assert client.socket.version() == version.name.replace("_", ".")  # type: ignore[attr-defined]
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port_of(tls)}", "-key", str(anna.key), "-cert", str(anna.certificate),
               "-CAfile", str(anna.ca), "-quiet", "-no_ign_eof"]
    for version_option, good in (("-tls1_2", True), ("-tls1_1", False)):
        with subprocess.Popen([*command, version_option, "-cipher", "DEFAULT:@SECLEVEL=0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as peer:
            assert peer.stdin and peer.stdout
            with contextlib.suppress(BrokenPipeError):
                peer.stdin.write(b'{"method":"echo","id":1,"params":[]}\n')
                peer.stdin.flush()
            assert (b'"result"' in peer.stdout.read(30)) == good, version_option  # which ends if the peer does
            with contextlib.suppress(BrokenPipeError):
                peer.stdin.close()
    wait_until(lambda: "neither TLS 1.2 nor 1.3" in tls.log_text(), "the log says why")


# Peers that harm nobody

def test_silent_slow_and_senseless_peers_harm_nobody(tls: Daemon, anna: Keys) -> None:
    silent = [connected(tls) for _ in range(20)]
    half = [connected(tls) for _ in range(20)]
    for client in half:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
    hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        anna.context().wrap_bio(*hello).do_handshake()
    slow, greeting = connected(tls), hello[1].read()
    with nobody_waits(tls):
        for byte in greeting[:200]:
            slow.sendall(bytes([byte]))
        for junk in (os.urandom(100_000), b"GET / HTTP/1.0\r\n\r\n",
                     b"\x16\x03\x01\xff\xff" + bytes(70_000), b"\x15\x03\x01\x00\x02\x02\x28"):
            with connected(tls) as client, contextlib.suppress(ConnectionError):
                client.sendall(junk)
                while client.recv(4096):
                    pass
        with TlsRpc(tls, anna) as good:
            assert good.call("echo", [1], version=1) == [1]
        wait_until(lambda: tls.log_text().count("handshake was not done within 10 s") == 41, "they are disconnected", 20)
    for client in (*silent, *half, slow):
        assert client.recv(1) == b""
        client.close()


def test_handshakes_are_limited_and_others_have_room(tls: Daemon, anna: Keys) -> None:
    idle = [connected(tls) for _ in range(300)]
    wait_until(lambda: "limit of 256 TLS handshakes at a time reached" in tls.log_text(), "the last ones are turned away")
    with tls.connect() as local:
        assert local.call("echo", [1], version=1) == [1]
    for client in idle:
        client.close()

    def serves() -> bool:
        try:
            return vsctl(tls, anna, "--no-wait", "list-br", check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False
    wait_until(serves, "there is room again")


def test_fifty_connections_at_once(tls: Daemon, anna: Keys) -> None:
    context = anna.context()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(TlsRpc(tls, anna, context)) for _ in range(50)]
        for number, client in enumerate(clients):
            client.socket.sendall(json.dumps({"method": "echo", "id": number, "params": [number]}).encode())
        for number, client in enumerate(clients):
            assert client.receive()["result"] == [number]


def test_echo_is_answered_while_the_daemon_is_busy(tls: Daemon, anna: Keys) -> None:
    """By the echo thread, through the same filter."""
    rows = [{"op": "insert", "table": "Queue", "row": {"external_ids": ["map", [["n", str(n)]]]}} for n in range(90_000)]
    request = json.dumps({"method": "transact", "id": 1, "params": ["Open_vSwitch", *rows]}).encode()
    with tls.connect() as busy, TlsRpc(tls, anna) as client:
        client.call("echo", ["first"], version=1)
        seconds: list[float] = []
        sender = threading.Thread(target=lambda: busy.socket.sendall(request))
        sender.start()
        begun = time.monotonic()
        while True:
            asked = time.monotonic()
            client.call("echo", ["x" * 1000], version=1)
            seconds.append(time.monotonic() - asked)
            if select.select([busy.socket], [], [], 0)[0]:
                break
            assert time.monotonic() < begun + 2 * PATIENCE_S
            time.sleep(0.01)
        took = time.monotonic() - begun
        sender.join()
        assert max(seconds) < min(ECHO_S, took / 2), (max(seconds), took)


def test_megabytes_both_ways(tls: Daemon, anna: Keys) -> None:
    text = "".join(chr(0x21 + i % 90) for i in range(8 * MIB)).replace("\\", "/").replace('"', "'")
    with nobody_waits(tls), TlsRpc(tls, anna) as client:
        answers: list[Any] = []
        reader = threading.Thread(target=lambda: answers.append(client.receive()))
        reader.start()  # of a peer that reads while it writes
        client.socket.sendall(json.dumps({"method": "echo", "id": 1, "params": [text]}).encode())
        reader.join()
        assert answers[0]["result"] == [text]


def test_a_peer_that_does_not_read_is_bounded(tls: Daemon, anna: Keys) -> None:
    text = "x" * (2 * MIB)
    with TlsRpc(tls, anna) as client:
        client.socket.settimeout(2)
        with pytest.raises((TimeoutError, ssl.SSLError, OSError)):
            for number in range(100):
                client.socket.sendall(json.dumps({"method": "echo", "id": number, "params": [text]}).encode())
        backlog = int(found(r"backlog:(\d+)", tls.ovs("ovs-appctl", "memory/show").stdout)[1])
        assert backlog < 8 * MIB
        client.socket.settimeout(PATIENCE_S)
        with TlsRpc(tls, anna) as other:
            assert other.call("echo", [1], version=1) == [1]


def test_ends(tls: Daemon, anna: Keys) -> None:
    # A half-closed peer still gets its answers, and close_notify.
    with TlsRpc(tls, anna) as client:
        client.socket.sendall(b'{"method":"echo","id":1,"params":["last"]}')
        with socket.socket(fileno=os.dup(client.socket.fileno())) as tcp:
            tcp.shutdown(socket.SHUT_WR)  # without a word
        assert client.receive()["result"] == ["last"]
        assert client.socket.recv(1) == b""  # close_notify: not an SSLEOFError
    # And the same after close_notify.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = anna.context().wrap_bio(incoming, outgoing)
    with connected(tls) as raw:
        def exchange() -> None:
            raw.sendall(outgoing.read())
            incoming.write(raw.recv(1 << 16))
        while True:
            try:
                peer.do_handshake()
                break
            except ssl.SSLWantReadError:
                exchange()
        peer.write(b'{"method":"echo","id":2,"params":["over"]}')
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.unwrap()
        raw.sendall(outgoing.read())
        raw.settimeout(PATIENCE_S)
        received = b""
        while data := raw.recv(1 << 16):
            received += data
        assert len(received) > 40  # the answer, and the end
    assert "ended its input in the middle" not in tls.log_text()


# Keys

def test_keys_of_the_table_and_what_is_wrong_with_them(make_daemon: MakeDaemon, switch_keys: Keys, anna: Keys, pki: Pki,
                                                       tmp_path: pathlib.Path) -> None:
    daemon = make_daemon().start()
    daemon.ovs("ovs-vsctl", "--no-wait", "set-manager", "pssl:0")
    status = wait_manager(daemon, "pssl:0", state="BACKOFF", last_error="no keys for TLS")
    assert int(status["bound_port"]) > 0
    with connected(daemon, int(status["bound_port"])) as client:
        assert client.recv(1) == b"", "something is said in clear"

    other = pki.certify("sw9", "switch")
    for key, certificate, ca, sentence in (
            ("/nowhere/key", switch_keys.certificate, switch_keys.ca, "private key /nowhere/key: No such file or directory"),
            (other.key, switch_keys.certificate, switch_keys.ca, "does not fit the certificate"),
            (switch_keys.key, switch_keys.certificate, tmp_path, "is not a regular file")):
        daemon.ovs("ovs-vsctl", "--no-wait", "set-ssl", str(key), str(certificate), str(ca))
        wait_manager(daemon, "pssl:0", state="BACKOFF", last_error=sentence)
        assert sentence in daemon.log_text()
    daemon.ovs("ovs-vsctl", "--no-wait", "set-ssl", str(switch_keys.key), str(switch_keys.certificate), str(switch_keys.ca))
    status = wait_manager(daemon, "pssl:0", state="ACTIVE")
    assert "last_error" not in status
    assert daemon.ovs("ovs-vsctl", "--no-wait", "get-ssl").stdout.startswith(f"Private key: {switch_keys.key}\n")
    port = int(status["bound_port"])
    vsctl(daemon, anna, "--no-wait", "list-br", port=port)
    daemon.restart()
    status = wait_manager(daemon, "pssl:0", state="ACTIVE")
    vsctl(daemon, anna, "--no-wait", "list-br", port=int(status["bound_port"]))
    daemon.ovs("ovs-vsctl", "--no-wait", "del-ssl")
    wait_manager(daemon, "pssl:0", state="BACKOFF", last_error="no keys for TLS")


def test_a_missing_file_of_the_command_line_does_not_end_it(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--remote", "pssl:0", "-p", "/nowhere/key", "-c", "/nowhere/cert", "-C", "/nowhere/ca").start()
    assert "private key /nowhere/key: No such file or directory" in daemon.log_text()
    with connected(daemon) as client:
        assert client.recv(1) == b""


def test_the_command_line_comes_before_the_table(make_daemon: MakeDaemon, switch_keys: Keys, anna: Keys) -> None:
    daemon = make_daemon("--remote", "pssl:0", "-p", "db:Open_vSwitch,SSL,private_key", "-c", str(switch_keys.certificate), "-C",
                         str(switch_keys.ca)).start()
    daemon.ovs("ovs-vsctl", "--no-wait", "set-ssl", str(switch_keys.key), "/nowhere/cert", "/nowhere/ca")
    wait_until(lambda: "are in use" in daemon.log_text(), "the key of the table and the files of the command line")
    vsctl(daemon, anna, "--no-wait", "list-br")


def test_an_expired_certificate_is_said(make_daemon: MakeDaemon, switch_keys: Keys, tmp_path: pathlib.Path) -> None:
    for command in ("req -new -newkey rsa:2048 -nodes -subj /CN=old -keyout old-privkey.pem -out old-req.pem",
                    "x509 -req -in old-req.pem -signkey old-privkey.pem -days -1 -out old-cert.pem"):
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE_S)
    old = Keys(tmp_path, "old", switch_keys.ca)
    daemon = make_daemon("--remote", "pssl:0", *old.options).start()
    daemon.ovs("ovs-vsctl", "--no-wait", "set-manager", "pssl:0:127.0.0.2")
    wait_manager(daemon, "pssl:0:127.0.0.2", state="ACTIVE", last_error="old-cert.pem: expired on")
    assert "old-cert.pem: expired on" in daemon.log_text()


def test_certificates_exchanged_while_it_runs(make_daemon: MakeDaemon, pki: Pki, foreign: Pki, anna: Keys, tmp_path: pathlib.Path) -> None:
    first, second = pki.certify("sw21", "switch"), foreign.certify("sw22", "switch")
    berta = foreign.certify("berta", "controller")
    ours = Keys(tmp_path, "our", tmp_path / "ca.pem")

    def install(keys: Keys) -> None:
        for source, target in ((keys.key, ours.key), (keys.certificate, ours.certificate), (keys.ca, ours.ca)):
            shutil.copy(source, target)

    install(first)
    daemon = make_daemon("--remote", "pssl:0", *ours.options).start()
    with TlsRpc(daemon, anna) as client:
        install(second)
        wait_until(lambda: vsctl(daemon, berta, "--no-wait", "list-br", check=False).returncode == 0, "the new ones are in use")
        assert vsctl(daemon, anna, "--no-wait", "list-br", check=False).returncode != 0
        assert client.call("echo", [1], version=1) == [1], "who is connected stays"
    ours.certificate.write_text("half a cop")
    wait_until(lambda: "the keys that were read before stay in use" in daemon.log_text(), "it says so")
    vsctl(daemon, berta, "--no-wait", "list-br")


# Connections that we make

def test_it_connects_to_a_stock_client_that_listens(make_daemon: MakeDaemon, switch_keys: Keys, anna: Keys) -> None:
    daemon = make_daemon(*switch_keys.options).start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    daemon.ovs("ovs-vsctl", "--no-wait", "set-manager", f"ssl:127.0.0.1:{port}")
    wait_manager(daemon, f"ssl:127.0.0.1:{port}", last_error="refused")
    done = daemon.ovs("ovsdb-client", *anna.options, "list-dbs", f"pssl:{port}:127.0.0.1")
    assert "Open_vSwitch" in done.stdout


def test_a_peer_that_we_connect_to_has_to_be_the_right_one(make_daemon: MakeDaemon, switch_keys: Keys, anna: Keys, foreign: Pki) -> None:
    daemon = make_daemon(*switch_keys.options).start()
    mallory = foreign.certify("mallory2", "controller")
    mallory.ca = anna.ca
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"ssl:127.0.0.1:{server.getsockname()[1]}"
        server.settimeout(PATIENCE_S)
        daemon.ovs("ovs-vsctl", "--no-wait", "set-manager", target)
        with server.accept()[0] as mute:  # says nothing: no state of its own but this
            wait_manager(daemon, target, state="CONNECTING")
            mute.close()
        with server.accept()[0] as raw, pytest.raises((ssl.SSLError, OSError)):
            mallory.context(server=True).wrap_socket(raw, server_side=True).recv(1)
        wait_manager(daemon, target, last_error="CN=mallory2")
        raw, _ = server.accept()
        with anna.context(server=True).wrap_socket(raw, server_side=True) as peer:
            ask(peer)
            status = wait_manager(daemon, target, state="ACTIVE")
            assert "last_error" not in status
            assert dict(peer.getpeercert()["subject"][-1])["commonName"] == "sw1"  # type: ignore[index, arg-type]


def test_the_ca_of_the_first_peer_is_taken_over_if_asked_for(make_daemon: MakeDaemon, switch_keys: Keys, anna: Keys, pki: Pki,
                                                             tmp_path: pathlib.Path) -> None:
    ca, shown = tmp_path / "learned.pem", tmp_path / "chain.pem"
    shown.write_text(anna.certificate.read_text() + pki.ca("controller").read_text())
    daemon = make_daemon().start()
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"ssl:127.0.0.1:{server.getsockname()[1]}"
        server.settimeout(PATIENCE_S)
        daemon.ovs("ovs-vsctl", "--no-wait", "--bootstrap", "set-ssl", str(switch_keys.key), str(switch_keys.certificate), str(ca), "--",
                   "set-manager", target, "pssl:0")
        wait_manager(daemon, "pssl:0", state="BACKOFF", last_error="does not exist yet")
        context = Keys(tmp_path, "none", anna.ca)
        context.key, context.certificate = anna.key, shown
        while True:  # it may have come before it had keys
            raw, _ = server.accept()
            with contextlib.suppress(ssl.SSLError, OSError), context.context(server=True).wrap_socket(raw, server_side=True) as peer:
                assert peer.recv(1) == b"", "an unchecked peer is served"
            if ca.exists():
                break
        assert ssl.PEM_cert_to_DER_cert(ca.read_text()[ca.read_text().index("-----BEGIN"):])
        raw, _ = server.accept()
        with context.context(server=True).wrap_socket(raw, server_side=True) as peer:
            ask(peer)
    assert "learned.pem was taken over from ssl:127.0.0.1:" in daemon.log_text()
    wait_manager(daemon, "pssl:0", state="ACTIVE")


# In clear

def test_tcp_for_the_whole_network_is_a_warning(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--remote", "ptcp:0:0.0.0.0").start()
    assert "ptcp:0:0.0.0.0: whoever reaches this port of the network can change the switch" in daemon.log_text()
    daemon.ovs("ovs-vsctl", "--no-wait", "set-manager", "ptcp:0:0.0.0.0", "ptcp:0")
    wait_manager(daemon, "ptcp:0", state="ACTIVE")
    assert "warning" not in manager(daemon, "ptcp:0")
    daemon.ovs("ovs-vsctl", "--no-wait", "set-manager", "ptcp:0:[::]", "ptcp:0")
    wait_manager(daemon, "ptcp:0:[::]", warning="use pssl:")


# Connections that may only read

READS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("bridge.list", {}), ("mirror.list", {}), ("port.list", {}), ("system.info", {}), ("system.stats", {}), ("system.check", {}),
    ("rpc.discover", {}), ("log.list", {}), ("subscribe", {"topics": ["mirror.state"]}))
CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("bridge.add", {"name": "br1"}), ("bridge.del", {"name": "br0"}), ("log.set", {"level": "dbg"}), ("fdb.flush", {}),
    ("database.compact", {}), ("system.set_config", {}))


def may_only_read(client: Rpc) -> None:
    for method, params in READS:
        client.call(method, params)
    for method, params in CHANGES:
        with pytest.raises(RpcError) as refusal:
            client.call(method, params)
        assert refusal.value.error["code"] == 1007 and "db.sock" in refusal.value.error["message"], refusal.value.error
    with pytest.raises(RpcError) as refusal:
        client.call("mirror.explain", {"bridge": "br0", "next": {"wait": 1}})
    assert refusal.value.error["code"] == 1007

    assert client.call("transact", ["Open_vSwitch", {"op": "select", "table": "Bridge", "where": [], "columns": ["name"]}],
                       version=1) == [{"rows": [{"name": "br0"}]}]
    for operation in ({"op": "insert", "table": "Queue", "row": {}}, {"op": "delete", "table": "Bridge", "where": []},
                      {"op": "update", "table": "Bridge", "where": [], "row": {"fail_mode": "secure"}},
                      {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]}):
        answer = client.call("transact", ["Open_vSwitch", operation], version=1)
        assert answer[0]["error"] == "not allowed" and "read only" in answer[0]["details"], answer
    for method in ("lock", "steal", "unlock", "convert"):
        with pytest.raises(RpcError) as refusal:
            client.call(method, ["ovs_vswitchd"], version=1)
        assert refusal.value.error["error"] == "not allowed"
    rows = client.call("monitor_cond", ["Open_vSwitch", ["m", 1], {"Bridge": [{"columns": ["name"]}]}], version=1)
    assert len(rows["Bridge"]) == 1


def test_any_user_may_read(daemon: Daemon) -> None:
    daemon.ctl("add-br", "br0")
    path = daemon.rundir / "db-ro.sock"
    with Rpc(path) as client:
        may_only_read(client)
    assert daemon.ovs("ovs-vsctl", f"--db=unix:{path}", "list-br").stdout == "br0\n"
    assert daemon.ovs("ovs-vsctl", f"--db=unix:{path}", "--timeout=5", "add-br", "br1", check=False).returncode != 0
    done = ctl("--socket", str(path), "del-br", "br0")
    assert done.returncode == 1 and "may only read" in done.stderr
    assert "refused" not in daemon.ctl("events").stdout, "a reader fills the history"


def test_certificates_that_may_only_read(make_daemon: MakeDaemon, switch_keys: Keys, anna: Keys) -> None:
    daemon = make_daemon("--read-only-remote", "pssl:0", *switch_keys.options).start()
    daemon.ctl("add-br", "br0")
    with TlsRpc(daemon, anna) as client:
        may_only_read(client)
    daemon.ovs("ovs-vsctl", "--no-wait", "set-manager", "pssl:0:127.0.0.2")
    port = int(wait_manager(daemon, "pssl:0:127.0.0.2", state="ACTIVE")["bound_port"])
    with contextlib.closing(anna.context().wrap_socket(socket.create_connection(("127.0.0.2", port), PATIENCE_S))) as peer:
        ask(peer)
        daemon.ovs("ovs-vsctl", "--no-wait", "set", "Manager", "pssl:0:127.0.0.2", "other_config:read_only=true")
        assert peer.recv(1) == b"", "who could write stays"
    wait_until(lambda: "opened pssl:0:127.0.0.2" in daemon.log_text().split("closed pssl:0:127.0.0.2")[-1], "it is opened again")
    port = int(wait_manager(daemon, "pssl:0:127.0.0.2", state="ACTIVE")["bound_port"])
    assert "other_config" not in manager(daemon, "pssl:0:127.0.0.2")
    with Rpc(daemon.rundir / "db-ro.sock") as client:
        client.socket.close()
        client.socket = anna.context().wrap_socket(socket.create_connection(("127.0.0.2", port), PATIENCE_S))
        may_only_read(client)
