"""The scenario's fleet, and a client of its door that counts tokens and not statuses."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testlab import KEY, ROOT, STANDIN_RELEASE, Run, address, host, playbook

GATEWAYS = ("lab47", "lab48")
PORT = 8080
TEAM, NEXT, LIMITED, NARROW, ADAPTER = (
    "sk-team-0123456789ab",
    "sk-next-0123456789ab",
    "sk-limited-01234567",
    "sk-narrow-012345678",
    "sk-adapter-01234567",
)
LARGE = 20_000_000
STANDIN = {"model": "/srv/stand-in"}
# Both engines of "chatty" and one of each other kind; the gateways' machines carry them as well.
MODELS: dict[str, dict[str, Any]] = {
    "chatty": {
        **STANDIN, "kind": "chat", "hosts": "lab47,lab48", "port": 8101, "aliases": ["gpt-4o-mini", "Qwen/Qwen2.5:é"],
        "adapters": {"legal": STANDIN, "medical": STANDIN},
    },
    "embedder": {**STANDIN, "kind": "embedding", "hosts": "lab48", "port": 8102},
    "scribe": {**STANDIN, "kind": "transcription", "hosts": "lab47", "port": 8103},
    "nobody": {**STANDIN, "kind": "chat", "hosts": "lab47", "port": 8104},
}  # fmt: skip
KEYS: dict[str, Any] = {
    "team": TEAM,
    "limited": {"key": LIMITED, "requests_per_minute": 4, "concurrent": 2},
    "narrow": {"keys": [NARROW], "models": ["embedder"]},
    "lawyers": {"keys": [ADAPTER], "models": ["legal"]},
}
STARTED = {"lab47": ("chatty", "scribe"), "lab48": ("chatty", "embedder")}


def gateway(*arguments: str, **variables: Any) -> Run:
    """playbooks/gateway.yml as an operator runs it; keyword arguments replace the scenario's variables."""
    ours: dict[str, Any] = {"vllm_version": STANDIN_RELEASE, "vllm_models": MODELS, "gateway_keys": KEYS}
    inventory = ROOT / "molecule" / "gateway" / "inventory"
    return playbook("gateway", *arguments, inventories=[inventory], **{**ours, "gateway_port": PORT, **variables})


def start_engine(name: str, model: str) -> None:
    """A stand-in engine as a transient unit, with the command line that the plan would give it."""
    entry = MODELS[model]
    words = ["/usr/bin/systemd-run", "--quiet", f"--unit=engine-{model}", f"--setenv=VLLM_API_KEY={KEY}"]
    words += [f"/opt/vllm/{STANDIN_RELEASE}/bin/vllm", "serve", "/srv/stand-in", "--host", "0.0.0.0"]
    words += ["--port", str(entry["port"]), "--stand-in-kind", entry["kind"], "--served-model-name", model]
    words += [*entry.get("aliases", []), "--lora-modules", *(f"{n}=/srv/stand-in" for n in entry.get("adapters", {}))]
    target = host(name)
    target.run("systemctl stop engine-%s; systemctl reset-failed engine-%s", model, model)
    target.check_output(" ".join(["%s"] * len(words)), *words)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def code(self) -> str:
        """`error.code`, once the whole error has OpenAI's shape."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert error["message"]
        return str(error["code"])


def connect(where: str, port: int = PORT, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    """To a gateway by its name in the lab, or to an address."""
    target = address(where) if where.startswith("lab") else where
    if tls is not None:
        return http.client.HTTPSConnection(target, port, timeout=60, context=tls)
    return http.client.HTTPConnection(target, port, timeout=60)


def ask(
    where: str,
    path: str,
    body: Any = None,
    key: str | None = TEAM,
    *,
    method: str = "",
    media: str = "application/json",
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Answer:
    """One request over a connection of its own; a dictionary is sent as JSON."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **({"Content-Type": media} if data else {})}
    connection = connect(where, **more)
    try:
        connection.request(method or ("GET" if data is None else "POST"), path, data, {**sent, **(headers or {})})
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def chat(
    where: str, model: str = "chatty", key: str | None = TEAM, tokens: int = 1, text: str = "hello", **more: Any
) -> Answer:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": tokens, "model": model}
    return ask(where, "/v1/chat/completions", body, key, **more)


def stream(where: str, tokens: int, key: str = TEAM, model: str = "chatty", tls: ssl.SSLContext | None = None) -> int:
    """A chat stream, read to its end: how many tokens came; -1 where it did not end with [DONE]."""
    try:
        answer = begin_stream(where, tokens, key, model, tls)
        return tokens_in(answer.read()) if answer.status == 200 else -1
    except (OSError, http.client.HTTPException):
        return -1


def begin_stream(
    where: str, tokens: int, key: str, model: str = "chatty", tls: ssl.SSLContext | None = None
) -> http.client.HTTPResponse:
    """A chat stream that has begun; the rest of it is there to be read."""
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": tokens, "stream": True, "model": model}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    connection = connect(where, tls=tls)
    connection.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
    return connection.getresponse()


def tokens_in(raw: bytes) -> int:
    """How many tokens a whole stream brought; -1 where it did not end with [DONE]."""
    events = [line[6:] for line in raw.decode().splitlines() if line.startswith("data: ")]
    if events[-1:] != ["[DONE]"]:
        return -1
    choices = [json.loads(event)["choices"] for event in events[:-1]]
    return sum(bool(choice and choice[0]["delta"].get("content")) for choice in choices)


class Load:
    """Requests one after the other in threads, over connections that are kept, while the block runs."""

    def __init__(self, where: str, key: str = TEAM, threads: int = 3) -> None:
        self.where, self.key = where, key
        self.good, self.bad = 0, list[str]()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for __ in range(threads)]

    def _ask(self) -> None:
        body = json.dumps(
            {"model": "chatty", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
        ).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection = connect(self.where)
        while not self.over.is_set():
            try:
                connection.request("POST", "/v1/chat/completions", body, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 200:
                    self.good += 1
                else:
                    self.bad.append(f"{answer.status} {text[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                self.bad.append(repr(error))
                connection.close()
            time.sleep(0.01)

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *__: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def at_once(count: int, work: Callable[[], Any]) -> Callable[[], list[Any]]:
    """Begin `count` of them in threads; what is returned waits for their results."""
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(work())) for __ in range(count)]
    for thread in threads:
        thread.start()

    def wait() -> list[Any]:
        for thread in threads:
            thread.join()
        return results

    return wait
