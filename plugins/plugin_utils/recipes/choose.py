"""Which variant of a recipe a host serves, spread in which way over how many GPUs; or why it cannot.

The rules are those by which recipes.vllm.ai makes its commands (src/lib/command-synthesis.js of github.com/vllm-project/recipes),
for one host. Where they take a whole host whenever one GPU is too small, here the least power of two GPUs is taken: the rest
is for other models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.machine import Machine
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import Recipe, Variant

# The ways to spread a model over the GPUs of one host, with the words that each begins with.
STRATEGIES: Mapping[str, tuple[str, ...]] = {
    "single_node_tp": (),
    "single_node_tep": ("--enable-expert-parallel",),
    "single_node_dep": ("--enable-expert-parallel",),
}
TENSOR = "--tensor-parallel-size"
# Formats that only these GPUs compute in; a variant may say otherwise.
_FORMATS = {
    "nvfp4": {"brand": "nvidia", "generation": "blackwell"},
    "fp4": {"brand": "nvidia", "generation": "blackwell"},
}
_PLAIN = ("bf16", "fp16")


@dataclass(frozen=True)
class Choice:
    """`gpus` that the model takes, 0 on a CPU; `tried`: whether the recipe names this hardware for the variant, or any."""

    variant: Variant
    strategy: str
    gpus: int
    tried: bool


@dataclass(frozen=True)
class RecipeRefusal:
    """Why a variant cannot be served here, as a phrase that follows its name."""

    variant: str
    reason: str


def strategies(recipe: Recipe, machine: Machine) -> list[str]:
    """The ways to spread it on this host, the recipe's own first."""
    granted = [name for name, on in recipe.strategy_hardware.items() if machine.of(on) == "supported"]
    names = [
        name
        for name in (recipe.strategy, *STRATEGIES, *granted)
        if name in STRATEGIES
        and (name in recipe.strategies or name in granted)
        and not machine.refused(recipe.strategy_hardware.get(name, {}))
    ]
    if machine.count < 2:
        names = [name for name in names if name == "single_node_tp"]
    return list(dict.fromkeys(names))


def elsewhere(recipe: Recipe) -> list[str]:
    """Ways that span several hosts, or whose arguments no source of vLLM says."""
    return [name for name in recipe.strategies if name not in STRATEGIES]


def choose(
    recipe: Recipe, machine: Machine, release: str, wanted: str = "", strategy: str = ""
) -> tuple[Choice | None, list[RecipeRefusal]]:
    """The choice for a machine, and why each variant that comes before it was passed over.

    `wanted`: one variant alone; `strategy`: one of `strategies`. The recipe's default comes first, then the largest that fits:
    the less it is quantised the more it is like the model.
    """
    first = machine.of(recipe.default_variant) or "default"
    order = sorted(recipe.variants.values(), key=lambda variant: (variant.name != first, -variant.gb))
    order = [variant for variant in order if wanted in ("", variant.name)]
    refusals: list[RecipeRefusal] = []
    untried: Choice | None = None
    for variant in order:
        found = judge(recipe, variant, machine, release, strategy)
        if isinstance(found, RecipeRefusal):
            refusals.append(found)
        elif found.tried or wanted:
            return found, refusals
        else:
            names = ", ".join(variant.hardware)
            refusals.append(RecipeRefusal(variant.name, f"is for {names} in the recipe"))
            untried = untried or found
    if untried is not None:
        return untried, [refusal for refusal in refusals if refusal.variant != untried.variant.name]
    return None, refusals


