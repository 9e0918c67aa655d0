"""The probe from end to end: a stand-in nvidia-smi that replays a recording, and a stand-in engine on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.tools.gpu_probe import engine, log, record
from ansible_collections.baremetal.vllm.tools.gpu_probe.steps import Steps, command
from recorded_gpus import H100, report

# Its one probe is not made by several workers.
pytestmark = pytest.mark.xdist_group("gpu_probe")

ROOT = Path(__file__).resolve().parents[5]
STANDIN = ROOT / "molecule" / "shared" / "standin_engine.py"
GIB = 2**30
SMI = """#!/bin/sh
case "$*" in
  "-q -x") cat {here}/report;;
  "--query-gpu=index,pci.bus_id,compute_cap "*) printf '0, 00000000:18:00.0, 9.0\\n1, 00000000:2A:00.0, 9.0\\n';;
  *) echo "stand-in nvidia-smi $*"; exit 2;;
esac
"""
# What an engine's Python is asked: to look at CUDA, and to make the model.
PYTHON = """#!/bin/sh
case "$1" in
  -c) echo 'told {looked}';;
  */tiny.py) mkdir -p "$2"; cp {here}/config.json "$2";;
  *) exec {python} "$@";;
esac
"""
LOOKED = {
    "packages": {"vllm": "0.33.0"},
    "gpus": [{"name": "NVIDIA H100 80GB HBM3", "free": 79 * GIB, "total": 79 * GIB, "capability": [9, 0]}],
}
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 512, "intermediate_size": 1024,
    "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 640,
    "max_position_embeddings": 4096, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
}  # fmt: skip
VLLM = """#!/bin/sh
env > {here}/environment
echo $$ >> {here}/pids
mkdir -p "$TRITON_CACHE_DIR/k"; echo x > "$TRITON_CACHE_DIR/k/made.so"
echo "INFO 11-29 10:00:00 [model_runner.py:429] Model loading took 0.04 GiB memory and 1.250000 seconds"
echo "INFO 11-29 10:00:00 [gpu_worker.py:773] Available KV cache memory: 70.5 GiB"
echo "INFO 11-29 10:00:00 [cuda.py:509] Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN']."
exec {python} {standin} "$@" {more}
"""


def script(path: Path, text: str, **given: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, value in given.items():
        text = text.replace(f"{{{name}}}", str(value))
    path.write_text(text)
    path.chmod(0o755)


def machine(here: Path, more: str = "") -> Path:
    """A machine with two H100 and an engine. The directory of its tools."""
    here.mkdir(exist_ok=True)
    (here / "report").write_text(report(H100, serial="1654321098765", uuid="GPU-0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"))
    (here / "config.json").write_text(json.dumps(CONFIG))
    script(here / "bin/nvidia-smi", SMI, here=here)
    script(here / "engine/bin/python", PYTHON, here=here, python=sys.executable, looked=json.dumps(LOOKED))
    script(here / "engine/bin/vllm", VLLM, here=here, python=sys.executable, standin=STANDIN, more=more)
    return here / "bin"


def begun(here: Path, tools: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command as a person would give it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.gpu_probe", "--out", here / "out.json", *arguments],
        cwd=ROOT,
        env={"PATH": f"{tools}:/usr/bin:/bin", "SECRET_OF_SHELL": "sk-secret", "HOME": str(here)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def probe(here: Path, tools: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, document and output."""
    process = begun(here, tools, *arguments)
    said, __ = process.communicate(timeout=120)
    return process.returncode, json.loads((here / "out.json").read_text()), said


def steps(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in told["steps"]}


def ended(here: Path) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in (here / "pids").read_text().split())


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, dict[str, Any]]:
    here = tmp_path_factory.mktemp("probe")
    status, told, said = probe(here, machine(here), "--engine", str(here / "engine"))
    print(said)
    return here, status, told


def test_every_step_is_in_the_document(probed: tuple[Path, int, dict[str, Any]]) -> None:
    __, status, told = probed
    left_out = [name for name, step in steps(told).items() if step["status"] != "ok"]
    assert left_out == ["record amd-smi-static", "record amd-smi-metric", "record amd-smi-process"]
    assert (status, told["schema"], told["limit_seconds"]) == (0, 1, 600)
    assert [*steps(told)][-7:] == ["gpu_facts", "checks", "engine", "model", "unit", "start 1", "start 2"]


