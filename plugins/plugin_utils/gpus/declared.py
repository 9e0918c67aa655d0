"""Whether the GPUs of a host are those that the inventory declares, and can run what is planned on them. Control node only."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import gpus as catalogue
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.support import check_support
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.health import gpu_label
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release as load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Declared, GpuKind

# Drivers of other branches state up to 2 % less than the figure of data/gpus.yml (T4: 15079 and 15360 MiB); ECC takes 6 %.
_ROOM = 0.97
# Of a product sheet's figure a driver keeps a part for itself (B300: 288 GB, 268 GiB).
_NOMINAL_ROOM = 0.9
_TOOLS = {"cuda": "nvidia-smi", "rocm": "amd-smi"}


def compare(declared: Declared, facts: Facts, bus: tuple[str, ...] | None = None, host: str = "") -> list[Finding]:
    """All differences. `bus` are the addresses of GPUs on the PCI bus, None where nobody looked.

    Of a tool that is installed and lists no GPU health.findings tells why; here only that the host has none at all.
    """
    if declared.accelerator == "cpu":
        return []
    if not facts.gpus:
        return _none(declared, facts, bus)
    checks: tuple[Callable[[], Iterable[Finding]], ...] = (
        lambda: _count(declared, facts, bus or ()),
        lambda: _model(declared, facts),
        lambda: _memory(declared, facts),
        lambda: _driver(declared, facts),
        lambda: _runs(declared, facts, host),
        lambda: _cut(declared, facts),
    )
    return [finding for check in checks for finding in check()]


def _none(declared: Declared, facts: Facts, bus: tuple[str, ...] | None) -> list[Finding]:
    if bus == ():
        return [
            Finding(
                "no-gpu",
                f"the host is in gpu_hosts with vllm_accelerator: {declared.accelerator}, and there is no GPU on its PCI bus",
                "Write vllm_accelerator: cpu for it, take it out of gpu_hosts, or see that its cards are seated and powered "
                "(in a virtual machine: passed through)",
            )
        ]
    if facts.returncode is None:
        seen = f"{len(bus)} GPU{'' if len(bus) == 1 else 's'} on the PCI bus ({', '.join(bus)})" if bus else "GPUs"
        return [
            Finding(
                "tool-missing",
                f"{_TOOLS[declared.accelerator]} is not installed, so nothing is known of {seen}",
                "Install the driver: ansible-playbook baremetal.vllm.driver",
            )
        ]
    return []


def _count(declared: Declared, facts: Facts, bus: tuple[str, ...]) -> Iterable[Finding]:
    have, want = len(facts.gpus), declared.gpu_count
    if not want or have == want:
        return
    if have > want:
        yield Finding(
            "more-gpus",
            f"{facts.tool} lists {have} GPUs, and gpu_count is {want}",
            f"Write gpu_count: {have} to use them all",
            fatal=False,
        )
        return
    silent = [address for address in bus if address not in {gpu.address for gpu in facts.gpus}]
    where = (
        f"; on the PCI bus and not listed: {', '.join(silent)}"
        if silent
        else f"; the PCI bus has {len(bus)} too"
        if bus
        else ""
    )
    yield Finding(
        "fewer-gpus",
        f"{facts.tool} lists {have} of the {want} GPUs that gpu_count declares{where}",
        "Reboot the host; if it stays so, see its kernel log (Xid) and reseat the card"
        if silent
        else f"See that all cards are seated and powered, or write gpu_count: {have}",
    )


def _model(declared: Declared, facts: Facts) -> Iterable[Finding]:
    others = []
    for gpu in facts.gpus:
        name = declared.kind(gpu.index).name
        wanted = catalogue.find(name) if name else None
        if wanted is not None and gpu.name and not _is(wanted, gpu):
            others.append((name, gpu))
    if others and declared.gpus:
        told = "; ".join(f"{gpu_label(gpu)} is a {gpu.name}, declared as {name}" for name, gpu in others)
        names = ", ".join(f'"{_to_write(gpu)}"' for gpu in facts.gpus)
        yield Finding("other-gpu", told, f"Write gpu_name: [{names}], in the order of nvidia-smi")
    elif others:
        told = "; ".join(f"{gpu_label(gpu)} is a {gpu.name}" for __, gpu in others)
        remedy = (
            f'Write gpu_name: "{_to_write(others[0][1])}": what fits and what runs is computed for the declared one'
        )
        if len({gpu.name for gpu in facts.gpus}) > 1:
            names = ", ".join(f'"{_to_write(gpu)}"' for gpu in facts.gpus)
            remedy = f"Write gpu_name: [{names}]: what fits and what runs is then computed for each"
        yield Finding("other-gpu", f"gpu_name is {declared.gpu_name}, and {told}", remedy)


def _to_write(gpu: Gpu) -> str:
    """The driver's name; where it says the same for two sizes, the name of the one whose memory is there."""
    known, memory = catalogue.candidates(gpu.name), gpu.memory or 0
    fitting = [one.name for one in known if one.memory * _NOMINAL_ROOM <= memory <= one.memory]
    return fitting[0] if len(known) > 1 and len(fitting) == 1 else gpu.name


