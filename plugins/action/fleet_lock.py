"""Says which run asks for the lock, and succeeds a dead one; documented in plugins/modules/fleet_lock.py."""

from __future__ import annotations

import datetime
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import lock
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.process import start_of, this_run, this_user
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain


class ActionModule(ActionBase):
    """One call of the module, and a second one where the holder turns out to be dead."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._variables = task_vars or {}
        asked = {"state": "held", **plain(self._task.args)}
        mine = _record(str(asked.get("what", "")))
        result = self._ask({**asked, "record": mine})
        if "holder" not in result:
            return result
        holder = result["holder"]
        if asked["state"] == "held" and not _own(holder, mine) and lock.dead(holder, mine, _start(holder)):
            result = self._ask({**asked, "record": mine, "take_over": holder["id"]})
            holder = result.get("holder", {})
        if asked["state"] == "held" and not _own(holder, mine):
            result.update(failed=True, msg=result.get("msg") or lock.refusal(holder))
        if result.get("taken_from"):
            before = result["taken_from"]
            Display().display(
                f"The rollout of {before['who']}, begun {before['since']}, is dead: this run succeeds it."
            )
        return {**result, "id": mine["id"], "who": mine["who"], "own": _own(holder, mine)}

    def _ask(self, arguments: dict[str, object]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name="baremetal.vllm.fleet_lock", module_args=arguments, task_vars=self._variables
        )
        result.pop("invocation", None)
        return result


def _record(what: str) -> dict[str, Any]:
    run = this_run()
    return {
        "id": run.identity,
        "who": this_user(),
        "what": what,
        "since": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "pid": run.pid,
        "started": run.started,
        "node": run.node,
        "boot": run.boot,
    }


def _own(holder: dict[str, object], mine: dict[str, object]) -> bool:
    return bool(holder.get("id") == mine["id"])


def _start(holder: dict[str, Any]) -> str | None:
    return start_of(int(holder["pid"])) if str(holder.get("pid", "")).isdecimal() else None
