"""Commands as they are found in scripts, units and compose files, and the entry that each becomes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.command_line import (
    Unread,
    read_command,
    read_commands,
)

COMMIT = "495f39366efef23836d0cfae4fbe635880d2be31"


def args(text: str, release: str | None = "0.33.0") -> Any:
    return read_command(f"vllm serve m {text}", release)[0].get("args", {})


# What follows the model, the release whose spelling it is, and the args.
WORDS: list[tuple[str, str | None, dict[str, Any]]] = [
    ("--max-model-len 32k", "0.33.0", {"max-model-len": "32k"}),
    ("--max_model_len=4096", "0.33.0", {"max-model-len": 4096}),
    ("--max-model-len 32k --max_model_len 16k", "0.33.0", {"max-model-len": "16k"}),
    ("-tp 2 -pp=2 -dp 1", "0.33.0", {"tensor-parallel-size": 2, "pipeline-parallel-size": 2, "data-parallel-size": 1}),
    ("-q awq", "0.33.0", {"quantization": "awq"}),
    ("-qawq", "0.33.0", {"quantization": "awq"}),
    ("-q=awq", "0.9.2", {"quantization": "awq"}),
    ("-O3", "0.9.2", {"compilation-config": {"level": 3}}),
    ("-O 3", "0.9.2", {"compilation-config": {"level": 3}}),
    ("-O=2", "0.11.2", {"compilation-config": {"mode": 2}}),
    ("-O3", "0.12.0", {"optimization-level": 3}),
    ("-O3", None, {"optimization-level": 3}),
    ("-O '{\"level\": 3}'", "0.9.2", {"compilation-config": {"level": 3}}),
    ("-O='{\"mode\": 3}'", "0.33.0", {"compilation-config": {"mode": 3}}),
    ("--enable-chunked-prefill false --seed 1", "0.9.2", {"enable-chunked-prefill": False, "seed": 1}),
    ("--enable-chunked-prefill=False", "0.33.0", {"enable-chunked-prefill": False}),
    ("--enable-chunked-prefill True", "0.33.0", {"enable-chunked-prefill": True}),
    ("--no-enable-prefix-caching true", "0.33.0", {"enable-prefix-caching": False}),
    ("--seed ${SEED:-3} --max-model-len ${LEN-8k}", "0.33.0", {"seed": 3, "max-model-len": "8k"}),
    ("-O.level 3", "0.9.2", {"compilation-config": {"level": 3}}),
    ("-cc.mode=3 -cc.pass_config.fuse_norm_quant true", "0.33.0", {"compilation-config": {"mode": 3, "pass_config": {"fuse_norm_quant": True}}}),
    ("--compilation-config 3", "0.8.5", {"compilation-config": 3}),
    ("--enforce-eager --no-enable-prefix-caching", "0.33.0", {"enforce-eager": True, "enable-prefix-caching": False}),
    ("--disable-log-requests", "0.9.2", {"disable-log-requests": True}),
    ("--disable-log-requests", "0.33.0", {"enable-log-requests": False}),
    ("--hf-overrides '{\"a\": {\"b\": 1}}'", "0.33.0", {"hf-overrides": {"a": {"b": 1}}}),
    ("--hf-overrides.a.b 1 --hf-overrides.c text", "0.33.0", {"hf-overrides": {"a": {"b": 1}, "c": "text"}}),
    ("--speculative-config.num_speculative_tokens 1k", "0.33.0", {"speculative-config": {"num_speculative_tokens": 1000}}),
    ("--compilation-config.cudagraph_capture_sizes+ 1,2", "0.33.0", {"compilation-config": {"cudagraph_capture_sizes": [1, 2]}}),
    ("--limit-mm-per-prompt image=2,video=1", "0.9.2", {"limit-mm-per-prompt": {"image": 2, "video": 1}}),
    ("--limit-mm-per-prompt '{\"image\": 2}'", "0.33.0", {"limit-mm-per-prompt": {"image": 2}}),
    ("--allowed-origins '[\"https://a\"]'", "0.33.0", {"allowed-origins": ["https://a"]}),
    ("--middleware a.b --middleware c.d", "0.33.0", {"middleware": ["a.b", "c.d"]}),
    ("--cudagraph-capture-sizes 1 2 4 --seed 1", "0.33.0", {"cudagraph-capture-sizes": [1, 2, 4], "seed": 1}),
    ("--seed None", "0.9.2", {}),
    ("--gpu-memory-util 0.5", "0.33.0", {"gpu-memory-utilization": 0.5}),
    ("--task embed --swap-space 4", None, {"task": "embed", "swap-space": 4}),
    ("--speculative-model a/b", None, {"speculative-model": "a/b"}),
    ("--my-plugin-option 5 --flag", None, {"my-plugin-option": 5, "flag": True}),
    ("--chat-template ./t.jinja --response-role -odd", "0.33.0", {"chat-template": "./t.jinja", "odd": True}),
    ("--response-role=-odd", "0.33.0", {"response-role": "-odd"}),
    ("--cpu-offload-gb -1", "0.33.0", {"cpu-offload-gb": -1}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "release", "expected"), WORDS)
def test_words_are_read_as_vllm_reads_them(text: str, release: str | None, expected: dict[str, Any]) -> None:
    assert args(text, release) == expected


# What an operator is told, not guessed.
NOTES: list[tuple[str, str]] = [
    ("vllm serve a/b --gpu-memory-util 0.5", "--gpu-memory-util is an abbreviation of --gpu-memory-utilization"),
    ("vllm serve a/b --max-num-seqs 1 --max-num-seqs 2", "--max-num-seqs is given more than once: the last one counts"),
    ("vllm serve $MODEL", "the model holds $MODEL, which only the shell knows"),
    ("vllm serve a/b --max-model-len $(cat len)", "--max-model-len holds $(cat len), which only the shell knows"),
    ("vllm serve a/b --max-model-len ${LEN:-8k}", "--max-model-len holds ${LEN:-8k}"),
    ("vllm serve a/b --max-model-len `cat len`", "--max-model-len holds `cat len`"),
    ("vllm serve a/b --api-key geheim", "--api-key is a secret and not shown: put it into a vault as vllm_api_key"),
    ("HF_TOKEN=geheim vllm serve a/b", "HF_TOKEN is a secret and not shown: put it into a vault as vllm_hf_token"),
    ("vllm serve a/b --hf_token geheim", "put it into a vault as vllm_hf_token"),
    ("MY_PASSWORD=geheim vllm serve a/b", "MY_PASSWORD is left out: it looks like a secret"),
    ("vllm serve a/b --host 0.0.0.0", "--host is left out: the plan writes it, from `vllm_address`"),
    ("vllm serve a/b --config f.yaml", "--config names a file of further options, f.yaml: they are not here"),
    ("vllm serve a/b --revision main", "Add `revision`, the 40-digit commit of a/b: 'main' can move"),
    ("vllm serve a/b", "Add `revision`, the 40-digit commit of a/b: none is given"),
    ("vllm serve a/b --port 80", "The port 80 is left out"),
    ("CUDA_VISIBLE_DEVICES=GPU-1 vllm serve a/b", "The GPUs are given as GPU-1"),
    ("vllm serve a/b --download-dir /x", "--download-dir is left out: it has no place here: weights are delivered"),
    ("vllm serve a/b --headless", "--headless is left out: it has no place here: every unit has an endpoint"),
    ("vllm serve a/b --enable-chunked-prefill false", "vLLM would not start with 'false' behind it"),
    ("vllm serve a/b --seed ${SEED:-3}", "${SEED:-3}, which only the shell knows: its default is taken here"),
    ("vllm serve a/b --bogus 1", "--bogus is an option of no known release"),
    ("vllm serve a/b --max-model-len", "--max-model-len has no value: left out"),
    ("vllm serve a/b --enforce-eager=true", "--enforce-eager takes no value"),
    ("vllm serve a/b", "`kind` is a guess"),
    ("vllm serve ./model", "The model's path is relative"),
    ("vllm serve --max-model-len 8k", "No model is named"),
    ("vllm serve a/b --hf-overrides '{}' --hf-overrides.a 1", "vLLM takes only the keys"),
    ("PATH=/x vllm serve a/b", "PATH is left out: the unit has its own"),
]


@pytest.mark.parametrize(("text", "said"), NOTES)
def test_what_cannot_be_taken_over_is_said(text: str, said: str) -> None:
    entry, notes = read_command(text)
    assert any(said in note for note in notes), notes
    assert "geheim" not in repr((entry, notes))


KINDS: list[tuple[str, str]] = [
    ("--task embed", "embedding"),
    ("--runner pooling --convert embed", "embedding"),
    ("--task classify", "classify"),
    ("--task score", "score"),
    ("--task transcription", "transcription"),
    ("--enable-reasoning --reasoning-parser deepseek_r1", "reasoning"),
    ("--limit-mm-per-prompt image=4", "vision"),
    ("--limit-mm-per-prompt '{\"image\": 4}'", "vision"),
    ("--limit-mm-per-prompt '{\"image\": 0}'", "chat"),
    ("--limit-mm-per-prompt image=0,video=1", "chat"),
    ('--limit-mm-per-prompt \'{"image": {"count": 2}}\'', "vision"),
    ("--runner pooling", "embedding"),
    ("--max-model-len 8k", "chat"),
]


@pytest.mark.parametrize(("text", "kind"), KINDS)
def test_the_kind_follows_from_the_options_where_they_say_it(text: str, kind: str) -> None:
    assert read_command(f"vllm serve a/b {text}")[0]["kind"] == kind


def test_what_the_toolkit_owns_goes_to_its_own_keys() -> None:
    text = (
        f"CUDA_VISIBLE_DEVICES=0,1 VLLM_LOGGING_LEVEL=DEBUG vllm serve Qwen/Qwen2.5-72B-Instruct --revision {COMMIT} --port 8100 "
        "--served-model-name qwen gpt-4 --enable-lora --lora-modules sql=/adapters/sql "
        '\'{"name": "law", "path": "org/law", "base_model_name": "x"}\' -tp 2'
    )
    entry, notes = read_command(text, "0.9.2")
    assert entry == {
        "name": "qwen",
        "model": "Qwen/Qwen2.5-72B-Instruct",
        "revision": COMMIT,
        "kind": "chat",
        "gpus": [0, 1],
        "port": 8100,
        "aliases": ["gpt-4"],
        "adapters": {"sql": {"model": "/adapters/sql"}, "law": {"model": "org/law"}},
        "args": {"tensor-parallel-size": 2},
        "env": {"VLLM_LOGGING_LEVEL": "DEBUG"},
    }
    assert any("adapter law" in note for note in notes)


NAMES: list[tuple[str, str, list[str] | None]] = [
    ("vllm serve Qwen/Qwen2.5-7B", "Qwen2.5-7B", ["Qwen/Qwen2.5-7B"]),
    ("vllm serve /models/my-model/", "my-model", ["/models/my-model/"]),
    ("vllm serve a/b --served-model-name org/name", "name", ["org/name"]),
    ("vllm serve a/b --served-model-name 'mein Modell'", "mein-Modell", ["mein Modell"]),
    ("vllm serve a/b --served-model-name x", "x", None),
]


@pytest.mark.parametrize(("text", "name", "aliases"), NAMES)
def test_clients_can_go_on_asking_for_the_name_they_know(text: str, name: str, aliases: list[str] | None) -> None:
    entry, __ = read_command(text)
    assert (entry["name"], entry.get("aliases")) == (name, aliases)


SCRIPT = r"""#!/bin/bash
set -e
# vllm serve not/this
MODEL=Qwen/Qwen2.5-7B  # the model
OPTS="--enable-auto-tool-choice --tool-call-parser hermes"
export VLLM_LOGGING_LEVEL=DEBUG
export CUDA_VISIBLE_DEVICES=2

