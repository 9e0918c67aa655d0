"""What a host says of its service beside the units of models: generations, what proves its endpoints, its canary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.units import generations, restore
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import ProvedBy

CANARY, CANARY_TIMER = "canary-vllm.service", "canary-vllm.timer"
# Of what the canary said last.
COMPLAINTS = 10


def endpoints(texts: Mapping[str, str], kept: Sequence[generations.Generation]) -> list[ProvedBy]:
    """Every installed unit as endpoint_check takes it: what it was planned to prove, where a generation still says so.

    Of a unit that none knows, the meaning of its answers is left aside: its weights may be random ones.
    """
    found = []
    for unit, text in texts.items():
        known = (
            planned.service
            for generation in reversed(kept)
            for planned in generation.units
            if (planned.unit, planned.text) == (unit, text)
        )
        name = unit.partition("-")[2].rpartition(".service")[0]
        service = next((service for service in known if service), None)
        if service is None:
            service = restore.service_of(unit, text, name)
            service["prove"] = {**service["prove"], "meaning": False}
        if service["kind"] and service["port"]:
            found.append(service)
    return found


def generation(texts: Mapping[str, str], kept: Sequence[generations.Generation]) -> dict[str, object]:
    """`current` as module generations has it, and `kept`: of each its number, outcome, time, plan and releases."""
    told = [
        {
            "number": each.number,
            "outcome": each.outcome,
            "created": each.created,
            "plan": each.plan,
            "releases": list(each.releases),
        }
        for each in kept
    ]
    return {"current": generations.current(kept, texts), "kept": told}


def canary() -> dict[str, object] | None:
    """The canary's state and, where its last run failed, what it said; None where none is installed."""
    states = systemd.show([CANARY, CANARY_TIMER])
    service, timer = states[CANARY], states[CANARY_TIMER]
    if service.load == "not-found":
        return None
    failed = service.active == "failed"
    said = systemd.journal(CANARY, service.invocation)[-COMPLAINTS:] if failed else []
    return {"runs": timer.active == "active", "failed": failed, "complaints": said}
