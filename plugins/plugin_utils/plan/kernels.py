"""Kernels that an engine would have to compile at its first start: told while the plan is made, from the locks at hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernels
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.kernels import Kernels
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import sources
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import language_part
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import KnownGpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.jsontext import as_mapping
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

KEY = "vllm_engine_kernels_index"
# Of the engine's directory in a wheelhouse: 0.33.0-cuda-py3.12-x86_64.
_HOUSE = re.compile(r"-py(?P<python>\d+\.\d+)-(?P<arch>\w+)$")


def check_kernels(
    host: DeclaredHost,
    declared: Values,
    locks: Mapping[str, Kernels],
    services: Sequence[Service],
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
        # Whoever names a compiler has one; every other variable stands for itself alone (service/engine_settings.py).
        without = [s for s in services if not any(name in s.environment for name in kernels.CUDA_HOME)]
        if lacking and without:
            problems.warn(
                KEY,
                f"the engine from {path} cannot have FlashInfer's kernels: {lacking}. Where a host ({HOSTS}) has no CUDA toolkit"
                f" of its own, {_loss(without)}{_on_blackwell(host, without)}",
                f"To have them, or a compiler, {anew}",
                host.name,
            )


def _anew(host: DeclaredHost, path: Path, declared: Values) -> str:
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


def _loss(services: Sequence[Service]) -> str:
    """What these services lose; of sampling those that do not say themselves how they sample."""
    asked = {s.name: s.environment.get(kernels.SAMPLER) for s in services}
    told = f"{kernels.LOSS_OF_SAMPLING} {kernels.LOSS}" if None in asked.values() else f"engines {kernels.LOSS}"
    insist = sorted(name for name, value in asked.items() if value not in (None, "0"))
    if insist:
        told += (
            f"; {', '.join(insist)} would end at the start, for {kernels.SAMPLER} in `env` asks for a kernel to compile"
        )
    return told


def attention_without(
    gpus: Sequence[KnownGpu | None], args: Values, facts: ModelFacts | None, release: str, accelerator: str
) -> list[str]:
    """Words for the command of an engine that has neither FlashInfer's kernels nor a compiler, which its host finds out; [] where
    none are needed, or none are known to be right.

    On compute capability 10.x vLLM takes FlashInfer's attention before all others, and asks whether the GPU can and never
    whether a kernel is there (`_get_backend_priorities` and `get_valid_backends` in vllm/platforms/cuda.py of 0.21.0 to 0.33.0):
    that kernel is compiled at the first request. No variable chooses another one (VLLM_ATTENTION_BACKEND went in 0.15.0).
    Triton's is compiled without CUDA's compiler, and takes every model that is neither MLA nor sparse; TRITON_MLA takes MLA with
    a cache in 16 bits. Of sparse MLA (`index_topk` in config.json) none is written.
    """
    blackwell = [gpu for gpu in gpus if gpu is not None and gpu.capability is not None and gpu.capability[0] == 10]
    cache = str(args.get("kv-cache-dtype") or "auto").lower()
    if not blackwell or facts is None or facts.encoder or not facts.caches or not kernels.wanted(release, accelerator):
        return []
    if args.get("attention-backend") or as_mapping(args.get("attention-config") or {}).get("backend"):
        return []
    if any(held.heads == 0 for held in facts.caches):
        sparse = "index_topk" in facts.config or "index_topk" in language_part(facts.config)
        return [] if sparse or cache not in ("auto", "bfloat16") else ["--attention-backend", "TRITON_MLA"]
    return ["--attention-backend", "TRITON_ATTN"] if cache in ("auto", "bfloat16") or cache.startswith("fp8") else []


def _on_blackwell(host: DeclaredHost, services: Sequence[Service]) -> str:
    """What else is wrong on capability 10.x, where vLLM prefers FlashInfer's attention (`_get_backend_priorities` in
    platforms/cuda.py of 0.21.0 to 0.33.0)."""
    if host.gpu is None or host.gpu.capability is None or host.gpu.capability[0] != 10:
        return ""
    unnamed = [
        s
        for s in services
        if not any(word.startswith(("--attention-backend", "--attention-config")) for word in s.argv)
    ]
    if not unnamed:
        return ""
    told = f"; on {host.gpu.name} vLLM would choose FlashInfer for attention, which then fails: "
    given = {s.name: s.without_kernels[-1] for s in unnamed if s.without_kernels}
    others = sorted(s.name for s in unnamed if s.name not in given)
    parts = []
    if given:
        names = ", ".join(f"{name} {backend}" for name, backend in sorted(given.items()))
        parts.append(f"there the units name another one ({names})")
    if others:
        parts.append(
            f"give {', '.join(others)} `attention-backend: TRITON_ATTN` in `args` (TRITON_MLA for models with MLA)"
        )
    return told + "; ".join(parts)
