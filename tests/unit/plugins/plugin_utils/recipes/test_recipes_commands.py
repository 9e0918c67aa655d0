"""Every recipe of vLLM, as its own release takes it, and fitted to hosts: what the plan says of each."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.command_line import read_command
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load as catalogue
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.check import read_arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.environment import check_environment
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import NO_EXTRAS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.mending import mended_args
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.relations import check_relations
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost, read_host
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.choose import Choice
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.compose import compose
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.machine import Machine
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.propose import Unfit, Wish, judge, propose

RECIPES = load()
# Large enough for every model: what is asked here is whether the words are taken.
LARGE = Machine(("h200",), "hopper", "nvidia", 8, 10**13, "H200")
# Names that no source of 0.33.0 holds: use_inductor is gone from CompilationConfig since 0.12.0.
STALE = {"inclusionAI/Ring-1T-FP8": ".compilation-config.use_inductor: is not a key that vLLM 0.33.0 knows here"}


def refused(name: str) -> list[str]:
    """What the plan's own checks say against a recipe's default command, word for word."""
    recipe, release = RECIPES.recipes[name], catalogue.release(RECIPES.release)
    assert release is not None
    command = compose(recipe, Choice(recipe.variants["default"], "single_node_tp", 8, True), LARGE)
    entry, __ = read_command("vllm serve " + " ".join(map(quoted, command.words)), RECIPES.release)
    problems = Problems()
    args = read_arguments("", mended_args(entry.get("args", {}), release), release, NO_EXTRAS, problems)
    check_relations("", args, release, problems)
    check_environment("", command.env, release, NO_EXTRAS, problems)
    return sorted(map(str, problems.found))


def quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def test_the_default_commands_are_taken_but_for_stale_names() -> None:
    found = {name: told for name in RECIPES.recipes if (told := refused(name))}
    assert set(found) == set(STALE)
    for name, beginning in STALE.items():
        assert [told.startswith(beginning) for told in found[name]] == [True]
    assert len(RECIPES.recipes) - len(found) == 187


HOSTS: dict[str, dict[str, Any]] = {
    "h200": {"vllm_accelerator": "cuda", "gpu_count": 8, "gpu_name": "H200"},
    "b200": {"vllm_accelerator": "cuda", "gpu_count": 8, "gpu_name": "B200"},
    "h100": {"vllm_accelerator": "cuda", "gpu_count": 8, "gpu_name": "H100-80GB"},
    "l40s": {"vllm_accelerator": "cuda", "gpu_count": 4, "gpu_name": "L40S"},
    "spark": {"vllm_accelerator": "cuda", "gpu_count": 1, "gpu_name": "GB10"},
    "mi355x": {"vllm_accelerator": "rocm", "gpu_count": 8, "gpu_name": "MI355X"},
    "cpu": {"vllm_accelerator": "cpu"},
}
# How many of the 188 a host can serve: a change of these numbers is a change of what people get.
SERVED = {"h200": 183, "b200": 187, "h100": 157, "l40s": 121, "spark": 120, "mi355x": 188, "cpu": 27}


def host_of(name: str, **more: Any) -> tuple[DeclaredHost, dict[str, Any]]:
    declared = {"vllm_version": "0.33.0", **HOSTS[name], **more}
    problems = Problems()
    host = read_host(name, declared, problems)
    assert host is not None, problems.found
    assert not problems.found
    return host, declared


@pytest.mark.parametrize("name", HOSTS)
def test_what_is_proposed_for_a_host_is_planned(name: str) -> None:
    host, declared = host_of(name)
    served = 0
    for recipe in RECIPES.recipes.values():
        try:
            proposal = propose(Wish(recipe, RECIPES.release), host)
        except Unfit:
            continue
        served += 1
        verdict = judge(proposal, host, declared)
        assert verdict.problems == [], recipe.name
        machine, choice = proposal.machine, proposal.choice
        if choice.gpus:
            assert choice.gpus <= machine.count
            gb = machine.exact(choice.variant.gb_on) or choice.variant.gb
            assert gb * 1e9 <= machine.memory * choice.gpus, recipe.name
    assert served == SERVED[name]


def test_an_older_release_gets_its_own_spelling_or_a_sentence() -> None:
    """On 0.28.0: newer recipes are refused by the release, older ones are written as it takes them."""
    host, declared = host_of("h200", vllm_version="0.28.0")
    planned = newer = 0
    odd = set()
    for recipe in RECIPES.recipes.values():
        try:
            proposal = propose(Wish(recipe, RECIPES.release), host)
        except Unfit as error:
            newer += "or newer, and the host runs 0.28.0 (vllm_version)" in str(error)
            continue
        verdict = judge(proposal, host, declared)
        planned += not verdict.problems
        if verdict.problems:
            odd.add(recipe.name)
            assert any("older than vLLM 0.33.0, which the recipe is of" in note for note in verdict.made.notes)
    # They say of themselves that a nightly build serves them, and not from which release on.
    assert all(not RECIPES.recipes[name].since[:1].isdigit() for name in odd)
    assert planned > 100
    assert newer > 10


def test_a_stale_name_is_left_out_and_told() -> None:
    host, __ = host_of("b200")
    made = propose(Wish(RECIPES.recipes["inclusionAI/Ring-1T-FP8"], RECIPES.release), host).made
    assert "use_inductor" not in str(made.entry.get("args"))
    assert any("use_inductor" in note for note in made.notes)
