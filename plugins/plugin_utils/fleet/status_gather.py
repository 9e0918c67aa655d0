"""What runs in a fleet beside what is planned: pure, from the plan and from what hosts and gateways said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.answer import FilesetDifference, HostAnswer
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.host import (
    CANARY,
    FIREWALL,
    GATEWAY,
    REFUSED,
    host_changes,
    refusals,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import READ
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.compare import Difference, compare_host
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import HostPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

READY, DRAINED, MAINTENANCE, DOWN, ABSENT, UNKNOWN = "ready", "drained", "maintenance", "down", "not routed", "?"
# Of endpoint_check's results: an endpoint that was not asked is neither.
ANSWERS, FAILS, NOT_ASKED = "answers", "fails", "not asked"


@dataclass(frozen=True)
class Endpoint:
    """One model on one host, planned or installed.

    `since`: ISO 8601 by the host's clock, `seconds` the age of its process, both None where nothing runs; `health`:
    `ANSWERS`, `FAILS` or `NOT_ASKED`, with `why` and how many seconds the request took; `gateways`: what each gateway
    makes of it; `drift`: how it differs from the plan, one line each; `replaced`: paths of programs and libraries that an
    update replaced under it; `replaced_driver`: those of the driver's among them that the module in the kernel is not of.
    """

    host: str
    model: str
    unit: str
    kind: str
    release: str
    state: str
    since: str | None
    seconds: float | None
    restarts: int
    health: str
    why: str
    asked_seconds: float | None
    gateways: Mapping[str, str]
    drift: tuple[str, ...]
    drop_ins: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    replaced_driver: tuple[str, ...] = ()


@dataclass(frozen=True)
class Host:
    """`status` is read, unreachable or failed, the latter two with `why`; `drift` beside that of its models; `upkeep` as
    module host_state returns it."""

    name: str
    status: str
    why: str = ""
    generation: Mapping[str, Any] = field(default_factory=dict)
    canary: Mapping[str, Any] | None = None
    drift: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    upkeep: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Gateway:
    """`servers`, `drains`, `replaced` and `certificate` as module gateway_server returns them; `drift`: how its files differ
    from the plan."""

    name: str
    status: str
    why: str = ""
    running: bool = False
    servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    drains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    replaced: Mapping[str, Sequence[str]] = field(default_factory=dict)
    certificate: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fleet:
    """All of it. `lock` is the record of who changes the fleet now, None where nobody does."""

    hosts: tuple[Host, ...]
    gateways: tuple[Gateway, ...]
    lock: Mapping[str, Any] | None


def answer(registered: Mapping[str, Any] | None, key: str) -> dict[str, Any]:
    """What a host's task left, with `status` and `why`; `key` is what a good answer holds."""
    said = dict(registered or {})
    if "status" in said:
        return said
    if said.get("unreachable"):
        return {"status": "unreachable", "why": one_line(said.get("msg", ""))}
    if said.get("failed") or key not in said:
        return {"status": "failed", "why": one_line(said.get("msg") or "it was not asked")}
    return {**said, "status": "read"}


