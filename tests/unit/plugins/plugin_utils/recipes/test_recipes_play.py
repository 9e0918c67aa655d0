"""playbooks/recipe.yml and playbooks/revision.yml under real Ansible, with a hub on loopback."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from recipe_models import COMMIT
from weights_hub import Hub

ROOT = Path(__file__).parents[5]
CUDA = {"vllm_accelerator": "cuda", "vllm_version": "0.33.0"}
HOSTS: dict[str, dict[str, Any]] = {
    "h100": {**CUDA, "gpu_count": 8, "gpu_name": "H100-80GB"},
    "small": {**CUDA, "gpu_count": 1, "gpu_name": "RTX 3060"},
    "nameless": {**CUDA, "gpu_count": 8},
    "wrong": {**CUDA, "gpu_count": 8, "gpu_name": "H1000"},
}


@pytest.fixture
def run(tmp_path: Path, hub: Hub) -> Any:
    def run(playbook: str, env: dict[str, str] | None = None, **extra: Any) -> subprocess.CompletedProcess[str]:
        # Nobody answers there: a play that reached for its hosts would fail.
        hosts = {name: {"ansible_host": "192.0.2.1", **declared} for name, declared in HOSTS.items()}
        (tmp_path / "inventory.json").write_text(json.dumps({"gpu_hosts": {"hosts": hosts}}))
        words = ["-i", str(tmp_path / "inventory.json"), str(ROOT / "playbooks" / f"{playbook}.yml")]
        own = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path), **(env or {})}
        return ansible_runs.run("ansible-playbook", *words, "-e", json.dumps(extra), cwd=tmp_path, env=own)

    return run


def entry_in(said: str) -> dict[str, Any]:
    lines = said[said.index("vllm_models:") :].splitlines()
    end = next((n for n, line in enumerate(lines[1:], 1) if not line.startswith(" ")), len(lines))
    read: dict[str, Any] = yaml.safe_load("\n".join(lines[:end]))
    return read


def flat(ended: subprocess.CompletedProcess[str]) -> str:
    return " ".join((ended.stdout + ended.stderr).replace("#", " ").split())


def test_an_entry_is_chosen_pinned_and_taken_by_the_plan(run: Any) -> None:
    ended = run("recipe", model="Qwen/Qwen3-4B", host="h100")
    assert ended.returncode == 0, ended.stdout
    menu = entry_in(ended.stdout)
    assert menu["vllm_models"]["Qwen3-4B"] == {
        "model": "Qwen/Qwen3-4B",
        "revision": COMMIT,
        "kind": "reasoning",
        "aliases": ["Qwen/Qwen3-4B"],
        "args": {"enable-auto-tool-choice": True, "tool-call-parser": "hermes", "reasoning-parser": "qwen3"},
    }
    outcome = plan_fleet(
        Inventory(menu=read_menu(menu["vllm_models"]), hosts={"h100": HOSTS["h100"]}, match=lambda __: [], keyed=True)
    )
    assert outcome.problems == []
    said = flat(ended)
    assert "vLLM 0.33.0's recipe Qwen/Qwen3-4B, variant default" in said
    assert "`revision` is main of 2026-11-01" in said
    # The model's own config.json was read at the hub, and its memory worked out.
    assert "config.json is not at hand" not in said


def test_a_context_that_does_not_fit_is_shortened_and_said(run: Any) -> None:
    ended = run("recipe", model="someone/Qwen3-4B-tuned", host="small")
    assert ended.returncode == 0, ended.stdout
    length = entry_in(ended.stdout)["vllm_models"]["Qwen3-4B-tuned"]["args"]["max-model-len"]
    assert 1024 <= length < 40960
    assert length % 1024 == 0
    assert "one request of the model's own 40960 tokens does not fit on 1×RTX 3060" in flat(ended)


def test_a_hub_id_outside_the_recipes_gets_a_proposal(run: Any) -> None:
    ended = run("recipe", model="someone/Qwen3-4B-tuned", host="h100")
    assert ended.returncode == 0, ended.stdout
    entry = entry_in(ended.stdout)["vllm_models"]["Qwen3-4B-tuned"]
    assert (entry["kind"], entry["revision"]) == ("reasoning", COMMIT)
    assert entry["args"]["reasoning-parser"] == "qwen3"
    said = flat(ended)
    assert "No recipe of vLLM 0.33.0 names someone/Qwen3-4B-tuned: made from what the hub says" in said
    assert "enable_thinking: false" in said


def test_offline_everything_but_the_commit_is_said_and_how_to_find_it(run: Any, hub: Hub) -> None:
    ended = run("recipe", model="Qwen/Qwen3-4B", host="h100", offline=True)
    assert ended.returncode != 0
    assert "revision" not in entry_in(ended.stdout)["vllm_models"]["Qwen3-4B"]
    said = flat(ended)
    assert f"`git ls-remote {hub.endpoint}/Qwen/Qwen3-4B HEAD`" in said
    assert "Not whole: - vllm_models.Qwen3-4B.revision: is not known" in said
    assert hub.tokens == set()
    pinned = run("recipe", model="Qwen/Qwen3-4B", host="h100", offline=True, revision=COMMIT, vllm_output="json")
    assert pinned.returncode == 0, pinned.stderr
    document = json.loads(pinned.stdout)
    assert (document["kind"], document["ok"], document["lacks"]) == ("recipe", True, [])
    assert (document["entry"]["name"], document["entry"]["revision"]) == ("Qwen3-4B", COMMIT)


def test_without_a_host_it_says_what_each_variant_needs(run: Any) -> None:
    ended = run("recipe", {"COLUMNS": "120"}, model="deepseek-ai/deepseek-r1")
    assert ended.returncode == 0, ended.stdout
    rows = [line.split() for line in ended.stdout.splitlines()]
    assert ["default", "805", "fp8", "0.12.0", "any", "deepseek-ai/DeepSeek-R1"] in rows
    assert "Not built here (several hosts, or not described in vLLM): single_node_dpa_tp, multi_node_tp" in flat(ended)
    assert "vllm_models:" not in ended.stdout


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "model: is missing. Write -e model=ORG/NAME; the 188 recipes of vLLM 0.33.0 are:"),
    (
        {"model": "Qwen/Qwen3-32X", "host": "h100"},
        "is not among the 188 recipes of vLLM 0.33.0. Did you mean Qwen/Qwen3-32B",
    ),
    ({"model": "Qwen/Qwen3-32X"}, "no such model, or gated or private (401)"),
    ({"model": "Qwen/Qwen3-8B", "host": "h10"}, 'host: h10 is not a host of this inventory. Did you mean "h100".'),
    ({"model": "Qwen/Qwen3-8B", "host": "nameless"}, "nameless.gpu_name: is not declared"),
    ({"model": "Qwen/Qwen3-8B", "host": "wrong"}, "'H1000' is not a GPU known here"),
    (
        {"model": "deepseek-ai/DeepSeek-R1", "host": "h100"},
        "default needs 805 GB of GPU memory, and 8×H100-80GB have 684 GB",
    ),
    (
        {"model": "Qwen/Qwen3-32B", "host": "h100", "variant": "fp9"},
        "variant: the recipe has no 'fp9'. Did you mean \"fp8\"",
    ),
]


@pytest.mark.parametrize(("extra", "said"), WRONG)
def test_bad_input_is_a_sentence_with_a_remedy(run: Any, extra: dict[str, Any], said: str) -> None:
    ended = run("recipe", **extra)
    assert ended.returncode != 0
    assert said in flat(ended)
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_token_is_sent_and_never_shown(run: Any, hub: Hub) -> None:
    hub.token = "hf_secret_of_the_test"
    ended = run("recipe", model="Qwen/Qwen3-4B", host="h100", vllm_hf_token=hub.token)
    assert ended.returncode == 0, ended.stdout
    assert entry_in(ended.stdout)["vllm_models"]["Qwen3-4B"]["revision"] == COMMIT
    assert hub.tokens == {hub.token}
    refused = run("recipe", model="Qwen/Qwen3-4B", host="h100", vllm_hf_token="hf_other_secret")
    assert "the token is refused" in flat(refused)
    assert "hf_" not in ended.stdout + ended.stderr + (refused.stdout + refused.stderr).replace("vllm_hf_token", "")


def test_one_command_prints_the_line_that_pins_a_model(run: Any, hub: Hub) -> None:
    ended = run("revision", model="Qwen/Qwen3-4B")
    assert ended.returncode == 0, ended.stdout
    assert f"# Qwen/Qwen3-4B: main of 2026-11-01\nrevision: {COMMIT}\n" in ended.stdout
    digits = "1" * 40
    hub.add("a/digits", digits, {})
    assert f'revision: "{digits}"' in run("revision", model="a/digits").stdout
    missing = run("revision")
    assert missing.returncode != 0
    assert "model: '' is no hub id: write ORG/NAME" in flat(missing)
    offline = run("revision", {"HF_HUB_OFFLINE": "1"}, model="Qwen/Qwen3-4B")
    assert offline.returncode != 0
    assert "was not asked (HF_HUB_OFFLINE is set). `git ls-remote" in flat(offline)
