"""The state of a fleet for a person: one table, and under it whatever needs a sentence."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.units.causes import shorten
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_document import (
    fleet_problems,
    host_problems,
    notices_of,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_gather import (
    ANSWERS,
    Endpoint,
    Fleet,
    Gateway,
    Host,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import CHANGED, PAPER, WRONG, Screen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import (
    Column,
    Figure,
    Row,
    counted,
    fleet_table,
    grouped,
)

COLUMNS = (
    *(Column(name) for name in ("HOST", "MODEL", "KIND", "RELEASE", "SINCE", "RESTARTS", "HEALTH", "GATEWAY")),
    Column("DRIFT", wraps=True),
)
# Of a reason why a host was not read: ssh may have said a page.
WIDEST = 110


def status_table(fleet: Fleet, now: datetime.datetime, screen: Screen = PAPER) -> str:
    """`now` is the control node's time: a start is so many seconds before it, whatever a host's clock says."""
    hosts: list[tuple[str, list[Row]]] = []
    for host in fleet.hosts:
        rows = [_row(endpoint, now) for endpoint in host.endpoints]
        if not rows:
            empty = "(no model)" if host.status == "read" else f"({host.status})"
            blank = [""] * (len(COLUMNS) - 3)
            rows = [Row((empty, *blank, shorten(host.why, WIDEST)), "" if host.status == "read" else WRONG)]
        hosts.append((host.name, rows))
    return "\n".join(fleet_table(COLUMNS, hosts, screen))


def _row(endpoint: Endpoint, now: datetime.datetime) -> Row:
    since: object = "-"
    if endpoint.seconds is not None:
        since = Figure((now - datetime.timedelta(seconds=endpoint.seconds)).timestamp(), _minute)
    answers = endpoint.health == ANSWERS
    values = (
        endpoint.model,
        endpoint.kind or "-",
        endpoint.release or "-",
        since,
        endpoint.restarts,
        Figure(endpoint.asked_seconds, _seconds)
        if answers and endpoint.asked_seconds is not None
        else endpoint.health.upper(),
        _gateways(endpoint.gateways),
        "; ".join(endpoint.drift) or "-",
    )
    return Row(values, "" if answers and not endpoint.drift else CHANGED if answers else WRONG)


def _minute(timestamp: float) -> str:
    return datetime.datetime.fromtimestamp(timestamp, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _gateways(states: Mapping[str, str]) -> str:
    """One word where all gateways agree."""
    if len(set(states.values())) <= 1:
        return next(iter(states.values()), "-")
    return ", ".join(f"{gateway} {state}" for gateway, state in states.items())


def notes(fleet: Fleet, screen: Screen = PAPER) -> str:
    """Gateways, lock, generations that did not end well, what is worth knowing, then one line that sums up and every problem."""
    lines = [_gateway(gateway) for gateway in fleet.gateways]
    if fleet.lock is not None:
        held = fleet.lock
        lines.append(f"lock: held by {held.get('who', '?')} since {held.get('since', '?')} ({held.get('what', '?')})")
    lines += grouped((host.name, line) for host in fleet.hosts for line in _generation(host))
    lines = [screen.sentence(line) for line in lines]
    known = grouped(notices_of(fleet))
    lines += ["worth knowing:", *(screen.sentence(line, "  ", "    ") for line in known)] if known else []
    problems = [("", line) for line in fleet_problems(fleet)]
    problems += [(host.name, line) for host in fleet.hosts for line in host_problems(host, fleet)]
    number = sum(len(host.endpoints) for host in fleet.hosts)
    seen = f"{counted(number, 'endpoint')} on {counted(len(fleet.hosts), 'host')}"
    if not problems:
        return "\n".join([*lines, screen.sentence(f"{seen}: all as planned, all answer")])
    lines += [screen.sentence(f"{seen}; not as it should be:")]
    for problem in grouped(problems):
        lines += screen.lines(screen.sentence(problem, "  ", "    ").splitlines(), WRONG)
    return "\n".join(lines)


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
        yield f"generation {newest['number']} ({newest['created']}) ended {newest['outcome']}; {runs}"
