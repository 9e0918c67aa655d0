"""Brings the planned weights onto a host: compares, fetches from the hub, pushes from the control node."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.store import WeightsState, label
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action, lost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display, follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.weights_source import opened, source_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build, json_form
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Weights
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result
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


class ActionModule(Action):
    """Files that are pushed go straight to the directories that the host has made for them."""

    def act(self) -> Result:
        """Each item with what became of it."""
        self._started = time.monotonic()
        args = self.given
        # Of a bundle, weights of a hub are pushed as well: to where the hub's would lie, so that nobody fetches them again.
        self._bundle = opened(args.get("bundle"))
        items = [build(Weights, item) for item in args.get("items") or []]
        if not items and not args.get("hf_token"):
            return {"changed": False, "weights": []}
        common = {key: args[key] for key in KEYS if args.get(key) not in (None, "")}
        if self._bundle:
            common.pop("offline", None)
        found = self._host_step("settle", common, items)
        states = [build(WeightsState, state) for state in found["states"]]
        self._refuse(items, states, args, bool(found["engine"]))
        missing = [item for item, state in zip(items, states) if state.state in ("absent", "damaged", "unmanaged")]
        weights = [
            {
                "path": item.path,
                "model": _name(item),
                "state": TEXTS[self._way(item)] if item in missing else state.state,
            }
            for item, state in zip(items, states)
        ]
        result: Result = {"changed": bool(found["changed"] or missing), "weights": weights}
        if self._task.diff:
            result["diff"] = [{"prepared": text} for text in self._planned(items, states)]
        if missing and not self._task.check_mode:
            hub = [item for item in missing if self._way(item) == "hub"]
            pushed = [item for item in missing if self._way(item) == "pushed"]
            ready = self._prepare(common, pushed) if pushed else {}
            if hub:
                self._fetch({**common, "reserved": ready.get("needed", 0)}, hub)
            if pushed:
                self._push(common, pushed, ready)
        return result

    def _way(self, item: Weights) -> str:
        return "pushed" if self._bundle and item.source == "hub" else item.source

    def _host_step(self, step: str, common: Arguments, items: Sequence[Weights], **more: object) -> Result:
        """Run one step on the host; its failure ends the action with the same one line."""
        result = self.ask_host("model_weights", {**common, "step": step, "items": json_form(items), **more})
        if lost(result):
            raise AnsibleActionFail(str(result.get("msg", "the host did not answer")), result=result)
        return result

    def _refuse(self, items: list[Weights], states: list[WeightsState], args: Arguments, engine: bool) -> None:
        """End with all that can be said before anything is fetched."""
        offline = boolean(args.get("offline", False))
        errors = [state.detail for state in states if state.state == "refused"]
        fetches = any(self._way(i) == "hub" and s.state not in ("present", "adopted") for i, s in zip(items, states))
        if fetches and not offline and not engine and not self._task.check_mode:
            errors.append(
                f"no engine at {args.get('engine_python') or '(model_weights_engine_python is empty)'} on this host: "
                "weights of a hub are fetched with the engine's Python, so the role vllm_engine comes first"
            )
        if errors:
            raise AnsibleActionFail("; ".join(errors))

    def _planned(self, items: list[Weights], states: list[WeightsState]) -> list[str]:
        """One line per item that is not as planned, for --diff."""
        lines = []
        for item, state in zip(items, states):
            if state.state not in ("present", "adopted"):
                why = f" ({state.detail})" if state.detail else ""
                verb = "fetch" if self._way(item) == "hub" else "push"
                lines.append(f"{verb} {_name(item)} to {item.path}{why}\n")
        return lines

    def _say(self, text: str) -> None:
        display.display(f"{self.host} | {text}, {clock(time.monotonic() - self._started)}")

    def _fetch(self, common: Arguments, items: list[Weights]) -> None:
        """Have the host fetch all `items`, showing how far it is. Ends when they are there or cannot be had."""
        meter = Meter(self.host)

        def show(status: Result, quiet: bool) -> bool:
            line = meter.line(status["items"], time.monotonic(), time.monotonic() - self._started, quiet)
            if line:
                display.display(line)
            return bool(line)

        while True:
            status = follow(self._statuses(common, items), show)
            if status["state"] == "killed":
                raise AnsibleActionFail(
                    f"the download process ended before it was done ({status['log'] or 'without a word'}); "
                    "run again, it resumes where it stopped"
                )
            mine = {item.path for item in items}
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

    def _statuses(self, common: Arguments, items: Sequence[Weights]) -> Iterator[Result]:
        """What the download process says of itself, from its start to its end."""
        status = self._host_step("fetch", common, items)["status"]
        yield status
        wait = POLL_FIRST
        while status["state"] == "running":
            time.sleep(wait)
            wait = min(wait * 1.5, POLL_MOST)
            status = self._host_step("poll", common, [])["status"]
            yield status

    def _prepare(self, common: Arguments, items: list[Weights]) -> Result:
        self._sources = {item.path: source_of(item, self._bundle) for item in items}
        owner = -1
        if self._play_context.become:
            # Files arrive as the user that logs in, not as root.
            answer = self._low_level_execute_command("id -u", sudoable=False)
            owner = int(answer["stdout"].strip().splitlines()[-1])
        return self._host_step("prepare", common, items, manifests=self._manifests(), owner=owner)

    def _push(self, common: Arguments, items: list[Weights], ready: Result) -> None:
        """Send what is missing, have it checked; what arrived wrong is sent once more."""
        for last in (False, True):
            for item in items:
                self._send(item, **ready["uploads"][item.path])
            wrong = self._host_step("adopt", common, items, manifests=self._manifests())["wrong"]
            items = [item for item in items if item.path in wrong]
            if not items:
                return
            if last:
                damaged = f"; {self._bundle.doubt}" if self._bundle else ""
                raise AnsibleActionFail("; ".join(f"{path}: {faults[0]}" for path, faults in wrong.items()) + damaged)
            ready = self._prepare(common, items)

    def _manifests(self) -> Arguments:
        return {path: mf.to_data(source.whole) for path, source in self._sources.items()}

    def _send(self, item: Weights, staging: str, missing: list[str]) -> None:
        """Send the files of an item that its directory on the host lacks."""
        source = self._sources[item.path]
        model = os.path.basename(item.pushed_from) or _name(item)
        sizes = {entry.path: entry.size for entry in source.whole.files}
        total, sent = sum(sizes[name] for name in missing), 0
        for number, name in enumerate(missing, 1):
            if sizes[name] > 50e6:
                self._say(f"{model}: sending {name}, {in_units(sizes[name])}")
            self._connection.put_file(os.path.join(source.directory, name), os.path.join(staging, name))
            sent += sizes[name]
            if number == len(missing):
                self._say(f"{model}: {number} files sent, {in_units(sent)} of {in_units(total)}")


def _name(item: Weights) -> str:
    return label(json_form(item))
