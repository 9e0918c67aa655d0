"""What the plan says of kernels that an engine would compile at its first start, from the locks at hand."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.splitter import parse_kv
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import lock
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.kernels import Kernels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import sources
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.at_hand import locks_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import read_config
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.kernels import attention_without

CONFIG = {"model_type": "qwen3", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "head_dim": 16}
# 0.33.0's lock as uv resolves it: nvcc of CUDA 13.5 beside CUDA 13.0.
BARE = Kernels(flashinfer="0.7.2.post1", cuda="13.0", nvcc="13.5")
PATH = "/srv/wheelhouse/0.33.0-cuda-py3.12-x86_64/requirements.lock"


def warned(outcome: Any) -> list[str]:
    assert not outcome.problems
    return [str(warning) for warning in outcome.warnings if warning.key == "vllm_engine_kernels_index"]


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (BARE, "it has no flashinfer-jit-cache and nvidia-cuda-nvcc 13.5 does not go with CUDA 13.0"),
        (replace(BARE, nvcc=""), "it has no flashinfer-jit-cache and no nvidia-cuda-nvcc"),
        (replace(BARE, nvcc="13.0"), ""),
        (replace(BARE, jit_cache="0.7.2.post1+cu130"), ""),
        (Kernels(), ""),
    ],
)
def test_what_is_lost_without_kernels_and_without_a_compiler(fleet: Any, held: Kernels, said: str) -> None:
    told = warned(fleet.plan({"a": fleet.chat}, locks={"gpu1": {PATH: held}}))
    assert len(told) == bool(said)
    assert all(part in told[0] for part in (said, PATH, "VLLM_USE_FLASHINFER_SAMPLER=0", "wheelhouse_update") if said)


COMMAND = "ansible-playbook baremetal.vllm.wheelhouse -i INVENTORY -e wheelhouse_release=0.33.0 -e wheelhouse_accelerator=cuda"
IN_USE = "Do so before 0.33.0 is in use, else for the next release: an engine in use is not rebuilt"
REFUSED = f"{IN_USE}, and its host is refused once the lock is another."
INDEX = {"vllm_engine_source": "index"}


@pytest.mark.parametrize(
    ("path", "more", "said"),
    [
        (
            PATH,
            {},
            f"{COMMAND} -e wheelhouse_python_version=3.12 -e wheelhouse_dir=/srv/wheelhouse -e wheelhouse_update=true. {REFUSED}",
        ),
        (
            "CACHE/baremetal-vllm/wheelhouse/0.33.0-cuda-py3.11-aarch64/requirements.lock",
            {},
            f"{COMMAND} -e wheelhouse_python_version=3.11 -e wheelhouse_arch=aarch64 -e wheelhouse_update=true. {REFUSED}",
        ),
        (
            "/srv/locks/cuda.lock",
            {**INDEX, "vllm_engine_lock": "/srv/locks/cuda.lock"},
            f"remove /srv/locks/cuda.lock: it is resolved anew when 0.33.0 is next installed on a host. {REFUSED}",
        ),
        (
            "/data/cuda.lock",
            INDEX,
            f"remove /data/cuda.lock: it is resolved anew when 0.33.0 is next installed on a host. {IN_USE}.",
        ),
    ],
)
def test_how_a_lock_is_made_anew(
    fleet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, more: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = path.replace("CACHE", str(tmp_path))
    hosts = {"gpu1": {**fleet.gpu_host, **more}}
    (told,) = warned(fleet.plan({"a": fleet.chat}, hosts, locks={"gpu1": {path: BARE}}))
    assert told.endswith(said)
    (told,) = fleet.told({"a": fleet.chat}, hosts, locks={"gpu1": {path: replace(BARE, cubin="0.6.13")}})
    assert told.endswith(said)


def test_the_command_for_a_directory_with_a_space_means_that_directory() -> None:
    command = sources.wheelhouse_command("0.33.0", "cuda", directory=Path("/srv/a house"))
    assert parse_kv(shlex.split(command)[-1]) == {"wheelhouse_dir": "/srv/a house"}


@pytest.mark.parametrize("env", [{"CUDA_HOME": "/usr/local/cuda"}, {"CUDA_PATH": "/usr/local/cuda"}])
def test_who_names_a_compiler_is_not_warned(fleet: Any, env: dict[str, Any]) -> None:
    assert warned(fleet.plan({"a": {**fleet.chat, "env": env}}, locks={"gpu1": {PATH: BARE}})) == []


@pytest.mark.parametrize(("value", "said"), [(0, ""), (1, "a would end at the start, for VLLM_USE_FLASHINFER_SAMPLER")])
def test_who_says_how_to_sample_is_told_of_what_else_is_lost(fleet: Any, value: int, said: str) -> None:
    env = {"VLLM_USE_FLASHINFER_SAMPLER": value}
    (told,) = warned(fleet.plan({"a": {**fleet.chat, "env": env}}, locks={"gpu1": {PATH: BARE}}))
    assert "VLLM_USE_DEEP_GEMM=0" in told
    assert "VLLM_USE_FLASHINFER_SAMPLER=0" not in told
    assert said in told
    assert ("would end" in told) == bool(said)


def test_releases_and_accelerators_that_need_none_are_not_warned(fleet: Any) -> None:
    for host in ({**fleet.gpu_host, "vllm_version": "0.19.0"}, {"vllm_accelerator": "cpu", "vllm_version": "0.33.0"}):
        outcome = fleet.plan({"a": fleet.chat}, {"gpu1": host}, locks={"gpu1": {PATH: BARE}})
        assert [w for w in outcome.warnings if w.key == "vllm_engine_kernels_index"] == []


def test_a_fleet_is_warned_once(fleet: Any) -> None:
    hosts = {f"gpu{n}": fleet.gpu_host for n in range(1, 9)}
    told = warned(fleet.plan({"a": fleet.chat}, hosts, locks={name: {PATH: BARE} for name in hosts}))
    assert len(told) == 1
    assert "gpu1, gpu2, gpu3 and 5 more" in told[0]


def test_attention_on_blackwell_is_named(fleet: Any) -> None:
    b200 = {"gpu1": {**fleet.gpu_host, "gpu_name": "B200"}}
    menu = {"a": fleet.chat, "b": {**fleet.chat, "args": {"attention-backend": "TRITON_ATTN"}}}
    menu = {name: {**entry, "gpus": [number]} for number, (name, entry) in enumerate(menu.items())}
    (told,) = warned(fleet.plan(menu, b200, locks={"gpu1": {PATH: BARE}}))
    assert "give a `attention-backend: TRITON_ATTN`" in told
    (told,) = warned(
        fleet.plan(menu, {"gpu1": {**fleet.gpu_host, "gpu_name": "H100-80GB"}}, locks={"gpu1": {PATH: BARE}})
    )
    assert "attention-backend" not in told


MLA = {"model_type": "deepseek_v3", "kv_lora_rank": 512, "qk_rope_head_dim": 64}


@pytest.mark.parametrize(
    ("gpu", "config", "args", "words"),
    [
        ("B200", {}, {}, ["--attention-backend", "TRITON_ATTN"]),
        ("B200", {}, {"kv-cache-dtype": "fp8"}, ["--attention-backend", "TRITON_ATTN"]),
        ("B200", MLA, {}, ["--attention-backend", "TRITON_MLA"]),
        ("B200", {**MLA, "index_topk": 2048}, {}, []),
        ("B200", MLA, {"kv-cache-dtype": "fp8"}, []),
        ("B200", None, {}, []),
        ("B200", {}, {"attention-backend": "FLASH_ATTN"}, []),
        ("B200", {}, {"attention-config": {"backend": "FLASHINFER"}}, []),
        ("H100-80GB", {}, {}, []),
        ("RTX-PRO-6000-Blackwell", {}, {}, []),
    ],
)
def test_a_unit_on_10_x_knows_which_attention_needs_no_kernel_of_flashinfer(
    fleet: Any, gpu: str, config: dict[str, Any] | None, args: dict[str, Any], words: list[str]
) -> None:
    facts = None if config is None else read_config({**CONFIG, **config})
    assert attention_without([find(gpu)], args, facts, "0.33.0", "cuda") == words
    assert attention_without([find(gpu)], args, facts, "0.20.0", "cuda") == []


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (replace(BARE, cubin="0.6.13"), "flashinfer-cubin is 0.6.13 and flashinfer-python 0.7.2.post1"),
        (
            replace(BARE, jit_cache="0.7.2.post1+cu129"),
            "is built for another CUDA than the engine's 13.0 (cu130 goes with it)",
        ),
    ],
)
def test_locks_whose_kernels_do_not_go_together_are_refused(fleet: Any, held: Kernels, said: str) -> None:
    (told,) = fleet.told({"a": fleet.chat}, locks={"gpu1": {PATH: held}})
    assert told.startswith(f"vllm_engine_kernels_index: in {PATH}, ")
    assert said in told
    assert "(gpu1)" in told


@pytest.mark.parametrize("value", ["flashinfer.ai/whl", 7, ["https://mirror.example/whl"]])
def test_an_index_that_is_no_address_is_refused(fleet: Any, value: Any) -> None:
    (told,) = fleet.told({"a": fleet.chat}, {"gpu1": {**fleet.gpu_host, "vllm_engine_kernels_index": value}})
    assert told.startswith("vllm_engine_kernels_index: ")
    assert "Write https://flashinfer.ai/whl, a mirror of it, or none" in told


def test_locks_at_hand_are_read_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, text: str = "") -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        pins = (lock.Pin("flashinfer-python", "0.7.2.post1", ("a" * 64,)),)
        path.write_text(text or lock.render_lock(pins))
        return str(path)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    house = tmp_path / "cache/baremetal-vllm/wheelhouse"
    one, two = (write(house / f"0.33.0-cuda-py{python}-x86_64/requirements.lock") for python in ("3.11", "3.12"))
    write(house / "0.32.0-cuda-py3.12-x86_64/requirements.lock")
    write(house / "0.33.0-cpu-py3.12-x86_64/requirements.lock")
    write(house / "0.33.0-cuda-py3.13-x86_64/requirements.lock", "half a lo")
    made = write(tmp_path / "data/baremetal-vllm/locks/0.33.0-cuda-py3.12-x86_64.lock")
    mine = write(tmp_path / "mine.lock")
    other = write(tmp_path / "other/0.33.0-cuda-py3.12-x86_64/requirements.lock")
    base = {"vllm_version": "0.33.0", "vllm_accelerator": "cuda"}
    found = locks_of(
        {
            "a": base,
            "b": {**base, "vllm_engine_source": "index"},
            "c": {**base, "vllm_engine_source": "index", "vllm_engine_lock": mine},
            "d": {**base, "vllm_engine_source": "index", "vllm_engine_lock": str(tmp_path / "none.lock")},
            "e": {**base, "vllm_engine_wheelhouse": str(tmp_path / "other")},
            "f": {**base, "vllm_engine_wheelhouse": str(Path(other).parent)},
            "g": {**base, "vllm_accelerator": "cpu"},
            "h": {**base, "vllm_version": "0.20.2"},
            "i": {},
        }
    )
    assert {name: list(paths) for name, paths in found.items()} == {
        "a": [one, two], "b": [made], "c": [mine], "d": [], "e": [other], "f": [other], "g": [], "h": [], "i": [],
    }  # fmt: skip
    assert found["a"][one].flashinfer == "0.7.2.post1"
