"""A `vllm serve …` command, as scripts and units hold it, turned into an entry of `vllm_models`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import normal
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import SECRET_NAME, without_secrets
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.compose import env_file
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.config_file import with_config
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.entry import (
    SECRET_VARIABLES,
    SECRETS,
    EntryForm,
    Maker,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.invocation import Beside, clean, invocations
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.parse import parse
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.places import Places
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import Start
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.yamltext import UnreadableYaml
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import ShellError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Word


class ReadCommand(NamedTuple):
    """One start of vLLM. `entry` has its `name` among its keys; `release`: whose spelling was read, "" where nothing said."""

    entry: EntryForm
    notes: list[str]
    release: str


class Unread(ValueError):
    """A text from which no command can be read."""


def read_command(text: str, release: str | None = None, file: str | None = None) -> tuple[EntryForm, list[str]]:
    """The first start of vLLM in a text: the entry, and what to know about it.

    `release`: whose spelling the command has. Without it an image's tag says, else every known release is asked. `file`: where
    the text is from, so that files beside it are found. Raises Unread where the text starts no vLLM, or cannot be read.
    """
    first = read_commands(text, release, file)[0]
    return first.entry, first.notes


def read_commands(text: str, release: str | None = None, file: str | None = None) -> list[ReadCommand]:
    """The same for every start of vLLM in the text. Raises Unread: where the text starts no vLLM, or cannot be read."""
    beside = Beside(file)
    try:
        found = invocations(text, beside)
        if not found and text.lstrip("\ufeff \t\r\n").startswith("-") and not text.lstrip().startswith("---"):
            # Options alone, as in the `args` of a container.
            found = invocations("vllm serve " + text.lstrip("\ufeff \t\r\n"), beside)
        if not found:
            raise Unread(_nothing(text))
        return _once([(_command(one, release, beside), one.machine) for one in found])
    except RecursionError as error:
        raise Unread("The text cannot be read: it is nested too deeply") from error
    except (ShellError, UnreadableYaml) as error:
        raise Unread(without_secrets(f"The text cannot be read: {error}")) from error


def _once(found: list[tuple[ReadCommand, str]]) -> list[ReadCommand]:
    """The same start over ssh on several machines is one entry, whose notes name them all."""
    kept: list[tuple[ReadCommand, list[str]]] = []
    for command, machine in found:
        same = next(
            (
                (index, other, machines)
                for index, (other, machines) in enumerate(kept)
                if machine
                and "" not in machines
                and machine not in machines
                and (other.entry, other.release) == (command.entry, command.release)
            ),
            None,
        )
        if same is None:
            kept.append((command, [machine]))
        else:
            index, other, machines = same
            notes = list(dict.fromkeys([*other.notes, *command.notes]))
            kept[index] = other._replace(notes=notes), [*machines, machine]
    return [
        command._replace(
            notes=[f"The same is started on {', '.join(machines[:-1])} and {machines[-1]}", *command.notes]
        )
        if machines[1:]
        else command
        for command, machines in kept
    ]


def _nothing(text: str) -> str:
    """Why no start was found, with the lines that may be meant."""
    lines = [
        number
        for number, line in enumerate(clean(text).split("\n"), 1)
        if re.search(r"vllm\s+serve|vllm\.entrypoints", line) and not line.lstrip().startswith("#")
    ]
    said = "Nothing here starts vLLM: `vllm serve MODEL …` or `python -m vllm.entrypoints.openai.api_server …`"
    if lines:
        where = ", ".join(map(str, lines[:5]))
        said += f". What stands in line {where} is text to the command there: give it by itself, in a file of its own"
    return said


def _command(found: Start, release: str | None, beside: Beside) -> ReadCommand:
    found = _with_env_files(found, beside)
    version = release or found.release
    known = load.release(version) if version else None
    notes = [*found.notes]
    words = with_config(
        found.words, lambda path: beside.read(_outside(path, found)), found.module, version or None, notes
    )
    parsed = parse(words, known)
    notes += parsed.notes
    if found.release and not release and known is not None:
        what = "The image is of" if found.container else "The command asks for"
        notes.insert(0, f"{what} vLLM {found.release}: its options are read as that release reads them")
    elif found.release and not release:
        notes.insert(
            0, f"vLLM {found.release} is no release that is known here: its options are read as any release does"
        )
    entry = Maker(parsed.args, notes).make(parsed.positional, found)
    return ReadCommand(entry, _redacted(list(dict.fromkeys(notes)), found), known.version if known else "")


def _with_env_files(found: Start, beside: Beside) -> Start:
    """`--env-file`: what the command itself sets comes later and wins."""
    env: dict[str, Word] = {}
    notes: list[str] = []
    for path in found.env_files:
        text = beside.read(path)
        if text is None:
            notes.append(f"Further variables stand in {path}: they are not here")
        else:
            env.update({name: Word(value) for name, value in env_file(text).items()})
    return replace(found, env={**env, **found.env}, notes=(*notes, *found.notes))


def _outside(path: str, found: Start) -> str:
    """A path of a container as the host, and the directory of the file, has it."""
    return str(Places(found, []).on_host(path))


def _redacted(notes: list[str], found: Start) -> list[str]:
    """Notes in which no key or token stands, not even as a default."""
    secrets = {word.text for name, word in found.env.items() if name in SECRET_VARIABLES or SECRET_NAME.search(name)}
    for word, following in zip(found.words, [*found.words[1:], Word("")]):
        name, sign, value = word.text.partition("=")
        if normal(name) in SECRETS:
            secrets.add(value if sign else following.text)
    for secret in sorted((one for one in secrets if len(one) > 3 and not one.startswith("$")), key=len, reverse=True):
        notes = [note.replace(secret, "…") for note in notes]
    # What a branch, a condition or a default would have put there, too.
    return [without_secrets(note) for note in notes]
