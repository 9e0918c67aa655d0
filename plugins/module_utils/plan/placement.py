"""Which GPUs and which port each model of one host gets."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.plan.hosts import Host
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.menu import Entry, whole
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.problems import Problems

FIRST_PORT, PORTS = 8000, 1000


def needed_gpus(args: Mapping[str, Any]) -> int:
    """How many GPUs the parallel sizes ask of one host (tensor × pipeline × local data parallel), at least 1."""
    data = args.get("data-parallel-size-local", args.get("data-parallel-size"))
    sizes = (args.get("tensor-parallel-size"), args.get("pipeline-parallel-size"), data)
    product = 1
    for given in sizes:
        product *= max(1, whole(given) or 1)
    return product


def place(
    host: Host, entries: Sequence[tuple[Entry, Mapping[str, Any]]], problems: Problems
) -> dict[str, tuple[int, ...]]:
    """GPU indices per model name. Listed indices are taken as written (and may be shared); counts get free GPUs.

    `entries` are the host's models in menu order, each with its normalised args.
    """
    if host.gpu_count == 0:
        for entry, _ in entries:
            if entry.gpus is not None and host.accelerator == "cpu":
                problems.add(
                    f"vllm_models.{entry.name}.gpus",
                    f"asks for GPUs, and {host.name} is a cpu host",
                    "Leave `gpus` out, or choose other `hosts`",
                )
        return {entry.name: () for entry, _ in entries}
    placed: dict[str, tuple[int, ...]] = {}
    for entry, _ in entries:
        if isinstance(entry.gpus, tuple):
            placed[entry.name] = entry.gpus
            beyond = [str(i) for i in entry.gpus if i >= host.gpu_count]
            if beyond:
                problems.add(
                    f"vllm_models.{entry.name}.gpus",
                    f"names GPU {', '.join(beyond)}, and {host.name} declares {host.gpu_count} (0 to {host.gpu_count - 1})",
                    "Name indices that exist, or correct the host's gpu_count",
                )
    free = [i for i in range(host.gpu_count) if not any(i in taken for taken in placed.values())]
    for entry, args in entries:
        if isinstance(entry.gpus, tuple):
            continue
        wanted = entry.gpus or needed_gpus(args)
        if wanted > len(free):
            users = ", ".join(f"{name} on {_list(taken)}" for name, taken in placed.items()) or "nobody"
            problems.add(
                f"vllm_models.{entry.name}.gpus",
                f"needs {wanted} GPUs on {host.name}, which declares {host.gpu_count} and has {len(free)} left (used: {users})",
                "Ask for fewer, choose other `hosts`, or share GPUs by listing the same indices in both models",
            )
            continue
        placed[entry.name], free = tuple(free[:wanted]), free[wanted:]
    for entry, args in entries:
        given, needed = len(placed.get(entry.name, ())), needed_gpus(args)
        if given and needed > given:
            problems.add(
                f"vllm_models.{entry.name}.gpus",
                f"gives {given} GPUs, and the parallel sizes in `args` need {needed}",
                "Raise `gpus`, or lower tensor-parallel-size, pipeline-parallel-size or data-parallel-size",
            )
    return placed


def _list(indices: Sequence[int]) -> str:
    return "[" + ", ".join(str(i) for i in indices) + "]"


def ports(menu: Sequence[Entry]) -> dict[str, int]:
    """A port per model: the one written, else one that follows from the name alone.

    A port that came from the place in the menu would move, and with it every client, when another model is removed.
    Only where two names fall on one port does the later in the menu take the next free one.
    """
    given = {entry.name: entry.port for entry in menu if entry.port is not None}
    taken = set(given.values())
    for entry in menu:
        if entry.name in given:
            continue
        offset = zlib.crc32(entry.name.encode()) % PORTS
        while FIRST_PORT + offset in taken:
            offset = (offset + 1) % PORTS
        given[entry.name] = FIRST_PORT + offset
        taken.add(FIRST_PORT + offset)
    return given
