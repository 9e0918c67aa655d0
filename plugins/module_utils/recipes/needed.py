"""Without a host: what each variant of a recipe needs, as a table."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.module_utils.plan.table import table
from ansible_collections.baremetal.vllm.plugins.module_utils.recipes.choose import STRATEGIES, elsewhere
from ansible_collections.baremetal.vllm.plugins.module_utils.recipes.model import Recipe, Variant

HEADER = ("variant", "GB of GPU memory", "format", "vLLM from", "hardware", "model")


def needed(recipe: Recipe, release: str) -> str:
    """What to choose from, and how to go on."""
    rows = [_row(recipe, variant) for variant in recipe.variants.values()]
    size = f"{recipe.parameters} parameters" if recipe.parameters else ""
    active = f", {recipe.active} active" if recipe.active not in ("", recipe.parameters) else ""
    tokens = f"at most {recipe.context} tokens" if recipe.context else ""
    lines = [
        f"{recipe.name} ({'; '.join(filter(None, (size + active, tokens)))}), by the recipe of vLLM {release}:",
        "",
    ]
    lines += [table(HEADER, rows), ""]
    verified = [word for word, state in recipe.hardware.items() if state == "verified"]
    if verified:
        lines.append(f"Tried on: {', '.join(verified)}")
    ways = [name for name in recipe.strategies if name in STRATEGIES]
    if ways:
        lines.append(f"Spread over one host as: {', '.join(ways)}")
    if elsewhere(recipe):
        lines.append(f"Not built here (several hosts, or not described in vLLM): {', '.join(elsewhere(recipe))}")
    if recipe.features:
        lines.append(f"Features: {', '.join(_feature(recipe, name) for name in recipe.features)}")
    lines += [
        "",
        f"For one of your hosts: ansible-playbook … baremetal.vllm.recipe -e model={recipe.name} -e host=NAME",
    ]
    return "\n".join(lines)


def _feature(recipe: Recipe, name: str) -> str:
    return f"{name} (off)" if name in recipe.opt_in else name


def _row(recipe: Recipe, variant: Variant) -> tuple[object, ...]:
    hardware = list(variant.hardware)
    if not hardware and variant.precision in ("nvfp4", "fp4") and variant.precision_on is None:
        hardware = ["blackwell"]
    return (
        variant.name,
        variant.gb,
        variant.precision,
        variant.since or recipe.since or "any",
        ", ".join(hardware) or "any",
        variant.model,
    )
