"""Decides on the control node whether a host is tested, and follows the test; documented in plugins/modules/acceptance.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime, timezone

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import record
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.model import (
    AcceptanceSight,
    DiagnosticRun,
    WantedTest,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import printable
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action, lost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import step_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance import dcgm, decide
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding, as_dicts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result


class ActionModule(Action):
    """One round trip where the host is accepted already."""

    def act(self) -> Result:
        """Return accepted, reason, findings and the record; failed where the host is not accepted and has to be."""
        asked = self.given
        if step_of(self, "phase", {"dcgm_state": "dcgm"}, "look") == "dcgm":
            seen = self.ask_host("acceptance", {**asked, "phase": "dcgm"})
            return dcgm.answer(seen, asked) if "seen" in seen else seen
        self._accelerator = str(asked.get("accelerator", "cuda"))
        self._required, self._tell = (boolean(asked.get(name, True)) for name in ("required", "tell"))
        if self._accelerator == "cpu":
            return {
                "changed": False,
                "accepted": True,
                "reason": "a host without GPUs has nothing to accept",
                "findings": [],
            }
        wanted = _wanted(asked, self._accelerator)
        looked = self.ask_host("acceptance", {"phase": "look", "accelerator": self._accelerator})
        if "sight" not in looked:
            return looked
        sight = build(AcceptanceSight, looked["sight"])
        if self._task.check_mode:
            # The role would have installed it by now.
            sight = replace(sight, dcgm=sight.dcgm or "not installed yet")
        decision = decide.decide(sight, wanted)
        if decision.act in ("accepted", "refuse"):
            return self._answer(decision.act == "accepted", False, decision.reason, decision.findings)
        if self._task.check_mode:
            reason = f"would be tested at level {wanted.level}: {decision.reason}"
            return {"changed": True, "accepted": False, "reason": reason, "findings": as_dicts(decision.findings)}
        if decision.act == "health":
            made, findings = decide.conclude_health(sight.facts, _now())
            return self._settle(made, findings, decision.reason, ())
        if decision.act == "test":
            self._start(wanted, sight, tuple(sorted({*sight.units, *sight.run.stopped})))
        else:
            self.show(
                f"following the diagnostic at level {sight.run.level} that was started {_minutes(sight.run.seconds)} ago"
            )
        return self._follow(decision.reason)

    def _must(self, **arguments: object) -> Result:
        """A phase that has to succeed; the task fails with its words where it does not."""
        result = self.ask_host("acceptance", arguments)
        if lost(result):
            raise AnsibleActionFail(f"Acceptance, {arguments['phase']}: {result.get('msg', result)}")
        return result

    def _start(self, wanted: WantedTest, sight: AcceptanceSight, units: tuple[str, ...]) -> None:
        names = sorted({gpu.name for gpu in sight.facts.gpus})
        what = f"{len(sight.facts.gpus)} × {', '.join(names)}, driver {sight.facts.driver}, DCGM {sight.dcgm}"
        self.show(f"dcgmi diag at level {wanted.level}, {decide.TAKES[wanted.level]}: {what}")
        if sight.units:
            self.show(f"stopping {', '.join(sight.units)} for the test")
        self._must(
            phase="start",
            level=wanted.level,
            parameters=wanted.parameters,
            limit=decide.LIMITS[wanted.level],
            units=list(units),
        )

    def _follow(self, reason: str) -> Result:
        """Watch the test until it ends, judge it, keep the record."""
        watched = follow(self._looks(), self._show)
        run = build(DiagnosticRun, watched["run"])
        if not run.state:
            raise AnsibleActionFail(
                "The test has vanished: the host was rebooted, or somebody else settled it. Run again."
            )
        made, findings = decide.conclude(run, build(Facts, watched["facts"]), watched["dcgm"], _now())
        self.show(f"level {run.level} {'passed' if made.passed else 'FAILED'} after {_minutes(run.seconds)}")
        return self._settle(made, findings, reason, run.stopped)

    def _looks(self) -> Iterator[Result]:
        state = "running"
        while state == "running":
            watched = self._must(phase="watch", accelerator=self._accelerator)
            state = watched["run"]["state"]
            yield watched

    def _show(self, watched: Result, quiet: bool) -> bool:
        run = build(DiagnosticRun, watched["run"])
        told = quiet and run.state == "running"
        if told:
            self.show(f"level {run.level} for {_minutes(run.seconds)}{_busy(watched['busy'])}")
        return told

    def _settle(
        self, made: record.Record, findings: tuple[Finding, ...], reason: str, stopped: tuple[str, ...]
    ) -> Result:
        again = stopped if made.passed else ()
        self._must(phase="settle", record=record.write(made), units=list(again))
        if stopped and not made.passed:
            left = f"stopped for the test and left so: {', '.join(stopped)}"
            findings = (*findings, Finding("units-stopped", left, "playbooks/site.yml starts what is planned"))
        answer = self._answer(made.passed, True, reason, findings)
        return answer if answer.get("failed") else {**answer, "record": asdict(made)}

    def _answer(self, accepted: bool, changed: bool, reason: str, findings: tuple[Finding, ...]) -> Result:
        if not accepted and self._required:
            # The message alone, its causes first: whoever reads a failure needs nothing twice.
            ordered = sorted(findings, key=lambda finding: not finding.fatal)
            text = "\n".join(["This host is not accepted:", *(printable(f"  {finding}") for finding in ordered)])
            return {"failed": True, "changed": changed, "accepted": False, "msg": text}
        for finding in findings if self._tell else ():
            self.show(str(finding))
        return {"changed": changed, "accepted": accepted, "reason": reason, "findings": as_dicts(findings)}


def _wanted(asked: Arguments, accelerator: str) -> WantedTest:
    default = WantedTest()
    level = int(asked.get("level", default.level))
    if level not in (0, *decide.TAKES):
        raise AnsibleActionFail(
            f"acceptance_level: {level} is none of DCGM's levels. Write 0 (GPU health alone), 1, 2, 3 or 4."
        )
    again = str(asked.get("again", default.again))
    if again not in ("hardware", "driver", "always"):
        raise AnsibleActionFail(f"acceptance_again: {again} is not known. Write hardware, driver or always.")
    wanted = WantedTest(
        level=level,
        parameters=str(asked.get("parameters") or ""),
        again=again,
        drain=boolean(asked.get("drain", False)),
        test=boolean(asked.get("test", True)),
    )
    # AMD has no DCGM: what the GPUs report of themselves is all there is.
    return replace(wanted, level=0, parameters="") if accelerator == "rocm" else wanted


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _minutes(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min {seconds % 60:02} s"


def _busy(busy: dict[str, float]) -> str:
    """What the GPUs do, as far as nvidia-smi tells: the sign that the test goes on."""
    if not busy:
        return ""
    parts = [f"{busy['use']:.0f} % busy"] if "use" in busy else []
    parts += [f"{busy['watts']:,.0f} W"] if "watts" in busy else []
    parts += [f"{busy['heat']:.0f} °C at most"] if "heat" in busy else []
    return f"; {busy['gpus']:.0f} GPUs: {', '.join(parts)}" if parts else ""
