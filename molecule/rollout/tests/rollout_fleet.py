"""The fleet of this scenario, what operators do to it, and how it stands, seen from outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import testlab
from load import Load, load
from testlab import ROOT, STATE, Playing, Run

INVENTORY = ROOT / "molecule" / "rollout" / "inventory"
# Tests of different fleets run side by side, each in a process of its own (verify.yml).
FLEET = os.environ.get("ROLLOUT_FLEET", "d")
HOSTS, GATEWAY = {
    "b": (("lab21", "lab22", "lab23"), "lab24"),
    "c": (("lab31", "lab32", "lab33"), "lab34"),
    "d": (("lab41", "lab42", "lab43"), "lab44"),
}[FLEET]
FIRST, SECOND, THIRD = HOSTS
PORT = 8080
REPLICAS = {"chat": HOSTS, "embed": HOSTS[1:]}
KEY = "client-key-no-secret"
OLD, NEW = "9.9.9", "9.9.10"
GOOD = (OLD, NEW)
STAT = (
    "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy-vllm/admin.sock');"
    " s.sendall(b'show stat\\n'); print(b''.join(iter(lambda: s.recv(65536), b'')).decode())"
)


def ssh(name: str, script: str) -> str:
    """What a script printed on a machine of the lab; raises where it failed."""
    command = ["ssh", "-F", str(STATE / "ssh" / "config"), name, script]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def each(action: Any, *items: Any) -> list[Any]:
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(action, items))


def offer(release: str, *faults: str, **settings: Any) -> None:
    """Lay a release out on every host, as if it were installed."""
    each(lambda name: testlab.install_standin(name, release, faults, **{"start": 0.2, "rate": 50, **settings}), *HOSTS)


def settings(version: str, more: dict[str, Any]) -> dict[str, Any]:
    ours = {
        "vllm_group": f"fleet_{FLEET}",
        "vllm_gateway_group": f"gateways_{FLEET}",
        "embed_hosts": ",".join(HOSTS[1:]),
    }
    ours |= {"vllm_report_path": str(STATE / f"test-report-{FLEET}.json")}
    return {**ours, "vllm_version": version, "vllm_unchecked_releases": sorted({version, *GOOD}), **more}


def play(name: str, *arguments: str, version: str = OLD, **more: Any) -> Run:
    return testlab.playbook(name, *arguments, inventories=[INVENTORY], **settings(version, more))


def begin(name: str, *arguments: str, version: str = OLD, **more: Any) -> Playing:
    return Playing(testlab.command(name, *arguments, inventories=[INVENTORY], **settings(version, more)))


@contextmanager
def loaded(key: str = KEY, users: int = 8) -> Iterator[Load]:
    """A mixed load on the fleet's one address."""
    url = f"http://{testlab.address(GATEWAY)}:{PORT}"
    with load(url, key, chat=["chat", "assistant"], embedding=["embed"], users=users, tokens=(10, 40)) as held:
        yield held


def ask(model: str = "chat", key: str = KEY) -> tuple[int, Any]:
    """One request at the door."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "?"}], "max_tokens": 2, "model": model}
    path = "/v1/chat/completions"
    if model == "embed":
        body, path = {"input": "cat", "model": model}, "/v1/embeddings"
    return testlab.ask(GATEWAY, PORT, path, body, key)


def view() -> dict[str, dict[str, str]]:
    """What the gateway says of each replica: UP, DOWN, DRAIN, MAINT; by model and host."""
    lines = ssh(GATEWAY, f'python3 -c "{STAT}"').splitlines()
    head = lines[0].removeprefix("# ").split(",")
    found: dict[str, dict[str, str]] = {}
    for line in lines[1:]:
        row = dict(zip(head, line.split(",")))
        if row.get("pxname", "").startswith("model.") and row["svname"] not in ("FRONTEND", "BACKEND"):
            found.setdefault(row["pxname"].removeprefix("model."), {})[row["svname"]] = row["status"].split(" ")[0]
    return found


def drains() -> dict[str, Any]:
    """The gateway's record of who drained what, and why."""
    text = ssh(GATEWAY, "cat /var/lib/haproxy-vllm/drains.json 2>/dev/null || echo {}")
    found: dict[str, Any] = json.loads(text)
    return found


def releases() -> dict[str, dict[str, str]]:
    """The release of every running engine as its command line shows it, by host and model."""

    def of(name: str) -> dict[str, str]:
        text = ssh(name, r"pgrep -af '[/]bin/vllm serve' || true")
        return {model: release for release, model in re.findall(r"/opt/vllm/([^/]+)/bin/vllm serve.*-name (\S+)", text)}

    return dict(zip(HOSTS, each(of, *HOSTS), strict=True))


def processes() -> dict[str, str]:
    """The server processes of every host: the same before and after where nobody touched it."""
    return dict(zip(HOSTS, each(lambda name: ssh(name, "pgrep -f '[/]bin/vllm serve' || true"), *HOSTS), strict=True))


def trouble() -> str:
    """What is not as it must be after everything that may happen; empty for a fleet that serves whole."""
    seen, kept, run = view(), drains(), releases()
    wrong = [
        f"{model} on {name} is {seen.get(model, {}).get(name, 'unknown')} at the gateway"
        for model, names in REPLICAS.items()
        for name in names
        if seen.get(model, {}).get(name) != "UP"
    ]
    wrong += [f"{server} is kept as drained: {why}" for server, why in kept.items()]
    wrong += [
        f"{model} on {name} is {run[name].get(model, 'not running')}"
        for model, names in REPLICAS.items()
        for name in names
        if run[name].get(model) not in GOOD
    ]
    for model in REPLICAS:
        status, answer = ask(model)
        if status != 200:
            wrong.append(f"{model}: HTTP {status} {answer}")
    return "; ".join(wrong)


def assert_whole(seconds: float = 60) -> None:
    """The fleet serves whole within some seconds, which an engine that was killed needs to be back."""
    end, seen = time.monotonic() + seconds, trouble()
    while seen and time.monotonic() < end:
        time.sleep(1)
        seen = trouble()
    assert not seen, seen


def other(name: str = FIRST) -> str:
    """The good release that a host does not run."""
    return NEW if releases()[name].get("chat") == OLD else OLD
