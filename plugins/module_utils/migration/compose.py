"""Services of a compose file that start vLLM."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.shell import Unclosed, Word, commands
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.starts import (
    Invocation,
    of_command,
    release_of,
    served,
)


def services(text: str) -> list[Mapping[str, Any]]:
    """The services of a compose file, where the text is one."""
    if not re.search(r"^services\s*:", text, re.M):
        return []
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Unclosed(f"it looks like a compose file and is no YAML ({str(error).splitlines()[0]})") from error
    found = read.get("services") if isinstance(read, Mapping) else None
    return [service for service in found.values() if isinstance(service, Mapping)] if isinstance(found, Mapping) else []


def of_service(service: Mapping[str, Any]) -> Iterator[Invocation]:
    """Starts of vLLM in one service, with the release and the GPUs that the service says."""
    command = [*_words(service.get("entrypoint")), *_words(service.get("command"))]
    env, notes = _variables(service.get("environment"))
    release = release_of(str(service.get("image", "")))
    found = list(of_command(command, env, notes))
    if not found and release is not None and command:
        found = [Invocation(served(command), env, notes=notes)]
    devices = _reserved(service)
    for one in found:
        yield replace(one, release=release or "", devices=one.devices or devices)


def _reserved(service: Mapping[str, Any]) -> str:
    """The GPUs of `deploy.resources.reservations.devices[].device_ids`, as `--gpus` has them."""
    inner: Any = service
    for key in ("deploy", "resources", "reservations", "devices"):
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    devices = [one for one in inner if isinstance(one, Mapping)] if isinstance(inner, list) else []
    ids = [one.get("device_ids") for one in devices]
    return ",".join(str(index) for listed in ids if isinstance(listed, list) for index in listed)


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
