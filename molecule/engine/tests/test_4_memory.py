"""What the plan works out of a model's memory, against the engine that is installed on a host: the same to the byte."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import language_part
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.estimate import from_config
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import read_config
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.memory import fit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release
from testlab import STATE

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "unit" / "plugins" / "plugin_utils" / "fit"))
from fit_models import CONFIGS

# Installed by test_1_offline.py, which runs before.
HOST = "lab4"
RELEASE = "0.32.0"
ENGINE = f"/opt/vllm/{RELEASE}"
# Kernels for these exist on GPUs alone; without the quantisation, the layers keep the same.
PLAIN = ("deepseek-ai/DeepSeek-V3", "openai/gpt-oss-120b")
# An encoder keeps nothing.
LEFT_OUT = ("BAAI/bge-m3",)
# The block that holds a state is found from the real number of GPUs, which is one here.
STATES = ("ai21labs/AI21-Jamba-1.5-Mini", "Qwen/Qwen3-Next-80B-A3B-Instruct")
# As many GPUs as divide the heads of all.
WANTED = [
    (name, tensor, dtype)
    for name in sorted(CONFIGS.keys() - set(LEFT_OUT))
    for tensor, dtype in ((1, "auto"), (2, "auto"), (4, "fp8_e4m3"))
    if tensor == 1 or not (name in STATES or name.startswith("tiiuae/falcon") or (tensor == 4 and name in PLAIN))
]


def config_of(name: str) -> dict[str, Any]:
    config = dict(CONFIGS[name])
    if name in PLAIN:
        del config["quantization_config"]
        config.setdefault("torch_dtype", "bfloat16")
    return config


@pytest.fixture(scope="module")
def measured() -> dict[tuple[str, int, str], dict[str, Any]]:
    wanted = [
        {
            "config": config_of(name),
            "tensor": tensor,
            "args": {"max_num_batched_tokens": 2048, "kv_cache_dtype": dtype},
        }
        for name, tensor, dtype in WANTED
    ]
    script = (Path(__file__).parent / "engine_memory.py").read_bytes()
    there = f"{ENGINE}/bin/python - {shlex.quote(json.dumps(wanted))}"
    command = ["ssh", "-F", str(STATE / "ssh" / "config"), HOST, there]
    done = subprocess.run(command, input=script, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert len(results) == len(WANTED) > 50
    return dict(zip(WANTED, results))


@pytest.mark.parametrize(("name", "tensor", "dtype"), WANTED, ids=lambda value: str(value))
def test_the_plan_works_out_what_vllm_works_out(
    measured: dict[tuple[str, int, str], dict[str, Any]], name: str, tensor: int, dtype: str
) -> None:
    real, config = measured[name, tensor, dtype], config_of(name)
    facts = read_config(config)
    facts = replace(facts, weights=None if facts.quantisation else from_config(language_part(config), 2))
    args = {
        "tensor-parallel-size": tensor,
        "kv-cache-dtype": dtype,
        "block-size": real["block"],
        "max-num-batched-tokens": 2048,
        "async-scheduling": False,
    }
    known = release(RELEASE)
    for gib, longest in zip((1, 4, 16), real["longest"]):
        found = fit(facts, {**args, "kv-cache-memory-bytes": gib * 2**30}, None, known)
        assert found.length == real["length"]
        assert found.needed == real["needed"]
        assert found.needed_least <= real["needed"]
        assert found.longest is not None
        assert min(found.longest, real["length"]) == longest
    if found.weights is not None and "vision_config" not in config:
        assert found.weights_least <= real["weights"]
        assert found.weights == pytest.approx(real["weights"], rel=0.03)
