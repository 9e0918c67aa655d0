"""What must happen to each unit of a host: pure, from what is planned and what was observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.service.systemd import State


@dataclass(frozen=True)
class Planned:
    """A unit that shall run: its text, and the digest its process must have been started with."""

    unit: str
    text: str
    digest: str


@dataclass(frozen=True)
class Observed:
    """A unit as found: its file's text (None: no file), systemd's state, its process's digest and secrets up to date."""

    text: str | None
    state: State
    digest: str
    secrets_current: bool


@dataclass(frozen=True)
class Step:
    """`verb` is start, restart, wait (already starting as planned), keep or remove; `why` for the terminal."""

    unit: str
    verb: str
    why: str
    write: bool = False
    enable: bool = False

    @property
    def changes(self) -> bool:
        return self.verb in ("start", "restart", "remove") or self.write or self.enable


def decide(planned: Planned, observed: Observed) -> Step:
    """The one step that brings a planned unit to its planned state, and its reason."""
    state = observed.state
    write = observed.text != planned.text
    enable = state.enabled not in ("enabled", "enabled-runtime")
    verb, why = "keep", "as planned"
    if observed.text is None:
        verb, why = "start", "new"
    elif state.active in ("active", "activating", "reloading") and state.main_pid:
        if observed.digest != planned.digest:
            verb, why = "restart", "its command, environment or limits changed"
        elif not observed.secrets_current:
            verb, why = "restart", "its key changed"
        elif state.active == "activating":
            verb, why = "wait", "still starting"
        elif write:
            why = "only its description or start order changed"
    elif state.active == "activating" and state.sub != "auto-restart" and not write:
        verb, why = "wait", "still starting"
    elif state.active == "inactive" and state.job and not write:
        verb, why = "wait", "its turn to start has not come"
    else:
        verb, why = "start", f"found {state.active} ({state.sub})"
    return Step(planned.unit, verb, why, write, enable)


def decide_all(planned: Sequence[Planned], observed: Mapping[str, Observed], installed: Sequence[str]) -> list[Step]:
    """Steps for every planned unit, in the plan's order, then removals of ours that nobody plans any more."""
    wanted = {unit.unit for unit in planned}
    steps = [decide(unit, observed[unit.unit]) for unit in planned]
    return steps + [Step(unit, "remove", "no longer planned") for unit in sorted(installed) if unit not in wanted]
