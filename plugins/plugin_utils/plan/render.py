"""What would change, for a person (a table, and what makes each restart under it) and for a machine (one document)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.units.causes import Cause, shorten
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
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import Column, Row, counted, fleet_table
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.words import filled

# Of the document. Raised when a key goes or changes its meaning; new keys may come at any time.
SCHEMA = 1
# Of a reason why a host was not read: ssh may have said a page.
WIDEST = 110
COLUMNS = (Column("HOST"), Column("MODEL"), Column("CHANGE"), Column("WHY", wraps=True))
TONES = {
    **dict.fromkeys(("started", "installed", "fetched", "pushed"), ADDED),
    **dict.fromkeys(("restarted", "moved", "rewritten"), CHANGED),
    "removed": REMOVED,
    **dict.fromkeys(("refused", "unreachable", "failed"), WRONG),
}
_SIGNS = {"+ ": ADDED, "- ": REMOVED, "! ": CHANGED}
# Where weights come from, and what is done about those that are not on the host whole.
_WEIGHTS = {"hub": "fetched", "pushed": "pushed", "host": "refused"}


def comparison(
    plan: FleetPlan, differences: Sequence[Difference], answers: Mapping[str, Any], screen: Screen = PAPER
) -> str:
    """The table, the details under it, and all of it in one line."""
    more = details(differences, answers, screen)
    parts = [difference_table(plan, differences, answers, screen), *([more] if more else [])]
    return "\n".join([*parts, "", screen.sentence(summary(differences, answers))])


def difference_table(
    plan: FleetPlan,
    differences: Sequence[Difference],
    answers: Mapping[str, Any],
    screen: Screen = PAPER,
) -> str:
    """One line per host and model, and one for each engine, weights or file that would come or go.

    `answers`: host to what host_state returned.
    """
    hosts: list[tuple[str, list[Row]]] = []
    of_host: dict[str, list[Difference]] = {}
    for difference in differences:
        of_host.setdefault(difference.host, []).append(difference)
    for host in plan.hosts:
        if host not in answers:
            continue
        answer = answers[host]
        if answer["status"] != "read":
            hosts.append((host, [_row("", answer["status"], shorten(answer["why"], WIDEST))]))
            continue
        rows = [_row(*told) for told in _host_rows(plan.hosts[host], answer)]
        rows += [_row(d.model, d.change, "" if d.why == "as planned" else d.why) for d in of_host.get(host, [])]
        if not of_host.get(host):
            rows.append(_row("(no model)", "unchanged", ""))
        hosts.append((host, rows))
    return "\n".join(fleet_table(COLUMNS, hosts, screen))


def _row(model: str, change: str, why: str) -> Row:
    return Row((model, change, why), TONES.get(change, ""))


def _host_rows(planned: HostPlan, answer: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for refusal in answer["refusals"]:
        yield "(host)", "refused", refusal
    engine = answer["engine"]
    if engine.get("install"):
        yield f"(engine {engine['release']})", "installed", engine["why"]
    if engine.get("packages"):
        yield "(packages)", "installed", ", ".join(engine["packages"])
    for release in engine.get("remove", []):
        yield f"(engine {release})", "removed", "no longer used"
    for item in _weights(planned, answer):
        # A refusal of weights has its line among the host's.
        if item["change"] not in ("unchanged", "refused"):
            yield f"(weights {item['name']})", item["change"], item["why"]
    for path in answer["files"]:
        yield "(file)", "rewritten", path


def _weights(planned: HostPlan, answer: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for item, seen in zip(planned.weights, answer["weights"]):
        change = {"present": "unchanged", "unknown": "unknown"}.get(seen["state"], _WEIGHTS[item.source])
        name = item.repo or (item.pushed_from or item.path).rstrip("/").rpartition("/")[2]
        why = seen["detail"] or {"absent": "not on the host"}.get(seen["state"], "")
        yield {"path": item.path, "name": name, "change": change, "why": why}


def details(differences: Sequence[Difference], answers: Mapping[str, Any], screen: Screen = PAPER) -> str:
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
    partly = [host for host, answer in answers.items() if answer["status"] == "read" and not answer["whole"]]
    if partly:
        were = "were" if len(partly) > 1 else "was"
        unseen = f"{were} read without root: changed secrets and environments of running units stay unseen"
        lines += ["", screen.sentence(f"{said(partly)} {unseen}")]
    return "\n".join(lines)


def _drop_in(item: Mapping[str, Any]) -> str:
    newer = "; newer than the process" if item["newer"] else ""
    return f"drop-in {item['path']} sets {', '.join(item['sets']) or 'nothing'}{newer}"


def summary(differences: Sequence[Difference], answers: Mapping[str, Any]) -> str:
    """All of it in one line."""
    counts = [f"{number} {change}" for change, number in count(differences).items() if number]
    states = [answer["status"] for answer in answers.values()]
    lost = [f"{counted(states.count(state), 'host')} {state}" for state in ("unreachable", "failed") if state in states]
    return ", ".join([*counts, *lost]) or "no model planned, none installed"


def pending(plan: FleetPlan, differences: Sequence[Difference], answers: Mapping[str, Any]) -> bool:
    """Whether a deployment would change anything on a host that was read."""
    read = {host: answer for host, answer in answers.items() if answer["status"] == "read"}
    rows = (row for host, answer in read.items() for row in _host_rows(plan.hosts[host], answer))
    return any(d.change != "unchanged" for d in differences) or any(change != "refused" for __, change, __ in rows)


def document(
    plan: FleetPlan, digest: str, differences: Sequence[Difference] | None, answers: Mapping[str, Any]
) -> dict[str, Any]:
    """Plan and differences as one JSON-ready document; `differences` is null where no host was asked."""
    told: dict[str, Any] = {"schema": SCHEMA, "digest": digest, "plan": plan.document(), "differences": None}
    if differences is not None:
        models: dict[str, list[dict[str, Any]]] = {}
        for difference in differences:
            models.setdefault(difference.host, []).append(asdict(difference))
        hosts = {host: _host_document(plan.hosts[host], answers.get(host), models.get(host, [])) for host in plan.hosts}
        told["differences"] = {"counts": count(differences), "hosts": hosts}
    return told


def _host_document(
    planned: HostPlan, answer: Mapping[str, Any] | None, models: list[dict[str, Any]]
) -> dict[str, object]:
    if answer is None:
        return {"status": "not asked"}
    if answer["status"] != "read":
        return dict(answer)
    return {
        "status": "read",
        "whole": answer["whole"],
        "refusals": answer["refusals"],
        "engine": answer["engine"],
        "weights": list(_weights(planned, answer)),
        "files": answer["files"],
        "models": models,
    }
