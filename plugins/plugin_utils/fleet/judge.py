"""The verdict over one switched host: whether it may serve clients again, and if not, for which causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.proved import Endpoint, explained, failed
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Registered

# The order in which a host goes through them.
PHASES = ("drain", "idle", "baseline", "close", "switch", "prove", "undrain", "soak", "mark")


@dataclass(frozen=True)
class Verdict:
    """`phase` is the first that went wrong, "" where all is good. `switched`: whether the units may have been touched;
    `reachable`: whether the host answered to the end."""

    good: bool
    causes: tuple[str, ...]
    phase: str
    switched: bool
    reachable: bool

    @property
    def take_back(self) -> bool:
        """Whether the units are to blame, and the host can be asked to go back to what served before."""
        return self.reachable and self.phase in ("switch", "prove", "soak")


@dataclass(frozen=True)
class Limit:
    """A first token may take `factor` times what it took before, and `slack` seconds: what takes 3 ms varies by more
    than any factor says."""

    factor: float = 2.0
    slack: float = 0.25

    def of(self, before: float) -> float:
        """The longest that a first token may take now, in seconds, if it took `before` seconds."""
        return before * self.factor + self.slack


def judge(
    phases: Mapping[str, Registered | None],
    before: Sequence[Endpoint],
    after: Sequence[Endpoint],
    limit: Limit,
    returning: bool = False,
    otherwise: str = "",
) -> Verdict:
    """Judge one host.

    `phases`: by name what Ansible registered, None where the phase did not run; `before` and `after`: results of
    endpoint_check, `before` being empty where nothing served.

    A check that failed before the switch as well is told as such and still is a failure: units that are switched in
    must be whole, or a rollout would spread what is broken. Only on the way back (`returning`) it is accepted, and
    first-token times are not compared: there the host shall be as it was, and no better. `otherwise`: what failed, where
    something is known to have; it is the cause where nothing that registered was bad.
    """
    done = {name: phases[name] for name in PHASES if ran(phases.get(name))}
    causes: list[str] = []
    first = ""
    for name, registered in done.items():
        found = [f"{name}: {text}" for text in troubles(registered)]
        causes += found
        first = first or (name if found else "")
    if not causes:
        causes = [*checks(before, after, returning), *([] if returning else slower(before, after, limit))]
        first = ("soak" if "soak" in done else "prove") if causes else ""
    if not causes and otherwise:
        first = "prove" if "switch" in done else "close"
        causes = [f"{first}: {otherwise}"]
    reachable = not any(_unreachable(registered) for registered in done.values())
    return Verdict(not causes, tuple(causes), first, "switch" in done, reachable)


def checks(before: Sequence[Endpoint], after: Sequence[Endpoint], returning: bool) -> list[str]:
    """One line for each check that failed, with what was observed and expected."""
    earlier = {(endpoint["model"], check["name"]) for endpoint in before for check in failed(endpoint)}
    lines = []
    for endpoint in after:
        at = f"{endpoint['model']} at {endpoint['url']}"
        for check in failed(endpoint):
            too = (endpoint["model"], check["name"]) in earlier
            if not (too and returning):
                told = " (it failed before the switch too)" if too else ""
                lines.append(f"{at}: {explained(check)}{told}")
        if not endpoint["passed"] and not failed(endpoint):
            lines.append(f"{at}: observed that no check could be tried, expected answers")
    return lines


def slower(before: Sequence[Endpoint], after: Sequence[Endpoint], limit: Limit) -> list[str]:
    """One line for each endpoint whose first token takes longer than allowed. One without figures is not compared."""
    figures = {endpoint["model"]: endpoint.get("first_token_seconds") for endpoint in before}
    lines = []
    for endpoint in after:
        was, now = figures.get(endpoint["model"]), endpoint.get("first_token_seconds")
        if was is not None and now is not None and now > limit.of(was):
            lines.append(
                f"{endpoint['model']} at {endpoint['url']}: first token: observed {now:.3f} s, expected at most "
                f"{limit.of(was):.3f} s ({limit.factor:g} times the {was:.3f} s from before, and {limit.slack:g} s; "
                "rollout_first_token_factor)"
            )
    return lines


def troubles(registered: Registered | None) -> list[str]:
    """What went wrong in one registered task, of a loop in each of its items; empty for nothing."""
    found: Registered = registered or {}
    items = [item for item in found.get("results", ()) if "ansible_loop_var" in item]
    bad = [f"{item.get('item')}: {_text(item)}" for item in items if item.get("failed") or item.get("unreachable")]
    if bad:
        return bad
    return [_text(found)] if found.get("failed") or found.get("unreachable") else []


def worked(registered: Registered | None) -> bool:
    """Whether a task ran without trouble, of a loop at least one of its items."""
    found: Registered = registered or {}
    items = [item for item in found.get("results", ()) if "ansible_loop_var" in item]
    return ran(registered) and any(not troubles(item) for item in (items or [found]))


def _text(registered: Registered) -> str:
    said = str(registered.get("msg") or registered.get("module_stderr") or "no reason was given").strip()
    return f"the host does not answer: {' '.join(said.split())}" if registered.get("unreachable") else said


def ran(registered: Registered | None) -> bool:
    """Whether a registered task ran at all."""
    return registered is not None and not registered.get("skipped")


def _unreachable(registered: Registered | None) -> bool:
    found: Registered = registered or {}
    # What loops, asks the gateways: one that does not answer says nothing of this host.
    return bool(found.get("unreachable")) and not any("ansible_loop_var" in item for item in found.get("results", ()))
