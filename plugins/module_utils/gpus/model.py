"""What a host's GPUs are and how they are, whoever made them; the JSON form is `asdict` of these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """A process on a GPU. `memory` in bytes, None where the tool does not tell; `kind` as printed (C, G, C+G)."""

    pid: int
    name: str
    kind: str
    memory: int | None


@dataclass(frozen=True)
class MigDevice:
    """One slice of a GPU in MIG mode. `profile` like "1g.10gb", "" where the tool prints none; `memory` in bytes."""

    index: int
    uuid: str
    profile: str
    gpu_instance: int
    compute_instance: int
    memory: int


@dataclass(frozen=True)
class Errors:
    """Memory errors. None everywhere where the GPU or the tool does not tell.

    `uncorrectable` since the last reset (volatile), `uncorrectable_total` over the GPU's life (aggregate);
    `remap_pending` and `remap_failed` of row remapping (Ampere and newer), `retired_pending` of page retirement;
    `repair_pending` of a memory channel or TPC (Blackwell); `unrepairable` memory, and `threshold` of SRAM errors exceeded,
    by which NVIDIA replaces a GPU.
    """

    uncorrectable: int | None = None
    uncorrectable_total: int | None = None
    correctable: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    retired_pending: bool | None = None
    repair_pending: bool | None = None
    unrepairable: bool | None = None
    threshold: bool | None = None


@dataclass(frozen=True)
class Gpu:
    """One GPU. Sizes in bytes, power in watts, clocks in MHz, temperature in degrees Celsius; None or "" where the tool
    does not tell.

    `index` is the tool's (PCI bus order), `minor` the number of /dev/nvidia<minor>; `address` a PCI address as the kernel
    writes it ("0000:1b:00.0"); `capability` the CUDA compute capability ("9.0"), "" on AMD; `arch` AMD's ("gfx942").
    `mig` is "enabled", "disabled" or "" (not able); `ecc` likewise. `links` is how many NVLink (XGMI) links are up,
    `links_down` how many are there and not up. `fabric` is the state at the fabric manager ("completed", "in progress",
    "completed with <what failed>"), "" without one; `fabric_health` is what ails it there ("summary unhealthy, bandwidth
    degraded"), "" for nothing.
    `recovery` is the driver's own advice ("none", "reset", "reboot", "drain and reset", …), "" where it gives none.
    `slowdown` names what slows its clocks down and should not ("hw thermal slowdown"). `trouble` is what the tool says
    in place of values where it cannot read the GPU ("GPU is lost"), "" where it can.
    """

    index: int
    vendor: str
    name: str
    uuid: str
    address: str
    minor: int | None = None
    serial: str = ""
    memory: int | None = None
    memory_used: int | None = None
    capability: str = ""
    arch: str = ""
    numa: int | None = None
    mig: str = ""
    mig_pending: str = ""
    mig_devices: tuple[MigDevice, ...] = ()
    ecc: str = ""
    errors: Errors = Errors()
    power_limit: float | None = None
    power_limit_min: float | None = None
    power_limit_max: float | None = None
    power_limit_default: float | None = None
    persistence: bool | None = None
    compute_mode: str = ""
    max_graphics_clock: int | None = None
    locked_clocks: tuple[int, int] | None = None
    temperature: float | None = None
    pcie_generation: int | None = None
    pcie_generation_max: int | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    links: int | None = None
    links_down: int | None = None
    fabric: str = ""
    fabric_health: str = ""
    recovery: str = ""
    slowdown: tuple[str, ...] = ()
    trouble: str = ""
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All GPUs of a host as one tool reports them.

    `error` is "" or why the tool said nothing of use, or not of every GPU (its own words, one line), `returncode` its exit
    status (None: not installed). `driver` is the driver's version, `cuda` the newest CUDA it runs ("13.0"; ROCm's release
    on AMD).
    `topology` maps "0-1" (indices, lower first) to how two GPUs reach each other, as the tool writes it: NV18, PIX, PXB,
    PHB, NODE, SYS.
    """

    tool: str
    error: str = ""
    returncode: int | None = None
    driver: str = ""
    cuda: str = ""
    gpus: tuple[Gpu, ...] = ()
    topology: dict[str, str] | None = None
