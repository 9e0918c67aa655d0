"""What a deployment would do to the units of a host, in one word each, for modules that look at something else."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError
from ansible_collections.baremetal.vllm.plugins.module_utils.units import host_units, observe
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import decide_all
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit


def steps_of(units: Sequence[PlannedUnit] | None) -> dict[str, dict[str, str]]:
    """{unit: {"verb", "active"}} of the units of ours that are installed, and of the planned ones.

    `units` are None where nothing is known to be planned: then `verb` is "". Whether
    secrets changed is left out of the decision. Empty where there is no systemd to ask.
    """
    names = [unit.unit for unit in units or ()]
    try:
        sight = observe.observe(names, None)
    except (SystemdError, OSError):
        return {}
    verbs: dict[str, str] = {}
    if units is not None:
        resolved, __ = host_units.resolve(units, sight)
        verbs = {step.unit: step.verb for step in decide_all(resolved, sight.observed, list(sight.texts))}
    return {unit: {"verb": verbs.get(unit, ""), "active": state.active} for unit, state in sight.states.items()}
