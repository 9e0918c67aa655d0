"""What has to be done so that a host's GPUs are set as asked, or why it must not be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import settings_unit as unit
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import GpuSetting
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import few


@dataclass(frozen=True)
class SettingsStep:
    """One command and why. `optional` ones may fail: there may be nothing to take away. `mode` holds the GPU whose MIG
    mode it changes, which some GPUs take on only when they are reset; -1 otherwise."""

    argv: tuple[str, ...]
    why: str
    optional: bool = False
    mode: int = -1


@dataclass(frozen=True)
class SettingsVerdict:
    """`cuts` and `steps` are commands beside the units; `restart` says what gpu-settings.service has to set (again)."""

    cuts: tuple[SettingsStep, ...] = ()
    steps: tuple[SettingsStep, ...] = ()
    restart: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


def decide(wanted: Sequence[GpuSetting], before: Sequence[GpuSetting], facts: Facts, in_force: bool) -> SettingsVerdict:
    """Compare what is asked with the GPUs. `before` is what the installed units hold: what is no longer asked goes back
    to its default.

    `in_force`: gpu-settings.service has run in this boot as it is planned. Nothing tells which clocks a GPU is locked to
    (nvidia-smi has no such field), so they are taken from that.
    """
    gpus = {gpu.index: gpu for gpu in facts.gpus}
    old = {setting.index: setting for setting in before}
    new = {setting.index: setting for setting in wanted}
    verdict = SettingsVerdict()
    for index in sorted(old.keys() | new.keys()):
        setting, earlier = new.get(index, GpuSetting(index)), old.get(index, GpuSetting(index))
        if index in gpus:
            verdict = _join(verdict, _judge(setting, earlier, gpus[index], in_force))
        elif index in new:
            shown = ", ".join(map(str, gpus)) or "none"
            verdict = _join(verdict, SettingsVerdict(refusals=(f"GPU {index} is not there: nvidia-smi shows {shown}",)))
    # A GPU that changes its MIG mode may be reset, and then has forgotten the rest.
    reset = {step.mode for step in verdict.cuts if step.mode >= 0}
    forgotten = tuple(
        f"GPU {setting.index}: the rest once more after its MIG mode"
        for setting in wanted
        if setting.index in reset and not replace(setting, mig=None).empty
    )
    return replace(verdict, restart=verdict.restart + forgotten)


def _join(one: SettingsVerdict, other: SettingsVerdict) -> SettingsVerdict:
    return SettingsVerdict(
        one.cuts + other.cuts, one.steps + other.steps, one.restart + other.restart, one.refusals + other.refusals
    )


def _judge(setting: GpuSetting, earlier: GpuSetting, gpu: Gpu, in_force: bool) -> SettingsVerdict:
    name = f"GPU {gpu.index} ({gpu.name})" if gpu.name else f"GPU {gpu.index}"
    refusals = tuple(_refusals(setting, gpu, name))
    cuts, in_use = _cuts(setting, earlier, gpu, name)
    return SettingsVerdict(
        cuts=() if in_use or refusals else cuts,
        steps=tuple(_put_back(setting, earlier, gpu)),
        restart=tuple(_differences(setting, gpu, in_force)),
        refusals=refusals + ((in_use,) if in_use else ()),
    )


def _refusals(setting: GpuSetting, gpu: Gpu, name: str) -> list[str]:
    """What this GPU cannot do, whatever it is set to now."""
    found = []
    if setting.mig and not gpu.mig:
        found.append(f"{name} cannot be cut: it has no MIG mode. Take it out of gpu_mig")
    watts = setting.power_limit
    if watts is not None:
        low, high = gpu.power_limit_min, gpu.power_limit_max
        if gpu.power_limit is None:
            found.append(f"{name} lets nobody set its power limit. Take it out of gpu_power_limit")
        elif low is not None and high is not None and not low <= watts <= high:
            found.append(f"gpu_power_limit {watts} W is outside what {name} allows: write {low:g} to {high:g} W")
    top = gpu.max_graphics_clock
    if setting.clocks is not None and top is not None and setting.clocks[1] > top:
        found.append(f"gpu_clocks up to {setting.clocks[1]} MHz are more than {name} has: write {top} MHz or less")
    if gpu.persistence is False and (watts is not None or setting.clocks is not None):
        found.append(
            f"{name} is not in persistence mode and forgets its power limit and clocks with its last program:"
            " start nvidia-persistenced (nvidia_driver_persistence: true)"
        )
    return found


def _cuts(setting: GpuSetting, earlier: GpuSetting, gpu: Gpu, name: str) -> tuple[tuple[SettingsStep, ...], str]:
    """The commands that cut the GPU as asked, and why they must wait: "" where nothing runs on it."""
    layout = setting.mig if setting.mig is not None else () if earlier.mig else None
    if layout is None or (layout and not gpu.mig):
        return (), ""
    now = tuple(device.profile for device in gpu.mig_devices)
    cut = gpu.mig == "enabled"
    if sorted(now) == sorted(layout) and cut == bool(layout) and gpu.mig_pending in ("", gpu.mig):
        return (), ""
    why = f"{name}: {_shape(now, cut)} → {_shape(layout, bool(layout))}"
    if gpu.processes:
        running = few([f"{process.name} (pid {process.pid})" for process in gpu.processes], 5)
        return (), f"{why}: {running} runs on it. Stop the units on this GPU, then run again"
    steps = [SettingsStep(argv, why, optional=True) for argv in unit.uncut(gpu.index)] if cut else []
    if cut != bool(layout) or gpu.mig_pending not in ("", gpu.mig):
        steps.append(SettingsStep(unit.mig_mode([gpu.index], bool(layout)), why, mode=gpu.index))
    if layout:
        steps.append(SettingsStep(unit.cut([gpu.index], layout), why))
    return tuple(steps), ""


def _shape(layout: Sequence[str], cut: bool) -> str:
    return ", ".join(layout) or "no slices" if cut else "whole"


def _put_back(setting: GpuSetting, earlier: GpuSetting, gpu: Gpu) -> list[SettingsStep]:
    """Defaults for what an earlier run set and nobody asks for any more."""
    steps, default = [], gpu.power_limit_default
    if earlier.power_limit is not None and setting.power_limit is None and default is not None:
        why = f"GPU {gpu.index}: power limit back to {default:g} W"
        steps.append(SettingsStep(unit.power_limit([gpu.index], default), why))
    if earlier.clocks is not None and setting.clocks is None:
        steps.append(SettingsStep(unit.free_clocks(gpu.index), f"GPU {gpu.index}: clocks no longer locked"))
    if earlier.compute_mode not in ("", "default") and not setting.compute_mode:
        steps.append(
            SettingsStep(unit.compute_mode([gpu.index], "default"), f"GPU {gpu.index}: compute mode back to default")
        )
    return steps


def _differences(setting: GpuSetting, gpu: Gpu, in_force: bool) -> list[str]:
    found, watts = [], setting.power_limit
    # The driver may round to what its regulator can do.
    if watts is not None and gpu.power_limit is not None and abs(gpu.power_limit - watts) >= 1:
        found.append(f"GPU {gpu.index}: power limit {gpu.power_limit:g} → {watts} W")
    if setting.clocks is not None:
        low, high = setting.clocks
        known = gpu.locked_clocks
        if (known is not None and known != setting.clocks) or (known is None and not in_force):
            found.append(f"GPU {gpu.index}: clocks locked to {low} to {high} MHz")
    mode = gpu.compute_mode.lower().replace(" ", "_")
    if setting.compute_mode and mode != setting.compute_mode:
        found.append(f"GPU {gpu.index}: compute mode {mode or 'unknown'} → {setting.compute_mode}")
    return found


def left(verdict: SettingsVerdict) -> list[str]:
    """What a second look still finds to be done, in words."""
    steps: Mapping[str, None] = dict.fromkeys(step.why for step in (*verdict.cuts, *verdict.steps))
    return [*steps, *verdict.restart, *verdict.refusals]
