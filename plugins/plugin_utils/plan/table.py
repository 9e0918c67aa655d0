"""The planned fleet for people at a terminal."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import with_port
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Memory, Service
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import PAPER, Screen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import Column, Row, counted, fleet_table

COLUMNS = (
    *(Column(name) for name in ("HOST", "MODEL", "KIND", "GPUS", "WEIGHTS", "LONGEST", "LISTENS ON", "RELEASE")),
    Column("FROM"),
)


def plan_table(plan: FleetPlan, screen: Screen = PAPER) -> str:
    """The fleet as planned: one line per endpoint, in the inventory's order; `?` where the memory is not known."""
    hosts: list[tuple[str, list[Row]]] = []
    unknown: dict[str, dict[str, None]] = {}
    for host, planned in plan.hosts.items():
        rows = [_row(service) for service in planned.services]
        hosts.append((host, rows or [Row(("(no model)", *[""] * (len(COLUMNS) - 2)))]))
        for service in planned.services:
            for what in (service.memory or Memory()).unknown:
                unknown.setdefault(what, {})[service.name] = None
    notes = [screen.sentence(f"not known of {some(list(names))}: {what}") for what, names in unknown.items()]
    return "\n".join([*fleet_table(COLUMNS, hosts, screen), "", *notes, screen.sentence(_total(plan))])


def _row(service: Service) -> Row:
    gpus = ",".join(str(i) for i in service.gpus) or service.accelerator
    where = with_port(service.address, service.port)
    named = (service.name, service.kind, gpus, *_memory(service.memory or Memory()), where)
    return Row((*named, service.release, service.origin))


def _total(plan: FleetPlan) -> str:
    """What the fleet has, in one line."""
    hosts = plan.hosts.values()
    services = [service for planned in hosts for service in planned.services]
    models = len({service.name for service in services})
    parts = [f"{counted(len(services), 'endpoint')} of {counted(models, 'model')} on {counted(len(hosts), 'host')}"]
    gpus = sum(planned.host.gpu_count for planned in hosts if planned.host)
    if gpus:
        used = sum(len({gpu for service in planned.services for gpu in service.gpus}) for planned in hosts)
        parts.append(f"{used} of {counted(gpus, 'GPU')} in use")
    return "; ".join(parts)


def _memory(memory: Memory) -> tuple[str, str]:
    """Weights of the memory of each GPU in GiB, and the longest request that fits in tokens."""
    weights = "?" if memory.weights is None else f"{memory.weights / 2**30:.1f}"
    whole = "" if memory.gpu is None else f" of {memory.gpu / 2**30:.0f} GiB"
    return weights + whole, "?" if memory.longest is None else str(memory.longest)
