"""Asks a host again and again and shows how far it is; documented in plugins/modules/engine_idle.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import follow, say
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain


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
        began = time.monotonic()

        def over(answer: dict[str, Any]) -> bool:
            return answer.get("idle", True) or self._task.check_mode or time.monotonic() - began >= bound

        def looks() -> Iterator[dict[str, Any]]:
            since: dict[str, float] = {}
            answer: dict[str, Any] = {"idle": False}
            waited = 0.0
            while True:
                answer = self._look(given, max(0.0, bound - waited))
                for unit, seen in answer.get("units", {}).items():
                    # Idle again counts anew; one that is not has been waited for until now.
                    now = round(waited + seen["seconds"], 1)
                    seen["seconds"] = since.setdefault(unit, now) if seen["idle"] else now
                    if not seen["idle"]:
                        since.pop(unit, None)
                yield answer
                if over(answer):
                    return
                waited = time.monotonic() - began

        def show(answer: dict[str, Any], quiet: bool) -> bool:
            told = not answer.get("idle", True) and (quiet or over(answer))
            if told:
                self._show(answer["units"], time.monotonic() - began)
            return told

        return follow(looks(), show)

    def _look(self, given: dict[str, object], left: float) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="baremetal.vllm.engine_idle", module_args={**given, "timeout": left}, task_vars=self._variables
        )
        answer.pop("invocation", None)
        return answer

    def _show(self, units: dict[str, dict[str, Any]], seconds: float) -> None:
        for unit, seen in units.items():
            if not seen["idle"]:
                what = seen["told"] or f"{seen['running']} running and {seen['waiting']} waiting requests"
                say(str(self._variables["inventory_hostname"]), what, seconds, unit)
