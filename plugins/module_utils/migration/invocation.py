"""Where a text starts vLLM: scripts, systemd units, `docker run` lines, compose files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.migration.compose import of_service, services
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.shell import Word, assignment, commands
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.starts import Invocation, of_command

_SETTING = re.compile(r"^\s*(ExecStart|Environment|EnvironmentFile)\s*=\s*(.*)$")
# What systemd allows before the path of a command.
_PREFIXES = "-@:+!"


def invocations(text: str) -> list[Invocation]:
    """Every start of vLLM in a text. Raises shell.Unclosed."""
    composed = services(text)
    if composed:
        return [found for service in composed for found in of_service(service)]
    unit = re.search(r"^\s*ExecStart\s*=", text, re.M)
    return list(_of_unit(text) if unit else _of_script(text))


def _of_script(text: str) -> Iterator[Invocation]:
    exported: dict[str, str] = {}
    notes: list[str] = []
    for words in commands(text):
        if words[0].text == "export":
            for word in words[1:]:
                pair = assignment(word)
                if pair and not word.unknown:
                    exported[pair[0]] = pair[1]
                elif pair:
                    notes.append(f"{pair[0]} is exported as {pair[1]}, which only the shell knows: left out")
            continue
        yield from of_command(words, exported, tuple(notes))


def _of_unit(text: str) -> Iterator[Invocation]:
    joined = re.sub(r"\\\r?\n", " ", text)
    settings = [match for line in joined.splitlines() if (match := _SETTING.match(line))]
    env: dict[str, str] = {}
    notes: list[str] = []
    for name, value in (match.groups() for match in settings):
        if name == "EnvironmentFile":
            notes.append(f"The unit reads further variables from {value.lstrip('-')}: they are not here")
        elif name == "Environment":
            for words in commands(value):
                env.update(dict(filter(None, map(assignment, words))))
    for name, value in (match.groups() for match in settings):
        if name != "ExecStart":
            continue
        text = value.lstrip(_PREFIXES).replace("$$", "\\$").replace("%%", "\0")
        specifiers = sorted(set(re.findall(r"%[A-Za-z]", text)))
        for words in commands("\n".join([*(f"{k}={_quoted(v)}" for k, v in env.items()), text])):
            words = [Word(word.text.replace("\0", "%"), word.unknown) for word in words]
            told = [*notes, *(f"{s} is a specifier that systemd replaces" for s in specifiers)]
            yield from of_command(words, env, tuple(told))


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"
