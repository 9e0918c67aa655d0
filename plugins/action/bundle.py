"""Writes a fleet's bundle on the control node, and verifies one; documented in plugins/modules/bundle.py."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import printable
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.bundle_fetch import HubModels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.bundle_write import (
    WriteOutcome,
    Writing,
    alone,
    check_place,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.control import behind_proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.counting import ByteCount
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import result_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.hub import HUB
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle import faults, manifest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing import contents
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.at_hand import ENGINE_KEYS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, read_plan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Spec
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.store import WarmStore, directory_of

SPEC: Spec = {
    "directory": {"type": "path"},
    "plan": {"type": "str", "default": ""},
    "verify": {"type": "bool", "default": False},
    "prune": {"type": "bool", "default": False},
    "caches": {"type": "bool", "default": True},
    "warm": {"type": "path", "default": ""},
    "python": {"type": "path", "default": ""},
    "pause": {"type": "float", "default": 5.0},
    **HUB,
}


class ActionModule(ControlAction):
    def act(self) -> Result:
        """What was written or verified; every fault of a bundle that is not whole."""
        given = plain(self.checked(SPEC))
        if not given["directory"]:
            raise AnsibleActionFail("bundle_dir: is missing. Write -e bundle_dir=/media/stick/vllm")
        directory = Path(os.path.abspath(given["directory"]))
        try:
            return self._verify(directory) if given["verify"] else self._write(directory, given)
        except manifest.BundleError as error:
            raise AnsibleActionFail(f"{error}.") from None
        except OSError as error:
            told = proxy.without_secrets(manifest.disk_sentence(error, directory), given["proxy"])
            raise AnsibleActionFail(f"The bundle is not finished, and nothing takes it for one. {told}.") from None

    def _verify(self, directory: Path) -> Result:
        bundle = manifest.read(directory)
        count = ByteCount(f"bundle {directory}: read every file", bundle.size)
        wrong = faults.faults(directory, bundle, seen=count)
        if wrong:
            lines = "\n".join(f"  - {printable(line)}" for line in wrong)
            number = f"{len(wrong)} fault{'s' * (len(wrong) > 1)}"
            raise AnsibleActionFail(f"The bundle {directory} has {number}; use nothing of it, write it again.\n{lines}")
        return _told(directory, bundle, {"changed": False, "faults": []}, "is whole")

    def _write(self, directory: Path, given: Arguments) -> Result:
        check_place(directory)
        plan = read_plan(result_of(self.variables, given["plan"])["plan"])
        dry = self._task.check_mode
        problems = Problems()
        wanted = self._wanted(plan, given, problems)
        for warning in sorted(problems.warned):
            display.warning(str(warning))
        with behind_proxy(given), nullcontext() if dry else alone(directory):
            writing = Writing(directory, HubModels(directory, given), prune=given["prune"], check=dry)
            done = writing.write(wanted, problems)
        state = "would be written" if dry and done.changed else "was written" if done.changed else "is as planned"
        result = {
            "changed": done.changed,
            "written": list(done.written),
            "unneeded": list(done.unneeded),
            "written_bytes": done.size,
        }
        return _told(directory, done.bundle, result, state, done, dry)

    def _wanted(self, plan: FleetPlan, given: Arguments, problems: Problems) -> list[contents.WantedPart]:
        hostvars = self.variables["hostvars"]
        variables = {
            host: {key: plain(hostvars[host][key]) for key in ENGINE_KEYS if key in hostvars[host]}
            for host in plan.hosts
        }
        found = [one for wish in contents.engine_wishes(plan, variables) for one in contents.engines(wish, problems)]
        found += contents.weights(plan, problems)
        if given["caches"]:
            found += contents.caches(plan, WarmStore(directory_of(given["warm"], os.environ)), problems)
        by_path = {one.part.path: one for one in found}
        return [by_path[path] for path in sorted(by_path)]


def _told(
    directory: Path,
    bundle: manifest.Bundle,
    result: Result,
    state: str,
    done: WriteOutcome | None = None,
    dry: bool = False,
) -> Result:
    files = len(bundle.files)
    said = {
        **result,
        "path": str(directory),
        "digest": "" if dry else bundle.digest,
        "count": files,
        "bytes": bundle.size,
    }
    lines = [
        f"The bundle {directory} {state}"
        + ("" if dry else f": {files} files, {in_units(bundle.size)}, digest {bundle.digest}")
    ]
    for name in done.written if done else ():
        lines.append(f"  {'would bring' if dry else 'brought'} {name}")
    if done and done.unneeded:
        verb = (
            ("would remove" if dry else "removed")
            if done.pruned
            else "not needed by the plan (-e bundle_prune=true removes it):"
        )
        lines += [f"  {verb} {line}" for line in done.unneeded]
    text = "\n".join(map(printable, lines))
    about = [{"kind": part.kind, **part.about, "bytes": part.size} for part in bundle.parts]
    return tell(said, lambda screen: text, "bundle", lambda: {**said, "parts": about})
