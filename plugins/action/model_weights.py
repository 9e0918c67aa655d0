"""Brings the planned weights onto a host: compares, fetches from the hub, pushes from the control node."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.store import label
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.fingerprint import fingerprint
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.progress import Meter, clock

POLL_FIRST = 1.0
POLL_MOST = 10.0
TEXTS = {"hub": "fetched", "pushed": "pushed"}
KEYS = (
    "token_file",
    "hf_token",
    "endpoint",
    "offline",
    "verify",
    "store",
    "run_dir",
    "pause",
    "engine_python",
    "proxy",
    "no_proxy",
)


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    # What is pushed goes to a directory that the host has made for it, beside the weights.
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        self._host = str(self._vars.get("inventory_hostname", "host"))
        self._started = time.monotonic()
        args = self._task.args
        items = list(args.get("items") or [])
        if not items and not args.get("hf_token"):
            return {"changed": False, "weights": []}
        common = {key: args[key] for key in KEYS if args.get(key) not in (None, "")}
        found = self._host_step("settle", common, items)
        states = found["states"]
        self._refuse(items, states, args, bool(found["engine"]))
        missing = [item for item, state in zip(items, states) if state["state"] in ("absent", "damaged", "unmanaged")]
        weights = [
            {
                "path": item["path"],
                "model": label(item),
                "state": TEXTS[item["source"]] if item in missing else s["state"],
            }
            for item, s in zip(items, states)
        ]
        result: dict[str, Any] = {"changed": bool(found["changed"] or missing), "weights": weights}
        if self._task.diff:
            result["diff"] = [{"prepared": text} for text in self._planned(items, states)]
        if missing and not self._task.check_mode:
            hub = [item for item in missing if item["source"] == "hub"]
            pushed = [item for item in missing if item["source"] == "pushed"]
            ready = self._prepare(common, pushed) if pushed else {}
            if hub:
                self._fetch({**common, "reserved": ready.get("needed", 0)}, hub)
            if pushed:
                self._push(common, pushed, ready)
        return result

    def _host_step(self, step: str, common: dict[str, Any], items: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """Run one step on the host; its failure ends the action with the same one line."""
        arguments = {**common, "step": step, "items": items, **more}
        result: dict[str, Any] = self._execute_module(
            module_name="baremetal.vllm.model_weights", module_args=arguments, task_vars=self._vars
        )
        if result.get("failed") or result.get("unreachable"):
            raise AnsibleActionFail(str(result.get("msg", "the host did not answer")), result=result)
        return result

    def _refuse(self, items: list[Any], states: list[Any], args: dict[str, Any], engine: bool) -> None:
        """End with all that can be said before anything is fetched."""
        offline = boolean(args.get("offline", False))
        errors = []
        for item, state in zip(items, states):
            if state["state"] == "refused":
                errors.append(state["detail"])
            elif item["source"] == "hub" and state["state"] in ("absent", "damaged") and offline:
                detail = state["detail"] or "is not there"
                errors.append(
                    f"{label(item)}: {item['path']} {detail}, and model_weights_offline is set: copy the files of "
                    "exactly that revision there, or give a directory of the control node as the model"
                )
        fetches = any(i["source"] == "hub" and s["state"] not in ("present", "adopted") for i, s in zip(items, states))
        if fetches and not offline and not engine and not self._task.check_mode:
            errors.append(
                f"no engine at {args.get('engine_python') or '(model_weights_engine_python is empty)'} on this host: "
                "weights of a hub are fetched with the engine's Python, so the role vllm_engine comes first"
            )
        if errors:
            raise AnsibleActionFail("; ".join(errors))

    def _planned(self, items: list[Any], states: list[Any]) -> list[str]:
        """One line per item that is not as planned, for --diff."""
        lines = []
        for item, state in zip(items, states):
            if state["state"] not in ("present", "adopted"):
                why = f" ({state['detail']})" if state["detail"] else ""
                verb = "fetch" if item["source"] == "hub" else "push"
                lines.append(f"{verb} {label(item)} to {item['path']}{why}\n")
        return lines

    def _say(self, text: str) -> None:
        Display().display(f"{self._host} | {text}, {clock(time.monotonic() - self._started)}")

    def _fetch(self, common: dict[str, Any], items: list[Any]) -> None:
        """Have the host fetch all `items`, showing how far it is. Ends when they are there or cannot be had."""
        meter = Meter(self._host)

        def show(status: dict[str, Any], quiet: bool) -> bool:
            line = meter.line(status, time.monotonic(), time.monotonic() - self._started, quiet)
            if line:
                Display().display(line)
            return bool(line)

        while True:
            status = follow(self._statuses(common, items), show)
            if status["state"] == "killed":
                raise AnsibleActionFail(
                    f"the download process ended before it was done ({status['log'] or 'without a word'}); "
                    "run again, it resumes where it stopped"
                )
            mine = {item["path"] for item in items}
            theirs = {item["path"] for item in status["items"]}
            if status["errors"] and mine & theirs:
                raise AnsibleActionFail("; ".join(status["errors"]))
            # A process that another run had started may have been after other models: see what is still missing.
            states = self._host_step("settle", common, items)["states"]
            items = [item for item, state in zip(items, states) if state["state"] != "present"]
            for done in status["items"]:
                if done["path"] in mine:
                    self._say(f"{done['repo']}: {in_units(done['total'])} fetched and checked")
            if not items:
                return

    def _statuses(self, common: dict[str, Any], items: list[Any]) -> Iterator[dict[str, Any]]:
        """What the download process says of itself, from its start to its end."""
        status = self._host_step("fetch", common, items)["status"]
        yield status
        wait = POLL_FIRST
        while status["state"] == "running":
            time.sleep(wait)
            wait = min(wait * 1.5, POLL_MOST)
            status = self._host_step("poll", common, [])["status"]
            yield status

    def _manifest(self, item: dict[str, Any]) -> mf.Manifest:
        try:
            digest, whole = fingerprint(item["from"])
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from error
        if digest != item["digest"]:
            raise AnsibleActionFail(
                f"{item['from']} has changed since the plan was made (digest {digest}, planned {item['digest']}): "
                "run again"
            )
        return whole

    def _prepare(self, common: dict[str, Any], items: list[Any]) -> dict[str, Any]:
        self._manifests = {item["path"]: mf.to_data(self._manifest(item)) for item in items}
        owner = -1
        if self._play_context.become:
            # Files arrive as the user that logs in, not as root.
            answer = self._low_level_execute_command("id -u", sudoable=False)
            owner = int(answer["stdout"].strip().splitlines()[-1])
        return self._host_step("prepare", common, items, manifests=self._manifests, owner=owner)

    def _push(self, common: dict[str, Any], items: list[Any], ready: dict[str, Any]) -> None:
        """Send what is missing, have it checked; what arrived wrong is sent once more."""
        for last in (False, True):
            for item in items:
                self._send(item, ready["uploads"][item["path"]])
            wrong = self._host_step("adopt", common, items, manifests=self._manifests)["wrong"]
            items = [item for item in items if item["path"] in wrong]
            if not items:
                return
            if last:
                raise AnsibleActionFail("; ".join(f"{path}: {faults[0]}" for path, faults in wrong.items()))
            ready = self._prepare(common, items)

    def _send(self, item: dict[str, Any], upload: dict[str, Any]) -> None:
        sizes = {entry["path"]: entry["size"] for entry in self._manifests[item["path"]]["files"]}
        total, sent = sum(sizes[name] for name in upload["missing"]), 0
        for number, name in enumerate(upload["missing"], 1):
            if sizes[name] > 50e6:
                self._say(f"{os.path.basename(item['from'])}: sending {name}, {in_units(sizes[name])}")
            self._connection.put_file(os.path.join(item["from"], name), os.path.join(upload["staging"], name))
            sent += sizes[name]
            if number == len(upload["missing"]):
                self._say(
                    f"{os.path.basename(item['from'])}: {number} files sent, {in_units(sent)} of {in_units(total)}"
                )
