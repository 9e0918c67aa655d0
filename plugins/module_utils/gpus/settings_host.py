"""Setting the GPUs of one host: look, do what is to be done, look again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import settings_unit as unit
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import smi
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import GpuSetting
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings_decide import (
    SettingsStep,
    SettingsVerdict,
    decide,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host import command, systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile

UNITS = Path("/etc/systemd/system")
# Cutting a GPU may reset it.
_PATIENCE = 180.0


class SettingError(Exception):
    """A command that failed, with its words and what to do."""


@dataclass(frozen=True)
class SettingsSeen:
    """A host before anything is done. `texts` are the installed units of ours, `write` and `remove` what becomes of them."""

    texts: dict[str, str]
    states: dict[str, systemd.UnitState]
    write: tuple[str, ...]
    remove: tuple[str, ...]
    enable: tuple[str, ...]
    facts: Facts | None
    verdict: SettingsVerdict

    @property
    def changes(self) -> list[str]:
        """Everything that is to be done, in words."""
        steps = dict.fromkeys(step.why for step in (*self.verdict.cuts, *self.verdict.steps))
        units = [f"write {name}" for name in self.write] + [f"remove {name}" for name in self.remove]
        return [
            *units,
            *(f"enable {name}" for name in self.enable if name not in self.write),
            *steps,
            *self.verdict.restart,
        ]


def look(planned: Mapping[str, str], wanted: Sequence[GpuSetting], run: command.Run | None = None) -> SettingsSeen:
    """Compare a host with what is planned; `run` asks nvidia-smi, only where something is planned or was set before."""
    files = {name: HostFile(str(UNITS / name), "", 0o644).current() for name in unit.UNITS}
    texts = {name: text for name, text in files.items() if text is not None}
    if not planned and not texts:
        return SettingsSeen({}, {}, (), (), (), None, SettingsVerdict())
    states = systemd.show(unit.UNITS)
    write = tuple(name for name, text in planned.items() if HostFile(str(UNITS / name), text, 0o644).differs())
    remove = tuple(name for name in texts if name not in planned)
    enable = tuple(name for name in planned if states[name].enabled != "enabled")
    state = states[unit.SETTINGS_UNIT]
    in_force = state.active == "active" and unit.SETTINGS_UNIT not in write and not state.stale
    facts = smi.read(run or command.run)
    before = unit.read_units(list(texts.values()))
    verdict = decide(wanted, before, facts, in_force) if facts.gpus else SettingsVerdict()
    if unit.SETTINGS_UNIT in planned and state.active != "active" and not verdict.restart:
        verdict = SettingsVerdict(
            verdict.cuts, verdict.steps, (f"{unit.SETTINGS_UNIT} has not run since boot",), verdict.refusals
        )
    return SettingsSeen(texts, states, write, remove, enable, facts, verdict)


def apply(seen: SettingsSeen, planned: Mapping[str, str]) -> None:
    """Do it all. Raises SettingError at the first command that fails; what was done until then stays, and the next run
    goes on from there."""
    for name in seen.remove:
        systemd.run(["systemctl", "disable", name])
        # Stopped, it would linger as a unit without a file.
        systemd.run(["systemctl", "stop", name])
    for step in (*seen.verdict.cuts, *seen.verdict.steps):
        carry_out(step)
    for name in seen.remove:
        # Not before: what it holds says what has to be put back.
        (UNITS / name).unlink(missing_ok=True)
    for name in seen.write:
        HostFile(str(UNITS / name), planned[name], 0o644).write()
    if seen.write or seen.remove or any(state.stale for state in seen.states.values()):
        systemd.run(["systemctl", "daemon-reload"])
    failed = [name for name in planned if seen.states[name].active == "failed"]
    if failed:
        systemd.run(["systemctl", "reset-failed", *failed])
    if seen.enable:
        systemd.run(["systemctl", "enable", "--quiet", *seen.enable])
    if seen.verdict.restart:
        _restart()


def carry_out(step: SettingsStep) -> None:
    """Run one command, and reset the GPU where its MIG mode waits for that.

    Raises SettingError: when either fails; a command that is optional may.
    """
    status, out, err = command.run(list(step.argv), timeout=_PATIENCE)
    if status != 0 and not step.optional:
        raise SettingError(
            f"{step.why}: {' '.join(step.argv)} ended with status {status}: {command.one_line(out, err)}"
        )
    if step.mode >= 0:
        _settle(step)


def _settle(step: SettingsStep) -> None:
    """Reset a GPU that takes on its MIG mode only then (A100, A30)."""
    query = [unit.SMI, "-i", str(step.mode), "--query-gpu=mig.mode.current,mig.mode.pending", "--format=csv,noheader"]
    out = command.run(query)[1]
    current, pending = (word.strip() for word in out.strip().partition(",")[::2])
    if current == pending:
        return
    status, out, err = command.run(list(unit.reset(step.mode)), timeout=_PATIENCE)
    if status != 0:
        raise SettingError(
            f"{step.why}: GPU {step.mode} takes this on when it is reset, and that failed: {command.one_line(out, err)}."
            " Stop what holds the GPU (nvidia-dcgm, monitoring agents) and run again, or reboot the host"
        )


def _restart() -> None:
    try:
        systemd.run(["systemctl", "restart", unit.SETTINGS_UNIT], timeout=_PATIENCE)
    except systemd.SystemdError as error:
        said = [line for line in systemd.journal(unit.SETTINGS_UNIT, lines=20) if "systemd" not in line]
        raise SettingError(f"{unit.SETTINGS_UNIT} failed: {command.one_line(*said[-6:]) or error}") from error
