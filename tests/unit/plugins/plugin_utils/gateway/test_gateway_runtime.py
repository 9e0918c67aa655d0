"""The gateway's admin socket, its memory, and the module over both, against a stand-in for HAProxy."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import runtime
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.drain import Pair, patch_state
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.runtime import Gateway, GatewayError

PORTS: dict[Pair, str] = {("two", "lab1"): "8123", ("two", "lab2"): "8123", ("solo", "lab1"): "8124"}
LAB1 = [("two", "lab1")]
CONFIG = """
backend model.two
    server lab1 127.0.0.1:8123
    server lab2 127.0.0.1:8123
backend model.solo
    server lab1 127.0.0.1:8124
"""


class HAProxy(socketserver.ThreadingUnixStreamServer):
    """Speaks as HAProxy's admin socket does; `reloads` workers take over, one after each dump, without what was asked."""

    daemon_threads = True

    def __init__(self, path: Path, state: str = "") -> None:
        self.state, self.pid, self.reloads, self.refusal = patch_state(state, PORTS, False, PORTS), 100, 0, ""
        self.commands: list[str] = []
        super().__init__(str(path), Session)

    def answer(self, command: str) -> str:
        self.commands.append(command)
        if command == "show info":
            return f"Name: HAProxy\nPid: {self.pid}\n"
        if command.startswith("show stat "):
            return "# pxname,svname,scur\nmodel.two,lab1,3\n"
        if command == "show servers state":
            text = self.state
            if self.reloads:
                self.reloads, self.pid = self.reloads - 1, self.pid + 1
                self.state = patch_state(self.state, PORTS, False, PORTS)
            return text + "\n"
        verb, __, name, __, admin = command.split()
        assert verb == "set"
        model, __, host = name.partition("/")
        if not self.refusal:
            self.state = patch_state(self.state, [(model[len("model.") :], host)], admin == "drain", PORTS)
        return self.refusal + "\n"


class Session(socketserver.StreamRequestHandler):
    server: HAProxy

    def handle(self) -> None:
        self.wfile.write(self.server.answer(self.rfile.readline().decode().strip()).encode())


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setattr(runtime, "SETTLED", 0.0)
    (tmp_path / "vllm.cfg").write_text(CONFIG)
    return Gateway(tmp_path / "admin.sock", tmp_path, tmp_path / "vllm.cfg")


@pytest.fixture
def haproxy(gateway: Gateway) -> Iterator[HAProxy]:
    with HAProxy(gateway.admin) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def test_a_drain_holds_now_and_at_the_next_start(gateway: Gateway, haproxy: HAProxy) -> None:
    sight = gateway.change(LAB1, True, "alice", "psu")
    assert sight.view["two"]["lab1"].admin == "drained"
    assert sight.view["two"]["lab1"].sessions == 3
    assert sight.drains["two/lab1"]["who"] == "alice"
    assert "set server model.two/lab1 state drain" in haproxy.commands
    haproxy.shutdown()
    haproxy.server_close()
    gateway.admin.unlink()
    down = gateway.look()
    assert (down.process, down.view["two"]["lab1"].admin, down.view["two"]["lab1"].up) == (None, "drained", False)
    assert down.drains == sight.drains


def test_a_gateway_that_is_down_remembers(gateway: Gateway) -> None:
    sight = gateway.change(LAB1, True, "alice", "psu")
    assert sight.process is None
    assert list(sight.drains) == ["two/lab1"]
    assert " lab1 - 2 8 " in gateway.state_file.read_text()
    assert gateway.change(LAB1, False, "bob", "").drains == {}
    assert json.loads(gateway.records_file.read_text()) == {}


def test_the_first_record_stays(gateway: Gateway, haproxy: HAProxy) -> None:
    first = gateway.change(LAB1, True, "alice", "psu").drains
    assert gateway.change([*LAB1, ("solo", "lab1")], True, "bob", "").drains["two/lab1"] == first["two/lab1"]


def test_the_record_of_what_somebody_made_ready_by_hand_is_history(gateway: Gateway, haproxy: HAProxy) -> None:
    gateway.change(LAB1, True, "alice", "psu")
    haproxy.answer("set server model.two/lab1 state ready")
    assert gateway.look().drains == {}
    assert gateway.change(LAB1, True, "bob", "").drains["two/lab1"]["who"] == "bob"


@pytest.mark.parametrize("reloads", [1, 3])
def test_workers_that_take_over_meanwhile_are_told_too(gateway: Gateway, haproxy: HAProxy, reloads: int) -> None:
    haproxy.reloads = reloads
    assert gateway.change(LAB1, True, "alice", "").view["two"]["lab1"].admin == "drained"
    assert gateway.look().view["two"]["lab1"].admin == "drained"


def test_a_gateway_that_forgets_each_time_is_told(gateway: Gateway, haproxy: HAProxy) -> None:
    haproxy.reloads = 100
    with pytest.raises(GatewayError, match="did not keep two/lab1 drained"):
        gateway.change(LAB1, True, "alice", "")


def test_what_haproxy_refuses_is_told(gateway: Gateway, haproxy: HAProxy) -> None:
    haproxy.refusal = "Permission denied"
    with pytest.raises(GatewayError, match="refused to make two/lab1 drained: Permission denied"):
        gateway.change(LAB1, True, "alice", "")


@pytest.mark.parametrize("text", ["", "not JSON", "[]"])
def test_records_that_cannot_be_read_hide_no_drain(gateway: Gateway, haproxy: HAProxy, text: str) -> None:
    gateway.change(LAB1, True, "alice", "")
    gateway.records_file.write_text(text)
    assert list(gateway.look().drains) == ["two/lab1"]


