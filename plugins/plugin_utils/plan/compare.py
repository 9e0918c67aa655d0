"""The plan of a fleet against what runs there: pure, from the plan and what each host said (module host_state)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from ansible_collections.baremetal.vllm.plugins.module_utils.units.observe import DropIn, UnitFacts
from ansible_collections.baremetal.vllm.plugins.module_utils.units.options import origin
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.answer import CauseForm, HostAnswer, StepForm
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

# What becomes of one model on one host, in the order of a summary. "rewritten": its unit file changes, no process does.
CHANGES = ("started", "restarted", "moved", "removed", "rewritten", "unchanged")
# A restart for nothing but these gives the same model another place on its host.
PLACE = {("gpus", "gpus"), ("option", "port"), ("option", "host")}


@dataclass(frozen=True)
class Difference:
    """One model on one host. `came_from` and `goes_to` name the other host of a move between two.

    `causes` are those of `service.causes` as dictionaries; `before` is what is installed, `after` what is planned, each
    with release, kind, gpus, address, port and weights, or empty.
    """

    host: str
    model: str
    unit: str
    change: str
    why: str
    causes: tuple[CauseForm, ...] = ()
    came_from: str = ""
    goes_to: str = ""
    before: UnitFacts = field(default_factory=UnitFacts)
    after: UnitFacts = field(default_factory=UnitFacts)
    drop_ins: tuple[DropIn, ...] = ()
    drift: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    replaced_driver: tuple[str, ...] = ()


FACTS = ("release", "kind", "gpus", "address", "port", "weights")


def compare_fleet(plan: FleetPlan, found: Mapping[str, HostAnswer]) -> list[Difference]:
    """Differences of every host that was read, in the plan's order; a model that changes its host is one move.

    `found` is what host_state returned, by host; hosts that are not in it are passed over.
    """
    differences = []
    for host, planned in plan.hosts.items():
        if host in found:
            differences += compare_host(host, planned.services, found[host])
    return _pair_moves(differences)


def compare_host(host: str, services: Sequence[Service], found: HostAnswer) -> list[Difference]:
    """Differences of one host, planned models first, then those that nobody plans any more."""
    planned = {service.unit: service for service in services}
    differences = []
    for step in found["steps"]:
        unit, service = step["unit"], planned.get(step["unit"])
        seen = found["units"].get(unit, {})
        installed = _installed_facts(seen)
        differences.append(
            Difference(
                host=host,
                model=service.name if service else unit.partition("-")[2].rpartition(".service")[0],
                unit=unit,
                change=_change(step, bool(installed)),
                why=step["why"],
                causes=tuple(step["causes"]),
                before=installed,
                after=_planned_facts(service) if service else {},
                drop_ins=tuple(seen.get("drop_ins", ())),
                drift=tuple(seen.get("drift", ())),
                replaced=tuple(seen.get("replaced", ())),
                replaced_driver=tuple(seen.get("replaced_driver", ())),
            )
        )
    return differences


def _installed_facts(seen: UnitFacts) -> UnitFacts:
    return cast(UnitFacts, {key: value for key, value in seen.items() if key in FACTS})


def _change(step: StepForm, installed: bool) -> str:
    if step["verb"] == "remove":
        return "removed"
    if step["verb"] in ("start", "restart"):
        if not installed:
            return "started"
        causes = {(cause["what"], cause["name"]) for cause in step["causes"]}
        return "moved" if causes and causes <= PLACE else "restarted"
    return "rewritten" if step["write"] or step["enable"] else "unchanged"


def _planned_facts(service: Service) -> UnitFacts:
    return {
        "release": service.release,
        "kind": service.kind,
        "gpus": list(service.gpus),
        "address": service.address,
        "port": service.port,
        "weights": origin(service.weights),
    }


def _pair_moves(differences: Sequence[Difference]) -> list[Difference]:
    """Each removal of a model with a start of it elsewhere, first with first; what is left over stays as it was."""
    leaving: dict[str, list[str]] = {}
    coming: dict[str, list[str]] = {}
    for difference in differences:
        if difference.change == "removed":
            leaving.setdefault(difference.model, []).append(difference.host)
        elif difference.change == "started":
            coming.setdefault(difference.model, []).append(difference.host)
    pairs = [(model, *pair) for model, hosts in leaving.items() for pair in zip(hosts, coming.get(model, []))]
    goes_to = {(model, old): new for model, old, new in pairs}
    came_from = {(model, new): old for model, old, new in pairs}
    return [_moved(d, goes_to.get((d.model, d.host), ""), came_from.get((d.model, d.host), "")) for d in differences]


def _moved(difference: Difference, goes_to: str, came_from: str) -> Difference:
    if not goes_to and not came_from:
        return difference
    why = f"to {goes_to}" if goes_to else f"from {came_from}"
    return replace(difference, change="moved", why=why, goes_to=goes_to, came_from=came_from)


def count(differences: Sequence[Difference]) -> dict[str, int]:
    """How many of each change; the two halves of a move between hosts are one."""
    counts = dict.fromkeys(CHANGES, 0)
    for difference in differences:
        if not difference.goes_to:
            counts[difference.change] += 1
    return counts
