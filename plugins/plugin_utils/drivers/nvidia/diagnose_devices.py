"""Faults of the GPUs themselves: not there, gone, not driven by what is wanted, or unwell by their own account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import versions
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_case import (
    REBOOT,
    Case,
    plural,
    some,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus import health as gpu_health
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

FALLEN = 79
# The driver could not bring a GPU up: mostly one in a bad state, which a reboot or a power cycle gets it out of.
_STUCK = "RmInitAdapter failed"
_NVML = {
    "packages": "The driver's packages are put right first",
    "reboot": f"Reboot the host, or power it off and on ({REBOOT}); where that does not help, see journalctl -k for NVRM: "
    "the firmware's settings (Above 4G Decoding), power and seat of the GPUs",
    "": "Run nvidia-smi and journalctl -k on the host to see it; a reboot, another nvidia_driver_version or the hardware's "
    "vendor is what is left",
}


def no_gpu(case: Case) -> Finding | None:
    """No NVIDIA GPU is there to install a driver for; None where there is one."""
    # In a container the bus may be hidden where the GPUs are not.
    if case.gpus or (case.state.facts and case.state.facts.gpus):
        return None
    others = [f"{device.vendor}:{device.device} at {device.address}" for device in case.state.gpus]
    if others:
        return Finding(
            "no-gpu",
            f"no NVIDIA GPU is on the PCI bus, but AMD's {some(others)}",
            "Write vllm_accelerator: rocm for this host",
        )
    return Finding(
        "no-gpu",
        f"no GPU is on the PCI bus{case.guest}",
        "Seat or pass through the GPUs, write vllm_accelerator: cpu for this host, or take it out of gpu_hosts",
    )


def fewer_on_the_bus(case: Case) -> Iterator[Finding]:
    """The PCI bus has fewer GPUs than the inventory's gpu_count; nothing where that says nothing."""
    found = len(case.gpus)
    if found < case.declared:
        yield Finding(
            "fewer-gpus-on-the-bus",
            f"gpu_count says {case.declared}, and {plural(found, 'NVIDIA GPU')} {'is' if found == 1 else 'are'} on the PCI bus: "
            f"{', '.join(device.address for device in case.gpus)}",
            "Power the host off and on, reseat or replace what is missing, or correct gpu_count",
        )


def unsupported(case: Case) -> Iterator[Finding]:
    """Modules or a branch that cannot drive these GPUs: asked for, or installed and then exchanged."""
    installed = {kernel.module.open for kernel in case.state.kernels if kernel.module}
    for generation in hardware.generations(case.gpus):
        for kind, open_, refused in (("open", True, "no"), ("proprietary", False, "must")):
            if generation.open != refused:
                continue
            other = "proprietary" if open_ else "open"
            said = f"the {kind} modules cannot drive {generation.name} GPUs, which are in this host"
            if kind in (case.wanted.modules, case.resolution.modules if case.resolution else ""):
                yield Finding(f"{kind}-unsupported", said, f"Write nvidia_driver_modules: {other}, or auto")
            elif open_ in installed:
                remedy = f"They are installed; the {other} ones are installed in their place"
                yield Finding(f"{kind}-unsupported", said, remedy, "packages")
        yield from _branch(case, generation)


def _branch(case: Case, generation: hardware.GpuGeneration) -> Iterator[Finding]:
    """`first` and `last` are the ends of what drives a generation, 0 for none."""
    if not case.version:
        return
    branch = int(versions.branch(case.version))
    if generation.first and branch < generation.first:
        limit, right = f"need branch {generation.first} or newer", generation.first
    elif generation.last and branch > generation.last:
        limit, right = f"are driven by branches up to {generation.last}", generation.last
    else:
        return
    # Without a resolution it is the installed one, which makes room unless it is just what is asked for.
    asked = case.resolution is not None or versions.branch(case.wanted.version) == str(branch)
    yield Finding(
        "branch-unsupported",
        f"driver {case.version} does not drive {generation.name} GPUs, which {limit}",
        f"Write nvidia_driver_version: {right}" if asked else "Another branch is installed in its place",
        "" if asked else "packages",
    )


def nodes(case: Case) -> Iterator[Finding]:
    """Device nodes that an engine needs are missing below /dev; judged only where nvidia-smi can work."""
    if not case.consistent:
        return
    minors = [gpu.minor for gpu in case.state.facts.gpus if gpu.minor is not None] if case.state.facts else []
    expected = ["nvidiactl", "nvidia-uvm", *(f"nvidia{minor}" for minor in minors)]
    lacking = [f"/dev/{name}" for name in expected if name not in case.state.nodes]
    if lacking:
        yield Finding(
            "device-nodes-missing",
            f"{some(lacking)} {'is' if len(lacking) == 1 else 'are'} missing: "
            f"a unit sees only devices that are there when it starts{case.guest}",
            "They are made, after loading nvidia-uvm (/usr/local/libexec/nvidia-device-nodes)",
            "load",
        )


def fell_off(case: Case) -> Iterator[Finding]:
    """GPUs that the bus has and nvidia-smi does not show; judged only where it shows any."""
    facts = case.state.facts
    if not case.consistent or facts is None or not facts.gpus:
        return
    seen = {gpu.address for gpu in facts.gpus}
    gone = [device.address for device in case.gpus if device.address not in seen]
    if gone:
        logged = {xid.address for xid in case.state.xids if xid.code == FALLEN} & set(gone)
        yield Finding(
            "gpu-fell-off",
            f"of {plural(len(case.gpus), 'GPU')} on the PCI bus nvidia-smi knows {len(seen)}; missing: {some(gone)}"
            f"{f' (Xid {FALLEN} in the log: fallen off the bus)' if logged else case.said}",
            f"Reboot the host, or power it off and on ({REBOOT}); if it is lost again, reseat or replace it",
            "reboot",
        )


def health(case: Case) -> Iterator[Finding]:
    """What nvidia-smi says of the GPUs, and of itself where it says nothing of them."""
    facts = case.state.facts
    if facts is None or not (case.consistent or facts.gpus):
        return
    for finding in gpu_health.findings(facts):
        if finding.name == "nvml-error":
            # Another version may be what it takes: that is installed first.
            stuck = any(_STUCK in line for line in case.state.log)
            heal = "packages" if case.pending else "reboot" if stuck else ""
            yield replace(finding, message=f"{finding.message}{case.said}{case.guest}", remedy=_NVML[heal], heal=heal)
        else:
            yield finding
