"""A recipe of our own for a hub id that no recipe of vLLM names: its kind, parsers and size from what the hub says of it."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import (
    KINDS,
    by_architecture,
    by_name,
    by_task,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, read_yaml
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.hub import HubModel
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import Feature, Recipe, RecipePart, Variant

FILE = DATA / "families.yml"
# What a model takes beside its weights, by the rule of vLLM's recipes: parameters × bytes × 1.2
# (.claude/skills/add-recipe of github.com/vllm-project/recipes).
_BESIDE = 1.2


# An entry of data/families.yml; `not` is no name in Python.
Family = TypedDict(
    "Family",
    {"types": list[str], "name": str, "not": str, "reasoning": str, "switch": str, "tools": str},
    total=False,
)


class _Thinker(TypedDict, total=False):
    model: str
    reasoning: str


class _Tables(TypedDict):
    families: list[Family]
    thinkers: list[_Thinker]


def own_recipe(found: HubModel) -> tuple[Recipe, str, list[str]]:
    """A recipe with one variant, the model's kind, and notes on how certain both are."""
    kind, notes = _kind(found)
    family = _family(found) if KINDS[kind].chats else {}
    features: dict[str, Feature] = {}
    if family.get("reasoning"):
        features["reasoning"] = _feature("--reasoning-parser", family["reasoning"])
        kind = "reasoning" if kind == "chat" else kind
        if family.get("switch"):
            notes.append(
                f"It thinks before each answer unless a client says otherwise. To have it off for all: leave reasoning-parser "
                f"out, write `kind: {'chat' if kind == 'reasoning' else kind}` and "
                f"`default-chat-template-kwargs: {{{family['switch']}: false}}`"
            )
    if family.get("tools"):
        features["tool_calling"] = _feature("--enable-auto-tool-choice", "", "--tool-call-parser", family["tools"])
    if KINDS[kind].chats and not family:
        notes.append(
            f"No parsers are known here for the type {found.config.get('model_type') or 'of this model'}: tools and thoughts "
            "need tool-call-parser and reasoning-parser where the model has them (its page says)"
        )
    if any(key == "auto_map" for key in found.config):
        notes.append("Its repository brings code of its own: `trust-remote-code: true` would run it; read it first")
    gb = math.ceil(found.weights * _BESIDE / 1e9)
    if not gb:
        notes.append("The hub does not say how large its weights are: the number of GPUs is one to be checked")
    variant = Variant("default", found.model, "", gb, {}, (), {}, RecipePart(), {}, {}, "", {}, False)
    tasks = ("embedding",) if KINDS[kind].pooling else ("text",)
    recipe = Recipe(
        name=found.model,
        model=found.model,
        since="",
        nightly=False,
        parameters="",
        active="",
        context=0,
        tasks=tasks,
        hardware={},
        default_hardware="",
        default_variant={},
        part=RecipePart(),
        on={},
        features=features,
        opt_in=(),
        opt_in_on={},
        variants={"default": variant},
        strategies=("single_node_tp",),
        strategy="",
        by_strategy={},
        strategy_hardware={},
        min_gpus={},
        needs=(),
    )
    return recipe, kind, notes


def _feature(*words: str) -> Feature:
    return Feature(RecipePart(tuple(filter(None, words))), {}, {}, "", (), (), {})


def _kind(found: HubModel) -> tuple[str, list[str]]:
    names = found.config.get("architectures")
    architecture = str(names[0]) if isinstance(names, list) and names else ""
    kind = by_task(found.task)
    if kind == "classify":
        # The hub calls whatever judges pairs a classifier of texts as well.
        kind = by_name(found.model, "pooling") or kind
    if kind:
        return kind, []
    if guess := by_architecture(architecture):
        return guess, [
            f"`kind` is a guess from its architecture, {architecture}: the hub names no task that is known here"
        ]
    return "chat", ["`kind` is a guess: the hub names neither a task nor an architecture that is known here"]


def _family(found: HubModel) -> Family:
    kind, name = found.config.get("model_type"), found.model.rpartition("/")[2]
    for family in families():
        if (
            kind in family["types"]
            and re.search(family.get("name", ""), name, re.IGNORECASE)
            and not ("not" in family and re.search(family["not"], name, re.IGNORECASE))
        ):
            return family
    return {}


def thinker(recipe: str) -> tuple[str, str]:
    """The parser of a model that thinks though its recipe names none, and a note on it; "" twice where it does not."""
    for entry in _tables()["thinkers"]:
        if re.fullmatch(entry["model"], recipe):
            parser = entry.get("reasoning", "")
            if parser:
                return parser, (
                    f"reasoning-parser: {parser} is added: the model thinks before each answer, and the recipe leaves its parser "
                    "out or off. Served as `chat` it would not pass its proof"
                )
            return "", (
                "The model thinks before each answer, and neither the recipe nor vLLM's sources name its reasoning-parser: as "
                "`chat` it may not pass its proof. Write the parser that its page names, and `kind: reasoning`"
            )
    return "", ""


def families() -> list[Family]:
    """The entries of data/families.yml, in their order."""
    return _tables()["families"]


@cache
def _tables() -> _Tables:
    read: _Tables = read_yaml(FILE)
    return read
