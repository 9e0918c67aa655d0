"""What each host declares itself to be, in the inventory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import WantedRocm as Rocm
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import GpuSetting, unusable
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import request as rocm
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import request
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import rocm as engine
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import KnownGpu, find, read_gpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus import settings_read
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fanout import FANOUT_KEYS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.proxy import check_proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Declared, GpuKind

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
    "vllm_proof_age",
    "vllm_look_timeout",
    "vllm_address",
    "vllm_engine_kernels_index",
    "vllm_endpoint_address",
    "vllm_endpoint_sources",
    "vllm_engine_destinations",
    "ansible_host",
    "vllm_proxy",
    "vllm_no_proxy",
    "vllm_engine_environment",
    *FANOUT_KEYS,
    *settings_read.KEYS,
    *rocm.KEYS,
    *engine.KEYS,
)
# Variables of these names are read as well, so that a misspelled one is told.
HOST_PREFIXES = ("nvidia_driver_",)
_RELEASE = re.compile(r"\d+\.\d+\.\d+(\.?(post|rc)\d+|\.\d+)?")


@dataclass(frozen=True)
class DeclaredHost:
    """A host of the fleet: its accelerator, the release it shall run, and how many GPUs it has (0 on `cpu`).

    `gpu` is what is known of its GPUs where they are all alike, None where nothing was declared; of a host with several
    kinds `gpus` has each GPU's, by index. `driver` the declared NVIDIA
    driver, a branch ("580") or a version ("580.95.05"), "" where none was; `settings` what its GPUs shall be set to;
    `rocm` what is asked of AMD's software, None where nothing is.
    """

    name: str
    accelerator: str
    release: str
    gpu_count: int
    gpu: KnownGpu | None = None
    driver: str = ""
    settings: tuple[GpuSetting, ...] = ()
    rocm: Rocm | None = None
    gpus: tuple[KnownGpu | None, ...] = ()

    def kind(self, index: int) -> KnownGpu | None:
        """What is known of one GPU."""
        return self.gpus[index] if index < len(self.gpus) else self.gpu

    def kinds(self, indices: Iterable[int]) -> tuple[KnownGpu | None, ...]:
        """The different kinds of these GPUs, in their order; of all where there are none."""
        return tuple(dict.fromkeys(map(self.kind, indices))) or tuple(dict.fromkeys(self.gpus)) or (self.gpu,)

    @property
    def unusable(self) -> dict[int, str]:
        """GPUs that no model can have whole, and why."""
        return unusable(self.settings)


def read_host(name: str, declared: Values, problems: Problems) -> DeclaredHost | None:
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
    age = declared.get("vllm_proof_age", 0)
    if whole(age) is None:
        wrong.add(f"{HOSTS}.vllm_proof_age", f"{age!r} is not a number of seconds", "Write one such as 604800, a week")
    patience = declared.get("vllm_look_timeout", 300)
    if not whole(patience):
        wrong.add(f"{HOSTS}.vllm_look_timeout", f"{patience!r} is not a number of seconds", "Write one such as 300")
    check_proxy(declared, wrong)
    host = None
    if not wrong.problems and gpu_count is not None:
        # What is wrong from here on leaves the host's models to be checked all the same.
        cpu = accelerator == "cpu"
        gpus, driver = _read_gpus(declared, gpu_count, wrong), request.read_wanted(HOSTS, declared, wrong)
        kinds = tuple(dict.fromkeys(gpus))
        for kind in kinds:
            request.check_declared(driver, kind, wrong)
        settings, software = settings_read.read_settings(declared, wrong), rocm.read_rocm(declared, wrong)
        if accelerator == "rocm":
            engine.check_host(release, declared, software, wrong)
        known = kinds[0] if len(kinds) == 1 and not cpu else None
        count = 0 if cpu else gpu_count
        host = DeclaredHost(name, str(accelerator), release, count, known, driver.version, settings, software)
        if len(kinds) > 1 and not cpu:
            host = replace(host, gpus=gpus)
    for problem in wrong.problems:
        problems.add(problem.key, problem.reason, problem.remedy, name)
    for problem in wrong.warnings:
        problems.warn(problem.key, problem.reason, problem.remedy, name)
    return host


def declared_as(host: DeclaredHost) -> Declared:
    """What a host declares itself to be: what is found there is compared with this."""
    name, memory = _told(host.gpu)
    return Declared(
        accelerator=host.accelerator,
        release=host.release,
        gpu_count=host.gpu_count,
        gpu_name=name,
        gpu_memory=memory,
        gpus=tuple(GpuKind(*_told(gpu)) for gpu in host.gpus),
        driver=host.driver,
        cut=tuple(setting.index for setting in host.settings if setting.mig),
        settings=host.settings,
        rocm=host.rocm,
    )


def _told(gpu: KnownGpu | None) -> tuple[str, int | None]:
    """The name under which a GPU is known, and the bytes that its driver must state where they are known."""
    named = gpu is not None and find(gpu.name) is not None
    return gpu.name if gpu and named else "", gpu.memory if gpu and not (named and gpu.nominal) else None


def read_release(declared: Values) -> str:
    """The release that a host asks for; "" where it names none."""
    given = declared.get("vllm_version")
    return given if isinstance(given, str) and _RELEASE.fullmatch(given) else ""


def _read_gpus(declared: Values, count: int, problems: Problems) -> tuple[KnownGpu | None, ...]:
    """The model of each GPU, of one where all are alike; with the declared memory in place of the catalogued one."""
    names = _each(declared, "gpu_name", count, problems)
    sizes = _each(declared, "gpu_memory_gib", count, problems)
    if names is None or sizes is None:
        return ()
    number = max(len(names), len(sizes))
    names, sizes = names * (number if len(names) == 1 else 1), sizes * (number if len(sizes) == 1 else 1)
    return tuple(_read_gpu(name, size, problems) for name, size in zip(names, sizes))


def _each(declared: Values, key: str, count: int, problems: Problems) -> list[Any] | None:
    """A variable of one value for all GPUs, or of a list by index; None where the list has not one for each."""
    given = declared.get(key)
    if not isinstance(given, (list, tuple)):
        return [given]
    if len(given) == count and given:
        return list(given)
    problems.add(
        f"{HOSTS}.{key}",
        f"lists {len(given)} GPUs, and gpu_count is {count}",
        "Write one for each GPU in the order of nvidia-smi, one value for all where they are alike, or correct gpu_count",
    )
    return None


def _read_gpu(name: Any, given: Any, problems: Problems) -> KnownGpu | None:
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
        return None if memory is None else KnownGpu(f"{memory / 2**30:g} GiB GPU", memory, True, None)
    gpu = read_gpu(f"{HOSTS}.gpu_name", name, problems)
    return gpu if gpu is None or memory is None else replace(gpu, memory=memory, nominal=False, counted=0)


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return None
    return None
