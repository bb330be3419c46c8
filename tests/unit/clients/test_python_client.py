# SPDX-License-Identifier: Apache-2.0
"""The Python client without a daemon: a thread on a socket says what a daemon would."""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import pickle
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
CLIENT = ROOT / "clients" / "python"
sys.path[:0] = [str(CLIENT)]

import vswitch  # noqa: E402
from vswitch import connection  # noqa: E402
from vswitch.framing import Decoder  # noqa: E402

DOCUMENT = json.loads((ROOT / "schemas" / "control.openrpc.json").read_text())
Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def server(path: pathlib.Path, *turns: Serve) -> Iterator[str]:
    """Serves one connection after the other, each by one of `turns`; its failures are those of the test."""
    failures: list[BaseException] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(10)

        def run() -> None:
            try:
                for turn in turns:
                    client, _ = listener.accept()
                    with client:
                        client.settimeout(10)
                        turn(client)
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=run)
        thread.start()
        yield str(path)
        thread.join(20)
        assert not thread.is_alive(), "the client did not come"
    if failures:
        raise failures[0]


def requests(client: socket.socket) -> Iterator[dict[str, Any]]:
    decoder = Decoder()
    while data := client.recv(65536):
        decoder.feed(data)
        yield from decoder


def request(client: socket.socket) -> dict[str, Any]:
    return next(requests(client))


def answer(client: socket.socket, asked: dict[str, Any], result: Any = None, **more: Any) -> None:
    body = more if more else {"result": result}
    client.sendall(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **body}).encode())


def echo(client: socket.socket) -> None:
    for asked in requests(client):
        answer(client, asked, asked["params"])


def test_the_generated_file_is_up_to_date(tmp_path: pathlib.Path) -> None:
    check = [sys.executable, str(CLIENT / "generate.py"), "--check"]
    assert subprocess.run(check, capture_output=True, text=True).stderr == ""
    # In a tree whose document has one method more, it is not.
    (tmp_path / "schemas").mkdir()
    (tmp_path / "clients/python/vswitch").mkdir(parents=True)
    for name in ("generate.py", "vswitch/api.py"):
        (tmp_path / "clients/python" / name).write_bytes((CLIENT / name).read_bytes())
    more = {**DOCUMENT, "methods": [*DOCUMENT["methods"], {**DOCUMENT["methods"][0], "name": "bridge.more"}]}
    (tmp_path / "schemas/control.openrpc.json").write_text(json.dumps(more))
    check[1] = str(tmp_path / "clients/python/generate.py")
    stale = subprocess.run(check, capture_output=True, text=True)
    assert stale.returncode == 1 and "out of date" in stale.stderr


def test_a_message_may_be_cut_at_any_byte() -> None:
    messages = [{"id": 1, "result": {"a": "} ] \" \\ { [", "name": "镜像 \U0001f600", "deep": [[{"x": []}], "\\"]}},
                {"method": "m", "params": {"reason": "\\\"}"}}, {"id": None, "error": "é\u2028"}]
    texts = [b"".join(json.dumps(one, ensure_ascii=ascii).encode() + space for one in messages)
             for ascii in (True, False) for space in (b"", b"\n", b" \r\n\t ")]
    for text in texts:
        for cut in range(len(text) + 1):
            decoder = Decoder()
            got = []
            for part in (text[:cut], text[cut:]):
                decoder.feed(part)
                got += list(decoder)
            assert got == messages
        decoder = Decoder()
        got = []
        for byte in text:
            decoder.feed(bytes([byte]))
            got += list(decoder)
        assert got == messages