def test_what_the_tool_said_is_kept_without_what_names_the_cards(probed: tuple[Path, int, dict[str, Any]]) -> None:
    __, __, told = probed
    xml = steps(told)["record nvidia-smi-xml"]["result"]["stdout"]
    assert "<product_name>NVIDIA H100 80GB HBM3</product_name>" in xml
    assert steps(told)["record nvidia-smi-topo"]["result"]["returncode"] == 2
    assert "1654321098765" not in json.dumps(told)
    assert "0a1b2c3d4e5f" not in json.dumps(told)
    assert "sk-secret" not in json.dumps(told)


def test_the_plan_and_gpu_facts_judge_what_was_seen(probed: tuple[Path, int, dict[str, Any]]) -> None:
    result = steps(probed[2])["checks"]["result"]
    assert result["variables"]["gpu_name"] == "NVIDIA H100 80GB HBM3"
    assert result["known"] == [True, True]
    # A driver of branch 565 cannot run what a release of today is built with; the probe starts it all the same.
    refused = steps(probed[2])["unit"]["result"]["problems"]
    assert "nvidia_driver_version" in " ".join(refused + [finding["name"] for finding in result["findings"]])


def test_the_engine_runs_as_its_unit_would_and_is_proved(probed: tuple[Path, int, dict[str, Any]]) -> None:
    here, __, told = probed
    unit, first = steps(told)["unit"]["result"], steps(told)["start 1"]["result"]
    given = dict(line.partition("=")[::2] for line in (here / "environment").read_text().splitlines())
    assert set(given) - {"PWD", "SHLVL", "_", "OLDPWD"} == {*unit["environment"], "VLLM_API_KEY"}
    assert given["PATH"].startswith(str(here / "engine/bin"))
    assert (given["HF_HUB_OFFLINE"], given["CUDA_VISIBLE_DEVICES"]) == ("1", "0")
    assert first["ready"]
    assert first["proof"]["passed"], first["proof"]
    assert given["VLLM_API_KEY"] not in json.dumps(told)
    assert ended(here)


def test_figures_stand_beside_the_plans_and_caches_before_and_after(probed: tuple[Path, int, dict[str, Any]]) -> None:
    first, second = (steps(probed[2])[f"start {number}"]["result"] for number in (1, 2))
    kept = first["against_plan"]["available_kv"]
    assert kept["measured"] == 70.5 * GIB
    # 79 GiB as CUDA counts it, its usual share, without weights and allowance.
    assert 0.92 * 79 * GIB - 3 * GIB < kept["planned"] < 0.92 * 79 * GIB
    assert first["backends"] == ["FLASH_ATTN"]
    assert first["caches"]["before"]["folders"] == {}
    assert first["caches"]["after"]["libraries"] == ["triton/k/made.so"]
    assert second["caches"]["before"] == first["caches"]["after"]
    assert "nvidia_smi_log" in first["while_up"]["xml"]


@pytest.mark.parametrize(
    ("more", "limit", "words"),
    [
        ("--stand-in-die 'RuntimeError: Could not find nvcc'", "60", "RuntimeError: Could not find nvcc"),
        ("--stand-in-start 600", "14", ""),
    ],
    ids=["dies", "hangs"],
)
def test_a_start_that_fails_is_data(tmp_path: Path, more: str, limit: str, words: str) -> None:
    tools = machine(tmp_path, more)
    status, told, __ = probe(tmp_path, tools, "--engine", str(tmp_path / "engine"), "--limit-s", limit)
    seen = steps(told)["start 1"]["result"]
    assert (status, seen["ready"], "start 2" in steps(told)) == (1, False, False)
    assert words in seen["cause"]
    assert told["seconds"] < float(limit) + 10
    assert ended(tmp_path)


def test_a_probe_that_is_cut_off_takes_its_engine_along_and_leaves_what_it_had(tmp_path: Path) -> None:
    process = begun(tmp_path, machine(tmp_path, "--stand-in-start 600"), "--engine", str(tmp_path / "engine"))
    for line in process.stdout or ():
        if line.rstrip().endswith("ok       unit"):
            break
    while not (tmp_path / "pids").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert ended(tmp_path)
    assert steps(json.loads((tmp_path / "out.json").read_text()))["unit"]["status"] == "ok"


