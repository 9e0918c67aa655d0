"""Rewrites `args` and `env` of the menu for another release, for baremetal.vllm.migrate, which documents it."""

from __future__ import annotations

from dataclasses import asdict

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.control import pattern_matcher
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.run import takes_part
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.hosts import READ, judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.menu import move_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.report import document, hosts_section, sections
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import read_extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Spec, Variables

display = Display()


SPEC: Spec = {
    "models": {"type": "raw"},
    "to": {"type": "str", "required": True},
    "came_from": {"type": "str"},
    "group": {"type": "str", "default": "gpu_hosts"},
    "path": {"type": "path"},
    "gap": {"type": "str", "default": ""},
    "extra_options": {"type": "raw"},
    "extra_choices": {"type": "raw"},
    "extra_env": {"type": "raw"},
}


def run(action: Action, given: Arguments, variables: Variables) -> Result:
    """The menu as another release takes it, with what changes and which hosts cannot run it. Raises AnsibleActionFail: for
    a release that the catalogue lacks."""
    given = plain(given)
    if not takes_part(action._task.tags, variables, given["gap"]):
        return {"skipped": True, "changed": False}
    for role, version in (("to", given["to"]), ("came_from", given["came_from"])):
        if version not in (*releases(), None):
            reason = f"{version} is not a release in the catalogue" if version else "is missing"
            raise AnsibleActionFail(f"{role}: {reason}. Known are: {', '.join(releases())}.")
    problems = Problems()
    options, choices, environment = (given.get(f"extra_{kind}") for kind in ("options", "choices", "env"))
    extras = read_extras(options, choices, environment, problems)
    hosts = variables.get("groups", {}).get(given["group"], [])
    declared_by = {
        host: {key: plain(value) for key in (*READ, "vllm_version") if (value := variables["hostvars"][host].get(key))}
        for host in hosts
    }
    moved, came_from, unread = move_menu(
        given.get("models"),
        given["to"],
        {host: of_host.get("vllm_version") for host, of_host in declared_by.items()},
        pattern_matcher(action._loader, variables.get("groups", {})),
        given["came_from"],
        extras,
        {host: of_host.get("vllm_accelerator") for host, of_host in declared_by.items()},
    )
    stopped, restricted = judge(declared_by, given["to"])
    warnings = [str(problem) for problem in sorted([*problems.found, *unread])]
    for warning in warnings:
        display.warning(warning)
    result: Result = {
        "changed": False,
        "to": given["to"],
        "hosts": {"refused": [str(one) for one in stopped], "restricted": [str(one) for one in restricted]},
        "models": {
            name: {"args": entry.args, "env": entry.env, "changes": [asdict(change) for change in entry.changes]}
            for name, entry in moved.items()
        },
    }
    if given["path"]:
        text = document(given["models"], moved, given["to"])
        how = {"check_mode": action._task.check_mode, "diff": action._task.diff}
        result.update(write_output("vllm_migrate_file", given["path"], text, **how))
    return tell(
        result,
        lambda screen: "\n".join(
            part
            for part in (
                sections(moved, came_from, given["to"], screen),
                hosts_section(stopped, restricted, given["to"], screen),
            )
            if part
        ),
        "migrate",
        lambda: {"to": given["to"], "models": result["models"], "hosts": result["hosts"], "warnings": warnings},
    )


STEP = Step(SPEC, run)
