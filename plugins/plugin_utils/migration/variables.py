"""`env` of a model entry for another release: VLLM_* variables that went away, and those that became options."""

from __future__ import annotations

from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.follow import Reason, Trail, Way, follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import every
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules import Unmade, fitting, made


def move(env: Values, way: Way, extras: Extras) -> tuple[dict[str, object], list[Trail]]:
    """The variables that the release reads, and what became of the others; `written` of a trail are paths of options."""
    stays: dict[str, object] = {}
    trails: list[Trail] = []
    for name, value in env.items():
        mine = name.startswith("VLLM_") or name in fates.variables()
        if not mine or name in way.release.environment or name in extras.environment:
            stays[name] = value
        else:
            trails.append(_trail(name, _text(value), way))
    return stays, trails


def _text(value: Any) -> str:
    """A variable as the unit gets it; true and false are vLLM's 1 and 0."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _trail(name: str, value: str, way: Way) -> Trail:
    fate = fates.variables().get(name)
    found = fitting(fate, value, way.to, way.came_from) if fate is not None else None
    began = _since(name, way)
    try:
        ends = made(found[1], value) if found is not None else []
    except Unmade:
        found, ends = None, []
    parts = [follow(path, item, way) for path, item in ends]
    written = tuple(end for part in parts for end in part.written)
    reasons = (Reason((name,), began, fate, found[1] if found else None),)
    return Trail(
        (name,), value, written, reasons + tuple(r for part in parts for trail in part.trails for r in trail.reasons)
    )


def _since(name: str, way: Way) -> str:
    reading = [version for version, release in every() if name in release.environment]
    before = [version for version in reading if numbers(version) < numbers(way.to)]
    fate = fates.variables().get(name)
    if fate is not None and fate.gone and numbers(fate.gone) <= numbers(way.to):
        return fate.gone
    if before:
        return next(version for version, __ in every() if numbers(version) > numbers(before[-1]))
    return reading[0] if reading else ""
