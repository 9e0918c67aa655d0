"""How much of a GPU each of the models that share it takes.

Every engine asks at its start that `gpu-memory-utilization` times the GPU's memory be free, also where
`kv-cache-memory-bytes` then sizes its cache (`request_memory` in vllm/v1/worker/utils.py of 0.33.0, called from
`Worker.init_device`); so the shares of one GPU may add up to 1 at most, and each sharer needs one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.menu import Entry

OPTION = "gpu-memory-utilization"
# Less than this holds no model, whatever the GPU: on 80 GB it is what CUDA's own context and libraries take.
LEAST = 0.02


def share(
    host: str,
    entries: Sequence[tuple[Entry, Mapping[str, Any]]],
    placed: Mapping[str, Sequence[int]],
    default: float,
    problems: Problems,
) -> dict[str, float]:
    """The share of each model that shares a GPU and was given none, rounded down to hundredths.

    Those that say nothing divide equally what `default` (vLLM's own for one engine alone) leaves beside the written
    shares. `placed`: GPU indices per model name.
    """
    written = {e.name: _number(args[OPTION]) for e, args in entries if _number(args.get(OPTION)) is not None}
    on_gpu: dict[int, list[str]] = {}
    for entry, _ in entries:
        for gpu in placed.get(entry.name, ()):
            on_gpu.setdefault(gpu, []).append(entry.name)
    derived: dict[str, float] = {}
    for gpu, names in on_gpu.items():
        if len(names) < 2:
            continue
        given = {name: written[name] for name in names if name in written}
        total = sum(value or 0 for value in given.values())
        if total > 1 + 1e-9:
            listed = ", ".join(f"{name} {value:g}" for name, value in given.items())
            problems.add(
                f"vllm_models.{names[-1]}.args.{OPTION}",
                f"the shares of GPU {gpu} on {HOSTS} add up to {total:g} ({listed})",
                "Lower them so that they add up to 1 at most, or place one of the models elsewhere",
                host,
            )
        silent = [name for name in names if name not in written]
        if not silent:
            continue
        each = int((default - total) / len(silent) * 100 + 1e-6) / 100
        if each < LEAST:
            problems.add(
                f"vllm_models.{silent[0]}.gpus",
                f"finds nothing left of GPU {gpu} on {HOSTS}: its neighbours take {total:g} of it",
                f"Lower their {OPTION}, or place the model elsewhere",
                host,
            )
        for name in silent:
            derived[name] = min(each, derived.get(name, 1.0))
    return derived


def _number(value: Any) -> float | None:
    """The share as written; quoted numbers are numbers to vLLM, and whatever else is no number is told elsewhere."""
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
