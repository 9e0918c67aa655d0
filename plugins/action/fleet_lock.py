"""Says which run asks for the lock, and succeeds a dead one; documented in plugins/modules/fleet_lock.py."""

from __future__ import annotations

import datetime

from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import lock
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.process import start_of, this_run, this_user
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result


class ActionModule(Action):
    """One call of the module, and a second one where the holder turns out to be dead."""

    def act(self) -> Result:
        """The module's answer, with who this run is and whether it holds the lock."""
        asked = {"state": "held", **self.given}
        mine = _record(str(asked.get("what", "")))
        result = self.ask_host("fleet_lock", {**asked, "record": mine})
        if "holder" not in result:
            return result
        holder = result["holder"]
        if asked["state"] == "held" and not _own(holder, mine) and lock.dead(holder, mine, _start(holder)):
            result = self.ask_host("fleet_lock", {**asked, "record": mine, "take_over": holder["id"]})
            holder = result.get("holder", {})
        if asked["state"] == "held" and not _own(holder, mine):
            result.update(failed=True, msg=result.get("msg") or lock.refusal(holder))
        if result.get("taken_from"):
            before = result["taken_from"]
            display.display(f"The rollout of {before['who']}, begun {before['since']}, is dead: this run succeeds it.")
        return {**result, "id": mine["id"], "who": mine["who"], "own": _own(holder, mine)}


def _record(what: str) -> Arguments:
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


def _own(holder: Result, mine: Arguments) -> bool:
    return bool(holder.get("id") == mine["id"])


def _start(holder: Result) -> str | None:
    return start_of(int(holder["pid"])) if str(holder.get("pid", "")).isdecimal() else None
