"""What the door lets through, and what it answers itself; on both releases of HAProxy."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from door import (
    ADAPTER,
    GATEWAYS,
    LARGE,
    LIMITED,
    NARROW,
    PORT,
    TEAM,
    ask,
    begin_stream,
    chat,
    connect,
    tokens_in,
)
from testlab import KEY, ROOT, address, host, received

CHAT = "/v1/chat/completions"
CLOSED = (
    *("/metrics", "/health", "/docs", "/openapi.json", "/invocations", "/pause", "/tokenize", "/load", "/version", "/"),
    *("/rerank", "/score", "/pooling", "/classify", "/v1/chat/completions/", "//v1/chat/completions"),
    *("/v1/./chat/completions", "/v1/%63hat/completions", "/V1/chat/completions", "/v1/models/../../metrics"),
)


def form(model: str, size: int = 1000) -> bytes:
    parts = [b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + b"\0" * size]
    parts += [b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + model.encode(), b"--b--\r\n"]
    return b"\r\n".join(parts)


@pytest.mark.parametrize("model", ["chatty", "gpt-4o-mini", "Qwen/Qwen2.5:é", "legal"])
def test_names_aliases_and_adapters_route(where: str, model: str) -> None:
    assert chat(where, model).status == 200
    assert (
        ask(where, CHAT, json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode()).status
        == 200
    )


@pytest.mark.parametrize("size", [100, 60_000, LARGE])
def test_bodies_of_any_size_route_with_the_model_first_or_last(where: str, size: int) -> None:
    messages = {"messages": [{"role": "user", "content": "x" * size}]}
    for body in ({"model": "chatty", **messages}, {**messages, "model": "chatty"}):
        answer = ask(where, CHAT, {**body, "max_tokens": 1})
        assert answer.status == 200, answer.raw
        assert not [name for name in answer.headers if name.startswith("x-vllm-")]


@pytest.mark.parametrize("spelled", ["chunked", "ChunKED"])
def test_a_chunked_body_routes(where: str, spelled: str) -> None:
    body = json.dumps(
        {"messages": [{"role": "user", "content": "x" * 100_000}], "max_tokens": 1, "model": "chatty"}
    ).encode()
    chunks = iter([body[:50], body[50:]])
    connection = connect(where)
    connection.request(
        "POST",
        CHAT,
        chunks,
        {"Authorization": f"Bearer {TEAM}", "Content-Type": "application/json", "Transfer-Encoding": spelled},
        encode_chunked=True,
    )
    assert connection.getresponse().status == 200, "an engine is told of one spelling only"


@pytest.mark.parametrize("cookie", [10_000, 60_000])
@pytest.mark.parametrize("size", [100, 49_000, 100_000])
def test_headers_take_no_room_from_the_body(where: str, size: int, cookie: int) -> None:
    answer = chat(where, text="x" * (size - 200), headers={"Cookie": "c" * cookie})
    assert answer.status == 200, answer.raw


def test_forms_route_as_other_clients_spell_them(where: str) -> None:
    """.NET leaves out quotes, Akka puts the character set last."""
    bare = (
        form("scribe")
        .replace(b'"file"; filename="a.wav"', b"file; filename=a.wav; filename*=utf-8''a.wav")
        .replace(b'"model"', b"model")
    )
    for media in ("multipart/form-data; boundary=b", "multipart/form-data; boundary=b; charset=UTF-8"):
        answer = ask(where, "/v1/audio/transcriptions", bare, media=media)
        assert answer.status in (200, 400), "it reached the engine, which reads real sound only"
        assert b"invalid_form" not in answer.raw


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_forms_route(where: str, size: int) -> None:
    media = "multipart/form-data; boundary=b"
    answer = ask(where, "/v1/audio/transcriptions", form("scribe", size), media=media)
    assert answer.status in (200, 400), "it reached the engine, which reads real sound only"
    assert any("/v1/audio/transcriptions model=" in line for line in received("lab47", "engine-scribe", "-10s"))
    assert ask(where, "/v1/audio/transcriptions", form("nix", size), media=media).code == "model_not_found"


def test_a_stream_comes_token_by_token(where: str) -> None:
    began = time.monotonic()
    answer = begin_stream(where, 40, TEAM)
    head = answer.readline()
    first = time.monotonic() - began
    assert tokens_in(head + answer.read()) == 40
    assert first < (time.monotonic() - began) / 2, "the first token must not wait for the last"


def test_the_fleet_is_listed_by_the_gateway_itself(where: str) -> None:
    listed = ask(where, "/v1/models").json
    assert listed["object"] == "list"
    names = {"chatty", "gpt-4o-mini", "Qwen/Qwen2.5:é", "legal", "medical", "embedder", "scribe", "nobody"}
    assert {card["id"] for card in listed["data"]} == names
    assert ask(where, "/v1/models/Qwen%2FQwen2.5%3A%C3%A9").json["id"] == "Qwen/Qwen2.5:é"
    assert ask(where, "/v1/models/nix").code == "model_not_found"


@pytest.mark.parametrize("path", CLOSED)
def test_other_paths_are_closed_and_no_engine_hears_of_them(where: str, path: str) -> None:
    for method in ("GET", "POST"):
        answer = ask(where, path, b'{"model": "chatty"}', method=method)
        assert answer.status in (404, 405), (method, answer.raw)
        assert answer.code in ("unknown_url", "method_not_allowed", "model_not_found")


def test_no_engine_has_heard_of_a_closed_path(where: str) -> None:
    heard = {line.split()[1] for name in ("lab47", "lab48") for line in received(name, "engine-chatty")}
    assert heard <= {"/health", CHAT}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "none"),
        ({"Authorization": "Bearer sk-wrong-0123456789ab"}, "unknown"),
        ({"Authorization": f"Bearer {KEY}"}, "the engines' own key"),
        ({"Authorization": f"Basic {TEAM}"}, "another scheme"),
        ({"X-Api-Key": TEAM}, "another header"),
    ],
)
def test_without_a_key_there_is_401(where: str, headers: dict[str, str], why: str) -> None:
    answer = ask(where, CHAT, {"model": "chatty"}, None, headers=headers)
    assert (answer.status, answer.code) == (401, "invalid_api_key"), why
    assert answer.headers["www-authenticate"] == "Bearer"
    assert ask(where, "/v1/models", None, None, headers=headers).status == 401


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "invalid_json"),
        (b"[]", {}, 400, "invalid_json"),
        (b'{"messages": []}', {}, 400, "missing_required_parameter"),
        (b'{"model": 7}', {}, 400, "invalid_type"),
        (b'{"model": "chatty", "model": "embedder"}', {}, 400, "duplicate_parameter"),
        (b'{"model": "chatty", "mo\\u0064el": "embedder"}', {}, 400, "duplicate_parameter"),
        (b'{"model": "nix \\"x\\""}', {}, 404, "model_not_found"),
        (b'{"model": "CHATTY"}', {}, 404, "model_not_found"),
        (b'{"model": "chatty"}', {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b'{"model": "chatty"}', {"Content-Encoding": "gzip"}, 415, "unsupported_content_encoding"),
        (b'{"model": "chatty"}' + b" " * 60_000 + b"x", {}, 400, "invalid_json"),
        (b'{"x": "' + b"y" * 60_000 + b'", "model": "nix"}', {}, 404, "model_not_found"),
        (
            b'{"x": "' + b"y" * 60_000 + b'", "model": "chatty"}',
            {"Content-Encoding": "gzip"},
            415,
            "unsupported_content_encoding",
        ),
    ],
)
def test_bodies_that_name_no_model_are_refused(where: str, body: bytes, headers: Any, status: int, code: str) -> None:
    answer = ask(where, CHAT, body, headers=headers)
    assert (answer.status, answer.code) == (status, code)


def test_a_body_beyond_the_limit_is_refused(where: str) -> None:
    connection = connect(where)
    connection.putrequest("POST", CHAT)
    for name, value in {"Authorization": f"Bearer {TEAM}", "Content-Type": "application/json"}.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(33 * 2**20))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]["code"]) == (413, "request_too_large")


def test_a_model_whose_engines_are_all_gone_gets_503(where: str) -> None:
    answer = chat(where, "nobody")
    assert (answer.status, answer.code) == (503, "no_replica")
    assert int(answer.headers["retry-after"]) > 0
    large = {"messages": [{"role": "user", "content": "x" * 1_000_000}], "model": "nobody"}
    answer = ask(where, CHAT, large)
    assert (answer.status, answer.code) == (503, "no_replica")


def test_requests_keep_their_id_or_get_one(where: str) -> None:
    assert chat(where, headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert len(chat(where, headers={"X-Request-Id": "not one: \t"}).headers["x-request-id"]) == 36
    assert len(chat(where).headers["x-request-id"]) == 36


def test_a_key_may_be_held_to_some_models(where: str) -> None:
    assert ask(where, "/v1/embeddings", {"input": "x", "model": "embedder"}, NARROW).status == 200
    assert chat(where, key=NARROW).code == "model_not_found"
    large = {"messages": [{"role": "user", "content": "x" * 100_000}], "model": "chatty"}
    assert ask(where, CHAT, large, NARROW).code == "model_not_found"


@pytest.mark.parametrize("size", [0, 100_000])
def test_a_key_that_is_held_to_an_adapter_gets_neither_its_model_nor_others(where: str, size: int) -> None:
    assert chat(where, "legal", ADAPTER, text="x" * size).status == 200
    assert chat(where, "chatty", ADAPTER, text="x" * size).code == "model_not_found"
    assert chat(where, "medical", ADAPTER, text="x" * size).code == "model_not_found"


def test_limits_of_a_key(where: str) -> None:
    streams = [begin_stream(where, 60, LIMITED) for __ in range(2)]
    answer = chat(where, key=LIMITED)
    assert (answer.status, answer.code) == (429, "rate_limit_exceeded")
    assert "under way" in answer.json["error"]["message"]
    assert int(answer.headers["retry-after"]) > 0
    assert [tokens_in(begun.read()) for begun in streams] == [60, 60]
    answers = [chat(where, key=LIMITED) for __ in range(3)]
    assert answers[-1].status == 429
    assert "per minute" in answers[-1].json["error"]["message"]
    assert chat(where).status == 200, "others have limits of their own"


def test_the_gateway_tells_of_itself_and_of_no_secret(where: str) -> None:
    target = host(where)
    metrics = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8405/metrics').read().decode())"
    text = target.check_output("python3 -c %s", metrics)
    assert 'haproxy_server_status{proxy="model.chatty",server="lab48",state="UP"} 1' in text
    since = time.time()
    assert [chat(where).status for __ in range(6)] == [200] * 6
    ask(where, "/" + "%22x" * 4000)
    log = target.check_output("journalctl -q -o cat -u haproxy-vllm --since=@%s", str(int(since)))
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    served = [line for line in lines if line["status"] == "200" and line["model"] == "chatty"]
    assert {line["server"] for line in served} <= {"lab47", "lab48"}
    assert served[-1]["key"] == "team"
    for secret in (TEAM, LIMITED, KEY, "hello"):
        assert secret not in log
        assert secret not in target.check_output("cat /proc/$(systemctl show -P MainPID haproxy-vllm)/cmdline")
    assert target.run("runuser -u haproxy -- cat /etc/haproxy/vllm/engine.map").rc != 0
    assert f":{PORT} " in target.check_output("ss -ltn")


def test_five_hundred_hostile_requests_at_each_gateway_reach_no_engine(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(TEAM)
    since = f"@{int(time.time())}"
    fuzz = [
        sys.executable,
        ROOT / "tools" / "door_fuzz.py",
        f"--key-file={tmp_path / 'key'}",
        "--model=chatty",
        "--count=500",
    ]
    running = [
        subprocess.Popen(
            [*fuzz, f"--address={address(where)}:{PORT}", f"--seed={where[-1]}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for where in GATEWAYS
    ]  # fmt: skip
    for fuzzer in running:
        said, __ = fuzzer.communicate()
        assert fuzzer.returncode == 0, said
    lines = [line.split() for name in ("lab47", "lab48") for line in received(name, "engine-chatty", since)]
    assert {path for __, path, *__ in lines} <= {CHAT, "/health"}
    assert {model for __, path, model, *__ in lines if path == CHAT} == {"model=chatty"}
    for where in GATEWAYS:
        restarts = host(where).check_output("systemctl show -P NRestarts haproxy-vllm haproxy-vllm-bodies")
        assert restarts.split() == ["0", "0"]
