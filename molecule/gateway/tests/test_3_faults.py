"""Engines and gateways that die, and the floating address; the last test takes everything away again."""

from __future__ import annotations

import http.client
import time

from door import GATEWAYS, Load, ask, at_once, chat, gateway, start_engine, stream
from testlab import address, host, wait_until

FLOATING = "10.213.77.100"


def test_haproxy_killed_is_back_within_seconds(where: str) -> None:
    host(where).check_output("kill -9 $(systemctl show -P MainPID haproxy-vllm)")
    wait_until(lambda: chat(where).status == 200, 30, "the gateway answers again")


def test_of_two_replicas_one_dies_and_new_requests_go_on(where: str) -> None:
    streams = at_once(10, lambda: stream(where, 60))
    time.sleep(1)
    # What reaches an engine while its kernel still takes it to pieces is in flight on it.
    host("lab48").check_output(
        "pid=$(systemctl show -P MainPID engine-chatty); kill -9 $pid; while test -e /proc/$pid; do sleep 0.01; done"
    )
    try:
        answers = [chat(where).status for __ in range(50)]
        assert answers == [200] * 50
        done = streams()
        assert done.count(60) >= 3, "those of the other replica go on"
        assert all(count in (60, -1) for count in done)
    finally:
        start_engine("lab48", "chatty")


def test_one_connection_is_kept_for_each_engine_and_not_for_long(where: str) -> None:
    with Load(where, threads=12):
        time.sleep(1)
    # uvicorn parts from a connection that has been idle for five seconds.
    kept = [to_engines(where)]
    while kept[-1] and len(kept) < 15:
        time.sleep(0.2)
        kept.append(to_engines(where))
    assert max(kept[1:], default=0) <= 2, "one for each of two engines"
    assert kept[-1] == 0, f"still there after three seconds: {kept}"


def to_engines(where: str) -> int:
    """A gateway's connections to the engines of "chatty"."""
    return len(host(where).check_output("ss -tnH state established dport = :8101").splitlines())


def test_a_host_that_falls_silent_takes_one_request_with_it(where: str) -> None:
    """Its power is gone, say: over a connection that was there before, no word of that comes."""
    silent = next(name for name in GATEWAYS if name != where)
    cut = f"blackhole {address(where)}/32"
    with Load(where, threads=1) as load:
        time.sleep(1)
        host(silent).check_output(f"ip route add {cut}")
        try:
            started = time.monotonic()
            answers = at_once(10, lambda: status(where))()
            good = load.good
            wait_until(lambda: load.good > good + 20, 40, "the client of the silent engine goes on")
            seconds = time.monotonic() - started
        finally:
            host(silent).check_output(f"ip route delete {cut}")
    lost = [*load.bad, *(answer for answer in answers if answer != 200)]
    assert len(lost) <= 1, lost
    assert seconds < 40, "who waits for an engine that is gone is told"


def status(where: str) -> int:
    """Of one request over a connection of its own; 0 where HAProxy ends that without an answer."""
    try:
        return chat(where).status
    except (OSError, http.client.HTTPException):
        return 0


def test_the_reader_of_large_bodies_comes_back(where: str) -> None:
    host(where).check_output("systemctl kill --signal=KILL haproxy-vllm-bodies")
    assert chat(where).status == 200
    content = "x" * 100_000
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 1, "model": "chatty"}
    wait_until(lambda: ask(where, "/v1/chat/completions", body).status == 200, 30, "large bodies are read again")


def test_the_floating_address_goes_where_haproxy_answers() -> None:
    run = gateway(gateway_floating_address=f"{FLOATING}/24")
    assert run.rc == 0, run.text
    wait_until(lambda: holder(), 30, "somebody holds the floating address")
    assert gateway(gateway_floating_address=f"{FLOATING}/24").changed == 0
    first = holder()
    assert chat(FLOATING).status == 200
    host(first).check_output("systemctl stop haproxy-vllm")
    wait_until(lambda: holder() not in ("", first), 30, "the other one holds it")
    wait_until(lambda: chat(FLOATING).status == 200, 30, "the other one answers")
    second = holder()
    host(first).check_output("systemctl start haproxy-vllm")
    time.sleep(4)
    assert holder() == second, "it does not go back while the other one answers"
    host(second).check_output("systemctl stop keepalived-vllm")
    wait_until(lambda: holder() == first, 30, "a gateway whose keepalived stops is replaced too")
    with Load(first) as load:
        assert gateway().rc == 0
    assert load.bad == []
    assert holder() == ""
    assert not host(first).file("/etc/keepalived/vllm.conf").exists


def holder() -> str:
    """The gateway with the floating address; "" where none has it."""
    held = [name for name in GATEWAYS if FLOATING in host(name).check_output("ip -4 -o address")]
    return held[0] if len(held) == 1 else ""


def test_absent_leaves_nothing() -> None:
    for where in GATEWAYS:
        # What a rollout's lock leaves, and a file of the operator's.
        host(where).check_output("mkdir -p /var/lib/vllm; echo '# mine' > /etc/haproxy/mine.cfg")
    assert gateway(gateway_state="absent").rc == 0
    for where in GATEWAYS:
        target = host(where)
        left = target.check_output(
            "find / -xdev ( -name '*vllm*' -o -name 'haproxy-vllm*' ) -not -path '/proc/*' -not -path '/opt/vllm*' "
            "-not -path '/sys/*' -not -path '/var/log/*'".replace("(", r"\(").replace(")", r"\)")
        )
        assert left == ""
        assert target.run("systemctl is-active haproxy-vllm haproxy-vllm-bodies keepalived-vllm").stdout.split() == [
            "inactive", "inactive", "inactive",
        ]  # fmt: skip
        assert target.file("/etc/haproxy/mine.cfg").exists
    assert gateway(gateway_state="absent").changed == 0
