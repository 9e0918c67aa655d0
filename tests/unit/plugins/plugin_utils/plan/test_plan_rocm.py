"""Hosts for ROCm: what their engine cannot be is refused while the fleet is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HOST: dict[str, Any] = {"vllm_accelerator": "rocm", "vllm_version": "0.33.0", "gpu_count": 8}
INDEX = {**HOST, "vllm_engine_source": "index"}
ROOT = "https://wheels.vllm.ai/rocm"


@pytest.mark.parametrize(
    "host",
    [
        HOST,
        INDEX,
        {**INDEX, "vllm_engine_rocm": "rocm72", "vllm_engine_python": "3.12"},
        {**INDEX, "vllm_engine_index_urls": [f"{ROOT}/0.33.0/rocm72"]},
        {
            **INDEX,
            "vllm_engine_index_urls": ["https://mirror.example/rocm"],
            "vllm_engine_index_url": "https://mirror.example/pypi",
        },
        {**INDEX, "vllm_engine_lock": "/nowhere/made-at-first-use.lock"},
        # A wheelhouse asks no index.
        {**HOST, "vllm_engine_index_urls": [ROOT], "vllm_engine_lock": "/dev/null"},
        {**HOST, "vllm_accelerator": "cuda", "vllm_engine_index_urls": [ROOT], "vllm_engine_rocm": "x"},
    ],
)
def test_what_is_right_is_planned(host: dict[str, Any], fleet: Any) -> None:
    assert fleet.told({"m": fleet.chat}, {"h": host}) == []


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"vllm_version": "0.12.0"}, "h.vllm_engine_rocm", "0.14.0 was the first. Plan a later release"),
        (
            {"vllm_engine_rocm": "rocm723"},
            "h.vllm_engine_rocm",
            "has rocm100 and rocm72. Write vllm_engine_rocm: rocm100",
        ),
        (
            {"vllm_engine_index_urls": [ROOT]},
            "h.vllm_engine_index_urls",
            f"Write release and build: {ROOT}/0.33.0/rocm100",
        ),
        ({"vllm_engine_index_urls": [f"{ROOT}/"]}, "h.vllm_engine_index_urls", "names no release and no build"),
        (
            {"vllm_engine_index_urls": [f"{ROOT}/0.32.0/rocm723"]},
            "h.vllm_engine_index_urls",
            "is of 0.32.0, and the release to install is 0.33.0",
        ),
        ({"vllm_engine_index_url": ROOT}, "h.vllm_engine_index_url", "that in vllm_engine_index_urls"),
        ({"vllm_engine_python": "3.11"}, "h.vllm_engine_python", "for Python 3.12 alone, and 3.11 is asked for"),
        ({"vllm_engine_python": 3.11}, "h.vllm_engine_python", "for Python 3.12 alone, and 3.11 is asked for"),
    ],
)
def test_what_is_wrong_is_refused_by_its_key_with_a_remedy(
    change: dict[str, Any], key: str, words: str, fleet: Any
) -> None:
    told = fleet.told({"m": fleet.chat}, {"h": {**INDEX, **change}})
    assert [line.split(":")[0] for line in told] == [key]
    assert words in told[0]


def test_a_lock_for_cuda_is_refused_by_its_key(tmp_path: Path, fleet: Any) -> None:
    given = tmp_path / "my.lock"
    hashed = f"--hash=sha256:{'a' * 64}"
    given.write_text(f"vllm==0.33.0 {hashed}\ntorch==2.13.0 {hashed}\nnvidia-nccl-cu13==2.30 {hashed}\n")
    told = fleet.told({"m": fleet.chat}, {"h": {**INDEX, "vllm_engine_lock": str(given)}})
    assert len(told) == 1
    assert told[0].startswith(f"h.vllm_engine_lock: {given} is no lock for ROCm: it holds vllm 0.33.0")
    assert "nvidia-nccl-cu13 is part of CUDA. Remove that file" in told[0]
    given.write_text("half a line")
    assert "not an exact pin" in fleet.told({"m": fleet.chat}, {"h": {**INDEX, "vllm_engine_lock": str(given)}})[0]
    given.write_text(f"vllm==0.33.0+rocm100 {hashed}\ntorch==2.13.0+rocm10.0.0 {hashed}\n")
    assert fleet.told({"m": fleet.chat}, {"h": {**INDEX, "vllm_engine_lock": str(given)}}) == []


def test_a_build_that_takes_the_hosts_libraries_is_told_apart_from_other_libraries(fleet: Any) -> None:
    def warned(**change: Any) -> list[str]:
        return [str(problem) for problem in fleet.plan({"m": fleet.chat}, {"h": {**HOST, **change}}).warnings]

    assert warned(vllm_engine_rocm="rocm72", rocm_version="7.2.4") == []
    assert warned(vllm_engine_rocm="rocm72") == []
    # ROCm 10 comes along.
    assert warned(rocm_version="7.0.2") == []
    other = warned(vllm_engine_rocm="rocm72", rocm_version="7.0.2")
    assert len(other) == 1
    assert other[0].startswith(
        "h.rocm_version: rocm72 of vLLM 0.33.0 was built with ROCm 7.2.3, and the host gets 7.0.2. Write rocm"
    )
