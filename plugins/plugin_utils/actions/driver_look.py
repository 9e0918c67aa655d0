"""Looks at a host once and decides what its driver needs: step of baremetal.vllm.driver, which documents it."""

from __future__ import annotations

import base64
import time
from dataclasses import asdict, replace
from pathlib import Path

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import DriverState, Resolution
from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import printable
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import commands, repository
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.decide import Policy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.judge import (
    PATHS,
    DriverRequest,
    DriverVerdict,
    judge,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.request import read_wanted
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding, as_dicts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import names
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result

# What a rescue needs, from the look before the change that failed.
_BACK = ("back", "back_files", "back_remove", "back_loaded", "undrain_commands")
# What a driver that was just loaded, or a host that has just booted, needs time for: NVSwitch links are trained for up to a
# minute, and the first program that asks waits until all GPUs are initialised.
SETTLING = {"fabric-not-completed", "module-not-loaded", "device-nodes-missing", "gpu-hangs"}
# The same of a service that systemd is still starting.
STARTING = {"fabric-manager-not-running", "persistence-off", "not-settled"}
SETTLES = 120.0
PAUSE = 5


class Look:
    """One module call, made by `action`."""

    def __init__(self, action: Action) -> None:
        self._action = action

    def run(self) -> Result:
        """Return the steps for this host; failed where something stands in their way that nobody can heal from here."""
        given, host = self._action.given, self._action.host
        before = given.get("before") or {}
        try:
            request = read_request(host, given)
        except ValueError as error:
            return {"failed": True, "msg": str(error)}
        prove = boolean(given.get("prove", False)) and not request.absent
        through = {key: given[key] for key in proxy.ARGUMENTS if given.get(key)}
        deadline = time.monotonic() + SETTLES
        while True:
            offers = boolean(given.get("offers", False))
            seen = self._action.ask_host("driver", {"step": "look", "texts": list(PATHS), "offers": offers, **through})
            if "state" not in seen:
                return seen
            state = build(DriverState, seen["state"])
            verdict = judge(state, seen["texts"], request)
            stop = _stop(verdict, request, prove)
            if not prove or not _settles(stop, state) or time.monotonic() > deadline:
                break
            self._action.show(f"{stop[0].message}: looking again in {PAUSE} s")
            time.sleep(PAUSE)
        answer = _answer(state, verdict, before, request.mirror_key, seen["texts"])
        if request.absent:
            # Models have nothing to run on any more.
            answer["resume_commands"] = []
        if stop:
            left = answer["resume"]
            if left:
                said = (
                    f"{', '.join(left)} stopped for the change and stay so: playbooks/site.yml starts what is planned"
                )
                stop.append(Finding("models-stopped", said, "Run it when the driver works"))
            # What goes back, where this look came after a change.
            kept = {name: before.get(name, []) for name in _BACK}
            return {"failed": True, "msg": _message(stop), **kept}
        self._tell(verdict, request)
        return answer

    def _tell(self, verdict: DriverVerdict, request: DriverRequest) -> None:
        """What was found and what becomes of it; nothing on a host that is as wanted."""
        lines = told(verdict)
        if verdict.decision.install and verdict.resolution and not request.absent:
            lines.append(f"driver {verdict.resolution.version}: {verdict.resolution.why}")
        if verdict.decision.drain:
            lines.append(f"stops for it: {', '.join(verdict.decision.drain)}")
        if verdict.decision.then:
            lines.append(f"after the installation: {verdict.decision.then}")
        for line in lines:
            self._action.show(line)


def read_request(host: str, given: Arguments) -> DriverRequest:
    """What step look of module driver is asked for: wanted (the role's inputs), reboot, accept, gpu_count, state, before.

    Raises ValueError with all that is wrong with the inputs, a line each.
    """
    before, declared = given.get("before") or {}, given.get("wanted") or {}
    problems = Problems()
    wanted = read_wanted(host, declared, problems)
    mirror_key, why_not = _mirror_key(declared.get("nvidia_driver_mirror_key") or "")
    if why_not:
        problems.add(f"{host}.nvidia_driver_mirror_key", why_not, "Name a file of the control node")
    if problems.found:
        raise ValueError("\n".join(str(problem) for problem in sorted(problems.found)))
    settled = build(Resolution, before["resolution"]) if before.get("resolution") else None
    if settled:
        # What an earlier look of this run came to holds until its end, also without the offers that it came from.
        wanted = replace(wanted, version=settled.version, upgrade=False)
    return DriverRequest(
        wanted=wanted,
        policy=Policy(boolean(given.get("reboot", False)), names(given.get("accept"))),
        mirror_key=mirror_key,
        declared=int(given.get("gpu_count") or 0),
        absent=given.get("state", "present") == "absent",
        stuck=str(before.get("stuck") or ""),
        settled=settled,
    )


def told(verdict: DriverVerdict) -> list[str]:
    """What was found about a driver, each with its remedy."""
    return [f"{finding.message}. {finding.remedy}" for finding in verdict.findings]


def unhealable(verdict: DriverVerdict) -> list[Finding]:
    """What stands in the way of a driver, and nobody can heal from here."""
    return [*verdict.decision.refusals, *verdict.unhealed]


def _stop(verdict: DriverVerdict, request: DriverRequest, prove: bool) -> list[Finding]:
    """What nobody can heal from here; for a proof everything that is wrong or left to do."""
    stop = unhealable(verdict)
    if not prove:
        return stop
    stop = [f for f in verdict.findings if f.fatal and f.name not in request.policy.accept] or stop
    return stop or ([] if verdict.idle else [_restless(verdict)])


def _settles(stop: list[Finding], state: DriverState) -> bool:
    """Whether all that is wrong may come right by itself in a moment."""
    starting = any(unit.state == "activating" for unit in state.units.values())
    wrong = {finding.name for finding in stop}
    return bool(wrong) and wrong <= (SETTLING | STARTING if starting else SETTLING)


def _mirror_key(path: str) -> tuple[str, str]:
    """The text of the operator's key, or why it cannot be had."""
    if not path:
        return "", ""
    try:
        return repository.armoured(Path(path).expanduser().read_bytes()).decode(errors="replace"), ""
    except OSError as error:
        return "", f"{path} cannot be read ({error.strerror})"


def _answer(
    state: DriverState, verdict: DriverVerdict, before: Arguments, mirror_key: str, texts: dict[str, str]
) -> Result:
    decision = verdict.decision
    drained = list(dict.fromkeys([*before.get("resume", ()), *before.get("drain", ())]))
    key = verdict.key
    steps = {
        name: [asdict(command) for command in getattr(decision, name)]
        for name in ("download", "install", "heal", "load", "back")
    }
    # What undoes a change is known before it, and needed until it has proved itself.
    pins = [file.path for file in verdict.files if file.path == repository.PREFERENCES]
    undo = {
        # Pins of a version that could not be installed would have the next upgrade of the system try again.
        "back_files": [{"path": path, "content": texts[path], "mode": "0644"} for path in pins if path in texts],
        "back_remove": [path for path in pins if path not in texts],
        "back": steps["back"],
        "back_loaded": state.loaded is not None,
    }
    if before.get("back"):
        undo = {name: before[name] for name in undo}
    return {
        **steps,
        **undo,
        "changed": False,
        "idle": verdict.idle and not verdict.repository,
        "repository": verdict.repository,
        "offers": verdict.ask,
        "files": [{"path": f.path, "content": f.content, "mode": f"{f.mode:04o}"} for f in verdict.files],
        "remove_files": list(verdict.remove),
        "key": _key(key, mirror_key) if key else {},
        "update_command": list(verdict.update),
        "drain": list(decision.drain),
        "drain_commands": [asdict(command) for command in commands.stop(decision.drain)],
        "undrain_commands": [asdict(c) for c in commands.start_models(dict.fromkeys([*drained, *decision.drain]))],
        "resume": drained,
        "resume_commands": [asdict(command) for command in commands.start_models(drained)],
        "reboot": decision.reboot,
        "waits": decision.waits,
        "findings": as_dicts(verdict.findings),
        "resolution": asdict(verdict.resolution) if verdict.resolution else {},
        "state": asdict(state),
    }


def _key(key: repository.Key, mirror_key: str) -> dict[str, str]:
    if key.local:
        return {"path": key.path, "content": base64.b64encode(mirror_key.encode()).decode()}
    return {"path": key.path, "url": key.url, "fingerprint": key.fingerprint}


def _restless(verdict: DriverVerdict) -> Finding:
    decision = verdict.decision
    left = [c.title for c in (*decision.install, *decision.heal, *decision.load)] or [decision.reboot or decision.waits]
    return Finding(
        "not-settled", f"there is still something to do after everything was done: {', '.join(left)}", "Run again"
    )


def _message(findings: list[Finding]) -> str:
    return "\n".join(["The driver of this host is not as it must be:", *(printable(f"  {f}") for f in findings)])
