"""Renders the planned units, asks a host once, judges its engine; documented in plugins/modules/host_state.py."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import LockError
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import (
    environment_secrets,
    secret_lines,
    secrets_digest,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.units.render import as_dict
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import prepare
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.decide import (
    RefusalError,
    check_place,
    check_systemd,
    decide,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import ROOT, TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.control import SECRETS, host_files, render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_services

# What the host needs of the task's arguments; the rest stays here.
SENT = ("engine", "weights", "keep", "packages", "restart_replaced")
# What is not given is as the host's variables have it for the role vllm_engine, or as that role has it.
ROLE = ROOT / "roles" / "vllm_engine" / "defaults" / "main.yml"
OF_ROLE = ("keep", "prune", "source", "wheelhouse", "lock", "rocm", "packages")


class ActionModule(ActionBase):
    """One module call, whatever the number of models."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        asked = plain({**self._engine_settings(task_vars or {}), **self._task.args})
        secrets = environment_secrets(asked.get("api_key"), asked.get("secret_env"))
        arguments = {
            **{key: asked[key] for key in SENT if asked.get(key)},
            "units": [as_dict(unit) for unit in render_units(TEMPLATES, read_services(asked.get("services", [])))],
            "files": host_files(TEMPLATES),
            "secrets_path": SECRETS,
            "secrets_digest": secrets_digest(secret_lines(secrets)),
        }
        answer = self._ask(arguments, task_vars)
        if answer.get("engine"):
            answer["engine"] = self._judge(asked, answer)
        return answer

    def _engine_settings(self, variables: dict[str, Any]) -> dict[str, object]:
        """By option what the role vllm_engine would be given on this host."""
        role = self._loader.load_from_file(str(ROLE))
        names = {key: f"vllm_engine_{key}" for key in OF_ROLE}
        return {key: self._templar.template({**role, **variables}[name]) for key, name in names.items()}

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """What the host answers. One that does not is a finding like any other: it has its line in the table."""
        try:
            answer: dict[str, Any] = self._execute_module(
                module_name="baremetal.vllm.host_state", module_args=arguments, task_vars=task_vars
            )
        except AnsibleConnectionFailure as error:
            return {"status": "unreachable", "why": _one_line(str(error))}
        if answer.get("failed") or "steps" not in answer:
            said = f"{answer.get('msg', 'the module gave no answer')} {answer.get('module_stderr', '')}"
            return {"status": "failed", "why": _full(_one_line(said))}
        answer.pop("invocation", None)
        return {**answer, "status": "read"}

    def _judge(self, asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, object]:
        """What vllm_engine would do; a refusal joins the host's others."""
        planned, found = asked["engine"], answer["engine"]
        release = planned["release"]
        judged = {
            "release": release,
            "remove": found["prunable"] if boolean(asked["prune"]) else [],
            "packages": found["missing_packages"],
        }
        try:
            check_systemd(found.get("systemd"))
            check_place(planned["path"], found)
            __, locks = prepare.acceptable({**asked, **planned}, found["arch"])
            present = release in found["installed"]
            marker, users = found["installed"].get(release, {}), found["used"].get(release, [])
            verdict = decide(release, planned["accelerator"], marker, present, locks, users)
        except (RefusalError, LockError) as error:
            answer["refusals"].append(f"vLLM {release} for {planned['accelerator']}: {error}")
            return {**judged, "install": False, "why": str(error)}
        return {**judged, "install": verdict.install, "why": verdict.reason}


# What Python says where not even a module's own files can be written; tempfile tries each directory before it gives up.
FULL = ("No usable temporary directory found", "No space left on device")


def _full(text: str) -> str:
    """A full disk by its name: the traceback around it is long."""
    if any(words in text for words in FULL):
        return "a disk of this host is full: not even a module can run there. Free some space in /tmp or /var/tmp, and run again"
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())