def test_a_large_message_takes_time_in_proportion_to_its_size() -> None:
    def seconds(size: int) -> float:
        rows = [{"n": i} for i in range(size // 100)]
        text = json.dumps({"id": 1, "result": {"text": "\\" * size, "plain": "x" * size, "rows": rows}}).encode()
        decoder = Decoder()
        begin = time.process_time()
        got = []
        for at in range(0, len(text), 1400):
            decoder.feed(text[at:at + 1400])
            got += list(decoder)
        assert len(got) == 1 and len(got[0]["result"]["text"]) == size
        return time.process_time() - begin

    seconds(100_000)
    assert seconds(2_000_000) < 40 * max(seconds(200_000), 0.01), "ten times the size takes about ten times as long"


def test_what_is_no_json_rpc_is_said(tmp_path: pathlib.Path) -> None:
    deep = b'{"a":' * 100000 + b"1" + b"}" * 100000
    for text in (b"SSH-2.0-OpenSSH_9.2\r\n", b"[1]", b"{nonsense}", b'{"a": "\xff"}', deep):
        decoder = Decoder()
        decoder.feed(text)
        with pytest.raises(vswitch.ProtocolError, match="does not speak JSON-RPC"):
            list(decoder)
    decoder = Decoder(max_message=1000)
    decoder.feed(b'{"a": "' + b"x" * 1000)
    with pytest.raises(vswitch.ProtocolError, match="more than 1000 bytes"):
        list(decoder)

    def banner(client: socket.socket) -> None:
        request(client)
        client.sendall(b"220 mail.example ESMTP\r\n")
        client.recv(1)

    with server(tmp_path / "s", banner, echo) as path, vswitch.connect(path, timeout=5) as switch:
        with pytest.raises(vswitch.ProtocolError, match="220 mail"):
            switch.system.info()
        assert switch.call("any.method", {"a": 1}) == {"a": 1}, "the next call connects anew"


def test_every_example_of_the_document_is_a_call(tmp_path: pathlib.Path) -> None:
    """What a method sends is what the example has, and what it returns is the example's result."""
    methods = [one for one in DOCUMENT["methods"] if one["name"] not in ("subscribe", "unsubscribe")]
    examples = [(one["name"], example) for one in methods for example in one["examples"]]
    assert len(examples) >= len(methods)

    def daemon(client: socket.socket) -> None:
        for (name, example), asked in zip(examples, requests(client)):
            assert asked["jsonrpc"] == "2.0" and asked["method"] == name
            assert asked["params"] == {one["name"]: one["value"] for one in example["params"]}
            answer(client, asked, example["result"]["value"])

    with server(tmp_path / "s", daemon) as path, vswitch.connect(path, timeout=5) as switch:
        for name, example in examples:
            noun, verb = name.split(".")
            verb = {"del": "del_", "import": "import_"}.get(verb, verb)
            method = getattr(getattr(switch, noun), verb)
            assert method(**{one["name"]: one["value"] for one in example["params"]}) == example["result"]["value"], name


def test_a_parameter_that_is_not_given_is_not_sent_and_none_is(tmp_path: pathlib.Path) -> None:
    with server(tmp_path / "s", echo) as path, vswitch.connect(path, timeout=5) as switch:
        sent: Any = switch.mirror.set(bridge="br0", name="镜像", snaplen=None)
        assert sent == {"bridge": "br0", "name": "镜像", "snaplen": None}


def test_an_error_has_code_message_and_data(tmp_path: pathlib.Path) -> None:
    errors = DOCUMENT["components"]["errors"]

    def refuse(client: socket.socket) -> None:
        for error, asked in zip([*errors.values(), {"code": -32601}], requests(client)):
            data = {"reason": "r", "field": "sources.ports[0]", "value": error["code"]}
            answer(client, asked, error={"code": error["code"], "message": "no such thing", "data": data})

    with server(tmp_path / "s", refuse) as path, vswitch.connect(path, timeout=5) as switch:
        for name, error in errors.items():
            with pytest.raises(vswitch.Refusal) as caught:
                switch.bridge.list()
            assert type(caught.value).__name__ == name
            assert (caught.value.code, caught.value.message, str(caught.value)) == (error["code"],) + ("no such thing",) * 2
            assert (caught.value.field, caught.value.value) == ("sources.ports[0]", error["code"])
            assert pickle.loads(pickle.dumps(caught.value)).data == caught.value.data
        with pytest.raises(vswitch.Refusal) as caught:
            switch.bridge.list()
        assert type(caught.value) is vswitch.Refusal, "a code that no exception has"


def test_no_daemon(tmp_path: pathlib.Path) -> None:
    with pytest.raises(vswitch.NoDaemon, match="no daemon answers on .*/nothing.*is vswitchd running"):
        vswitch.connect(tmp_path / "nothing")
    with pytest.raises(vswitch.NoDaemon, match="no daemon answers"):
        vswitch.connect("x" * 200)


def test_a_daemon_that_goes_before_it_answers(tmp_path: pathlib.Path) -> None:
    def go(client: socket.socket) -> None:
        asked = request(client)
        client.sendall(b'{"jsonrpc": "2.0", "id": %d, "resu' % asked["id"])

    with server(tmp_path / "s", go, echo) as path, vswitch.connect(path, timeout=5) as switch:
        with pytest.raises(vswitch.ConnectionLost, match="closed the connection before it answered"):
            switch.bridge.add(name="br0")
        assert switch.call("any.method", {"again": True}) == {"again": True}, "the next call connects anew"


def test_an_answer_that_is_late_is_not_taken_for_the_next_one(tmp_path: pathlib.Path) -> None:
    def late(client: socket.socket) -> None:
        asked = requests(client)
        first, second = next(asked), next(asked)
        answer(client, first, {"first": True})
        answer(client, second, {"second": True})
        next(asked, None)

    with server(tmp_path / "s", late) as path, vswitch.connect(path, timeout=0.05) as switch:
        with pytest.raises(vswitch.TimedOut, match="bridge.list but did not answer within 0.05 s: the change may still"):
            switch.bridge.list()
        switch.timeout = 5
        assert switch.call("bridge.list") == {"second": True}


def test_a_daemon_that_takes_nothing(tmp_path: pathlib.Path) -> None:
    done = threading.Event()

    def deaf(client: socket.socket) -> None:
        assert done.wait(10)

    with server(tmp_path / "s", deaf, echo) as path, vswitch.connect(path, timeout=0.2) as switch:
        with pytest.raises(vswitch.TimedOut, match="did not take mirror.import within 0.2 s"):
            switch.call("mirror.import", {"sessions": "x" * 10_000_000})
        done.set()
        switch.timeout = 5
        assert switch.call("any.method", {"n": 1}) == {"n": 1}


def test_explain_waits_for_the_frame_and_for_the_daemon(tmp_path: pathlib.Path) -> None:
    def slow(client: socket.socket) -> None:
        asked = request(client)
        time.sleep(0.3)
        answer(client, asked, {"trace": ["a frame"]})

    with server(tmp_path / "s", slow) as path, vswitch.connect(path, timeout=0.1) as switch:
        assert switch.mirror.explain(bridge="br0", next={"wait": 5})["trace"] == ["a frame"]


def notify(client: socket.socket, number: int | None, state: str = "active") -> None:
    params = {"number": number, "time": "2026-01-05T08:00:00Z", "bridge": "br0", "name": "s", "state": state, "reason": ""}
    client.sendall(json.dumps({"jsonrpc": "2.0", "method": "mirror.state", "params": params}).encode())


def subscribed(client: socket.socket, last: int, state: str = "active") -> dict[str, Any]:
    asked = request(client)
    assert asked["method"] == "subscribe"
    states = {"mirrors": [{"bridge": "br0", "name": "s", "state": state, "reason": ""}]}
    answer(client, asked, {"topics": ["mirror.state"], "time": "", "last": last, "snapshot": states})
    return dict(asked["params"])


def test_a_subscription_tells_that_it_was_cut_and_what_was_missed(tmp_path: pathlib.Path) -> None:
    def first(client: socket.socket) -> None:
        assert subscribed(client, 7) == {"topics": ["mirror.state"]}
        notify(client, 8)

    def second(client: socket.socket) -> None:
        subscribed(client, 11, "waiting")
        asked = request(client)
        assert asked["method"] == "system.events"
        assert asked["params"] == {"topics": ["mirror.state"], "after": 8, "limit": 10000}
        notify(client, 12, "waiting")  # while it is asked: also in the answer, and told once
        missed = [{"number": n, "time": "", "topic": "mirror.state", "bridge": "br0", "name": "s", "state": "error", "reason": ""}
                  for n in (10, 11, 12)]
        answer(client, asked, {"events": missed, "last": 12, "left_out": 1, "trouble": None})
        notify(client, None)
        assert client.recv(1) == b"", "closed by the client"

    with server(tmp_path / "s", first, second) as path, vswitch.Subscription(path, 5, ["mirror.state"], True) as events:
        assert events.snapshot["mirrors"][0]["state"] == "active"
        got = []
        for event in events:
            got.append(event)
            if len(got) == 7:
                break
        assert events.wait(0) is None
    assert [one["topic"] for one in got] == ["mirror.state", "connection.lost", "connection.restored"] + ["mirror.state"] * 4
    restored = got[2]
    assert restored["topic"] == "connection.restored"
    assert (restored["seen"], restored["last"], restored["left_out"]) == (8, 11, 1)
    assert restored["snapshot"]["mirrors"][0]["state"] == "waiting"
    assert [one.get("number") for one in got] == [8, None, None, 10, 11, 12, None]


def test_a_subscription_that_does_not_reconnect(tmp_path: pathlib.Path) -> None:
    def once(client: socket.socket) -> None:
        subscribed(client, 0)

    with server(tmp_path / "s", once) as path, vswitch.Subscription(path, 5, None, False) as events:
        with pytest.raises(vswitch.ConnectionLost):
            next(events)


def test_a_subscription_is_ended_by_another_thread(tmp_path: pathlib.Path) -> None:
    def quiet(client: socket.socket) -> None:
        subscribed(client, 0)
        client.recv(1)

    with server(tmp_path / "s", quiet) as path:
        events = vswitch.Subscription(path, 5, None, True)
        threading.Timer(0.1, events.close).start()
        assert list(events) == []


def test_what_is_there_is_returned_without_waiting(tmp_path: pathlib.Path) -> None:
    said = threading.Event()

    def one(client: socket.socket) -> None:
        subscribed(client, 0)
        notify(client, 1)
        said.set()
        client.recv(1)

    with server(tmp_path / "s", one) as path, vswitch.Subscription(path, 5, None, True) as events:
        assert said.wait(5)
        event = events.wait(0)
        assert event is not None and event["topic"] == "mirror.state"
        assert events.wait(0) is None and events.wait(0.05) is None


def test_threads_share_a_switch(tmp_path: pathlib.Path) -> None:
    wrong = []

    with server(tmp_path / "s", echo) as path, vswitch.connect(path, timeout=5) as switch:
        def ask(who: int) -> None:
            for turn in range(200):
                if switch.call("any.method", {"who": who, "turn": turn}) != {"who": who, "turn": turn}:
                    wrong.append((who, turn))

        threads = [threading.Thread(target=ask, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_the_socket_is_found_as_by_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VSWITCH_SOCKET", raising=False)
    monkeypatch.delenv("OVS_RUNDIR", raising=False)
    assert connection.socket_path() == "/run/vswitch/db.sock"
    monkeypatch.setenv("OVS_RUNDIR", "/run/openvswitch")
    assert connection.socket_path() == "/run/openvswitch/db.sock"
    assert connection.socket_path(rundir="/r") == "/r/db.sock"
    monkeypatch.setenv("VSWITCH_SOCKET", "/s")
    assert connection.socket_path() == "/s" and connection.socket_path(rundir="/r") == "/s"
    assert connection.socket_path(pathlib.Path("/p")) == "/p"


def test_random_cuts_of_random_messages() -> None:
    seed = int(os.environ.get("VSWITCH_SEED", random.randrange(1 << 32)))
    chance = random.Random(seed)

    def value(depth: int) -> Any:
        kind = chance.randrange(6 if depth else 4)
        if kind < 2:
            return "".join(chance.choice('ab"\\{}[]é镜\n\U0001f600') for _ in range(chance.randrange(12)))
        if kind < 4:
            return chance.choice([None, True, -1.5e9, 0])
        if kind == 4:
            return [value(depth - 1) for _ in range(chance.randrange(4))]
        return {value(0).__repr__(): value(depth - 1) for _ in range(chance.randrange(4))}

    for _ in range(300):
        messages = [{"m": value(4)} for _ in range(chance.randrange(1, 5))]
        text = b"\n".join(json.dumps(one, ensure_ascii=chance.random() < 0.5).encode() for one in messages)
        decoder = Decoder()
        got = []
        while text:
            cut = chance.randrange(1, 20)
            decoder.feed(text[:cut])
            text = text[cut:]
            got += list(decoder)
        assert got == messages, f"VSWITCH_SEED={seed}"
