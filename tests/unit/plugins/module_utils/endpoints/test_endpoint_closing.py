"""The commands that end site.yml: pasted into bash, they are answered; they name the right address, and no key."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.closing import closing
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan
from standin_vllm import KEY, MODEL, StandInVllm

KEYED = "The key is vllm_api_key in your inventory; `read -rs VLLM_API_KEY` takes it without showing it."
PARSERS = {"reasoning": {"reasoning-parser": "qwen3"}}


def entry(kind: str = "chat", **more: Any) -> dict[str, Any]:
    return {"model": "Org/Model", "revision": "4" * 40, "kind": kind, "args": PARSERS.get(kind, {}), **more}


def plan(
    models: dict[str, Any], hosts: tuple[str, ...] = ("gpu1",), *, keyed: bool = True, **gateway: Any
) -> FleetPlan:
    gpus = {"vllm_accelerator": "cuda", "vllm_version": "0.33.0", "gpu_count": 8, "gpu_name": "L40S"}
    gateways = {"gw1": {"ansible_host": "10.0.0.5", **gateway}} if gateway else {}
    outcome = plan_fleet(
        Inventory(
            menu=read_menu(models),
            hosts=dict.fromkeys(hosts, gpus),
            gateways=gateways,
            match=lambda pattern: list(hosts),
            keyed=keyed,
        )
    )
    assert not outcome.problems, outcome.problems
    return outcome.fleet


def told(made: FleetPlan, *, address: str = "10.0.0.1", environ: dict[str, str] | None = None) -> list[str]:
    """The closing lines where everything that is planned was proved, every host at one address."""
    proved = [(host, service.name) for host, service in made.endpoints]
    return closing(made, proved, lambda __: address, environ or {})


def command(lines: list[str]) -> str:
    start = next(number for number, line in enumerate(lines) if line.startswith("curl"))
    return "\n".join(lines[start:]).partition("\n\n")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_of_each_kind_is_answered(kind: str, tmp_path: Path) -> None:
    with StandInVllm(kind) as standin:
        lines = told(plan({MODEL: entry(kind, port=standin.port)}), address="127.0.0.1")
        (tmp_path / "speech.wav").write_bytes(b"RIFF")
        text = command(lines)
        done = subprocess.run(
            ["bash", "-eu", "-c", text.replace("curl ", "curl --silent --show-error --fail ", 1)],
            cwd=tmp_path,
            env={**os.environ, "VLLM_API_KEY": KEY},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, ""), text
    assert done.stdout.startswith("{")
    assert KEYED in lines
    assert "$VLLM_API_KEY" in text


OPEN = {"gateway_open": True, "gateway_port": 8080}


@pytest.mark.parametrize(
    ("made", "address", "environ", "begins"),
    [
        (plan({"m": entry(port=8000)}), "gpu1.corp", {}, "curl http://gpu1.corp:8000/v1/chat/completions \\\n  -H \"Auth"),
        (plan({"m": entry(port=8000)}), "fd00::11", {}, "curl http://[fd00::11]:8000/v1/chat"),
        (plan({"m": entry(port=8000)}), "fe80::1%eth0", {}, "curl http://[fe80::1%25eth0]:8000/v1/chat"),
        # Without a key engines listen on loopback.
        (plan({"m": entry(port=8000)}, keyed=False), "gpu1.corp", {}, "curl http://127.0.0.1:8000/v1/chat/completions \\\n  -H 'Cont"),
        (plan({"m": entry("embedding")}, **OPEN), "gpu1", {}, "curl http://10.0.0.5:8080/v1/embeddings \\\n  -H 'Cont"),
        (plan({"m": entry()}, gateway_name="llm.corp", gateway_keys={"a": "k" * 20}, gateway_tls_path="/t.pem"), "gpu1", {}, "curl https://llm.corp/v1/chat"),
        (plan({"m": entry(port=8000)}), "gpu1.corp", {"http_proxy": "http://p:1"}, "curl http://gpu1.corp:8000/v1/chat/completions \\\n  --noproxy '*' \\\n"),
        (plan({"m": entry(port=8000)}), "gpu1.corp", {"http_proxy": "http://p:1", "no_proxy": ".corp"},
         "curl http://gpu1.corp:8000/v1/chat/completions \\\n  -H"),
        # curl reads this name for https alone.
        (plan({"m": entry(port=8000)}), "gpu1.corp", {"HTTP_PROXY": "http://p:1"}, "curl http://gpu1.corp:8000/v1/chat/completions \\\n  -H"),
    ],
)  # fmt: skip
def test_it_goes_where_clients_go(made: dict[str, Any], address: str, environ: dict[str, str], begins: str) -> None:
    assert command(told(made, address=address, environ=environ)).startswith(begins)


def test_where_the_key_is_and_where_loopback_is() -> None:
    behind = told(
        plan({"m": entry()}, gateway_name="llm.corp", gateway_keys={"a": "k" * 20}, gateway_tls_path="/t.pem")
    )
    assert "The key is a key of gateway_keys in your inventory" in "\n".join(behind)
    inside = told(plan({"m": entry()}, keyed=False))
    assert inside[1] == "Ask m on gpu1 itself, where alone it listens:"
    assert "The key" not in "\n".join(inside)


def test_a_large_fleet_gets_a_few_lines_and_one_that_proved_nothing_none() -> None:
    hosts = tuple(f"gpu{number}" for number in range(40))
    models = {f"chat-{n}": entry() for n in range(4)} | {kind: entry(kind) for kind in ("embedding", "rerank", "score")}
    lines = told(plan(models, hosts))
    assert len(lines) <= 22
    assert [line for line in lines if line.startswith("Ask")] == ["Ask chat-0:", "Ask embedding:", "Ask rerank:"]
    assert lines[-1].startswith("A command for each of the 7 models")
    assert closing(plan(models, hosts), [], lambda __: "h", {}) == []


def test_only_what_was_proved_is_shown() -> None:
    made = plan({"a": entry(), "b": entry()}, ("gpu1", "gpu2"))
    lines = closing(made, [("gpu2", "b")], {"gpu1": "10.0.0.1", "gpu2": "10.0.0.2"}.__getitem__, {})
    assert lines[1] == "Ask b:"
    assert command(lines).startswith(f"curl http://10.0.0.2:{made.hosts['gpu2'].services[1].port}/")
