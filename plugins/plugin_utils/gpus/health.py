"""What is wrong with GPUs that can be seen: their own reports, judged.

What each counter asks for: NVIDIA, "GPU Memory Error Management" (https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/) and
"GPU Debug Guidelines" (https://docs.nvidia.com/deploy/gpu-debug-guidelines/).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import TIMED_OUT
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

# "Unable to determine the device handle for GPU 0000:0A:00.0: Unknown Error", "… for GPU1: 0000:34:00.0: GPU is lost.  Reboot …"
_NO_HANDLE = re.compile(r"unable to determine the device handle|gpu is lost|fallen off the bus", re.IGNORECASE)
_INFOROM = re.compile(r"inforom is corrupted at gpu (\S+)", re.IGNORECASE)
_REBOOT = "Reboot the host, or power it off and on; if the GPU is lost again, reseat or replace it"
_RESET = "Reset the GPU (nvidia-smi --gpu-reset) with nothing running on it, or reboot the host"
_AMD_RESET = ("nvidia-smi --gpu-reset", "amd-smi reset --gpureset")
_REPLACE = "Take the host out of the inventory, run the vendor's field diagnostics, and have the GPU replaced"


def findings(facts: Facts) -> list[Finding]:
    """Everything that is wrong, one finding a fault, each naming all GPUs that have it; worst first, empty for healthy ones.

    Facts without a GPU are one finding: gpu-lost where the tool names a lost one, gpu-hangs where it never answered, else
    nvml-error (gpu-tool-error on AMD) with the tool's own words.
    """
    if not facts.gpus:
        return [_lost_handle(facts) or _silent(facts)]
    found = [_check(check, facts) for check in _CHECKS]
    if not any(gpu.trouble for gpu in facts.gpus):
        found.append(_lost_handle(facts))
    found += [_links(facts), _mixed(facts), _inforom(facts)]
    return sorted((finding for finding in found if finding is not None), key=lambda finding: not finding.fatal)


def gpu_label(gpu: Gpu) -> str:
    """How messages name a GPU: "GPU 3 (0000:5d:00.0)"."""
    return f"GPU {gpu.index} ({gpu.address})"


@dataclass(frozen=True)
class _Check:
    """`say` tells of one GPU what is wrong with it, "" for nothing; `message` has the place for all of them."""

    name: str
    say: Callable[[Gpu], str]
    message: str
    remedy: str
    heal: str = ""
    fatal: bool = True


def _check(check: _Check, facts: Facts) -> Finding | None:
    said = _each(facts, check.say)
    remedy = check.remedy if facts.tool == "nvidia-smi" else check.remedy.replace(*_AMD_RESET)
    return Finding(check.name, check.message.format(said), remedy, check.heal, check.fatal) if said else None


def _each(facts: Facts, say: Callable[[Gpu], str]) -> str:
    told = [(gpu_label(gpu), say(gpu)) for gpu in facts.gpus]
    return "; ".join(f"{label} {said}" for label, said in told if said)


def _silent(facts: Facts) -> Finding:
    if facts.returncode == TIMED_OUT:
        return Finding(
            "gpu-hangs", f"{facts.error}: a GPU or the driver hangs", f"See journalctl -k for Xid. {_REBOOT}", "reboot"
        )
    return Finding(
        "nvml-error" if facts.tool == "nvidia-smi" else "gpu-tool-error",
        f"{facts.tool} tells of no GPU: {facts.error or 'it lists none'}",
        f"Run {facts.tool} on the host to see it, and mend the driver: ansible-playbook baremetal.vllm.driver",
    )


def _lost_handle(facts: Facts) -> Finding | None:
    if not _NO_HANDLE.search(facts.error):
        return None
    return Finding("gpu-lost", f"a GPU does not answer any more: {facts.error}", _REBOOT, "reboot")


def _links(facts: Facts) -> Finding | None:
    most = max((gpu.links for gpu in facts.gpus if gpu.links), default=0)

    def say(gpu: Gpu) -> str:
        return f"has {gpu.links} of {most} up" if gpu.links is not None and gpu.links < most and gpu.links_down else ""

    remedy = "See nvidia-smi nvlink -s and -e; tensor parallel models run slower across it, or not at all"
    return _check(_Check("nvlink-down", say, "of the links between GPUs {}", remedy, fatal=False), facts)


def _mixed(facts: Facts) -> Finding | None:
    names = sorted({gpu.name for gpu in facts.gpus if gpu.name})
    if len(names) < 2:
        return None
    told = "; ".join(
        f"{name} ({', '.join(str(gpu.index) for gpu in facts.gpus if gpu.name == name)})" for name in names
    )
    return Finding(
        "mixed-gpus",
        f"the GPUs are of {len(names)} kinds: {told}",
        f"Declare each: gpu_name: [{', '.join(repr(gpu.name) for gpu in facts.gpus)}], in the order of nvidia-smi, so that "
        "what fits is computed for the GPUs that a model gets",
        fatal=False,
    )


def _inforom(facts: Facts) -> Finding | None:
    where = _INFOROM.findall(facts.error)
    if not where:
        return None
    return Finding(
        "inforom-corrupted",
        f"the information ROM is corrupted at {', '.join(where)}",
        "The GPU works, and its error records cannot be trusted: have it replaced when there is time",
        fatal=False,
    )


def _uncorrectable(gpu: Gpu) -> str:
    count = gpu.errors.uncorrectable
    return f"had {count} uncorrectable memory error{'' if count == 1 else 's'}" if count else ""


def _slowed(gpu: Gpu) -> str:
    at = "" if gpu.temperature is None else f" at {gpu.temperature:g} °C"
    return f"by {', '.join(gpu.slowdown)}{at}" if gpu.slowdown else ""


def _narrow(gpu: Gpu) -> str:
    width, most = gpu.pcie_width, gpu.pcie_width_max
    return f"runs at x{width} of x{most}" if width and most and width < most else ""


_CHECKS = (
    _Check("gpu-lost", lambda gpu: gpu.trouble and f'answers "{gpu.trouble}"', "{}", _REBOOT, "reboot"),
    _Check(
        "gpu-recovery",
        lambda gpu: f'needs "{gpu.recovery}"' if gpu.recovery not in ("", "none") else "",
        "the driver asks for recovery: {}",
        _RESET,
        "reboot",
    ),
    _Check(
        "ecc-uncorrectable",
        _uncorrectable,
        "{} since the last reset, expected none",
        f"{_RESET}. If they come back: {_REPLACE[0].lower()}{_REPLACE[1:]}",
        "reboot",
    ),
    _Check(
        "row-remap-failed",
        lambda gpu: "could not remap a failing memory row" if gpu.errors.remap_failed else "",
        "{}",
        _REPLACE,
    ),
    _Check(
        "row-remap-pending",
        lambda gpu: "has a memory row to remap" if gpu.errors.remap_pending else "",
        "{}, which happens at the next reset",
        _RESET,
        "reboot",
    ),
    _Check(
        "page-retirement-pending",
        lambda gpu: "has memory pages to retire" if gpu.errors.retired_pending else "",
        "{}, which happens at the next reset",
        _RESET,
        "reboot",
    ),
    _Check(
        "memory-repair-pending",
        lambda gpu: "has a memory channel or processing cluster to repair" if gpu.errors.repair_pending else "",
        "{}, which happens at the next reset",
        _RESET,
        "reboot",
    ),
    _Check(
        "memory-unrepairable",
        lambda gpu: "has memory that cannot be repaired" if gpu.errors.unrepairable else "",
        "{}",
        _REPLACE,
    ),
    _Check(
        "error-threshold",
        lambda gpu: "has had more memory errors than its maker allows" if gpu.errors.threshold else "",
        "{}",
        _REPLACE,
    ),
    _Check(
        "fabric-not-completed",
        lambda gpu: f'is "{gpu.fabric}"' if gpu.fabric not in ("", "completed") else "",
        "at the NVSwitch fabric {}, expected completed: CUDA does not start on it",
        "See journalctl -u nvidia-fabricmanager; its version must be exactly the driver's",
        "services",
    ),
    _Check(
        "fabric-unhealthy",
        lambda gpu: f'reports "{gpu.fabric_health}"' if gpu.fabric_health else "",
        "the NVSwitch fabric is not well: {}",
        "See journalctl -u nvidia-fabricmanager and nvidia-smi -q; it serves, slower than its equals or not across all GPUs",
        fatal=False,
    ),
    _Check(
        "clocks-slowed",
        _slowed,
        "clocks are held down: {}",
        "Look after cooling and power supply; it serves, slower than its equals",
        fatal=False,
    ),
    _Check(
        "pcie-narrow",
        _narrow,
        "the PCIe link of {}",
        "Reseat the card or its riser and see the slot's settings in the firmware (clouds give some GPUs half the lanes); it "
        "serves, and loads more slowly",
        fatal=False,
    ),
)
