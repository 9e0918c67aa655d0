"""A `vllm serve …` command, as scripts and units hold it, turned into an entry of `vllm_models`."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ansible_collections.baremetal.vllm.plugins.module_utils.catalogue import load
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.entry import Maker
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.invocation import invocations
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.parse import parse
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.shell import Unclosed
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.starts import Invocation


class Command(NamedTuple):
    """One start of vLLM. `entry` has its `name` among its keys; `release`: whose spelling was read, "" where nothing said."""

    entry: dict[str, Any]
    notes: list[str]
    release: str


class Unread(ValueError):
    """A text from which no command can be read."""


def read_command(text: str, release: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """The first start of vLLM in a text: the entry, and what to know about it.

    `release`: whose spelling the command has. Without it an image's tag says, else every known release is asked.
    Raises Unread where the text starts no vLLM, or its quotes do not match.
    """
    first = read_commands(text, release)[0]
    return first.entry, first.notes


def read_commands(text: str, release: str | None = None) -> list[Command]:
    """The same for every start of vLLM in the text."""
    try:
        found = invocations(text)
        if not found and text.lstrip().startswith("-"):
            # Options alone, as in the `args` of a container.
            found = invocations(f"vllm serve {text}")
    except Unclosed as error:
        raise Unread(f"The text cannot be read: {error}") from error
    if not found and re.search(r"^apiVersion\s*:", text, re.M):
        raise Unread(
            "Nothing here starts vLLM; a Kubernetes manifest is not read: give its command and args in one line"
        )
    if not found:
        raise Unread(
            "Nothing here starts vLLM: `vllm serve MODEL …` or `python -m vllm.entrypoints.openai.api_server …`"
        )
    return [_command(one, release) for one in found]


def _command(found: Invocation, release: str | None) -> Command:
    version = release or found.release
    known = load.release(version) if version else None
    parsed = parse(found.words, known)
    notes = [*found.notes, *parsed.notes]
    if found.release and not release:
        notes.insert(0, f"The image is of vLLM {found.release}: its options are read as that release reads them")
    entry = Maker(parsed.args, notes).make(parsed.positional, found.env, found.devices)
    return Command(entry, list(dict.fromkeys(notes)), known.version if known else "")
