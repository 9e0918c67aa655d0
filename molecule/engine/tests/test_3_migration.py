"""What data/fates.yml says, on the engine that is installed on a host: its parser takes every replacement."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

from ansible_collections.baremetal.vllm.tools.migration.examples import examples
from testlab import STATE

# Installed by test_1_offline.py, which runs before.
HOST = "lab4"
RELEASE = "0.32.0"
ENGINE = f"/opt/vllm/{RELEASE}"
# What Transformers 5 makes of rope_scaling, and of rope_theta alone, once a model's configuration is loaded.
ROPE = """
import contextlib, json, logging, pathlib, sys, tempfile
with contextlib.redirect_stdout(sys.stderr):
    from vllm.transformers_utils.config import get_config
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as model:
        pathlib.Path(model, "config.json").write_text(sys.argv[1])
        read = lambda overrides: get_config(model, trust_remote_code=False, hf_overrides_kw=overrides).rope_parameters
        made = [read(overrides) for overrides in json.loads(sys.argv[2])]
print(json.dumps(made))
"""


def on_host(script: bytes, *words: str) -> str:
    command = f"HF_HUB_OFFLINE=1 {ENGINE}/bin/python - {shlex.join(words)}"
    ssh = ["ssh", "-F", str(STATE / "ssh" / "config"), HOST, command]
    done = subprocess.run(ssh, input=script, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout.decode().splitlines()[-1]


def errors(lines: list[list[str]]) -> list[str]:
    script = (Path(__file__).parent / "engine_reads.py").read_bytes()
    found: list[str] = json.loads(on_host(script, json.dumps(lines)))
    return found


def test_every_replacement_is_taken() -> None:
    moved = [one for one in examples() if any(change.becomes for change in one.moved(RELEASE).changes)]
    lines = [one.words(RELEASE) for one in moved]
    assert len(lines) > 100
    refused = {one.what: error for one, error in zip(moved, errors(lines)) if error}
    assert refused == {}


def test_everything_that_is_said_to_be_gone_is_refused() -> None:
    gone = [one for one in examples() if one.is_gone(RELEASE)]
    assert len(gone) > 50
    taken = [one.what for one, error in zip(gone, errors([one.old_words() for one in gone])) if not error]
    assert taken == []


def test_a_command_line_without_anything_old_is_taken() -> None:
    assert errors([["some/model", "--max-model-len", "32k"]]) == [""]


def test_rope_scaling_takes_the_place_of_all_that_the_model_says() -> None:
    # As most models of the Hugging Face hub still say it.
    model = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "rope_theta": 100000.0}
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}
    whole = {**yarn, "rope_theta": 100000.0}
    overrides = [{}, {"rope_scaling": yarn}, {"rope_theta": 5000.0}, {"rope_parameters": whole}]
    own, scaled, theta, given = json.loads(on_host(ROPE.encode(), json.dumps(model), json.dumps(overrides)))
    assert own["rope_theta"] == 100000.0
    assert scaled["rope_theta"] is None
    assert theta["rope_theta"] == 100000.0
    assert given == whole