def test_a_machine_without_anything_is_told(tmp_path: Path) -> None:
    status, told, __ = probe(tmp_path, tmp_path)
    assert status == 0
    assert steps(told)["record nvidia-smi-xml"]["why"] == "nvidia-smi is not installed"
    assert steps(told)["checks"]["status"] == steps(told)["engine"]["status"] == "skipped"


def test_a_step_that_raises_hangs_or_comes_too_late_does_not_end_the_others() -> None:
    told: list[str] = []
    released = threading.Event()
    run = Steps(60, told.append, grace=0.1)
    assert run.run("raises", lambda seconds: 1 / 0, 5) is None
    assert run.run("hangs", lambda seconds: released.wait(30), 1) is None
    released.set()
    assert run.run("goes on", lambda seconds: "well", 5) == "well"
    run.limit = 0
    assert run.run("late", lambda seconds: "never", 5) is None
    assert [(step["name"], step["status"]) for step in run.done] == [
        ("raises", "failed"), ("hangs", "timeout"), ("goes on", "ok"), ("late", "skipped"),
    ]  # fmt: skip
    assert "ZeroDivisionError" in run.done[0]["why"]
    assert len(told) == 4


def test_a_command_that_does_not_answer_is_ended() -> None:
    answer = command(["sleep", "600"], 1)
    assert answer["returncode"] is None
    assert "no answer within 1 s" in answer["stderr"]


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("Model loading took 15.27 GiB memory and 3.5 seconds", "weights_bytes", 15.27 * GIB),
        ("Model loading took 15.27 GiB and 3.5 seconds", "loading_seconds", 3.5),
        ("Initial free memory: 78.6 GiB; Requested memory: 0.920000 (util), 72.8 GiB", "requested_bytes", 72.8 * GIB),
        (
            "Initial free memory: 78.6 GiB; Requested memory: 0.920000 (util), 72.8 GiB",
            "initial_free_bytes",
            78.6 * GIB,
        ),
        ("Available KV cache memory: -2.14 GiB", "available_kv_bytes", -2.14 * GIB),
        ("GPU KV cache size: 46,368 tokens", "kv_tokens", 46368),
        (
            "GPU KV cache size: 46,368 tokens, Maximum concurrency for 2,048 tokens per request: 22.64x",
            "concurrency",
            22.64,
        ),
        ("Graph capturing finished in 12 secs, took 0.81 GiB", "graph_bytes", 0.81 * GIB),
        ("torch.compile took 21.07 s in total", "compile_seconds", 21.07),
        ("init engine (profile, create kv cache, warmup model) took 40.12 s", "init_seconds", 40.12),
        ("init engine (profile, create kv cache, warmup model) took 40.12 seconds", "init_seconds", 40.12),
    ],
)
def test_figures_are_read_as_vllm_writes_them(line: str, name: str, value: float) -> None:
    told = log.figures([f"(EngineCore pid=12) INFO 11-29 10:00:00 [worker.py:1] {line}"])
    assert told[name] == [pytest.approx(value)]


def test_arguments_of_others_are_cut_from_recordings() -> None:
    text = "<process_name>python3 -m server --api-key sk-1</process_name> vllm --api-key=sk-2, 40 MiB"
    assert record.anonymous([text]) == ["<process_name>python3</process_name> vllm --api-key …, 40 MiB"]


def test_directories_of_a_host_become_those_of_the_machine() -> None:
    unit = {"command": ["/opt/vllm/0.33.0/bin/vllm", "serve"], "environment": {"PATH": "/opt/vllm/0.33.0/bin:/bin"}}
    moved = engine.placed(unit, {"/opt/vllm/0.33.0": "/scratch/engine"})
    assert moved == {
        "command": ["/scratch/engine/bin/vllm", "serve"],
        "environment": {"PATH": "/scratch/engine/bin:/bin"},
    }
    assert os.fspath(unit["command"][0]).startswith("/opt/vllm")
