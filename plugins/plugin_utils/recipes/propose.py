"""A recipe for one host: chosen, written as an entry, and checked by the plan as if it stood in the inventory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.memory import Fit, fit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.entry import EntryForm
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.check import read_arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.environment import as_text
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import NO_EXTRAS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release as known_release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.choose import (
    STRATEGIES,
    Choice,
    RecipeRefusal,
    choose,
    elsewhere,
    strategies,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.compose import compose
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.entry import Draft, draft, needs
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.machine import Machine, machines
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import Recipe
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.outside import thinker

# Stands for a commit that is not known yet, so that everything else is checked all the same.
_SOME_COMMIT = "0" * 40


class Unfit(ValueError):
    """A recipe that the host cannot serve, or a wish that it does not know: one sentence each, with its remedy."""


@dataclass(frozen=True)
class Wish:
    """What is asked for. `variant`, `strategy` "" where the recipe decides; `features` to switch on that it leaves off."""

    recipe: Recipe
    written_for: str
    variant: str = ""
    strategy: str = ""
    features: tuple[str, ...] = ()
    # From the hub, where no recipe of vLLM is: the kind, "" otherwise.
    kind: str = ""


@dataclass(frozen=True)
class Proposal:
    """`made`: the entry and its notes, `machine` and `choice` what it was made for, `written_for` the recipe's release."""

    made: Draft
    machine: Machine
    choice: Choice
    written_for: str = ""


@dataclass(frozen=True)
class RecipeVerdict:
    """`made`: the entry, perhaps shortened to what fits; `problems`: why the plan would refuse it, [] where it would not."""

    made: Draft
    problems: list[str] = field(default_factory=list)


def propose(wish: Wish, host: DeclaredHost) -> Proposal:
    """The entry of a recipe for a host. Raises Unfit, with why each variant is none for it."""
    recipe = wish.recipe
    _known("variant", wish.variant, recipe.variants)
    for name in wish.features:
        _known("features", name, recipe.features)
    if wish.strategy in elsewhere(recipe):
        raise Unfit(
            f"spread: {wish.strategy} spans several hosts, or is not described in vLLM's sources, and is not built here. "
            f"Choose one of: {', '.join(name for name in recipe.strategies if name in STRATEGIES)}"
        )
    _known("spread", wish.strategy, STRATEGIES)
    able = machines(host)
    if not able:
        raise Unfit(
            f"{host.name}.gpu_name: is not declared, and a variant is chosen by the memory of the GPUs. Write their name as "
            "nvidia-smi has it (gpu_name: H100-80GB), or the memory of one (gpu_memory_gib: 80)"
        )
    refusals: list[RecipeRefusal] = []
    for machine in able:
        choice, passed = choose(recipe, machine, host.release, wish.variant, wish.strategy)
        refusals += passed
        if choice is not None:
            return Proposal(_draft(wish, choice, passed, machine, host), machine, choice, wish.written_for)
    raise Unfit(_why(wish, host, able, refusals))


def _draft(wish: Wish, choice: Choice, passed: Sequence[RecipeRefusal], machine: Machine, host: DeclaredHost) -> Draft:
    recipe, variant = wish.recipe, choice.variant
    command = compose(recipe, choice, machine, wish.features)
    idle = sorted(set(wish.features) - set(command.features))
    if idle:
        raise Unfit(f"features: {', '.join(idle)} does not go with {variant.name} as {choice.strategy} on {machine}")
    parser, thinks = thinker(recipe.name) if "--reasoning-parser" not in command.words else ("", "")
    if parser:
        command.words += ["--reasoning-parser", parser]
        command.off = [name for name in command.off if name != "reasoning"]
    made = draft(recipe, choice, command, machine, wish.written_for, host.release)
    notes = [_head(wish, choice, machine, host)]
    if not choice.tried:
        notes.append(
            f"The recipe was tried on {', '.join(variant.hardware)} alone: nothing in it speaks against {machine.gpu}"
        )
    verified = [word for word, state in recipe.hardware.items() if state == "verified"]
    if choice.tried and verified and not set(verified) & set(machine.ids):
        notes.append(f"The recipe was tried on {', '.join(verified)}: on {machine.gpu or 'CPUs'} it is yours to try")
    notes += [f"Passed over: {refusal.variant} {refusal.reason}" for refusal in passed]
    notes += [thinks] if thinks else []
    notes += made.notes
    if command.off:
        notes.append(f"Off, as in the recipe: {', '.join(command.off)} (on with -e features={command.off[0]})")
    others = [name for name in strategies(recipe, machine) if name != choice.strategy]
    if others:
        notes.append(f"It may be spread otherwise: {', '.join(others)} (-e spread={others[0]})")
    left = elsewhere(recipe)
    if left:
        notes.append(f"Left out, for groups of hosts are not built: {', '.join(left)}")
    notes += needs(recipe)
    if made.entry.get("args", {}).get("trust-remote-code") is True:
        notes.append(
            "trust-remote-code runs Python of the model's repository in the engine: read it at the revision that you pin"
        )
    if recipe.nightly or variant.nightly:
        notes.append(f"The recipe asks for a nightly build: vLLM {host.release} may not have the model yet")
    if wish.kind:
        made.entry["kind"] = wish.kind
    return Draft(made.entry, notes)


