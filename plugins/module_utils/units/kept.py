"""The generations that a host keeps, as `model_service` tells them: what each change put there, and how it ended."""

from __future__ import annotations

import time

from ansible_collections.baremetal.vllm.plugins.module_utils.units import generations, observe, restore


def facts(generation: generations.Generation) -> dict[str, object]:
    """One generation as JSON; `units` by unit, each with the `service` that endpoint_check takes."""
    services = {unit.unit: unit.service for unit in restore.units_of(generation)}
    return {
        "number": generation.number,
        "created": generation.created,
        "age": generations.age(generation, time.time()),
        "returned": generation.returned,
        "outcome": generation.outcome,
        "plan": generation.plan,
        "releases": list(generation.releases),
        "units": {unit.unit: {**generations.facts(unit), "service": services[unit.unit]} for unit in generation.units},
    }


def mark(number: int, outcome: str, check_mode: bool) -> dict[str, object]:
    """Record how a generation was judged, but in check mode; `changed` and `diff`. Raises NotKeptError, OSError."""
    found = generations.find(generations.read_generations(observe.GENERATIONS), number)
    after = generations.becomes(found.outcome, outcome)
    if not check_mode:
        generations.set_outcome(observe.GENERATIONS, number, outcome)
    header = f"generation {number}"
    sides = {"before": f"{found.outcome}\n", "after": f"{after}\n", "before_header": header, "after_header": header}
    return {"changed": after != found.outcome, "diff": sides}


def listed() -> dict[str, object]:
    """`generations`, oldest first, the `current` one and the one to go `back` to, 0 for none. Raises OSError."""
    kept = generations.read_generations(observe.GENERATIONS)
    now = generations.current(kept, observe.installed_units())
    earlier = [g.number for g in kept if g.outcome in generations.SERVED and g.number < (now or kept[-1].number + 1)]
    return {
        "generations": [facts(generation) for generation in kept],
        "current": now,
        "back": earlier[-1] if earlier else 0,
    }
