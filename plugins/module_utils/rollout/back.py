"""Which kept generation of a host a rollback means, and what going there changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PREVIOUS = "previous"
_DIGEST = re.compile(r"[0-9a-f]{4,64}")


class NoWayBackError(Exception):
    """A host that cannot go where it was asked to, with the reason and what it does keep."""


def mistake(to: str) -> str:
    """What is wrong with `rollback_to` for every host; "" where nothing is."""
    if to == PREVIOUS or to.isdecimal() or _DIGEST.fullmatch(to):
        return ""
    return (
        f"rollback_to: {to!r} names no generation. Write previous, the number of a generation, or at least four digits of "
        "a plan's digest (rollback_to=0 is refused with all that each host keeps)."
    )


def target(kept: Mapping[str, Any], to: str) -> int:
    """The generation that `to` means on a host, which may be the installed one. `kept` is what the module generations returned.

    Raises:
        NoWayBackError: where it keeps no such generation, or one that failed.
    """
    generations = kept["generations"]
    if to == PREVIOUS:
        if not kept["back"]:
            raise NoWayBackError(f"it keeps no earlier generation that served ({_kept(generations)})")
        return int(kept["back"])
    named = [g for g in generations if to.isdecimal() and g["number"] == int(to)]
    named = named or [g for g in generations if len(to) >= 4 and g["plan"].startswith(to)]
    if not named:
        raise NoWayBackError(f"it keeps no generation {to} ({_kept(generations)})")
    found = named[-1]
    if found["outcome"] not in ("active", "proven"):
        raise NoWayBackError(f"its generation {found['number']} never served ({_kept(generations)})")
    return int(found["number"])


def steps(kept: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
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


def told(generation: Mapping[str, Any]) -> str:
    """A generation as people know it."""
    releases = ", ".join(generation.get("releases", ()))
    made_by = f"of plan {generation['plan'][:8]}" if generation["plan"] else "of an unknown plan"
    return f"generation {generation['number']} {made_by}" + (f" (vLLM {releases})" if releases else "")


def _kept(generations: Any) -> str:
    told = [f"{g['number']} of plan {g['plan'][:8] or 'unknown'}, {g['outcome']}" for g in generations]
    return "it keeps " + "; ".join(told) if told else "it keeps none"
