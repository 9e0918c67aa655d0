"""Computes the plan of the whole fleet on the control node; see plugins/modules/plan.py for its documentation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.utils.vars import load_extra_vars
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems, some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.control import pattern_matcher
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import JSON, VARIABLE, as_json, tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, unwritable, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.run import takes_part
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.at_hand import ENGINE_KEYS, check_sources, locks_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.adapters import read_adapter
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, read_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.find import locate
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.overrides import overrides_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan import render
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.carried import Carried, open_bundle
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.document import models_page
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import GATEWAY_KEYS, GATEWAY_PREFIX
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import HOST_KEYS, HOST_PREFIXES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry, read_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.table import plan_table
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import by_reason
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Variables
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.fingerprint import fingerprint
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.source import Source

SPEC = {
    "models": {"type": "raw"},
    "group": {"type": "str", "default": "gpu_hosts"},
    "gateway_group": {"type": "str", "default": "gateways"},
    "keyed": {"type": "bool", "default": False},
    "api_key": {"type": "raw", "no_log": True},
    "show": {"type": "bool", "default": False},
    "document": {"type": "path"},
    "json": {"type": "path"},
    "gap": {"type": "str", "default": ""},
    "writes": {"type": "dict", "default": {}},
    "exit": {"type": "str", "default": ""},
    "unchecked_releases": {"type": "raw"},
    "extra_options": {"type": "raw"},
    "extra_choices": {"type": "raw"},
    "extra_env": {"type": "raw"},
    "bundle": {"type": "path"},
}


class ActionModule(ControlAction):
    def act(self) -> Result:
        """The plan of the whole fleet, or all that stands against one."""
        variables, given = self.variables, self.checked(SPEC)
        if not takes_part(self._task.tags, variables, given["gap"]):
            return {"skipped": True, "changed": False}
        menu = read_menu(plain(given.get("models")))
        hosts, names = _declared(variables, given["group"], (*HOST_KEYS, *ENGINE_KEYS), HOST_PREFIXES)
        run = Problems()
        carried = open_bundle(given["bundle"], run)
        if carried:
            hosts = carried.declared(hosts)
            carried.check(menu.entries, run)
        gateways, gateway_names = _declared(variables, given["gateway_group"], GATEWAY_KEYS, (GATEWAY_PREFIX,))
        outcome = plan_fleet(
            Inventory(
                menu=menu,
                hosts=hosts,
                gateways=gateways,
                names=names,
                gateway_names=gateway_names,
                match=pattern_matcher(self._loader, variables["groups"]),
                digests=carried.digests(menu.entries) if carried else _digests(menu.entries),
                facts=_facts(menu.entries, carried),
                adapters=_adapters(menu.entries, carried),
                locks=locks_of(hosts),
                keyed=given["keyed"],
                api_key=plain(given.get("api_key")),
                groups={"vllm_group": given["group"], "vllm_gateway_group": given["gateway_group"]},
                extra=[str(name) for name in load_extra_vars(self._loader)],
                unchecked=plain(given.get("unchecked_releases")),
                extra_options=plain(given.get("extra_options")),
                extra_choices=plain(given.get("extra_choices")),
                extra_env=plain(given.get("extra_env")),
            )
        )
        missing = check_sources(hosts, run)
        missing = carried.gaps(missing, hosts) if carried else missing
        self._check_run(given, run)
        problems = sorted({*outcome.problems, *run.found})
        if problems:
            count = len(problems)
            lines = "\n".join(f"  - {problem}" for problem in problems)
            message = f"The inventory has {count} problem{'s' * (count > 1)}; no host was touched.\n{lines}"
            if as_json():
                refused = [asdict(problem) for problem in problems]
                return tell({"failed": True, "msg": message}, lambda screen: "", "plan", lambda: {"refused": refused})
            raise AnsibleActionFail(message)
        if variables.get(VARIABLE) == JSON and not as_json():
            display.warning(f"{VARIABLE}: is read from the command line alone. Write -e {VARIABLE}={JSON}.")
        # A host without models needs no engine.
        missing = {host: gap for host, gap in missing.items() if outcome.fleet.hosts[host].engine}
        for warning in outcome.warnings:
            display.warning(str(warning))
        changed = False
        if given["document"]:
            page, dry = models_page(outcome.fleet), self._task.check_mode
            changed = write_output("vllm_plan_document", given["document"], page, check_mode=dry)["changed"]

        def document() -> dict[str, object]:
            return render.document(outcome.fleet, outcome.digest, None, {})

        if given["json"] and not self._task.check_mode:
            write_output("vllm_plan_json", given["json"], json_text(document()))
        result = {"changed": changed, "plan": outcome.plan, "digest": outcome.digest, "missing_engines": missing}
        if not given["show"]:
            return result
        warnings = [str(warning) for warning in outcome.warnings]
        return tell(
            result,
            lambda screen: "\n".join([plan_table(outcome.fleet, screen), *_sources_note(missing)]),
            "plan",
            lambda: {**document(), "warnings": warnings, "missing_engines": missing},
        )

    def _check_run(self, given: Arguments, problems: Problems) -> None:
        """What is wrong with this run, beside the inventory: files that could not be written at its end, and how it is to end."""
        for name, path in {"vllm_plan_document": given["document"], **given["writes"]}.items():
            # An empty one is a shell's variable that was not set.
            if path is None or self._task.check_mode:
                continue
            # As an option of the type path is read.
            reason, remedy = unwritable(os.path.expanduser(os.path.expandvars(str(path))))
            if reason:
                problems.add(name, reason, remedy)
        if given["exit"] not in ("", "changes"):
            problems.add("vllm_plan_exit", f"{given['exit']!r} is not known", "Write changes, or leave it out")
        elif given["exit"] and given["show"] and not self._task.diff:
            problems.add("vllm_plan_exit", "needs a look at the hosts", "Add --diff, or leave it out")


def _declared(
    variables: Variables, group: str, keys: tuple[str, ...], prefixes: tuple[str, ...]
) -> tuple[dict[str, dict[str, object]], dict[str, tuple[str, ...]]]:
    """The variables of these names and prefixes of every host of a group, and the names of all that it has."""
    found, names = {}, {}
    for host in variables["groups"].get(group, []):
        of_host = variables["hostvars"][host]
        names[host] = tuple(plain(key) for key in of_host)
        found[host] = {key: plain(of_host[key]) for key in of_host if key in keys or key.startswith(prefixes)}
    return found, names


def _sources_note(missing: Mapping[str, str]) -> list[str]:
    """Below the plan: engines that could not be installed as things stand."""
    return [
        f"\nto install an engine on {some(names)}, {reason}" for reason, names in by_reason(missing.items()).items()
    ]


def _digests(menu: Iterable[Entry]) -> dict[str, str]:
    """SHA-256 of every directory that is to be pushed; where there is none, why."""
    found: dict[str, str] = {}
    wanted = [source for entry in menu for source in (entry.source, *entry.adapters.values())]
    for path in sorted({source.push_from for source in wanted if source.push_from}):
        if not Path(path).is_dir():
            found[path] = "is not a directory here"
            continue
        try:
            found[path] = fingerprint(path)[0]
        except OSError as error:
            found[path] = f"cannot be read ({error.strerror})"
    return found


def _located(source: Source, carried: Carried | None, file: str = "config.json") -> Path | None:
    """A directory here that has this file of a model: in the bundle, else wherever else it may be."""
    if not source.model:
        return None
    there = carried.locate(source, file) if carried else None
    return there or locate(source, os.environ, file=file)


def _facts(menu: Iterable[Entry], carried: Carried | None) -> dict[str, ModelFacts | str]:
    """What the configurations at hand say about their models, by entry; why not, where one cannot be read."""
    found: dict[str, ModelFacts | str] = {}
    for entry in menu:
        directory = _located(entry.source, carried)
        if directory:
            found[entry.name] = read_model(directory, overrides_of(entry.args))
    return found


def _adapters(menu: Iterable[Entry], carried: Carried | None) -> dict[str, dict[str, dict[str, object]]]:
    """By entry and adapter, what the adapters at hand say of themselves."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for entry in menu:
        for name, source in entry.adapters.items():
            directory = _located(source, carried, "adapter_config.json")
            config = read_adapter(directory) if directory else None
            if config is not None:
                found.setdefault(entry.name, {})[name] = config
    return found