cd /opt && nohup vllm serve "$MODEL" $OPTS \
    --max-model-len 32k \
    --hf-overrides '{"x": "$y"}' \
    > log.txt 2>&1 &
tail -f log.txt | grep ready
"""
UNIT = r"""[Unit]
Description=vllm serve of something
[Service]
User=vllm
Environment="VLLM_LOGGING_LEVEL=INFO" CUDA_VISIBLE_DEVICES=3
EnvironmentFile=-/etc/vllm.env
ExecStart=/opt/venv/bin/python -m vllm.entrypoints.openai.api_server \
    --model /models/bge \
    --task embed \
    --port=8001 --override-pooler-config '{"pooling_type": "CLS"}'
Restart=always
"""
COMPOSE = """services:
  chat:
    image: vllm/vllm-openai:v0.11.0
    environment:
      - HF_TOKEN=${HF_TOKEN}
      - VLLM_LOGGING_LEVEL=INFO
    command: >
      --model Qwen/Qwen3-8B
      --reasoning-parser qwen3 --max-model-len 8k
  embed:
    image: registry.example/vllm-openai:v0.9.2@sha256:0123456789abcdef
    environment: {VLLM_USE_V1: 1}
    command: ["--model", "BAAI/bge-m3", "--task", "embed"]
  other:
    image: redis
