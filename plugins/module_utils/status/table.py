"""The state of a fleet for a person: one table, and under it whatever needs a sentence."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.plan.table import table
from ansible_collections.baremetal.vllm.plugins.module_utils.service.causes import shorten
from ansible_collections.baremetal.vllm.plugins.module_utils.status.document import (
    fleet_problems,
    host_problems,
    notices,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.status.gather import (
    ANSWERS,
    Endpoint,
    Fleet,
    Gateway,
    Host,
)

HEADINGS = ("HOST", "MODEL", "KIND", "RELEASE", "SINCE", "RESTARTS", "HEALTH", "GATEWAY", "DRIFT")
WIDEST = 60


def status_table(fleet: Fleet, now: datetime.datetime) -> str:
    """`now` is the control node's time: a start is so many seconds before it, whatever a host's clock says."""
    rows: list[tuple[object, ...]] = []
    for host in fleet.hosts:
        rows += [_row(endpoint, now) for endpoint in host.endpoints]
        if not host.endpoints:
            empty = "(no model)" if host.status == "read" else f"({host.status})"
            rows.append((host.name, empty, *[""] * (len(HEADINGS) - 3), shorten(host.why, WIDEST)))
    return table(HEADINGS, rows)


def _row(endpoint: Endpoint, now: datetime.datetime) -> tuple[object, ...]:
    since = "-"
    if endpoint.seconds is not None:
        since = (now - datetime.timedelta(seconds=endpoint.seconds)).strftime("%Y-%m-%d %H:%M")
    health = f"{endpoint.asked_seconds:.2f} s" if endpoint.health == ANSWERS else endpoint.health.upper()
    return (
        endpoint.host,
        endpoint.model,
        endpoint.kind or "-",
        endpoint.release or "-",
        since,
        endpoint.restarts,
        health,
        _gateways(endpoint.gateways),
        shorten("; ".join(endpoint.drift), WIDEST) or "-",
    )


def _gateways(states: Mapping[str, str]) -> str:
    """One word where all gateways agree."""
    if len(set(states.values())) <= 1:
        return next(iter(states.values()), "-")
    return ", ".join(f"{gateway} {state}" for gateway, state in states.items())


def notes(fleet: Fleet) -> str:
    """Gateways, lock, generations that did not end well, what is worth knowing, then one line that sums up and every problem."""
    lines = [_gateway(gateway) for gateway in fleet.gateways]
    if fleet.lock is not None:
        held = fleet.lock
        lines.append(f"lock: held by {held.get('who', '?')} since {held.get('since', '?')} ({held.get('what', '?')})")
    for host in fleet.hosts:
        lines += _generation(host)
    known = notices(fleet)
    lines += ["worth knowing:", *(f"  {line}" for line in known)] if known else []
    problems = fleet_problems(fleet)
    problems += [f"{host.name}: {line}" for host in fleet.hosts for line in host_problems(host, fleet)]
    number = sum(len(host.endpoints) for host in fleet.hosts)
    seen = f"{number} endpoint{'s' * (number != 1)} on {len(fleet.hosts)} host{'s' * (len(fleet.hosts) != 1)}"
    if not problems:
        return "\n".join([*lines, f"{seen}: all as planned, all answer"])
    return "\n".join([*lines, f"{seen}; not as it should be:", *(f"  {problem}" for problem in problems)])


def _gateway(gateway: Gateway) -> str:
    if gateway.status != "read":
        return f"gateway {gateway.name}: {gateway.status}"
    servers = [server for hosts in gateway.servers.values() for server in hosts.values()]
    ready = sum(1 for server in servers if server["admin"] == "ready" and server["up"])
    sessions = sum(int(server.get("sessions", 0)) for server in servers)
    running = "up" if gateway.running else "down"
    return f"gateway {gateway.name}: {running}, {ready} of {len(servers)} servers ready, {sessions} requests under way"


def _generation(host: Host) -> Iterator[str]:
    kept, current = host.generation.get("kept"), host.generation.get("current", 0)
    if not kept:
        return
    newest = kept[-1]
    if newest["outcome"] not in ("active", "proven") or newest["number"] != current:
        runs = f"what is installed is generation {current}" if current else "what is installed is of no generation"
        yield f"{host.name}: generation {newest['number']} ({newest['created']}) ended {newest['outcome']}; {runs}"