def _is(wanted: catalogue.KnownGpu, gpu: Gpu) -> bool:
    known = catalogue.candidates(gpu.name)
    if known:
        return wanted.name in {candidate.name for candidate in known}
    # A name that data/gpus.yml does not have yet: what is computed from it must agree.
    capability = ".".join(map(str, wanted.capability or ()))
    return not gpu.capability or not capability or gpu.capability == capability


def _memory(declared: Declared, facts: Facts) -> Iterable[Finding]:
    small = [(gpu, want) for gpu in facts.gpus for want in [_short(declared.kind(gpu.index), gpu)] if want]
    if small:
        told = "; ".join(f"{gpu_label(gpu)} has {(gpu.memory or 0) / 2**30:.1f} GiB" for gpu, __ in small)
        ecc = " (ECC is on, which takes 6 %)" if any(gpu.ecc == "enabled" for gpu, __ in small) else ""
        expected = ", ".join(f"{want / 2**30:.1f}" for want in dict.fromkeys(want for __, want in small))
        yield Finding(
            "less-memory",
            f"{told}{ecc}, expected {expected} GiB",
            f"Write gpu_memory_gib: {_there(declared, facts, small)}, so that the plan computes with what is there",
        )


def _there(declared: Declared, facts: Facts, small: list[tuple[Gpu, int]]) -> str:
    """What to declare instead: of a host with several kinds a list, by index."""
    if not declared.gpus:
        return _written(min(gpu.memory or 0 for gpu, __ in small))
    seen = {gpu.index: gpu.memory or 0 for gpu in facts.gpus}
    known = [catalogue.find(kind.name) if kind.name else None for kind in declared.gpus]
    stated = [kind.memory or (gpu.memory if gpu else 0) for kind, gpu in zip(declared.gpus, known, strict=True)]
    return f"[{', '.join(_written(seen.get(index) or size) for index, size in enumerate(stated))}]"


def _written(memory: int) -> str:
    return f"{memory / 2**30 - 0.05:.1f}"


def _short(kind: GpuKind, gpu: Gpu) -> int:
    """The bytes that the GPU should have, where it has clearly less; else 0."""
    wanted = catalogue.find(kind.name) if kind.name else None
    expected = kind.memory or (wanted.memory if wanted else 0)
    room = _NOMINAL_ROOM if wanted and wanted.nominal and not kind.memory else _ROOM
    return expected if gpu.memory is not None and gpu.memory < expected * room else 0


def _driver(declared: Declared, facts: Facts) -> Iterable[Finding]:
    if declared.accelerator != "cuda" or not declared.driver or not facts.driver:
        return
    if facts.driver != declared.driver and not facts.driver.startswith(f"{declared.driver}."):
        yield Finding(
            "other-driver",
            f"the driver is {facts.driver}, and nvidia_driver_version is {declared.driver}",
            "Run ansible-playbook baremetal.vllm.driver, or declare the one that is there",
        )


def _runs(declared: Declared, facts: Facts, host: str) -> Iterable[Finding]:
    """What the release asks of the GPUs and the driver that are really there."""
    release = load(declared.release) if declared.release else None
    problems = Problems()
    for gpu in {(gpu.name, gpu.capability): gpu for gpu in facts.gpus}.values():
        check_support("", {}, None, _known(gpu), facts.driver, release, problems, declared.accelerator, host)
    for problem in sorted(problems.found):
        old = "driver" if problem.key.endswith("nvidia_driver_version") else "gpu"
        yield Finding(f"{old}-too-old", problem.reason, problem.remedy)
    for problem in sorted(problems.warned):
        yield Finding("driver-older-than-cuda", problem.reason, problem.remedy, fatal=False)


def _known(gpu: Gpu) -> catalogue.KnownGpu | None:
    known = catalogue.find(gpu.name)
    if known is not None or not gpu.capability:
        return known
    major, minor = map(int, gpu.capability.split("."))
    return catalogue.KnownGpu(gpu.name, gpu.memory or 0, False, (major, minor))


def _cut(declared: Declared, facts: Facts) -> Iterable[Finding]:
    cut = [gpu for gpu in facts.gpus if gpu.mig == "enabled" and gpu.index not in declared.cut]
    if cut:
        yield Finding(
            "gpu-cut",
            f"MIG is on for {', '.join(map(gpu_label, cut))}, and the inventory does not ask for it: a unit that is given the "
            "whole GPU finds a slice of it, or none",
            'Write gpu_mig: "off" for the host, or declare its slices there',
        )
