"""The fleet that is measured: an inventory of N hosts with 8 models each and two gateways, and its plan."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import ROOT
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan

# The simulation of the driver's role, with a key for tests: the tests of the look begin with a host that the role has left.
SIMULATION = ROOT / "tests" / "unit" / "plugins" / "plugin_utils" / "drivers" / "nvidia"
MODELS = 8
GATEWAYS = 2
DRIVER = "580.95.05"
# A mirror's key is read on the control node; the maker's own comes over the network.
DRIVER_INPUTS: dict[str, object] = {
    "nvidia_driver_version": DRIVER,
    "nvidia_driver_mirror": "https://mirror.example/cuda",
    "nvidia_driver_mirror_key": str(SIMULATION / "data" / "keys" / "ed25519.asc"),
}
_COMMIT = "495f39366efef23836d0cfae4fbe635880d2be31"
_KEY = "a-key-of-the-benchmark-and-no-secret"


def hosts(count: int) -> dict[str, dict[str, object]]:
    """GPU hosts by name, each with variables of its own."""
    return {f"gpu{number:04}": {"vllm_endpoint_address": _address(10, number)} for number in range(count)}


def gateways() -> dict[str, dict[str, object]]:
    """The gateways likewise."""
    keys = {"bench": _KEY[::-1]}
    return {
        f"gw{number}": {"vllm_endpoint_address": _address(11, number), "gateway_keys": keys}
        for number in range(GATEWAYS)
    }


def _address(network: int, number: int) -> str:
    return f"{network}.0.{number // 250}.{number % 250 + 1}"


def declared() -> dict[str, object]:
    """What all GPU hosts declare. An index is the source of the engine: a wheelhouse would have to be there."""
    return {
        "vllm_accelerator": "cuda",
        "vllm_version": "0.33.0",
        "vllm_engine_source": "index",
        "gpu_count": MODELS,
        "gpu_name": "H100-80GB",
        **DRIVER_INPUTS,
    }


def models() -> dict[str, object]:
    """The menu: each model on every host, on a GPU of its own."""
    return {f"m{number}": _model(number) for number in range(MODELS)}


def _model(number: int) -> dict[str, object]:
    args = {
        "max-model-len": "32k",
        "max-num-seqs": 64 + number,
        "enable-auto-tool-choice": True,
        "tool-call-parser": "hermes",
        "limit-mm-per-prompt": {"image": 2},
        "gpu-memory-utilization": 0.9,
        "uvicorn-log-level": "warning",
    }
    return {"model": f"Org/Model-{number}", "revision": _COMMIT, "kind": "chat", "gpus": [number], "args": args}


def write_inventory(path: Path, count: int) -> None:
    """The inventory as an operator would have it, with the connection that answers from records."""
    everybody = {"ansible_connection": "recorded", "vllm_api_key": _KEY, "vllm_models": models()}
    groups = {
        "all": {"vars": everybody},
        "gpu_hosts": {"hosts": hosts(count), "vars": declared()},
        "gateways": {"hosts": gateways()},
    }
    path.write_text(json.dumps(groups))


def plan(count: int) -> FleetPlan:
    """The plan of that inventory, by the code that plans it in a run."""
    names = list(hosts(count))
    outcome = plan_fleet(
        Inventory(
            menu=read_menu(models()),
            hosts={name: {**declared(), **own} for name, own in hosts(count).items()},
            gateways=gateways(),
            match=lambda pattern: names if pattern == "gpu_hosts" else [pattern],
            keyed=True,
            api_key=_KEY,
        )
    )
    if outcome.problems:
        raise SystemExit("\n".join(map(str, outcome.problems)))
    return outcome.fleet
