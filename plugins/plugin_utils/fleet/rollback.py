"""Which kept generation of a host a rollback means, and what going there changes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.units.generations import SERVED
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Registered

PREVIOUS = "previous"
_DIGEST = re.compile(r"[0-9a-f]{4,64}")


class NoWayBackError(Exception):
    """A host that cannot go where it was asked to, with the reason and what it does keep."""


@dataclass(frozen=True)
class Change:
    """What a host served from some time on. `number`: its generation; `plan`: the digest of the plan it is of; `returned`:
    whether somebody went back to it; `age`: seconds since it was first put there, by the host's own clock; `outcome`: of
    the generation."""

    number: int
    plan: str
    returned: bool
    age: float
    outcome: str

    @property
    def what(self) -> tuple[str, bool]:
        """The same on all hosts that it reached."""
        return self.plan, self.returned


@dataclass(frozen=True)
class Meaning:
    """What `rollback_to` means in a fleet. `last`: `Change.what` of its last change; `age`: of the plan that was named."""

    to: str
    last: tuple[str, bool] | None = None
    age: float = math.inf


def mistake(to: str) -> str:
    """What is wrong with `rollback_to` for every host; "" where nothing is."""
    if to == PREVIOUS or to.isdecimal() or _DIGEST.fullmatch(to):
        return ""
    return (
        f"rollback_to: {to!r} names no generation. Write previous, the number of a generation, or at least four digits of "
        "a plan's digest (rollback_to=0 is refused with all that each host keeps)."
    )


def meaning(to: str, fleet: Iterable[Registered]) -> Meaning:
    """`rollback_to` for the hosts that go back together; `fleet` is what the module generations returned on each of them.

    A change need not have touched every host: the others were in the state that it is taken back to all the time. So
    `previous` undoes the last change of the fleet where it was made, and a plan's digest is the fleet under that plan.
    """
    if to == PREVIOUS:
        return Meaning(to, _last([history(kept) for kept in fleet if kept["current"]]))
    ages = [change.age for kept in fleet for change in history(kept) if _is_of(change.plan, to)]
    return Meaning(to, age=min(ages, default=math.inf))


def _last(histories: Sequence[Sequence[Change]]) -> tuple[str, bool] | None:
    """The change that is undone: the newest one; or that which an unfinished way back has not yet undone everywhere."""
    if not histories:
        return None
    newest = min(histories, key=lambda changes: changes[-1].age)
    if newest[-1].returned and len(newest) > 1 and any(h[-1].what == newest[-2].what for h in histories):
        return newest[-2].what
    return newest[-1].what


def history(kept: Registered) -> list[Change]:
    """What a host served one after the other, and last what is installed. What failed and was taken back is no change."""
    found: list[Change] = []
    units: dict[str, str] | None = None
    for generation in kept["generations"]:
        number, outcome = int(generation["number"]), str(generation["outcome"])
        if number > (kept["current"] or number) or (outcome not in SERVED and number != kept["current"]):
            continue
        digests = {unit: facts["digest"] for unit, facts in generation["units"].items()}
        if digests == units:
            found[-1] = replace(found[-1], number=number, outcome=outcome)
        else:
            age = math.inf if generation.get("age") is None else float(generation["age"])
            found.append(Change(number, generation["plan"], bool(generation.get("returned")), age, outcome))
        units = digests
    return found


def target(kept: Registered, meant: Meaning) -> int:
    """The generation that is meant on a host, which may be the installed one. `kept` is what the module generations returned.

    Raises:
        NoWayBackError: where it keeps no such generation, or one that failed.
    """
    generations = kept["generations"]
    if meant.to == PREVIOUS:
        return _previous(kept, meant)
    named = [g for g in generations if meant.to.isdecimal() and g["number"] == int(meant.to)]
    named = named or [g for g in generations if _is_of(g["plan"], meant.to)]
    if not named:
        under = [change for change in history(kept) if change.age >= meant.age < math.inf]
        if not under:
            raise NoWayBackError(f"it keeps no generation {meant.to} ({_kept(generations)})")
        return under[-1].number
    found = named[-1]
    if found["outcome"] not in SERVED:
        raise NoWayBackError(f"its generation {found['number']} never served ({_kept(generations)})")
    return int(found["number"])


def _previous(kept: Registered, meant: Meaning) -> int:
    changes: Sequence[Change] = history(kept)
    undone = bool(changes) and changes[-1].what == meant.last
    if kept["current"]:
        unfinished = changes[-1].returned and changes[-1].outcome in ("pending", "active")
        if unfinished or not undone:
            return int(kept["current"])
    # A host whose units are of no generation is in no state that anybody wanted: it goes where the others go.
    if undone:
        changes = changes[:-1]
    if not changes:
        raise NoWayBackError(f"it keeps no earlier generation that served ({_kept(kept['generations'])})")
    return changes[-1].number


def _is_of(plan: str, to: str) -> bool:
    return len(to) >= 4 and plan.startswith(to)


def steps(kept: Registered, number: int) -> list[dict[str, object]]:
    """What going to a generation does to each unit, as host_state says it of a plan: unit, verb, write, enable.

    Where the installed units are those of no generation, each of them counts as changed.
    """
    by_number = {g["number"]: g["units"] for g in kept["generations"]}
    now, then = by_number.get(kept["current"], {}), by_number[number]
    found = []
    for unit in then:
        verb = "start" if unit not in now else "keep" if now[unit]["digest"] == then[unit]["digest"] else "restart"
        verb = "restart" if verb == "start" and not kept["current"] else verb
        found.append({"unit": unit, "verb": verb, "write": verb != "keep", "enable": False})
    gone = [{"unit": unit, "verb": "remove", "write": False, "enable": False} for unit in now if unit not in then]
    return [*found, *gone]


def told(generation: Registered) -> str:
    """A generation as people know it."""
    releases = ", ".join(generation.get("releases", ()))
    made_by = f"of plan {generation['plan'][:8]}" if generation["plan"] else "of an unknown plan"
    return f"generation {generation['number']} {made_by}" + (f" (vLLM {releases})" if releases else "")


def _kept(generations: Any) -> str:
    told = [f"{g['number']} of plan {g['plan'][:8] or 'unknown'}, {g['outcome']}" for g in generations]
    return "it keeps " + "; ".join(told) if told else "it keeps none"
