"""How much of a GPU each of the models on it takes.

Every engine asks at its start that `gpu-memory-utilization` times the GPU's memory be free, also where
`kv-cache-memory-bytes` then sizes its cache (`request_memory` in vllm/v1/worker/utils.py of 0.33.0, called from
`Worker.init_device`). It looks when its own CUDA context is there already, and beside what the engines before it hold, which is
not their shares: a pooling model has no KV cache, and `kv-cache-memory-bytes` makes it smaller than the share. So one share
is below 1, those of engines that fill them add up to 1 at most, and beyond that the order of the starts decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.overhead import CONTEXT, CONTEXT_LEAST
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import LEAST_SHARE, SHARE
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry

_CACHE = "kv-cache-memory-bytes"
# What contexts leave of a GPU whose memory is not declared: of one with 16 GiB, and without doubt.
_USUAL, _MOST = 0.97, 0.9999
# 0.6 + 0.3 + 0.1 is a little more than 1 to a computer.
_ROUNDING = 1e-9


def share(
    host: DeclaredHost,
    entries: Sequence[tuple[Entry, Mapping[str, object]]],
    placed: Mapping[str, Sequence[int]],
    default: float,
    problems: Problems,
) -> dict[str, float]:
    """The share of each model that shares a GPU and was given none, rounded down to hundredths.

    Those that say nothing divide equally what `default` (vLLM's own for one engine alone) leaves beside the written
    shares. `placed`: GPU indices per model name. Shares that contexts leave no room for are refused, or warned of.
    """
    written = {e.name: _number(args[SHARE]) for e, args in entries if _number(args.get(SHARE)) is not None}
    spelled = {e.name: getattr(args, "written", {}).get(SHARE, SHARE) for e, args in entries}
    lean = {e.name for e, args in entries if e.pooling or args.get(_CACHE) is not None}
    on_gpu: dict[int, list[str]] = {}
    for entry, __ in entries:
        for gpu in placed.get(entry.name, ()):
            on_gpu.setdefault(gpu, []).append(entry.name)
    derived: dict[str, float] = {}
    for gpu, names in on_gpu.items():
        given = {name: written[name] or 0 for name in names if name in written}
        _check_alone(host, gpu, given, spelled, problems)
        if len(given) > 1:
            _check_sum(host, gpu, len(names), given, lean, spelled, problems)
        silent = [name for name in names if name not in written]
        if len(names) < 2 or not silent:
            continue
        total = sum(given.values())
        each = int((default - total) / len(silent) * 100 + 1e-6) / 100
        if each < LEAST_SHARE:
            problems.add(
                f"vllm_models.{silent[0]}.gpus",
                f"finds nothing left of GPU {gpu} on {HOSTS}: its neighbours take {total:g} of it",
                f"Lower their {SHARE}, or place the model elsewhere",
                host.name,
            )
        for name in silent:
            derived[name] = min(each, derived.get(name, 1.0))
    return derived


def _check_alone(
    host: DeclaredHost, gpu: int, given: Mapping[str, float], spelled: Mapping[str, str], problems: Problems
) -> None:
    """Each share against what one context leaves: more than that is free for no engine, whoever else is there."""
    usual, most = _room(host, gpu, 1)
    remedy = f"Write {_below(usual)} or less"
    for name, value in given.items():
        if value > usual + _ROUNDING:
            key = f"vllm_models.{name}.args.{spelled[name]}"
            reason = f"{value:g} of a GPU is never free at the start on {HOSTS}: its own CUDA context is there before vLLM looks"
            _tell(key, reason, remedy, value > most + _ROUNDING, host, problems)


def _check_sum(
    host: DeclaredHost,
    gpu: int,
    engines: int,
    given: Mapping[str, float],
    lean: Collection[str],
    spelled: Mapping[str, str],
    problems: Problems,
) -> None:
    """What the written shares of one GPU add up to. `lean`: models that hold less than their share once they run."""
    total, filled = sum(given.values()), sum(value for name, value in given.items() if name not in lean)
    usual, __ = _room(host, gpu, engines)
    if total <= usual + _ROUNDING:
        return
    last = list(given)[-1]
    listed = ", ".join(f"{name} {value:g}" for name, value in given.items())
    reason = (
        f"the shares of GPU {gpu} on {HOSTS} add up to {total:g} ({listed}), and the CUDA contexts of its engines are there "
        "before vLLM looks"
    )
    if any(name in lean for name in given):
        reason += (
            "; what each asks for must be free beside what those before it hold, so the order of their starts decides"
        )
    remedy = f"Lower them so that they add up to {_below(usual)} at most, or place one of the models elsewhere"
    _tell(f"vllm_models.{last}.args.{spelled[last]}", reason, remedy, filled > 1 + _ROUNDING, host, problems)


def _tell(key: str, reason: str, remedy: str, refused: bool, host: DeclaredHost, problems: Problems) -> None:
    if refused:
        problems.add(key, reason, remedy, host.name)
    else:
        problems.warn(key, f"may not be free: {reason}", remedy, host.name)


def _room(host: DeclaredHost, gpu: int, engines: int) -> tuple[float, float]:
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
