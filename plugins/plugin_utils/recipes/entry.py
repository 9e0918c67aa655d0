"""A recipe's command as an entry of `vllm_models` for one host, with what to know about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import by_name
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.entry import EntryForm, Maker, in_order
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.move import move_entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.parse import parse
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.report import told
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import Start
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.mending import mended_args
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sentence import flow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.choose import Choice
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.compose import RecipeCommand
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.machine import Machine
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import Recipe
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Word


@dataclass
class Draft:
    """`entry`: the keys of an entry with its `name` among them; `notes`: sentences for the comments above it."""

    entry: EntryForm
    notes: list[str] = field(default_factory=list)


def draft(
    recipe: Recipe, choice: Choice, command: RecipeCommand, machine: Machine, written_for: str, release: str
) -> Draft:
    """The entry for one choice, as `release` takes it. `written_for`: the release whose options the recipe's are."""
    notes: list[str] = []
    known = load.release(written_for)
    parsed = parse([Word(word) for word in command.words], known)
    # Later parts of a recipe are meant to replace earlier ones.
    notes += [note for note in parsed.notes if not note.endswith("the last one counts")]
    args = _on_host(parsed.args, choice.variant.model, notes)
    env = {name: Word(value) for name, value in command.env.items()}
    made = Maker(args, notes).make(parsed.positional, Start((), env))
    # The maker guesses from a command alone, and knows no revision.
    notes = [note for note in notes if not note.startswith(("`kind`", "Add `revision`", "Clients asked"))]
    if load.release(release) is not None:
        moved = move_entry(
            mended_args(made.get("args", {}), known) if known else made.get("args", {}),
            made.get("env", {}),
            release,
            written_for,
        )
        made["args"], made["env"] = moved.args, moved.env
        # What a default was in older releases is nothing to somebody who writes the entry now.
        notes += told(replace(moved, changes=[change for change in moved.changes if change.kind != "meaning"]))
    else:
        notes.append(f"vLLM {release} is not in the catalogue: its options were not checked")
    made["kind"], guess = kind_of(recipe, made.get("args", {}))
    notes += [guess] if guess else []
    if machine.indices and choice.gpus:
        made["gpus"] = list(machine.indices[: choice.gpus])
    return Draft(in_order(made), notes)


def kind_of(recipe: Recipe, args: Values) -> tuple[str, str]:
    """What the endpoint must prove, and a sentence where that is a guess ("" where it is none)."""
    if "embedding" in recipe.tasks:
        if named := by_name(recipe.name, "pooling"):
            return named, "`kind` is a guess from the model's name: score, classify and embedding are the others"
        return "embedding", "`kind` is a guess: a pooling model may be embedding, rerank, score or classify"
    if args.get("reasoning-parser"):
        return "reasoning", ""
    if "multimodal" in recipe.tasks and args.get("language-model-only") is not True:
        if named := by_name(recipe.name, "generate"):
            return named, "`kind` is a guess from the model's name"
        return "vision", ""
    return "chat", ""


def _on_host(args: Values, model: str, notes: list[str]) -> dict[str, object]:
    """Without what the host would not have: chat templates of vLLM's repository, which no package of it holds, and further
    hub ids, for units start with HF_HUB_OFFLINE and only the entry's own model is brought."""
    kept = dict(args)
    drafted = kept.get("speculative-config")
    if isinstance(drafted, Mapping) and _is_hub_id(drafted.get("model")):
        if str(drafted["model"]).lower() == model.lower():
            # SpeculativeConfig.__post_init__ (vllm/config/speculative.py): without one it is the model itself.
            kept["speculative-config"] = {key: value for key, value in drafted.items() if key != "model"}
        else:
            del kept["speculative-config"]
            path = {**drafted, "model": "/PATH"}
            notes.append(
                f"speculative-config is left out: its model {drafted['model']} is not brought to the host, where engines reach "
                f"no hub. Bring it there, and write `speculative-config: {flow(path)}`"
            )
    if _is_hub_id(kept.get("hf-config-path")):
        notes.append(
            f"hf-config-path: {kept.pop('hf-config-path')} is left out: engines reach no hub. Bring it to the host, and "
            "write its absolute path"
        )
    template = kept.get("chat-template")
    if isinstance(template, str) and template.endswith(".jinja") and not template.startswith("/"):
        del kept["chat-template"]
        notes.append(
            f"chat-template: {template} is left out: the file lies in vLLM's repository and in no package of it. Tool calls "
            "need it: copy it to the host and write its absolute path as `chat-template`"
        )
    return kept


def _is_hub_id(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", value) is not None


def pinned(made: Draft, revision: str) -> Draft:
    """The same with its revision, in the order in which one writes the keys."""
    return Draft(in_order({**made.entry, "revision": revision}), list(made.notes))


def needs(recipe: Recipe) -> Sequence[str]:
    """What the recipe has installed beside vLLM, as notes."""
    found = []
    for command, optional in recipe.needs:
        if " install " in command:
            when = "for some of its features" if optional else "too"
            found.append(f"The recipe installs into the engine {when}: `{command}`")
        else:
            found.append(f"The recipe {'may set' if optional else 'sets'} too: `{command}`")
    return found
