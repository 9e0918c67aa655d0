"""What would change, for a person (a table, and what makes each restart under it) and for a machine (one document)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from ansible_collections.baremetal.vllm.plugins.module_utils.units.causes import Cause, shorten
from ansible_collections.baremetal.vllm.plugins.module_utils.units.observe import DropIn
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.answer import HostAnswer
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.host import (
    REFUSED,
    TOPICS,
    host_changes,
    refusals,
    topics,
    weights_changes,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.compare import Difference, count
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, HostPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.hosts import said
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import (
    ADDED,
    CHANGED,
    PAPER,
    REMOVED,
    WRONG,
    Screen,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import (
    Column,
    Row,
    by_reason,
    counted,
    fleet_table,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.words import filled

# Of the document. Raised when a key goes or changes its meaning; new keys may come at any time.
SCHEMA = 1
# Of a reason why a host was not read: ssh may have said a page.
WIDEST = 110
COLUMNS = (Column("HOST"), Column("MODEL"), Column("CHANGE"), Column("WHY", wraps=True))
TONES = {
    **dict.fromkeys(("started", "installed", "fetched", "pushed", "adopted"), ADDED),
    **dict.fromkeys(("restarted", "moved", "rewritten", "changed"), CHANGED),
    "removed": REMOVED,
    **dict.fromkeys(("refused", "unreachable", "failed"), WRONG),
}
_SIGNS = {"+ ": ADDED, "- ": REMOVED, "! ": CHANGED}


def comparison(
    plan: FleetPlan, differences: Sequence[Difference], answers: Mapping[str, HostAnswer], screen: Screen = PAPER
) -> str:
    """The table, the details under it, and all of it in one line."""
    more = details(differences, answers, screen)
    parts = [difference_table(plan, differences, answers, screen), *([more] if more else [])]
    return "\n".join([*parts, "", screen.sentence(summary(differences, answers))])


def difference_table(
    plan: FleetPlan,
    differences: Sequence[Difference],
    answers: Mapping[str, HostAnswer],
    screen: Screen = PAPER,
) -> str:
    """One line per host and model, and one for each engine, weights or file that would come or go.

    `answers`: host to what host_state returned.
    """
    hosts: list[tuple[str, list[Row]]] = []
    of_host: dict[str, list[Difference]] = {}
    for difference in differences:
        of_host.setdefault(difference.host, []).append(difference)
    for host, answer in answers.items():
        if answer["status"] != "read":
            hosts.append((host, [_row("", answer["status"], shorten(answer["why"], WIDEST))]))
            continue
        planned = plan.hosts.get(host)
        rows = [_row(c.item, c.change, c.why) for c in host_changes(planned, answer)]
        rows += [_row(d.model, d.change, "" if d.why == "as planned" else d.why) for d in of_host.get(host, [])]
        if planned is not None and not of_host.get(host):
            rows.append(_row("(no model)", "unchanged", ""))
        elif not rows:
            rows.append(_row("(gateway)", "unchanged", ""))
        hosts.append((host, rows))
    return "\n".join(fleet_table(COLUMNS, hosts, screen))


def _row(model: str, change: str, why: str) -> Row:
    return Row((model, change, why), TONES.get(change, ""))


def details(differences: Sequence[Difference], answers: Mapping[str, HostAnswer], screen: Screen = PAPER) -> str:
    """Option by option what makes each restart, then what others changed and what could not be read."""
    hosts: dict[tuple[str, ...], list[str]] = {}
    for difference in differences:
        causes = [line for cause in difference.causes for line in Cause(**cause).lines()]
        notes = [*map(_drop_in, difference.drop_ins), *difference.drift]
        if causes or notes:
            hosts.setdefault((difference.model, difference.change, *causes, *notes), []).append(difference.host)
    lines: list[str] = []
    for (model, change, *told), names in hosts.items():
        lines += ["", *filled([*said(names).split(), f" {model}", f" {change}"], screen.width)]
        for line in told:
            lines += screen.lines(screen.sentence(line, "  ", "    ").splitlines(), _SIGNS.get(line[:2], ""))
    partly = [host for host, answer in answers.items() if answer["status"] == "read" and not answer.get("whole", True)]
    if partly:
        were = "were" if len(partly) > 1 else "was"
        unseen = f"{were} read without root: changed secrets and environments of running units stay unseen"
        lines += ["", screen.sentence(f"{said(partly)} {unseen}")]
    return "\n".join(lines)


def _drop_in(item: DropIn) -> str:
    newer = "; newer than the process" if item["newer"] else ""
    return f"drop-in {item['path']} sets {', '.join(item['sets']) or 'nothing'}{newer}"


def summary(differences: Sequence[Difference], answers: Mapping[str, HostAnswer]) -> str:
    """All of it in one line."""
    counts = [f"{number} {change}" for change, number in count(differences).items() if number]
    states = [answer["status"] for answer in answers.values()]
    lost = [f"{counted(states.count(state), 'host')} {state}" for state in ("unreachable", "failed") if state in states]
    return ", ".join([*counts, *lost]) or "no model planned, none installed"


def brief(topics_of: Mapping[str, Collection[str]]) -> str:
    """Where something differs, and in what: a line for each set of topics with the hosts that share it."""
    told = by_reason((host, tuple(topic for topic in TOPICS if topic in found)) for host, found in topics_of.items())
    lines = [
        f"{said(hosts)}: {', '.join(found)} differ{'s' if len(found) == 1 else ''}"
        if found
        else f"{said(hosts)}: as planned"
        for found, hosts in told.items()
    ]
    return "\n".join(lines)


def pending(plan: FleetPlan, differences: Sequence[Difference], answers: Mapping[str, HostAnswer]) -> bool:
    """Whether a deployment would change anything on a host that was read."""
    read = {host: answer for host, answer in answers.items() if answer["status"] == "read"}
    changes = (change for host, answer in read.items() for change in host_changes(plan.hosts.get(host), answer))
    return any(d.change != "unchanged" for d in differences) or any(change.change != REFUSED for change in changes)


def changed(
    plan: FleetPlan, differences: Sequence[Difference], answers: Mapping[str, HostAnswer]
) -> dict[str, dict[str, object]]:
    """By host that was read and is not as planned `topics`, `changes` and `models` as in `document`, of models only those that
    change."""
    models: dict[str, list[dict[str, object]]] = {}
    for difference in differences:
        if difference.change != "unchanged":
            models.setdefault(difference.host, []).append(asdict(difference))
    told = {}
    for host, answer in answers.items():
        if answer["status"] == "read" and (found := _what_changes(plan.hosts.get(host), answer))["topics"]:
            told[host] = {**found, "models": models.get(host, [])}
    return told


def _what_changes(planned: HostPlan | None, answer: HostAnswer) -> dict[str, object]:
    return {
        "topics": sorted(topics(planned, answer), key=TOPICS.index),
        "changes": [asdict(change) for change in host_changes(planned, answer)],
    }


def document(
    plan: FleetPlan, digest: str, differences: Sequence[Difference] | None, answers: Mapping[str, HostAnswer]
) -> dict[str, object]:
    """Plan and differences as one JSON-ready document; `differences` is null where no host was asked."""
    told: dict[str, object] = {"schema": SCHEMA, "digest": digest, "plan": plan.document(), "differences": None}
    if differences is not None:
        models: dict[str, list[dict[str, object]]] = {}
        for difference in differences:
            models.setdefault(difference.host, []).append(asdict(difference))
        gateways = plan.gateway.hosts if plan.gateway is not None else ()
        hosts = {
            host: _host_document(plan.hosts.get(host), answers.get(host), models.get(host, []))
            for host in dict.fromkeys((*plan.hosts, *gateways, *answers))
        }
        told["differences"] = {"counts": count(differences), "hosts": hosts}
    return told


def _host_document(
    planned: HostPlan | None, answer: HostAnswer | None, models: list[dict[str, object]]
) -> dict[str, object]:
    """What would become of one host; `planned` is None of one that is a gateway alone."""
    if answer is None:
        return {"status": "not asked"}
    if answer["status"] != "read":
        return dict(answer)
    return {
        "status": "read",
        "whole": answer.get("whole", True),
        "refusals": refusals(planned, answer),
        "engine": answer.get("engine", {}),
        "weights": list(weights_changes(planned, answer)) if planned is not None else [],
        "files": answer.get("files", []),
        **_what_changes(planned, answer),
        "models": models,
    }