def _head(wish: Wish, choice: Choice, machine: Machine, host: DeclaredHost) -> str:
    variant = choice.variant
    gpus = f"{choice.gpus} of {machine}" if choice.gpus else "its CPU"
    if wish.kind:
        size = f" (about {variant.gb} GB)" if variant.gb else ""
        return (
            f"No recipe of vLLM {wish.written_for} names {variant.model}: made from what the hub says{size}, for {host.name}, "
            f"{gpus}"
        )
    other = f", checkpoint {variant.model}" if variant.model.lower() != wish.recipe.name.lower() else ""
    return (
        f"vLLM {wish.written_for}'s recipe {wish.recipe.name}, variant {variant.name} ({variant.precision}, {variant.gb} GB)"
        f"{other}, {choice.strategy}, for {host.name}, {gpus}"
    )


def _why(wish: Wish, host: DeclaredHost, able: Sequence[Machine], refusals: Sequence[RecipeRefusal]) -> str:
    lines = [f"{host.name} ({', '.join(map(str, able))}) cannot serve {wish.recipe.name}:"]
    lines += list(dict.fromkeys(f"  - {refusal.variant} {refusal.reason}" for refusal in refusals))
    if wish.variant and len(wish.recipe.variants) > 1:
        lines.append("Leave variant out, and the one that fits is taken; or name another host.")
    else:
        lines.append(
            "Name a host with more or other GPUs, or another model. Without -e host the command lists what each variant needs."
        )
    return "\n".join(lines)


def _known(key: str, name: str, known: Any) -> None:
    if name and name not in known:
        raise Unfit(f"{key}: the recipe has no {name!r}. {did_you_mean(name, known) if known else 'It has none'}")


def judge(
    proposal: Proposal,
    host: DeclaredHost,
    declared: Values,
    facts: ModelFacts | str | None = None,
    **more: Any,
) -> RecipeVerdict:
    """What the plan says of the entry on its host. `declared`: the host's variables; `facts`: of the model, a sentence or None
    where they are not known; `more`: what else an Inventory has (`unchecked`, `extra_options`, …)."""
    made = _fitted(proposal, host, facts) if isinstance(facts, ModelFacts) else proposal.made
    if proposal.written_for and numbers(host.release) < numbers(proposal.written_for):
        said = (
            f"{host.name} runs vLLM {host.release} (vllm_version), older than vLLM {proposal.written_for}, which the recipe is "
            "of"
        )
        made = Draft(made.entry, [*made.notes, said])
    entry = dict(made.entry)
    name = str(entry.pop("name"))
    entry.setdefault("revision", _SOME_COMMIT)
    outcome = plan_fleet(
        Inventory(
            menu=read_menu({name: entry}),
            hosts={host.name: declared},
            match=lambda pattern: [host.name],
            facts={name: facts} if facts is not None else {},
            keyed=True,
            **more,
        )
    )
    told = [str(warning) for warning in outcome.warnings if warning.key.startswith("vllm_models.")]
    return RecipeVerdict(Draft(made.entry, [*made.notes, *told]), [str(problem) for problem in outcome.problems])


def _fitted(proposal: Proposal, host: DeclaredHost, facts: ModelFacts) -> Draft:
    """With the GPUs, or else the max-model-len, for one request of the model's own length, where the recipe says neither."""
    made, machine, choice = proposal.made, proposal.machine, proposal.choice
    written = made.entry.get("args", {})
    release = known_release(host.release)
    if not machine.count or "max-model-len" in read_arguments("", written, release, NO_EXTRAS, Problems()):
        return made
    gpu = host.kind(machine.indices[0] if machine.indices else 0)
    written_env: Any = made.entry.get("env", {})
    env = as_text(written_env, release)
    pooling = KINDS[made.entry["kind"]].pooling

    def on(gpus: int) -> Fit:
        args = written if gpus == choice.gpus else {**written, "tensor-parallel-size": gpus}
        return fit(facts, read_arguments("", args, release, NO_EXTRAS, Problems()), gpu, release, env, pooling)

    found = on(choice.gpus)
    if not _short(found):
        return made
    lacks = f"one request of the model's own {found.length} tokens does not fit on {choice.gpus}×{machine.gpu} beside the weights"
    for gpus in _larger(choice, machine, facts):
        if not _short(on(gpus)):
            entry: EntryForm = {**made.entry, "args": {**written, "tensor-parallel-size": gpus}}
            if machine.indices:
                entry["gpus"] = list(machine.indices[:gpus])
            return Draft(
                entry,
                [*made.notes, f"tensor-parallel-size is {gpus} here: {lacks}; a lower max-model-len would do, too"],
            )
    longest = (found.longest or 0) // 1024 * 1024
    if longest < 1024:
        return made
    shorter: EntryForm = {**made.entry, "args": {**written, "max-model-len": longest}}
    return Draft(shorter, [*made.notes, f"max-model-len is {longest} here: {lacks}"])


def _short(found: Fit) -> bool:
    return found.needed is not None and found.left is not None and found.needed > found.left


def _larger(choice: Choice, machine: Machine, facts: ModelFacts) -> list[int]:
    """More GPUs that the machine has and the model can be shared by, where nothing in the recipe says how many."""
    if choice.strategy != "single_node_tp" or machine.of(choice.variant.tp) is not None:
        return []
    sizes = [choice.gpus << step for step in range(1, 7)]
    return [size for size in sizes if size <= machine.count and (facts.heads or size) % size == 0]