class Ended(Exception):
    """A module's end, with its result."""


@pytest.fixture
def call(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Any:
    from ansible_collections.baremetal.vllm.plugins.modules import gateway_server

    def run(state: str, *pairs: Pair, check: bool = False, **options: Any) -> dict[str, Any]:
        class Module:
            check_mode = check
            params: ClassVar[dict[str, Any]] = {
                "who": "alice", "why": "", "allow_gap": False, "wait": 0.0, "hosts": [], "leaving": [], **options, "state": state, "socket": str(gateway.admin),
                "directory": str(gateway.directory), "config": str(gateway.config),
                "servers": [{"model": model, "host": host} for model, host in pairs],
            }  # fmt: skip

            def __init__(self, **__: Any) -> None: ...

            def exit_json(self, **result: Any) -> None:
                raise Ended(result)

            def fail_json(self, **result: Any) -> None:
                raise Ended({"failed": True, **result})

        monkeypatch.setattr(gateway_server, "AnsibleModule", Module)
        with pytest.raises(Ended) as ended:
            gateway_server.main()
        result: dict[str, Any] = ended.value.args[0]
        return result

    return run


def test_the_last_serving_replica_is_not_drained(call: Any, haproxy: HAProxy) -> None:
    refused = call("drained", ("two", "lab1"), ("solo", "lab1"))
    assert refused["failed"]
    assert refused["gaps"] == ["solo"]
    assert "Nothing was drained: without solo/lab1, two/lab1 no replica would serve solo." in refused["msg"]
    assert not any(command.startswith("set") for command in haproxy.commands)
    assert call("drained", ("solo", "lab1"), allow_gap=True)["changed"]


def test_a_model_that_leaves_as_a_whole_leaves_no_gap(call: Any, haproxy: HAProxy) -> None:
    assert call("drained", ("two", "lab1"), ("solo", "lab1"), leaving=["solo"])["changed"]
    assert call("drained", ("two", "lab2"), leaving=["solo"])["gaps"] == ["two"]


def test_twice_is_once(call: Any, haproxy: HAProxy) -> None:
    assert call("drained", *LAB1)["changed"]
    again = call("drained", *LAB1, who="bob")
    assert (again["changed"], again["drains"]["two/lab1"]["who"]) == (False, "alice")
    assert call("ready", *LAB1)["changed"]
    assert not call("ready", *LAB1)["changed"]


def test_a_host_leaves_with_all_its_servers_and_what_another_one_drained_stays_drained(
    call: Any, haproxy: HAProxy
) -> None:
    assert call("drained", *LAB1)["changed"]
    away = call("drained", hosts=["lab1"], who="driver", allow_gap=True)
    assert {key: record["who"] for key, record in away["drains"].items()} == {
        "two/lab1": "alice",
        "solo/lab1": "driver",
    }
    back = call("ready", hosts=["lab1"], who="driver")
    assert back["changed"]
    assert set(back["drains"]) == {"two/lab1"}
    assert not call("ready", hosts=["lab1"], who="driver")["changed"]


def test_a_gateway_that_is_not_set_up_has_no_server_of_any_host(call: Any, gateway: Gateway) -> None:
    gateway.config.unlink()
    for state in ("drained", "ready"):
        assert not call(state, hosts=["lab1"])["changed"]
    assert list(gateway.directory.iterdir()) == []


def test_check_mode_changes_nothing(call: Any, gateway: Gateway, haproxy: HAProxy) -> None:
    told = call("drained", *LAB1, check=True)
    assert told["changed"]
    assert told["diff"] == {"before": "two/lab1: ready\n", "after": "two/lab1: drained\n"}
    assert not any(command.startswith("set") for command in haproxy.commands)
    assert {path.name for path in gateway.directory.iterdir()} == {"vllm.cfg", "admin.sock"}
    assert call("drained", ("solo", "lab1"), check=True)["failed"]


def test_a_query_reads_only(call: Any, gateway: Gateway, haproxy: HAProxy) -> None:
    found = call("query")
    assert (found["changed"], found["running"], found["drains"]) == (False, True, {})
    assert found["servers"]["two"]["lab1"] == {"admin": "ready", "up": True, "sessions": 3}
    assert {path.name for path in gateway.directory.iterdir()} == {"vllm.cfg", "admin.sock"}


def test_all_unknown_pairs_are_named(call: Any, haproxy: HAProxy) -> None:
    told = call("drained", ("two", "lab7"), ("three", "lab1"))["msg"]
    assert "no server lab7 for the model two" in told
    assert "does not know the model three" in told


def test_a_gateway_that_is_down(call: Any) -> None:
    told = call("drained", ("solo", "lab1"))
    assert (told["changed"], told["running"], list(told["drains"])) == (True, False, ["solo/lab1"])


def test_ready_waits_until_the_server_is_up_and_holds_no_lock_meanwhile(
    call: Any, gateway: Gateway, haproxy: HAProxy
) -> None:
    haproxy.state = haproxy.state.replace(" lab1 - 2 ", " lab1 - 0 ")
    told = call("ready", *LAB1, wait=0.1)
    assert told["failed"]
    assert "two/lab1: ready, but this gateway did not see it up within 0.1 s" in told["msg"]
    assert not call("ready", *LAB1)["changed"]

    def rise() -> None:
        with gateway.locked():
            haproxy.state = haproxy.state.replace(" lab1 - 0 ", " lab1 - 2 ")

    timer = threading.Timer(0.1, rise)
    timer.start()
    assert call("ready", *LAB1, wait=5.0)["servers"]["two"]["lab1"]["up"]
    timer.join()
