#!/usr/bin/python
"""The generations that a host keeps: what each change put there, and how it ended."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: generations
short_description: The generations of units that a host keeps, and how each ended
description:
  - Lists what M(baremetal.vllm.model_service) kept of each change of this host's units, oldest first, and which of them
    is installed now. O(mark) records how one was judged.
  - Releases that a kept generation needs are never pruned (M(baremetal.vllm.engine_prune)).
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  mark:
    description: Record the outcome of one generation.
    type: dict
    suboptions:
      number:
        description: The generation.
        type: int
        required: true
      outcome:
        description: V(active) - its units answer; V(proven) - it was judged good; V(failed) - it was taken back.
        type: str
        choices: [active, proven, failed]
        required: true
attributes:
  check_mode:
    support: full
    description: Marks nothing, and says whether it would.
  diff_mode:
    support: full
    description: Shows the outcome before and after.
"""

EXAMPLES = r"""
- name: List what this host can go back to
  baremetal.vllm.generations:
  register: __generations

- name: Record that the new release was judged good
  baremetal.vllm.generations:
    mark: {number: "{{ __model_service.generation }}", outcome: proven}
"""

RETURN = r"""
generations:
  description: The kept generations, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    number: {description: Its number., type: int}
    created: {description: "When it was made, ISO 8601 by the host's clock.", type: str}
    age: {description: Seconds since then by the host's clock; null where it is not known., type: float}
    returned: {description: Whether it was made by going back to an earlier one., type: bool}
    outcome: {description: "V(pending), V(active), V(proven) or V(failed).", type: str}
    plan: {description: The digest of the plan that made it; empty where it is not known., type: str}
    releases: {description: The releases of vLLM that its units run., type: list, elements: str}
    units:
      description: >-
        By unit its C(name), C(digest), C(release), C(weights), C(revision), and C(service) - what
        M(baremetal.vllm.endpoint_check) takes to prove its endpoint.
      type: dict
current:
  description:
    - The generation whose units are exactly the installed ones; V(0) where there is none, as after a start that failed
      in part, or an edit by hand.
  returned: success
  type: int
back:
  description: The newest generation before the current one that served; V(0) where there is none.
  returned: success
  type: int
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.units import back, generations, observe


def facts(generation: generations.Generation) -> dict[str, object]:
    services = {unit["unit"]: unit["service"] for unit in back.units_of(generation)}
    units = generation.manifest["units"]
    return {
        "number": generation.number,
        "created": generation.manifest.get("created", ""),
        "age": generations.age(generation, time.time()),
        "returned": bool(generation.manifest.get("returned")),
        "outcome": generation.outcome,
        "plan": generation.manifest.get("plan", ""),
        "releases": generation.manifest.get("releases", []),
        "units": {unit: {**units[unit], "service": service} for unit, service in services.items()},
    }


def mark(module: AnsibleModule, kept: list[generations.Generation]) -> dict[str, object]:
    """Record the outcome that was asked for; what to tell of it."""
    number, outcome = module.params["mark"]["number"], module.params["mark"]["outcome"]
    found = generations.find(kept, number)
    after = generations.becomes(found.outcome, outcome)
    if not module.check_mode:
        generations.set_outcome(observe.GENERATIONS, number, outcome)
    header = f"generation {number}"
    sides = {"before": f"{found.outcome}\n", "after": f"{after}\n", "before_header": header, "after_header": header}
    return {"changed": after != found.outcome, "diff": sides}


def main() -> None:
    outcome = {"type": "str", "choices": ["active", "proven", "failed"], "required": True}
    module = AnsibleModule(
        argument_spec={
            "mark": {"type": "dict", "options": {"number": {"type": "int", "required": True}, "outcome": outcome}},
        },
        supports_check_mode=True,
    )
    try:
        kept = generations.read_generations(observe.GENERATIONS)
        told = mark(module, kept) if module.params["mark"] else {"changed": False}
        if told["changed"] and not module.check_mode:
            kept = generations.read_generations(observe.GENERATIONS)
        installed = observe.installed_units()
    except generations.NotKeptError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")
    now = generations.current(kept, installed)
    earlier = [g.number for g in kept if g.outcome in generations.SERVED and g.number < (now or kept[-1].number + 1)]
    module.exit_json(
        **told,
        generations=[facts(generation) for generation in kept],
        current=now,
        back=earlier[-1] if earlier else 0,
    )


if __name__ == "__main__":
    main()
