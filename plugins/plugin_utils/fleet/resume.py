"""What one host needs of a rollout, given what is seen of it: also of one that an earlier, dead rollout left half done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# How the reasons begin that the toolkit gives for its drains; any other reason is an operator's.
OURS = ("rollout ", "rollback ", "retire ", "driver ")


@dataclass(frozen=True)
class Seen:
    """`units`: "planned" (all run as planned), "failed" (written as planned, and one does not run) or "other";
    `outcome`: that of the generation which is installed, "" where it is none; `drained`: "", "rollout" or "operator";
    `previous`: the generation to go back to, 0 for none; `differing`: topics beside the units that are not as planned."""

    units: str
    outcome: str = ""
    drained: str = ""
    reachable: bool = True
    previous: int = 0
    differing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Need:
    """`action` is nothing, leave, unreachable, undrain, prove, switch or take_back; `why` for the terminal.

    A host that is `resumed` comes before all others.
    """

    action: str
    why: str
    resumed: bool = False


def need(seen: Seen) -> Need:
    """One host's need.

    - Units that are not as planned are switched, whoever drained the host; an operator's drain stays afterwards.
    - Units as planned that were judged bad, by a rollout that died before it took them back, are taken back.
    - Units as planned that nobody has judged yet are proved before their host counts as done.
    - Where only something beside the units is not as planned, a switch brings that, and drains nothing.
    """
    ours = seen.drained == "rollout"
    left = "an earlier rollout left it drained" if ours else ""
    if not seen.reachable:
        return Need("unreachable", "it does not answer")
    if seen.units == "other":
        return Need("switch", left or "its units change", ours)
    if seen.outcome == "failed" and seen.previous:
        return Need("take_back", "an earlier rollout judged its units bad and did not take them back", True)
    if seen.units == "failed":
        return Need("switch", left or "a unit does not run", ours or seen.outcome == "pending")
    if seen.outcome in ("pending", "active", "failed"):
        return Need("prove", left or "its units have not been proved yet", ours)
    if seen.differing:
        return Need("switch", left or f"{', '.join(seen.differing)}: not as planned", ours)
    if ours:
        return Need("undrain", left, True) if seen.outcome else Need("prove", left, True)
    if seen.drained:
        return Need("leave", "as planned, and drained by an operator")
    return Need("nothing", "as planned")


def units_seen(steps: Sequence[Mapping[str, object]]) -> str:
    """`Seen.units` from the steps of host_state."""
    changing = [s for s in steps if s["verb"] != "keep" or s.get("write") or s.get("enable")]
    if not changing:
        return "planned"
    idle = all(step["verb"] in ("start", "wait") and not step.get("write") for step in changing)
    return "failed" if idle else "other"
