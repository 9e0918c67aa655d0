"""How much of a GPU each of the models on it takes.

Every engine asks at its start that `gpu-memory-utilization` times the GPU's memory be free, also where
`kv-cache-memory-bytes` then sizes its cache (`request_memory` in vllm/v1/worker/utils.py of 0.33.0, called from
`Worker.init_device`). It looks when its own CUDA context is there already, and those of the engines before it: so the shares of
one GPU add up to less than 1, one share alone too, and each sharer needs one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.fit.overhead import CONTEXT, CONTEXT_LEAST
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.hosts import Host
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.menu import Entry

OPTION = "gpu-memory-utilization"
# Less than this holds no model, whatever the GPU: on 80 GB it is what CUDA's own context and libraries take.
LEAST = 0.02
# What contexts leave of a GPU whose memory is not declared: of one with 16 GiB, and without doubt.
_USUAL, _MOST = 0.97, 0.9999


def share(
    host: Host,
    entries: Sequence[tuple[Entry, Mapping[str, Any]]],
    placed: Mapping[str, Sequence[int]],
    default: float,
    problems: Problems,
) -> dict[str, float]:
    """The share of each model that shares a GPU and was given none, rounded down to hundredths.

    Those that say nothing divide equally what `default` (vLLM's own for one engine alone) leaves beside the written
    shares. `placed`: GPU indices per model name. Shares that contexts leave no room for are refused, or warned of.
    """
    written = {e.name: _number(args[OPTION]) for e, args in entries if _number(args.get(OPTION)) is not None}
    spelled = {e.name: getattr(args, "written", {}).get(OPTION, OPTION) for e, args in entries}
    on_gpu: dict[int, list[str]] = {}
    for entry, _ in entries:
        for gpu in placed.get(entry.name, ()):
            on_gpu.setdefault(gpu, []).append(entry.name)
    derived: dict[str, float] = {}
    for gpu, names in on_gpu.items():
        given = {name: written[name] or 0 for name in names if name in written}
        _check(host, gpu, names, given, spelled, problems)
        silent = [name for name in names if name not in written]
        if len(names) < 2 or not silent:
            continue
        total = sum(given.values())
        each = int((default - total) / len(silent) * 100 + 1e-6) / 100
        if each < LEAST:
            problems.add(
                f"vllm_models.{silent[0]}.gpus",
                f"finds nothing left of GPU {gpu} on {HOSTS}: its neighbours take {total:g} of it",
                f"Lower their {OPTION}, or place the model elsewhere",
                host.name,
            )
        for name in silent:
            derived[name] = min(each, derived.get(name, 1.0))
    return derived


def _check(
    host: Host,
    gpu: int,
    names: Sequence[str],
    given: Mapping[str, float],
    spelled: Mapping[str, str],
    problems: Problems,
) -> None:
    """What the written shares of one GPU add up to, against what the contexts of its engines leave."""
    if not given:
        return
    total, last = sum(given.values()), list(given)[-1]
    usual, most = _room(host, gpu, len(names))
    if total <= usual + 1e-9:
        return
    key = f"vllm_models.{last}.args.{spelled[last]}"
    contexts = "its own CUDA context is" if len(names) == 1 else "the CUDA contexts of its engines are"
    if len(given) == 1:
        reason = f"{total:g} of a GPU is never free at the start on {HOSTS}: {contexts} there before vLLM looks"
        remedy = f"Write {_below(usual)} or less"
    else:
        listed = ", ".join(f"{name} {value:g}" for name, value in given.items())
        reason = (
            f"the shares of GPU {gpu} on {HOSTS} add up to {total:g} ({listed}), and {contexts} there before vLLM looks"
        )
        remedy = f"Lower them so that they add up to {_below(usual)} at most, or place one of the models elsewhere"
    if total > most + 1e-9:
        problems.add(key, reason, remedy, host.name)
    else:
        problems.warn(key, f"may not be free: {reason}", remedy, host.name)


def _room(host: Host, gpu: int, engines: int) -> tuple[float, float]:
    """The shares that so many engines can have together: likely, and beyond any doubt no more than."""
    kind = host.kind(gpu)
    if kind is None or not kind.cuda:
        return _USUAL, _MOST
    return max(0.0, 1 - engines * CONTEXT / kind.cuda), max(0.0, 1 - engines * CONTEXT_LEAST / kind.cuda)


def _below(share: float) -> str:
    return f"{int(share * 100) / 100:g}"


def _number(value: Any) -> float | None:
    """The share as written; quoted numbers are numbers to vLLM, and whatever else is no number is told elsewhere."""
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
