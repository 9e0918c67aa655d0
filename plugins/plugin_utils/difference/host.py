"""What differs on one host beside its models: GPUs, engine, weights, files of units and around them, the gateway. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.answer import (
    FilesetDifference,
    HostAnswer,
    StepForm,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import HostPlan

# In the order in which they are brought about.
DRIVER, SETTINGS, GPUS, ACCEPTANCE = OF_GPUS = ("driver", "settings", "gpus", "acceptance")
ENGINE, WEIGHTS, FIREWALL, UNITS, CANARY = OF_ENGINES = ("engine", "weights", "firewall", "units", "canary")
GATEWAY = "gateway"
TOPICS = (*OF_GPUS, *OF_ENGINES, GATEWAY)
REFUSED = "refused"
_EQUAL: FilesetDifference = {"steps": (), "warnings": (), "unknown": ()}
# Where weights come from, and what is done about those that are not on the host whole.
_WEIGHTS = {"hub": "fetched", "pushed": "pushed", "host": REFUSED}
_STATES = {"present": "unchanged", "unknown": "unknown", "carried": "adopted", "refused": REFUSED}


@dataclass(frozen=True)
class HostChange:
    """One thing that a deployment would do on a host: to what (`item`), what (`change`: installed, removed, fetched, pushed,
    adopted, rewritten, changed), and why; or that it would be `REFUSED`."""

    topic: str
    item: str
    change: str
    why: str


def host_changes(planned: HostPlan | None, look: HostAnswer) -> Iterator[HostChange]:
    """What would change on a host that was read, beside its models, and what would be refused there.

    `planned` is None of a host that is a gateway alone.
    """
    if planned is not None:
        yield from _of_engines(planned, look)
    yield from _of_filesets(look, [GATEWAY])


def _of_engines(planned: HostPlan, look: HostAnswer) -> Iterator[HostChange]:
    for change, key in (("changed", "differs"), (REFUSED, "refused")):
        for topic, why in look["gpus"].get(key, {}).items():
            yield HostChange(topic, f"({topic})", change, why)
    engine = look["engine"]
    topic_of = {found["detail"]: WEIGHTS for found in look["weights"] if found["state"] == REFUSED}
    if "refused" in engine:
        topic_of[engine["refused"]] = ENGINE
    for refusal in look["refusals"]:
        yield HostChange(topic_of.get(refusal, UNITS), "(host)", REFUSED, refusal)
    if engine.get("install"):
        yield HostChange(ENGINE, f"(engine {engine['release']})", "installed", engine["why"])
    if engine.get("packages"):
        yield HostChange(ENGINE, "(packages)", "installed", ", ".join(engine["packages"]))
    for release in engine.get("remove", []):
        yield HostChange(ENGINE, f"(engine {release})", "removed", "no longer used")
    for item in weights_changes(planned, look):
        # A refusal of weights has its line among the host's.
        if item["change"] not in ("unchanged", REFUSED):
            yield HostChange(WEIGHTS, f"(weights {item['name']})", item["change"], item["why"])
    for line in look["weights_files"]:
        yield HostChange(WEIGHTS, "(weights)", "rewritten", line)
    yield from _of_filesets(look, [FIREWALL, CANARY])
    for path in look["files"]:
        yield HostChange(UNITS, "(file)", "rewritten", path)
    # Whatever else is done to units has systemd read everything in.
    if look["unread"] and not look["files"] and not any(_changes(step) for step in look["steps"]):
        yield HostChange(UNITS, "(systemd)", "changed", f"reads in the drop-ins of {', '.join(look['unread'])}")


def _of_filesets(look: HostAnswer, names: Sequence[str]) -> Iterator[HostChange]:
    for topic in names:
        found = look["filesets"].get(topic, _EQUAL)
        for why in found["unknown"]:
            yield HostChange(topic, f"({topic})", REFUSED, why)
        if found["steps"]:
            yield HostChange(topic, f"({topic})", "changed", ", ".join(found["steps"]))


def weights_changes(planned: HostPlan, look: HostAnswer) -> Iterator[dict[str, str]]:
    """Each item of weights: path, name, change (unchanged, unknown, fetched, pushed, adopted, refused) and why."""
    for item, seen in zip(planned.weights, look["weights"]):
        change = _STATES.get(seen["state"], _WEIGHTS[item.source])
        name = item.repo or (item.pushed_from or item.path).rstrip("/").rpartition("/")[2]
        why = seen["detail"] or {"absent": "not on the host"}.get(seen["state"], "")
        yield {"path": item.path, "name": name, "change": change, "why": why}


def refusals(planned: HostPlan | None, look: HostAnswer) -> list[str]:
    """What would keep a deployment of a host that was read from being done, one line each."""
    found = (change for change in host_changes(planned, look) if change.change == REFUSED)
    return [change.why if change.item == "(host)" else f"{change.topic}: {change.why}" for change in found]


def topics(planned: HostPlan | None, look: HostAnswer) -> set[str]:
    """The topics in which roles have something to do on a host that was read; what they would refuse is theirs to say."""
    found = {change.topic for change in host_changes(planned, look)} | {*look.get("forced", ())}
    if planned is None:
        return found
    if any(_changes(step) or step["verb"] == "wait" for step in look["steps"]) or look["doubts"]:
        found.add(UNITS)
    # Refusals of weights stand among the host's.
    if any(item["change"] == REFUSED for item in weights_changes(planned, look)):
        found.add(WEIGHTS)
    return found


def brought(planned: HostPlan, look: HostAnswer) -> list[str]:
    """The topics in which something would be brought to a host beside its models, in order; not what is only cleared away, and
    not what would be refused."""
    found = {c.topic for c in host_changes(planned, look) if c.change not in (REFUSED, "removed", "unknown")}
    return [topic for topic in OF_ENGINES if topic in found]


def _changes(step: StepForm) -> bool:
    return step["verb"] not in ("keep", "wait") or step["write"] or step["enable"]


def unproved(look: HostAnswer) -> list[str]:
    """Units of endpoints that no short proof will do for: the last full one does not count any more, or they failed."""
    answered = {answer["unit"] for answer in look["answers"] if answer["passed"] and answer["proved"]}
    kept = (step["unit"] for step in look["steps"] if step["verb"] == "keep")
    return [unit for unit in kept if unit not in answered]
