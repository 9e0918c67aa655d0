"""Which GPUs each model of one host gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry

# More GPUs than any cluster has.
MANY = 2**20


def needed_gpus(args: Values, here: int) -> int:
    """How many GPUs the parallel sizes ask of one host, at least 1. `here`: how many it can give.

    Tensor × pipeline × prefill context parallel (`world_size` of ParallelConfig, vllm/config/parallel.py of 0.33.0) for each
    local data parallel rank; its part of them where the engine spans hosts. Ray takes what is missing from its own cluster.
    """
    data = args.get("data-parallel-size-local", args.get("data-parallel-size"))
    sizes = [args.get(f"{kind}-parallel-size") for kind in ("tensor", "pipeline", "prefill-context")]
    product = 1
    for given in (*sizes, data):
        product *= max(1, whole(given) or 1)
    needed = -(-product // max(1, whole(args.get("nnodes")) or 1))
    return min(needed, here) if _ray(args) else needed


def _ray(args: Values) -> bool:
    return "ray" in (args.get("distributed-executor-backend"), args.get("data-parallel-backend"))


def _warn_of_ray(host: DeclaredHost, entry: Entry, args: Values, given: int, problems: Problems) -> None:
    """Ray waits for GPUs that nobody gives it, for as long as it is let."""
    needed = needed_gpus(args, MANY)
    if _ray(args) and needed > given > 0:
        problems.warn(
            f"vllm_models.{entry.name}.args",
            f"asks Ray for {needed} GPUs, and {HOSTS} gives {given}: the engine waits for others that join its cluster, and "
            "no group of hosts is set up here",
            "Lower the parallel sizes, or have a Ray cluster ready with the rest",
            host.name,
        )


def place(
    host: DeclaredHost, entries: Sequence[tuple[Entry, Mapping[str, object]]], problems: Problems
) -> dict[str, tuple[int, ...]]:
    """GPU indices per model name. Listed indices are taken as written (and may be shared); counts get free GPUs.

    `entries` are the host's models in menu order, each with its normalised args.
    """
    if host.gpu_count == 0:
        for entry, __ in entries:
            if entry.gpus is not None and host.accelerator == "cpu":
                problems.add(
                    f"vllm_models.{entry.name}.gpus",
                    f"asks for GPUs, and {HOSTS} can give none (accelerator cpu)",
                    "Leave `gpus` out, or choose other `hosts`",
                    host.name,
                )
        return {entry.name: () for entry, __ in entries}
    placed: dict[str, tuple[int, ...]] = {}
    for entry, __ in entries:
        if isinstance(entry.gpus, tuple):
            placed[entry.name] = entry.gpus
            beyond = [str(i) for i in entry.gpus if i >= host.gpu_count]
            if beyond:
                problems.add(
                    f"vllm_models.{entry.name}.gpus",
                    f"names GPU {', '.join(beyond)}, and {HOSTS} has {host.gpu_count} (0 to {host.gpu_count - 1})",
                    "Name indices that exist, or correct the host's gpu_count",
                    host.name,
                )
            for index in sorted(set(entry.gpus) & set(host.unusable)):
                problems.add(
                    f"vllm_models.{entry.name}.gpus",
                    f"names GPU {index} of {HOSTS}, which {host.unusable[index]}",
                    "Name others, or leave that GPU whole",
                    host.name,
                )
    taken = {i for indices in placed.values() for i in indices} | set(host.unusable)
    free = [i for i in range(host.gpu_count) if i not in taken]
    for entry, args in entries:
        if isinstance(entry.gpus, tuple):
            continue
        wanted = entry.gpus or needed_gpus(args, host.gpu_count)
        if wanted > len(free):
            users = ", ".join(f"{name} on {_list(indices)}" for name, indices in placed.items()) or "nobody"
            problems.add(
                f"vllm_models.{entry.name}.gpus",
                f"needs {wanted} GPUs, and of the {host.gpu_count} of {HOSTS} {len(free)} are left (used: {users})",
                "Ask for fewer, choose other `hosts`, or share GPUs by listing the same indices in both models",
                host.name,
            )
            continue
        placed[entry.name] = _alike(host, free, wanted)
        free = [i for i in free if i not in placed[entry.name]]
    for entry, args in entries:
        given = len(placed.get(entry.name, ()))
        needed = needed_gpus(args, given)
        _warn_of_ray(host, entry, args, given, problems)
        if given and needed > given:
            problems.add(
                f"vllm_models.{entry.name}.gpus",
                f"gives {given} GPUs, and the parallel sizes in `args` need {needed}",
                "Raise `gpus`, or lower tensor-parallel-size, pipeline-parallel-size or data-parallel-size",
            )
        elif given > needed:
            problems.warn(
                f"vllm_models.{entry.name}.gpus",
                f"gives {given} GPUs, and the parallel sizes in `args` use {needed}",
                f"Set tensor-parallel-size: {given} (or another parallel size), or lower `gpus`",
            )
    return placed


def _alike(host: DeclaredHost, free: Sequence[int], wanted: int) -> tuple[int, ...]:
    """The first free GPUs, of one kind where there are enough of one."""
    for kind in dict.fromkeys(map(host.kind, free)):
        same = [i for i in free if host.kind(i) == kind]
        if len(same) >= wanted:
            return tuple(same[:wanted])
    return tuple(free[:wanted])


def _list(indices: Sequence[int]) -> str:
    return "[" + ", ".join(str(i) for i in indices) + "]"
