"""Gives compile caches from proven services to hosts that start the same: decides which, sends and fetches them."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import printable
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.cache import (
    ARCHIVE,
    ROOT,
    CacheError,
    Manifest,
    read_manifest,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import (
    CompiledFor,
    EngineFacts,
    HostFacts,
    digest,
    parts,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action, lost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle import use
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import WARM
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.service import engine_path
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_services
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Spec
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.carried import take
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.service import compiled_for
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.store import WarmStore, directory_of, of_service

SPEC: Spec = {
    "step": {"type": "str", "choices": ["bring", "collect"], "default": "bring"},
    "services": {"type": "list", "elements": "dict", "default": []},
    "results": {"type": "list", "elements": "dict", "default": []},
    "directory": {"type": "path", "default": ""},
    "look": {"type": "str", "default": ""},
    "bundle": {"type": "path", "default": ""},
}
# A host's part is not known until it is asked.
_NO_HOST, _NO_ENGINE = HostFacts("", "", ""), EngineFacts("", "")
display = Display()


class ActionModule(Action):
    """A host is asked only where there is something to give or to take. What fails is a warning: a start compiles then."""

    def act(self) -> Result:
        """What was brought to the host, or collected from it."""
        given = self.checked(SPEC)
        self.store = WarmStore(directory_of(given["directory"] or "", os.environ))
        services = {service.name: service for service in read_services(given["services"])}
        wanted = {name: told for name, service in services.items() if (told := compiled_for(service)) is not None}
        try:
            if given["step"] == "collect":
                return self._collect(services, wanted, given["results"])
            if given["bundle"] and not self._task.check_mode:
                self._take(wanted, use.directory_of(given["bundle"]) / WARM)
            return self._bring(services, wanted, self._looked(given["look"]))
        except (OSError, AnsibleError) as error:
            self._warn(f"compile caches: {error}")
            return {"changed": False}

    def _take(self, wanted: dict[str, CompiledFor], carried: Path) -> None:
        """Have in the store what came in a bundle."""
        planned = {name: of_service(parts(told, _NO_HOST, _NO_ENGINE)) for name, told in wanted.items()}
        for name, why in take(self.store, carried, planned).items():
            self._warn(f"{name}: {why}; it is not taken from the bundle")

    def _looked(self, name: str) -> Result:
        """What an earlier look (module host_state) found of this host; {} where it does not tell, as of an engine that is
        installed since."""
        found: Result = plain(self.variables.get(name) or {}).get("warm") or {}
        return found if found.get("engine") else {}

    def _bring(self, services: dict[str, Service], wanted: dict[str, CompiledFor], looked: Result) -> Result:
        brought: dict[str, Result] = {}
        likely = {}
        for name, told in wanted.items():
            planned = of_service(parts(told, _NO_HOST, _NO_ENGINE))
            if self.store.fitting(planned):
                likely[name] = told
            elif why := self.store.miss(planned):
                brought[name] = {"cold": why}
        facts = _facts_of(likely, looked) if looked else self._facts(services, likely) if likely else {}
        sent: dict[str, Manifest] = {}
        held: dict[str, str] = {}
        for name, found in facts.items():
            key = digest(found["parts"]) if found["parts"] else ""
            if not key or found["placed"]:
                continue
            if found["held"]:
                held[name] = key
            elif not (self.store.directory / key).is_dir():
                brought[name] = {"cold": self.store.miss(found["parts"])}
            else:
                try:
                    sent[name] = self.store.checked(key)
                except CacheError as error:
                    self._warn(f"{name}: {error}; it is not sent")
        for name, found in brought.items():
            self.show(f"compiles anew, no cache fits: {found['cold']}", unit=services[name].unit)
        if self._task.check_mode:
            return {"changed": bool(sent or held), "brought": brought}
        if sent or held:
            brought.update(self._give(services, sent, held))
        return {"changed": any(found.get("files") for found in brought.values()), "brought": brought}

    def _facts(self, services: dict[str, Service], wanted: dict[str, CompiledFor]) -> dict[str, Result]:
        answer = self._ask("facts", services=self._asked(services, wanted))
        found: dict[str, Result] = answer.get("facts", {})
        return found

    def _give(self, services: dict[str, Service], sent: dict[str, Manifest], held: dict[str, str]) -> dict[str, Result]:
        """Send what the host lacks, and have it placed; the results by service."""
        caches: Arguments = {name: {"key": key, "archive": "", "manifest": ""} for name, key in held.items()}
        # Ansible removes it when the task ends.
        folder = self._make_tmp_path() if sent else ""
        for name, cache in sent.items():
            archive = f"{folder}{cache.key}.tar"
            self._connection.put_file(str(self.store.directory / cache.key / ARCHIVE), archive)
            caches[name] = {"key": cache.key, "archive": archive, "manifest": cache.text()}
        answer = self._ask("bring", caches=caches)
        found: dict[str, Result] = {}
        for name, why in answer.get("refused", {}).items():
            self._warn(f"{name}: its compile cache was not brought, it compiles: {why}")
            found[name] = {"cold": why}
        for name, files in answer.get("placed", {}).items():
            given = sent.get(name)
            made = f", made on {given.host} ({in_units(given.size)})" if given else ""
            self.show(f"has the compile cache of its first start{made}", unit=services[name].unit)
            found[name] = {"key": caches[name]["key"], "host": given.host if given else self.host, "files": files}
        return found

    def _collect(self, services: dict[str, Service], wanted: dict[str, CompiledFor], results: list[Result]) -> Result:
        """Keep and fetch the caches of services that were proved in full and that this control node has none of."""
        proved = {str(result.get("model")): result for result in results if result.get("passed")}
        lacking, known = {}, {}
        for name, told in wanted.items():
            result = proved.get(name)
            fitting = self.store.fitting(of_service(parts(told, _NO_HOST, _NO_ENGINE)))
            # Where nothing was compiled, what the host has came from here or from an earlier start.
            compiled = (result or {}).get("compile") or {}
            if result is not None and (not fitting or compiled.get("compiled")):
                lacking[name] = told
                # One that vLLM would not load is worth nothing to others either.
                known[name] = [] if compiled.get("refused") else [kept.key for kept in fitting]
        if not lacking or self._task.check_mode:
            return {"changed": False, "collected": {}}
        asked = self._asked(services, lacking)
        asked = [{**service, "known": known[service["name"]]} for service in asked]
        answer = self._ask("keep", services=asked, host=self.host)
        for name, why in answer.get("refused", {}).items():
            self._warn(f"{name}: its compile cache is not kept: {why}")
        collected = {}
        for name, told in answer.get("kept", {}).items():
            text = Manifest(**told).text()
            cache = read_manifest(text, str(told["key"]))
            if self.store.add(cache, partial(self._fetch, cache.key), replace=not known[name]):
                self.show(f"gave its compile cache to other hosts ({in_units(cache.size)})", unit=services[name].unit)
                collected[name] = cache.key
        return {"changed": bool(collected), "collected": collected}

    def _fetch(self, key: str, path: Path) -> None:
        self._connection.fetch_file(str(ROOT / key / ARCHIVE), str(path))

    def _asked(self, services: dict[str, Service], wanted: dict[str, CompiledFor]) -> list[Arguments]:
        return [
            {
                "name": name,
                "unit": services[name].unit,
                "engine": engine_path(told.release),
                "compiled_for": asdict(told),
            }
            for name, told in wanted.items()
        ]

    def _ask(self, step: str, **arguments: object) -> Result:
        answer = self.ask_host("warm_cache", {"step": step, **arguments})
        if lost(answer):
            self._warn(f"compile caches: {answer.get('msg', 'the host did not answer')}")
            return {}
        return answer

    def _warn(self, text: str) -> None:
        display.warning(printable(f"{self.host}: {text}"))


def _facts_of(wanted: dict[str, CompiledFor], looked: Result) -> dict[str, Result]:
    """By service what the host would say (step facts), by what a look found there."""
    host, engine, held = build(HostFacts, looked["host"]), build(EngineFacts, looked["engine"]), looked["held"]
    found = {}
    for name, told in wanted.items():
        made = parts(told, host, engine)
        key = digest(made)
        found[name] = {"parts": made, "held": key in held, "placed": held.get(key, False)}
    return found
