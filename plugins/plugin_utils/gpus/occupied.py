"""Who else is on a host's GPUs, and whether what is planned fits beside them. Control node only.

An engine starts only where `gpu-memory-utilization` of the GPU's memory is free, also where `kv-cache-memory-bytes` sizes
its cache (`request_memory`, vllm/v1/worker/utils.py of 0.33.0, called in `Worker.init_device`). That, and nothing softer, is
refused here: by the memory that nvidia-smi counts, which is a little more than CUDA's own total, so that what is refused
cannot start. In a container or a guest with a vGPU the tool lists our own engines without a name, or not at all: what could be
theirs then counts as free once they stop, and that this is not known is told (gpu-room-unknown).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.holders import Holder
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.module_utils.units.options import read_command
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import LEAST_SHARE, SHARE, whole_share
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.health import gpu_label
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sizes import size
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

# What `findings` can be named.
NAMES = ("gpu-occupied", "gpu-orphan", "gpu-memory-unseen", "gpu-no-room", "gpu-room-unknown")
_MIB, _GIB = 2**20, 2**30
# Installed with this collection's roles; what they keep on a GPU counts, and is nobody's surprise.
_COMPANIONS = (
    "nvidia-persistenced.service",
    "nvidia-fabricmanager.service",
    "nvidia-dcgm.service",
    "nvidia-dcgm-exporter.service",
)
# What an idle driver keeps for itself, and contexts take beyond what is counted as their process's: drivers before 510 count
# their reserve (about 600 MiB) as used, and a process that is being torn down is no longer listed.
_UNSEEN = 1 * _GIB
# With these an engine's weights lie outside its own process, and it asks for so much less (`get_external_weight_memory`).
_OUTSIDE = ("ipc_cache",)
# Ray's workers live in Ray's own units, and end with the model: what they hold is not in its way.
_BACKENDS = ("distributed-executor-backend", "data-parallel-backend")
_STOPPED = ("inactive", "failed")
_MPS = "nvidia-cuda-mps-server"


@dataclass(frozen=True)
class Demand:
    """What a planned unit asks of each of its GPUs. `share` of the GPU's memory must be free at its start; `takes` is how
    many bytes it then has at least, None for all of its share."""

    unit: str
    model: str
    gpus: tuple[int, ...]
    share: float
    takes: int | None = None


@dataclass(frozen=True)
class RunningUnit:
    """A unit of ours on the host: what a deployment would do to it (`verb` of service.decide, "" where nothing is planned)
    and its ActiveState."""

    verb: str
    active: str


def demands(services: Sequence[Service]) -> list[Demand]:
    """What planned services ask, in the order in which they start."""
    asked = []
    for service in services:
        command = read_command(service.argv)
        if command.value("load-format") in _OUTSIDE or "ray" in map(command.value, _BACKENDS):
            continue
        cache, weights = (
            size(command.value("kv-cache-memory-bytes")),
            service.memory.weights if service.memory else None,
        )
        asked.append(
            Demand(
                unit=service.unit,
                model=service.name,
                gpus=service.gpus,
                share=_share(command.value(SHARE)) or whole_share(release(service.release)),
                takes=None if cache is None else cache + (weights or 0),
            )
        )
    return asked


def _share(written: str) -> float | None:
    try:
        return float(written)
    except ValueError:
        return None


def findings(
    facts: Facts, holders: Sequence[Holder], units: Mapping[str, RunningUnit], planned: Sequence[Demand] = ()
) -> list[Finding]:
    """gpu-occupied, gpu-orphan and gpu-memory-unseen (told), gpu-no-room for what cannot start beside them, and gpu-room-unknown
    (told) for what can start only if the memory that nobody can be named for is our own.

    `units`: those of this collection that are installed or planned. A running unit that stays as it is asks for nothing.
    """
    ours = {holder.pid for holder in holders if _runs_in(holder, units)}
    orphans = [holder for holder in holders if holder.pid not in ours and _left_over(holder, units)]
    gone = {holder.pid for holder in orphans}
    others = [h for h in holders if h.pid not in ours | gone and h.unit not in _COMPANIONS]
    found = []
    if others:
        found.append(
            Finding(
                "gpu-occupied",
                f"memory of the GPUs is held by others: {'; '.join(map(_described, others))}",
                _remedy(others),
                fatal=False,
            )
        )
    if orphans:
        found.append(
            Finding(
                "gpu-orphan",
                f"what an engine of ours left behind still holds memory: {'; '.join(map(_described, orphans))}",
                f"End it on the host: kill {' '.join(str(holder.pid) for holder in orphans)}",
                fatal=False,
            )
        )
    found += _unseen(facts, holders)
    for gpu in facts.gpus:
        found += _room(gpu, holders, units, [h for h in (*others, *orphans) if _holds(h, gpu)], planned)
    return sorted(found, key=lambda finding: not finding.fatal)


def _runs_in(holder: Holder, units: Mapping[str, RunningUnit]) -> bool:
    return holder.unit in units and not holder.runtime and units[holder.unit].active not in _STOPPED


def _left_over(holder: Holder, units: Mapping[str, RunningUnit]) -> bool:
    if holder.runtime or not (
        holder.unit in units or holder.user == "vllm" or holder.executable.startswith("/opt/vllm/")
    ):
        return False
    # An operator's own service may run our engine on purpose: Ray's workers do.
    return holder.unit in units or not holder.unit.endswith(".service")


def _holds(holder: Holder, gpu: Gpu) -> bool:
    return str(gpu.index) in holder.memory


def _described(holder: Holder) -> str:
    """pid 4242 (VLLM::EngineCore, /usr/bin/python3.12, user root, docker container old-vllm, 3 d: GPU 0 38912 MiB)."""
    program = [holder.title] if holder.title and holder.title not in holder.executable else []
    program += [holder.executable] if holder.executable else []
    words = [", ".join(program) or "no name", *([f"user {holder.user}"] if holder.user else [])]
    if holder.runtime:
        # Twelve characters, as docker ps and podman ps show them.
        words.append(f"{holder.runtime} container {holder.name or holder.container[:12]}")
    elif holder.unit:
        words.append(holder.unit)
    if not holder.found:
        words.append("not in /proc: it has just ended, or runs in another PID namespace")
    if holder.seconds is not None:
        words.append(f"for {_duration(holder.seconds)}")
    memory = ", ".join(
        f"GPU {index} {'an unknown amount' if held is None else f'{held // _MIB} MiB'}"
        for index, held in sorted(holder.memory.items(), key=lambda item: int(item[0]))
    )
    return f"pid {holder.pid} ({', '.join(words)}): {memory}"


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _remedy(others: Sequence[Holder]) -> str:
    """What to stop, in the words of whatever runs it."""
    steps = []
    for program in ("docker", "podman"):
        names = sorted({h.name or h.container[:12] for h in others if h.runtime == program})
        kept = sorted({h.name or h.container[:12] for h in others if h.runtime == program and h.restart})
        if kept:
            steps.append(f"{program} update --restart=no {' '.join(kept)}")
        if names:
            steps.append(f"{program} stop {' '.join(names)}")
    stop = f"; to have them all: {', '.join(steps)}" if steps else ""
    mps = (
        "; the MPS server holds its clients' memory (end it with: echo quit | nvidia-cuda-mps-control)"
        if any(_MPS in holder.executable for holder in others)
        else ""
    )
    return f"Nothing has to be done where the planned models fit beside them{stop}{mps} (docs/takeover.md)"


def _unseen(facts: Facts, holders: Sequence[Holder]) -> Iterator[Finding]:
    told = []
    for gpu in facts.gpus:
        held = [holder.memory[str(gpu.index)] for holder in holders if _holds(holder, gpu)]
        # A slice's process is listed with its slice; and what is not known cannot be missing.
        if gpu.memory_used is None or gpu.memory is None or gpu.mig == "enabled" or None in held:
            continue
        unseen = gpu.memory_used - sum(filter(None, held))
        if unseen > _UNSEEN + gpu.memory // 50:
            told.append(f"{gpu_label(gpu)} {unseen // _MIB} of {gpu.memory_used // _MIB} MiB in use")
    if told:
        yield Finding(
            "gpu-memory-unseen",
            f"memory is held by no process that {facts.tool} lists: {'; '.join(told)}",
            "Look for processes in another PID namespace (a container or virtual machine above this host), for MPS, and for "
            "processes that cannot end (ps -eo pid,stat,comm, state D); a reset or reboot frees what nobody holds",
            fatal=False,
        )


def _room(
    gpu: Gpu,
    holders: Sequence[Holder],
    units: Mapping[str, RunningUnit],
    strangers: Sequence[Holder],
    planned: Sequence[Demand],
) -> Iterator[Finding]:
    """What cannot start on one GPU, the way its units start: one after the other, each with what the earlier ones left."""
    coming = [demand for demand in planned if gpu.index in demand.gpus and _starts(demand.unit, units)]
    if not coming:
        return
    hidden = _hidden(holders, units)
    exclusive = [holder for holder in strangers if "C" in holder.kind] if "xclusive" in gpu.compute_mode else []
    # Our own engine, seen from a container, is a stranger that /proc does not have; and a GPU in this mode has one process.
    if exclusive and not (hidden and not any(holder.found for holder in exclusive)):
        yield Finding(
            "gpu-no-room",
            f"{gpu_label(gpu)} is in compute mode {gpu.compute_mode} and has a process already, "
            f"so {_names(coming)} cannot open it: {'; '.join(map(_described, exclusive))}",
            "Stop that process, or write gpu_compute_mode: default for the host",
        )
        return
    if gpu.memory is None or gpu.memory_used is None:
        return
    free = _free(gpu, gpu.memory, gpu.memory_used, holders, units)
    beside = _beside(gpu, gpu.memory_used, holders, strangers)
    if free is None or not beside:
        return
    perhaps = _nameless(gpu, gpu.memory_used, holders) if hidden else 0
    unknown = []
    for demand in coming:
        asked, most = int(gpu.memory * demand.share), free + perhaps
        if asked > most:
            key = f"vllm_models.{demand.model}.args.{SHARE}"
            yield Finding(
                "gpu-no-room",
                f"vllm_models.{demand.model} asks {asked // _MIB} MiB of {gpu_label(gpu)} at its start "
                f"({SHARE} {demand.share:g} of {gpu.memory // _MIB} MiB), and {max(0, most) // _MIB} MiB are left for it "
                f"beside {beside}",
                _instead(key, most / gpu.memory),
            )
        elif asked > free:
            unknown.append(demand)
        free -= asked if demand.takes is None else min(asked, demand.takes)
    if unknown:
        yield Finding(
            "gpu-room-unknown",
            f"whether {_names(unknown)} can start on {gpu_label(gpu)} is not known: {perhaps // _MIB} MiB are held by processes "
            f"that cannot be named, and {', '.join(hidden)} runs and is not listed",
            "Nothing has to be done where that memory is its own; else see docs/gpus.md for who else may hold it",
            fatal=False,
        )


def _hidden(holders: Sequence[Holder], units: Mapping[str, RunningUnit]) -> list[str]:
    """Units of ours that a deployment stops, that answer, and of which no process is listed on any GPU."""
    listed = {holder.unit for holder in holders if _runs_in(holder, units)}
    return [name for name, unit in units.items() if unit.active == "active" and _stops(unit) and name not in listed]


def _nameless(gpu: Gpu, used: int, holders: Sequence[Holder]) -> int:
    """Bytes in use that no process of this host can be named for: they may be our own."""
    return max(0, used - sum(h.memory[str(gpu.index)] or 0 for h in holders if _holds(h, gpu) and h.found))


def _starts(unit: str, units: Mapping[str, RunningUnit]) -> bool:
    return unit in units and units[unit].verb in ("start", "restart", "wait")


def _stops(unit: RunningUnit) -> bool:
    return unit.verb not in ("keep", "")


def _free(gpu: Gpu, total: int, used: int, holders: Sequence[Holder], units: Mapping[str, RunningUnit]) -> int | None:
    """Bytes that are free once the units of ours that stop have stopped; None where their part is not known."""
    freed = 0
    for holder in holders:
        if _holds(holder, gpu) and _runs_in(holder, units) and _stops(units[holder.unit]):
            held = holder.memory[str(gpu.index)]
            if held is None:
                return None
            freed += held
    return total - used + freed


def _beside(gpu: Gpu, used: int, holders: Sequence[Holder], strangers: Sequence[Holder]) -> str:
    """Who is in the way, in words; "" for nobody but our own, which the plan answers for."""
    if strangers:
        return "; ".join(map(_described, strangers))
    held = [holder.memory[str(gpu.index)] for holder in holders if _holds(holder, gpu)]
    unseen = 0 if None in held else used - sum(filter(None, held))
    return f"{unseen // _MIB} MiB that no listed process holds" if unseen > _UNSEEN else ""


def _instead(key: str, share: float) -> str:
    lower = int(share * 100) / 100
    less = f", lower {key} to {lower:g} at most" if lower >= LEAST_SHARE else ""
    return f"Stop what holds it (docs/takeover.md){less}, or plan the model on other GPUs"


def _names(coming: Sequence[Demand]) -> str:
    return ", ".join(f"vllm_models.{demand.model}" for demand in coming)
