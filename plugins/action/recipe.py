"""Prints a recipe of vLLM as an entry for one host; see plugins/modules/recipe.py for its documentation."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.control import behind_proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.hub import HUB, hub_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, read_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.find import locate
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.overrides import overrides_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import names, plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.report import imported
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import (
    HOST_KEYS,
    HOST_PREFIXES,
    DeclaredHost,
    read_host,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.entry import pinned
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.hub import Hub, HubFailure, HubModel, by_hand
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import Recipes, load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.needed import needed
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.outside import own_recipe
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.propose import (
    Proposal,
    Unfit,
    Wish,
    judge,
    propose,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Variables
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.source import Source

_COMMIT = re.compile(r"[0-9a-f]{40}")
# Files that say what a model takes of its GPUs; the weights themselves stay where they are.
_FACTS = ("config.json", "model.safetensors.index.json", "hf_quant_config.json")
# What else of a host's variables the plan is told.
_FLEET = {
    "unchecked": "vllm_unchecked_releases",
    "extra_options": "vllm_extra_options",
    "extra_choices": "vllm_extra_choices",
    "extra_env": "vllm_extra_env",
}


SPEC = {
    "model": {"type": "str"},
    "host": {"type": "str"},
    "variant": {"type": "str", "default": ""},
    "spread": {"type": "str", "default": ""},
    "features": {"type": "raw"},
    "revision": {"type": "str", "default": "main"},
    **HUB,
}


class ActionModule(ControlAction):
    def act(self) -> Result:
        """Print the recipe, for a host as an entry that it can run."""
        given = plain(self.checked(SPEC))
        recipes = load()
        if not given["model"]:
            raise AnsibleActionFail(
                f"model: is missing. Write -e model=ORG/NAME; the {len(recipes.recipes)} recipes of vLLM {recipes.release} are: "
                + ", ".join(recipes.recipes)
            )
        host, declared = self._host(given["host"], self.variables)
        asked = _Asked(given, declared, recipes)
        with behind_proxy(given):
            return asked.without_host() if host is None else asked.for_host(host)

    def _host(self, name: str | None, variables: Variables) -> tuple[DeclaredHost | None, dict[str, object]]:
        """The host as the plan reads it, and its variables."""
        if not name:
            return None, {}
        known = list(variables["groups"].get("all", []))
        if name not in known:
            remedy = did_you_mean(name, known) if known else "It has none: name an inventory with -i"
            raise AnsibleActionFail(f"host: {name} is not a host of this inventory. {remedy}.")
        of_host = variables["hostvars"][name]
        wanted = (*HOST_KEYS, *_FLEET.values(), "model_weights_endpoint", "vllm_hf_token")
        declared = {key: plain(of_host[key]) for key in of_host if key in wanted or key.startswith(HOST_PREFIXES)}
        problems = Problems()
        host = read_host(name, declared, problems)
        if host is None or problems.found:
            lines = "\n".join(f"  - {problem}" for problem in sorted(problems.found))
            raise AnsibleActionFail(f"{name} cannot be planned for:\n{lines}")
        return host, declared


class _Asked:
    """One request. What the hub says is asked once."""

    def __init__(self, given: Arguments, declared: Mapping[str, object], recipes: Recipes) -> None:
        self._given, self._declared, self._recipes = given, declared, recipes
        self._endpoint = str(declared.get("model_weights_endpoint") or given["endpoint"] or "")
        self._token = str(declared.get("vllm_hf_token") or given["hf_token"] or "")
        self._found: dict[str, HubModel] = {}

    def without_host(self) -> Result:
        known = self._recipes.find(self._given["model"])
        result = {"changed": False, "whole": False}
        if known is not None:
            recipe, release = known[0], self._recipes.release
            return tell(
                result,
                lambda screen: needed(recipe, release, screen),
                "recipe",
                lambda: {"entry": None, "release": release, "recipe": asdict(recipe)},
            )
        wish = self._wish(lambda notes: None)
        found = self._found[self._given["model"]]
        text = (
            f"{self._stranger()}\nThe hub has it: {found.weights / 1e9:.0f} GB of weights, a model of kind {wish.kind}. "
            "For an entry name one of your hosts: -e host=NAME"
        )
        seen = {"entry": None, "recipe": None, "model": found.model, "kind_of_model": wish.kind, "bytes": found.weights}
        return tell(result, lambda screen: text, "recipe", lambda: seen)

    def for_host(self, host: DeclaredHost) -> Result:
        extra: list[str] = []
        wish = self._wish(extra.extend)
        try:
            proposal = propose(wish, host)
        except Unfit as error:
            raise AnsibleActionFail(str(error)) from None
        proposal = _with_notes(proposal, extra)
        revision, found, notes = self._pin(str(proposal.made.entry["model"]))
        proposal = _with_notes(proposal, notes)
        if revision:
            proposal = replace(proposal, made=pinned(proposal.made, revision))
        facts = self._facts(proposal, revision, found)
        if not isinstance(facts, ModelFacts):
            why = facts or "its config.json is not at hand"
            proposal = _with_notes(proposal, [f"Its memory is the recipe's figure and no more: {why} (docs/memory.md)"])
        more = {key: self._declared[name] for key, name in _FLEET.items() if name in self._declared}
        declared = {
            key: value for key, value in self._declared.items() if key not in ("vllm_hf_token", *_FLEET.values())
        }
        verdict = judge(proposal, host, declared, facts, **more)
        entry, comments = verdict.made.entry, [*verdict.made.notes, *(f"NOT RIGHT YET: {p}" for p in verdict.problems)]
        lacks = [*map(str, verdict.problems), *([] if revision else [_unpinned(entry["name"])])]
        said = {"entry": entry, "notes": list(verdict.made.notes)}
        result: Result = {"changed": False, "whole": True, **said}
        if lacks:
            lines = "\n".join(f"  - {line}" for line in lacks)
            result = {"failed": True, "msg": f"Not whole:\n{lines}"}
        return tell(
            result,
            lambda screen: imported(entry, comments, screen),
            "recipe",
            lambda: {**said, "lacks": lacks},
        )

    def _wish(self, note: Callable[[list[str]], None]) -> Wish:
        """The recipe that is meant; one of our own where vLLM has none and the hub knows the model."""
        model, given = self._given["model"], self._given
        features = names(given["features"])
        known = self._recipes.find(model)
        if known is not None:
            recipe, variant = known
            return Wish(recipe, self._recipes.release, given["variant"] or variant, given["spread"], features)
        try:
            found = self._look(model)
        except HubFailure as error:
            raise AnsibleActionFail(f"{self._stranger()} Nor does the hub help: {error}.") from None
        recipe, kind, notes = own_recipe(found)
        note(notes)
        return Wish(recipe, self._recipes.release, given["variant"], given["spread"], features, kind)

    def _stranger(self) -> str:
        model = self._given["model"]
        near = self._recipes.near(model)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        count = len(self._recipes.recipes)
        return f"model: {model} is not among the {count} recipes of vLLM {self._recipes.release}.{hint}"

    def _hub(self) -> Hub:
        return hub_of(self._endpoint, self._token, self._given["offline"])

    def _look(self, model: str) -> HubModel:
        if model not in self._found:
            self._found[model] = self._hub().look(model, self._given["revision"])
        return self._found[model]

    def _pin(self, model: str) -> tuple[str, HubModel | None, list[str]]:
        """The commit, what the hub said, and notes."""
        wanted = self._given["revision"]
        try:
            found = self._look(self._given["model"] if self._given["model"] in self._found else model)
        except HubFailure as error:
            if _COMMIT.fullmatch(wanted):
                return wanted, None, [f"Nobody asked the hub whether {wanted[:12]} is a commit of {model}: {error}"]
            say = f"Add `revision`, the 40-digit commit of {model}. {error}. {by_hand(model, self._hub_address())}"
            return "", None, [say]
        when = f" of {found.modified}" if found.modified else ""
        notes = [f"`revision` is {wanted}{when}" if wanted != found.revision else f"`revision` is a commit{when}"]
        if found.model != model:
            notes.append(f"The hub calls it {found.model}: write that as `model`")
        if found.gated:
            notes.append("It is gated: accept its licence on the hub, and set vllm_hf_token from a vault")
        return found.revision, found, notes

    def _hub_address(self) -> str:
        return Hub(self._endpoint or os.environ.get("HF_ENDPOINT", "")).endpoint

    def _facts(self, proposal: Proposal, revision: str, found: HubModel | None) -> ModelFacts | str | None:
        """What the model's own files say: those at hand, else the small ones of the hub; why not, where none can be read."""
        entry = proposal.made.entry
        overrides = overrides_of(entry.get("args", {}))
        if not revision:
            return None
        here = locate(Source(entry["model"], revision), os.environ)
        if here is not None:
            return read_model(here, overrides)
        if found is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            try:
                for name in _FACTS:
                    if name in found.files:
                        (Path(folder) / name).write_bytes(self._hub().file(found, name))
            except HubFailure as error:
                return str(error)
            return (
                read_model(folder, overrides) if (Path(folder) / "config.json").is_file() else "it has no config.json"
            )


def _with_notes(proposal: Proposal, notes: list[str]) -> Proposal:
    return replace(proposal, made=replace(proposal.made, notes=[*proposal.made.notes, *notes]))


def _unpinned(name: str) -> str:
    return f"vllm_models.{name}.revision: is not known; the comments above the entry say how to find it"
