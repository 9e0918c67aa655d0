"""Planned units as this host would have them: with the nodes of its GPUs and the kernels of its engines.

Whoever compares planned units with installed ones starts here, so that no two of them decide differently.
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.units import device_nodes, engine_settings, reach
from ansible_collections.baremetal.vllm.plugins.module_utils.units.observe import UnitsSight
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit


def resolve(units: Sequence[PlannedUnit], sight: UnitsSight) -> tuple[list[PlannedUnit], list[str]]:
    """The units with what only the host knows, and a sentence for each doubt: about their GPUs' nodes, and
    whether others reach what they listen on."""
    resolved, doubts = device_nodes.resolve(units, sight.texts)
    running = {unit for unit, state in sight.states.items() if state.running}
    return engine_settings.resolve(resolved, sight.texts, running), [*doubts, *reach.hindrances(units)]
