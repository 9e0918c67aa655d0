"""The words and variables of a recipe's command for one choice, in the order in which later ones win.

Base, variant, variant on this GPU, the way it is spread, the recipe's own for that way, hardware, features: the order of
recipes.vllm.ai (src/lib/command-synthesis.js of github.com/vllm-project/recipes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.choose import STRATEGIES, TENSOR, Choice
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.machine import Machine
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import Feature, Recipe, RecipePart, Strategy

_NONE = RecipePart()
_OWN = Strategy(_NONE, {}, {})
_SIZE = {"single_node_dep": "--data-parallel-size"}


@dataclass
class RecipeCommand:
    """`words` after `vllm serve`, the model first; `features` that are on, `off` that could be."""

    words: list[str]
    env: dict[str, str]
    features: list[str] = field(default_factory=list)
    off: list[str] = field(default_factory=list)


def compose(recipe: Recipe, choice: Choice, machine: Machine, more: Iterable[str] = ()) -> RecipeCommand:
    """The command of a choice. `more`: features to switch on that the recipe leaves off."""
    wanted = set(more)
    optional = {*recipe.opt_in, *(machine.exact(recipe.opt_in_on) or ())}
    command = RecipeCommand([choice.variant.model], {})
    parts = list(_parts(recipe, choice, machine))
    for name, feature in recipe.features.items():
        part = _feature(name, feature, choice, machine)
        if part is None:
            continue
        if name in optional and name not in wanted:
            command.off.append(name)
            continue
        command.features.append(name)
        parts.append(part)
    for part in parts:
        command.words += part.args
        command.env.update(part.env)
    if choice.strategy == "single_node_tp":
        # What a recipe writes for the GPUs that its authors had is counted already.
        command.words = _without(TENSOR, command.words)
    flag = _SIZE.get(choice.strategy, TENSOR)
    if choice.gpus > 1 and flag not in command.words:
        command.words += [flag, str(choice.gpus)]
    return command


def _without(option: str, words: list[str]) -> list[str]:
    """Words without an option and its value."""
    at = {place for place, word in enumerate(words) if word == option}
    return [word for place, word in enumerate(words) if place not in at and place - 1 not in at]


def _parts(recipe: Recipe, choice: Choice, machine: Machine) -> Iterator[RecipePart]:
    variant = choice.variant
    own = recipe.by_strategy.get(choice.strategy, _OWN)
    yield recipe.part
    yield variant.part
    yield machine.exact(variant.on) or _NONE
    yield RecipePart(STRATEGIES[choice.strategy])
    yield own.part
    instead = machine.broad(own.on)
    if instead is not None:
        # What a strategy says of a generation takes the place of what the recipe and the variant say.
        yield instead
    else:
        yield machine.broad(recipe.on) or _NONE
        yield machine.broad(variant.on) or _NONE
    yield machine.exact(own.on) or _NONE


def _feature(name: str, feature: Feature, choice: Choice, machine: Machine) -> RecipePart | None:
    """What a feature adds here; None where it does not go with the choice."""
    if not _goes(feature, choice, machine):
        return None
    if not feature.modes:
        instead = machine.of(feature.on)
        return feature.part if instead is None else instead
    modes = {key: mode for key, mode in feature.modes.items() if _goes(mode, choice, machine)}
    for key in (choice.variant.modes.get(name, ""), feature.mode, *modes):
        if key in modes:
            instead = machine.of(modes[key].on)
            return modes[key].part if instead is None else instead
    return None


def _goes(feature: Feature, choice: Choice, machine: Machine) -> bool:
    return (
        (not feature.strategies or choice.strategy in feature.strategies)
        and (not feature.variants or choice.variant.name in feature.variants)
        and not machine.refused(feature.hardware)
    )
