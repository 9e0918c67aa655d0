"""The commands that set GPUs, as two units hold them, and what those units hold read back.

Source of the options: `nvidia-smi --help` and `nvidia-smi mig --help`; lists of indices after -i are taken by both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import GpuSetting
from ansible_collections.baremetal.vllm.plugins.module_utils.units import quoting
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import read_unit

SMI = "/usr/bin/nvidia-smi"
# Cutting must not be repeated while slices are in use, the rest may be at any time: hence two units.
MIG_UNIT, SETTINGS_UNIT = "gpu-mig.service", "gpu-settings.service"
UNITS = (MIG_UNIT, SETTINGS_UNIT)
Argv = tuple[str, ...]


def mig_mode(gpus: Sequence[int], on: bool) -> Argv:
    """Switch MIG on or off for GPUs by index; some take it on only when they are reset."""
    return (SMI, "-i", _indices(gpus), "-mig", "1" if on else "0")


def cut(gpus: Sequence[int], layout: Sequence[str]) -> Argv:
    """GPU instances with one compute instance each."""
    return (SMI, "mig", "-i", _indices(gpus), "-cgi", ",".join(layout), "-C")


def uncut(gpu: int) -> tuple[Argv, Argv]:
    """Compute instances first: a GPU instance that still has one is in use."""
    return (SMI, "mig", "-i", str(gpu), "-dci"), (SMI, "mig", "-i", str(gpu), "-dgi")


def power_limit(gpus: Sequence[int], watts: float) -> Argv:
    """Bound what each GPU draws, in watts."""
    return (SMI, "-i", _indices(gpus), "-pl", f"{watts:g}")


def clocks(gpus: Sequence[int], low: int, high: int) -> Argv:
    """Keep the graphics clock of GPUs from `low` to `high`, both in MHz."""
    return (SMI, "-i", _indices(gpus), "-lgc", f"{low},{high}")


def free_clocks(gpu: int) -> Argv:
    """Take back what `clocks` bound, of one GPU."""
    return (SMI, "-i", str(gpu), "-rgc")


def compute_mode(gpus: Sequence[int], mode: str) -> Argv:
    """Say how many processes may use a GPU; `mode` is one of COMPUTE_MODES."""
    return (SMI, "-i", _indices(gpus), "-c", mode.upper())


def reset(gpu: int) -> Argv:
    """Reset one GPU, which no process may hold; it fails otherwise."""
    return (SMI, "-i", str(gpu), "--gpu-reset")


def unit_commands(settings: Sequence[GpuSetting]) -> dict[str, list[Argv]]:
    """The commands of each unit that is needed; GPUs of the same value share one."""
    layouts = _alike(settings, lambda setting: setting.mig or None)
    found = {
        MIG_UNIT: ([mig_mode([gpu for __, gpus in layouts for gpu in gpus], True)] if layouts else [])
        + [cut(gpus, layout) for layout, gpus in layouts],
        SETTINGS_UNIT: [power_limit(gpus, watts) for watts, gpus in _alike(settings, lambda s: s.power_limit)]
        + [clocks(gpus, *pair) for pair, gpus in _alike(settings, lambda s: s.clocks)]
        + [compute_mode(gpus, mode) for mode, gpus in _alike(settings, lambda s: s.compute_mode or None)],
    }
    return {unit: commands for unit, commands in found.items() if commands}


def read_units(texts: Sequence[str]) -> tuple[GpuSetting, ...]:
    """The settings that units of ours hold; lines that are none of ours are passed over."""
    found: dict[int, dict[str, Any]] = {}
    for text in texts:
        for command in read_unit(text).section("Service").get("ExecStart", ()):
            for index, name, value in _read_command(quoting.words(command, variables=True)):
                found.setdefault(index, {})[name] = value
    return tuple(GpuSetting(index, **values) for index, values in sorted(found.items()))


def _read_command(words: Sequence[str]) -> list[tuple[int, str, Any]]:
    values = dict(zip(words, words[1:]))
    indices = [int(index) for index in values.get("-i", "").split(",") if index.isdecimal()]
    readers: dict[str, tuple[str, Callable[[str], Any]]] = {
        "-cgi": ("mig", lambda text: tuple(text.split(","))),
        "-pl": ("power_limit", lambda text: int(float(text))),
        "-lgc": ("clocks", lambda text: tuple(int(number) for number in text.split(","))),
        "-c": ("compute_mode", str.lower),
    }
    try:
        return [
            (index, name, read(values[option]))
            for option, (name, read) in readers.items()
            if option in values
            for index in indices
        ]
    except (ValueError, OverflowError):
        return []


def _alike(settings: Sequence[GpuSetting], value: Callable[[GpuSetting], Any]) -> list[tuple[Any, list[int]]]:
    groups: dict[Any, list[int]] = {}
    for setting in settings:
        found = value(setting)
        if found is not None:
            groups.setdefault(found, []).append(setting.index)
    return list(groups.items())


def _indices(gpus: Sequence[int]) -> str:
    return ",".join(map(str, sorted(gpus)))
