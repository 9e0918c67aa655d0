"""What each host declares itself to be, in the inventory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.driver import request
from ansible_collections.baremetal.vllm.plugins.module_utils.fit.gpus import Gpu, find, read_gpu
from ansible_collections.baremetal.vllm.plugins.module_utils.gpu import settings_read
from ansible_collections.baremetal.vllm.plugins.module_utils.gpu.settings import Setting, unusable
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.problems import HOSTS, Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.rocm import request as rocm
from ansible_collections.baremetal.vllm.plugins.module_utils.rocm.model import Wanted as Rocm

ACCELERATORS = ("cuda", "rocm", "cpu")
# Whether a host must have passed its acceptance test before it serves.
ACCEPTANCE = ("optional", "required")
# The variables of a host that the plan reads.
HOST_KEYS = (
    "vllm_accelerator",
    "vllm_version",
    "gpu_count",
    "gpu_name",
    "gpu_memory_gib",
    "vllm_acceptance",
    "vllm_engine_kernels_index",
    "vllm_endpoint_address",
    "vllm_endpoint_sources",
    "ansible_host",
    *settings_read.KEYS,
    *rocm.KEYS,
)
# Variables of these names are read as well, so that a misspelled one is told.
HOST_PREFIXES = ("nvidia_driver_",)
_RELEASE = re.compile(r"\d+\.\d+\.\d+(\.?(post|rc)\d+|\.\d+)?")


@dataclass(frozen=True)
class Host:
    """A host of the fleet: its accelerator, the release it shall run, and how many GPUs it has (0 on `cpu`).

    `gpu` is what is known of its GPUs (all alike), None where nothing was declared; `driver` the declared NVIDIA
    driver, a branch ("580") or a version ("580.95.05"), "" where none was; `settings` what its GPUs shall be set to;
    `rocm` what is asked of AMD's software, None where nothing is.
    """

    name: str
    accelerator: str
    release: str
    gpu_count: int
    gpu: Gpu | None = None
    driver: str = ""
    settings: tuple[Setting, ...] = ()
    rocm: Rocm | None = None

    @property
    def unusable(self) -> dict[int, str]:
        """GPUs that no model can have whole, and why."""
        return unusable(self.settings)


def read_host(name: str, declared: Mapping[str, Any], problems: Problems) -> Host | None:
    """One host from its inventory variables; None where it cannot be planned for."""
    wrong = Problems()
    accelerator = declared.get("vllm_accelerator")
    if accelerator not in ACCELERATORS:
        reason = "is missing" if accelerator is None else f"{accelerator!r} is not an accelerator"
        wrong.add(f"{HOSTS}.vllm_accelerator", reason, f"Write one of: {', '.join(ACCELERATORS)}")
    release = read_release(declared)
    if not release:
        given = declared.get("vllm_version")
        reason = "is missing" if given is None else f"{given!r} is not a vLLM release"
        wrong.add(f"{HOSTS}.vllm_version", reason, 'Write the whole release as text: vllm_version: "0.33.0"')
    gpu_count = whole(declared.get("gpu_count", 0))
    if gpu_count is None or gpu_count > 64:
        given = declared["gpu_count"]
        wrong.add(f"{HOSTS}.gpu_count", f"{given!r} is not a count", "Write a whole number such as 8")
    elif accelerator in ("cuda", "rocm") and gpu_count == 0:
        wrong.add(f"{HOSTS}.gpu_count", "is missing", "Declare how many GPUs the host has: gpu_count: 8")
    acceptance = declared.get("vllm_acceptance", "optional")
    if acceptance not in ACCEPTANCE:
        wrong.add(f"{HOSTS}.vllm_acceptance", f"{acceptance!r} is not known", did_you_mean(str(acceptance), ACCEPTANCE))
    host = None
    if not wrong.problems and gpu_count is not None:
        # What is wrong from here on leaves the host's models to be checked all the same.
        cpu = accelerator == "cpu"
        gpu, driver = _read_gpu(declared, wrong), request.read_wanted(HOSTS, declared, wrong)
        request.check_declared(driver, gpu, wrong)
        settings, software = settings_read.read_settings(declared, wrong), rocm.read_rocm(declared, wrong)
        count, known = (0, None) if cpu else (gpu_count, gpu)
        host = Host(name, str(accelerator), release, count, known, driver.version, settings, software)
    for problem in wrong.problems:
        problems.add(problem.key, problem.reason, problem.remedy, name)
    return host


def described(host: Host) -> dict[str, Any]:
    """What a host declares itself to be, JSON-ready: what is found there is compared with this. Memory of one GPU in bytes."""
    gpu = host.gpu
    named = gpu is not None and find(gpu.name) is not None
    return {
        "accelerator": host.accelerator,
        "release": host.release,
        "gpu_count": host.gpu_count,
        "gpu_name": gpu.name if gpu and named else "",
        "gpu_memory": gpu.memory if gpu and not (named and gpu.nominal) else None,
        "driver": host.driver,
        "cut": [setting.index for setting in host.settings if setting.mig],
        "settings": [asdict(setting) for setting in host.settings],
        "rocm": asdict(host.rocm) if host.rocm else None,
    }


def read_release(declared: Mapping[str, Any]) -> str:
    """The release that a host asks for; "" where it names none."""
    given = declared.get("vllm_version")
    return given if isinstance(given, str) and _RELEASE.fullmatch(given) else ""


def _read_gpu(declared: Mapping[str, Any], problems: Problems) -> Gpu | None:
    """The model of GPU, with the declared memory in place of the catalogued one where both are given."""
    name, given = declared.get("gpu_name"), declared.get("gpu_memory_gib")
    memory: int | None = None
    if given is not None:
        gib = _number(given)
        if gib is None or not 1 <= gib <= 2048:
            problems.add(
                f"{HOSTS}.gpu_memory_gib", f"{given!r} is not a size in GiB", "Write the memory of one GPU: 80"
            )
            return None
        memory = int(gib * 2**30)
    if name is None:
        return None if memory is None else Gpu(f"{memory / 2**30:g} GiB GPU", memory, True, None)
    gpu = read_gpu(f"{HOSTS}.gpu_name", name, problems)
    return gpu if gpu is None or memory is None else replace(gpu, memory=memory, nominal=False)


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return None
    return None
