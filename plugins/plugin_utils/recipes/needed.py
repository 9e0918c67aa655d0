"""Without a host: what each variant of a recipe needs, as a table."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.choose import STRATEGIES, elsewhere
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import Recipe, Variant
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import PAPER, Screen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import Column, Row, table

COLUMNS = (
    *(Column(name) for name in ("VARIANT", "GPU GB", "FORMAT", "VLLM FROM")),
    Column("HARDWARE", wraps=True),
    Column("MODEL"),
)


def needed(recipe: Recipe, release: str, screen: Screen = PAPER) -> str:
    """What to choose from, and how to go on."""
    size = f"{recipe.parameters} parameters" if recipe.parameters else ""
    active = f", {recipe.active} active" if recipe.active not in ("", recipe.parameters) else ""
    tokens = f"at most {recipe.context} tokens" if recipe.context else ""
    head = f"{recipe.name} ({'; '.join(filter(None, (size + active, tokens)))}), by the recipe of vLLM {release}:"
    rows = [Row(_row(recipe, variant)) for variant in recipe.variants.values()]
    lines = []
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
    return "\n".join(
        [
            screen.sentence(head),
            "",
            *table(COLUMNS, rows, screen),
            "",
            *(screen.sentence(line) for line in lines),
            "",
            # To be copied, so on one line however long.
            f"For one of your hosts: ansible-playbook … baremetal.vllm.recipe -e model={recipe.name} -e host=NAME",
        ]
    )


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
