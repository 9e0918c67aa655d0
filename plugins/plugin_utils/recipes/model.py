"""`data/recipes.json` as types: what vLLM's own recipes say about serving a model, and no more.

The file is made by tools/recipes.py; `load` reads it once.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypedDict, TypeVar

from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA

FILE = DATA / "recipes.json"
V = TypeVar("V", str, int)
ONE_HOST = "single_node_"


@dataclass(frozen=True)
class RecipePart:
    """Words of a command line and variables that one part of a recipe adds."""

    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Feature:
    """`on`: by hardware what takes the place of `args`; `modes`: of which one is taken, `mode` where nothing else says;
    `strategies`, `variants`: the only ones it goes with, all where empty; `hardware`: where it is "unsupported"."""

    part: RecipePart
    on: Mapping[str, RecipePart]
    modes: Mapping[str, Feature]
    mode: str
    strategies: tuple[str, ...]
    variants: tuple[str, ...]
    hardware: Mapping[str, str]


@dataclass(frozen=True)
class Variant:
    """One checkpoint. `gb`: decimal gigabytes of GPU memory in all that it needs, `gb_on` on some hardware; `hardware`: the
    only ones it is for, all where empty; `tp`: how many GPUs share it, by hardware; `since`: the release that serves it."""

    name: str
    model: str
    precision: str
    gb: int
    gb_on: Mapping[str, int]
    hardware: tuple[str, ...]
    precision_on: Mapping[str, str] | None
    part: RecipePart
    on: Mapping[str, RecipePart]
    tp: Mapping[str, int]
    since: str
    modes: Mapping[str, str]
    nightly: bool


@dataclass(frozen=True)
class Strategy:
    """What a recipe adds where it is spread in one way. `tp`: how many GPUs share it, by hardware."""

    part: RecipePart
    on: Mapping[str, RecipePart]
    tp: Mapping[str, int]


@dataclass(frozen=True)
class Recipe:
    """One recipe. `hardware`: id to "verified" or "unsupported"; `strategies`: all names, those of several hosts too."""

    name: str
    model: str
    since: str
    nightly: bool
    parameters: str
    active: str
    context: int
    tasks: tuple[str, ...]
    hardware: Mapping[str, str]
    default_hardware: str
    default_variant: Mapping[str, str]
    part: RecipePart
    on: Mapping[str, RecipePart]
    features: Mapping[str, Feature]
    opt_in: tuple[str, ...]
    opt_in_on: Mapping[str, tuple[str, ...]]
    variants: Mapping[str, Variant]
    strategies: tuple[str, ...]
    strategy: str
    by_strategy: Mapping[str, Strategy]
    strategy_hardware: Mapping[str, Mapping[str, str]]
    min_gpus: Mapping[str, int]
    needs: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Recipes:
    """All of them. `release`: the vLLM release they are of."""

    release: str
    recipes: Mapping[str, Recipe]

    def find(self, model: str) -> tuple[Recipe, str] | None:
        """The recipe of a hub id, in any case, and the variant that it names ("" where it names the recipe itself)."""
        wanted = model.lower()
        for name, recipe in self.recipes.items():
            if wanted in (name.lower(), recipe.model.lower()):
                return recipe, ""
        for recipe in self.recipes.values():
            for variant in recipe.variants.values():
                if variant.model.lower() == wanted:
                    return recipe, variant.name
        return None

    def near(self, model: str) -> list[str]:
        """At most three names of recipes that may be meant, the nearest first."""
        whole = {name.lower(): name for name in self.recipes}
        # People know a model by its name, and not whose it is; of a finetuned or quantised one they add what was done to it.
        last = {name.lower().rpartition("/")[2]: name for name in self.recipes}
        tail = model.lower().rpartition("/")[2]
        found = [last[name] for name in sorted(last, key=len, reverse=True) if tail.startswith(name)]
        found += [whole[name] for name in difflib.get_close_matches(model.lower(), whole, n=3, cutoff=0.6)]
        found += [last[name] for name in difflib.get_close_matches(tail, last, n=3, cutoff=0.6)]
        found += [name for name in self.recipes if tail and tail in name.lower()]
        return list(dict.fromkeys(found))[:3]


class _PartForm(TypedDict, total=False):
    args: list[str]
    env: dict[str, str]


class _OnForm(_PartForm, total=False):
    gb: int


class _AnywhereForm(_PartForm, total=False):
    on: dict[str, _OnForm]


class _FeatureForm(_AnywhereForm, total=False):
    modes: dict[str, _FeatureForm]
    mode: str
    strategies: list[str]
    variants: list[str]
    hardware: dict[str, str]


class _VariantForm(_AnywhereForm, total=False):
    model: str
    precision: str
    precision_on: dict[str, str]
    gb: int
    hardware: list[str]
    tp: dict[str, int] | int
    since: str
    modes: dict[str, str]
    nightly: bool


class _StrategyForm(_AnywhereForm, total=False):
    tp: dict[str, int] | int


class _NeedForm(TypedDict):
    install: str
    optional: bool


class _RecipeForm(_AnywhereForm, total=False):
    model: str
    since: str
    nightly: bool
    parameters: str
    active: str
    context: int
    tasks: list[str]
    hardware: dict[str, str]
    default_hardware: str
    default_variant: dict[str, str] | str
    features: dict[str, _FeatureForm]
    opt_in: list[str]
    opt_in_on: dict[str, list[str]]
    variants: dict[str, _VariantForm]
    strategies: list[str]
    strategy: str
    by_strategy: dict[str, _StrategyForm]
    strategy_hardware: dict[str, dict[str, str]]
    min_gpus: dict[str, int] | int
    needs: list[_NeedForm]


@cache
def load(file: Path = FILE) -> Recipes:
    """Every recipe, read once."""
    document = json.loads(file.read_text(encoding="utf-8"))
    recipes = {name: _recipe(name, raw) for name, raw in document["recipes"].items()}
    return Recipes(document["release"], recipes)


def _recipe(name: str, raw: _RecipeForm) -> Recipe:
    model = raw["model"]
    return Recipe(
        name=name,
        model=model,
        since=str(raw.get("since", "")),
        nightly=bool(raw.get("nightly")),
        parameters=str(raw.get("parameters", "")),
        active=str(raw.get("active", "")),
        context=raw.get("context", 0),
        tasks=tuple(raw.get("tasks", ())),
        hardware=raw.get("hardware", {}),
        default_hardware=raw.get("default_hardware", ""),
        default_variant=_keyed(raw.get("default_variant")),
        part=_part(raw),
        on=_on(raw),
        features={key: _feature(part) for key, part in raw.get("features", {}).items()},
        opt_in=tuple(raw.get("opt_in", ())),
        opt_in_on={key: tuple(names) for key, names in raw.get("opt_in_on", {}).items()},
        variants={key: _variant(key, model, part) for key, part in raw.get("variants", {}).items()},
        strategies=tuple(raw.get("strategies", ())),
        strategy=raw.get("strategy", ""),
        by_strategy={
            key: Strategy(_part(part), _on(part), _keyed(part.get("tp")))
            for key, part in raw.get("by_strategy", {}).items()
        },
        strategy_hardware=raw.get("strategy_hardware", {}),
        min_gpus=_keyed(raw.get("min_gpus")),
        needs=tuple((need["install"], need["optional"]) for need in raw.get("needs", ())),
    )


def _variant(name: str, model: str, raw: _VariantForm) -> Variant:
    return Variant(
        name=name,
        model=raw.get("model", model),
        precision=str(raw.get("precision", "")),
        gb=raw.get("gb", 0),
        gb_on={key: part["gb"] for key, part in raw.get("on", {}).items() if "gb" in part},
        hardware=tuple(raw.get("hardware", ())),
        precision_on=raw.get("precision_on"),
        part=_part(raw),
        on=_on(raw),
        tp=_keyed(raw.get("tp")),
        since=str(raw.get("since", "")),
        modes=raw.get("modes", {}),
        nightly=bool(raw.get("nightly")),
    )


def _feature(raw: _FeatureForm) -> Feature:
    return Feature(
        part=_part(raw),
        on=_on(raw),
        modes={key: _feature(part) for key, part in raw.get("modes", {}).items()},
        mode=raw.get("mode", ""),
        strategies=tuple(raw.get("strategies", ())),
        variants=tuple(raw.get("variants", ())),
        hardware=raw.get("hardware", {}),
    )


def _part(raw: _PartForm) -> RecipePart:
    return RecipePart(tuple(raw.get("args", ())), raw.get("env", {}))


def _on(raw: _AnywhereForm) -> dict[str, RecipePart]:
    return {key: _part(part) for key, part in raw.get("on", {}).items()}


def _keyed(value: Mapping[str, V] | V | None) -> Mapping[str, V]:
    """A value by hardware; one for all is the default."""
    if value is None:
        return {}
    return value if isinstance(value, Mapping) else {"default": value}
