"""Drives the units of a host from the control node; see plugins/modules/model_service.py for its documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import as_dict
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import follow, say
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import step_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.control import SECRETS, host_files, render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_services


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._variables = task_vars or {}
        self._host = self._variables["inventory_hostname"]
        given = self._task.args
        if step_of(self, "phase", {"generations": "list"}, "apply") == "list":
            return self._host_module(phase="list", **{key: value for key, value in given.items() if key != "phase"})
        templates = Path(given["templates"])
        units = render_units(templates, read_services(plain(given.get("services", []))))
        secrets = {key: given[key] for key in ("api_key", "secret_env") if given.get(key)}
        _refuse_line_breaks(plain(secrets))
        applied = self._host_module(
            phase="apply",
            generation=int(given.get("generation") or 0),
            plan=given.get("plan") or "",
            units=[as_dict(unit) for unit in units],
            files=host_files(templates),
            secrets_path=SECRETS,
            restart_replaced=plain(given.get("restart_replaced") or []),
            **secrets,
        )
        if applied.get("failed") or applied.get("unreachable"):
            return applied
        if not self._task.diff:
            self._tell(applied["steps"])
        if self._task.check_mode:
            return applied
        failed = self._watch(applied["pending"])
        if failed:
            # The causes alone: whoever reads a failure needs no list of what went well.
            numbers = {key: applied[key] for key in ("generation", "generation_before")}
            return {"failed": True, "changed": True, "msg": self._recover(applied["generation"], failed), **numbers}
        if applied["changed"] or applied["pending"]:
            settled = self._host_module(phase="settle", generation=applied["generation"], outcome="active")
            if settled.get("failed"):
                # It serves; that it did is written nowhere, so that no way back leads here.
                said = settled.get("msg", "the module gave no answer")
                told = f"The units answer, but generation {applied['generation']} stays pending: {said}"
                applied.setdefault("warnings", []).append(told)
        return applied

    def _host_module(self, **arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name="baremetal.vllm.model_service", module_args=arguments, task_vars=self._variables
        )
        result.pop("invocation", None)
        return result

    def _watch(self, pending: dict[str, int]) -> dict[str, str]:
        """Show every start until it answers or failed; the causes of those that failed."""
        failed: dict[str, str] = {}
        seen: dict[str, str] = {}
        pending = dict(pending)

        def looks() -> Iterator[list[dict[str, Any]]]:
            while pending:
                watched = self._host_module(phase="watch", pending=pending, seen=seen)
                if "progress" not in watched:
                    raise AnsibleActionFail(f"Lost sight of the starting units: {watched.get('msg', watched)}")
                yield watched["progress"]

        def show(progress: list[dict[str, Any]], quiet: bool) -> bool:
            keys = {step["unit"]: f"{step['state']} {step['stage']}" for step in progress}
            news = [step for step in progress if quiet or seen.get(step["unit"]) != keys[step["unit"]]]
            for step in news:
                self._show(step)
            seen.update(keys)
            for step in progress:
                if step["state"] != "starting":
                    del pending[step["unit"]]
                if step["state"] == "failed":
                    failed[step["unit"]] = step["cause"]
            return bool(news)

        if pending:
            follow(looks(), show)
        return failed

    def _tell(self, steps: list[dict[str, Any]]) -> None:
        """What is done to each unit and why; a diff says it where one is asked for."""
        for step in steps:
            if step["verb"] in ("start", "restart", "remove") or step["write"] or step["enable"]:
                say(self._host, f"{step['verb']} ({step['why']})", unit=step["unit"])

    def _show(self, step: dict[str, Any]) -> None:
        text = {"active": "answers", "failed": f"failed: {step['cause']}"}.get(step["state"], step["stage"])
        say(self._host, text, step["seconds"], step["unit"])

    def _recover(self, generation: int, failed: dict[str, str]) -> str:
        """Bring back what served before; the message for the operator."""
        done = self._host_module(phase="restore", generation=generation, pending=dict.fromkeys(failed, 0))
        self._host_module(phase="settle", generation=generation, outcome="failed")
        restored = {unit: 0 for unit, how in done.get("restored", {}).items() if how == "restored"}
        if restored:
            say(self._host, "going back to the units that served before")
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


def _refuse_line_breaks(secrets: dict[str, Any]) -> None:
    values = {"vllm_api_key": secrets.get("api_key", ""), **secrets.get("secret_env", {})}
    broken = sorted(name for name, value in values.items() if any(ord(char) < 32 for char in str(value)))
    if broken:
        raise AnsibleActionFail(f"{', '.join(broken)}: a secret must be one line without control characters.")
