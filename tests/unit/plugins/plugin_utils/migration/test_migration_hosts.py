"""Hosts that cannot run the release that a menu is moved to."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration import hosts

HOST = {"vllm_accelerator": "cuda", "gpu_count": 2}


def judged(to: str, **declared: Any) -> tuple[list[str], list[str]]:
    refused, restricted = hosts.judge({"a": {**HOST, **declared}, "b": {**HOST, **declared}}, to)
    return [str(one) for one in refused], [str(one) for one in restricted]


@pytest.mark.parametrize(
    ("to", "declared", "said"),
    [
        ("0.33.0", {"nvidia_driver_version": "550.54.15"}, "built for CUDA 13.0: that needs 580 or newer"),
        ("0.20.0", {"nvidia_driver_version": "575"}, "or run vLLM 0.19.1 at most"),
        ("0.33.0", {"gpu_name": "V100-32GB"}, "the kernels of vLLM 0.33.0 begin with 7.5"),
        ("0.8.5", {"gpu_name": "B200"}, "needs CUDA 12.8 or newer"),
        (
            "0.12.0",
            {"gpu_name": "B200", "nvidia_driver_version": "550"},
            "does not know the B200: its generation came with 570",
        ),
    ],
)
def test_hosts_are_refused_once_with_what_to_write(to: str, declared: dict[str, Any], said: str) -> None:
    refused, __ = judged(to, **declared)
    (told,) = [one for one in refused if said in one]
    assert told.startswith("a and b.")


@pytest.mark.parametrize(
    ("to", "declared"),
    [
        ("0.33.0", {"nvidia_driver_version": "580"}),
        ("0.19.1", {"nvidia_driver_version": "535"}),
        ("0.33.0", {"gpu_name": "T4"}),
        ("0.33.0", {}),
        ("0.33.0", {"vllm_accelerator": "rocm", "gpu_name": "MI300X"}),
        ("0.33.0", {"vllm_accelerator": "nonsense", "nvidia_driver_version": "535"}),
    ],
)
def test_hosts_that_run_it_or_say_too_little_are_not(to: str, declared: dict[str, Any]) -> None:
    assert judged(to, **declared)[0] == []


def test_an_older_driver_of_the_same_major_is_told_as_a_restriction() -> None:
    __, (told,) = judged("0.12.0", nvidia_driver_version="550")
    assert "older than the one CUDA 12.9 came with (575)" in told
