"""What must happen to each unit of a host: pure, from what is planned and what was observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import UnitState
from ansible_collections.baremetal.vllm.plugins.module_utils.units.causes import SECRETS, Cause, told
from ansible_collections.baremetal.vllm.plugins.module_utils.units.options import compare_commands
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.replaced import told as named
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitdiff import compare_rest, compare_units
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import edited, read_unit

EDITED = Cause("file", "its unit file was edited by hand")


@dataclass(frozen=True)
class Observed:
    """A unit as found: its file's text (None: no file), systemd's state, its process's digest and secrets up to date.

    `began` is the text that the process was started from, where the host still has it; `argv` its command line as the
    kernel shows it; `replaced`: files that were replaced under it, where it shall not go on with the old ones; `loose`: whether
    its file has another mode or owner than it was written with.
    """

    text: str | None
    state: UnitState
    digest: str
    secrets_current: bool
    began: str | None = None
    argv: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    loose: bool = False


@dataclass(frozen=True)
class UnitStep:
    """`verb` is start, restart, wait (already starting as planned), keep or remove; `why` for the terminal."""

    unit: str
    verb: str
    why: str
    write: bool = False
    enable: bool = False
    causes: tuple[Cause, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything on the host changes by it; waiting for a start that is under way changes nothing."""
        return self.verb in ("start", "restart", "remove") or self.write or self.enable


def decide(planned: PlannedUnit, observed: Observed) -> UnitStep:
    """The one step that brings a planned unit to its planned state, and its reason."""
    state = observed.state
    write = observed.text != planned.text or observed.loose
    enable = state.enabled not in ("enabled", "enabled-runtime")
    verb, why = "keep", "as planned"
    causes: tuple[Cause, ...] = ()
    if observed.text is None:
        verb, why = "start", "new"
    elif state.active in ("active", "activating", "reloading") and state.main_pid:
        causes = restart_causes(planned, observed)
        if causes:
            verb, why = "restart", told(causes)
        elif state.active == "activating":
            verb, why = "wait", "still starting"
        elif write:
            why = _rewritten(observed.text, planned.text)
    elif state.active == "activating" and state.sub != "auto-restart" and not write:
        verb, why = "wait", "still starting"
    elif state.active == "inactive" and state.job and not write:
        verb, why = "wait", "its turn to start has not come"
    else:
        found = Cause("state", f"found {state.active} ({state.sub})")
        causes = (found, *compare_units(observed.text, planned.text))
        verb, why = "start", told(causes)
    if verb == "keep" and enable and not write:
        why = "not enabled at boot"
    return UnitStep(planned.unit, verb, why, write, enable, causes)


def restart_causes(planned: PlannedUnit, observed: Observed) -> tuple[Cause, ...]:
    """What a running process has to be restarted for; empty for nothing."""
    besides: tuple[Cause, ...] = () if observed.secrets_current else (SECRETS,)
    if observed.replaced:
        besides += (Cause("libraries", f"{named(observed.replaced)} replaced under it"),)
    if observed.digest == planned.digest:
        return besides
    if observed.began is not None:
        hand = (EDITED,) if edited(observed.began) else ()
        found = (*hand, *compare_units(observed.began, planned.text))
    else:
        found = tuple(compare_commands(observed.argv, read_unit(planned.text).command)) if observed.argv else ()
    # A process that cannot be compared any more (its text is gone), or differs where no setting does.
    return (*(found or (Cause("file", "its command, environment or limits changed"),)), *besides)


def _rewritten(before: str, after: str) -> str:
    if before == after:
        return "its unit file has another mode or owner"
    if edited(before):
        return "its unit file was edited by hand; it is put back, and the process never had the edit"
    keys = compare_rest(before, after)
    return f"only {', '.join(keys) or 'comments'} of its unit file changed"


def decide_all(
    planned: Sequence[PlannedUnit], observed: Mapping[str, Observed], installed: Sequence[str]
) -> list[UnitStep]:
    """Steps for every planned unit, in the plan's order, then removals of ours that nobody plans any more."""
    wanted = {unit.unit for unit in planned}
    steps = [decide(unit, observed[unit.unit]) for unit in planned]
    return steps + [UnitStep(unit, "remove", "no longer planned") for unit in sorted(installed) if unit not in wanted]
