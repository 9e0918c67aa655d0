"""Changes while clients are served: nothing fails, no stream is cut, and what is wrong replaces nothing."""

from __future__ import annotations

import ssl
import subprocess
import time
from pathlib import Path

from door import GATEWAYS, KEYS, MODELS, NEXT, PORT, TEAM, Load, at_once, chat, gateway, stream
from testlab import host, show, wait_until

STREAMS, TOKENS = 20, 160


def drained(name: str) -> bool:
    return "drain" in servers(name)["lab48"]


def servers(name: str) -> dict[str, str]:
    """By server of model.chatty what HAProxy says of it."""
    said = command(name, "show servers state model.chatty")
    fields = [line.split() for line in said.splitlines() if line[:1].isdigit() and " " in line]
    return {f[3]: f"{'drain' if int(f[6]) & 8 else 'ready'} port {f[18]}" for f in fields}


def command(name: str, words: str) -> str:
    code = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect('/run/haproxy-vllm/admin.sock');"
        "s.sendall(sys.argv[1].encode()+b'\\n'); print(s.makefile().read())"
    )
    return str(host(name).check_output("python3 -c %s %s", code, words))


def test_a_second_run_changes_nothing() -> None:
    run = gateway()
    assert run.rc == 0
    assert run.changed == 0


def test_keys_rotate_without_a_failed_request_and_streams_go_on() -> None:
    both = {**KEYS, "team": [TEAM, NEXT]}
    streams = [at_once(STREAMS, lambda where=where: stream(where, TOKENS)) for where in GATEWAYS]
    with Load("lab47") as first, Load("lab48") as second:
        time.sleep(0.5)
        assert gateway(gateway_keys=both).rc == 0
        assert chat("lab47", key=NEXT).status == 200
    for load in (first, second):
        assert load.bad == []
        assert load.good > 50
    with Load("lab47", NEXT) as moved:
        assert gateway(gateway_keys={**KEYS, "team": [NEXT]}).rc == 0
    assert moved.bad == []
    assert [wait() for wait in streams] == [[TOKENS] * STREAMS] * 2
    assert chat("lab48", key=TEAM).status == 401
    assert gateway().rc == 0


def test_what_haproxy_refuses_replaces_nothing() -> None:
    before = host("lab47").check_output("cat /etc/haproxy/vllm.cfg")
    run = gateway(gateway_tls_path="/srv/nothing.pem")
    assert run.rc != 0
    assert "/srv/nothing.pem" in run.text
    assert "nothing was replaced" in run.text
    assert host("lab47").check_output("cat /etc/haproxy/vllm.cfg") == before
    assert chat("lab47").status == 200
    assert "lab48" not in run.recap, "the second gateway is left as it serves"


def test_what_haproxy_cannot_carry_out_is_taken_back() -> None:
    with Load("lab47") as load:
        run = gateway(gateway_port=22)
    assert run.rc != 0
    assert "the earlier files are back" in run.text
    assert load.bad == []
    assert chat("lab47").status == 200


def test_a_drained_server_stays_drained_and_a_new_port_counts() -> None:
    command("lab47", "set server model.chatty/lab48 state drain")
    moved = {**MODELS, "nobody": {**MODELS["nobody"], "port": 8114}}
    assert gateway("--limit", "lab1,lab47", vllm_models=moved).rc == 0
    assert drained("lab47")
    assert "8114" in command("lab47", "show servers state model.nobody")
    host("lab47").check_output("systemctl kill --signal=KILL haproxy-vllm")
    wait_until(lambda: drained("lab47"), 60, "HAProxy is back, and the server drained")
    command("lab47", "set server model.chatty/lab48 state ready")
    assert gateway("--limit", "lab1,lab47").rc == 0
    assert not drained("lab47")


def test_tls_with_a_certificate_of_the_control_node(tmp_path: Path) -> None:
    certificate, key = tmp_path / "door.crt", tmp_path / "door.key"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*make, "-subj", "/CN=door", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    run = gateway("--diff", gateway_tls_certificate=str(certificate), gateway_tls_key=str(key))
    assert run.rc == 0
    assert "PRIVATE KEY" not in run.text
    for where in GATEWAYS:
        assert chat(where, tls=context).status == 200
        assert host(where).file("/etc/haproxy/vllm/tls.pem").mode == 0o600
    subprocess.run([*make, "-subj", "/CN=other", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    assert gateway(gateway_tls_certificate=str(certificate), gateway_tls_key=str(key)).rc == 0
    renewed = ssl.create_default_context(cafile=str(certificate))
    renewed.check_hostname = False
    assert chat("lab48", tls=renewed).status == 200
    assert gateway().rc == 0
    assert chat("lab47", port=PORT).status == 200
    assert not host("lab47").file("/etc/haproxy/vllm/tls.pem").exists


WHOLE = "cat chain key > new && mv new {}"
# HAProxy would refuse what lies there in between.
IN_PARTS = "cat chain > {0}; sleep 1; cat key >> {0}"


def renew(name: str, where: str, path: str, write: str) -> ssl.SSLContext:
    """A new certificate, written on the gateway by a script as certbot's deploy hooks are; what a client then trusts."""
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9"
    folder = Path(path).parent
    host(where).check_output(f"{make} -subj /CN={name} -keyout {folder}/key -out {folder}/chain 2>/dev/null")
    host(where).check_output(f"cd {folder}; {write.format(path)}")
    context = ssl.create_default_context(cadata=host(where).file(f"{folder}/chain").content_string)
    context.check_hostname = False
    return context


def trusted(where: str, context: ssl.SSLContext) -> bool:
    try:
        return chat(where, tls=context).status == 200
    except ssl.SSLError:
        return False


def test_a_certificate_that_is_renewed_on_the_gateway_is_taken_up_and_no_stream_is_cut() -> None:
    path = "/etc/ssl/fleet/fleet.pem"
    host("lab47").check_output(f"mkdir -p $(dirname {path})")
    limited = ("--limit", "lab1,lab47")
    try:
        first = renew("first", "lab47", path, WHOLE)
        assert gateway(*limited, gateway_tls_path=path).rc == 0
        assert trusted("lab47", first)
        under_way = at_once(3, lambda: stream("lab47", TOKENS, tls=first))
        second = renew("second", "lab47", path, IN_PARTS)
        assert not trusted("lab47", second)
        wait_until(lambda: trusted("lab47", second), 30, "the renewed certificate is shown to clients")
        assert under_way() == [TOKENS] * 3
        # One that does not fit is not taken up, and HAProxy goes on.
        host("lab47").check_output(f"echo nonsense > {path}")
        wait_until(
            lambda: show(host("lab47"), "haproxy-vllm-certificate.service", "ActiveState")["ActiveState"] == "failed",
            30,
            "the refusal is a failed unit",
        )
        assert trusted("lab47", second)
        third = renew("third", "lab47", path, WHOLE)
        wait_until(lambda: trusted("lab47", third), 30, "one that fits is taken up afterwards")
        assert gateway(*limited, gateway_tls_path=path).changed == 0
    finally:
        assert gateway(*limited).rc == 0
        host("lab47").check_output(f"rm -r $(dirname {path})")
    assert not host("lab47").run("ls /etc/systemd/system/haproxy-vllm-certificate.*").stdout
    assert show(host("lab47"), "haproxy-vllm-certificate.path", "LoadState")["LoadState"] == "not-found"
