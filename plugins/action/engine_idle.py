"""Asks a host again and again and shows how far it is; documented in plugins/modules/engine_idle.py."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result


class ActionModule(Action):
    def act(self) -> Result:
        """The last answer: when all engines are idle, or the time is over."""
        given = self.given
        try:
            bound = float(given.get("timeout", 300))
        except (TypeError, ValueError):
            return {"failed": True, "msg": f"timeout: {given['timeout']!r} is not a number of seconds"}
        began = time.monotonic()

        def over(answer: Result) -> bool:
            return answer.get("idle", True) or self._task.check_mode or time.monotonic() - began >= bound

        def looks() -> Iterator[Result]:
            since: dict[str, float] = {}
            answer: Result = {"idle": False}
            waited = 0.0
            while True:
                answer = self.ask_host("engine_idle", {**given, "timeout": max(0.0, bound - waited)})
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

        def show(answer: Result, quiet: bool) -> bool:
            told = not answer.get("idle", True) and (quiet or over(answer))
            if told:
                self._show(answer["units"], time.monotonic() - began)
            return told

        return follow(looks(), show)

    def _show(self, units: dict[str, Result], seconds: float) -> None:
        for unit, seen in units.items():
            if not seen["idle"]:
                what = seen["told"] or f"{seen['running']} running and {seen['waiting']} waiting requests"
                self.show(what, seconds, unit)
