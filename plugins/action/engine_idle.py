"""Asks a host again and again and shows how far it is; documented in plugins/modules/engine_idle.py."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain

# A line at least this often: silence looks like a hang.
HEARTBEAT = 30.0
display = Display()


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._variables = task_vars or {}
        given = plain(self._task.args)
        try:
            bound = float(given.get("timeout", 300))
        except (TypeError, ValueError):
            return {"failed": True, "msg": f"timeout: {given['timeout']!r} is not a number of seconds"}
        began = shown = time.monotonic()
        since: dict[str, float] = {}
        while True:
            waited = time.monotonic() - began
            answer = self._look(given, max(0.0, bound - waited))
            if answer.get("failed") or answer.get("unreachable"):
                return answer
            for unit, seen in answer["units"].items():
                # Idle again counts anew; one that is not has been waited for until now.
                now = round(waited + seen["seconds"], 1)
                seen["seconds"] = since.setdefault(unit, now) if seen["idle"] else now
                if not seen["idle"]:
                    since.pop(unit, None)
            over = self._task.check_mode or time.monotonic() - began >= bound
            if answer["idle"] or over:
                if not answer["idle"]:
                    self._show(answer["units"], time.monotonic() - began)
                return answer
            if time.monotonic() - shown >= HEARTBEAT:
                self._show(answer["units"], time.monotonic() - began)
                shown = time.monotonic()

    def _look(self, given: dict[str, object], left: float) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="baremetal.vllm.engine_idle", module_args={**given, "timeout": left}, task_vars=self._variables
        )
        answer.pop("invocation", None)
        return answer

    def _show(self, units: dict[str, dict[str, object]], seconds: float) -> None:
        for unit, seen in units.items():
            if not seen["idle"]:
                what = seen["told"] or f"{seen['running']} running and {seen['waiting']} waiting requests"
                name = unit.removeprefix("vllm-").removesuffix(".service")
                display.display(f"{self._variables['inventory_hostname']:<12} {name:<28} {seconds:4.0f} s  {what}")
