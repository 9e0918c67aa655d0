"""What each host declares itself to be, in the inventory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.plan.menu import whole
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.problems import Problems

ACCELERATORS = ("cuda", "rocm", "cpu")
_RELEASE = re.compile(r"\d+\.\d+\.\d+(\.?(post|rc)\d+)?")


@dataclass(frozen=True)
class Host:
    """A host of the fleet: its accelerator, the release it shall run, and how many GPUs it has (0 on `cpu`)."""

    name: str
    accelerator: str
    release: str
    gpu_count: int


def read_host(name: str, declared: Mapping[str, Any], problems: Problems) -> Host | None:
    """One host from its inventory variables; None where it cannot be planned for."""
    before = len(problems.found)
    accelerator = declared.get("vllm_accelerator")
    if accelerator not in ACCELERATORS:
        reason = "is missing" if accelerator is None else f"{accelerator!r} is not an accelerator"
        problems.add(f"{name}.vllm_accelerator", reason, f"Write one of: {', '.join(ACCELERATORS)}")
    release = declared.get("vllm_version")
    if not isinstance(release, str) or not _RELEASE.fullmatch(release):
        reason = "is missing" if release is None else f"{release!r} is not a vLLM release"
        problems.add(f"{name}.vllm_version", reason, 'Write the whole release as text: vllm_version: "0.33.0"')
    gpu_count = whole(declared.get("gpu_count", 0))
    if gpu_count is None or gpu_count > 64:
        problems.add(f"{name}.gpu_count", f"{declared['gpu_count']!r} is not a count", "Write a whole number such as 8")
    elif accelerator in ("cuda", "rocm") and gpu_count == 0:
        problems.add(f"{name}.gpu_count", "is missing", "Declare how many GPUs the host has: gpu_count: 8")
    if len(problems.found) > before:
        return None
    return Host(name, str(accelerator), str(release), gpu_count if gpu_count and accelerator != "cpu" else 0)