def held(registered: Iterable[Mapping[str, Any] | None], looks: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The record of who holds the fleet, from loops of module fleet_lock (query) over gateways, else from looks at hosts."""
    asked = [said for looped in registered for said in (looped or {}).get("results", [])]
    return next((dict(said["holder"]) for said in (*asked, *looks) if said.get("holder")), None)


def one_line(text: object) -> str:
    """Any value as text on one line, with single blanks."""
    return " ".join(str(text).split())


def look_at_gateway(name: str, look: HostAnswer) -> Gateway:
    """A gateway from the look at its host (difference.look.read_look)."""
    if look["status"] != READ:
        return Gateway(name, look["status"], look["why"])
    return read_gateway(name, look["gateway"], look["filesets"].get(GATEWAY))


def read_gateway(name: str, registered: Mapping[str, Any] | None, files: FilesetDifference | None = None) -> Gateway:
    """A gateway from what module gateway_server (query) left of it, and from what would be done about its files."""
    said = answer(registered, "running")
    drift = tuple(_files_drift(files)) if files is not None else ()
    if said["status"] != READ:
        return Gateway(name, said["status"], said["why"], drift=drift)
    servers, drains = said.get("servers") or {}, said.get("drains") or {}
    extras = (said.get("replaced") or {}, said.get("certificate") or {})
    return Gateway(name, READ, "", bool(said["running"]), servers, drains, drift, *extras)


def _files_drift(files: FilesetDifference) -> Iterator[str]:
    yield from (one_line(why) for why in files["unknown"])
    if files["steps"]:
        yield f"not as planned: would {', '.join(files['steps'])}"


def read_host(
    name: str,
    planned: HostPlan,
    look: HostAnswer,
    gateways: Sequence[Gateway],
) -> Host:
    """One host from its plan and the look at it (difference.look.read_look)."""
    if look["status"] != READ:
        return Host(name, look["status"], look["why"])
    health = {result["unit"]: result for result in look["answers"]}
    services = {service.unit: service for service in planned.services}
    endpoints = tuple(
        _endpoint(difference, services.get(difference.unit), look["units"], health, look["unasked"], gateways)
        for difference in compare_host(name, planned.services, look)
    )
    drift = tuple(_host_drift(planned, look))
    return Host(name, READ, "", look["generation"], look["canary"], drift, endpoints, look["upkeep"])


def _endpoint(
    difference: Difference,
    service: Service | None,
    units: Mapping[str, Mapping[str, Any]],
    health: Mapping[str, Mapping[str, Any]],
    not_asked: str,
    gateways: Sequence[Gateway],
) -> Endpoint:
    unit = units.get(difference.unit, {})
    verdict, why, seconds = _health(health.get(difference.unit), not_asked)
    return Endpoint(
        host=difference.host,
        model=difference.model,
        unit=difference.unit,
        kind=unit.get("kind") or (service.kind if service else ""),
        release=unit.get("release", ""),
        state=unit.get("state", ""),
        since=unit.get("since"),
        seconds=unit.get("seconds"),
        restarts=unit.get("restarts", 0),
        health=verdict,
        why=why,
        asked_seconds=seconds,
        gateways={gateway.name: _server(gateway, difference.model, difference.host) for gateway in gateways},
        drift=tuple(_drift(difference)),
        drop_ins=tuple(item["path"] for item in difference.drop_ins),
        replaced=difference.replaced,
        replaced_driver=difference.replaced_driver,
    )


def _health(result: Mapping[str, Any] | None, not_asked: str) -> tuple[str, str, float | None]:
    if result is None:
        return NOT_ASKED, not_asked, None
    failed = [check for check in result["checks"] if not check["passed"] and not check["skipped"]]
    if failed:
        first = failed[0]
        return FAILS, f"{first['name']}: observed {first['observed']}, expected {first['expected']}", None
    # The last check is the request itself; what came before it asked no engine.
    return ANSWERS, "", round(sum(c["seconds"] for c in result["checks"] if c["name"] not in ("healthy", "listed")), 3)


def _drift(difference: Difference) -> list[str]:
    change = {
        "removed": "not planned",
        "started": "not installed",
        "rewritten": difference.why,
        "unchanged": "",
    }.get(difference.change, f"would be {difference.change}: {difference.why}")
    return [line for line in (change, *difference.drift) if line]


def _host_drift(planned: HostPlan, look: HostAnswer) -> Iterator[str]:
    """A line for each change of a deployment, but for releases that nobody uses any more and weights that could not be read."""
    yield from refusals(planned, look)
    for change in host_changes(planned, look):
        if change.change == REFUSED:
            continue
        if change.topic in (FIREWALL, CANARY):
            yield f"{change.topic}: not as planned: would {change.why}"
        elif change.item == "(packages)":
            yield f"packages are missing: {change.why}"
        elif change.item == "(file)":
            yield f"{change.why} is not as planned"
        elif change.change not in ("removed", "unknown"):
            yield f"{change.item.strip('()')}: {change.why}"


def _server(gateway: Gateway, model: str, host: str) -> str:
    if gateway.status != "read":
        return UNKNOWN
    server = gateway.servers.get(model, {}).get(host)
    if server is None:
        return ABSENT if gateway.running else DOWN
    if server["admin"] != READY:
        return DRAINED if server["admin"] == "drained" else MAINTENANCE
    return READY if server["up"] and gateway.running else DOWN
