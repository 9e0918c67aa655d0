"""Says which run asks for the lock, and succeeds a dead one; documented in plugins/modules/fleet_lock.py."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import lock
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.holder import ended, own, record
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result


class ActionModule(Action):
    """One call of the module, and a second one where the holder turns out to be dead."""

    def act(self) -> Result:
        """The module's answer, with who this run is and whether it holds the lock."""
        asked = {"state": "held", **self.given}
        mine = record(str(asked.get("what", "")))
        result = self.ask_host("fleet_lock", {**asked, "record": mine})
        if "holder" not in result:
            return result
        holder = result["holder"]
        if asked["state"] == "held" and not own(holder, mine) and ended(holder, mine):
            result = self.ask_host("fleet_lock", {**asked, "record": mine, "take_over": holder["id"]})
            holder = result.get("holder", {})
        if asked["state"] == "held" and not own(holder, mine):
            result.update(failed=True, msg=result.get("msg") or lock.refusal(holder))
        if result.get("taken_from"):
            before = result["taken_from"]
            display.display(f"The rollout of {before['who']}, begun {before['since']}, is dead: this run succeeds it.")
        return {**result, "id": mine["id"], "who": mine["who"], "own": own(holder, mine)}
