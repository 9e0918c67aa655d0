"""playbooks/migrate.yml and playbooks/import.yml under real Ansible."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
import yaml

ROOT = Path(__file__).parents[5]
MODELS = {
    "bge-m3": {
        "model": "BAAI/bge-m3",
        "kind": "embedding",
        "hosts": "old",
        "args": {"task": "embed", "swap_space": 4, "bogus": 1},
        "env": {"VLLM_ATTENTION_BACKEND": "FLASHINFER", "HF_HOME": "/x"},
    },
    "plain": {"model": "a/b", "kind": "chat", "hosts": "new", "args": {"max-model-len": "32k"}},
}


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(playbook: str, *options: str, models: Any = MODELS, **extra: Any) -> subprocess.CompletedProcess[str]:
        # Nobody answers there: a play that reached for its hosts would fail.
        hosts = {
            name: {"ansible_host": "192.0.2.1", "vllm_version": v} for name, v in (("old", "0.9.2"), ("new", "0.33.0"))
        }
        inventory = {"gpu_hosts": {"hosts": hosts, "vars": {"vllm_models": models}}}
        (tmp_path / "inventory.json").write_text(json.dumps(inventory))
        words = ["-i", str(tmp_path / "inventory.json"), str(ROOT / "playbooks" / f"{playbook}.yml")]
        words += ["-e", json.dumps(extra), *options]
        return ansible_runs.run("ansible-playbook", *words, cwd=tmp_path)

    return run


def test_migrate_prints_yaml_and_what_changes_without_reaching_a_host(run: Any, tmp_path: Path) -> None:
    ended = run("migrate", to="0.33.0", vllm_migrate_file=str(tmp_path / "new.yml"))
    assert ended.returncode == 0, ended.stdout
    said = ended.stdout
    assert "bge-m3: vLLM 0.9.2 -> 0.33.0" in said
    assert "task: embed -> runner: pooling and convert: embed" in said
    assert "swap-space: 4" in said
    assert "bogus: 1" in said
    assert "plain: vLLM 0.33.0 -> 0.33.0\n\n  Nothing changes." in said
    assert "allowed-origins (since 0.32.0; bge-m3)" in said
    written = yaml.safe_load((tmp_path / "new.yml").read_text())
    assert written["vllm_version"] == "0.33.0"
    assert written["vllm_models"]["bge-m3"] == {
        "model": "BAAI/bge-m3",
        "kind": "embedding",
        "hosts": "old",
        "args": {"runner": "pooling", "convert": "embed", "attention-backend": "FLASHINFER"},
        "env": {"HF_HOME": "/x"},
    }
    assert written["vllm_models"]["plain"] == MODELS["plain"]
    again = run("migrate", to="0.33.0", vllm_migrate_file=str(tmp_path / "new.yml"))
    assert "changed=0" in again.stdout


def test_check_mode_writes_nothing_and_standard_output_can_be_the_document(run: Any, tmp_path: Path) -> None:
    ended = run("migrate", "--check", to="0.33.0", vllm_migrate_file=str(tmp_path / "new.yml"), vllm_output="json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert (document["kind"], document["ok"], document["to"]) == ("migrate", True, "0.33.0")
    assert document["models"]["bge-m3"]["args"]["runner"] == "pooling"
    assert not (tmp_path / "new.yml").exists()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"to": "0.99.0"}, "to: 0.99.0 is not a release in the catalogue. Known are: 0.8.5"),
    ({}, "to: is missing. Known are: 0.8.5"),
    ({"to": "0.33.0", "vllm_migrate_from": "1"}, "came_from: 1 is not a release"),
]


@pytest.mark.parametrize(("extra", "said"), WRONG)
def test_an_unknown_release_says_which_are_known(run: Any, extra: dict[str, Any], said: str) -> None:
    ended = run("migrate", **extra)
    assert ended.returncode != 0
    assert said in " ".join((ended.stdout + ended.stderr).split())


def test_a_menu_that_is_no_menu_is_said_and_the_rest_moved(run: Any) -> None:
    ended = run("migrate", to="0.33.0", models={"a": 5, "b": {"args": [1]}, **MODELS})
    said = " ".join((ended.stdout + ended.stderr).split())
    assert ended.returncode == 0, ended.stdout
    assert "vllm_models.a: is not a dictionary" in said
    assert "vllm_models.b.args: is not a dictionary" in said
    assert "convert: embed" in said


def test_import_prints_an_entry_and_moves_it(run: Any, tmp_path: Path) -> None:
    script = tmp_path / "start.sh"
    script.write_text("vllm serve BAAI/bge-m3 --task embed --api-key geheim --port 8001 \\\n  --max-model-len 8k\n")
    ended = run("import", file=str(script), release="0.9.2", to="0.33.0")
    assert ended.returncode == 0, ended.stdout
    assert "geheim" not in ended.stdout + ended.stderr
    lines = [line for line in ended.stdout.splitlines() if line.startswith(("vllm_models:", " "))]
    entry = yaml.safe_load("\n".join(lines))["vllm_models"]["bge-m3"]
    assert entry == {
        "model": "BAAI/bge-m3",
        "kind": "embedding",
        "port": 8001,
        "aliases": ["BAAI/bge-m3"],
        "args": {"runner": "pooling", "convert": "embed", "max-model-len": "8k"},
    }
    assert "# --api-key is a secret and not shown" in ended.stdout


def test_import_says_what_it_cannot_read(run: Any, tmp_path: Path) -> None:
    said = run("import", command="echo hello")
    assert said.returncode != 0
    assert "Nothing here starts vLLM" in " ".join(said.stdout.split())
    nameless = run("import", command="vllm serve --max-model-len 8k")
    assert nameless.returncode != 0
    assert "max-model-len: 8k" in nameless.stdout
    assert "no model is named" in " ".join(nameless.stdout.split())
    missing = run("import", file=str(tmp_path / "none.sh"))
    assert missing.returncode != 0
    assert "cannot be read" in " ".join(missing.stdout.split())


def test_import_writes_numbers_as_numbers_without_a_release_to_move_to(run: Any) -> None:
    command = """vllm serve a/b --eplb-config '{"window_size": "1000", "log_balancedness": "False"}'"""
    ended = run("import", command=command, release="0.11.0")
    assert ended.returncode == 0, ended.stdout
    lines = [line for line in ended.stdout.splitlines() if line.startswith(("vllm_models:", " "))]
    entry = yaml.safe_load("\n".join(lines))["vllm_models"]["b"]
    assert entry["args"] == {"eplb-config": {"window_size": 1000, "log_balancedness": False}}


def test_import_types_what_is_joined_by_dots_before_it_moves_it(run: Any) -> None:
    command = "vllm serve a/b --attention_config.use_fp4_indexer_cache=True"
    ended = run("import", command=command, release="0.28.0", to="0.33.0")
    assert ended.returncode == 0, ended.stdout
    assert "indexer_kv_dtype: mxfp4" in ended.stdout


def test_import_reads_files_beside_the_one_that_is_given(run: Any, tmp_path: Path) -> None:
    (tmp_path / "options.yaml").write_text("max-num-seqs: 7\n")
    (tmp_path / "start.sh").write_bytes(b"\xef\xbb\xbfM=a/b\r\nvllm serve $M --config options.yaml\r\n")
    ended = run("import", file="start.sh", release="0.33.0")
    assert ended.returncode == 0, ended.stdout
    assert "args: {max-num-seqs: 7}" in ended.stdout
