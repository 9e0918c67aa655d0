"""Two texts of one unit: which of the operator's words made the difference."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.units import quoting
from ansible_collections.baremetal.vllm.plugins.module_utils.units.causes import Cause, changed
from ansible_collections.baremetal.vllm.plugins.module_utils.units.options import compare_commands, read_command
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import UnitFile, read_unit

VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
# Of [Unit], passed over by systemd: a unit's GPUs as the plan counts them (its process counts its own, from 0), and its kind.
INDICES = "X-GPUs"
KIND = "X-Kind"
# A device node of one GPU; which of them a unit may use follows from its GPUs and their numbers on the host.
_GPU_NODE = re.compile(r"/dev/(nvidia\d+|dri/renderD\d+) ")
# Settings that follow from a key of the inventory; the key is what the operator knows.
_KEYS = {"TimeoutStartSec": "start_timeout", "TimeoutStopSec": "stop_timeout"}
# Where a wait's words stand: interpreter, -I, program, address, port, kind, name. Units of before X-Kind say it here alone.
_WAIT_KIND = 5


def compare_units(before: str, after: str) -> list[Cause]:
    """What a process of `before` has to be restarted for; empty where only other sections or comments differ."""
    if before == after:
        return []
    old, new = read_unit(before), read_unit(after)
    engine = read_command(old.command).engine, read_command(new.command).engine
    if all(engine) and engine[0] != engine[1]:
        # The release is one cause, and not every path that holds it another.
        moved = read_unit(before.replace(f"{engine[0]}/", f"{engine[1]}/"))
        return [*compare_commands(old.command, new.command), *_beside_command(moved, new)]
    return [*compare_commands(old.command, new.command), *_beside_command(old, new)]


def _beside_command(old: UnitFile, new: UnitFile) -> Iterator[Cause]:
    gpus = gpus_of(old), gpus_of(new)
    if gpus[0] != gpus[1]:
        yield Cause("gpus", "gpus", gpus[0] or "none", gpus[1] or "none")
    elif _gpu_nodes(old) != _gpu_nodes(new):
        yield Cause("setting", "DeviceAllow", _gpu_nodes(old), _gpu_nodes(new))
    kinds = kind_of(old), kind_of(new)
    if kinds[0] != kinds[1] and all(kinds):
        yield Cause("kind", "kind", *kinds)
    implied = VISIBLE if gpus[0] != gpus[1] else ()
    yield from _compare_environments(old.environment, new.environment, implied)
    yield from _compare_settings(old, new)


def _compare_environments(
    before: Mapping[str, str], after: Mapping[str, str], implied: Sequence[str]
) -> Iterator[Cause]:
    for name in [*after, *(name for name in before if name not in after)]:
        if name not in implied and before.get(name) != after.get(name):
            yield changed("environment", name, before.get(name), after.get(name))


def _compare_settings(old: UnitFile, new: UnitFile) -> Iterator[Cause]:
    before, after = old.section("Service"), new.section("Service")
    stops = [read_command(unit.command).value("shutdown-timeout") for unit in (old, new)]
    for key in [*after, *(key for key in before if key not in after)]:
        if key in ("ExecStart", "Environment") or (key == "TimeoutStopSec" and stops[0] != stops[1]):
            continue
        values = _plain(key, before.get(key, ())), _plain(key, after.get(key, ()))
        if values[0] != values[1]:
            sides = (" ".join(value) if value else None for value in values)
            yield changed("setting", _KEYS.get(key, key), *sides)


def _plain(key: str, values: Sequence[str]) -> tuple[str, ...]:
    """A setting's values without what other causes already name."""
    if key == "DeviceAllow":
        return tuple(value for value in values if not _GPU_NODE.match(value))
    if key == "ExecStartPost" and len(values) == 1:
        words = quoting.words(values[0])
        return (" ".join(words[: _WAIT_KIND - 2]),) if len(words) == _WAIT_KIND + 2 else tuple(values)
    return tuple(values)


def gpus_of(unit: UnitFile) -> str:
    """The indices of a unit's GPUs, with commas; empty on a host without GPUs."""
    return ",".join(unit.section("Unit").get(INDICES, ()))


def _gpu_nodes(unit: UnitFile) -> str:
    values = unit.section("Service").get("DeviceAllow", ())
    return ", ".join(value.partition(" ")[0] for value in values if _GPU_NODE.match(value))


def kind_of(unit: UnitFile) -> str:
    """The kind of model that a unit serves; empty where it does not say."""
    stated = unit.section("Unit").get(KIND)
    if stated:
        return stated[-1]
    lines = unit.section("Service").get("ExecStartPost", ())
    words = quoting.words(lines[-1]) if lines else []
    return words[_WAIT_KIND] if len(words) == _WAIT_KIND + 2 else ""


def compare_rest(before: str, after: str) -> list[str]:
    """Keys outside [Service] that differ, for a unit that is written anew without a restart."""
    old, new = read_unit(before).settings, read_unit(after).settings
    sections = [section for section in {**new, **old} if section != "Service"]
    keys = [(s, key) for s in sections for key in {**new.get(s, {}), **old.get(s, {})}]
    return [key for s, key in keys if old.get(s, {}).get(key) != new.get(s, {}).get(key)]
