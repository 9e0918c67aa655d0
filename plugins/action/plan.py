"""Computes the plan of the whole fleet on the control node; see plugins/modules/plan.py for its documentation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.at_hand import ENGINE_KEYS, locks_of
from ansible_collections.baremetal.vllm.plugins.module_utils.fit.adapters import read_adapter
from ansible_collections.baremetal.vllm.plugins.module_utils.fit.facts import ModelFacts, read_model
from ansible_collections.baremetal.vllm.plugins.module_utils.fit.find import locate
from ansible_collections.baremetal.vllm.plugins.module_utils.fit.overrides import overrides_of
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.document import models_page
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.gateway import GATEWAY_KEYS, GATEWAY_PREFIX
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.hosts import HOST_KEYS, HOST_PREFIXES
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.jsonfile import write_json
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.menu import Entry, read_menu
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.table import plan_table
from ansible_collections.baremetal.vllm.plugins.module_utils.service import told
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.fingerprint import fingerprint
from ansible_collections.baremetal.vllm.plugins.plugin_utils.control import pattern_matcher
from ansible_collections.baremetal.vllm.plugins.plugin_utils.json_output import JSON, VARIABLE, as_json, tell

display = Display()


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _, given = self.validate_argument_spec(
            argument_spec={
                "models": {"type": "raw"},
                "group": {"type": "str", "default": "gpu_hosts"},
                "gateway_group": {"type": "str", "default": "gateways"},
                "address": {"type": "str"},
                "keyed": {"type": "bool", "default": False},
                "api_key": {"type": "raw", "no_log": True},
                "show": {"type": "bool", "default": False},
                "document": {"type": "path"},
                "json": {"type": "path"},
                "unchecked_releases": {"type": "raw"},
                "extra_options": {"type": "raw"},
                "extra_choices": {"type": "raw"},
                "extra_env": {"type": "raw"},
            }
        )
        models = plain(given.get("models"))
        menu = read_menu(models, Problems())
        hosts, names = _declared(variables, given["group"], (*HOST_KEYS, *ENGINE_KEYS), HOST_PREFIXES)
        gateways, gateway_names = _declared(variables, given["gateway_group"], GATEWAY_KEYS, (GATEWAY_PREFIX,))
        outcome = plan_fleet(
            Inventory(
                models=models,
                hosts=hosts,
                gateways=gateways,
                names=names,
                gateway_names=gateway_names,
                match=pattern_matcher(self._loader, variables["groups"]),
                digests=_digests(menu),
                facts=_facts(menu),
                adapters=_adapters(menu),
                locks=locks_of(hosts),
                address=given["address"],
                keyed=given["keyed"],
                api_key=plain(given.get("api_key")),
                unchecked=plain(given.get("unchecked_releases")),
                extra_options=plain(given.get("extra_options")),
                extra_choices=plain(given.get("extra_choices")),
                extra_env=plain(given.get("extra_env")),
            )
        )
        if outcome.problems:
            count = len(outcome.problems)
            lines = "\n".join(f"  - {problem}" for problem in outcome.problems)
            message = f"The inventory has {count} problem{'s' * (count > 1)}; no host was touched.\n{lines}"
            if as_json():
                refused = [asdict(problem) for problem in outcome.problems]
                return tell({"failed": True, "msg": message}, lambda screen: "", "plan", lambda: {"refused": refused})
            raise AnsibleActionFail(message)
        if variables.get(VARIABLE) == JSON and not as_json():
            display.warning(f"{VARIABLE}: is read from the command line alone. Write -e {VARIABLE}={JSON}.")
        for warning in outcome.warnings:
            display.warning(str(warning))
        changed = bool(given["document"]) and self._document(Path(given["document"]), models_page(outcome.plan))
        if given["json"] and not self._task.check_mode:
            write_json(Path(given["json"]), told.document(outcome.plan, outcome.digest, None, {}))
        result = {"changed": changed, "plan": outcome.plan, "digest": outcome.digest}
        if not given["show"]:
            return result
        warnings = [str(warning) for warning in outcome.warnings]
        return tell(
            result,
            lambda screen: plan_table(outcome.plan, screen),
            "plan",
            lambda: {**told.document(outcome.plan, outcome.digest, None, {}), "warnings": warnings},
        )

    def _document(self, path: Path, page: str) -> bool:
        if path.is_file() and path.read_text() == page:
            return False
        if not self._task.check_mode:
            path.write_text(page)
        return True


def _declared(
    variables: Mapping[str, Any], group: str, keys: tuple[str, ...], prefixes: tuple[str, ...]
) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[str, ...]]]:
    """The variables of these names and prefixes of every host of a group, and the names of all that it has."""
    found, names = {}, {}
    for host in variables["groups"].get(group, []):
        of_host = variables["hostvars"][host]
        names[host] = tuple(plain(key) for key in of_host)
        found[host] = {key: plain(of_host[key]) for key in of_host if key in keys or key.startswith(prefixes)}
    return found, names


def _digests(menu: Iterable[Entry]) -> dict[str, str]:
    """SHA-256 of every directory that is to be pushed; where there is none, why."""
    found: dict[str, str] = {}
    wanted = [source for entry in menu for source in (entry.source, *entry.adapters.values())]
    for path in sorted({source.push_from for source in wanted if source.push_from}):
        if not Path(path).is_dir():
            found[path] = "is not a directory here"
            continue
        try:
            found[path] = fingerprint(Path(path))[0]
        except OSError as error:
            found[path] = f"cannot be read ({error.strerror})"
    return found


def _facts(menu: Iterable[Entry]) -> dict[str, ModelFacts | str]:
    """What the configurations at hand say about their models, by entry; why not, where one cannot be read."""
    found: dict[str, ModelFacts | str] = {}
    for entry in menu:
        directory = locate(entry.source, os.environ) if entry.source.model else None
        if directory:
            found[entry.name] = read_model(directory, overrides_of(entry.args))
    return found


def _adapters(menu: Iterable[Entry]) -> dict[str, dict[str, dict[str, Any]]]:
    """By entry and adapter, what the adapters at hand say of themselves."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in menu:
        for name, source in entry.adapters.items():
            directory = locate(source, os.environ, file="adapter_config.json") if source.model else None
            config = read_adapter(directory) if directory else None
            if config is not None:
                found.setdefault(entry.name, {})[name] = config
    return found
