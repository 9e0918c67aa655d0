"""Kernels that an engine would have to compile at its first start: told while the plan is made, from the locks at hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernels, sources
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.kernels import Kernels
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.hosts import Host

KEY = "vllm_engine_kernels_index"
# Of the engine's directory in a wheelhouse: 0.33.0-cuda-py3.12-x86_64.
_HOUSE = re.compile(r"-py(?P<python>\d+\.\d+)-(?P<arch>\w+)$")


def check_kernels(
    host: Host,
    declared: Mapping[str, Any],
    locks: Mapping[str, Kernels],
    services: Sequence[Mapping[str, Any]],
    problems: Problems,
) -> None:
    """Refuse locks whose kernels do not go together; warn of what is lost where there are neither kernels nor a compiler.

    `locks` are those that the host's engine may be installed from, by their path on the control node.
    """
    wrong = kernels.index_error(declared.get(KEY))
    if wrong:
        problems.add(KEY, f"{wrong} ({HOSTS})", f"Write {kernels.INDEX}, a mirror of it, or {kernels.NONE}", host.name)
    if not services or not kernels.wanted(host.release, host.accelerator):
        return
    for path, held in locks.items():
        anew = _anew(host, Path(path), declared)
        for sentence in kernels.mismatches(held):
            problems.add(
                KEY,
                f"in {path}, {sentence} ({HOSTS})",
                f"Correct it, or {anew}",
                host.name,
            )
        lacking = kernels.lacking(held)
        decided = [
            s for s in services if any(name in s["environment"] for name in (kernels.SAMPLER, *kernels.CUDA_HOME))
        ]
        if lacking and len(decided) < len(services):
            problems.warn(
                KEY,
                f"the engine from {path} cannot have FlashInfer's kernels: {lacking}. Where a host ({HOSTS}) has no CUDA toolkit"
                f" of its own, {kernels.LOSS}{_on_blackwell(host, services)}",
                f"To have them, or a compiler, {anew}",
                host.name,
            )


def _anew(host: Host, path: Path, declared: Mapping[str, Any]) -> str:
    """How a lock is made anew, and when that does any good."""
    index = declared.get("vllm_engine_source") == "index"
    if index:
        how = f"remove {path}: it is resolved anew when {host.release} is next installed on a host"
    else:
        house = _HOUSE.search(path.parent.name)
        command = sources.wheelhouse_command(
            host.release,
            host.accelerator,
            python=house["python"] if house else "",
            arch=house["arch"] if house else "",
            directory=path.parent.parent,
            update=True,
        )
        how = f"prepare the wheelhouse anew, with whatever else it was prepared with: {command}"
    # Where nothing but the default lock of an index is asked for, any engine of the release will do.
    refused = (
        "" if index and not declared.get("vllm_engine_lock") else ", and its host is refused once the lock is another"
    )
    return f"{how}. Do so before {host.release} is in use, else for the next release: an engine in use is not rebuilt{refused}"


def _on_blackwell(host: Host, services: Sequence[Mapping[str, Any]]) -> str:
    """What else is wrong on capability 10.x, where vLLM prefers FlashInfer's attention (`_get_backend_priorities` in
    platforms/cuda.py of 0.21.0 to 0.33.0)."""
    if host.gpu is None or host.gpu.capability is None or host.gpu.capability[0] != 10:
        return ""
    unnamed = [s["name"] for s in services if not any(word.startswith("--attention-backend") for word in s["argv"])]
    if not unnamed:
        return ""
    return (
        f"; on {host.gpu.name} vLLM would choose FlashInfer for attention, which then fails: give {', '.join(sorted(unnamed))}"
        " `attention-backend: TRITON_ATTN` in `args` (TRITON_MLA for models with MLA)"
    )