"""
DOCKER = """docker run --runtime nvidia --gpus '"device=0,1"' -v /srv/hub:/hub \\
    --env "HF_TOKEN=$TOKEN" -e VLLM_USE_V1=1 -p 8000:8000 --ipc=host \\
    vllm/vllm-openai:v0.8.5.post1 --model mistralai/Mistral-7B-v0.1 --swap-space 4"""


def test_a_shell_script_is_read_with_the_variables_it_sets() -> None:
    entry, __ = read_command(SCRIPT, "0.9.2")
    assert entry["model"] == "Qwen/Qwen2.5-7B"
    assert entry["gpus"] == [2]
    assert entry["env"] == {"VLLM_LOGGING_LEVEL": "DEBUG"}
    assert entry["args"] == {
        "enable-auto-tool-choice": True,
        "tool-call-parser": "hermes",
        "max-model-len": "32k",
        "hf-overrides": {"x": "$y"},
    }


def test_a_systemd_unit_is_read_with_its_environment() -> None:
    entry, notes = read_command(UNIT)
    assert (entry["name"], entry["model"], entry["port"], entry["gpus"]) == ("bge", "/models/bge", 8001, [3])
    assert entry["args"] == {"task": "embed", "override-pooler-config": {"pooling_type": "CLS"}}
    assert entry["env"] == {"VLLM_LOGGING_LEVEL": "INFO"}
    assert any("/etc/vllm.env" in note for note in notes)


def test_a_compose_file_is_read_service_by_service_with_each_image_s_release() -> None:
    found = read_commands(COMPOSE)
    assert [(one.entry["name"], one.entry["kind"], one.release) for one in found] == [
        ("Qwen3-8B", "reasoning", "0.11.0"),
        ("bge-m3", "embedding", "0.9.2"),
    ]
    assert found[0].entry["env"] == {"VLLM_LOGGING_LEVEL": "INFO"}
    assert found[1].entry["env"] == {"VLLM_USE_V1": "1"}
    assert any("HF_TOKEN comes from the environment" in note for note in found[0].notes)


def test_docker_run_is_read_with_its_devices_and_variables() -> None:
    (found,) = read_commands(DOCKER)
    assert found.release == "0.8.5.post1"
    assert (found.entry["gpus"], found.entry["env"]) == ([0, 1], {"VLLM_USE_V1": "1"})
    assert found.entry["args"] == {"swap-space": 4}
    assert any("HF_TOKEN is $TOKEN" in note for note in found.notes)


# Lines as they stand in vLLM's recipes and in issues: the model, the release, the GPUs and the variables.
RUN = "docker run --gpus '\"device=0,1\"' --security-opt seccomp=unconfined -e VLLM_LOGGING_LEVEL=INFO"
CONTAINERS = [
    f'{RUN} --entrypoint "/usr/local/bin/vllm" vllm/vllm-openai:v0.18.0 serve a/b --seed 1',
    f"{RUN} --entrypoint vllm vllm/vllm-openai:v0.18.0 serve a/b --seed 1",
    f"{RUN} vllm/vllm-openai:v0.18.0 vllm serve a/b --seed 1",
    f"{RUN} --name vllm vllm/vllm-openai:v0.18.0 a/b --seed 1",
    f"{RUN} vllm/vllm-openai:v0.18.0 bash -lc 'pip install -U transformers && vllm serve a/b --seed 1'",
    f"{RUN} --entrypoint /bin/bash vllm/vllm-openai:v0.18.0 -c 'vllm serve a/b --seed 1'",
    f"{RUN} --entrypoint=bash vllm/vllm-openai:v0.18.0 -c 'exec vllm serve a/b --seed 1'",
]


@pytest.mark.parametrize("text", CONTAINERS)
def test_a_container_is_read_whatever_its_entrypoint(text: str) -> None:
    (found,) = read_commands(text)
    assert (found.entry["model"], found.release, found.entry["gpus"]) == ("a/b", "0.18.0", [0, 1])
    assert (found.entry["env"], found.entry["args"]) == ({"VLLM_LOGGING_LEVEL": "INFO"}, {"seed": 1})


@pytest.mark.parametrize("command", ["[serve, a/b]", "[vllm, serve, a/b]", "[bash, -c, vllm serve a/b]", "serve a/b"])
def test_a_service_says_its_release_and_gpus_whatever_its_command(command: str) -> None:
    devices = "{resources: {reservations: {devices: [{driver: nvidia, device_ids: ['0', '1']}]}}}"
    service = f"{{image: 'vllm/vllm-openai:v0.11.0', command: {command}, deploy: {devices}}}"
    (found,) = read_commands(f"services:\n  chat: {service}\n")
    assert (found.entry["model"], found.release, found.entry["gpus"]) == ("a/b", "0.11.0", [0, 1])


def test_variables_behind_an_option_of_sudo_are_kept() -> None:
    assert read_command("sudo -E FOO=1 vllm serve a/b")[0]["env"] == {"FOO": "1"}


def test_a_default_gives_way_to_what_the_script_sets() -> None:
    assert read_command("MODEL=c/d\nvllm serve ${MODEL:-a/b}")[0]["model"] == "c/d"


STARTS = [
    "vllm serve a/b",
    "/opt/venv/bin/vllm serve a/b",
    "exec env X=1 vllm serve a/b",
    "sudo -u vllm vllm serve a/b",
    "numactl --cpunodebind=0 vllm serve a/b",
    "vllm serve --model a/b",
    "python3 -m vllm.entrypoints.openai.api_server --model a/b",
    "python -u /src/vllm/entrypoints/openai/api_server.py --model=a/b",
    "bash -c 'vllm serve a/b --seed 1'",
    "uv run vllm serve a/b | tee log",
    "if true; then vllm serve a/b; fi",
    "--model a/b",
    "python -m vllm.entrypoints.cli.main serve a/b",
    "vllm serve \\ # the model\n  a/b",
]


@pytest.mark.parametrize("text", STARTS)
def test_the_start_is_found_however_it_is_wrapped(text: str) -> None:
    assert read_command(text)[0]["model"] == "a/b"


WRONG: list[tuple[str, str]] = [
    ("echo hello", "Nothing here starts vLLM"),
    ("", "Nothing here starts vLLM"),
    ("vllm bench serve", "Nothing here starts vLLM"),
    ("apiVersion: v1\nkind: Pod\n", "Nothing here starts vLLM"),
    ("apiVersion: v1\nkind: Pod\nspec: [\n", "looks like a Kubernetes manifest and is no YAML .line"),
    ("echo one\nvllm serve 'a/b", "line 2: the quote ' is never closed"),
    ("if true; then vllm serve a/b\n", "line 2: fi is missing"),
    ("echo vllm serve a/b", "in line 1 is text"),
    ("vllm serve 'a/b", "is never closed"),
    ("services:\n  a: [", "is no YAML"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_text_that_starts_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(Unread, match=said):
        read_command(text)


def test_several_starts_are_several_entries() -> None:
    found = read_commands("vllm serve a/b --port 8001 &\nvllm serve c/d --port 8002 &\nwait")
    assert [(one.entry["model"], one.entry["port"]) for one in found] == [("a/b", 8001), ("c/d", 8002)]
