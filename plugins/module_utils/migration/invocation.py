"""Where a text starts vLLM: scripts, systemd units, `docker run` lines, compose files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.shell import Unclosed, Word, assignment, commands

SERVER = "vllm.entrypoints.openai.api_server"
_IMAGE = re.compile(r"(?:[\w.:/-]*/)?vllm[\w.-]*(?::(?P<tag>[\w.-]+))?(?:@sha256:[0-9a-f]+)?")
_RELEASE = re.compile(r"v?(\d+\.\d+\.\d+(?:\.post\d+)?)")
_SETTING = re.compile(r"^\s*(ExecStart|Environment|EnvironmentFile)\s*=\s*(.*)$")
# What systemd allows before the path of a command.
_PREFIXES = "-@:+!"
# Options of `docker run` and `podman run` that say something about the engine.
_ENVIRONMENT = ("-e", "--env")


@dataclass(frozen=True)
class Invocation:
    """`words`: what follows `vllm serve`; `release`: what the image's tag says; `notes`: what was found on the way."""

    words: list[Word]
    env: dict[str, str] = field(default_factory=dict)
    release: str = ""
    devices: str = ""
    notes: tuple[str, ...] = ()


def invocations(text: str) -> list[Invocation]:
    """Every start of vLLM in a text. Raises shell.Unclosed."""
    services = _services(text)
    if services:
        return [found for service in services for found in _of_service(service)]
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
        yield from _of_command(words, exported, tuple(notes))


def _of_command(words: list[Word], env: Mapping[str, str], notes: tuple[str, ...]) -> Iterator[Invocation]:
    own = dict(env)
    for index, word in enumerate(words):
        text, after = word.text, words[index + 1 :]
        if text.rpartition("/")[2] == "vllm" and after and after[0].text == "serve":
            yield _found(after[1:], own, words[:index], notes)
            return
        module = text == SERVER and index > 0 and words[index - 1].text == "-m"
        if module or text.endswith("vllm/entrypoints/openai/api_server.py"):
            yield _found(after, own, words[:index], notes)
            return
        if text == "-c" and after and index > 0 and words[index - 1].text.rpartition("/")[2] in ("sh", "bash"):
            before = dict(filter(None, map(assignment, words[:index])))
            for inner in commands(after[0].text):
                yield from _of_command(inner, {**own, **before}, notes)
            return
    image = _image(words)
    if image is not None:
        match = _IMAGE.fullmatch(words[image].text)
        found = _found(words[image + 1 :], own, words[:image], notes)
        yield _with_release(found, match["tag"] if match and match["tag"] else "")


def _found(words: list[Word], env: dict[str, str], before: list[Word], notes: tuple[str, ...]) -> Invocation:
    """An invocation, with the variables that the words before it set."""
    devices = ""
    said = list(notes)
    for index, word in enumerate(before):
        option, sign, value = word.text.partition("=")
        following = before[index + 1] if index + 1 < len(before) else Word("")
        setting = word
        if option in _ENVIRONMENT:
            setting = Word(value, word.unknown) if sign else following
        elif option.startswith("--env="):
            setting = Word(word.text[6:], word.unknown)
        elif option == "--gpus":
            devices = value if sign else following.text
        pair = assignment(setting)
        if pair is None or (word.text.startswith("-") and setting is word):
            continue
        if setting.unknown:
            said.append(f"{pair[0]} is {pair[1]}, which only the shell knows: left out")
        else:
            env[pair[0]] = pair[1]
    return Invocation(words, env, devices=devices, notes=tuple(said))


def _image(words: list[Word]) -> int | None:
    """The place of vLLM's image in a `docker run` or `podman run`."""
    texts = [word.text for word in words]
    if not {"docker", "podman", "nerdctl"} & {text.rpartition("/")[2] for text in texts} or "run" not in texts:
        return None
    first = texts.index("run") + 1
    for index in range(first, len(texts)):
        if _IMAGE.fullmatch(texts[index]) and not texts[index - 1].startswith("-v"):
            return index
    return None


def _with_release(found: Invocation, tag: str) -> Invocation:
    match = _RELEASE.match(tag)
    return Invocation(found.words, found.env, match[1] if match else "", found.devices, found.notes)


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
            yield from _of_command(words, env, tuple(told))


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _services(text: str) -> list[Mapping[str, Any]]:
    """The services of a compose file, where the text is one."""
    if not re.search(r"^services\s*:", text, re.M):
        return []
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Unclosed(f"it looks like a compose file and is no YAML ({str(error).splitlines()[0]})") from error
    services = read.get("services") if isinstance(read, Mapping) else None
    return [s for s in services.values() if isinstance(s, Mapping)] if isinstance(services, Mapping) else []


def _of_service(service: Mapping[str, Any]) -> Iterator[Invocation]:
    command = [*_words(service.get("entrypoint")), *_words(service.get("command"))]
    env, notes = _variables(service.get("environment"))
    match = _IMAGE.fullmatch(str(service.get("image", "")))
    found = list(_of_command(command, env, notes)) if command else []
    if not found and match and command:
        found = [Invocation(command, env, notes=notes)]
    tag = match["tag"] if match and match["tag"] else ""
    yield from (_with_release(one, tag) for one in found)


def _words(command: Any) -> list[Word]:
    """A command of a compose file: text as a shell reads it, or one word per item. `$$` is a dollar there."""
    if isinstance(command, str):
        return [word for words in commands(command.replace("$$", "\\$").replace("\n", " ")) for word in words]
    if isinstance(command, (list, tuple)):
        return [Word(str(item), tuple(re.findall(r"\$\{?[A-Za-z_]\w*[^}\s]*\}?", str(item)))) for item in command]
    return []


def _variables(environment: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    if isinstance(environment, Mapping):
        pairs = [(str(name), value) for name, value in environment.items()]
    else:
        items = environment if isinstance(environment, (list, tuple)) else []
        pairs = [(name, value if sign else None) for name, sign, value in (str(item).partition("=") for item in items)]
    env: dict[str, str] = {}
    notes: list[str] = []
    for name, value in pairs:
        if value is None or "$" in str(value):
            notes.append(f"{name} comes from the environment of whoever starts it: left out")
        else:
            env[name] = str(value)
    return env, tuple(notes)
