"""Looks at a host once and decides what its ROCm needs: step of baremetal.vllm.driver, which documents it."""

from __future__ import annotations

import base64
from pathlib import Path

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import RocmState, WantedRocm
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.key import fingerprints
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import decide, refuse, releases, render
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Registered, Result


class LookAmd:
    """One module call, made by `action`; everything else happens here."""

    def __init__(self, action: Action) -> None:
        self._action = action

    def run(self) -> Result:
        """Return what is to be done; failed where something stands in the way."""
        asked = self._action.given
        wanted = build(WantedRocm, asked["wanted"])
        answer = self._action.ask_host("driver", {"step": "look_amd", "packages": list(wanted.packages)})
        if "state" not in answer:
            return answer
        proof = boolean(asked.get("proof", False)) and not self._action._task.check_mode
        judged = judge_amd(wanted, answer["state"], Path(asked["templates"]), proof)
        # Whoever reads a failure needs no list of all that was seen.
        return judged if judged.get("failed") else {**answer, **judged}


def judge_amd(wanted: WantedRocm, seen: Registered, templates: Path, proof: bool = False) -> Result:
    """What is to be done on a host: `failed` with `msg` where something stands in the way, else change, files, key, lists,
    commands, reboot, findings, warnings. `seen`: the JSON form of RocmState; with `proof` what is left to do is a failure too."""
    state = build(RocmState, seen)
    refused = refuse.refusals(wanted, state)
    known = releases.release(wanted.version)
    if refused or known is None:
        return {"failed": True, "msg": "\n".join(map(str, refused))}
    decision = decide.decide(wanted, known, state, render.files(templates, wanted, known, state.system))
    key, expected = _key(wanted, state)
    keyless = not expected & set(state.fingerprints)
    change = bool(decision.files or decision.commands or keyless)
    # What amd-smi says counts once everything is in its place.
    findings = [] if change or decision.reboot else refuse.unwell(state)
    fatal = [str(finding) for finding in findings if finding.fatal]
    if proof and change:
        left = [str(command["title"]) for command in decision.commands] + [file["path"] for file in decision.files]
        fatal.append(f"This was done, and is still to be done: {', '.join(left)}")
    if fatal:
        return {"failed": True, "msg": "\n".join(fatal)}
    return {
        "change": change,
        "files": list(decision.files),
        "key": key,
        "lists": list(decide.lists(state)) if keyless or decide.update_needed(decision) else [],
        "commands": [{**command, "argv": list(command["argv"])} for command in decision.commands],  # type: ignore[call-overload]
        "reboot": decision.reboot,
        "findings": [str(finding) for finding in findings],
        "warnings": [str(finding) for finding in findings],
    }


def _key(wanted: WantedRocm, state: RocmState) -> tuple[dict[str, str], set[str]]:
    """The key as a step `files` takes it, and the fingerprints by which it is known."""
    path = render.key_path(state.system)
    if not wanted.mirror_key:
        key = releases.key(wanted.mirror)
        return {"path": path, **key}, {key["fingerprint"]}
    content = Path(wanted.mirror_key).expanduser().read_bytes()
    return {"path": path, "content": base64.b64encode(content).decode()}, set(fingerprints(content))