def judge(
    recipe: Recipe, variant: Variant, machine: Machine, release: str, strategy: str = ""
) -> Choice | RecipeRefusal:
    """Whether one variant can be served on the machine by `release`."""
    if machine.refused({word: recipe.hardware.get(word, "") for word in machine.ids}):
        return RecipeRefusal(variant.name, f"is marked as unsupported on {machine.gpu or 'a CPU'} in the recipe")
    known_here = any(recipe.hardware.get(word) == "verified" for word in machine.ids)
    if machine.generation == "cpu" and not known_here and not set(machine.ids) & set(variant.hardware):
        return RecipeRefusal(variant.name, "is not for CPUs in the recipe")
    # A format that any GPU has can be tried where the recipe's authors had other hardware.
    tried = not variant.hardware or any(word in variant.hardware for word in (*machine.words, *machine.parts))
    if not tried and (variant.precision not in _PLAIN or _foreign(variant)):
        return RecipeRefusal(variant.name, f"is for {', '.join(variant.hardware)} only")
    needed = variant.precision_on if variant.precision_on is not None else _FORMATS.get(variant.precision, {})
    if any(getattr(machine, key, "") != str(value).lower() for key, value in needed.items()):
        return RecipeRefusal(
            variant.name, f"is {variant.precision}, which needs {' '.join(map(str, needed.values()))} GPUs"
        )
    since = max(filter(None, (recipe.since, variant.since)), key=numbers, default="")
    if since and numbers(release) < numbers(since):
        return RecipeRefusal(variant.name, f"needs vLLM {since} or newer, and the host runs {release} (vllm_version)")
    offered = strategies(recipe, machine)
    if not offered:
        return RecipeRefusal(variant.name, f"is only for several hosts in the recipe ({', '.join(elsewhere(recipe))})")
    way = strategy or offered[0]
    if way not in offered:
        return RecipeRefusal(variant.name, f"cannot be spread as {way} here: {', '.join(offered)} can")
    gpus = size(recipe, variant, machine, way)
    if isinstance(gpus, str):
        return RecipeRefusal(variant.name, gpus)
    return Choice(variant, way, gpus, tried)


def _foreign(variant: Variant) -> bool:
    """Whether it was made for processors that need a vLLM of their own."""
    return variant.name.startswith(("ascend", "tpu"))


def size(recipe: Recipe, variant: Variant, machine: Machine, strategy: str) -> int | str:
    """How many GPUs the variant takes, or why the machine has not enough."""
    if machine.count == 0:
        return 0
    gb = machine.exact(variant.gb_on) or variant.gb
    each, most = machine.memory / 1e9, _power(machine.count)
    if gb > each * most:
        return f"needs {gb} GB of GPU memory, and {machine} have {_gb(each * most)}" + (
            f" on {most} GPUs" if most != machine.count else ""
        )
    floor = _floor(recipe, machine, strategy)
    if floor > machine.count:
        return f"needs {floor} GPUs as {strategy}, and the host has {machine.count}"
    if strategy != "single_node_tp":
        # Experts are spread over every GPU of the host; what is not an expert is on each of them.
        return most
    own = machine.of(variant.tp)
    if own is not None:
        # How its quantised blocks divide decides it: another number is no remedy.
        if own > machine.count:
            return f"takes {own} GPUs in the recipe, and the host has {machine.count}"
        if gb > each * own:
            return f"needs {gb} GB of GPU memory, and takes {own} GPUs in the recipe, which have {_gb(each * own)} here"
        return max(own, floor)
    shared = recipe.by_strategy.get(strategy)
    wanted = (machine.of(shared.tp) if shared else None) or _stated(recipe, variant, machine) or 1
    gpus = max(_power(min(wanted, machine.count)), floor, 1)
    while gpus < most and gb > each * gpus:
        gpus *= 2
    return gpus


def _stated(recipe: Recipe, variant: Variant, machine: Machine) -> int:
    """The tensor parallel size that a recipe writes among its arguments, the last of several; 0 where it writes none."""
    parts = (recipe.part, variant.part, machine.exact(variant.on), machine.broad(recipe.on), machine.broad(variant.on))
    words = [word for part in parts if part for word in part.args]
    sizes = [after for word, after in zip(words, words[1:]) if word == TENSOR and after.isdigit()]
    return int(sizes[-1]) if sizes else 0


def _floor(recipe: Recipe, machine: Machine, strategy: str) -> int:
    """The least GPUs that a recipe asks for (`strategy_min_gpus`): for all, for a strategy, or for a GPU and a strategy."""
    for_gpu = machine.exact(recipe.min_gpus)
    bars = [recipe.min_gpus.get("default", 0), recipe.min_gpus.get(strategy, 0)]
    bars.append(for_gpu.get(strategy, 0) if isinstance(for_gpu, Mapping) else for_gpu or 0)
    return max(bar for bar in bars if isinstance(bar, int))


def _power(count: int) -> int:
    """The largest power of two that is no more: heads are divided among GPUs evenly."""
    return 1 << (count.bit_length() - 1) if count else 0


def _gb(value: float) -> str:
    return f"{value:.0f} GB"
