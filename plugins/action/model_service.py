"""Drives the units of a host from the control node; see plugins/modules/model_service.py for its documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import UnitStep
from ansible_collections.baremetal.vllm.plugins.module_utils.units.host import Progress
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import as_dict
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action, lost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import step_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.control import SECRETS, host_files, render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_services
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result


class ActionModule(Action):
    def act(self) -> Result:
        """Bring the units to the plan and wait until they answer; or list the generations."""
        given = self.given
        if step_of(self, "phase", {"generations": "list"}, "apply") == "list":
            return self._ask(**{**given, "phase": "list"})
        templates = Path(given["templates"])
        units = render_units(templates, read_services(given.get("services", [])))
        secrets = {key: given[key] for key in ("api_key", "secret_env") if given.get(key)}
        _refuse_line_breaks(secrets)
        applied = self._ask(
            phase="apply",
            generation=int(given.get("generation") or 0),
            plan=given.get("plan") or "",
            units=[as_dict(unit) for unit in units],
            files=host_files(templates),
            secrets_path=SECRETS,
            restart_replaced=given.get("restart_replaced") or [],
            **secrets,
        )
        if lost(applied):
            return applied
        if not self._task.diff:
            self._tell([build(UnitStep, step) for step in applied["steps"]])
            for unit in applied["unread"]:
                self.show("its drop-ins are read in", unit=unit)
        if self._task.check_mode:
            return applied
        failed = self._watch(applied["pending"])
        if failed:
            # The causes alone: whoever reads a failure needs no list of what went well.
            numbers = {key: applied[key] for key in ("generation", "generation_before")}
            return {"failed": True, "changed": True, "msg": self._recover(applied["generation"], failed), **numbers}
        if applied["changed"] or applied["pending"]:
            settled = self._ask(phase="settle", generation=applied["generation"], outcome="active")
            applied["pruned"] = settled.get("pruned", [])
            if settled.get("failed"):
                # It serves; that it did is written nowhere, so that no way back leads here.
                said = settled.get("msg", "the module gave no answer")
                told = f"The units answer, but generation {applied['generation']} stays pending: {said}"
                applied.setdefault("warnings", []).append(told)
        return applied

    def _ask(self, **arguments: object) -> Result:
        return self.ask_host("model_service", arguments)

    def _watch(self, pending: dict[str, int]) -> dict[str, str]:
        """Show every start until it answers or failed; the causes of those that failed."""
        failed: dict[str, str] = {}
        seen: dict[str, str] = {}
        pending = dict(pending)

        def looks() -> Iterator[list[Progress]]:
            while pending:
                watched = self._ask(phase="watch", pending=pending, seen=seen)
                if "progress" not in watched:
                    raise AnsibleActionFail(f"Lost sight of the starting units: {watched.get('msg', watched)}")
                yield [build(Progress, start) for start in watched["progress"]]

        def show(progress: list[Progress], quiet: bool) -> bool:
            keys = {start.unit: f"{start.state} {start.stage}" for start in progress}
            news = [start for start in progress if quiet or seen.get(start.unit) != keys[start.unit]]
            for start in news:
                self._show(start)
            seen.update(keys)
            for start in progress:
                if start.state != "starting":
                    del pending[start.unit]
                if start.state == "failed":
                    failed[start.unit] = start.cause
            return bool(news)

        if pending:
            follow(looks(), show)
        return failed

    def _tell(self, steps: list[UnitStep]) -> None:
        """What is done to each unit and why; a diff says it where one is asked for."""
        for step in steps:
            if step.changes:
                self.show(f"{step.verb} ({step.why})", unit=step.unit)

    def _show(self, start: Progress) -> None:
        text = {"active": "answers", "failed": f"failed: {start.cause}"}.get(start.state, start.stage)
        self.show(text, start.seconds, start.unit)

    def _recover(self, generation: int, failed: dict[str, str]) -> str:
        """Bring back what served before; the message for the operator."""
        done = self._ask(phase="restore", generation=generation, pending=dict.fromkeys(failed, 0))
        self._ask(phase="settle", generation=generation, outcome="failed")
        restored = {unit: 0 for unit, how in done.get("restored", {}).items() if how == "restored"}
        if restored:
            self.show("going back to the units that served before")
        still = self._watch(restored)
        lines = []
        for unit, cause in failed.items():
            after = "it is stopped until the next run"
            if unit in restored:
                after = (
                    "its earlier version did not come back either"
                    if unit in still
                    else "its earlier version serves again"
                )
            lines.append(f"{unit} did not start: {cause} ({after}; journalctl -u {unit} has the whole log)")
        return "\n".join(lines)


def _refuse_line_breaks(secrets: Arguments) -> None:
    values = {"vllm_api_key": secrets.get("api_key", ""), **secrets.get("secret_env", {})}
    broken = sorted(name for name, value in values.items() if any(ord(char) < 32 for char in str(value)))
    if broken:
        raise AnsibleActionFail(f"{', '.join(broken)}: a secret must be one line without control characters.")
